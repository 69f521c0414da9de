/* What the programs beside this share: definitions of maps and helpers, and steps into a packet that the kernel's verifier follows. */
#pragma once
#ifdef NATIVE
#include "native.h"
#else
#ifndef BY_SYMBOL
#define BY_NUMBER
#endif
#include "../../../../programs/tests/c/bpf.h"

HELPER(23, long, bpf_redirect, u32 ifindex, u64 flags);
HELPER(25, long, bpf_perf_event_output, void *ctx, void *map, u64 flags, const void *data, u64 len);
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
HELPER(195, void *, bpf_map_lookup_percpu_elem, void *map, const void *key, u32 cpu);

char LICENSE[] SEC("license") = "GPL";

#define MAP_WITH_FLAGS(kind, name, entries, key_type, value_type, flags) \
    struct { \
        __uint(type, kind); \
        __uint(max_entries, entries); \
        __uint(map_flags, flags); \
        __type(key, key_type); \
        __type(value, value_type); \
    } name SEC(".maps")
#define MAP(kind, name, entries, key_type, value_type) MAP_WITH_FLAGS(kind, name, entries, key_type, value_type, 0)

/* What maps of maps have as values: their type, and maps of it. */
#define TEMPLATE(name, kind, entries, key_type, value_type) \
    struct name { \
        __uint(type, kind); \
        __uint(max_entries, entries); \
        __type(key, key_type); \
        __type(value, value_type); \
    }
#define INNER_MAP(template, name, ...) struct template name SEC(".maps")
#define MAP_OF_MAPS(kind, name, entries, template, ...) \
    struct { \
        __uint(type, kind); \
        __uint(max_entries, entries); \
        __type(key, u32); \
        __array(values, struct template); \
    } name SEC(".maps") __VA_OPT__(= {.values = {__VA_ARGS__}})
#define PROGRAMS(name, entries, ...) \
    struct { \
        __uint(type, PROG_ARRAY); \
        __uint(max_entries, entries); \
        __uint(key_size, 4); \
        __array(values, int(void *)); \
    } name SEC(".maps") = {.values = {__VA_ARGS__}}
#define RING(name, len) \
    struct { \
        __uint(type, RINGBUF); \
        __uint(max_entries, len); \
    } name SEC(".maps")
#endif

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

static inline __attribute__((always_inline)) struct ipv4 *ipv4(struct xdp_md *ctx)
{
    struct ethernet *ethernet = DATA(ctx);
    struct ipv4 *ip = (void *)(ethernet + 1);
    if ((void *)(ip + 1) > DATA_END(ctx) || ethernet->type != BE16(0x0800) || ip->version_len != 0x45)
        return 0;
    return ip;
}
