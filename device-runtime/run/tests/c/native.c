/* Maps, helpers and packets for one of the programs beside this, as plain as they can be, and a conversation on standard input and output:
 *   "set MAP KEY VALUE"  the value in hex, or the name of a map
 *   "run BYTES"          answers "ACTION BYTES", the packet as it is afterwards
 *   "dump"               answers "MAP KEY VALUE" for every entry of maps of plain values
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "native.h"

#define LINE_MAX_LEN 16384
#define ENOENT_ 2
#define E2BIG_ 7
#define EAGAIN_ 11
#define EACCES_ 13
#define EFAULT_ 14
#define EEXIST_ 17
#define EINVAL_ 22

int ENTRY(struct xdp_md *ctx);

/* A program may have no maps. */
extern struct map *const __start_maps[] __attribute__((weak)), *const __stop_maps[] __attribute__((weak));

/* A packet's page: below 4 GiB, as the context has 32 bits for an address. */
#define PAGE 4096
#define HEADROOM 256
#define KERNELS_HEAD 40
#define KERNELS_TAIL 320
static u8 *page;
static struct xdp_md context;
static u32 tail_calls;
static jmp_buf done;
static int result;

static void fail(const char *why)
{
    fprintf(stderr, "native model: %s\n", why);
    exit(1);
}

static u32 low(const void *address)
{
    if ((unsigned long)address >> 32)
        fail("an address above 4 GiB");
    return (u32)(unsigned long)address;
}

static u8 *at(u32 address)
{
    return (u8 *)(unsigned long)address;
}

static int indexed(const struct map *map)
{
    switch (map->kind) {
    case ARRAY:
    case PERCPU_ARRAY:
    case ARRAY_OF_MAPS:
    case DEVMAP:
    case CPUMAP:
    case XSKMAP:
    case PROG_ARRAY:
        return 1;
    default:
        return 0;
    }
}

static int of_maps(const struct map *map)
{
    return map->kind == ARRAY_OF_MAPS || map->kind == HASH_OF_MAPS;
}

static u32 prefix(const u8 *key)
{
    u32 bits;
    memcpy(&bits, key, 4);
    return bits;
}

static int covers(const u8 *shorter, const u8 *key)
{
    for (u32 bit = 0; bit < prefix(shorter); bit++)
        if ((shorter[4 + bit / 8] ^ key[4 + bit / 8]) >> (7 - bit % 8) & 1)
            return 0;
    return prefix(shorter) <= prefix(key);
}

/* The entry of a key, or -1. */
static int find(const struct map *map, const void *key)
{
    int best = -1;
    if (indexed(map)) {
        u32 index;
        memcpy(&index, key, 4);
        return index < map->entries_max && map->used[index] ? (int)index : -1;
    }
    for (u32 i = 0; i < map->count; i++) {
        if (!map->used[i])
            continue;
        if (map->kind != LPM_TRIE) {
            if (!memcmp(map->keys[i], key, map->key_len))
                return i;
        } else if (covers(map->keys[i], key) && (best < 0 || prefix(map->keys[i]) > prefix(map->keys[best]))) {
            best = i;
        }
    }
    return best;
}

static u32 entries(const struct map *map)
{
    u32 count = 0;
    for (u32 i = 0; i < map->count; i++)
        count += map->used[i];
    return count;
}

/* Of maps of maps, `value` is a map's address. */
static long set(struct map *map, const void *key, const void *value, u32 len, u64 flags)
{
    int entry = find(map, key);
    if (flags > 2)
        return -EINVAL_;
    if (indexed(map)) {
        u32 index;
        memcpy(&index, key, 4);
        if (index >= map->entries_max)
            return -E2BIG_;
        if (flags == 1)
            return -EEXIST_;
        entry = index;
    } else {
        if (map->kind == LPM_TRIE)
            fail("prefixes are set once, by the host");
        if (entry >= 0 && flags == 1)
            return -EEXIST_;
        if (entry < 0 && flags == 2)
            return -ENOENT_;
        if (entry < 0 && entries(map) == map->entries_max)
            return -E2BIG_;
        if (entry < 0) {
            if (map->count == ENTRIES_MAX)
                fail("too many entries");
            entry = map->count++;
        }
    }
    map->used[entry] = 1;
    memcpy(map->keys[entry], key, map->key_len);
    memcpy(map->values[entry], value, len);
    return 0;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
    struct map *in = map;
    int entry = find(in, key);
    if (entry < 0)
        return 0;
    if (of_maps(in)) {
        void *inner;
        memcpy(&inner, in->values[entry], sizeof(inner));
        return inner;
    }
    return in->values[entry];
}

