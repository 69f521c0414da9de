//! Quantities for people.

/// With a binary unit and three digits.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (count.max(1).ilog2() / 10).min(4) as usize;
    if unit == 0 { format!("{count} B") } else { format!("{:.2} {}", count as f64 / (1u64 << (10 * unit)) as f64, units[unit]) }
}

/// How many rows.
pub(crate) fn rows(count: usize) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    /// Units change where they should.
    #[test]
    fn bytes_for_people() {
        assert_eq!(
            ["0 B", "1023 B", "1.00 KiB", "1.50 MiB"],
            [bytes(0), bytes(1023), bytes(1024), bytes(1_572_864)].map(|text| text).each_ref().map(String::as_str)
        );
    }
}
