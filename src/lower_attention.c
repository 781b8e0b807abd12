/* SPDX-License-Identifier: MIT
 * Attention as steps: which kernels there are, and how a problem is cut so that no step breaks a limit of the device. */
#include "plan.h"
#include "preferences.h"

#include <stdio.h>
#include <string.h>

/* ---- kernels and tiles */

struct tile {
    enum heed_kernel kernel;
    uint32_t group; /* invocations */
    uint32_t br;    /* HEED_SPEC_BR: rows of the group, or of a lane where a lane owns rows */
    uint32_t bc;    /* keys */
    uint32_t rows;  /* of the group */
    uint32_t slice; /* features of the output that a group can make */
};

enum {
    ROWS_SLICE = 128, /* lanes that own rows keep slice / 4 vec4 a row: beyond this they live in memory anyway */
    ROWS_DIM_QK = 256,
};

/* Rows x keys of a tile. 128 invocations are what every device has. Output accumulators are 4 vec4 a lane at most:
 * 16 rows of 128 features, 8 of 256, 4 of 512. */
#define TILE(kernel, group, br, bc) \
    { kernel, group, br, bc, br, 16 * (group) / (br) < 4 * (group) ? 16 * (group) / (br) : 4 * (group) }
#define ROWS(group, br) { HEED_KERNEL_ATTN_ROWS, group, br, 4, (group) * (br), ROWS_SLICE }
/* 2 rows a lane: 15.1 GFLOP per CPU second on lavapipe 26.1 (512 x 512 keys of 64 features); 4 rows: 10.9. */
static const struct tile tiles[] = {
    ROWS(8, 2),
    TILE(HEED_KERNEL_ATTN_FUSED_SUBGROUP, 128, 16, 32),
    TILE(HEED_KERNEL_ATTN_FUSED_SUBGROUP, 128, 8, 32),
    TILE(HEED_KERNEL_ATTN_FUSED_SUBGROUP, 128, 4, 64),
    TILE(HEED_KERNEL_ATTN_FUSED_SUBGROUP, 64, 1, 256),
    TILE(HEED_KERNEL_ATTN_FUSED, 128, 16, 32),
    TILE(HEED_KERNEL_ATTN_FUSED, 128, 8, 32),
    TILE(HEED_KERNEL_ATTN_FUSED, 128, 4, 64),
    TILE(HEED_KERNEL_ATTN_FUSED, 64, 1, 256),
};

enum {
    STAGE_GROUP = 64,      /* invocations of scores, softmax and aggregate */
    STAGE_BR = 4,          /* rows of a lane in scores and aggregate: ROWS there */
    STAGE_BC = 32,         /* keys that aggregate holds in shared memory */
    MERGE_GROUP = 64,
    PACK_GROUP = 64,
};

/* ---- a part of the problem that one step can do */

struct part {
    uint32_t batch0, batches, head0, heads, row0, rows;
};

enum axis { AXIS_NONE, AXIS_BATCH, AXIS_HEAD, AXIS_ROW, AXIS_STUCK };

/* A tensor as steps see it: any may be cut along batch, head and row. */
struct tensor {
    enum heed_arg_id arg;
    enum heed_dtype dtype;
    uint64_t offset; /* bytes from the argument's start, for scratch */
    uint64_t stride_batch, stride_head, stride_row;
    uint32_t dim;       /* adjacent features */
    bool keys;          /* its rows are keys, its heads key heads */
    bool whole_batches; /* packed sequences: every step sees all rows of it */
    uint64_t whole_rows;
};

struct lowering {
    heed_plan *plan;
    const struct heed_attention_problem *p;
    const struct heed_attention_desc *d;
    const struct heed_limits *limits;
    const struct tile *tile;
    struct tensor q, k, v, o, mask, lse, entropy, matrix;
    uint32_t flags;
    bool vector;
    bool after_pack;      /* the next step must see the side table */
    uint64_t side, side_bytes;
    uint32_t key_chunk;   /* keys of one split */
    uint32_t step_keys;   /* keys of one step: a multiple of key_chunk, or all */
    bool partial;
    uint64_t partial_o, partial_sums; /* scratch */
    bool matrix_scratch;  /* staged, with the matrix in scratch at `matrix.offset` */
    uint64_t matrix_bytes;
    enum heed_status (*emit)(struct lowering *l, const struct part *part);
    bool (*fits)(const struct lowering *l, const struct part *part, enum axis *axis);
    uint32_t row_quantum; /* parts begin at multiples of it, so that cutting does not change the tiles */
};

