/* SPDX-License-Identifier: MIT
 * Attention's list of kernels in the order of preference. A family of kernels is a section with what it accepts, what
 * it is for, and a macro that makes a row of the list; a variant is a row. */
#include "lower_attention.h"
#include "preferences.h"

#include <stdio.h>

static bool within_limits(const struct heed_limits *limits, uint32_t group, uint32_t shared, char *why, size_t why_size)
{
    if (group > limits->max_group_size)
        snprintf(why, why_size, "%u invocations are more than %u", group, limits->max_group_size);
    else if (shared > limits->max_shared_bytes)
        snprintf(why, why_size, "%u bytes of shared memory are more than %u", shared, limits->max_shared_bytes);
    else if (HEED_MAX_BINDINGS > limits->max_storage_buffers)
        snprintf(why, why_size, "%d storage buffers are more than %u", HEED_MAX_BINDINGS, limits->max_storage_buffers);
    else
        return true;
    return false;
}

static uint32_t shared_bytes(const heed_plan *plan, const struct tile *tile)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    uint32_t q_vectors = ceil_div(d->dim_qk, 4), v_vectors = ceil_div(heed_lower_slice(tile, d->dim_v), 4);
    if (tile->lanes > 0 || tile->owns == LANE_OWNS_FEATURES)
        return 0;
    if (tile->owns == LANE_OWNS_ROWS)
        return tile->broadcast || tile->address ? 0 : 16 * tile->bc * (q_vectors + v_vectors);
    if (tile->owns == LANE_OWNS_KEYS)
        return 16 * tile->br * q_vectors + tile->group * (16 * v_vectors + 12);
    return heed_lower_tile_layout(tile, d, &plan->device->info).shared_bytes;
}

static bool accepts_fused_path(const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    if (d->path == HEED_PATH_STAGED)
        snprintf(why, why_size, "the path asked for is staged");
    else if (d->path == HEED_PATH_AUTO && d->weights)
        snprintf(why, why_size, "weights are asked for, and staged makes them on the way");
    else
        return true;
    return false;
}

/* What every fused kernel asks for. */
static bool accepts_fused(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile *tile = self->tile;
    return heed_plan_has_kernel(plan, tile->kernel, why, why_size) && accepts_fused_path(plan, why, why_size) &&
           within_limits(&plan->device->info.limits, tile->group, shared_bytes(plan, tile), why, why_size);
}

/* ---- keys and lanes: scores and outputs stay in what a lane keeps; software drivers */

enum {
    /* Features of a query that a lane keeps at most. 2 heads of 1024 x 1024 keys of 512 features on 26.1.6, lanes
     * against the 16x64 tile: 481 ms and 2.1 s for the first run, 1184 ms and 1.4 s. */
    LANES_DIM_QK = 512,
    LANES_SMALL_DIM_QK = 256,
    LANES_SLICE = 128,
    /* Pairs of row and key x features that a kernel multiplies in one stretch of code, which the driver compiles
     * when it first runs: 4 x 4 pairs of 64 features of q and v each 0.6 s on lavapipe 26.1.6, 4 x 2 of them 1.3 s on
     * 22.3.6. Rows of a lane x keys, CPU ms of 8 heads of 1024 x 1024 such pairs, 16 lanes, on 26.1.6 and 26.2.6:
     * 4 x 4 34.8 and 25.7, 2 x 8 42 and 42, 1 x 16 38 and 35, 2 x 4 39 and 31, 1 x 8 44 and 33. Causal, where pairs are
     * masked one by one: 4 x 4 46, 2 x 4 30. 2 heads of 256 features, ms with two threads: 1 x 4 35, 2 x 2 33, 4 x 1
     * 66. On 22.3.6, where a load from shared memory costs more than what is multiplied by it, and first run: 2 x 4
     * 209 ms and 1.3 s, 4 x 2 130 and 1.3, 4 x 4 117 and 2.2, 8 x 1 97 and 2.7, 2 x 8 212 and 3.0; causal 2 x 2 133
     * and 0.8, 4 x 1 95 and 1.2; 4 heads of 128 features 1 x 4 402 and 3.0, 4 x 1 136 and 3.1, 4 x 2 125 and 4.1; 2 of
     * 256 1 x 4 635 and 6.4, 4 x 1 181 and 6.9. */
    LANES_CODE = 2048,
    LANES_SMALL_CODE = 1024,
    LANES_ROWS = 4,
    LANES_KEYS = 4,
    /* With fewer lanes than this, half of those rows. 8 of them on a Zen 3 and 26.1.6, 4 x 4 pairs against 2 x 4, 8
     * heads of 1024 x 1024 keys of 64 features 71 : 65 ms and 3.5 : 1.4 s for the first run, 20 heads of 4096 x 77
     * 64 : 58, 8 heads of 100 x 850 of 32 features 4.2 : 3.7; 2 x 8 and 4 x 2 are between them, or slower. */
    LANES_WIDE = 16,
    /* Rows of the first lane of each subgroup that shares what they stage, with 16 lanes 4 subgroups 36.5 CPU ms of
     * those 4 x 4 pairs, 8 34.8, 16 35.6; with 8 and 2 x 4 pairs 4 to 32 do not differ. */
    LANES_SUBGROUP_ROWS = 32,
    /* Keys at a time where there are rows for half of a lane's or fewer. 12 heads of n rows x 257 keys of 64 features,
     * 4 keys against 8: on 26.1.6 32 rows with 16 lanes 0.46 : 0.42 ms, 16 rows with 8 and 16 lanes 0.41 : 0.41 and
     * 0.38 : 0.36; on 26.2.6 0.42 : 0.39, 0.39 : 0.35 and 0.34 : 0.34. With 4 rows, 8 keys are more code than the first
     * cache of it holds on some processors: 16 lanes, 4 x 4, 2 x 8 and 4 x 8 pairs, 8 heads of 1024 x 1024 keys, on a
     * Xeon 15.3, 14.7 and 19.7 ms, by 26.2.6, which fuses what it multiplies and adds, 12.6, 13.6 and 17; 20 heads of
     * 4096 x 77 16.6, 16.9 and 22.0, and 15.0, 16.4 and 19.4; on a Zen 4 4 x 4 and 4 x 8 22.0 and 19.6. */
    LANES_MOST_KEYS = 8,
    /* Bytes of a head's keys and values up to which a lane that loads by address owns one row and walks 8 keys: what
     * processors decode once holds that loop, and twice as much not. 26.1.6 on a Zen 3, 8 lanes, 2 x 4, 1 x 4 and 1 x
     * 8 pairs, ms: 20 heads of 4096 x 77 keys of 64 features 41.7, 32.9 and 31.6, 8 of 100 x 850 of 32 1.45, 1.58 and
     * 1.24, 1 of 512 x 8192 of 64 22.0, 15.7 and 14.8, 8 of 1024 x 1024 of 64 36.5, 40.5 and 30.5, causal 41, 21 and
     * 21, 4 of 512 x 1024 of 128 22.8, 20.0 and 16.5, and half of the first run; 1 x 16 is 1.2 to 2 times as slow as
     * 1 x 8. With vectors of 16 lanes there, 4 x 4 against 1 x 8: 71 : 36. Larger keys cost what it takes to load
     * them: 1 of 1024 x 32768 of 64 (16 MB) 2 x 4 165, 1 x 8 198, 4 of 256 x 8192 of 128 (8 MB each) 89 : 155, 2 of
     * 1024 x 8192 of 64 (4 MB) 54 : 58. */
    LANES_CACHED = 4 << 20,
    /* Keys of a lane at a time in attn_keys: 32 heads of 1 x 8192 keys of 128 features on 26.1.6, 16 lanes, two
     * threads, 1 28 ms, 2 22.8, 4 20.9, 8 22.4; 8 heads of 1 x 1500 of 64 features 0.29 ms, whichever. */
    KEYS_KEYS = 4,
    /* Bytes of keys and values that are more than caches hold. 1 row of 128 features on 26.1.6 and a Xeon with 2 MB of
     * L2 a core, not touched against touched, 8 and 16 lanes: 8 MB 0.46 : 0.49 and 0.48 : 0.49 ms, 32 MB 1.24 : 1.36
     * and 1.40 : 1.37, 64 MB 2.32 : 2.56 and 2.64 : 2.40, 128 MB 9.3 : 5.7 and 8.7 : 5.5, 256 MB 22.0 : 14.8 and 20.9 :
     * 14.9; 4 rows of 64 MB 6.1 : 5.6 and 4.2 : 4.2, of 128 MB 19.6 : 12.7 and 17.2 : 10.2. */
    KEYS_TOUCHED = 32 << 20,
    /* Rows that the lanes of a subgroup share, and features of them, of the query and of a slice of the output. 26.1.6
     * on a Zen 3, 8 lanes, ms: 8 heads of 1024 x 1024 keys of 64 features, 1, 2, 3 and 4 rows 55, 41, 35 and 31; 32
     * heads of 1 x 8192 of 128, four of them with the same keys, as 2 and 4 rows 8.5 : 6.4. 2 of 256 x 1024 of 256 in
     * slices of 128 and of 256 15 : 10.9. */
    SHARED_ROWS = 4,
    SHARED_SLICE = 256,
    SHARED_CODE = 2048,
};

