/* Maps as they were defined before BTF, in both lengths that are about. */
#include "bpf.h"

struct bpf_map_def {
    u32 type;
    u32 key_size;
    u32 value_size;
    u32 max_entries;
    u32 map_flags;
#ifdef LONG_DEFINITION
    u32 inner_map_idx;
    u32 numa_node;
#endif
};

struct bpf_map_def flows SEC("maps") = {.type = HASH, .key_size = 7, .value_size = 24, .max_entries = 1024, .map_flags = 1};
struct bpf_map_def counters SEC("maps") = {.type = PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 256};
static struct bpf_map_def hidden SEC("maps") = {.type = ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
#ifdef LONG_DEFINITION
struct bpf_map_def outer SEC("maps") = {
    .type = ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 2, .inner_map_idx = 2};
#endif

SEC("xdp")
int count(struct xdp_md *ctx)
{
    u8 key[7] = {ctx->rx_queue_index};
    u32 index = key[0];
    u64 *counter = bpf_map_lookup_elem(&counters, &index);

    if (counter)
        *counter += 1;
    index = 0;
    bpf_map_update_elem(&hidden, &index, &index, 0);
#ifdef LONG_DEFINITION
    bpf_map_lookup_elem(&outer, &index);
#endif
    return bpf_map_lookup_elem(&flows, key) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
