/* SPDX-License-Identifier: MIT
 * Lowering attention: from a problem and a row of the list in select_attention.c to steps. */
#include "lower_attention.h"

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

static bool is_vector(const struct heed_attention_desc *d, const struct heed_view *view, uint32_t dim, uint32_t total,
                      uint32_t n)
{
    return dim % n == 0 && (total > 0 || view->stride_batch % n == 0) && view->stride_head % n == 0 &&
           view->stride_row % n == 0 && d->offset_alignment % (n * heed_dtype_size(view->dtype)) == 0;
}

bool heed_lower_is_vector(const struct heed_attention_desc *d, uint32_t n)
{
    return is_vector(d, &d->q, d->dim_qk, d->total_q, n) && is_vector(d, &d->k, d->dim_qk, d->total_kv, n) &&
           is_vector(d, &d->v, d->dim_v, d->total_kv, n) && is_vector(d, &d->o, d->dim_v, d->total_q, 4);
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
        .row_quantum = tile ? tile->rows : 1,
    };
    l.q = view_tensor(HEED_ARG_Q, &d->q, d->dim_qk, false, d->total_q);
    l.k = view_tensor(HEED_ARG_K, &d->k, d->dim_qk, true, d->total_kv);
    l.v = view_tensor(HEED_ARG_V, &d->v, d->dim_v, true, d->total_kv);
    l.o = view_tensor(HEED_ARG_O, &d->o, d->dim_v, false, d->total_q);
    l.vector = heed_lower_is_vector(d, 4);
    l.wide = heed_lower_is_vector(d, 8);
    l.mask = (struct tensor){
        .arg = HEED_ARG_MASK,
        .dtype = d->mask == HEED_MASK_NONE ? HEED_BOOL : d->mask_dtype,
        .stride_batch = d->mask_stride_batch,
        .stride_head = d->mask_stride_head,
        .stride_row = d->mask_stride_row,
        .dim = d->mask == HEED_MASK_NONE ? 0 : d->len_kv,
    };
    l.rate = heed_rate(&plan->device->info, tile && tile->matrix.m > 0);
    l.pair_flops = heed_lower_pair_flops((uint64_t)d->dim_qk + d->dim_v);
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

static enum heed_status lower_fused(heed_plan *plan, const struct tile *tile)
{
    struct lowering l = lowering_init(plan, tile);
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
    l.stages = heed_lower_preferred_stages(plan);
    l.row_quantum = heed_lower_stage_rows(&l);
    l.rate = heed_rate(&plan->device->info, false);
    l.key_chunk = l.step_keys = l.d->len_kv;
    l.pair_flops = heed_lower_pair_flops((uint64_t)l.d->dim_qk + l.d->dim_v);
    return lower_parts(&l);
}

enum heed_status heed_lower_fused(const struct heed_candidate *self, heed_plan *plan)
{
    return lower_fused(plan, self->tile);
}

enum heed_status heed_lower_matrix(const struct heed_candidate *self, heed_plan *plan)
{
    struct tile tile;
    char why[256];
    if (!heed_lower_matrix_tile(plan, self->tile, &tile, why, sizeof why))
        return heed_fail(plan->device->context, HEED_ERR_UNSUPPORTED, "attention: %s: %s", self->name, why);
    return lower_fused(plan, &tile);
}

enum heed_status heed_lower_staged(const struct heed_candidate *self, heed_plan *plan)
{
    const struct tile *tile = self->tile;
    struct lowering l = lowering_init(plan, NULL);
    l.stages = tile->stages;
    l.row_quantum = heed_lower_stage_rows(&l);
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
