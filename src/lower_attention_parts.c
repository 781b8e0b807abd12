/* SPDX-License-Identifier: MIT
 * Attention cut into parts that no limit of the device is too small for, and the steps of a part. */
#include "lower_attention.h"

#include <string.h>

enum { PACK_GROUP = 64 };

/* Bytes of `t` that a part touches with `keys` keys, and where they begin. */
static uint64_t part_bytes(const struct lowering *l, const struct tensor *t, const struct part *part, uint32_t key0,
                           uint32_t keys, uint64_t *begin)
{
    uint32_t group = l->p->group;
    uint64_t head0 = t->keys ? part->head0 / group : part->head0;
    uint64_t heads = t->keys ? (part->head0 + part->heads - 1) / group - head0 + 1 : part->heads;
    uint64_t row0 = t->keys ? key0 : part->row0, rows = t->keys ? keys : part->rows;
    uint64_t batch0 = part->batch0, batches = part->batches;
    if (t->whole_batches) {
        batch0 = 0;
        batches = 1;
        row0 = 0;
        rows = t->whole_rows;
    }
    const uint64_t length[] = {batches, heads, rows, t->dim};
    const uint64_t stride[] = {t->stride_batch, t->stride_head, t->stride_row, 1};
    uint64_t first = batch0 * t->stride_batch + head0 * t->stride_head + row0 * t->stride_row;
    *begin = t->offset + first * heed_dtype_size(t->dtype);
    return heed_extent_bytes(t->dtype, 4, length, stride).value;
}

/* Of the axes that can still be cut, the one along which this tensor reaches furthest. */
static enum axis longest_axis(const struct lowering *l, const struct tensor *t, const struct part *part)
{
    uint64_t batch = t->whole_batches ? 0 : (uint64_t)(part->batches - 1) * t->stride_batch;
    uint64_t heads = t->keys ? (part->heads - 1) / l->p->group : part->heads - 1;
    uint64_t head = heads * t->stride_head;
    uint64_t row = t->keys || t->whole_batches || part->rows <= l->row_quantum ? 0 : (part->rows - 1) * t->stride_row;
    if (batch == 0 && head == 0 && row == 0)
        return AXIS_STUCK;
    return batch >= head && batch >= row ? AXIS_BATCH : head >= row ? AXIS_HEAD : AXIS_ROW;
}

bool heed_lower_tensor_fits(const struct lowering *l, const struct tensor *t, const struct part *part, enum axis *axis)
{
    uint64_t begin, bytes = part_bytes(l, t, part, 0, l->step_keys, &begin);
    /* The binding may begin up to an alignment earlier. */
    if (bytes + l->limits->min_offset_alignment <= l->limits->max_storage_range)
        return true;
    *axis = longest_axis(l, t, part);
    if (*axis == AXIS_STUCK)
        heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                  "attention: one head of \"%s\" spans %llu bytes and a binding at most %llu (maxStorageBufferRange)",
                  heed_arg_name(t->arg), (unsigned long long)bytes, (unsigned long long)l->limits->max_storage_range);
    return false;
}

enum axis heed_lower_any_axis(const struct lowering *l, const struct part *part)
{
    return part->batches > 1             ? AXIS_BATCH
           : part->heads > 1             ? AXIS_HEAD
           : part->rows > l->row_quantum ? AXIS_ROW
                                         : AXIS_STUCK;
}

/* Keys that a block of rows can attend to at most. */
static uint64_t keys_of_rows(const struct lowering *l)
{
    const struct heed_attention_desc *d = l->d;
    bool top_left = d->diagonal == HEED_DIAGONAL_TOP_LEFT;
    uint64_t ahead = top_left ? d->len_kv : d->len_q, behind = top_left ? d->len_q : d->len_kv;
    if (d->window && d->window_left >= 0)
        behind = (uint64_t)d->window_left;
    if (d->window && d->window_right >= 0)
        ahead = (uint64_t)d->window_right;
    return min_u32(d->len_kv, behind + (d->causal ? 0 : ahead) + l->row_quantum);
}

double heed_lower_pair_flops(uint64_t dims)
{
    return 2.0 * (double)dims + 16.0; /* an exponential is about 10 */
}

static uint64_t step_ns(const struct lowering *l, const struct part *part, uint32_t keys)
{
    double quantum = l->row_quantum, rows = ceil_div(part->rows, l->row_quantum) * quantum;
    uint64_t attended = min_u32(keys_of_rows(l), keys);
    double group = quantum * (double)min_u32(attended, l->key_chunk) * l->pair_flops;
    double total = (double)part->batches * part->heads * rows * (double)attended * l->pair_flops;
    return heed_rate_ns(&l->rate, total, group);
}