static uint32_t ceil_div(uint64_t a, uint64_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t min_u32(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

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
    const uint64_t length[] = { batches, heads, rows, t->dim };
    const uint64_t stride[] = { t->stride_batch, t->stride_head, t->stride_row, 1 };
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

static bool tensor_fits(const struct lowering *l, const struct tensor *t, const struct part *part, enum axis *axis)
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

static enum axis any_axis(const struct lowering *l, const struct part *part)
{
    return part->batches > 1               ? AXIS_BATCH
           : part->heads > 1               ? AXIS_HEAD
           : part->rows > l->row_quantum ? AXIS_ROW
                                           : AXIS_STUCK;
}

/* Keys that a row can attend to at most. */
static uint64_t keys_of_row(const struct lowering *l)
{
    const struct heed_attention_desc *d = l->d;
    uint64_t keys = d->len_kv;
    if (d->window && d->window_left >= 0 && d->window_right >= 0)
        keys = min_u32(keys, (uint64_t)d->window_left + (uint64_t)d->window_right + l->row_quantum);
    return keys;
}

static bool time_fits(const struct lowering *l, const struct part *part, uint64_t dims, enum axis *axis)
{
    double flops = 2.0 * part->batches * part->heads * part->rows * (double)keys_of_row(l) * (double)dims;
    if (flops <= (double)l->limits->max_dispatch_flops)
        return true;
    *axis = any_axis(l, part);
    return *axis == AXIS_STUCK; /* a block of rows is the least that a step can do */
}

/* Cuts a part in two until it fits, and emits its steps. */
static enum heed_status cut(struct lowering *l, const struct part *part)
{
    enum axis axis = AXIS_NONE;
    if (l->fits(l, part, &axis))
        return l->emit(l, part);
    struct part a = *part, b = *part;
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
    enum heed_status status = cut(l, &a);
    return status == HEED_OK ? cut(l, &b) : status;
}

/* ---- steps */

static void bind(struct heed_step *step, uint32_t slot, enum heed_arg_id arg, uint32_t element_bytes, uint64_t offset,
                 uint64_t bytes)
{
    if (slot >= step->binding_count)
        step->binding_count = slot + 1;
    step->bindings[slot] = (struct heed_step_binding){ arg, element_bytes, offset, bytes };
}

static void bind_part(const struct lowering *l, struct heed_step *step, uint32_t slot, const struct tensor *t,
                      const struct part *part, uint32_t key0, uint32_t keys)
{
    uint64_t begin, bytes = part_bytes(l, t, part, key0, keys, &begin);
    if (bytes > 0)
        bind(step, slot, t->arg, (uint32_t)heed_dtype_size(t->dtype), begin, bytes);
}

static struct heed_step *add_step(struct lowering *l, enum heed_kernel kernel, uint32_t group, bool barrier)
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

/* Sets have no holes: what a kernel declares and this step does not use is bound to something of the step that is
 * accessed in the same way. False: the step uses nothing at all. */
static bool fill_holes(struct heed_step *step)
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

/* What every attention kernel is told; `q`, `k`, `v`, `o` give the strides. */
static void describe(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
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

static void set_row_total(struct heed_step *step, uint32_t row_total)
{
    struct heed_attn_push push;
    memcpy(&push, step->push, sizeof push);
    push.row_total = row_total;
    memcpy(step->push, &push, sizeof push);
}

static void bind_terms(const struct lowering *l, struct heed_step *step, const struct part *part, uint32_t key0,
                       uint32_t keys, bool row_results)
{
    uint64_t begin;
    struct tensor mask = l->mask;
    mask.dim = keys;
    if (l->d->mask != HEED_MASK_NONE) {
        uint64_t bytes = part_bytes(l, &mask, part, 0, 0, &begin);
        bind(step, HEED_ATTN_MASK, HEED_ARG_MASK, (uint32_t)heed_dtype_size(mask.dtype),
             begin + key0 * heed_dtype_size(mask.dtype), bytes);
    }
    if (l->side_bytes > 0)
        bind(step, HEED_ATTN_SIDE, HEED_ARG_SCRATCH, 4, l->side, l->side_bytes);
    if (row_results && l->d->lse)
        bind_part(l, step, HEED_ATTN_LSE, &l->lse, part, 0, 0);
    if (row_results && l->d->entropy)
        bind_part(l, step, HEED_ATTN_ENTROPY, &l->entropy, part, 0, 0);
}

/* Copies the small tensors behind one header into scratch. */
static enum heed_status add_side_table(struct lowering *l)
{
    static const struct {
        uint32_t entry;
        enum heed_arg_id arg;
    } entries[] = {
        { HEED_SIDE_KEY_LENGTHS, HEED_ARG_KEY_LENGTHS }, { HEED_SIDE_CU_SEQLENS_Q, HEED_ARG_CU_SEQLENS_Q },
        { HEED_SIDE_CU_SEQLENS_KV, HEED_ARG_CU_SEQLENS_KV }, { HEED_SIDE_KEY_BIAS, HEED_ARG_KEY_BIAS },
        { HEED_SIDE_ALIBI, HEED_ARG_ALIBI }, { HEED_SIDE_DISTANCE, HEED_ARG_DISTANCE },
        { HEED_SIDE_SINKS, HEED_ARG_SINKS }, { HEED_SIDE_Q_POS, HEED_ARG_Q_POS }, { HEED_SIDE_K_POS, HEED_ARG_K_POS },
    };
    enum { ENTRIES = sizeof entries / sizeof *entries };
    const struct heed_args *args = &l->p->args;
    struct heed_pack_push push = { .inline_count = HEED_SIDE_HEADER };
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
        struct heed_step *step = add_step(l, HEED_KERNEL_PACK, PACK_GROUP, false);
        if (!step)
            return heed_fail_memory(l->plan->device->context);
        uint64_t bytes = args->arg[entries[i].arg].bytes;
        push.count = (uint32_t)(bytes / 4);
        push.dst_word = push.inline_count > 0 ? (uint32_t)(at[i] / 4) : 0;
        step->spec_count = 1;
        step->groups[0] = min_u32(ceil_div(push.count, PACK_GROUP), l->limits->max_group_count);
        step->groups[1] = step->groups[2] = 1;
        bind(step, HEED_PACK_SRC, entries[i].arg, 4, 0, bytes);
        if (push.inline_count > 0) /* the first also writes the header */
            bind(step, HEED_PACK_DST, HEED_ARG_SCRATCH, 4, l->side, at[i] + bytes);
        else
            bind(step, HEED_PACK_DST, HEED_ARG_SCRATCH, 4, l->side + at[i], bytes);
        memcpy(step->push, &push, sizeof push);
        step->push_words = sizeof push / 4;
        push.inline_count = 0;
    }
    l->after_pack = true;
    return HEED_OK;
}

/* ---- fused */

static uint32_t slice_of(const struct tile *tile, uint32_t dim_v)
{
    return dim_v < tile->slice ? dim_v : tile->slice;
}

static uint32_t shared_bytes(const struct tile *tile, uint32_t q_vectors)
{
    if (tile->kernel == HEED_KERNEL_ATTN_ROWS)
        return 0;
    return 16 * tile->br * q_vectors + 4 * tile->br * (tile->bc + 1) + 16 * tile->br + 4 * tile->group + 16;
}

static bool fused_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    const struct tensor *const all[] = { &l->q, &l->k, &l->v, &l->o, &l->mask };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!tensor_fits(l, all[i], part, axis))
            return false;
    uint32_t slices = ceil_div(l->d->dim_v, slice_of(l->tile, l->d->dim_v)), most = l->limits->max_group_count;
    uint32_t splits = ceil_div(l->step_keys, l->key_chunk);
    *axis = (uint64_t)ceil_div(part->rows, l->tile->rows) * slices > most || (l->partial && part->rows > most) ? AXIS_ROW
            : part->heads > most                                                             ? AXIS_HEAD
            : (uint64_t)part->batches * splits > most                                        ? AXIS_BATCH
                                                                                             : AXIS_NONE;
    if (*axis != AXIS_NONE)
        return false;
    if (l->partial) {
        uint64_t all_splits = ceil_div(l->d->len_kv, l->key_chunk);
        uint64_t rows = l->d->total_q > 0 ? (uint64_t)part->heads * l->d->total_q
                                          : (uint64_t)part->batches * part->heads * part->rows;
        if (all_splits * rows * (l->d->dim_v + 4) * 4 > l->limits->max_storage_range) {
            *axis = l->d->total_q > 0 && part->heads > 1 ? AXIS_HEAD : any_axis(l, part);
            if (*axis == AXIS_STUCK || (l->d->total_q > 0 && part->heads == 1)) {
                *axis = AXIS_STUCK;
                heed_fail(l->plan->device->context, HEED_ERR_UNSUPPORTED,
                          "attention: partial results of %llu key splits exceed a binding of %llu bytes",
                          (unsigned long long)all_splits, (unsigned long long)l->limits->max_storage_range);
            }
            return false;
        }
    }
    return time_fits(l, part, (uint64_t)l->d->dim_qk * slices + l->d->dim_v, axis);
}

