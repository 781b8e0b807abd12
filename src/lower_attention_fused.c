/* SPDX-License-Identifier: MIT
 * The fused path: how many keys a split and a step take, and the steps of a part. */
#include "lower_attention.h"

enum {
    MERGE_GROUP = 64,
    CORE_GROUPS = 2,   /* so that cores end at about the same time */
    LEAST_CHUNK = 128, /* keys of a split: fewer would cost less than writing and merging their part of the output */
};

uint32_t heed_lower_slice(const struct tile *tile, uint32_t dim_v)
{
    if (dim_v <= tile->slice)
        return dim_v;
    return ceil_div(ceil_div(dim_v, ceil_div(dim_v, tile->slice)), 4) * 4; /* all about as long */
}

bool heed_lower_fused_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    const struct tensor *const all[] = {&l->q, &l->k, &l->v, &l->o, &l->mask};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!heed_lower_tensor_fits(l, all[i], part, axis))
            return false;
    uint32_t slices = ceil_div(l->d->dim_v, heed_lower_slice(l->tile, l->d->dim_v)), most = l->limits->max_group_count;
    uint32_t splits = ceil_div(l->step_keys, l->key_chunk);
    *axis = (uint64_t)ceil_div(part->rows, l->tile->rows) * slices > most || (l->partial && part->rows > most)
                ? AXIS_ROW
            : part->heads > most                      ? AXIS_HEAD
            : (uint64_t)part->batches * splits > most ? AXIS_BATCH
                                                      : AXIS_NONE;
    if (*axis != AXIS_NONE)
        return false;
    if (l->partial) {
        uint64_t all_splits = ceil_div(l->d->len_kv, l->key_chunk);
        uint64_t rows = l->d->total_q > 0 ? (uint64_t)part->heads * l->d->total_q
                                          : (uint64_t)part->batches * part->heads * part->rows;
        if (all_splits * rows * (l->d->dim_v + 4) * 4 > l->limits->max_storage_range) {
            *axis = l->d->total_q > 0 && part->heads > 1 ? AXIS_HEAD : heed_lower_any_axis(l, part);
            if (*axis == AXIS_STUCK || (l->d->total_q > 0 && part->heads == 1)) {
                *axis = AXIS_STUCK;
                heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                          "attention: partial results of %llu key splits exceed a binding of %llu bytes",
                          (unsigned long long)all_splits, (unsigned long long)l->limits->max_storage_range);
            }
            return false;
        }
    }
    return heed_lower_time_fits(l, part, axis);
}

static bool is_tile(const struct tile *tile)
{
    return tile->kernel == HEED_KERNEL_ATTN_FUSED || tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP;
}