static uint32_t clamp_u32(uint32_t x, uint32_t low, uint32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Invocations that a processor works on at once. */
static uint32_t vector_lanes(const heed_plan *plan)
{
    return clamp_u32(plan->device->info.limits.subgroup_size_max, 4, 64);
}

static uint32_t code_size(const heed_plan *plan)
{
    return heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE ? LANES_SMALL_CODE : LANES_CODE;
}

static uint32_t most_features(const heed_plan *plan)
{
    return heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE ? LANES_SMALL_DIM_QK : LANES_DIM_QK;
}

/* Features that a pair multiplies; what makes a score a logit counts as so many more. */
static uint32_t pair_code(const struct heed_attention_desc *d, const struct tile *tile)
{
    bool long_terms = d->softcap > 0.0f || d->distance_dims > 0;
    bool terms = d->mask != HEED_MASK_NONE || d->key_bias || d->alibi || d->causal || d->window;
    return d->dim_qk + heed_lower_slice(tile, d->dim_v) + (long_terms ? 192 : terms ? 32 : 0);
}

/* Of one head of a batch: its keys and values. */
static uint64_t head_key_bytes(const struct heed_attention_desc *d)
{
    return d->len_kv *
           ((uint64_t)d->dim_qk * heed_dtype_size(d->k.dtype) + (uint64_t)d->dim_v * heed_dtype_size(d->v.dtype));
}

static uint64_t key_bytes(const struct heed_attention_desc *d)
{
    uint64_t batches = d->total_kv > 0 && d->len_kv > 0 ? ceil_div(d->total_kv, d->len_kv) : d->batch;
    return batches * d->heads_kv * head_key_bytes(d);
}

/* A lane owns `br` rows, as many as are needed to give every row to a lane, and walks `bc` keys: as many of both as
 * there is code for. */
static struct tile lanes_tile(const heed_plan *plan, const struct tile *base)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile = *base;
    uint32_t lanes = vector_lanes(plan), rows = d->len_q > 0 ? d->len_q : 1;
    uint32_t features = pair_code(d, &tile);
    tile.slice = heed_lower_slice(&tile, d->dim_v);
    const bool keeps_rows = (heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE) != 0;
    tile.by_word = !keeps_rows;
    tile.br = keeps_rows || lanes >= LANES_WIDE ? LANES_ROWS : LANES_ROWS / 2;
    tile.bc = LANES_KEYS;
    const uint32_t most_subgroups = LANES_SUBGROUP_ROWS / tile.br;
    if (tile.address && head_key_bytes(d) <= LANES_CACHED) {
        tile.br = 1;
        tile.bc = LANES_MOST_KEYS;
    }
    while (tile.br > 1 && tile.br / 2 * lanes >= rows) {
        tile.br /= 2;
        if (!keeps_rows && tile.bc < LANES_MOST_KEYS && 2 * tile.bc <= d->len_kv)
            tile.bc *= 2;
    }
    while (tile.br * tile.bc * features > code_size(plan) && tile.br * tile.bc > LANES_ROWS) {
        if (tile.br > 2 && !keeps_rows)
            tile.br /= 2;
        else
            tile.bc /= 2;
    }
    uint64_t subgroup_rows = (uint64_t)tile.br * lanes, heads = (uint64_t)d->batch * d->heads_q;
    uint64_t subgroups = plan->device->info.limits.max_group_size / lanes;
    subgroups = subgroups > most_subgroups ? most_subgroups : subgroups;
    /* Many keys are rather split than the rows, for each group of which all of them are staged: 512 rows x 8192 keys of
     * 64 features, 8 groups of rows against 8 splits, on 26.1.6 32.5 : 23.2 ms with 8 lanes, 13.9 : 11.6 with 16; 2
     * heads of 256 rows x 1024 keys 2.95 : 3.30 and 1.70 : 2.05. */
    bool splits_keys = !tile.address && d->len_kv >= HEED_LANES_MANY_KEYS && !d->causal && !d->window;
    while (!splits_keys && subgroups > 1 && heads * ceil_div(rows, subgroups * subgroup_rows) < HEED_LANES_GROUPS)
        subgroups /= 2;
    uint32_t blocks = ceil_div(rows, subgroups * subgroup_rows);
    tile.group = lanes * ceil_div(ceil_div(rows, blocks), subgroup_rows);
    tile.subgroup = tile.broadcast ? lanes : 0;
    tile.rows = tile.group * tile.br;
    return tile;
}

