/* Functions in several sections: static, weak and global, several to a section, called within and across sections, and as callbacks. */
#include "bpf.h"

struct sum {
    u64 value;
    u32 step;
};

static NOINLINE u64 square(u64 x)
{
    return x * x;
}

NOINLINE u64 cube(u64 x)
{
    return x * square(x);
}

__attribute__((weak)) NOINLINE u64 weakly(u64 x)
{
    return x + 1;
}

static long add(u32 index, struct sum *sum)
{
    sum->value += index * sum->step;
    return 0;
}

long subtract(u32 index, struct sum *sum)
{
    sum->value -= index;
    return sum->value < 10;
}

SEC("xdp") static NOINLINE u64 near(u64 x)
{
    return cube(x) - 3;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
    return near(ctx->data) & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int second(struct xdp_md *ctx)
{
    struct sum sum = {.step = ctx->ingress_ifindex};

    bpf_loop(ctx->rx_queue_index, add, &sum, 0);
    bpf_loop(3, subtract, &sum, 0);
    return near(sum.value) + square(sum.value) > 100 ? XDP_TX : XDP_PASS;
}

SEC("xdp/other")
int third(struct xdp_md *ctx)
{
    return weakly(square(ctx->data_end)) > cube(2) ? XDP_PASS : XDP_ABORTED;
}

SEC("classifier")
int fourth(void *ctx)
{
    return bpf_ktime_get_ns() & 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