enum heed_status heed_lower_emit_fused(struct lowering *l, const struct part *part)
{
    const struct heed_attention_desc *d = l->d;
    const struct tile *tile = l->tile;
    uint32_t slice = heed_lower_slice(tile, d->dim_v), slices = ceil_div(d->dim_v, slice);
    uint32_t splits = d->len_kv > 0 ? ceil_div(d->len_kv, l->key_chunk) : 1;
    uint32_t row_total = d->total_q > 0 ? part->heads * d->total_q : part->batches * part->heads * part->rows;
    uint64_t o_bytes = (uint64_t)row_total * d->dim_v * 4, sums_bytes = (uint64_t)row_total * 16;
    if (l->partial) { /* parts run one after another and share the room */
        uint64_t wanted = l->partial_o + splits * (o_bytes + sums_bytes) + HEED_SCRATCH_ALIGNMENT;
        if (wanted > l->plan->scratch_bytes)
            heed_plan_add_scratch(l->plan, wanted - l->plan->scratch_bytes);
        l->partial_sums = l->partial_o + (splits * o_bytes + HEED_SCRATCH_ALIGNMENT - 1) / HEED_SCRATCH_ALIGNMENT *
                                             HEED_SCRATCH_ALIGNMENT;
    }
    uint32_t key0 = 0;
    do {
        uint32_t keys = min_u32(l->step_keys, d->len_kv - key0), split0 = key0 / l->key_chunk;
        uint32_t step_splits = keys > 0 ? ceil_div(keys, l->key_chunk) : 1;
        struct heed_step *step = heed_lower_add_step(l, tile->kernel, tile->group, key0 == 0);
        if (!step)
            return heed_fail_memory(l->plan->device->context);
        heed_lower_describe(l, step, part, key0, keys, &l->q, &l->o, tile->br, tile->bc);
        if (is_tile(tile)) {
            struct tile_layout layout = heed_lower_tile_layout(tile, d, &l->plan->device->info);
            step->spec[HEED_SPEC_Q_SHARED] = layout.q_shared;
            step->spec[HEED_SPEC_STAGE] = layout.stage;
            step->spec[HEED_SPEC_VALUE_ROWS] = layout.value_rows;
            step->spec[HEED_SPEC_VALUE_COLUMNS] = layout.value_columns;
        }
        step->spec[HEED_SPEC_DIM_V_SLICE] = slice;
        if (tile->by_word)
            step->spec[HEED_SPEC_BY_WORD] = 1;
        if (tile->touches)
            step->spec[HEED_SPEC_TOUCH] = 1;
        if (tile->lanes > 0) {
            step->spec[HEED_SPEC_LANES] = tile->lanes;
            step->spec[HEED_SPEC_COLUMNS] = tile->vectors;
        }
        if (tile->subgroup > 0) {
            step->subgroup_size = tile->subgroup;
            step->spec[HEED_SPEC_SUBGROUP] = tile->subgroup;
        }
        if (tile->matrix.m > 0)
            heed_lower_matrix_describe(l, step);
        heed_lower_bind_part(l, step, HEED_ATTN_Q, &l->q, part, 0, 0);
        if (keys > 0) {
            heed_lower_bind_part(l, step, HEED_ATTN_K, &l->k, part, key0, keys);
            heed_lower_bind_part(l, step, HEED_ATTN_V, &l->v, part, key0, keys);
        }
        heed_lower_bind_terms(l, step, part, key0, keys, !l->partial);
        if (l->partial) {
            step->spec[HEED_SPEC_FLAGS] |= HEED_ATTN_PARTIAL;
            heed_lower_set_splits(step, l->key_chunk, row_total);
            heed_lower_bind(step, HEED_ATTN_O, HEED_ARG_SCRATCH, 4, l->partial_o + split0 * o_bytes,
                            step_splits * o_bytes);
            heed_lower_bind(step, HEED_ATTN_LSE, HEED_ARG_SCRATCH, 4, l->partial_sums + split0 * sums_bytes,
                            step_splits * sums_bytes);
        } else {
            heed_lower_bind_part(l, step, HEED_ATTN_O, &l->o, part, 0, 0);
        }
        heed_lower_fill_holes(step);
        step->groups[0] = ceil_div(part->rows, tile->rows) * slices;
        step->groups[1] = part->heads;
        step->groups[2] = part->batches * step_splits;
        key0 += keys;
    } while (key0 < d->len_kv);
    if (!l->partial)
        return HEED_OK;

    struct heed_step *step = heed_lower_add_step(l, HEED_KERNEL_ATTN_MERGE, MERGE_GROUP, true);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    heed_lower_describe(l, step, part, 0, d->len_kv, &l->q, &l->o, 1, 1);
    heed_lower_set_splits(step, splits, row_total);
    double row_flops = 2.0 * splits * (d->dim_v + 8);
    step->ns = heed_rate_ns(&l->rate, row_flops * part->batches * part->heads * part->rows, row_flops);
    heed_lower_bind(step, HEED_ATTN_Q, HEED_ARG_SCRATCH, 4, l->partial_o, splits * o_bytes);
    heed_lower_bind(step, HEED_ATTN_K, HEED_ARG_SCRATCH, 4, l->partial_sums, splits * sums_bytes);
    heed_lower_bind_part(l, step, HEED_ATTN_O, &l->o, part, 0, 0);
    heed_lower_bind_terms(l, step, part, 0, d->len_kv, true);
    heed_lower_fill_holes(step);
    step->groups[0] = part->rows;
    step->groups[1] = part->heads;
    step->groups[2] = part->batches;
    return HEED_OK;
}

