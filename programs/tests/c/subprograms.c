/* Functions in several sections: static, weak and global, several to a section, called within and across sections, and as callbacks. */
#include "bpf.h"

#ifdef BY_NUMBER
/* Sections with programs have nothing else for libbpf, and callbacks are static for the kernel. */
#define BESIDE_PROGRAMS static
#define CALLBACK static
#else
#define BESIDE_PROGRAMS SEC("xdp") static
#define CALLBACK
#endif

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
    sum->value = (sum->value + index * sum->step) & 0xff;
    return 0;
}

CALLBACK long subtract(u32 index, struct sum *sum)
{
    sum->value = (sum->value - index) & 0xff;
    return sum->value < 10;
}

BESIDE_PROGRAMS NOINLINE u64 near(u64 x)
{
    return cube(x) - 3;
}

SEC("xdp")
int first(struct xdp_md *ctx)
{
    return near(ctx->ingress_ifindex) & 1 ? XDP_PASS : XDP_DROP;
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
    return weakly(square(ctx->rx_queue_index)) > cube(2) ? XDP_PASS : XDP_ABORTED;
}

SEC("classifier")
int fourth(void *ctx)
{
    return bpf_ktime_get_ns() & 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
