/* SPDX-License-Identifier: MIT
 * Attention's list of kernels, and the way from a problem to a lowering. */
#include "lower_attention.h"
#include "preferences.h"

#include <stdio.h>

enum {
    ROWS_SLICE = 128, /* lanes that own rows keep slice / 4 vec4 a row: beyond this they live in memory anyway */
    ROWS_DIM_QK = 256,
};

/* Rows x keys of a tile. 128 invocations are what every device has. Output accumulators are 4 vec4 a lane at most:
 * 16 rows of 128 features, 8 of 256, 4 of 512. */
#define TILE(kernel, group, br, bc)                                                                                    \
    {                                                                                                                  \
        kernel, group, br, bc, br, 16 * (group) / (br) < 4 * (group) ? 16 * (group) / (br) : 4 * (group)               \
    }
#define ROWS(group, br)                                                                                                \
    {                                                                                                                  \
        HEED_KERNEL_ATTN_ROWS, group, br, 4, (group) * (br), ROWS_SLICE                                                \
    }
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
        {d->mask == HEED_MASK_BOOL, HEED_ATTN_MASK_BOOL},
        {d->mask == HEED_MASK_ADD, HEED_ATTN_MASK_ADD},
        {d->causal, HEED_ATTN_CAUSAL},
        {d->window_left >= 0 || d->window_right >= 0, HEED_ATTN_WINDOW},
        {d->diagonal == HEED_DIAGONAL_TOP_LEFT, HEED_ATTN_TOP_LEFT},
        {d->key_lengths, HEED_ATTN_KEY_LENGTHS},
        {d->total_q > 0, HEED_ATTN_PACKED_Q},
        {d->total_kv > 0, HEED_ATTN_PACKED_KV},
        {d->key_bias, HEED_ATTN_KEY_BIAS},
        {d->alibi, HEED_ATTN_ALIBI},
        {d->distance_dims > 0, HEED_ATTN_DISTANCE},
        {d->sinks, HEED_ATTN_SINKS},
        {d->softcap > 0.0f, HEED_ATTN_SOFTCAP},
        {d->softcap > 0.0f && d->softcap_order == HEED_SOFTCAP_AFTER_BIAS, HEED_ATTN_SOFTCAP_AFTER},
        {d->lse, HEED_ATTN_WRITE_LSE},
        {d->entropy, HEED_ATTN_WRITE_ENTROPY},
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
    const struct part whole = {0, l->d->batch, 0, l->d->heads_q, 0, l->d->len_q};
    return heed_lower_cut(l, &whole);
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
    enum heed_status status = heed_lower_choose_splits(&l);
    if (status == HEED_OK)
        status = heed_lower_side_table(&l);
    if (status != HEED_OK)
        return status;
    l.fits = heed_lower_fused_fits;
    l.emit = heed_lower_emit_fused;
    l.partial_o = plan->scratch_bytes;
    status = lower_parts(&l);
    if (status != HEED_OK || !l.d->weights || l.d->len_kv == 0)
        return status;
    l.fits = heed_lower_staged_fits;
    l.emit = heed_lower_emit_weights;
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
    enum heed_status status = heed_lower_side_table(&l);
    if (status != HEED_OK)
        return status;
    if (plan->op == HEED_OP_ATTENTION && !l.d->weights) {
        l.matrix.arg = HEED_ARG_SCRATCH;
        l.matrix.offset = plan->scratch_bytes;
        l.matrix_scratch = true;
    }
    l.fits = heed_lower_staged_fits;
    l.emit = heed_lower_emit_staged;
    return lower_parts(&l);
}

/* ---- the list */

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

