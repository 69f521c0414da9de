//! Which Arrow types turn into which without losing or changing a value.

use arrow::datatypes::{DataType, Field, FieldRef};

/// Whether two types differ in nothing but Arrow's layout of text and bytes, at any depth: the Parquet reader gives either.
pub(super) fn same_but_layout(a: &DataType, b: &DataType) -> bool {
    use DataType::{Dictionary, FixedSizeList, LargeList, List, Map, Struct};
    match (a, b) {
        (Dictionary(_, a), b) | (b, Dictionary(_, a)) => same_but_layout(a, b),
        (List(a), List(b)) | (LargeList(a), LargeList(b)) => fields(a, b),
        (FixedSizeList(a, m), FixedSizeList(b, n)) => m == n && fields(a, b),
        (Map(a, m), Map(b, n)) => m == n && fields(a, b),
        (Struct(a), Struct(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| fields(a, b)),
        // A writer may leave the annotation away that tells text from bytes; the reader validates.
        (a, b) => a == b || (is_text(a) && is_text(b)) || (is_binary(a) && (is_binary(b) || is_text(b))),
    }
}

fn fields(a: &FieldRef, b: &FieldRef) -> bool {
    let (a, b): (&Field, &Field) = (a, b);
    a.name() == b.name() && a.is_nullable() == b.is_nullable() && same_but_layout(a.data_type(), b.data_type())
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether Arrow's cast takes every value of `from` to the same value of `to`.
pub(super) fn is_exact(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Dictionary, Float32, Float64};
    match (from, to) {
        (Dictionary(_, from), to) if !matches!(to, Dictionary(..)) => is_exact(from, to),
        (Float32, Float64) => true,
        (&Decimal128(p, s), &Decimal128(to_p, to_s)) => {
            to_s >= s && i16::from(to_p) - i16::from(to_s) >= i16::from(p) - i16::from(s)
        }
        (from, to) if is_text(from) && is_text(to) => true,
        (from, to) => from == to || integer_widens(from, to),
    }
}

fn integer_widens(from: &DataType, to: &DataType) -> bool {
    let bits = |data_type: &DataType| data_type.primitive_width().map_or(0, |bytes| bytes * 8);
    match (from.is_signed_integer(), from.is_unsigned_integer()) {
        (true, _) => to.is_signed_integer() && bits(to) >= bits(from),
        (_, true) => (to.is_unsigned_integer() && bits(to) >= bits(from)) || (to.is_signed_integer() && bits(to) > bits(from)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cast is exact only if no value of the source type is lost.
    #[test]
    fn exactness() {
        use DataType::*;
        let dictionary = |values| Dictionary(Box::new(Int32), Box::new(values));
        let exact = [
            (Int8, Int64),
            (UInt32, Int64),
            (UInt8, UInt16),
            (Float32, Float64),
            (Decimal128(10, 2), Decimal128(12, 4)),
            (Utf8, Utf8View),
            (dictionary(Utf8), LargeUtf8),
            (dictionary(Int32), Int64),
        ];
        let lossy = [
            (Int64, Int32),
            (UInt32, Int32),
            (UInt64, Int64),
            (Int8, UInt64),
            (Float64, Float32),
            (Int64, Float64),
            (Decimal128(10, 2), Decimal128(11, 4)),
            (Decimal128(10, 2), Decimal128(20, 1)),
            (Binary, Utf8),
            (Date32, Date64),
            (Utf8, dictionary(Utf8)),
        ];
        assert!(exact.iter().all(|(from, to)| is_exact(from, to)));
        for (from, to) in &lossy {
            assert!(!is_exact(from, to), "{from} to {to}");
        }
    }
}