static enum heed_status emit_fused(struct lowering *l, const struct part *part)
{
    const struct heed_attention_desc *d = l->d;
    const struct tile *tile = l->tile;
    uint32_t slice = slice_of(tile, d->dim_v), slices = ceil_div(d->dim_v, slice);
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
        struct heed_step *step = add_step(l, tile->kernel, tile->group, key0 == 0);
        if (!step)
            return heed_fail_memory(l->plan->device->context);
        describe(l, step, part, key0, keys, &l->q, &l->o, tile->br, tile->bc);
        step->spec[HEED_SPEC_Q_SHARED] = shared_bytes(tile, ceil_div(d->dim_qk, 4)) <= l->limits->max_shared_bytes;
        step->spec[HEED_SPEC_DIM_V_SLICE] = slice;
        bind_part(l, step, HEED_ATTN_Q, &l->q, part, 0, 0);
        if (keys > 0) {
            bind_part(l, step, HEED_ATTN_K, &l->k, part, key0, keys);
            bind_part(l, step, HEED_ATTN_V, &l->v, part, key0, keys);
        }
        bind_terms(l, step, part, key0, keys, !l->partial);
        if (l->partial) {
            step->spec[HEED_SPEC_FLAGS] |= HEED_ATTN_PARTIAL;
            set_row_total(step, row_total);
            bind(step, HEED_ATTN_O, HEED_ARG_SCRATCH, 4, l->partial_o + split0 * o_bytes, step_splits * o_bytes);
            bind(step, HEED_ATTN_LSE, HEED_ARG_SCRATCH, 4, l->partial_sums + split0 * sums_bytes,
                 step_splits * sums_bytes);
        } else {
            bind_part(l, step, HEED_ATTN_O, &l->o, part, 0, 0);
        }
        fill_holes(step);
        step->groups[0] = ceil_div(part->rows, tile->rows) * slices;
        step->groups[1] = part->heads;
        step->groups[2] = part->batches * step_splits;
        key0 += keys;
    } while (key0 < d->len_kv);
    if (!l->partial)
        return HEED_OK;

    struct heed_step *step = add_step(l, HEED_KERNEL_ATTN_MERGE, MERGE_GROUP, true);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    describe(l, step, part, 0, d->len_kv, &l->q, &l->o, 1, 1);
    struct heed_attn_push push;
    memcpy(&push, step->push, sizeof push);
    push.key_chunk = splits;
    push.row_total = row_total;
    memcpy(step->push, &push, sizeof push);
    bind(step, HEED_ATTN_Q, HEED_ARG_SCRATCH, 4, l->partial_o, splits * o_bytes);
    bind(step, HEED_ATTN_K, HEED_ARG_SCRATCH, 4, l->partial_sums, splits * sums_bytes);
    bind_part(l, step, HEED_ATTN_O, &l->o, part, 0, 0);
    bind_terms(l, step, part, 0, d->len_kv, true);
    fill_holes(step);
    step->groups[0] = part->rows;
    step->groups[1] = part->heads;
    step->groups[2] = part->batches;
    return HEED_OK;
}

