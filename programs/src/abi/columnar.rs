//! The `columnar` target: a program over a batch of decoded columns.
//!
//! An entry point is called with r1 = the cage address of a [context](FIELDS), read-only. It works on rows
//! `[first_row, row_count)` and returns in r0 the end of the rows it consumed, or one of the [faults](FAULT_ARITHMETIC).
//!
//! - A **bitmap** is [`BITMAP_LEN`] bytes: bit `i % 64` of little-endian word `i / 64` is row `i`; bits of rows at or beyond
//!   `row_count` are zero in what the device hands over, and ignored in what it gets.
//! - A **values** array has [`BATCH_ROWS_MAX`] elements of the column's width, little-endian; a boolean column is a bitmap. It may be read to the end:
//!   what lies beyond `row_count` is zero. The element of a NULL row is unspecified but readable.
//! - `select` takes rows out of `result`, which is `selection`, too: all words up to `row_count` become what they were AND the conjunct. A row is selected if the
//!   conjunct is true, not if it is NULL. What else reads `selection` then, helpers among it, sees what is left.
//! - `main` cannot write `selection`. In an aggregate without keys, if no entry point loads a column, a device may run it after all conjuncts in the context that those had: then
//!   `selection` is still `result`, which `main` leaves alone.
//! - `main` of a projection writes each computed column's values and validity, aligned with the rows; rows that are not selected may hold anything.
//!   Decimals are 16 bytes wide there, also in a narrow version.
//! - `main` of an aggregate writes computed keys (if any), calls `group_ids` (if there are keys; else every row is group 0), and updates the accumulators of the
//!   selected rows in `[first_row, end)`; it returns `end`. The device emits partials, clears, and calls again with `first_row = end`
//!   until `end = row_count`. Bits of `selection` below `first_row` are zero then.
//!
//! Group 0 always exists: a branch-free program may read and rewrite its accumulators, unchanged, for an unselected row.

pub use super::Field;

/// Version of this ABI. An object for another version is refused.
pub const VERSION: u32 = 3;

/// Most rows in a batch.
pub const BATCH_ROWS_MAX: u32 = 16_384;

/// Bytes of a bitmap.
pub const BITMAP_LEN: u32 = BATCH_ROWS_MAX / 8;

/// r0 of an entry point that met an overflow SQL calls an error, or a float that the host alone orders (`MIN` and `MAX` by group): the host evaluates the fragment
/// instead.
pub const FAULT_ARITHMETIC: u64 = u64::MAX;

context! {
    ABI_VERSION = 0, "abi_version", "this ABI's version";
    ROW_COUNT = 4, "row_count", "rows in the batch, at most BATCH_ROWS_MAX";
    FIRST_ROW = 8, "first_row", "first row to work on";
    SELECTION = 12, "selection", "address of a bitmap: rows to look at";
    RESULT = 16, "result", "address of a bitmap that select writes, and reads as its selection";
    PARAMETERS = 20, "parameters", "address of the parameter slots, 16 bytes each";
    COLUMNS = 24, "columns", "address of an array of { u32 values; u32 validity; }, one a column of the manifest; values is 0 where the entry point does not load it";
    OUTPUTS = 28, "outputs", "address of an array of { u32 values; u32 validity; }, one a computed column";
    GROUP_IDS = 32, "group_ids", "address of u32[BATCH_ROWS_MAX] that the helper group_ids writes";
    ACCUMULATORS = 36, "accumulators", "address of an array of u32 addresses, one an accumulator";
    SCRATCH = 40, "scratch", "address of the scratch bitmaps, BITMAP_LEN bytes each";
    GROUP_CAPACITY = 44, "group_capacity", "elements of every accumulator during this call";
}

/// Bytes of the context.
pub const CONTEXT_LEN: u32 = 48;

/// Bytes of an element of the column and output arrays.
pub const COLUMN_LEN: u32 = 8;

/// Offset of the validity bitmap's address in such an element.
pub const COLUMN_VALIDITY: i16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The context has no holes and no overlaps.
    #[test]
    fn fields_are_dense() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert_eq!(field.offset as usize, index * 4, "{}", field.name);
        }
        assert_eq!(CONTEXT_LEN as usize, FIELDS.len() * 4);
    }
}
