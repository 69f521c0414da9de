/* Translates an address and counts the time to live down, with the checksum kept right in two ways. */
#include "xdp.h"

MAP(HASH, translations, 16, u32, u32);
MAP(ARRAY, sums, 64, u32, s64);

static u16 fold(u64 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~((sum & 0xffff) + (sum >> 16));
}

static void keep(u32 index, s64 value)
{
    bpf_map_update_elem(&sums, &index, &value, 0);
}

SEC("xdp")
int checksum(struct xdp_md *ctx)
{
    struct ipv4 *ip = ipv4(ctx);
    if (!ip || ip->ttl <= 1)
        return XDP_PASS;
    u32 old = ip->destination, *new = bpf_map_lookup_elem(&translations, &old);
    if (!new)
        return XDP_DROP;
    u32 to = *new;
    ip->destination = to;
    u32 sum = bpf_csum_diff(&old, 4, &to, 4, (u16)~ip->checksum);
    ip->checksum = fold(sum);
    ip->ttl--;
    u32 more = ip->checksum + BE16(0x0100);
    ip->checksum = more + (more >= 0xffff);
    u32 id = ip->id & 7;
    keep(id, bpf_csum_diff(0, 0, &old, 4, old));
    keep(id + 8, bpf_csum_diff(&old, 4, 0, 0, 0));
    keep(id + 16, bpf_csum_diff(0, 0, 0, 0, old));
    keep(id + 24, bpf_csum_diff(&old, 4, &old, 4, 0));
    struct ipv4 copy = *ip;
    copy.checksum = 0;
    keep(id + 32, (u16)bpf_csum_diff(0, 0, &copy, sizeof(copy), 0));
    keep(id + 40, (u16)~ip->checksum);
    return XDP_TX;
}