/* There is one CPU. */
void *bpf_map_lookup_percpu_elem(void *map, const void *key, u32 cpu)
{
    return cpu ? 0 : bpf_map_lookup_elem(map, key);
}

long bpf_map_update_elem(void *map, const void *key, const void *value, u64 flags)
{
    return set(map, key, value, ((struct map *)map)->value_len, flags);
}

long bpf_map_delete_elem(void *map, const void *key)
{
    struct map *from = map;
    int entry = find(from, key);
    if (indexed(from))
        return -EINVAL_;
    if (entry < 0)
        return -ENOENT_;
    from->used[entry] = 0;
    return 0;
}

long bpf_tail_call(void *ctx, void *map, u32 index)
{
    struct map *programs = map;
    if (index >= programs->entries_max || !programs->initial[index] || tail_calls == 33)
        return -ENOENT_;
    tail_calls++;
    result = ((int (*)(struct xdp_md *))programs->initial[index])(ctx);
    longjmp(done, 1);
}

long bpf_redirect(u32 ifindex, u64 flags)
{
    (void)ifindex;
    return flags ? XDP_ABORTED : XDP_REDIRECT;
}

long bpf_redirect_map(void *map, u64 key, u64 flags)
{
    u32 index = key;
    if (flags & ~(u64)(3 | 8 | 16))
        return XDP_ABORTED;
    if (flags & 8 || find(map, &index) >= 0)
        return XDP_REDIRECT;
    return flags & 3;
}

static u64 words(const u8 *bytes, u32 len)
{
    u64 sum = 0;
    for (u32 i = 0; i < len; i += 4) {
        u32 word;
        memcpy(&word, bytes + i, 4);
        sum += word;
    }
    while (sum >> 32)
        sum = (sum & 0xffffffff) + (sum >> 32);
    return sum;
}

s64 bpf_csum_diff(const void *from, u32 from_len, const void *to, u32 to_len, u32 seed)
{
    u64 sum = seed + words(to, to_len) + (from_len ? (u32)~words(from, from_len) : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Nobody takes records while a program is tested. */
#define RING_LEN 4096
static u64 produced;
static u64 ring[RING_LEN / 8];

void *bpf_ringbuf_reserve(void *map, u64 len, u64 flags)
{
    u64 taken = (len + 8 + 7) / 8 * 8, position = produced;
    if (((struct map *)map)->entries_max != RING_LEN)
        fail("a ring of another size");
    if (flags || produced + taken >= RING_LEN)
        return 0;
    produced += taken;
    return ring + position / 8 + 1;
}

long bpf_ringbuf_output(void *map, void *data, u64 len, u64 flags)
{
    void *record = bpf_ringbuf_reserve(map, len, flags);
    if (!record)
        return -EAGAIN_;
    memcpy(record, data, len);
    return 0;
}

void bpf_ringbuf_submit(void *record, u64 flags)
{
    (void)record, (void)flags;
}

void bpf_ringbuf_discard(void *record, u64 flags)
{
    (void)record, (void)flags;
}

u64 bpf_ringbuf_query(void *map, u64 what)
{
    (void)map;
    return what == 0 || what == 3 ? produced : what == 1 ? RING_LEN : 0;
}

long bpf_perf_event_output(void *ctx, void *map, u64 flags, const void *data, u64 len)
{
    struct xdp_md *from = ctx;
    (void)map, (void)data, (void)len;
    if ((u32)flags != 0xffffffff)
        fail("an event for a certain CPU");
    return (flags >> 32) > from->data_end - from->data ? -EFAULT_ : 0;
}

long bpf_loop(u32 count, void *callback, void *data, u64 flags)
{
    if (flags)
        return -EINVAL_;
    if (count > 1 << 23)
        return -E2BIG_;
    for (u32 i = 0; i < count; i++)
        if (((long (*)(u32, void *))callback)(i, data))
            return i + 1;
    return count;
}

long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
    u32 metadata = ctx->data - ctx->data_meta, data = ctx->data + delta;
    if (data < low(page) + KERNELS_HEAD + metadata || data > ctx->data_end - 14)
        return -EINVAL_;
    memmove(at(ctx->data_meta + delta), at(ctx->data_meta), metadata);
    ctx->data_meta += delta;
    ctx->data = data;
    return 0;
}

long bpf_xdp_adjust_meta(struct xdp_md *ctx, int delta)
{
    u32 meta = ctx->data_meta + delta;
    if (meta < low(page) + KERNELS_HEAD || meta > ctx->data)
        return -EINVAL_;
    if ((ctx->data - meta) % 4 || ctx->data - meta > 252)
        return -EACCES_;
    ctx->data_meta = meta;
    return 0;
}

long bpf_xdp_adjust_tail(struct xdp_md *ctx, int delta)
{
    u32 end = ctx->data_end + delta;
    if (end > low(page) + PAGE - KERNELS_TAIL || end < ctx->data + 14)
        return -EINVAL_;
    if (delta > 0)
        memset(at(ctx->data_end), 0, delta);
    ctx->data_end = end;
    return 0;
}

u64 bpf_xdp_get_buff_len(struct xdp_md *ctx)
{
    return ctx->data_end - ctx->data;
}

static long inside(const struct xdp_md *ctx, u32 offset, u32 len)
{
    if (offset > 0xffff || len > 0xffff)
        return -EFAULT_;
    return offset + len > ctx->data_end - ctx->data ? -EINVAL_ : 0;
}

long bpf_xdp_load_bytes(struct xdp_md *ctx, u32 offset, void *buffer, u32 len)
{
    long error = inside(ctx, offset, len);
    if (!error)
        memcpy(buffer, at(ctx->data + offset), len);
    return error;
}

long bpf_xdp_store_bytes(struct xdp_md *ctx, u32 offset, void *buffer, u32 len)
{
    long error = inside(ctx, offset, len);
    if (!error)
        memcpy(at(ctx->data + offset), buffer, len);
    return error;
}

static struct map *named(const char *name)
{
    for (struct map *const *map = __start_maps; map < __stop_maps; map++)
        if (!strcmp((*map)->name, name))
            return *map;
    return 0;
}

static u32 unhex(u8 *bytes, u32 max, const char *text)
{
    u32 len = 0, byte;
    for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
        if (len == max)
            fail("too many bytes");
        bytes[len++] = byte;
    }
    return len;
}

