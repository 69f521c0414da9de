/* Fields by CO-RE relocations, of types that are the same everywhere, as with `vmlinux.h`. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
#include "bpf.h"

struct ethhdr {
    u8 h_dest[6];
    u8 h_source[6];
    u16 h_proto;
};

struct iphdr {
    u8 ihl : 4;
    u8 version : 4;
    u8 tos;
    u16 tot_len;
    u16 id;
    u16 frag_off;
    u8 ttl;
    u8 protocol;
    u16 check;
    union {
        struct {
            u32 saddr;
            u32 daddr;
        };
        struct {
            u32 saddr;
            u32 daddr;
        } addrs;
    };
};
#pragma clang attribute pop

SEC("xdp")
int relocatable(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
    struct ethhdr *ethernet = data;
    struct iphdr *ip = data + 14;

    if (data + 34 > end)
        return XDP_DROP;
    return ethernet->h_proto == 8 && ip->protocol == 17 && ip->daddr ? XDP_PASS : XDP_TX;
}
