/* SPDX-License-Identifier: MIT
 * The kernels on matrix units: which shape of the device's, and how large a work group and its shared memory become. */
#include "lower_attention.h"
#include "preferences.h"

#include <stdio.h>

/* Registers of an invocation that hold output, and how many features of queries may be in registers too: what no
 * compiler of the driver table spills with. Narrow subgroups are Intel's, where 128 registers are all there is. */
enum { OUTPUT_REGISTERS = 64, QUERY_DIM = 128 };

/* Xe2 has 32 for output, and Alchemist, with half as wide ones, 32 or under a mask 16: 64 features with a mask spill 88
 * of them with 32 there, none with 16. */
static uint32_t output_registers(uint32_t subgroup, const struct heed_attention_desc *d)
{
    const bool masked = d->mask != HEED_MASK_NONE || d->causal || d->window || d->key_bias;
    return subgroup >= 32 ? OUTPUT_REGISTERS : subgroup < 16 && (masked || d->dim_qk > QUERY_DIM) ? 16 : 32;
}

static bool is_usable(const struct heed_matrix_shape *s, enum heed_dtype input)
{
    return s->input == input && (s->m == 8 || s->m == 16) && (s->n == 8 || s->n == 16) && (s->k == 8 || s->k == 16);
}

/* The largest; with `alike` of those whose sums have the shape of a factor. NULL: none of 8 and 16. */
static const struct heed_matrix_shape *choose_shape(const struct heed_device_info *info, enum heed_dtype input,
                                                    bool alike)
{
    const struct heed_matrix_shape *best = NULL;
    for (uint32_t i = 0; i < info->matrix_shape_count; i++) {
        const struct heed_matrix_shape *s = &info->matrix_shapes[i];
        if (is_usable(s, input) && (!alike || s->n == s->k) &&
            (!best || s->m * s->n * s->k > best->m * best->n * best->k))
            best = s;
    }
    return best;
}

