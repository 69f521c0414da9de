/* Global data of every section: constant, initialised, zero, static and not, text, addressed by symbol and by offset. */
#include "bpf.h"

const volatile u32 limit = 7;
static const u64 primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
u64 counter = 40;
static u32 steps[4] = {1, 2, 3, 4};
u64 total;
static u64 seen[16];
struct pair {
    u32 first;
    u64 second;
} pair SEC(".data.pairs") = {1, 2};

static NOINLINE u32 letter(const char *text, u32 index)
{
    u32 sum = 0;
    for (u32 i = 0; text[i] && i <= index; i++)
        sum += text[i];
    return sum;
}

SEC("xdp")
int globals(struct xdp_md *ctx)
{
    u32 queue = ctx->rx_queue_index & 3;
    const char *text = queue > 1 ? "the quick brown fox" : "jumps";

    counter += primes[queue + 2];
    seen[queue + 8] += steps[queue];
    steps[3] = seen[9];
    total += letter(text, queue);
    pair.second += pair.first;
    return counter + total > limit ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
int _version SEC("version") = 0x060000;