bool heed_lower_time_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    if (step_ns(l, part, l->step_keys) <= l->limits->max_dispatch_ns)
        return true;
    *axis = heed_lower_any_axis(l, part);
    return *axis == AXIS_STUCK; /* a block of rows is the least that a step can do */
}

static uint64_t limit_keys(uint64_t keys, double most, uint32_t quantum)
{
    if ((double)keys <= most)
        return keys;
    return most < 2.0 * quantum ? quantum : (uint64_t)most / quantum * quantum;
}

void heed_lower_limit_keys(const struct lowering *l, uint32_t quantum, uint64_t *chunk, uint64_t *step_keys)
{
    uint64_t attended = keys_of_rows(l);
    double seconds = 1e-9 * (double)l->limits->max_dispatch_ns, key = l->row_quantum * l->pair_flops;
    if ((double)attended * key > seconds * l->rate.group)
        *chunk = limit_keys(*chunk, seconds * l->rate.group / key, quantum);
    if ((double)attended * key > seconds * l->rate.device)
        *step_keys = limit_keys(*step_keys, seconds * l->rate.device / key, quantum);
}

enum heed_status heed_lower_cut(struct lowering *l, const struct part *part)
{
    enum axis axis = AXIS_NONE;
    if (l->fits(l, part, &axis))
        return l->emit(l, part);
    struct part a = *part, b = *part;
    if ((axis == AXIS_BATCH && part->batches < 2) || (axis == AXIS_HEAD && part->heads < 2))
        return heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                         "attention: one %s needs more than %u work groups", axis == AXIS_BATCH ? "batch" : "head",
                         l->limits->max_group_count);
    if (axis == AXIS_ROW && part->rows <= l->row_quantum)
        return heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                         "attention: a tile of %u rows needs more than %u work groups", l->row_quantum,
                         l->limits->max_group_count);
    switch (axis) {
    case AXIS_BATCH:
        a.batches = part->batches / 2;
        b.batch0 += a.batches;
        b.batches -= a.batches;
        break;
    case AXIS_HEAD:
        a.heads = part->heads / 2;
        if (a.heads > l->p->group) /* heads that share keys stay together where possible */
            a.heads -= a.heads % l->p->group;
        b.head0 += a.heads;
        b.heads -= a.heads;
        break;
    case AXIS_ROW:
        a.rows = ceil_div(part->rows / 2, l->row_quantum) * l->row_quantum;
        b.row0 += a.rows;
        b.rows -= a.rows;
        break;
    default:
        return HEED_ERR_UNSUPPORTED;
    }
    enum heed_status status = heed_lower_cut(l, &a);
    return status == HEED_OK ? heed_lower_cut(l, &b) : status;
}

/* ---- steps */

void heed_lower_bind(struct heed_step *step, uint32_t slot, enum heed_arg_id arg, uint32_t element_bytes,
                     uint64_t offset, uint64_t bytes)
{
    if (slot >= step->binding_count)
        step->binding_count = slot + 1;
    step->bindings[slot] = (struct heed_step_binding){arg, element_bytes, offset, bytes};
}

void heed_lower_bind_part(const struct lowering *l, struct heed_step *step, uint32_t slot, const struct tensor *t,
                          const struct part *part, uint32_t key0, uint32_t keys)
{
    uint64_t begin, bytes = part_bytes(l, t, part, key0, keys, &begin);
    if (bytes > 0)
        heed_lower_bind(step, slot, t->arg, (uint32_t)heed_dtype_size(t->dtype), begin, bytes);
}

struct heed_step *heed_lower_add_step(struct lowering *l, enum heed_kernel kernel, uint32_t group, bool barrier)
{
    bool first = l->plan->step_count == 0;
    struct heed_step *step = heed_plan_add_step(l->plan);
    if (!step)
        return NULL;
    step->kernel = kernel;
    step->spec[HEED_SPEC_GROUP] = group;
    step->barrier = !first && (barrier || l->after_pack);
    l->after_pack = false;
    return step;
}