/* A lane walks its own keys for the `br` rows of the group. */
static struct tile keys_tile(const heed_plan *plan, const struct tile *base)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile = *base;
    uint32_t features = pair_code(d, &tile), lanes = vector_lanes(plan), code = code_size(plan) / 2;
    tile.group = lanes < 16 ? lanes : 16;
    tile.br = clamp_u32(code / features, 1, clamp_u32(d->len_q, 1, 8));
    tile.bc = tile.group * (code < LANES_CODE / 2 ? 1 : clamp_u32(code / (features * tile.br), 1, KEYS_KEYS));
    tile.rows = tile.br;
    tile.slice = heed_lower_slice(&tile, d->dim_v);
    tile.touches = heed_lower_is_vector(d, 4) && key_bytes(d) >= KEYS_TOUCHED;
    return tile;
}

/* The lanes of a subgroup share the `br` rows, and walk as many keys at a time as there are lanes: 4 rows make one load
 * of a key do, and what processors decode once holds the loop. Fewer have room for twice the keys, which hide how long
 * a row's weights take. */
static struct tile shared_rows_tile(const heed_plan *plan, const struct tile *base)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile = *base;
    tile.group = tile.subgroup = vector_lanes(plan);
    tile.br = tile.rows = clamp_u32(d->len_q, 1, SHARED_ROWS);
    tile.slice = SHARED_SLICE;
    tile.slice = heed_lower_slice(&tile, d->dim_v);
    while (tile.br > 1 && tile.br * (d->dim_qk + tile.slice) > SHARED_CODE)
        tile.br = tile.rows /= 2;
    tile.bc = tile.br == 1 ? 2 * tile.group : tile.group;
    return tile;
}

static struct tile software_tile(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *base = self->tile;
    switch (base->owns) {
    case LANE_OWNS_FEATURES:
        return shared_rows_tile(plan, base);
    case LANE_OWNS_KEYS:
        return keys_tile(plan, base);
    default:
        return lanes_tile(plan, base);
    }
}

static bool accepts_software(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct tile tile = software_tile(self, plan);
    const struct heed_candidate fitted = {.tile = &tile};
    const bool all_f32 =
        d->q.dtype == HEED_F32 && d->k.dtype == HEED_F32 && d->v.dtype == HEED_F32 && d->o.dtype == HEED_F32;
    if (d->dim_qk > most_features(plan))
        snprintf(why, why_size, "dim_qk %u is more than the %u that a lane keeps", d->dim_qk, most_features(plan));
    else if (tile.owns == LANE_OWNS_ROWS && (heed_preferences(&plan->device->info) & HEED_AVOIDS_LANES))
        snprintf(why, why_size, "this driver takes minutes and gigabytes to compile it");
    else if (tile.owns == LANE_OWNS_FEATURES && !all_f32 && !heed_lower_is_vector(d, 4))
        snprintf(why, why_size, "rows are not aligned to 4 elements, or no multiples of them, and not all is f32");
    else if (tile.owns == LANE_OWNS_ROWS && tile.address && (d->k.dtype != HEED_F32 || d->v.dtype != HEED_F32))
        snprintf(why, why_size, "keys are %s and values %s: by their addresses f32 is loaded",
                 heed_dtype_name(d->k.dtype), heed_dtype_name(d->v.dtype));
    else if (tile.owns == LANE_OWNS_FEATURES && !plan->device->info.has_subgroups)
        snprintf(why, why_size, "the device has no full subgroups of a known size, or they are switched off");
    else if (tile.int64 && !heed_lower_is_vector(d, 4))
        snprintf(why, why_size, "rows are not aligned to 4 elements, or no multiples of them");
    else
        return accepts_fused(&fitted, plan, why, why_size);
    return false;
}

static bool is_software(const heed_plan *plan)
{
    return (heed_preferences(&plan->device->info) & HEED_PREFERS_LANES) != 0;
}

/* Do lanes that own rows leave half of the others idle? */
static bool few_rows(const heed_plan *plan)
{
    return plan->problem.attention.desc.len_q <= vector_lanes(plan) / 2;
}

