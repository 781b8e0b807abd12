/* SPDX-License-Identifier: MIT
 * How a tile of attn_fused is laid out: what goes through shared memory, and how its lanes divide the output. The sizes
 * are those that the shader derives from the same constants. */
#include "lower_attention.h"
#include "preferences.h"

enum {
    /* Shared memory of 64 invocations that leaves 4 of them on a unit with 64 KiB. */
    SHARED_OF_64 = 16384,
    LEAST_STAGED_ROWS = 8, /* fewer rows use a key too few times to pay for the way through shared memory */
};

static uint32_t vectors(uint32_t features)
{
    return ceil_div(features, 4);
}

static uint32_t shared_bytes(const struct tile *tile, const struct tile_layout *layout, uint32_t dim_qk, uint32_t slice)
{
    uint32_t q = layout->q_shared ? tile->br * (vectors(dim_qk) | 1) : 1, stage = 1;
    if (layout->stage > 0) {
        uint32_t columns = vectors(slice), room = tile->bc * ((layout->stage / 4) | 1);
        uint32_t fit = room / columns / 4 * 4, keys = fit < 8 ? 8 : fit < tile->bc ? fit : tile->bc;
        stage = room > keys * columns ? room : keys * columns;
    }
    return 16 * (q + stage + tile->br * (tile->bc / 4 + 1) + tile->group + tile->br) + 16;
}

/* The shape of the output in each lane that costs a key the least: multiplications, loads of values and of weights; and
 * somewhat more for each register that it takes. */
static void choose_values(const struct tile *tile, struct tile_layout *layout, uint32_t slice, uint32_t most)
{
    uint32_t columns = vectors(slice), best = UINT32_MAX, load = layout->stage > 0 ? 4 : 8;
    for (uint32_t rows = 1; rows <= 4 && rows <= tile->br; rows *= 2) {
        for (uint32_t wide = 1; wide <= 4; wide++) {
            uint32_t lanes = ceil_div(columns, wide) * (tile->br / rows);
            if (lanes > tile->group || rows * wide > most)
                continue;
            uint32_t shares = min_u32(tile->group / lanes, tile->bc / 4);
            uint32_t cost = (4 * rows * wide + load * wide + rows) * (32 + rows * wide) / shares;
            if (cost < best) {
                best = cost;
                layout->value_rows = rows;
                layout->value_columns = wide;
            }
        }
    }
}

/* Vectors of 8 lanes or none: Intel's older drivers, PowerVR, whatever tells nothing of itself. */
uint32_t heed_lower_accumulators(const struct heed_device_info *info)
{
    uint32_t preferences = heed_preferences(info);
    if (preferences & HEED_PREFERS_LEAST_TILES)
        return HEED_ACCUMULATORS / 8;
    if (preferences & HEED_PREFERS_TINY_TILES)
        return HEED_ACCUMULATORS / 4;
    bool few = (preferences & HEED_PREFERS_SMALL_TILES) || info->limits.subgroup_size_min <= 8;
    return few ? HEED_ACCUMULATORS / 2 : HEED_ACCUMULATORS;
}

struct tile_layout heed_lower_tile_layout(const struct tile *tile, const struct heed_attention_desc *d,
                                          const struct heed_device_info *info)
{
    static const struct {
        uint32_t stage;
        bool q_shared;
    } ways[] = {{64, true}, {32, true}, {64, false}, {32, false}, {16, true}, {16, false}, {0, true}, {0, false}};
    enum { WAYS = sizeof ways / sizeof *ways };
    struct tile_layout layout = {0};
    uint32_t preferences = heed_preferences(info), slice = heed_lower_slice(tile, d->dim_v);
    bool staged = tile->br >= LEAST_STAGED_ROWS && !(preferences & HEED_AVOIDS_STAGING);
    uint32_t room = min_u32(info->limits.max_shared_bytes, SHARED_OF_64 * ceil_div(tile->group, 64));
    for (int i = 0; i < WAYS; i++) {
        if (ways[i].stage > 0 && !staged)
            continue;
        layout.stage = min_u32(ways[i].stage, 4 * vectors(d->dim_qk));
        layout.q_shared = ways[i].q_shared;
        layout.shared_bytes = shared_bytes(tile, &layout, d->dim_qk, slice);
        if (layout.shared_bytes <= room)
            break;
    }
    choose_values(tile, &layout, slice, heed_lower_accumulators(info));
    if (layout.value_rows == 0)
        choose_values(tile, &layout, slice, HEED_ACCUMULATORS);
    return layout;
}
