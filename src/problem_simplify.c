/* SPDX-License-Identifier: MIT
 * Attention problems rewritten to equal ones that cost less: bounds that bound nothing are dropped, and heads that
 * share their keys become rows of one head, so that keys and values are read once for all of them. */
#include "problem.h"

/* A bound on one side of the diagonal that no pair reaches. The last row stands on the last key (or, top left, the
 * first on the first), whatever the lengths of a sequence are. */
static void drop_bounds(struct heed_attention_desc *d)
{
    bool top_left = d->diagonal == HEED_DIAGONAL_TOP_LEFT;
    int64_t most_ahead = (int64_t)(top_left ? d->len_kv : d->len_q) - 1;
    int64_t most_behind = (int64_t)(top_left ? d->len_q : d->len_kv) - 1;
    if (most_ahead <= 0)
        d->causal = false;
    if (d->window_right >= most_ahead)
        d->window_right = HEED_WINDOW_NONE;
    if (d->window_left >= most_behind)
        d->window_left = HEED_WINDOW_NONE;
    d->window = d->window_left >= 0 || d->window_right >= 0;
    if (!d->causal && !d->window && !d->alibi)
        d->diagonal = HEED_DIAGONAL_BOTTOM_RIGHT;
}

/* Whether row i of head g lies at a multiple of g * len_q + i; *row: of what. */
static bool is_linear(const struct heed_attention_desc *d, uint64_t stride_head, uint64_t stride_row, uint64_t *row)
{
    *row = d->len_q == 1 ? stride_head : stride_row;
    return stride_head == d->len_q * *row;
}

static bool tells_heads_apart(const struct heed_attention_problem *p)
{
    const struct heed_attention_desc *d = &p->desc;
    return d->total_q > 0 || d->alibi || d->sinks || d->distance_dims > 0 || p->key_bias_stride_head > 0;
}

static void fold_heads(struct heed_attention_problem *p)
{
    struct heed_attention_desc *d = &p->desc;
    uint32_t group = p->group;
    uint64_t q, o, mask = 0;
    if (group == 1 || d->len_q == 0 || tells_heads_apart(p) || d->causal || d->window ||
        (uint64_t)group * d->len_q > INT32_MAX || !is_linear(d, d->q.stride_head, d->q.stride_row, &q) ||
        !is_linear(d, d->o.stride_head, d->o.stride_row, &o))
        return;
    if (d->mask != HEED_MASK_NONE && !is_linear(d, d->mask_stride_head, d->mask_stride_row, &mask))
        return;
    d->heads_q = d->heads_kv;
    d->len_q *= group;
    d->q.stride_row = q;
    d->q.stride_head *= group;
    d->o.stride_row = o;
    d->o.stride_head *= group;
    d->mask_stride_row = mask;
    d->mask_stride_head *= group;
    p->group = 1;
    p->folded = group;
}

void heed_attention_problem_simplify(struct heed_attention_problem *p)
{
    struct heed_attention_desc *d = &p->desc;
    drop_bounds(d);
    /* All heads may also share their keys by strides of 0. */
    if (d->op == HEED_OP_ATTENTION && d->k.stride_head == 0 && d->v.stride_head == 0) {
        d->heads_kv = 1;
        p->group = d->heads_q;
    }
    fold_heads(p);
}
