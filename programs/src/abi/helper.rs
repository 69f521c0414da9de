//! The one table of helpers: number, name, prototype, cost, targets.
//!
//! Adding a helper starts here; what runs it is the engine's (intrinsics) or the device's (vector helpers) business.
//! Numbers below 65,536 are the kernel's in every target.

use super::kernel::NAMES;
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
    /// A function of its arguments and the cage, or what moves control; the engine's own, lowered inline where that pays.
    Intrinsic,
    /// One call a batch, on columns by handle; the device's.
    Vector,
    /// The kernel's, over maps and packets; the target's.
    Kernel,
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
const PACKET: &[Target] = &[Target::Packet];

helpers! {
    MAP_LOOKUP_ELEM = 1, "map_lookup_elem", 2, Kernel, PACKET, "void *map_lookup_elem(map, key): address of the value, or 0";
    MAP_UPDATE_ELEM = 2, "map_update_elem", 4, Kernel, PACKET,
        "long map_update_elem(map, key, value, flags): flags: 0 any, 1 only a new entry, 2 only an existing one; returns 0 or a negative errno";
    MAP_DELETE_ELEM = 3, "map_delete_elem", 2, Kernel, PACKET, "long map_delete_elem(map, key): returns 0 or a negative errno";
    KTIME_GET_NS = 5, "ktime_get_ns", 0, Kernel, PACKET, "u64 ktime_get_ns(): monotonic clock";
    TRACE_PRINTK = 6, "trace_printk", 5, Kernel, PACKET, "long trace_printk(format, format_len, ...): one line for whoever debugs; at most three values";
    GET_PRANDOM_U32 = 7, "get_prandom_u32", 0, Kernel, PACKET, "u32 get_prandom_u32()";
    GET_SMP_PROCESSOR_ID = 8, "get_smp_processor_id", 0, Kernel, PACKET, "u32 get_smp_processor_id(): the worker, which per-CPU maps go by";
    TAIL_CALL = 12, "tail_call", 3, Intrinsic, PACKET,
        "long tail_call(context, program_array, index): goes on in the program there, in this frame; comes back, with a negative errno, only if there is none or after 33 of them";
    REDIRECT = 23, "redirect", 2, Kernel, PACKET, "long redirect(ifindex, flags): returns XDP_REDIRECT, or XDP_ABORTED for flags other than 0";
    PERF_EVENT_OUTPUT = 25, "perf_event_output", 5, Kernel, PACKET,
        "long perf_event_output(context, map, flags, data, len): flags: CPU in the low 32 bits (0xffffffff: this one), bytes of the packet to add in bits 32 to 51";
    CSUM_DIFF = 28, "csum_diff", 5, Kernel, PACKET, "s64 csum_diff(from, from_len, to, to_len, seed): a ones' complement sum; lengths are multiples of 4";
    XDP_ADJUST_HEAD = 44, "xdp_adjust_head", 2, Kernel, PACKET, "long xdp_adjust_head(context, delta): moves the packet's begin";
    REDIRECT_MAP = 51, "redirect_map", 3, Kernel, PACKET,
        "long redirect_map(map, key, flags): returns XDP_REDIRECT, or the low bits of flags if there is no entry";
    XDP_ADJUST_META = 54, "xdp_adjust_meta", 2, Kernel, PACKET, "long xdp_adjust_meta(context, delta): moves the begin of the metadata before the packet";
    XDP_ADJUST_TAIL = 65, "xdp_adjust_tail", 2, Kernel, PACKET, "long xdp_adjust_tail(context, delta): moves the packet's end";
    KTIME_GET_BOOT_NS = 125, "ktime_get_boot_ns", 0, Kernel, PACKET, "u64 ktime_get_boot_ns(): as ktime_get_ns, time in sleep included";
    RINGBUF_OUTPUT = 130, "ringbuf_output", 4, Kernel, PACKET, "long ringbuf_output(map, data, len, flags): returns 0 or a negative errno";
    RINGBUF_RESERVE = 131, "ringbuf_reserve", 3, Kernel, PACKET, "void *ringbuf_reserve(map, len, flags): address of a record to fill, or 0";
    RINGBUF_SUBMIT = 132, "ringbuf_submit", 2, Kernel, PACKET, "void ringbuf_submit(record, flags)";
    RINGBUF_DISCARD = 133, "ringbuf_discard", 2, Kernel, PACKET, "void ringbuf_discard(record, flags)";
    RINGBUF_QUERY = 134, "ringbuf_query", 2, Kernel, PACKET,
        "u64 ringbuf_query(map, flags): 0 bytes to read, 1 bytes of the ring, 2 consumer's position, 3 producer's position";
    KTIME_GET_COARSE_NS = 160, "ktime_get_coarse_ns", 0, Kernel, PACKET, "u64 ktime_get_coarse_ns(): monotonic clock, cheaper and coarser";
    LOOP = 181, "loop", 4, Intrinsic, PACKET,
        "long loop(count, callback, context, flags): calls callback(index, context) until it returns 1 or count is reached; returns the calls made";
    XDP_GET_BUFF_LEN = 188, "xdp_get_buff_len", 1, Kernel, PACKET, "u64 xdp_get_buff_len(context): bytes of the packet";
    XDP_LOAD_BYTES = 189, "xdp_load_bytes", 4, Kernel, PACKET, "long xdp_load_bytes(context, offset, buffer, len): returns 0 or a negative errno";
    XDP_STORE_BYTES = 190, "xdp_store_bytes", 4, Kernel, PACKET, "long xdp_store_bytes(context, offset, buffer, len): returns 0 or a negative errno";
    MAP_LOOKUP_PERCPU_ELEM = 195, "map_lookup_percpu_elem", 3, Kernel, PACKET,
        "void *map_lookup_percpu_elem(map, key, cpu): as map_lookup_elem, for another CPU's value";

    GROUP_IDS = 65536, "group_ids", 0, Vector, COLUMNAR,
        "u64 group_ids(): maps the keys of rows [first_row, row_count) to dense group ids, written to the context's group_ids array (0 for unselected rows); returns the end of the rows mapped: row_count, or the first row it has no room for";
    TEXT_COMPARE = 65537, "text_compare", 4, Vector, COLUMNAR,
        "u64 text_compare(column, op, parameter, bitmap): bit i of the bitmap = column[i] op parameter, 0 where NULL or not selected; ops: 0 =, 1 <>, 2 <, 3 <=, 4 >, 5 >=; returns 0";
    TEXT_COMPARE_COLUMNS = 65538, "text_compare_columns", 4, Vector, COLUMNAR,
        "u64 text_compare_columns(column, op, column2, bitmap): bit i = column[i] op column2[i], 0 where either is NULL or the row is not selected; returns 0";
    TEXT_LIKE = 65539, "text_like", 4, Vector, COLUMNAR,
        "u64 text_like(column, flags, parameter, bitmap): bit i = column[i] LIKE parameter, 0 where NULL or not selected; flags: 1 = ILIKE; returns 0";
    TEXT_IN = 65540, "text_in", 3, Vector, COLUMNAR,
        "u64 text_in(column, parameter, bitmap): bit i = column[i] is one of the texts of the list parameter, 0 where NULL or not selected; returns 0";
    TEXT_MIN = 65541, "text_min", 3, Vector, COLUMNAR,
        "u64 text_min(state, column, end): updates text state `state` by group with the selected, non-NULL values of rows [first_row, end); returns 0";
    TEXT_MAX = 65542, "text_max", 3, Vector, COLUMNAR,
        "u64 text_max(state, column, end): as text_min, for the greatest value";

    COLUMN_COMPARE = 65552, "column_compare", 4, Vector, COLUMNAR,
        "u64 column_compare(column, op, parameter, bitmap): bit i of the bitmap = column[i] op parameter, 0 where NULL or not selected; any type of fixed width, floats by total order but zeros equal; the parameter is of the same type (decimals: of the same scale); ops: 0 =, 1 <>, 2 <, 3 <=, 4 >, 5 >=; returns 0";
    COLUMN_BETWEEN = 65553, "column_between", 5, Vector, COLUMNAR,
        "u64 column_between(column, flags, low, high, bitmap): bit i = column[i] lies between the parameters low and high, 0 where NULL or not selected; flags: 1 = low itself does not count, 2 = high itself does not; returns 0";
    COLUMN_COMPARE_COLUMNS = 65554, "column_compare_columns", 4, Vector, COLUMNAR,
        "u64 column_compare_columns(column, op, column2, bitmap): bit i = column[i] op column2[i], 0 where either is NULL or the row is not selected; both of one type (decimals: of one scale); returns 0";
    BITMAP_COMBINE = 65555, "bitmap_combine", 4, Vector, COLUMNAR,
        "u64 bitmap_combine(op, a, b, bitmap): bitmap = a op b, by address, which may be the same; ops: 0 and, 1 or, 2 and not; returns 0";
    BITMAP_NEGATE = 65556, "bitmap_negate", 2, Vector, COLUMNAR,
        "u64 bitmap_negate(a, bitmap): the rows of the batch that are not in a; returns 0";
    BITMAP_COUNT = 65557, "bitmap_count", 1, Vector, COLUMNAR, "u64 bitmap_count(a): how many rows of the batch are in a";
    COLUMN_SUM = 65558, "column_sum", 3, Vector, COLUMNAR,
        "u64 column_sum(column, bitmap, sum): *sum += column[i] for each row i of the bitmap, NULLs left out; integers: 8 bytes, wrapping; decimals: 16 bytes, wrapping; returns how many were added";
    COLUMN_MIN = 65559, "column_min", 3, Vector, COLUMNAR,
        "u64 column_min(column, bitmap, least): *least = the least of *least and column[i] for each row i of the bitmap, NULLs left out; integers, extended: 8 bytes; decimals: 16 bytes; floats: 8 bytes, their total-order keys; returns how many were looked at";
    COLUMN_MAX = 65560, "column_max", 3, Vector, COLUMNAR,
        "u64 column_max(column, bitmap, greatest): as column_min, for the greatest value";
    COLUMN_GATHER = 65561, "column_gather", 3, Vector, COLUMNAR,
        "u64 column_gather(column, bitmap, values): values[k] = column[i] for the k-th row i of the bitmap, in the column's width, NULLs as whatever stands there; returns how many";

    GROUP_COUNT = 65568, "group_count", 5, Vector, COLUMNAR,
        "u64 group_count(column, column2, bitmap, end, counts): counts[group of i] += 1 for each row i of the bitmap in [first_row, end) where neither column is NULL (-1: no column); 8 bytes each; end: at most what group_ids returned; a program without keys has one group; returns 0";
    GROUP_SUM = 65569, "group_sum", 4, Vector, COLUMNAR,
        "u64 group_sum(column, bitmap, end, sums): sums[group of i] += column[i] for such rows, NULLs left out; integers: 8 bytes, wrapping; decimals: 16 bytes, wrapping; returns 0";
    GROUP_SUM_PRODUCTS = 65570, "group_sum_products", 5, Vector, COLUMNAR,
        "u64 group_sum_products(column, column2, bitmap, end, sums): as group_sum, of column[i] * column2[i]; two columns of one 64-bit integer type, products wrapping, or two of decimals; returns 1, sums then being anything, if a product does not fit 128 bits, else 0";
    GROUP_MIN = 65571, "group_min", 4, Vector, COLUMNAR,
        "u64 group_min(column, bitmap, end, ends): ends[group of i] = the least of it and column[i] for such rows, NULLs left out; 8 bytes, of floats their total-order keys; decimals: 16 bytes; returns 0";
    GROUP_MAX = 65572, "group_max", 4, Vector, COLUMNAR,
        "u64 group_max(column, bitmap, end, ends): as group_min, for the greatest value";

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

    /// Name of a helper, also of one that only the kernel has.
    pub fn name_of(number: u32) -> Option<&'static str> {
        let kernel = || NAMES.get((number as usize).checked_sub(1)?).copied();
        Self::by_number(number).map(|helper| helper.name).or_else(kernel)
    }

    /// The helper of that name; C calls the kernel's by a name that begins with `bpf_`.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        let name = name.strip_prefix("bpf_").unwrap_or(name);
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
            assert_eq!(Helper::name_of(helper.number), Some(helper.name));
        }
        assert_eq!(Helper::name_of(69), Some("fib_lookup"));
        assert_eq!([0, 212, 0xffff_ffff].map(Helper::name_of), [None; 3]);
    }
}
