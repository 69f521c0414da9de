/* Tail calls: a chain to the limit, an empty element, an index beyond the end, and where control goes after each. */
#include "xdp.h"

int again(struct xdp_md *ctx);
int other(struct xdp_md *ctx);

PROGRAMS(programs, 4, [1] = (void *)&again, [2] = (void *)&other);
MAP(ARRAY, calls, 4, u32, u64);

static void count(u32 index)
{
    u64 *calls_made = bpf_map_lookup_elem(&calls, &index);
    if (calls_made)
        *calls_made += 1;
}

SEC("xdp")
int again(struct xdp_md *ctx)
{
    count(1);
    bpf_tail_call(ctx, &programs, 1);
    count(3);
    return XDP_TX;
}

SEC("xdp")
int other(struct xdp_md *ctx)
{
    u8 *bytes = DATA(ctx);
    count(2);
    if ((void *)(bytes + 1) > DATA_END(ctx))
        return XDP_ABORTED;
    bytes[0] ^= 0xff;
    return XDP_DROP;
}

SEC("xdp")
int tails(struct xdp_md *ctx)
{
    u8 *bytes = DATA(ctx);
    if ((void *)(bytes + 1) > DATA_END(ctx))
        return XDP_ABORTED;
    count(0);
    bpf_tail_call(ctx, &programs, bytes[0] % 6);
    return XDP_PASS;
}
