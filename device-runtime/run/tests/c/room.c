/* Moves head, metadata and tail by what the packet's own bytes say, and keeps what the helpers returned. */
#include "xdp.h"

struct moves {
    long head, meta, tail, back, len, metadata_len, metadata, none;
};

MAP(HASH, moves, 1024, u32, struct moves);
MAP(ARRAY, packets, 1, u32, u32);

SEC("xdp")
int room(struct xdp_md *ctx)
{
    u32 zero = 0, *index = bpf_map_lookup_elem(&packets, &zero);
    u8 *bytes = DATA(ctx);
    if (!index || (void *)(bytes + 12) > DATA_END(ctx))
        return XDP_ABORTED;
    *index += 1;
    int head = (signed char)bytes[0] * 2, meta = -(bytes[1] & 0xfe), tail = (signed char)bytes[2] * 32;
    struct moves made = {};
    made.meta = bpf_xdp_adjust_meta(ctx, meta);
    made.head = bpf_xdp_adjust_head(ctx, head);
    made.tail = bpf_xdp_adjust_tail(ctx, tail);
    u32 *metadata = (void *)(long)ctx->data_meta;
    if ((void *)(metadata + 1) <= DATA(ctx))
        *metadata = 0x01020304;
    made.back = bpf_xdp_adjust_head(ctx, -16);
    made.len = bpf_xdp_get_buff_len(ctx);
    made.metadata_len = ctx->data - ctx->data_meta;
    metadata = (void *)(long)ctx->data_meta;
    if ((void *)(metadata + 1) <= DATA(ctx))
        made.metadata = *metadata;
    /* What the kernel hands out begins with the metadata. */
    made.none = bpf_xdp_adjust_meta(ctx, made.metadata_len);
    bytes = DATA(ctx);
    if ((void *)(bytes + 14) > DATA_END(ctx))
        return XDP_DROP;
    for (int i = 0; i < 14; i++)
        bytes[i] = i;
    bpf_map_update_elem(&moves, index, &made, 0);
    return XDP_TX;
}