/* How many keys one split and one step take. */
static enum heed_status choose_splits(struct lowering *l)
{
    const struct heed_attention_desc *d = l->d;
    const struct tile *tile = l->tile;
    l->key_chunk = l->step_keys = d->len_kv > 0 ? d->len_kv : 1;
    if (d->len_kv == 0)
        return HEED_OK;
    uint64_t step_keys = d->len_kv;
    if (d->total_kv == 0) {
        const struct tensor *const both[] = { &l->k, &l->v };
        for (int i = 0; i < 2; i++) {
            uint64_t room = l->limits->max_storage_range - l->limits->min_offset_alignment;
            uint64_t elements = room / heed_dtype_size(both[i]->dtype);
            uint64_t keys = elements < both[i]->dim      ? 0
                            : both[i]->stride_row == 0   ? d->len_kv
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
    /* Few rows leave a wide device idle: split the keys until there are enough work groups. */
    uint64_t groups = (uint64_t)d->batch * d->heads_q * ceil_div(d->len_q, tile->rows) *
                      ceil_div(d->dim_v, slice_of(tile, d->dim_v));
    uint64_t enough = l->plan->device->info.type == HEED_DEVICE_CPU ? 4 : 64;
    uint64_t splits = groups > 0 && groups < enough ? enough / groups : 1;
    uint64_t least_chunk = 4 * (uint64_t)tile->bc;
    uint64_t chunk = (uint64_t)ceil_div(d->len_kv, splits);
    chunk = chunk < least_chunk ? least_chunk : chunk;
    chunk = (chunk + tile->bc - 1) / tile->bc * tile->bc;
    l->key_chunk = min_u32(chunk < step_keys ? chunk : step_keys, d->len_kv);
    l->step_keys = min_u32(step_keys / l->key_chunk * l->key_chunk, d->len_kv);
    if (step_keys == d->len_kv)
        l->step_keys = d->len_kv;
    l->partial = l->key_chunk < d->len_kv;
    return HEED_OK;
}

/* ---- staged */

static bool staged_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    const struct heed_attention_desc *d = l->d;
    bool scores = l->plan->op == HEED_OP_ATTENTION || l->plan->op == HEED_OP_SCORES;
    bool aggregate = l->plan->op == HEED_OP_ATTENTION || l->plan->op == HEED_OP_AGGREGATE;
    if ((scores && !(tensor_fits(l, &l->q, part, axis) && tensor_fits(l, &l->k, part, axis))) ||
        (aggregate && !(tensor_fits(l, &l->v, part, axis) && tensor_fits(l, &l->o, part, axis))) ||
        !tensor_fits(l, &l->mask, part, axis) || !tensor_fits(l, &l->matrix, part, axis))
        return false;
    uint64_t most = l->limits->max_group_count;
    uint64_t row_blocks = ceil_div(part->rows, STAGE_BR), key_blocks = ceil_div(d->len_kv, STAGE_GROUP);
    uint64_t feature_blocks = ceil_div(d->dim_v, 4 * STAGE_GROUP);
    *axis = part->rows > most || row_blocks * key_blocks > most || row_blocks * feature_blocks > most ? AXIS_ROW
            : part->heads > most                                                                     ? AXIS_HEAD
            : part->batches > most                                                                   ? AXIS_BATCH
                                                                                                     : AXIS_NONE;
    if (*axis != AXIS_NONE)
        return false;
    return time_fits(l, part, (uint64_t)d->dim_qk + d->dim_v, axis);
}

static enum heed_status emit_stage(struct lowering *l, const struct part *part, enum heed_op stage, bool row_results)
{
    static const enum heed_kernel kernels[] = {
        [HEED_OP_SCORES] = HEED_KERNEL_ATTN_SCORES,
        [HEED_OP_SOFTMAX] = HEED_KERNEL_ATTN_SOFTMAX,
        [HEED_OP_AGGREGATE] = HEED_KERNEL_ATTN_AGGREGATE,
    };
    const struct heed_attention_desc *d = l->d;
    struct tensor matrix = l->matrix, input = l->matrix;
    if (l->plan->op == HEED_OP_SOFTMAX)
        input.arg = HEED_ARG_SCORES;
    if (l->matrix_scratch && d->total_q == 0) { /* in scratch only this part's rows are kept */
        matrix.stride_head = (uint64_t)part->rows * d->len_kv;
        matrix.stride_batch = part->heads * matrix.stride_head;
        input = matrix;
    }
    const struct tensor *in = stage == HEED_OP_SCORES ? &l->q : &input, *out = stage == HEED_OP_AGGREGATE ? &l->o : &matrix;
    /* Parts of a matrix in scratch follow one another in the same room. */
    bool barrier = l->plan->op == HEED_OP_ATTENTION || l->plan->step_count > 0;
    struct heed_step *step = add_step(l, kernels[stage], STAGE_GROUP, barrier);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    describe(l, step, part, 0, d->len_kv, in, out, STAGE_BR, STAGE_BC);
    struct part place = *part;
    if (l->matrix_scratch && d->total_q == 0)
        place.batch0 = place.head0 = place.row0 = 0;
    bind_part(l, step, HEED_ATTN_Q, in, in == &l->q ? part : &place, 0, 0);
    if (stage == HEED_OP_SCORES && d->len_kv > 0)
        bind_part(l, step, HEED_ATTN_K, &l->k, part, 0, d->len_kv);
    if (stage == HEED_OP_AGGREGATE && d->len_kv > 0)
        bind_part(l, step, HEED_ATTN_V, &l->v, part, 0, d->len_kv);
    bind_part(l, step, HEED_ATTN_O, out, out == &l->o ? part : &place, 0, 0);
    if (stage == HEED_OP_SOFTMAX)
        bind_terms(l, step, part, 0, d->len_kv, row_results);
    else if (l->side_bytes > 0)
        bind(step, HEED_ATTN_SIDE, HEED_ARG_SCRATCH, 4, l->side, l->side_bytes);
    if (stage != HEED_OP_SOFTMAX) /* only where sequences lie concerns the other two */
        step->spec[HEED_SPEC_FLAGS] &= HEED_ATTN_PACKED_Q | HEED_ATTN_PACKED_KV;
    else if (!row_results)
        step->spec[HEED_SPEC_FLAGS] &= ~(HEED_ATTN_WRITE_LSE | HEED_ATTN_WRITE_ENTROPY);
    if (!fill_holes(step)) { /* a row without keys, and nobody asks for its lse */
        l->plan->step_count--;
        return HEED_OK;
    }
    step->groups[0] = stage == HEED_OP_SOFTMAX  ? part->rows
                      : stage == HEED_OP_SCORES ? ceil_div(part->rows, STAGE_BR) * ceil_div(d->len_kv, STAGE_GROUP)
                                                : ceil_div(part->rows, STAGE_BR) * ceil_div(d->dim_v, 4 * STAGE_GROUP);
    step->groups[1] = part->heads;
    step->groups[2] = part->batches;
    return HEED_OK;
}

static enum heed_status emit_staged(struct lowering *l, const struct part *part)
{
    const struct heed_attention_desc *d = l->d;
    enum heed_op op = l->plan->op;
    if (op != HEED_OP_ATTENTION)
        return emit_stage(l, part, op, true);
    if (l->matrix_scratch) {
        uint64_t rows = d->total_q > 0 ? (uint64_t)d->heads_q * d->total_q
                                       : (uint64_t)part->batches * part->heads * part->rows;
        uint64_t wanted = l->matrix.offset + rows * d->len_kv * 4;
        if (wanted > l->plan->scratch_bytes)
            heed_plan_add_scratch(l->plan, wanted - l->plan->scratch_bytes);
    }
    enum heed_status status = HEED_OK;
    if (d->len_kv > 0)
        status = emit_stage(l, part, HEED_OP_SCORES, false);
    if (status == HEED_OK)
        status = emit_stage(l, part, HEED_OP_SOFTMAX, true);
    if (status == HEED_OK)
        status = emit_stage(l, part, HEED_OP_AGGREGATE, false);
    return status;
}

/* The weights beside a fused output: the first two stages, into the caller's tensor. */
static enum heed_status emit_weights(struct lowering *l, const struct part *part)
{
    enum heed_status status = emit_stage(l, part, HEED_OP_SCORES, false);
    return status == HEED_OK ? emit_stage(l, part, HEED_OP_SOFTMAX, false) : status;
}

/* ---- from the problem to a lowering */

static struct tensor view_tensor(enum heed_arg_id arg, const struct heed_view *view, uint32_t dim, bool keys,
                                 uint32_t total)
{
    return (struct tensor){
        .arg = arg,
        .dtype = view->dtype,
        .stride_batch = total > 0 ? 0 : view->stride_batch,
        .stride_head = view->stride_head,
        .stride_row = view->stride_row,
        .dim = dim,
        .keys = keys,
        .whole_batches = total > 0,
        .whole_rows = total,
    };
}

static bool is_vector(const struct heed_attention_desc *d, const struct tensor *t)
{
    return t->dim % 4 == 0 && t->stride_batch % 4 == 0 && t->stride_head % 4 == 0 && t->stride_row % 4 == 0 &&
           d->offset_alignment % (4 * heed_dtype_size(t->dtype)) == 0;
}

static uint32_t flags_of(const struct heed_attention_desc *d)
{
    const struct {
        bool on;
        uint32_t flag;
    } all[] = {
        { d->mask == HEED_MASK_BOOL, HEED_ATTN_MASK_BOOL },
        { d->mask == HEED_MASK_ADD, HEED_ATTN_MASK_ADD },
        { d->causal, HEED_ATTN_CAUSAL },
        { d->window_left >= 0 || d->window_right >= 0, HEED_ATTN_WINDOW },
        { d->diagonal == HEED_DIAGONAL_TOP_LEFT, HEED_ATTN_TOP_LEFT },
        { d->key_lengths, HEED_ATTN_KEY_LENGTHS },
        { d->total_q > 0, HEED_ATTN_PACKED_Q },
        { d->total_kv > 0, HEED_ATTN_PACKED_KV },
        { d->key_bias, HEED_ATTN_KEY_BIAS },
        { d->alibi, HEED_ATTN_ALIBI },
        { d->distance_dims > 0, HEED_ATTN_DISTANCE },
        { d->sinks, HEED_ATTN_SINKS },
        { d->softcap > 0.0f, HEED_ATTN_SOFTCAP },
        { d->softcap > 0.0f && d->softcap_order == HEED_SOFTCAP_AFTER_BIAS, HEED_ATTN_SOFTCAP_AFTER },
        { d->lse, HEED_ATTN_WRITE_LSE },
        { d->entropy, HEED_ATTN_WRITE_ENTROPY },
    };
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        flags |= all[i].on ? all[i].flag : 0;
    return flags;
}

static struct lowering lowering_init(heed_plan *plan, const struct tile *tile)
{
    const struct heed_attention_problem *p = &plan->problem.attention;
    const struct heed_attention_desc *d = &p->desc;
    struct lowering l = {
        .plan = plan,
        .p = p,
        .d = d,
        .limits = &plan->device->info.limits,
        .tile = tile,
        .flags = flags_of(d),
        .key_chunk = d->len_kv > 0 ? d->len_kv : 1,
        .step_keys = d->len_kv,
        .row_quantum = tile ? tile->rows : STAGE_BR,
    };
    l.q = view_tensor(HEED_ARG_Q, &d->q, d->dim_qk, false, d->total_q);
    l.k = view_tensor(HEED_ARG_K, &d->k, d->dim_qk, true, d->total_kv);
    l.v = view_tensor(HEED_ARG_V, &d->v, d->dim_v, true, d->total_kv);
    l.o = view_tensor(HEED_ARG_O, &d->o, d->dim_v, false, d->total_q);
    l.vector = is_vector(d, &l.q) && is_vector(d, &l.k) && is_vector(d, &l.v) && is_vector(d, &l.o);
    l.mask = (struct tensor){
        .arg = HEED_ARG_MASK,
        .dtype = d->mask == HEED_MASK_NONE ? HEED_BOOL : d->mask_dtype,
        .stride_batch = d->mask_stride_batch,
        .stride_head = d->mask_stride_head,
        .stride_row = d->mask_stride_row,
        .dim = d->mask == HEED_MASK_NONE ? 0 : d->len_kv,
    };
    uint32_t rows = d->total_q > 0 ? d->total_q : d->len_q;
    l.lse = (struct tensor){
        .arg = HEED_ARG_LSE,
        .stride_batch = d->total_q > 0 ? 0 : (uint64_t)d->heads_q * rows,
        .stride_head = rows,
        .stride_row = 1,
        .dim = 1,
        .whole_batches = d->total_q > 0,
        .whole_rows = d->total_q,
    };
    l.entropy = l.lse;
    l.entropy.arg = HEED_ARG_ENTROPY;
    l.matrix = l.lse;
    l.matrix.arg = plan->op == HEED_OP_SCORES ? HEED_ARG_SCORES : HEED_ARG_WEIGHTS;
    l.matrix.stride_batch *= d->len_kv;
    l.matrix.stride_head *= d->len_kv;
    l.matrix.stride_row = d->len_kv;
    l.matrix.dim = d->len_kv;
    return l;
}

static enum heed_status lower_parts(struct lowering *l)
{
    const struct part whole = { 0, l->d->batch, 0, l->d->heads_q, 0, l->d->len_q };
    return cut(l, &whole);
}

static bool nothing_to_do(const struct heed_attention_desc *d, enum heed_op op)
{
    /* Without rows there is no output; without keys there are outputs, but no matrix. */
    return d->batch == 0 || d->len_q == 0 || (d->len_kv == 0 && op == HEED_OP_SCORES);
}

static enum heed_status lower_fused(const struct heed_candidate *self, heed_plan *plan)
{
    struct lowering l = lowering_init(plan, self->tile);
    if (nothing_to_do(l.d, plan->op))
        return HEED_OK;
    enum heed_status status = choose_splits(&l);
    if (status == HEED_OK)
        status = add_side_table(&l);
    if (status != HEED_OK)
        return status;
    l.fits = fused_fits;
    l.emit = emit_fused;
    l.partial_o = plan->scratch_bytes;
    status = lower_parts(&l);
    if (status != HEED_OK || !l.d->weights || l.d->len_kv == 0)
        return status;
    l.fits = staged_fits;
    l.emit = emit_weights;
    l.row_quantum = STAGE_BR;
    l.step_keys = l.d->len_kv;
    return lower_parts(&l);
}

static enum heed_status lower_staged(const struct heed_candidate *self, heed_plan *plan)
{
    (void)self;
    struct lowering l = lowering_init(plan, NULL);
    if (nothing_to_do(l.d, plan->op))
        return HEED_OK;
    enum heed_status status = add_side_table(&l);
    if (status != HEED_OK)
        return status;
    if (plan->op == HEED_OP_ATTENTION && !l.d->weights) {
        l.matrix.arg = HEED_ARG_SCRATCH;
        l.matrix.offset = plan->scratch_bytes;
        l.matrix_scratch = true;
    }
    l.fits = staged_fits;
    l.emit = emit_staged;
    return lower_parts(&l);
}

/* ---- the list */

static bool accepts_fused(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    uint32_t shared = shared_bytes(tile, 0);
    if (d->path == HEED_PATH_STAGED)
        snprintf(why, why_size, "the path asked for is staged");
    else if (d->path == HEED_PATH_AUTO && d->weights)
        snprintf(why, why_size, "weights are asked for, and staged makes them on the way");
    else if (tile->kernel == HEED_KERNEL_ATTN_ROWS && d->dim_qk > ROWS_DIM_QK)
        snprintf(why, why_size, "dim_qk %u is more than the %d that a lane keeps", d->dim_qk, ROWS_DIM_QK);
    else if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && limits->no_subgroups)
        snprintf(why, why_size, "subgroups are switched off");
    else if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && !plan->device->info.has_subgroups)
        snprintf(why, why_size, "the device has no subgroup arithmetic in compute shaders");
    else if (tile->group > limits->max_group_size)
        snprintf(why, why_size, "%u invocations are more than %u", tile->group, limits->max_group_size);
    else if (shared > limits->max_shared_bytes)
        snprintf(why, why_size, "%u bytes of shared memory are more than %u", shared, limits->max_shared_bytes);
    else if (HEED_MAX_BINDINGS > limits->max_storage_buffers)
        snprintf(why, why_size, "%d storage buffers are more than %u", HEED_MAX_BINDINGS, limits->max_storage_buffers);
    else
        return true;
    return false;
}