/* A software driver whose keys kernel has few rows for want of code: a tile of 4 rows then reads keys less often. ms of
 * 8 heads of 4 rows x 8192 keys of 128 features on lavapipe 22.3.6: subgroup_4x256 26, keys (2 rows) 46 (4 rows 43, and
 * 6.6 s to compile), lanes 62, plain_4x128 42. */
static bool has_subgroup_tiles(const heed_plan *plan)
{
    enum { KEYS = 256 }; /* of such a tile; a window, or the top left diagonal, leaves fewer to these rows */
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_device_info *info = &plan->device->info;
    if (d->len_kv < KEYS || d->window || (d->causal && d->diagonal == HEED_DIAGONAL_TOP_LEFT))
        return false;
    return (heed_preferences(info) & HEED_AVOIDS_LONG_CODE) && info->limits.subgroup_size_min >= 8 &&
           info->has_subgroups && !info->limits.no_subgroups;
}

static bool prefers_lanes(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return is_software(plan) && !(few_rows(plan) && has_subgroup_tiles(plan));
}

/* Lavapipe loads from an address in one instruction, but checks the bounds of bindings and of shared memory: four. And
 * nothing is staged. 26.1.6 on a Zen 3 with 8 lanes, ms (first run in s), lanes_int64 against addresses: 8 heads of
 * 1024 x 1024 keys of 64 features 65 : 43 (1.4 : 1.2), 20 of 4096 x 77 59 : 41 (1.7 : 1.0), 12 of 32 x 257 1.17 : 0.53
 * (1.5 : 0.8), 8 of 4096 x 7 of 16 1.90 : 0.94 (0.45 : 0.20), 1 of 2048 x 65536 929 : 578. */
static bool has_addresses(const heed_plan *plan)
{
    const struct heed_device_info *info = &plan->device->info;
    return is_software(plan) && info->has_buffer_addresses && !(heed_preferences(info) & HEED_AVOIDS_LONG_CODE);
}

static bool keys_are_f32(const heed_plan *plan)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    return d->k.dtype == HEED_F32 && d->v.dtype == HEED_F32;
}

/* Lanes that own features are all busy with one row, and take half as long to compile. 26.1.6 on a Zen 3, 8 lanes, ms
 * (first run in s), what was best else against these: 8 heads of 1 x 1500 keys of 64 features 0.61 : 0.24 (0.6 : 0.2),
 * of 1 x 4096 of 16 0.53 : 0.37, of 4 x 4096 of 16 0.48 : 0.44, 32 heads of 1 x 8192 of 128, 256 MB, 41 : 15.7 (8.8 :
 * 0.5), four of them with the same keys 9.2 : 5.9 (1.3 : 0.6). With many rows they depend on how much is added up in a
 * lane before lanes are added up: 8 heads of 100 x 850 of 32 2.08 : 2.53, 1024 x 1024 of 64 31 : 31 (0.65 : 0.5), 512
 * x 8192 15.2 : 15.0, 4 of 512 x 1024 of 128 22 : 21 (1.6 : 0.6), 2 of 256 x 1024 of 256 21.5 : 10.9 (2.9 : 1.2), of
 * 512 64 : 39 (6.7 : 1.1); on how often outputs are begun and stored: 8 of 4096 x 7 of 64 2.9 : 3.9, x 16 5.6 : 5.7;
 * and what skips values costs more: 1024 x 1024 of 64, causal, 30 : 37 where all pairs are asked, beside other work 65
 * : 63 where those at the diagonal are. Of f16 and bf16 nothing else is loaded by address: beside other work 20 heads
 * of 4096 x 77 of 64 190 : 128 and 192 : 102, 8 of 1024 x 1024 266 : 136 and 196 : 106, 32 of 1 x 8192 of 128, four of
 * them with the same keys, 48 : 3.1 and 32 : 2.5, 8 of 100 x 850 of 32 6.4 : 7.5 and 4.2 : 4.4. */
static bool prefers_features_address(const struct heed_candidate *self, const heed_plan *plan)
{
    enum { FEATURES = 128, KEYS = 64, VECTORS = 2 };
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const bool masks =
        d->mask != HEED_MASK_NONE || d->window || d->key_bias || (d->causal && heed_lower_softmax_has_terms(d));
    (void)self;
    if (!has_addresses(plan) || !heed_lower_shuffles(plan))
        return false;
    return few_rows(plan) || (!(masks && keys_are_f32(plan)) && d->len_q >= VECTORS * vector_lanes(plan) &&
                              d->len_kv >= KEYS && d->dim_qk + d->dim_v >= FEATURES);
}

static bool prefers_lanes_address(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return has_addresses(plan) && keys_are_f32(plan);
}

/* A gather of 64 bits costs what one of 32 does. On 22.3 what is staged is little of the time. */
static bool prefers_lanes_int64(const struct heed_candidate *self, const heed_plan *plan)
{
    return !(heed_preferences(&plan->device->info) & HEED_AVOIDS_LONG_CODE) && prefers_lanes(self, plan);
}

/* A driver that loads lane by lane, from shared memory too, as 22.3 does: lanes rather read each other's registers. */
static bool has_broadcasts(const heed_plan *plan)
{
    const struct heed_device_info *info = &plan->device->info;
    return is_software(plan) && (heed_preferences(info) & HEED_AVOIDS_LONG_CODE) && info->has_subgroup_broadcast;
}

/* ms of 22.3.6 on a Zen 3 with 8 lanes, lanes against broadcasts: 8 heads of 1024 x 1024 keys of 64 features 1140 : 350
 * (on 26.1.6 65 : 85), 12 of 32 x 257 27 : 4.3, 4 of 256 x 1024 of 128 features 455 : 168. subgroup_4x256 against
 * broadcasts, 8 heads: 3 rows x 2048 keys of 64 features 40 : 29, 4 x 8192 of 128 244 : 265 and 0.9 : 11 s for the
 * first run. */
static bool prefers_lanes_broadcast(const struct heed_candidate *self, const heed_plan *plan)
{
    enum { FEATURES = 128 }; /* of few rows */
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    return has_broadcasts(plan) && (prefers_lanes(self, plan) || d->dim_qk + d->dim_v <= FEATURES);
}

