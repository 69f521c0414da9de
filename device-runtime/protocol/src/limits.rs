//! Bounds on everything a peer sends. A message beyond one is refused by name, before memory is spent on it.

use nearside_device::DeviceError;

/// Largest gRPC message a server takes, bytes: the largest program object, or a request with its tables of objects and parameters.
pub const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Largest gRPC message a client takes, bytes: a batch that could not be split, or a dictionary.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// What an encoder aims at for one batch, Arrow bytes before compression.
pub const BATCH_BYTES_TARGET: usize = 1 << 20;

/// Most Arrow bytes that one message of at most [`RESPONSE_BYTES_MAX`] may decompress to.
pub const DECODED_BYTES_MAX: usize = 256 << 20;

/// Most objects in one execution.
pub const OBJECTS_MAX: usize = 16_384;

/// Most row groups that one execution lists by number.
pub const ROW_GROUPS_MAX: usize = 262_144;

/// Longest path of an object, bytes.
pub const PATH_LEN_MAX: usize = 4_096;

/// Longest ETag, version or condition, bytes.
pub const ETAG_LEN_MAX: usize = 1_024;

/// Most parameter slots.
pub const PARAMETERS_MAX: usize = 65_536;

/// Most fields of a schema, nested ones included.
pub const FIELDS_MAX: usize = 4_096;

/// Deepest nesting of a schema's types.
pub const NESTING_MAX: usize = 16;

/// Most ranges in one read.
pub const RANGES_MAX: usize = 4_096;

/// Largest piece of an object in one message, bytes.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Most bytes of one read that a server holds at a time.
pub const READ_AHEAD_BYTES: u64 = 8 << 20;

/// Most objects and common prefixes in one page of a list.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Most records (morsel ids, or a ledger's morsels) in one message.
pub const MORSELS_PER_MESSAGE: usize = 4_096;

/// Most morsels that a client takes for one execution.
pub const MORSELS_MAX: usize = 1 << 20;

/// Longest text in an error, bytes: errors travel in HTTP/2 headers.
pub const ERROR_TEXT_MAX: usize = 1_024;

/// Most concurrent calls on one connection.
pub const CALLS_MAX: u32 = 1_024;

/// Flow-control window of one call, bytes: what a sender may be ahead of a reader.
pub const CALL_WINDOW_BYTES: u32 = 4 << 20;

/// Flow-control window of a connection. Large enough for 256 calls whose readers have paused: a smaller one would let them stop
/// every other call on the connection, and a query whose operators wait for each other would never end.
pub const CONNECTION_WINDOW_BYTES: u32 = 256 * CALL_WINDOW_BYTES;

/// Checks a count or length against its bound.
pub(crate) fn within(what: &str, given: usize, limit: usize) -> Result<(), DeviceError> {
    if given <= limit {
        return Ok(());
    }
    Err(DeviceError::Limit { what: what.to_owned(), given: given as u64, limit: limit as u64 })
}