/* Wide tiles reuse keys more; they must be filled, and their output must fit the accumulators in one slice. */
static bool prefers_fused(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    if (tile->kernel == HEED_KERNEL_ATTN_ROWS) /* half the rows of a group busy */
        return (heed_preferences(&plan->device->info) & HEED_PREFERS_ROWS) && d->len_q >= tile->group;
    /* Where subgroups are narrow, rows take turns, and the compilers of Mali (16 lanes) and V3D (16) spill: 37 and 384 in
     * the 16x32 tile of 128 features, none without subgroups. */
    if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && plan->device->info.limits.subgroup_size_min < 32)
        return false;
    if (tile->br == 1)
        return true;
    return d->len_q > tile->br / 2 && slice_of(tile, d->dim_v) >= d->dim_v;
}

static bool accepts_staged(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    (void)self;
    const struct heed_limits *limits = &plan->device->info.limits;
    uint32_t shared = 4 * STAGE_BR * STAGE_BC > 8 * STAGE_GROUP ? 4 * STAGE_BR * STAGE_BC : 8 * STAGE_GROUP;
    if (plan->op == HEED_OP_ATTENTION && plan->problem.attention.desc.path == HEED_PATH_FUSED)
        snprintf(why, why_size, "the path asked for is fused");
    else if (STAGE_GROUP > limits->max_group_size)
        snprintf(why, why_size, "%d invocations are more than %u", STAGE_GROUP, limits->max_group_size);
    else if (shared > limits->max_shared_bytes)
        snprintf(why, why_size, "%u bytes of shared memory are more than %u", shared, limits->max_shared_bytes);
    else if (HEED_MAX_BINDINGS > limits->max_storage_buffers)
        snprintf(why, why_size, "%d storage buffers are more than %u", HEED_MAX_BINDINGS, limits->max_storage_buffers);
    else
        return true;
    return false;
}