/* Lanes that own keys are all busy when those that own rows are not; but keys are loaded once for each group of rows.
 * CPU ms of 8 heads of n rows x 1024 keys of 64 features on lavapipe 26.1.6, keys against lanes: 16 lanes, n = 6
 * 1.1 : 1.5, 8 1.3 : 1.5, 12 (2 groups) 1.8 : 1.4; 8 lanes, n = 6 1.25 : 1.30, 8 1.45 : 1.36. On 22.3.6, where a group
 * has 4 rows: 6 8.1 : 7.4, 8 9.3 : 7.5, and 4 rows masked, of which a group has 3: 16.6 : 17.4, 4 causal ones 0.42 :
 * 0.20. */
static bool prefers_keys(const struct heed_candidate *self, const heed_plan *plan)
{
    enum { BESIDE_BROADCASTS = 2 }; /* rows. 8 heads of 2, 3 and 7 rows, keys : broadcasts, 33 : 34, 45 : 29, 40 : 11 */
    const struct tile tile = software_tile(self, plan);
    const uint32_t avoided = heed_preferences(&plan->device->info) & (HEED_AVOIDS_LONG_CODE | HEED_AVOIDS_LANES);
    const uint32_t rows = plan->problem.attention.desc.len_q;
    if (has_broadcasts(plan))
        return rows <= BESIDE_BROADCASTS;
    /* Lanes that load by address leave most of a vector idle with few rows, but gather nothing. 26.1.6, Zen 3, 8 lanes,
     * ms (first run in s), keys_int64 against addresses: 8 heads of 1 x 1500 keys of 64 features 1.14 : 0.93 (3.1 :
     * 0.9), 7 x 4096 of 16 1.85 : 0.61 (1.3 : 0.2), 4 x 1024 of 64 1.45 : 0.64, 32 heads of 1 x 8192 of 128, four of
     * them with the same keys 21 : 11.5 (3.9 : 2.3), and each with its own, which are 256 MB, 44 : 51 (8.4 : 2.3). Not
     * measured with 16 lanes, where a processor with AVX-512 gathers more cheaply. */
    if (has_addresses(plan) && keys_are_f32(plan))
        return rows == 1 && (tile.touches || vector_lanes(plan) >= LANES_WIDE);
    return is_software(plan) && (rows <= tile.br || (few_rows(plan) && avoided != HEED_AVOIDS_LONG_CODE));
}

/* A gather of 64 bits costs what one of 32 does. 22.3, with one key at a time, gathers nothing: 44 : 49 ms of 32 heads
 * of 1 x 8192 keys of 128 features, but 0.87 : 0.80 of 8 heads of 1 x 1500 of 64. */
static bool prefers_keys_int64(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile tile = software_tile(self, plan);
    return tile.bc > tile.group && prefers_keys(self, plan);
}

static enum heed_status lower_software(const struct heed_candidate *self, heed_plan *plan)
{
    const struct tile tile = software_tile(self, plan);
    struct heed_candidate fitted = *self;
    fitted.tile = &tile;
    return heed_lower_fused(&fitted, plan);
}

#define SOFTWARE(name, kernel_, prefers, ...)                                                                          \
    {                                                                                                                  \
        name, accepts_software, lower_software,                                                                        \
            &(const struct tile){.kernel = kernel_, .slice = LANES_SLICE, __VA_ARGS__}, prefers                        \
    }

/* ---- rows and features: explicit vectors, a work-item a group; processors by OpenCL */

/* PoCL 3.1, CPU ms on Zen 3 with vectors of 8 floats. 8 heads of 1024 x 1024 keys of 64 features, n rows x keys,
 * m keys or features at a time of vectors of 16: 64 x 64, 4 31.5; 32 x 64 36.6, 16 x 64 36.2, 32 x 32 44.8, 32 x 128
 * 40.7; 32 x 64, 6 at a time 41.5; of vectors of 8, 4 63, 8 46, 10 55. A tile of 32 x 32 of attn_fused takes
 * 207, and PyTorch 2.14 on one thread 37. */
enum {
    ROWS_KEYS = 64,
    ROWS_MOST = 64,
    ROWS_ROOM = 32768, /* floats of queries and outputs: they stay in the second cache */
    ROWS_GROUPS = 4,   /* for each core, before a work-item is given fewer rows */
    /* Rows that features are better for, features : rows, 8 heads: 4 rows x 1500 keys of 64 features 0.40 : 1.2, 8 rows
     * (2 groups) 1.14 : 0.86; 1 row x 4096 keys of 16 features 0.37 : 0.45, 4 rows 0.66 : 0.49. */
    FEATURES_ROWS = 4,
    FEATURES_KEYS = 16,
    /* Vectors of the output at a time, of all rows: 32 heads of 8192 keys of 128 features, 16 24 to 29, 8 27 to 31. */
    FEATURES_ACCUMULATORS = 16,
    VECTORS_SLICE = 512, /* features of the output: what a work-item keeps is on its stack */
};

/* A work-item owns rows side by side in a vector. */
static struct tile rows_tile(const heed_plan *plan, const struct tile *base)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile = *base;
    bool wide = vector_lanes(plan) >= 16;
    tile.group = 1;
    tile.slice = heed_lower_slice(&tile, d->dim_v);
    tile.lanes = d->len_q > 8 ? 16 : 8;
    tile.vectors = wide || tile.lanes == 8 ? 8 : 4;
    tile.bc = ROWS_KEYS;
    uint64_t heads = (uint64_t)d->batch * d->heads_q;
    uint32_t cores = plan->device->info.compute_units > 0 ? plan->device->info.compute_units : 2;
    tile.br = ROWS_MOST;
    while (tile.br > tile.lanes && (tile.br / 2 >= d->len_q || tile.br * (d->dim_qk + tile.slice) > ROWS_ROOM ||
                                    heads * ceil_div(d->len_q, tile.br) < ROWS_GROUPS * cores))
        tile.br /= 2;
    tile.rows = tile.br;
    return tile;
}

