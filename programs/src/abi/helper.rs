//! The one table of helpers: number, name, prototype, cost, targets.
//!
//! Adding a helper starts here; what runs it is the engine's (intrinsics) or the device's (vector helpers) business.
//! Numbers below 65,536 are the kernel's in every target.

use crate::manifest::Target;

/// One helper as programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper {
    /// What `call` names.
    pub number: u32,
    /// Its symbol.
    pub name: &'static str,
    /// How many of r1 to r5 it reads.
    pub arguments: u8,
    /// Targets that may call it.
    pub targets: &'static [Target],
    /// Who runs it.
    pub kind: Kind,
    /// C prototype and meaning, one line.
    pub doc: &'static str,
}

/// Who runs a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A function of its arguments and the cage; the engine's own, lowered inline where that pays.
    Intrinsic,
    /// One call a batch, on columns by handle; the device's.
    Vector,
}

macro_rules! helpers {
    ($($(#[$meta:meta])* $constant:ident = $number:literal, $name:literal, $arguments:literal, $kind:ident, $targets:expr, $doc:literal;)*) => {
        $(#[doc = concat!("Number of `", $name, "`.\n\n```text\n", $doc, "\n```")] pub const $constant: u32 = $number;)*

        /// Every helper, by ascending number.
        pub const HELPERS: &[Helper] = &[
            $(Helper { number: $number, name: $name, arguments: $arguments, targets: $targets, kind: Kind::$kind, doc: $doc },)*
        ];
    };
}

const COLUMNAR: &[Target] = &[Target::Columnar];
const COMPUTED: &[Target] = &[Target::Columnar, Target::Block];

helpers! {
    GROUP_IDS = 65536, "group_ids", 0, Vector, COLUMNAR,
        "u64 group_ids(): maps the keys of rows [first_row, row_count) to dense group ids, written to the context's group_ids array (0 for unselected rows); returns the end of the rows mapped: row_count, or the first row it has no room for";
    TEXT_COMPARE = 65537, "text_compare", 4, Vector, COLUMNAR,
        "u64 text_compare(column, op, parameter, bitmap): bit i of the bitmap = column[i] op parameter, 0 where NULL; ops: 0 =, 1 <>, 2 <, 3 <=, 4 >, 5 >=; returns 0";
    TEXT_COMPARE_COLUMNS = 65538, "text_compare_columns", 4, Vector, COLUMNAR,
        "u64 text_compare_columns(column, op, column2, bitmap): bit i = column[i] op column2[i], 0 where either is NULL; returns 0";
    TEXT_LIKE = 65539, "text_like", 4, Vector, COLUMNAR,
        "u64 text_like(column, flags, parameter, bitmap): bit i = column[i] LIKE parameter, 0 where NULL; flags: 1 = ILIKE; returns 0";
    TEXT_IN = 65540, "text_in", 3, Vector, COLUMNAR,
        "u64 text_in(column, parameter, bitmap): bit i = column[i] is one of the texts of the list parameter, 0 where NULL; returns 0";
    TEXT_MIN = 65541, "text_min", 3, Vector, COLUMNAR,
        "u64 text_min(state, column, end): updates text state `state` by group with the selected, non-NULL values of rows [first_row, end); returns 0";
    TEXT_MAX = 65542, "text_max", 3, Vector, COLUMNAR,
        "u64 text_max(state, column, end): as text_min, for the greatest value";

    I128_ADD = 65600, "i128_add", 3, Intrinsic, COMPUTED,
        "u64 i128_add(dst, a, b): *dst = *a + *b, wrapping; 16 bytes each, little-endian, any alignment; returns 1 if it wrapped";
    I128_SUB = 65601, "i128_sub", 3, Intrinsic, COMPUTED,
        "u64 i128_sub(dst, a, b): *dst = *a - *b, wrapping; returns 1 if it wrapped";
    I128_MUL = 65602, "i128_mul", 3, Intrinsic, COMPUTED,
        "u64 i128_mul(dst, a, b): *dst = *a * *b, wrapping; returns 1 if it wrapped";
    I128_COMPARE = 65603, "i128_compare", 2, Intrinsic, COMPUTED,
        "u64 i128_compare(a, b): signed; returns -1, 0 or 1 as a 64-bit integer";
    I128_DIV = 65604, "i128_div", 3, Intrinsic, COMPUTED,
        "u64 i128_div(dst, a, b): *dst = *a / *b, truncated, wrapping, 0 where *b is 0; returns 1 if it wrapped or *b is 0";

    F64_ADD = 65616, "f64_add", 2, Intrinsic, COMPUTED, "u64 f64_add(a, b): IEEE 754 binary64 by bits; a NaN result is the x86-64 one";
    F64_SUB = 65617, "f64_sub", 2, Intrinsic, COMPUTED, "u64 f64_sub(a, b)";
    F64_MUL = 65618, "f64_mul", 2, Intrinsic, COMPUTED, "u64 f64_mul(a, b)";
    F64_DIV = 65619, "f64_div", 2, Intrinsic, COMPUTED, "u64 f64_div(a, b)";
    F64_FROM_I64 = 65620, "f64_from_i64", 1, Intrinsic, COMPUTED, "u64 f64_from_i64(a): nearest, ties to even";
    F64_FROM_F32 = 65621, "f64_from_f32", 1, Intrinsic, COMPUTED, "u64 f64_from_f32(a): the low 32 bits as binary32, exact";
    F64_FROM_U64 = 65622, "f64_from_u64", 1, Intrinsic, COMPUTED, "u64 f64_from_u64(a): nearest, ties to even";
    F64_FROM_I128 = 65623, "f64_from_i128", 1, Intrinsic, COMPUTED, "u64 f64_from_i128(a): of *a, nearest, ties to even";
    F32_FROM_F64 = 65624, "f32_from_f64", 1, Intrinsic, COMPUTED,
        "u64 f32_from_f64(a): nearest binary32, ties to even; a NaN keeps its sign and the top of its payload, quiet";
}

impl Helper {
    /// The helper of that number.
    pub fn by_number(number: u32) -> Option<&'static Self> {
        HELPERS.binary_search_by_key(&number, |helper| helper.number).ok().map(|index| &HELPERS[index])
    }

    /// The helper of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        HELPERS.iter().find(|helper| helper.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `by_number` searches by bisection.
    #[test]
    fn numbers_ascend_and_names_are_unique() {
        assert!(HELPERS.windows(2).all(|pair| pair[0].number < pair[1].number));
        for helper in HELPERS {
            assert_eq!(Helper::by_name(helper.name), Some(helper));
            assert_eq!(Helper::by_number(helper.number), Some(helper));
        }
    }
}
