/* What the sources beside this need of the kernel's and libbpf's headers, so that they compile without either. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

struct xdp_md {
    u32 data;
    u32 data_end;
    u32 data_meta;
    u32 ingress_ifindex;
    u32 rx_queue_index;
    u32 egress_ifindex;
};

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

#define SEC(name) __attribute__((section(name), used))
#define NOINLINE __attribute__((noinline))

/* Members of a map's definition, as BTF carries them. */
#define __uint(name, number) int(*name)[number]
#define __type(name, type) __typeof__(type) *name
#define __array(name, type) __typeof__(type) *name[]

enum {
    HASH = 1,
    ARRAY = 2,
    PROG_ARRAY = 3,
    PERF_EVENT_ARRAY = 4,
    PERCPU_HASH = 5,
    PERCPU_ARRAY = 6,
    LRU_HASH = 9,
    LRU_PERCPU_HASH = 10,
    LPM_TRIE = 11,
    ARRAY_OF_MAPS = 12,
    HASH_OF_MAPS = 13,
    DEVMAP = 14,
    CPUMAP = 16,
    XSKMAP = 17,
    DEVMAP_HASH = 25,
    RINGBUF = 27,
};

#ifdef BY_NUMBER
/* As libbpf's headers have them: what the kernel takes. */
#define HELPER(number, result, name, ...) static result (*const name)(__VA_ARGS__) = (void *)number
#else
/* By symbol: what every optimisation level keeps a call. */
#define HELPER(number, result, name, ...) extern result name(__VA_ARGS__)
#endif

HELPER(1, void *, bpf_map_lookup_elem, void *map, const void *key);
HELPER(2, long, bpf_map_update_elem, void *map, const void *key, const void *value, u64 flags);
HELPER(3, long, bpf_map_delete_elem, void *map, const void *key);
HELPER(5, u64, bpf_ktime_get_ns, void);
HELPER(12, long, bpf_tail_call, void *context, void *map, u32 index);
HELPER(51, long, bpf_redirect_map, void *map, u64 key, u64 flags);
HELPER(130, long, bpf_ringbuf_output, void *map, void *data, u64 len, u64 flags);
HELPER(181, long, bpf_loop, u32 count, void *callback, void *context, u64 flags);