/* A work-item owns few rows, with features side by side in a vector. */
static struct tile features_tile(const heed_plan *plan, const struct tile *base)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile = *base;
    tile.group = 1;
    tile.slice = heed_lower_slice(&tile, d->dim_v);
    tile.lanes = vector_lanes(plan) >= 16 ? 16 : 8;
    tile.br = 1;
    while (tile.br < FEATURES_ROWS && tile.br < d->len_q)
        tile.br *= 2;
    tile.vectors = FEATURES_ACCUMULATORS / tile.br;
    tile.bc = FEATURES_KEYS;
    tile.rows = tile.br;
    return tile;
}

static struct tile vectors_tile(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *base = self->tile;
    return base->kernel == HEED_KERNEL_ATTN_ROWS ? rows_tile(plan, base) : features_tile(plan, base);
}

static bool accepts_vectors(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile tile = vectors_tile(self, plan);
    const struct heed_candidate fitted = {.tile = &tile};
    const struct heed_device_info *info = &plan->device->info;
    if (!heed_plan_has_kernel(plan, tile.kernel, why, why_size))
        return false;
    if (info->type != HEED_DEVICE_CPU)
        snprintf(why, why_size, "the device is no processor: a work-item of it is too slow to be alone in its group");
    else if (heed_preferences(info) & HEED_AVOIDS_VECTORS)
        snprintf(why, why_size, "this driver takes minutes to compile vectors of %u floats", tile.lanes);
    else
        return accepts_fused(&fitted, plan, why, why_size);
    return false;
}

static bool prefers_features(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return plan->problem.attention.desc.len_q <= FEATURES_ROWS;
}

static enum heed_status lower_vectors(const struct heed_candidate *self, heed_plan *plan)
{
    const struct tile tile = vectors_tile(self, plan);
    struct heed_candidate fitted = *self;
    fitted.tile = &tile;
    return heed_lower_fused(&fitted, plan);
}

#define VECTORS(name, kernel_, prefers)                                                                                \
    {                                                                                                                  \
        name, accepts_vectors, lower_vectors, &(const struct tile){.kernel = kernel_, .slice = VECTORS_SLICE}, prefers \
    }

/* ---- tiles: a work group owns rows, scores go through shared memory; GPUs, and what the others refuse */

static bool accepts_subgroup(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    if (plan->device->info.limits.no_subgroups)
        snprintf(why, why_size, "subgroups are switched off");
    else if (!plan->device->info.has_subgroups)
        snprintf(why, why_size, "the device has no subgroup arithmetic in compute shaders");
    else
        return accepts_fused(self, plan, why, why_size);
    return false;
}

/* Large tiles reuse keys more. Their rows must be filled, or their keys be as few, and their output must fit the
 * registers of their lanes; more than 256 features are made in slices, by 16 rows. */
static bool prefers_tile(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    uint32_t most = heed_lower_accumulators(&plan->device->info);
    if (heed_preferences(&plan->device->info) & HEED_PREFERS_STAGED)
        return false;
    if (tile->br == 1)
        return true;
    if (tile->bc < 32 && d->len_kv > tile->bc)
        return false;
    uint32_t scores = most > 2 ? 2 * most : 4; /* of a lane */
    if (tile->br * tile->bc > scores * tile->group)
        return false;
    uint32_t features = d->dim_v > 256 && tile->br == 16 ? 256 : d->dim_v;
    return d->len_q > tile->br / 2 && (uint64_t)tile->br * ceil_div(features, 4) <= (uint64_t)most * tile->group;
}

/* Narrow subgroups have little to give, on a GPU. */
static bool prefers_subgroup(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    if (has_subgroup_tiles(plan))
        return few_rows(plan) && plan->problem.attention.desc.len_q > tile->br / 2;
    return plan->device->info.limits.subgroup_size_min >= 32 && prefers_tile(self, plan);
}

/* Rows x keys; a lane makes the scores of 4 keys and at most 4 rows. 128 invocations are what every device has. */
#define TILE_SLICE(group, br) (4 * HEED_ACCUMULATORS * (group) / ((br) < 2 ? 2 : (br)))
#define TILE(name, group, br, bc)                                                                                      \
    {                                                                                                                  \
        name, accepts_fused, heed_lower_fused,                                                                         \
            &(const struct tile){HEED_KERNEL_ATTN_FUSED, group, br, bc, br, TILE_SLICE(group, br)}, prefers_tile       \
    }
#define SUBGROUP_TILE(name, group, br, bc)                                                                             \
    {                                                                                                                  \
        name, accepts_subgroup, heed_lower_fused,                                                                      \
            &(const struct tile){HEED_KERNEL_ATTN_FUSED_SUBGROUP, group, br, bc, br, TILE_SLICE(group, br)},           \
            prefers_subgroup                                                                                           \
    }

/* ---- matrix: tiles on matrix units; f16 and bf16 on GPUs that have them */

enum {
    MATRIX_LEAST_ROWS = 16,
    MATRIX_FEW_ROWS = 4,
    /* Of 32 keys of a tile the most would be padding: H100, 512 heads of 4096 x 7 keys of 16 features, us, 64x32 230,
     * the plain 64x8 142. */
    FEW_KEYS = 8,
};

static bool accepts_matrix(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    struct tile tile;
    return heed_lower_matrix_tile(plan, self->tile, &tile, why, why_size) && accepts_fused_path(plan, why, why_size) &&
           within_limits(&plan->device->info.limits, tile.group, heed_lower_matrix_shared_bytes(&tile, d), why,
                         why_size);
}

/* Full tiles, or more rows than can be had for less without: one row is faster on lanes (ggml-org/llama.cpp#13554). A
 * CPU has no such units; its driver spells them out. */
