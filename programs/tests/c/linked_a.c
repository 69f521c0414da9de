/* One of two files that are linked: each has a static function `scale`, a map, and global data. */
#include "bpf.h"

static NOINLINE u64 scale(u64 x)
{
    return x * 3;
}

struct {
    __uint(type, ARRAY);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, u64);
} first_map SEC(".maps");

u64 first_data = 7;

SEC("xdp")
int first(struct xdp_md *ctx)
{
    u32 key = 0;

    bpf_map_lookup_elem(&first_map, &key);
    return scale(ctx->rx_queue_index) + first_data;
}