bool heed_lower_fill_holes(struct heed_step *step)
{
    uint32_t used = 0;
    while (used < step->binding_count && step->bindings[used].bytes == 0)
        used++;
    if (used == step->binding_count)
        return false;
    for (uint32_t i = 0; i < HEED_MAX_BINDINGS; i++) {
        bool written = i == HEED_ATTN_O || i == HEED_ATTN_LSE || i == HEED_ATTN_ENTROPY;
        if (step->bindings[i].bytes == 0)
            step->bindings[i] = step->bindings[written && step->bindings[HEED_ATTN_O].bytes > 0 ? HEED_ATTN_O : used];
    }
    step->binding_count = HEED_MAX_BINDINGS;
    return true;
}

void heed_lower_describe(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
                         uint32_t keys, const struct tensor *q, const struct tensor *o, uint32_t br, uint32_t bc)
{
    const struct heed_attention_desc *d = l->d;
    const struct heed_attn_push push = {
        .len_q = d->len_q,
        .len_kv = d->len_kv,
        .heads = d->heads_q | l->p->group << 16,
        .q_stride_batch = (uint32_t)q->stride_batch,
        .q_stride_head = (uint32_t)q->stride_head,
        .q_stride_row = (uint32_t)q->stride_row,
        .k_stride_batch = (uint32_t)l->k.stride_batch,
        .k_stride_head = (uint32_t)l->k.stride_head,
        .k_stride_row = (uint32_t)l->k.stride_row,
        .v_stride_batch = (uint32_t)l->v.stride_batch,
        .v_stride_head = (uint32_t)l->v.stride_head,
        .v_stride_row = (uint32_t)l->v.stride_row,
        .o_stride_batch = (uint32_t)o->stride_batch,
        .o_stride_head = (uint32_t)o->stride_head,
        .o_stride_row = (uint32_t)o->stride_row,
        .mask_stride_batch = (uint32_t)l->mask.stride_batch,
        .mask_stride_head = (uint32_t)l->mask.stride_head,
        .mask_stride_row = (uint32_t)l->mask.stride_row,
        .row0 = part->row0,
        .rows = part->rows,
        .key0 = key0,
        .keys = keys,
        .batch0 = part->batch0,
        .head0 = part->head0,
        .key_chunk = l->key_chunk,
        .scale = d->scale,
        .softcap = d->softcap,
        .window_left = d->window_left,
        .window_right = d->window_right,
    };
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
    step->ns = step_ns(l, part, keys);
    step->spec_count = HEED_ATTN_SPEC_COUNT;
    step->spec[HEED_SPEC_BR] = br;
    step->spec[HEED_SPEC_BC] = bc;
    step->spec[HEED_SPEC_DIM_QK] = d->dim_qk;
    step->spec[HEED_SPEC_DIM_V] = d->dim_v;
    step->spec[HEED_SPEC_FLAGS] = l->flags;
    step->spec[HEED_SPEC_DTYPES] = (uint32_t)d->q.dtype | (uint32_t)d->k.dtype << 4 | (uint32_t)d->v.dtype << 8 |
                                   (uint32_t)d->o.dtype << 12 | (uint32_t)d->mask_dtype << 16;
    step->spec[HEED_SPEC_VECTOR] = l->vector;
    step->spec[HEED_SPEC_DIM_V_SLICE] = d->dim_v;
    step->spec[HEED_SPEC_POS_DIMS] = d->distance_dims;
}

void heed_lower_set_splits(struct heed_step *step, uint32_t key_chunk, uint32_t row_total)
{
    struct heed_attn_push push;
    memcpy(&push, step->push, sizeof push);
    push.key_chunk = key_chunk;
    push.row_total = row_total;
    memcpy(step->push, &push, sizeof push);
}

void heed_lower_bind_terms(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
                           uint32_t keys, bool row_results)
{
    uint64_t begin;
    struct tensor mask = l->mask;
    mask.dim = keys;
    if (l->d->mask != HEED_MASK_NONE) {
        uint64_t bytes = part_bytes(l, &mask, part, 0, 0, &begin);
        heed_lower_bind(step, HEED_ATTN_MASK, HEED_ARG_MASK, (uint32_t)heed_dtype_size(mask.dtype),
                        begin + key0 * heed_dtype_size(mask.dtype), bytes);
    }
    if (l->side_bytes > 0)
        heed_lower_bind(step, HEED_ATTN_SIDE, HEED_ARG_SCRATCH, 4, l->side, l->side_bytes);
    if (row_results && l->d->lse)
        heed_lower_bind_part(l, step, HEED_ATTN_LSE, &l->lse, part, 0, 0);
    if (row_results && l->d->entropy)
        heed_lower_bind_part(l, step, HEED_ATTN_ENTROPY, &l->entropy, part, 0, 0);
}

