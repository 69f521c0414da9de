/* The other one. */
#include "bpf.h"

static NOINLINE u64 scale(u64 x)
{
    return x * 5;
}

static long stop(u32 index, void *context)
{
    return index > 3;
}

struct {
    __uint(type, HASH);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, u64);
} second_map SEC(".maps");

static volatile u64 second_data = 9;

SEC("xdp")
int second(struct xdp_md *ctx)
{
    u32 key = 0;

    bpf_map_lookup_elem(&second_map, &key);
    bpf_loop(9, stop, 0, 0);
    return scale(ctx->rx_queue_index) + second_data;
}
