/* The programs beside this as a native program: maps and helpers are those of native.c, a small model that shares nothing with the engine. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

struct xdp_md {
    u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
enum kind {
    HASH, ARRAY, PROG_ARRAY, PERF_EVENT_ARRAY, PERCPU_HASH, PERCPU_ARRAY, LRU_HASH, LRU_PERCPU_HASH, LPM_TRIE, ARRAY_OF_MAPS, HASH_OF_MAPS,
    DEVMAP, CPUMAP, XSKMAP, DEVMAP_HASH, RINGBUF,
};

#define NOINLINE __attribute__((noinline))
/* Sections mean something to loaders only. */
#define SEC(name)

/* Everything a map holds: entries in the order they came. */
#define ENTRIES_MAX 1024
#define BYTES_MAX 64

struct map {
    const char *name;
    enum kind kind;
    u32 key_len, value_len, entries_max;
    void *initial[8];
    u32 count;
    u8 used[ENTRIES_MAX];
    u8 keys[ENTRIES_MAX][BYTES_MAX] __attribute__((aligned(8)));
    u8 values[ENTRIES_MAX][BYTES_MAX] __attribute__((aligned(8)));
};

/* A map, and its address where native.c finds all of them. */
#define LISTED(name) static struct map *const listed_##name __attribute__((section("maps"), used)) = &name
#define MAP_OF(map_kind, map_name, entries, key_size, value_size, ...) \
    struct map map_name = {.name = #map_name, .kind = map_kind, .entries_max = entries, .key_len = key_size, .value_len = value_size, .initial = {__VA_ARGS__}}; \
    LISTED(map_name)
#define MAP(kind, name, entries, key_type, value_type) MAP_OF(kind, name, entries, sizeof(key_type), sizeof(value_type))
#define MAP_WITH_FLAGS(kind, name, entries, key_type, value_type, flags) MAP(kind, name, entries, key_type, value_type)
#define INNER_MAP(template, name, kind, entries, key_type, value_type) MAP(kind, name, entries, key_type, value_type)
#define TEMPLATE(name, ...) struct name
#define MAP_OF_MAPS(kind, name, entries, template, ...) MAP_OF(kind, name, entries, 4, 4, __VA_ARGS__)
#define PROGRAMS(name, entries, ...) MAP_OF(PROG_ARRAY, name, entries, 4, 4, __VA_ARGS__)
#define RING(name, len) MAP_OF(RINGBUF, name, len, 0, 0)

void *bpf_map_lookup_elem(void *map, const void *key);
void *bpf_map_lookup_percpu_elem(void *map, const void *key, u32 cpu);
long bpf_map_update_elem(void *map, const void *key, const void *value, u64 flags);
long bpf_map_delete_elem(void *map, const void *key);
long bpf_tail_call(void *context, void *map, u32 index);
long bpf_redirect(u32 ifindex, u64 flags);
long bpf_redirect_map(void *map, u64 key, u64 flags);
s64 bpf_csum_diff(const void *from, u32 from_len, const void *to, u32 to_len, u32 seed);
long bpf_ringbuf_output(void *map, void *data, u64 len, u64 flags);
void *bpf_ringbuf_reserve(void *map, u64 len, u64 flags);
void bpf_ringbuf_submit(void *record, u64 flags);
void bpf_ringbuf_discard(void *record, u64 flags);
u64 bpf_ringbuf_query(void *map, u64 what);
long bpf_perf_event_output(void *ctx, void *map, u64 flags, const void *data, u64 len);
long bpf_loop(u32 count, void *callback, void *context, u64 flags);
long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
long bpf_xdp_adjust_meta(struct xdp_md *ctx, int delta);
long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta);
u64 bpf_xdp_get_buff_len(struct xdp_md *ctx);
long bpf_xdp_load_bytes(struct xdp_md *ctx, u32 offset, void *buffer, u32 len);
long bpf_xdp_store_bytes(struct xdp_md *ctx, u32 offset, void *buffer, u32 len);
