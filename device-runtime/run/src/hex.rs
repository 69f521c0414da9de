//! Bytes as people and conformance runners write them: pairs of hex digits, white space anywhere between the digits.

/// The text is no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// A character that is neither a hex digit nor white space.
    #[error("{found:?} at character {position} is no hex digit")]
    Digit {
        /// What it is.
        found: char,
        /// Which character of the text, from 1.
        position: usize,
    },
    /// The last byte lacks a digit.
    #[error("{digits} hex digits are no whole bytes")]
    Odd {
        /// Digits of the text.
        digits: usize,
    },
}

/// Reads bytes; white space is ignored.
///
/// # Errors
/// The text is no bytes.
pub fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let (mut digits, mut high) = (0, 0);
    for (index, found) in text.chars().enumerate().filter(|(_, found)| !found.is_whitespace()) {
        let digit = found.to_digit(16).ok_or(HexError::Digit { found, position: index + 1 })? as u8;
        if digits % 2 == 0 {
            high = digit;
        } else {
            bytes.push(high << 4 | digit);
        }
        digits += 1;
    }
    if digits % 2 == 0 { Ok(bytes) } else { Err(HexError::Odd { digits }) }
}

/// Writes bytes, two digits each.
pub fn print(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// White space may stand anywhere, everything else is an error that says where.
    #[test]
    fn digits_in_pairs() {
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse(" \n"), Ok(vec![]));
        assert_eq!(parse("00fF 1\t2\n"), Ok(vec![0, 0xff, 0x12]));
        assert_eq!(parse("123"), Err(HexError::Odd { digits: 3 }));
        assert_eq!(parse("0x12"), Err(HexError::Digit { found: 'x', position: 2 }));
        assert_eq!(print(&[0, 0xff, 0x12]), "00ff12");
        assert_eq!(parse("äa"), Err(HexError::Digit { found: 'ä', position: 1 }));
    }
}
