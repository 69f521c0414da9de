/* One thing that is not taken for each name that may be defined. */
#include "bpf.h"

#define MAP(name, ...) \
    struct { \
        __VA_ARGS__ \
    } name SEC(".maps")

#ifdef UNKNOWN_HELPER
extern long bpf_probe_read_kernel(void *to, u32 len, const void *from);
#define BODY bpf_probe_read_kernel(&from, 4, ctx)
#endif

#ifdef UNDEFINED_DATA
extern u32 elsewhere;
#define BODY (from = elsewhere)
#endif

#ifdef UNKNOWN_SECTION
u32 set_apart SEC("apart") = 7;
#define BODY (from = set_apart++)
#endif

#ifdef ADDRESS_IN_DATA
u32 pointed = 7;
u32 *pointer = &pointed;
#define BODY (from = *pointer)
#endif

#ifdef UNKNOWN_KIND
MAP(bloom, __uint(type, 30); __uint(max_entries, 10); __uint(value_size, 4););
#endif

#ifdef UNKNOWN_FIELD
MAP(odd, __uint(type, HASH); __uint(colour, 3););
#endif

#ifdef CONTRADICTION
MAP(odd, __uint(type, HASH); __type(key, u32); __uint(key_size, 8););
#endif

#ifdef NO_KIND
MAP(odd, __type(key, u32););
#endif

#ifdef NO_NUMBER
MAP(odd, __uint(type, HASH); u32 max_entries;);
#endif

#ifdef NO_STRUCT
u32 odd SEC(".maps");
#endif

#ifdef NESTED_TWICE
struct inner {
    __uint(type, ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __uint(key_size, 4);
};
MAP(odd, __uint(type, ARRAY_OF_MAPS); __uint(max_entries, 1); __uint(key_size, 4); __array(values, struct inner););
#endif

#ifdef VALUES_OF_HASH
MAP(odd, __uint(type, HASH); __array(values, int(void *)););
#endif

#ifdef WRONG_ELEMENT
u32 number SEC(".data") = 7;
MAP(odd, __uint(type, PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4); __array(values, u32(void *));) = {
    .values = {[1] = (void *)&number}};
#endif

#ifdef ELEMENT_BEYOND
int refused(struct xdp_md *ctx);
MAP(odd, __uint(type, PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4); __array(values, int(void *));) = {
    .values = {[2] = (void *)&refused}};
#endif

#ifdef SHORT_LEGACY
u32 legacy[4] SEC("maps") = {HASH, 4, 4, 4};
#endif

#ifdef ADDRESS_IN_LEGACY
struct {
    u32 numbers[6];
    void *pointer;
} legacy SEC("maps") = {.numbers = {HASH, 4, 4, 4}, .pointer = &legacy};
#endif

#ifdef LAYOUT_OF_THE_KERNEL
struct task_struct {
    int pid;
} __attribute__((preserve_access_index));
#define BODY (from = ((struct task_struct *)(long)ctx->data)->pid)
#endif

#ifdef PART_OF_A_HEADER
struct ethhdr {
    u16 h_proto;
} __attribute__((preserve_access_index));
#define BODY (from = ((struct ethhdr *)(long)ctx->data)->h_proto)
#endif

#ifndef BODY
#define BODY 0
#endif

SEC("xdp")
int refused(struct xdp_md *ctx)
{
    u32 from = 0;

    BODY;
    return from;
}