static bool prefers_matrix(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_device_info *info = &plan->device->info;
    const uint32_t rows = plan->problem.attention.desc.len_q;
    if (info->type == HEED_DEVICE_CPU || (heed_preferences(info) & HEED_AVOIDS_MATRIX))
        return false;
    if (plan->problem.attention.desc.len_kv <= FEW_KEYS)
        return false;
    return rows > tile->br / 2 || (tile->br == MATRIX_LEAST_ROWS && rows > MATRIX_FEW_ROWS);
}

/* H100, 580.159, us. 33 heads of 2048 x 4096 keys, f16: 64 features, 64x64 525, 64x32 524, 128x64 630, attn_matrix
 * 1560; 128 features, 128x64 776, 64x32 841, 64x64 1086, attn_matrix 2916. 20 heads of 4096 x 77 of 64: 64x32 41, 64x64
 * 55, attn_matrix 80. 512 heads of 7 x 4096 of 16: 16x64 76, 64x32 169, attn_matrix 109. */
static bool prefers_held(const struct heed_candidate *self, const heed_plan *plan)
{
    enum { MANY_KEYS = 512, FEW_FEATURES = 64, SOME_FEATURES = 128 };
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_device_info *info = &plan->device->info;
    const uint32_t preferences = heed_preferences(info), features = d->dim_qk > d->dim_v ? d->dim_qk : d->dim_v;
    if (!(preferences & HEED_PREFERS_HELD) || (preferences & HEED_AVOIDS_MATRIX) || d->len_kv <= FEW_KEYS ||
        d->len_q <= (tile->br == MATRIX_LEAST_ROWS ? MATRIX_FEW_ROWS : MATRIX_LEAST_ROWS))
        return false;
    switch (tile->br) {
    case MATRIX_LEAST_ROWS:
        return d->len_q <= MATRIX_LEAST_ROWS;
    case 64:
        return tile->bc == 32 || (features <= FEW_FEATURES && d->len_kv >= MANY_KEYS);
    default:
        return features > FEW_FEATURES && features <= SOME_FEATURES &&
               (uint64_t)d->batch * d->heads_q * ceil_div(d->len_q, tile->br) >= info->compute_units;
    }
}

/* Rows x keys. */
#define MATRIX_TILE(name, kernel_, row_count, keys, held_, prefers)                                                    \
    {                                                                                                                  \
        name, accepts_matrix, heed_lower_matrix,                                                                       \
            &(const struct tile){.kernel = kernel_, .br = row_count, .bc = keys, .rows = row_count, .held = held_},    \
            prefers                                                                                                    \
    }
#define MATRIX(size, row_count, keys)                                                                                  \
    MATRIX_TILE("attn_fused__matrix_" size, HEED_KERNEL_ATTN_MATRIX, row_count, keys, false, prefers_matrix)
#define HELD_KHR(size, row_count, keys)                                                                                \
    MATRIX_TILE("attn_fused__held_" size, HEED_KERNEL_ATTN_HELD, row_count, keys, true, prefers_held)
#define HELD_NV(size, row_count, keys)                                                                                 \
    MATRIX_TILE("attn_fused__held_nv_" size, HEED_KERNEL_ATTN_HELD_NV, row_count, keys, true, prefers_held)

/* ---- staged: scores, softmax and aggregate with the matrix between them */

/* What the stages ask for beyond that where they load by address: f32, as o is what the sums are in. */
static bool address_stages_fit(const heed_plan *plan, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const bool whole = plan->op == HEED_OP_ATTENTION;
    if ((whole || plan->op == HEED_OP_SCORES) && d->q.dtype != HEED_F32)
        snprintf(why, why_size, "queries are %s: by their addresses f32 is loaded", heed_dtype_name(d->q.dtype));
    else if ((whole || plan->op == HEED_OP_AGGREGATE) && (d->v.dtype != HEED_F32 || d->o.dtype != HEED_F32))
        snprintf(why, why_size, "values are %s and o is %s: by their addresses f32 is loaded, and o has the sums",
                 heed_dtype_name(d->v.dtype), heed_dtype_name(d->o.dtype));
    else if (plan->op == HEED_OP_SOFTMAX && !heed_lower_shuffles(plan))
        snprintf(why, why_size, "subgroups are not of %d invocations, of which others read quickly",
                 HEED_SHUFFLED_LANES);
    else if (plan->op == HEED_OP_SOFTMAX && heed_lower_softmax_has_terms(d))
        snprintf(why, why_size, "masks, biases and softcap are too much to be made twice");
    else
        return true;
    return false;
}

static bool stages_fit(const heed_plan *plan, enum stage_kernels kernels, char *why, size_t why_size)
{
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const bool pairs =
        kernels >= STAGES_LANES_INT64 && !(kernels == STAGES_LANES_ADDRESS && plan->op == HEED_OP_AGGREGATE);
    if (pairs && !heed_lower_is_vector(d, 4)) {
        snprintf(why, why_size, "rows are not aligned to 4 elements, or no multiples of them");
        return false;
    }
    if (pairs && d->len_kv % 2 != 0) {
        snprintf(why, why_size, "len_kv %u is odd, and it takes keys in pairs", d->len_kv);
        return false;
    }
    if (kernels >= STAGES_LANES_ADDRESS && !address_stages_fit(plan, why, why_size))
        return false;
    for (enum heed_op stage = HEED_OP_SCORES; stage <= HEED_OP_AGGREGATE; stage++) {
        if (plan->op != HEED_OP_ATTENTION && plan->op != stage)
            continue;
        if (kernels != STAGES_PLAIN && stage == HEED_OP_SCORES && d->dim_qk > LANES_DIM) {
            snprintf(why, why_size, "dim_qk %u is more than the %d that a lane keeps", d->dim_qk, LANES_DIM);
            return false;
        }
        struct stage s = heed_lower_stage(plan, stage, kernels);
        if (!heed_plan_has_kernel(plan, s.kernel, why, why_size) ||
            !within_limits(&plan->device->info.limits, s.group, s.shared_bytes, why, why_size))
            return false;
    }
    return true;
}

