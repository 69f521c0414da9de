/* Maps of maps, and redirects by map and by number. */
#include "xdp.h"

TEMPLATE(inner, ARRAY, 2, u32, u64);
INNER_MAP(inner, red, ARRAY, 2, u32, u64);
INNER_MAP(inner, blue, ARRAY, 2, u32, u64);
MAP_OF_MAPS(ARRAY_OF_MAPS, colours, 4, inner, [1] = &red);
MAP_OF_MAPS(HASH_OF_MAPS, hashed, 4, inner);
MAP(DEVMAP, ports, 4, u32, u32);
MAP(DEVMAP_HASH, numbered, 4, u32, u32);

static void count(void *map, u32 index)
{
    u64 *value = map ? bpf_map_lookup_elem(map, &index) : 0;
    if (value)
        *value += 1;
}

SEC("xdp")
int nested(struct xdp_md *ctx)
{
    u8 *bytes = DATA(ctx);
    if ((void *)(bytes + 4) > DATA_END(ctx))
        return XDP_ABORTED;
    u32 colour = bytes[0] % 5, key = bytes[1] % 5, how = bytes[2] % 8;
    count(bpf_map_lookup_elem(&colours, &colour), 0);
    count(bpf_map_lookup_elem(&hashed, &key), 1);
    switch (how) {
    case 0:
        return bpf_redirect(1, 0);
    case 1:
        return bpf_redirect(1, 1);
    case 2:
        return bpf_redirect_map(&ports, key, 8);
    case 3:
        return bpf_redirect_map(&ports, key, 4);
    case 4:
        return bpf_redirect_map(&numbered, key, XDP_TX);
    case 5:
        return bpf_redirect_map(&numbered, key, 0x20);
    default:
        return bpf_redirect_map(&ports, key, XDP_PASS);
    }
}
