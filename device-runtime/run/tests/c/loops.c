/* Calls: loops by callback and by jump, subprograms with frames of their own, and global data of every kind. */
#include "xdp.h"

const u32 TABLE[8] = {3, 1, 4, 1, 5, 9, 2, 6};
const volatile u32 limit = 40;
u64 seed = 0x0123456789abcdef;
u64 total, longest;
struct {
    u32 packets;
    u16 last;
} state;

struct walk {
    struct xdp_md *ctx;
    u32 sum, stop;
};

static long step(u32 index, struct walk *walk)
{
    u8 byte;
    if (bpf_xdp_load_bytes(walk->ctx, index, &byte, 1))
        return 1;
    walk->sum += byte * TABLE[index & 7];
    return index >= walk->stop;
}

static NOINLINE u64 mix(u64 value, u32 rounds)
{
    volatile u64 frame[4] = {value, seed, value ^ seed, rounds};
    for (u32 i = 0; i < rounds && i < 64; i++)
        frame[i & 3] = frame[(i + 1) & 3] * 0x9e3779b97f4a7c15 + (frame[(i + 2) & 3] >> 29);
    return frame[rounds & 3];
}

static NOINLINE int decide(u64 hash, u32 len)
{
    return mix(hash, len & 15) % 4 + 1;
}

SEC("xdp")
int loops(struct xdp_md *ctx)
{
    struct walk walk = {.ctx = ctx, .stop = limit};
    u32 len = ctx->data_end - ctx->data;
    total += bpf_loop(1 << 10, step, &walk, 0);
    seed ^= mix(walk.sum, len & 63);
    if (len > longest)
        longest = len;
    state.packets++;
    state.last = len;
    return decide(seed, len);
}
