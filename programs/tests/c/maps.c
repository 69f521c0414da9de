/* Maps of every kind, defined by BTF. */
#include "bpf.h"

struct key {
    u32 address;
    u16 port;
    u8 protocol;
} __attribute__((packed));

struct value {
    u64 packets;
    u64 bytes[2];
};

typedef struct value value_t;
typedef const value_t constant_value_t;

#define MAP(kind, name, ...) \
    struct { \
        __uint(type, kind); \
        __VA_ARGS__ \
    } name SEC(".maps")

#ifdef BY_NUMBER
#define PINNING
#else
#define PINNING __uint(pinning, 1);
#endif

MAP(HASH, flows, __uint(max_entries, 1024); __type(key, struct key); __type(value, constant_value_t););
MAP(ARRAY, counters, __uint(max_entries, 16); __type(key, u32); __type(value, u64[3]); __uint(map_flags, 0x400););
MAP(PERF_EVENT_ARRAY, events, __uint(key_size, 4); __uint(value_size, 4););
MAP(PERCPU_HASH, flows_by_cpu, __uint(max_entries, 1 << 20); __type(key, struct key); __type(value, struct value););
MAP(PERCPU_ARRAY, counters_by_cpu, __uint(max_entries, 4); __uint(key_size, 4); __uint(value_size, 8););
MAP(LRU_HASH, recent, __uint(max_entries, 100); __type(key, u64); __type(value, u8); PINNING);
MAP(LRU_PERCPU_HASH, recent_by_cpu, __uint(max_entries, 100); __type(key, u64); __type(value, u8););
MAP(LPM_TRIE, routes, __uint(max_entries, 64); __uint(key_size, 8); __type(value, u32); __uint(map_flags, 1););
MAP(DEVMAP, ports, __uint(max_entries, 8); __type(key, u32); __type(value, u32););
MAP(DEVMAP_HASH, ports_by_number, __uint(max_entries, 8); __type(key, u32); __uint(value_size, 8););
MAP(CPUMAP, cpus, __uint(max_entries, 2); __type(key, u32); __type(value, u32););
MAP(XSKMAP, sockets, __uint(max_entries, 64); __type(key, u32); __type(value, u32););
MAP(RINGBUF, ring, __uint(max_entries, 4096););

struct inner {
    __uint(type, ARRAY);
    __uint(max_entries, 2);
    __type(key, u32);
    __type(value, u64);
};
struct inner red SEC(".maps"), blue SEC(".maps");

struct {
    __uint(type, ARRAY_OF_MAPS);
    __uint(max_entries, 5);
    __type(key, u32);
    __array(values, struct inner);
} colours SEC(".maps") = {.values = {[1] = &red, [4] = &blue}};

struct {
    __uint(type, HASH_OF_MAPS);
    __uint(max_entries, 7);
    __uint(key_size, 4);
    __array(
        values, struct {
            __uint(type, HASH);
            __uint(max_entries, 9);
            __type(key, struct key);
            __type(value, u32);
        });
} nested SEC(".maps");

int tail(struct xdp_md *ctx);

struct {
    __uint(type, PROG_ARRAY);
    __uint(max_entries, 3);
    __uint(key_size, 4);
    __array(values, int(void *));
} programs SEC(".maps") = {.values = {[2] = (void *)&tail}};

SEC("xdp")
int tail(struct xdp_md *ctx)
{
    u32 index = 1;
    u64 *counter = bpf_map_lookup_elem(&counters, &index);

    if (counter)
        __sync_fetch_and_add(counter, 1);
    return bpf_redirect_map(&ports, ctx->ingress_ifindex, 0);
}

#ifndef BY_NUMBER /* libbpf takes no static programs. */
SEC("xdp")
static int hidden(struct xdp_md *ctx)
{
    return ctx->rx_queue_index ? XDP_DROP : XDP_TX;
}

struct {
    __uint(type, PROG_ARRAY);
    __uint(max_entries, 8);
    __uint(key_size, 4);
    __array(values, int(void *));
} hidden_programs SEC(".maps") = {.values = {[7] = (void *)&hidden, [0] = (void *)&tail}};
#endif

SEC("xdp")
int use_maps(struct xdp_md *ctx)
{
    struct key key = {.address = ctx->ingress_ifindex, .port = 80, .protocol = 6};
    struct value value = {.packets = 1};
    u32 index = ctx->rx_queue_index + 1;
    void *inner, *found;

    bpf_map_update_elem(&flows, &key, &value, 0);
    bpf_map_update_elem(&flows_by_cpu, &key, &value, 1);
    bpf_map_delete_elem(&recent, &value.packets);
    bpf_ringbuf_output(&ring, &value, sizeof(value), 0);
    inner = bpf_map_lookup_elem(&colours, &index);
    if (inner) {
        found = bpf_map_lookup_elem(inner, &index);
        if (found)
            *(u64 *)found += 1;
    }
    bpf_tail_call(ctx, &programs, 2);
    return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