static uint32_t round_up(uint32_t n, uint32_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static bool is_narrow(const struct tile *tile)
{
    return tile->subgroup < 32;
}

/* Do queries stay in shared memory? Otherwise they are in registers. */
static bool keeps_q(const struct tile *tile, const struct heed_attention_desc *d)
{
    return is_narrow(tile) || d->dim_qk > QUERY_DIM;
}

static uint32_t held_shared_bytes(const struct tile *tile, const struct heed_attention_desc *d)
{
    const struct heed_matrix_shape *s = &tile->matrix;
    uint32_t qk_pitch = 16 * (round_up(d->dim_qk, s->n) / 8 | 1);
    uint32_t v_pitch = 16 * (round_up(heed_lower_slice(tile, d->dim_v), s->n) / 8 | 1);
    uint32_t subgroups = tile->group / tile->subgroup, least = subgroups * 4 * s->m * s->n;
    uint32_t kv = tile->bc * (qk_pitch + v_pitch), q = tile->br * qk_pitch;
    kv = (tile->two_tiles ? 2 : 1) * (kv > least ? kv : least);
    return (kv > q ? kv : q) + subgroups * (s->m * (4 * s->n + 16) + 4 * s->m) + 4 * s->m * s->n + 16;
}

uint32_t heed_lower_matrix_shared_bytes(const struct tile *tile, const struct heed_attention_desc *d)
{
    if (tile->held)
        return held_shared_bytes(tile, d);
    uint32_t slice = heed_lower_slice(tile, d->dim_v), qk_pitch = 2 * round_up(d->dim_qk, tile->matrix.k) + 16;
    uint32_t kv = tile->bc * qk_pitch +
                  round_up(slice, tile->matrix.n * tile->columns < 16 ? 16 : tile->matrix.n * tile->columns) *
                      (2 * tile->bc + 16),
             q = tile->br * qk_pitch;
    uint32_t kept = keeps_q(tile, d) ? kv + q : kv > q ? kv : q;
    return kept + tile->br * (4 * tile->bc + 16) + tile->br * (2 * tile->bc + 16) + 4 * tile->br + 32;
}

/* Can there be work groups without rows or keys, while something rules out pairs? */
static bool has_idle_groups(const struct heed_attention_desc *d)
{
    enum { ONE_SPLIT = 128 }; /* keys that are not shared out among work groups */
    const bool bounded = d->causal || d->window;
    return (d->mask != HEED_MASK_NONE || d->key_bias || bounded) &&
           (d->key_lengths || d->total_q > 0 || d->total_kv > 0 || d->len_kv == 0 || d->window ||
            (d->causal && (d->len_q > d->len_kv || d->len_kv > ONE_SPLIT)));
}

/* What a subgroup holds of its rows, queries, scores and as much of the output as goes, must fit the registers of its
 * invocations: an H100's driver keeps 220 of them (261 features) beside all else in the 255 that there are. */
static bool fit_held(const struct heed_limits *limits, const struct heed_attention_desc *d, struct tile *tile,
                     char *why, size_t why_size)
{
    enum {
        REGISTERS = 224,
        OUTPUT = 144,
        AHEAD = 8
    }; /* AHEAD: 16 bytes that an invocation has loaded, as in the shader */
    const uint32_t rows = tile->matrix.m, n = tile->matrix.n, features = OUTPUT * tile->subgroup / rows / 16 * 16;
    tile->columns = 1;
    tile->group = tile->br / rows * tile->subgroup;
    tile->slice = round_up(ceil_div(d->dim_v, ceil_div(d->dim_v, features)), 16);
    const uint32_t qk = round_up(d->dim_qk, n), v = round_up(heed_lower_slice(tile, d->dim_v), n);
    const uint32_t held = rows * (qk / 2 + v + tile->bc) / tile->subgroup;
    const uint32_t loads = ceil_div(tile->bc * (qk / 8), tile->group) + ceil_div(tile->bc * (v / 8), tile->group);
    tile->two_tiles = loads <= AHEAD;
    tile->two_tiles = tile->two_tiles && heed_lower_matrix_shared_bytes(tile, d) <= limits->max_shared_bytes;
    if (held > REGISTERS)
        snprintf(why, why_size, "queries, scores and output would fill %u registers of an invocation, more than %d",
                 held, REGISTERS);
    return held <= REGISTERS;
}

bool heed_lower_matrix_tile(const heed_plan *plan, const struct tile *row, struct tile *tile, char *why,
                            size_t why_size)
{
    const struct heed_device_info *info = &plan->device->info;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const enum heed_dtype input = d->q.dtype;
    if (info->limits.no_matrix) {
        snprintf(why, why_size, "matrix units are switched off");
        return false;
    }
    if (d->k.dtype != input || d->v.dtype != input || (input != HEED_F16 && input != HEED_BF16)) {
        snprintf(why, why_size, "q, k, v are %s, %s, %s, not all f16 or all bf16", heed_dtype_name(input),
                 heed_dtype_name(d->k.dtype), heed_dtype_name(d->v.dtype));
        return false;
    }
    if (d->o.dtype == HEED_F32 || (input == HEED_BF16 && d->o.dtype != input)) {
        snprintf(why, why_size, "o is %s, more precise than weights of %s that the values are multiplied with",
                 heed_dtype_name(d->o.dtype), heed_dtype_name(input));
        return false;
    }
    const struct heed_matrix_shape *shape = choose_shape(info, input, row->held);
    if (!shape) {
        snprintf(why, why_size, "the device lists no matrix units for %s of 8 or 16 by 8 or 16",
                 heed_dtype_name(input));
        return false;
    }
    if (!row->held && (heed_preferences(info) & HEED_AVOIDS_IDLE_MATRIX) && has_idle_groups(d)) {
        snprintf(why, why_size, "this driver crashes on matrices in work groups without rows or keys");
        return false;
    }
    if ((row->kernel == HEED_KERNEL_ATTN_HELD_NV) && !info->has_matrix_reductions) {
        snprintf(why, why_size, "the device has no reductions and conversions of matrices (VK_NV_cooperative_matrix2)");
        return false;
    }
    *tile = *row;
    tile->kernel = (enum heed_kernel)(row->kernel + (input == HEED_BF16)); /* they follow each other */
    if (!heed_plan_has_kernel(plan, tile->kernel, why, why_size))
        return false;
    tile->matrix = *shape;
    tile->subgroup = info->limits.subgroup_size_min;
    if (tile->subgroup > 64) { /* a row has 8 keys for each of its lanes at least */
        snprintf(why, why_size, "the device has subgroups of %u, more than 64", tile->subgroup);
        return false;
    }
    if (row->held)
        return fit_held(&info->limits, d, tile, why, why_size);
    /* As few subgroups share rows as hold the output; beyond what they can, it is made in slices. In the softmax a row
     * has 8 keys for each of its lanes, or more. */
    const uint32_t features = output_registers(tile->subgroup, d) * tile->subgroup / shape->m;
    tile->columns = 1;
    while (tile->columns * features < d->dim_v && 2 * tile->columns * shape->n <= tile->bc &&
           2 * tile->columns * tile->subgroup * 8 <= tile->bc * shape->m &&
           2 * tile->columns * tile->subgroup * row->br / shape->m <= info->limits.max_group_size)
        tile->columns *= 2;
    tile->group = tile->columns * tile->subgroup * row->br / shape->m;
    tile->slice = round_up(ceil_div(d->dim_v, ceil_div(d->dim_v, tile->columns * features)), 16);
    return true;
}

void heed_lower_matrix_describe(const struct lowering *l, struct heed_step *step)
{
    const struct tile *tile = l->tile;
    step->spec[HEED_SPEC_Q_SHARED] = tile->held ? tile->two_tiles : keeps_q(tile, l->d);
    step->spec[HEED_SPEC_MATRIX_M] = tile->matrix.m;
    step->spec[HEED_SPEC_MATRIX_N] = tile->matrix.n;
    if (tile->held)
        step->spec[HEED_SPEC_WIDE] = l->wide;
    else
        step->spec[HEED_SPEC_MATRIX_K] = tile->matrix.k;
}