static bool accepts_staged(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile *tile = self->tile;
    if (plan->op != HEED_OP_ATTENTION || plan->problem.attention.desc.path != HEED_PATH_FUSED)
        return stages_fit(plan, tile->stages, why, why_size);
    snprintf(why, why_size, "the path asked for is fused");
    return false;
}

static bool prefers_stages(const struct heed_candidate *self, const heed_plan *plan)
{
    (void)self;
    return plan->device->info.type == HEED_DEVICE_CPU;
}

static bool prefers_softmax_address(const struct heed_candidate *self, const heed_plan *plan)
{
    return prefers_stages(self, plan) && plan->problem.attention.desc.len_kv >= HEED_LANES_LONG_ROW;
}

enum stage_kernels heed_lower_preferred_stages(const heed_plan *plan)
{
    char why[256];
    if (prefers_stages(NULL, plan))
        for (enum stage_kernels kernels = STAGES_LANES_ADDRESS; kernels > STAGES_PLAIN; kernels--)
            if (stages_fit(plan, kernels, why, sizeof why))
                return kernels;
    return STAGES_PLAIN;
}

#define STAGED_BY(name, kernels, prefers)                                                                              \
    {                                                                                                                  \
        name, accepts_staged, heed_lower_staged, &(const struct tile){.stages = kernels}, prefers                      \
    }
#define STAGED_ADDRESS(name) STAGED_BY(name "__lanes_address", STAGES_LANES_ADDRESS, prefers_stages)
#define STAGED_INT64(name) STAGED_BY(name "__lanes_int64", STAGES_LANES_INT64, prefers_stages)
#define STAGED(name)                                                                                                   \
    STAGED_BY(name "__lanes", STAGES_LANES, prefers_stages), STAGED_BY(name "__plain", STAGES_PLAIN, NULL)

/* ---- the list */

static const struct heed_candidate attention[] = {
    HELD_NV("128x64", 128, 64),
    HELD_NV("64x64", 64, 64),
    HELD_NV("64x32", 64, 32),
    HELD_NV("16x64", 16, 64),
    HELD_KHR("128x64", 128, 64),
    HELD_KHR("64x64", 64, 64),
    HELD_KHR("64x32", 64, 32),
    HELD_KHR("16x64", 16, 64),
    MATRIX("64x32", 64, 32),
    MATRIX("32x32", 32, 32),
    MATRIX("16x32", 16, 32),
    VECTORS("attn_fused__features", HEED_KERNEL_ATTN_FEATURES, prefers_features),
    VECTORS("attn_fused__rows", HEED_KERNEL_ATTN_ROWS, NULL),
    SOFTWARE("attn_fused__features_address", HEED_KERNEL_ATTN_FEATURES_ADDRESS, prefers_features_address,
             .owns = LANE_OWNS_FEATURES, .address = true),
    SOFTWARE("attn_fused__keys_int64", HEED_KERNEL_ATTN_KEYS_INT64, prefers_keys_int64, .owns = LANE_OWNS_KEYS,
             .int64 = true),
    SOFTWARE("attn_fused__keys", HEED_KERNEL_ATTN_KEYS, prefers_keys, .owns = LANE_OWNS_KEYS),
    SOFTWARE("attn_fused__lanes_address", HEED_KERNEL_ATTN_LANES_ADDRESS, prefers_lanes_address, .owns = LANE_OWNS_ROWS,
             .address = true),
    SOFTWARE("attn_fused__lanes_int64", HEED_KERNEL_ATTN_LANES_INT64, prefers_lanes_int64, .owns = LANE_OWNS_ROWS,
             .int64 = true),
    SOFTWARE("attn_fused__lanes_broadcast", HEED_KERNEL_ATTN_LANES_BROADCAST, prefers_lanes_broadcast,
             .owns = LANE_OWNS_ROWS, .broadcast = true),
    SOFTWARE("attn_fused__lanes", HEED_KERNEL_ATTN_LANES, prefers_lanes, .owns = LANE_OWNS_ROWS),
    TILE("attn_fused__plain_64x8", 64, 64, 8),
    TILE("attn_fused__plain_64x16", 128, 64, 16),
    TILE("attn_fused__plain_64x32", 128, 64, 32),
    TILE("attn_fused__plain_32x64", 128, 32, 64),
    TILE("attn_fused__plain_16x128", 128, 16, 128),
    TILE("attn_fused__plain_32x32", 128, 32, 32),
    TILE("attn_fused__plain_16x64", 128, 16, 64),
    TILE("attn_fused__plain_16x32", 128, 16, 32),
    TILE("attn_fused__plain_8x64", 128, 8, 64),
    SUBGROUP_TILE("attn_fused__subgroup_4x256", 64, 4, 256),
    SUBGROUP_TILE("attn_fused__subgroup_1x256", 64, 1, 256),
    TILE("attn_fused__plain_4x128", 128, 4, 128),
    TILE("attn_fused__plain_1x256", 64, 1, 256),
    STAGED_ADDRESS("attn_staged"),
    STAGED_INT64("attn_staged"),
    STAGED("attn_staged"),
};
static const struct heed_candidate scores[] = {STAGED_ADDRESS("attn_scores"), STAGED_INT64("attn_scores"),
                                               STAGED("attn_scores")};
static const struct heed_candidate softmax[] = {
    STAGED_BY("attn_softmax__lanes_address", STAGES_LANES_ADDRESS, prefers_softmax_address),
    STAGED_INT64("attn_softmax"), STAGED("attn_softmax")};
static const struct heed_candidate aggregate[] = {STAGED_ADDRESS("attn_aggregate"), STAGED_INT64("attn_aggregate"),
                                                  STAGED("attn_aggregate")};

#define LIST(rows) (*count = sizeof(rows) / sizeof *(rows), (rows))

const struct heed_candidate *heed_attention_candidates(enum heed_op op, uint32_t *count)
{
    switch (op) {
    case HEED_OP_SCORES:
        return LIST(scores);
    case HEED_OP_SOFTMAX:
        return LIST(softmax);
    case HEED_OP_AGGREGATE:
        return LIST(aggregate);
    default:
        return LIST(attention);
    }
}
