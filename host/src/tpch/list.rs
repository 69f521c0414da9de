//! Which queries: numbers and ranges.

use super::QUERIES;

/// An item of a list that names no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{item}: numbers and ranges from 1 to 22, like 1,6,12-15")]
pub struct ListError {
    /// The item.
    pub item: String,
}

/// Reads `1,6,12-15`, in the order it is written.
///
/// # Errors
/// What is neither the number of a query nor a range of them, by name.
pub fn parse_queries(list: &str) -> Result<Vec<u8>, ListError> {
    let mut queries = Vec::new();
    for item in list.split(',').map(str::trim) {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let number = |text: &str| text.trim().parse::<u8>().ok().filter(|number| QUERIES.contains(number));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => queries.extend(first..=last),
            _ => return Err(ListError { item: item.to_owned() }),
        }
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Order is kept; what is no query is refused.
    #[test]
    fn lists_of_queries() {
        assert_eq!(parse_queries("6, 1,12-14").unwrap(), [6, 1, 12, 13, 14]);
        for wrong in ["", "0", "23", "3-1", "a", "1,,2"] {
            assert!(parse_queries(wrong).is_err(), "{wrong}");
        }
    }
}