#define FUSED(name, i) { name, accepts_fused, lower_fused, &tiles[i], prefers_fused }

const struct heed_candidate *heed_attention_candidates(enum heed_op op, uint32_t *count)
{
    static const struct heed_candidate attention[] = {
        FUSED("attn_fused__rows_2x4", 0),        FUSED("attn_fused__subgroup_16x32", 1),
        FUSED("attn_fused__subgroup_8x32", 2),   FUSED("attn_fused__subgroup_4x64", 3),
        FUSED("attn_fused__subgroup_1x256", 4),  FUSED("attn_fused__plain_16x32", 5),
        FUSED("attn_fused__plain_8x32", 6),      FUSED("attn_fused__plain_4x64", 7),
        FUSED("attn_fused__plain_1x256", 8),
        { "attn_staged__plain", accepts_staged, lower_staged, NULL, NULL },
    };
    static const struct heed_candidate scores[] = { { "attn_scores__plain", accepts_staged, lower_staged, NULL, NULL } };
    static const struct heed_candidate softmax[] = { { "attn_softmax__plain", accepts_staged, lower_staged, NULL, NULL } };
    static const struct heed_candidate aggregate[] = {
        { "attn_aggregate__plain", accepts_staged, lower_staged, NULL, NULL }
    };
    switch (op) {
    case HEED_OP_SCORES:
        *count = 1;
        return scores;
    case HEED_OP_SOFTMAX:
        *count = 1;
        return softmax;
    case HEED_OP_AGGREGATE:
        *count = 1;
        return aggregate;
    default:
        *count = sizeof attention / sizeof *attention;
        return attention;
    }
}
