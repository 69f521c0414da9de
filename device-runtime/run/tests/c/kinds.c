/* The kinds of maps that the programs beside this do not have: per-CPU LRU, events, CPUs and sockets to redirect to, and another CPU's values. */
#include "xdp.h"

struct seen {
    u64 packets;
    u32 last;
    u16 zero, len;
};

MAP(LRU_PERCPU_HASH, talkers, 64, u32, struct seen);
MAP(PERCPU_ARRAY, lengths, 8, u32, u64);
MAP(PERF_EVENT_ARRAY, events, 1, u32, u32);
MAP(CPUMAP, cpus, 4, u32, u32);
MAP(XSKMAP, sockets, 4, u32, u32);
MAP(ARRAY, results, 16, u32, s64);

static void result(u32 index, s64 value)
{
    s64 *slot = bpf_map_lookup_elem(&results, &index);
    if (slot)
        *slot += value;
}

SEC("xdp")
int kinds(struct xdp_md *ctx)
{
    u8 *bytes = DATA(ctx);
    if ((void *)(bytes + 14) > DATA_END(ctx))
        return XDP_ABORTED;
    u32 talker = bytes[13] & 15, len = bpf_xdp_get_buff_len(ctx), bucket = len >> 9 & 7;
    struct seen *seen = bpf_map_lookup_elem(&talkers, &talker), fresh = {.packets = 1, .last = len, .len = len};
    if (seen) {
        seen->packets++;
        seen->last ^= len << 3;
    } else {
        result(0, bpf_map_update_elem(&talkers, &talker, &fresh, 1));
    }
    result(1, bpf_map_update_elem(&talkers, &talker, &fresh, 1));
    if (bytes[12] & 1)
        result(2, bpf_map_delete_elem(&talkers, &talker));
    u64 *mine = bpf_map_lookup_percpu_elem(&lengths, &bucket, 0), *other = bpf_map_lookup_percpu_elem(&lengths, &bucket, 1);
    if (mine && !other)
        *mine += len;
    /* This CPU, and as many bytes of the packet. */
    result(3, bpf_perf_event_output(ctx, &events, 0xffffffff | (u64)64 << 32, &talker, sizeof(talker)));
    u32 key = bytes[0] & 7;
    return bytes[1] & 1 ? bpf_redirect_map(&cpus, key, XDP_DROP) : bpf_redirect_map(&sockets, key, XDP_PASS);
}