enum heed_status heed_lower_side_table(struct lowering *l)
{
    static const struct {
        uint32_t entry;
        enum heed_arg_id arg;
    } entries[] = {
        {HEED_SIDE_KEY_LENGTHS, HEED_ARG_KEY_LENGTHS},
        {HEED_SIDE_CU_SEQLENS_Q, HEED_ARG_CU_SEQLENS_Q},
        {HEED_SIDE_CU_SEQLENS_KV, HEED_ARG_CU_SEQLENS_KV},
        {HEED_SIDE_KEY_BIAS, HEED_ARG_KEY_BIAS},
        {HEED_SIDE_ALIBI, HEED_ARG_ALIBI},
        {HEED_SIDE_DISTANCE, HEED_ARG_DISTANCE},
        {HEED_SIDE_SINKS, HEED_ARG_SINKS},
        {HEED_SIDE_Q_POS, HEED_ARG_Q_POS},
        {HEED_SIDE_K_POS, HEED_ARG_K_POS},
    };
    enum { ENTRIES = sizeof entries / sizeof *entries };
    const struct heed_args *args = &l->p->args;
    struct heed_pack_push push = {.inline_count = HEED_SIDE_HEADER};
    uint64_t at[ENTRIES], end = HEED_SCRATCH_ALIGNMENT; /* the header has the first region */
    uint32_t used = 0;
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!args->arg[entries[i].arg].present || args->arg[entries[i].arg].bytes == 0)
            continue;
        used++;
        at[i] = end;
        push.inline_words[entries[i].entry] = (uint32_t)(end / 4);
        end += (args->arg[entries[i].arg].bytes + HEED_SCRATCH_ALIGNMENT - 1) / HEED_SCRATCH_ALIGNMENT *
               HEED_SCRATCH_ALIGNMENT;
        if (end > l->limits->max_storage_range)
            return heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                             "attention: the side tensors up to \"%s\" take %llu bytes and a binding at most %llu",
                             heed_arg_name(entries[i].arg), (unsigned long long)end,
                             (unsigned long long)l->limits->max_storage_range);
    }
    if (used == 0)
        return HEED_OK;
    push.inline_words[HEED_SIDE_KEY_BIAS_STRIDE_BATCH] = (uint32_t)l->p->key_bias_stride_batch;
    push.inline_words[HEED_SIDE_KEY_BIAS_STRIDE_HEAD] = (uint32_t)l->p->key_bias_stride_head;
    push.inline_words[HEED_SIDE_Q_POS_STRIDE_BATCH] = (uint32_t)l->p->q_pos_stride_batch;
    push.inline_words[HEED_SIDE_K_POS_STRIDE_BATCH] = (uint32_t)l->p->k_pos_stride_batch;
    push.inline_words[HEED_SIDE_TOTAL_Q] = l->d->total_q;
    push.inline_words[HEED_SIDE_TOTAL_KV] = l->d->total_kv;
    l->side_bytes = end;
    l->side = heed_plan_add_scratch(l->plan, end);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        if (!args->arg[entries[i].arg].present || args->arg[entries[i].arg].bytes == 0)
            continue;
        struct heed_step *step = heed_lower_add_step(l, HEED_KERNEL_PACK, PACK_GROUP, false);
        if (!step)
            return heed_fail_memory(l->plan->device->context);
        uint64_t bytes = args->arg[entries[i].arg].bytes;
        push.count = (uint32_t)(bytes / 4);
        push.dst_word = push.inline_count > 0 ? (uint32_t)(at[i] / 4) : 0;
        step->spec_count = 1;
        step->ns = heed_rate_ns(&l->rate, push.count, PACK_GROUP);
        step->groups[0] = min_u32(ceil_div(push.count, PACK_GROUP), l->limits->max_group_count);
        step->groups[1] = step->groups[2] = 1;
        heed_lower_bind(step, HEED_PACK_SRC, entries[i].arg, 4, 0, bytes);
        if (push.inline_count > 0) /* the first also writes the header */
            heed_lower_bind(step, HEED_PACK_DST, HEED_ARG_SCRATCH, 4, l->side, at[i] + bytes);
        else
            heed_lower_bind(step, HEED_PACK_DST, HEED_ARG_SCRATCH, 4, l->side + at[i], bytes);
        memcpy(step->push, &push, sizeof push);
        step->push_words = sizeof push / 4;
        push.inline_count = 0;
    }
    l->after_pack = true;
    return HEED_OK;
}