static bool accepts_fused(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const struct heed_limits *limits = &plan->device->info.limits;
    uint32_t preferences = heed_preferences(&plan->device->info);
    if (d->path == HEED_PATH_STAGED)
        snprintf(why, why_size, "the path asked for is staged");
    else if (d->path == HEED_PATH_AUTO && d->weights)
        snprintf(why, why_size, "weights are asked for, and staged makes them on the way");
    else if (tile->kernel == HEED_KERNEL_ATTN_ROWS && d->dim_qk > ROWS_DIM_QK)
        snprintf(why, why_size, "dim_qk %u is more than the %d that a lane keeps", d->dim_qk, ROWS_DIM_QK);
    else if (tile->kernel == HEED_KERNEL_ATTN_ROWS && (preferences & HEED_AVOIDS_ROWS))
        snprintf(why, why_size, "this driver takes minutes to compile it");
    else if (tile->kernel == HEED_KERNEL_ATTN_ROWS && (preferences & HEED_AVOIDS_WIDE_ROWS) &&
             d->dim_qk + d->dim_v > HEED_NARROW_ROWS)
        snprintf(why, why_size, "this driver takes minutes to compile it for more than %d features", HEED_NARROW_ROWS);
    else if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && limits->no_subgroups)
        snprintf(why, why_size, "subgroups are switched off");
    else if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && !plan->device->info.has_subgroups)
        snprintf(why, why_size, "the device has no subgroup arithmetic in compute shaders");
    else
        return within_limits(limits, tile->group, heed_lower_shared_bytes(tile, 0), why, why_size);
    return false;
}

/* Wide tiles reuse keys more; they must be filled, and their output must fit the accumulators in one slice. */
static bool prefers_fused(const struct heed_candidate *self, const heed_plan *plan)
{
    const struct tile *tile = self->tile;
    const struct heed_attention_desc *d = &plan->problem.attention.desc;
    const uint32_t preferences = heed_preferences(&plan->device->info);
    if (tile->kernel == HEED_KERNEL_ATTN_ROWS) /* half the rows of a group busy */
        return (preferences & HEED_PREFERS_ROWS) && d->len_q >= tile->group;
    if (tile->br > 8 && (preferences & HEED_PREFERS_SMALL_TILES))
        return false;
    /* Where subgroups are narrow, rows take turns, and the compilers of Mali (16 lanes) and V3D (16) spill: 37 and 384
     * in the 16x32 tile of 128 features, none without subgroups. */
    if (tile->kernel == HEED_KERNEL_ATTN_FUSED_SUBGROUP && plan->device->info.limits.subgroup_size_min < 32)
        return false;
    if (tile->br == 1)
        return true;
    return d->len_q > tile->br / 2 && heed_lower_slice(tile, d->dim_v) >= d->dim_v;
}

static bool accepts_staged(const struct heed_candidate *self, const heed_plan *plan, char *why, size_t why_size)
{
    (void)self;
    const struct heed_limits *limits = &plan->device->info.limits;
    uint32_t shared = 4 * STAGE_BR * STAGE_BC > 8 * STAGE_GROUP ? 4 * STAGE_BR * STAGE_BC : 8 * STAGE_GROUP;
    if (plan->op == HEED_OP_ATTENTION && plan->problem.attention.desc.path == HEED_PATH_FUSED)
        snprintf(why, why_size, "the path asked for is fused");
    else
        return within_limits(limits, STAGE_GROUP, shared, why, why_size);
    return false;
}

#define FUSED(name, i)                                                                                                 \
    {                                                                                                                  \
        name, accepts_fused, lower_fused, &tiles[i], prefers_fused                                                     \
    }

const struct heed_candidate *heed_attention_candidates(enum heed_op op, uint32_t *count)
{
    static const struct heed_candidate attention[] = {
        FUSED("attn_fused__rows_2x4", 0),       FUSED("attn_fused__subgroup_16x32", 1),
        FUSED("attn_fused__subgroup_8x32", 2),  FUSED("attn_fused__subgroup_4x64", 3),
        FUSED("attn_fused__subgroup_1x256", 4), FUSED("attn_fused__plain_16x32", 5),
        FUSED("attn_fused__plain_8x32", 6),     FUSED("attn_fused__plain_4x64", 7),
        FUSED("attn_fused__plain_1x256", 8),    {"attn_staged__plain", accepts_staged, lower_staged, NULL, NULL},
    };
    static const struct heed_candidate scores[] = {{"attn_scores__plain", accepts_staged, lower_staged, NULL, NULL}};
    static const struct heed_candidate softmax[] = {{"attn_softmax__plain", accepts_staged, lower_staged, NULL, NULL}};
    static const struct heed_candidate aggregate[] = {
        {"attn_aggregate__plain", accepts_staged, lower_staged, NULL, NULL}};
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
