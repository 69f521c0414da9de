//! Maps, as an object declares them: what a program shares with its later self, with other programs and with whoever reads its results.
//!
//! A [`MapSpec`] is a declaration, an allegation like everything an object says; the engine makes the map, within its own bounds. Code refers to a map by its place in
//! [`Object::maps`](crate::Object::maps): `lddw` with `src` 5 (the map) or 6 (an offset into the value of an array's element 0), RFC 9669 §5.4.

/// Most maps of an object.
pub const MAPS_MAX: usize = 64;

/// One map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MapSpec {
    /// Its symbol; for global data the section's name.
    pub name: String,
    /// What it is.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_len: u32,
    /// Bytes of a value; for a ring buffer 0.
    pub value_len: u32,
    /// Most entries; for a ring buffer its bytes.
    pub entries_max: u32,
    /// The kernel's `BPF_F_*` flags of map creation.
    pub flags: u32,
    /// What a map of maps has as its values.
    pub inner: Option<Box<MapSpec>>,
    /// Bytes of element 0 at the start: global data. Empty: zeros.
    pub initial: Vec<u8>,
    /// Elements at the start that name something: programs of a program array, maps of an array of maps.
    pub named: Vec<(u32, String)>,
}

impl MapSpec {
    /// Whether programs may only read it (`BPF_F_RDONLY_PROG`; `.rodata` has it).
    pub fn is_read_only(&self) -> bool {
        self.flags & RDONLY_PROG != 0
    }
}

/// `BPF_F_RDONLY_PROG`.
pub const RDONLY_PROG: u32 = 1 << 7;

macro_rules! kinds {
    ($($kind:ident = $number:literal, $name:literal;)*) => {
        /// Kinds of maps, by the kernel's numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the kernel's own")]
        pub enum MapKind {
            $($kind = $number,)*
        }

        impl MapKind {
            /// The kind of that number, if there is one here.
            pub fn by_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// As bpftool calls it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Hash = 1, "hash";
    Array = 2, "array";
    ProgramArray = 3, "prog_array";
    PerfEventArray = 4, "perf_event_array";
    PerCpuHash = 5, "percpu_hash";
    PerCpuArray = 6, "percpu_array";
    LruHash = 9, "lru_hash";
    LruPerCpuHash = 10, "lru_percpu_hash";
    LpmTrie = 11, "lpm_trie";
    ArrayOfMaps = 12, "array_of_maps";
    HashOfMaps = 13, "hash_of_maps";
    DevMap = 14, "devmap";
    CpuMap = 16, "cpumap";
    XskMap = 17, "xskmap";
    DevMapHash = 25, "devmap_hash";
    RingBuffer = 27, "ringbuf";
}

impl MapKind {
    /// The kernel's number.
    pub fn number(self) -> u32 {
        self as u32
    }
}