/* Work groups that keep a device busy: two of 128 invocations on each of its units, as ggml's Vulkan backend takes.
 * Where the driver does not tell how many there are (Intel, Qualcomm, Apple), as many as a middling device of the type
 * has. */
static uint32_t enough_groups(const struct heed_device_info *info, const struct tile *tile, uint32_t len_kv)
{
    if (tile->lanes > 0) /* a group is one work-item, and keeps a core busy */
        return CORE_GROUPS * (info->compute_units > 0 ? info->compute_units : 2);
    if (info->type == HEED_DEVICE_CPU) /* 4 heads of 64 rows x 1024 keys, 16 lanes: 4 groups 0.93 ms, 8 1.08 */
        return tile->owns == LANE_OWNS_ROWS && len_kv >= HEED_LANES_MANY_KEYS ? HEED_LANES_GROUPS : 4;
    uint32_t units = info->compute_units > 0                ? info->compute_units
                     : info->type == HEED_DEVICE_DISCRETE   ? 32
                     : info->type == HEED_DEVICE_INTEGRATED ? 8
                                                            : 16;
    return ceil_div(256 * (uint64_t)units, tile->group);
}

enum heed_status heed_lower_choose_splits(struct lowering *l)
{
    const struct heed_attention_desc *d = l->d;
    const struct tile *tile = l->tile;
    l->key_chunk = l->step_keys = d->len_kv > 0 ? d->len_kv : 1;
    if (d->len_kv == 0)
        return HEED_OK;
    uint64_t step_keys = d->len_kv;
    if (d->total_kv == 0) {
        const struct tensor *const both[] = {&l->k, &l->v};
        for (int i = 0; i < 2; i++) {
            uint64_t room = l->limits->max_storage_range - l->limits->min_offset_alignment;
            uint64_t elements = room / heed_dtype_size(both[i]->dtype);
            uint64_t keys = elements < both[i]->dim    ? 0
                            : both[i]->stride_row == 0 ? d->len_kv
                                                       : (elements - both[i]->dim) / both[i]->stride_row + 1;
            step_keys = keys < step_keys ? keys : step_keys;
        }
        if (step_keys < d->len_kv)
            step_keys -= step_keys % tile->bc;
        if (step_keys == 0)
            return heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                             "attention: %u keys of one head do not fit a binding of %llu bytes", tile->bc,
                             (unsigned long long)l->limits->max_storage_range);
    }
    uint64_t most_chunk = step_keys;
    l->pair_flops =
        heed_lower_pair_flops((uint64_t)d->dim_qk * ceil_div(d->dim_v, heed_lower_slice(tile, d->dim_v)) + d->dim_v);
    heed_lower_limit_keys(l, tile->bc, &most_chunk, &step_keys);
    /* Few rows leave a wide device idle: split the keys until there are enough work groups. */
    uint64_t groups = (uint64_t)d->batch * d->heads_q * ceil_div(d->len_q, tile->rows) *
                      ceil_div(d->dim_v, heed_lower_slice(tile, d->dim_v));
    uint64_t enough = enough_groups(&l->plan->device->info, tile, d->len_kv);
    uint64_t splits = groups > 0 && groups < enough ? enough / groups : 1;
    uint64_t least_chunk = tile->bc < LEAST_CHUNK ? LEAST_CHUNK : tile->bc;
    uint64_t chunk = (uint64_t)ceil_div(d->len_kv, splits);
    chunk = chunk < least_chunk ? least_chunk : chunk;
    chunk = (chunk + tile->bc - 1) / tile->bc * tile->bc;
    chunk = chunk < most_chunk ? chunk : most_chunk;
    l->key_chunk = min_u32(chunk < step_keys ? chunk : step_keys, d->len_kv);
    l->step_keys = min_u32(step_keys / l->key_chunk * l->key_chunk, d->len_kv);
    if (step_keys == d->len_kv)
        l->step_keys = d->len_kv;
    l->step_keys = min_u32(l->step_keys, (uint64_t)l->key_chunk * l->limits->max_group_count);
    l->partial = l->key_chunk < d->len_kv;
    return HEED_OK;
}
