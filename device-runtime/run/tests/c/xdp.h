/* What the programs beside this share: definitions of maps and helpers, and steps into a packet that the kernel's verifier follows. */
#pragma once
#define BY_NUMBER
#include "../../../../programs/tests/c/bpf.h"

HELPER(23, long, bpf_redirect, u32 ifindex, u64 flags);
HELPER(28, s64, bpf_csum_diff, const void *from, u32 from_len, const void *to, u32 to_len, u32 seed);
HELPER(44, long, bpf_xdp_adjust_head, struct xdp_md *ctx, int delta);
HELPER(54, long, bpf_xdp_adjust_meta, struct xdp_md *ctx, int delta);
HELPER(65, long, bpf_xdp_adjust_tail, struct xdp_md *ctx, int delta);
HELPER(131, void *, bpf_ringbuf_reserve, void *map, u64 len, u64 flags);
HELPER(132, void, bpf_ringbuf_submit, void *record, u64 flags);
HELPER(133, void, bpf_ringbuf_discard, void *record, u64 flags);
HELPER(134, u64, bpf_ringbuf_query, void *map, u64 what);
HELPER(188, u64, bpf_xdp_get_buff_len, struct xdp_md *ctx);
HELPER(189, long, bpf_xdp_load_bytes, struct xdp_md *ctx, u32 offset, void *buffer, u32 len);
HELPER(190, long, bpf_xdp_store_bytes, struct xdp_md *ctx, u32 offset, void *buffer, u32 len);

char LICENSE[] SEC("license") = "GPL";

#define MAP(kind, name, entries, key_type, value_type) \
    struct { \
        __uint(type, kind); \
        __uint(max_entries, entries); \
        __type(key, key_type); \
        __type(value, value_type); \
    } name SEC(".maps")

struct ethernet {
    u8 destination[6], source[6];
    u16 type;
} __attribute__((packed));

struct ipv4 {
    u8 version_len, tos;
    u16 len, id, fragment;
    u8 ttl, protocol;
    u16 checksum;
    u32 source, destination;
} __attribute__((packed));

struct ports {
    u16 source, destination;
} __attribute__((packed));

#define DATA(ctx) ((void *)(long)(ctx)->data)
#define DATA_END(ctx) ((void *)(long)(ctx)->data_end)
#define BE16(x) ((u16)((x) >> 8 | (x) << 8))

static __attribute__((always_inline)) struct ipv4 *ipv4(struct xdp_md *ctx)
{
    struct ethernet *ethernet = DATA(ctx);
    struct ipv4 *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > DATA_END(ctx) || ethernet->type != BE16(0x0800) || ip->version_len != 0x45)
        return 0;
    return ip;
}
