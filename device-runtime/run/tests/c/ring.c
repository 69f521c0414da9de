/* Records: written whole, reserved and submitted or discarded, until the ring is full; and packet bytes in and out of records. */
#include "xdp.h"

RING(ring, 4096);
MAP(ARRAY, results, 64, u32, s64);
MAP(ARRAY, packets, 1, u32, u32);

struct record {
    u32 index, len;
    u8 bytes[20];
};

static void keep(u32 index, s64 value)
{
    bpf_map_update_elem(&results, &index, &value, 0);
}

SEC("xdp")
int records(struct xdp_md *ctx)
{
    u32 zero = 0, *index = bpf_map_lookup_elem(&packets, &zero);
    if (!index)
        return XDP_ABORTED;
    u32 number = (*index)++;
    u8 head[14] = {};
    long loaded = bpf_xdp_load_bytes(ctx, 0, head, sizeof(head));
    if (number % 3 == 0) {
        keep(number % 48, bpf_ringbuf_output(&ring, head, sizeof(head), 0));
    } else {
        struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
        keep(number % 48, record != 0);
        if (!record)
            return XDP_DROP;
        record->index = number;
        record->len = bpf_xdp_get_buff_len(ctx);
        loaded += bpf_xdp_load_bytes(ctx, 14, record->bytes, sizeof(record->bytes));
        loaded += bpf_xdp_store_bytes(ctx, 2, record->bytes, 4);
        if (number % 3 == 1)
            bpf_ringbuf_submit(record, 0);
        else
            bpf_ringbuf_discard(record, 0);
    }
    for (u32 what = 0; what < 4; what++)
        keep(48 + what, bpf_ringbuf_query(&ring, what));
    keep(52 + number % 12, loaded);
    return loaded ? XDP_TX : XDP_PASS;
}
