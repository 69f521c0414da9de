/* Packed structs, which are loaded byte by byte, in frames that spill. */
#include "bpf.h"

struct __attribute__((packed)) record {
    u8 kind;
    u32 len;
    u64 id;
    u16 port;
};

static NOINLINE u64 sum(const struct record *record)
{
    return record->kind + record->len + record->id + record->port;
}

SEC("xdp")
int packed(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct record copy[3], *record = data;
    u64 total = 0;

    for (u32 i = 0; i < 3; i++, record++) {
        if ((void *)(record + 1) > end)
            return XDP_DROP;
        copy[i] = *record;
        copy[i].len += i;
    }
    for (u32 i = 0; i < 3; i++)
        total += sum(&copy[i]);
    return total & 1 ? XDP_PASS : XDP_TX;
}
