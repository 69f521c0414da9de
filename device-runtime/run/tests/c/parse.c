/* Parses to the ports; counts by protocol and flow, looks routes up, and acts on what it finds. */
#include "xdp.h"

struct flow {
    u32 source, destination;
    u16 source_port, destination_port;
    u8 protocol, zero[3];
};
struct traffic {
    u64 packets, bytes;
};
struct prefix {
    u32 bits, address;
};

MAP(ARRAY, by_protocol, 256, u32, struct traffic);
MAP(PERCPU_ARRAY, by_action, 5, u32, u64);
MAP(HASH, flows, 16, struct flow, struct traffic);
MAP(PERCPU_HASH, sources, 64, u32, u64);
MAP(LRU_HASH, recent, 1024, u32, u16);
MAP_WITH_FLAGS(LPM_TRIE, routes, 64, struct prefix, u32, 1);
MAP(ARRAY, results, 8, u32, s64);

static void result(u32 index, s64 value)
{
    s64 *slot = bpf_map_lookup_elem(&results, &index);
    if (slot)
        *slot += value;
}

static int classify(struct xdp_md *ctx)
{
    struct ipv4 *ip = ipv4(ctx);
    if (!ip)
        return XDP_PASS;
    u32 protocol = ip->protocol, len = bpf_xdp_get_buff_len(ctx);
    struct traffic *traffic = bpf_map_lookup_elem(&by_protocol, &protocol);
    if (traffic) {
        __sync_fetch_and_add(&traffic->packets, 1);
        __sync_fetch_and_add(&traffic->bytes, len);
    }
    u32 source = ip->source;
    u64 one = 1, *seen = bpf_map_lookup_elem(&sources, &source);
    if (seen)
        *seen += 1;
    else
        result(0, bpf_map_update_elem(&sources, &source, &one, 1));
    u16 id = ip->id;
    result(1, bpf_map_update_elem(&recent, &source, &id, ip->ttl & 1 ? 2 : 0));
    struct flow flow = {.source = source, .destination = ip->destination, .protocol = protocol};
    struct ports *ports = (void *)(ip + 1);
    if ((protocol == 6 || protocol == 17) && (void *)(ports + 1) <= DATA_END(ctx)) {
        flow.source_port = ports->source;
        flow.destination_port = ports->destination;
    }
    struct traffic *known = bpf_map_lookup_elem(&flows, &flow), fresh = {1, len};
    if (known) {
        known->packets++;
        known->bytes += len;
    } else {
        /* Full after 16: the error number counts. */
        result(2, bpf_map_update_elem(&flows, &flow, &fresh, 0));
    }
    if (ip->ttl == 1)
        result(3, bpf_map_delete_elem(&flows, &flow));
    if (ip->ttl == 2) {
        u32 nobody = id;
        result(4, bpf_map_delete_elem(&sources, &nobody));
    }
    struct prefix prefix = {32, ip->destination};
    u32 *action = bpf_map_lookup_elem(&routes, &prefix);
    return action ? *action : XDP_DROP;
}

SEC("xdp")
int parse(struct xdp_md *ctx)
{
    u32 action = classify(ctx);
    u64 *count = bpf_map_lookup_elem(&by_action, &action);
    if (count)
        *count += 1;
    return action;
}
