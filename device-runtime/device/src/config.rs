//! What a device may use.

/// The bounds of an in-process device. Those on memory hold for all executions together unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// For people.
    pub name: String,
    /// Threads that compute at a time.
    pub workers: usize,
    /// Executions at a time; each has up to `workers` threads, most of which wait if there are many.
    pub executions_max: usize,
    /// Compressed and filter columns of the row groups under way, bytes: what is not there yet when it is needed makes an execution
    /// [`Busy`](crate::DeviceError::Busy).
    pub memory_bytes_max: u64,
    /// Batches an execution holds ready for a slow consumer, for each of its threads.
    pub queued_batches: usize,
    /// Footers and page indexes kept, bytes.
    pub footer_cache_bytes: usize,
    /// Footer, or page index, of one object, bytes.
    pub object_metadata_bytes_max: u64,
    /// Loaded programs, bytes of their objects; the one used longest ago goes first.
    pub program_cache_bytes: usize,
    /// One program, bytes of its object.
    pub program_bytes_max: usize,
    /// Groups in a worker's table before it emits its partials early.
    pub groups_max: u64,
    /// Rows whose partials an aggregate merges before it emits them. Fixed, rather than following from the number of threads, so that
    /// an execution does the same work on any machine.
    pub lane_rows: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "embedded".to_owned(),
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            executions_max: 256,
            memory_bytes_max: 4 << 30,
            queued_batches: 4,
            footer_cache_bytes: 64 << 20,
            object_metadata_bytes_max: 64 << 20,
            program_cache_bytes: 64 << 20,
            program_bytes_max: 1 << 20,
            groups_max: 1 << 20,
            lane_rows: 1 << 20,
        }
    }
}