static void hex(const u8 *bytes, u32 len)
{
    for (u32 i = 0; i < len; i++)
        printf("%02x", bytes[i]);
}

static void begin(struct map *map)
{
    for (u32 i = 0; i < map->entries_max && indexed(map); i++) {
        map->count = map->entries_max;
        memcpy(map->keys[i], &i, 4);
        map->used[i] = map->kind == ARRAY || map->kind == PERCPU_ARRAY;
        if (of_maps(map) && i < 8 && map->initial[i])
            set(map, &i, &map->initial[i], sizeof(void *), 0);
    }
}

static void put(const char *name, const char *key_text, const char *value_text)
{
    u8 key[BYTES_MAX], value[BYTES_MAX];
    struct map *map = named(name), *inner = named(value_text);
    if (!map)
        fail("no such map");
    unhex(key, sizeof(key), key_text);
    if (map->kind == LPM_TRIE) {
        map->used[map->count] = 1;
        memcpy(map->keys[map->count], key, map->key_len);
        unhex(map->values[map->count++], BYTES_MAX, value_text);
    } else if (inner ? set(map, key, &inner, sizeof(inner), 0) : set(map, key, value, unhex(value, sizeof(value), value_text), 0)) {
        fail("what is set does not fit");
    }
}

static void run(const char *text)
{
    memset(page, 0, PAGE);
    context = (struct xdp_md){.data = low(page + HEADROOM), .data_meta = low(page + HEADROOM), .ingress_ifindex = 1};
    context.data_end = context.data + unhex(page + HEADROOM, PAGE - HEADROOM - KERNELS_TAIL, text);
    tail_calls = 0;
    if (!setjmp(done))
        result = ENTRY(&context);
    printf("%d ", result);
    hex(at(context.data), context.data_end - context.data);
    printf("\n");
}

static void dump(const struct map *map)
{
    for (u32 i = 0; i < map->count; i++) {
        if (!map->used[i] || of_maps(map))
            continue;
        printf("%s ", map->name);
        hex(map->keys[i], map->key_len);
        printf(" ");
        hex(map->values[i], map->value_len);
        printf("\n");
    }
}

int main(void)
{
    static char line[LINE_MAX_LEN], words[3][LINE_MAX_LEN];
    page = mmap((void *)0x20000000, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (struct map *const *map = __start_maps; map < __stop_maps; map++)
        begin(*map);
    while (fgets(line, sizeof(line), stdin)) {
        words[0][0] = 0;
        if (sscanf(line, "set %s %s %s", words[0], words[1], words[2]) == 3)
            put(words[0], words[1], words[2]);
        else if (!strncmp(line, "run", 3))
            sscanf(line, "run %s", words[0]), run(words[0]);
        else
            for (struct map *const *map = __start_maps; map < __stop_maps; map++)
                dump(*map);
    }
    return 0;
}
