/* Subprograms in sections of their own, packed structs that go through frames, and loops whose bounds the packet gives. */
#include "xdp.h"

struct record {
    u8 kind;
    u32 len;
    u64 id;
    u16 port;
} __attribute__((packed));

static const u16 WEIGHTS[4] = {1, 10, 100, 1000};
u64 seen[4] = {7, 5, 3, 2};
static u32 calls;
MAP(ARRAY, totals, 4, u32, u64);

NOINLINE u64 weigh(const struct record *record, u32 turns)
{
    u64 weight = record->id;
    for (u32 turn = 0; turn < turns; turn++)
        weight = weight * WEIGHTS[(record->kind + turn) & 3] + (record->port ^ turn);
    return weight;
}

/* Before ISA v4, eBPF divides only what has no sign. */
static s64 divide(s64 a, s64 b)
{
#if defined(NATIVE) || __BPF_CPU_VERSION__ >= 4
    return a / b;
#else
    u64 quotient = (u64)(a < 0 ? -a : a) / (u64)(b < 0 ? -b : b);
    return (a < 0) != (b < 0) ? -quotient : quotient;
#endif
}

SEC("elsewhere") NOINLINE s64 difference(const struct record *a, const struct record *b)
{
    calls++;
    return divide(weigh(a, a->kind & 7) - weigh(b, b->kind & 15), (int)a->len | 1);
}

SEC("elsewhere/else") NOINLINE u32 digits(u64 value)
{
    u32 count = 0;
    do {
        count++;
        value /= 10;
    } while (value);
    return count;
}

SEC("xdp")
int sections(struct xdp_md *ctx)
{
    struct record records[4] = {};
    u32 len = bpf_xdp_get_buff_len(ctx), count = 0;
    for (u32 offset = 0; count < 4 && offset + sizeof(struct record) <= len; offset += sizeof(struct record), count++)
        if (bpf_xdp_load_bytes(ctx, offset, &records[count], sizeof(struct record)))
            return XDP_ABORTED;
    u64 sum = count;
    for (u32 i = 0; i + 1 < count; i++) {
        s64 apart = difference(&records[i], &records[i + 1]);
        seen[i & 3] += apart < 0 ? -apart : apart;
        sum += digits(seen[i & 3]) + (apart >> 60);
        records[i].port += i;
    }
    u32 index = calls & 3;
    u64 *total = bpf_map_lookup_elem(&totals, &index);
    if (!total)
        return XDP_ABORTED;
    *total = *total * 31 + sum;
    bpf_xdp_store_bytes(ctx, 0, &records[0], sizeof(struct record));
    return *total % 4 + 1;
}
