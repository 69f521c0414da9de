//! What `arrow::ipc` takes for granted of a message, checked before it reads one: it was made for files of one's own and panics, or
//! reserves what a header says, where a peer lies.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::{Endianness, Field, Message, RecordBatch, Type, root_as_message};
use nearside_device::catch_expected_panic;

use crate::ipc::lz4;
use crate::limits::{DECODED_BYTES_MAX, FIELDS_MAX, NESTING_MAX};

/// Reads a schema message.
pub(crate) fn read_schema(header: &[u8]) -> Result<Schema, ArrowError> {
    let message = read_message(header)?;
    let schema = message.header_as_schema().ok_or_else(|| bad("no schema"))?;
    let fields = schema.fields().ok_or_else(|| bad("a schema without fields"))?;
    if schema.endianness() != Endianness::Little {
        return Err(bad("a big-endian schema"));
    }
    let mut budget = FIELDS_MAX;
    fields.iter().try_for_each(|field| check_field(field, 0, &mut budget))?;
    contained(|| Ok(fb_to_schema(schema)))
}

/// The root of an IPC message.
pub(super) fn read_message(header: &[u8]) -> Result<Message<'_>, ArrowError> {
    root_as_message(header).map_err(|error| bad(format!("no Arrow message: {error}")))
}

/// Nesting and number of fields are bounded, and the type is one that tables have.
fn check_field(field: Field<'_>, depth: usize, budget: &mut usize) -> Result<(), ArrowError> {
    if depth > NESTING_MAX {
        return Err(bad(format!("types nested more than {NESTING_MAX} deep")));
    }
    *budget = budget.checked_sub(1).ok_or_else(|| bad(format!("more than {FIELDS_MAX} fields")))?;
    match field.type_type() {
        Type::Union | Type::RunEndEncoded => return Err(bad("unions and run-ends are not part of the protocol")),
        Type::FixedSizeBinary if field.type_as_fixed_size_binary().is_none_or(|binary| binary.byteWidth() < 0) => {
            return Err(bad("a negative width"));
        }
        Type::FixedSizeList if field.type_as_fixed_size_list().is_none_or(|list| list.listSize() < 0) => {
            return Err(bad("a negative width"));
        }
        _ => {}
    }
    field.children().into_iter().flatten().try_for_each(|child| check_field(child, depth + 1, budget))
}

/// Every buffer lies in the body, and together they decompress to a bounded size.
pub(super) fn check_batch(batch: RecordBatch<'_>, body: &[u8]) -> Result<(), ArrowError> {
    if batch.length() < 0 || batch.nodes().into_iter().flatten().any(|node| node.length() < 0 || node.null_count() < 0) {
        return Err(bad("a negative length"));
    }
    if batch.variadicBufferCounts().into_iter().flatten().any(|count| count < 0) {
        return Err(bad("a negative number of buffers"));
    }
    let mut decoded = 0_usize;
    for buffer in batch.buffers().into_iter().flatten() {
        let bytes = slice(body, buffer.offset(), buffer.length()).ok_or_else(|| bad("a buffer outside its message"))?;
        let len = match batch.compression() {
            Some(_) if !bytes.is_empty() => lz4::decoded_len(bytes).ok_or_else(|| bad("a buffer that is not LZ4"))?,
            _ => bytes.len(),
        };
        decoded = decoded.saturating_add(len);
    }
    if decoded > DECODED_BYTES_MAX {
        return Err(bad(format!("{decoded} bytes, more than {DECODED_BYTES_MAX}, in one message")));
    }
    Ok(())
}

fn slice(body: &[u8], offset: i64, len: i64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    body.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

/// Runs a reader of `arrow::ipc`. The checks above cover what it says it needs; it has more assertions than that, and a
/// peer's message that meets one is that peer's error.
pub(super) fn contained<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_expected_panic(read).unwrap_or_else(|| Err(bad("contradicts itself")))
}

pub(super) fn bad(reason: impl Into<String>) -> ArrowError {
    ArrowError::IpcError(reason.into())
}
