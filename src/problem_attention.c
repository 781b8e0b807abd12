/* SPDX-License-Identifier: MIT
 * Attention: the rules of struct heed_attention_desc, checked once, and its defaults, resolved once. */
#include "problem.h"

#include <inttypes.h>
#include <math.h>

#define FAIL(...) heed_fail(context, HEED_ERR_ARGUMENT, "attention: " __VA_ARGS__)

/* The shaders and the reference count rows and keys in 32 bits with a sign, and pack heads and dims in 16. */
enum { MAX_HEADS = 65535, MAX_DIM = 65535, MAX_DISTANCE_DIMS = 16 };
static const uint32_t max_length = INT32_MAX;

static enum heed_status check_flags(heed_context *context, const char *name, uint32_t value, uint32_t allowed)
{
    if (value & ~allowed)
        return FAIL("%s 0x%x has flags outside 0x%x", name, value, allowed);
    return HEED_OK;
}

static enum heed_status check_shape(heed_context *context, const struct heed_attention_desc *d)
{
    const struct heed_range ranges[] = {
        {"op", (uint64_t)d->op, HEED_OP_ATTENTION, HEED_OP_AGGREGATE},
        {"batch", d->batch, 0, max_length},
        {"heads_q", d->heads_q, 1, MAX_HEADS},
        {"heads_kv", d->heads_kv, 1, MAX_HEADS},
        {"len_q", d->len_q, 0, max_length},
        {"len_kv", d->len_kv, 0, max_length},
        {"dim_qk", d->dim_qk, 1, MAX_DIM},
        {"dim_v", d->dim_v, 1, MAX_DIM},
        {"softcap_order", (uint64_t)d->softcap_order, 0, HEED_SOFTCAP_AFTER_BIAS},
        {"mask", (uint64_t)d->mask, 0, HEED_MASK_ADD},
        {"diagonal", (uint64_t)d->diagonal, 0, HEED_DIAGONAL_TOP_LEFT},
        {"path", (uint64_t)d->path, 0, HEED_PATH_STAGED},
        {"total_q", d->total_q, 0, max_length},
        {"total_kv", d->total_kv, 0, max_length},
        {"distance_dims", d->distance_dims, 0, MAX_DISTANCE_DIMS},
    };
    enum heed_status status = heed_check_ranges(context, "attention", ranges, sizeof ranges / sizeof *ranges);
    if (status != HEED_OK)
        return status;
    const struct {
        const char *name;
        uint32_t value, allowed;
    } flags[] = {
        {"mask_broadcast", d->mask_broadcast, HEED_BROADCAST_BATCH | HEED_BROADCAST_HEAD | HEED_BROADCAST_ROW},
        {"key_bias_broadcast", d->key_bias_broadcast, HEED_BROADCAST_BATCH | HEED_BROADCAST_HEAD},
        {"q_pos_broadcast", d->q_pos_broadcast, HEED_BROADCAST_BATCH},
        {"k_pos_broadcast", d->k_pos_broadcast, HEED_BROADCAST_BATCH},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        status = check_flags(context, flags[i].name, flags[i].value, flags[i].allowed);
        if (status != HEED_OK)
            return status;
    }
    if (d->heads_q % d->heads_kv != 0)
        return FAIL("heads_q %u is not a multiple of heads_kv %u", d->heads_q, d->heads_kv);
    if (d->total_q > 0 && d->len_q > d->total_q)
        return FAIL("len_q %u, the longest sequence, is more than total_q %u", d->len_q, d->total_q);
    if (d->total_kv > 0 && d->len_kv > d->total_kv)
        return FAIL("len_kv %u, the longest sequence, is more than total_kv %u", d->len_kv, d->total_kv);
    return HEED_OK;
}

static enum heed_status check_numbers(heed_context *context, struct heed_attention_desc *d)
{
    if (d->scale == HEED_SCALE_DEFAULT)
        d->scale = 1.0f / sqrtf((float)d->dim_qk);
    if (!isfinite(d->scale))
        return FAIL("scale %g is not finite", (double)d->scale);
    if (!isfinite(d->softcap) || d->softcap < 0.0f)
        return FAIL("softcap %g is not 0 or a finite number above it", (double)d->softcap);
    if (d->window && (d->window_left < HEED_WINDOW_NONE || d->window_right < HEED_WINDOW_NONE))
        return FAIL("window %d, %d has a side below -1 (-1 = no bound)", d->window_left, d->window_right);
    if (!d->window)
        d->window_left = d->window_right = HEED_WINDOW_NONE;
    if (d->mask == HEED_MASK_BOOL) {
        if (d->mask_dtype != HEED_F32 && d->mask_dtype != HEED_BOOL)
            return FAIL("mask_dtype %s is given for a boolean mask", heed_dtype_name(d->mask_dtype));
        d->mask_dtype = HEED_BOOL;
    } else if (d->mask == HEED_MASK_ADD && d->mask_dtype != HEED_F32 && d->mask_dtype != HEED_F16) {
        return FAIL("mask_dtype %s is not f32 or f16", heed_dtype_name(d->mask_dtype));
    }
    return heed_resolve_offset_alignment(context, "attention", &d->offset_alignment);
}

/* Packed f32 or i32 tensors; the product is checked by the caller through *total. */
static void add_packed(struct heed_args *args, enum heed_arg_id id, enum heed_dtype dtype, bool output, uint64_t a,
                       uint64_t b, uint64_t c, bool *overflow)
{
    struct heed_checked n = heed_checked_mul(heed_checked_mul(heed_checked_mul(heed_checked(a), b), c), 4);
    *overflow |= n.overflow || n.value > INT64_MAX;
    heed_args_add(args, id, dtype, output, n.value);
}

static enum heed_status resolve_mask(heed_context *context, struct heed_attention_problem *p)
{
    struct heed_attention_desc *d = &p->desc;
    bool all_batches = d->mask_broadcast & HEED_BROADCAST_BATCH, all_heads = d->mask_broadcast & HEED_BROADCAST_HEAD,
         all_rows = d->mask_broadcast & HEED_BROADCAST_ROW;
    const uint64_t length[] = {all_batches ? 1 : d->batch, all_heads ? 1 : d->heads_q, all_rows ? 1 : d->len_q,
                               d->len_kv};
    if (d->mask_stride_batch == 0 && d->mask_stride_head == 0 && d->mask_stride_row == 0) {
        d->mask_stride_row = d->len_kv;
        d->mask_stride_head = length[2] * d->len_kv; /* below 2^62 */
        d->mask_stride_batch = heed_checked_mul(heed_checked(d->mask_stride_head), length[1]).value;
    }
    if (all_batches)
        d->mask_stride_batch = 0;
    if (all_heads)
        d->mask_stride_head = 0;
    if (all_rows)
        d->mask_stride_row = 0;
    const uint64_t stride[] = {d->mask_stride_batch, d->mask_stride_head, d->mask_stride_row, 1};
    struct heed_checked extent = heed_extent_bytes(d->mask_dtype, 4, length, stride);
    if (extent.overflow || extent.value > INT64_MAX)
        return FAIL("mask with strides %" PRIu64 ", %" PRIu64 ", %" PRIu64 " does not fit 63 bits of bytes",
                    d->mask_stride_batch, d->mask_stride_head, d->mask_stride_row);
    heed_args_add(&p->args, HEED_ARG_MASK, d->mask_dtype, false, extent.value);
    return HEED_OK;
}

/* Everything between scores and weights: masks, biases, row results. */
static enum heed_status resolve_terms(heed_context *context, struct heed_attention_problem *p)
{
    struct heed_attention_desc *d = &p->desc;
    struct heed_args *args = &p->args;
    bool overflow = false;
    if (d->mask != HEED_MASK_NONE) {
        enum heed_status status = resolve_mask(context, p);
        if (status != HEED_OK)
            return status;
    }
    if (d->key_lengths)
        add_packed(args, HEED_ARG_KEY_LENGTHS, HEED_I32, false, d->batch, 1, 1, &overflow);
    if (d->key_bias) {
        uint64_t heads = d->key_bias_broadcast & HEED_BROADCAST_HEAD ? 1 : d->heads_q;
        uint64_t batches = d->total_kv > 0 || (d->key_bias_broadcast & HEED_BROADCAST_BATCH) ? 1 : d->batch;
        uint64_t keys = d->total_kv > 0 ? d->total_kv : d->len_kv;
        p->key_bias_stride_head = heads > 1 ? keys : 0;
        p->key_bias_stride_batch = batches > 1 ? heads * keys : 0;
        add_packed(args, HEED_ARG_KEY_BIAS, HEED_F32, false, batches, heads, keys, &overflow);
    }
    if (d->alibi)
        add_packed(args, HEED_ARG_ALIBI, HEED_F32, false, d->heads_q, 1, 1, &overflow);
    if (d->distance_dims > 0) {
        uint64_t q_batches = d->total_q > 0 || (d->q_pos_broadcast & HEED_BROADCAST_BATCH) ? 1 : d->batch;
        uint64_t k_batches = d->total_kv > 0 || (d->k_pos_broadcast & HEED_BROADCAST_BATCH) ? 1 : d->batch;
        uint64_t q_rows = d->total_q > 0 ? d->total_q : d->len_q, k_rows = d->total_kv > 0 ? d->total_kv : d->len_kv;
        p->q_pos_stride_batch = q_batches > 1 ? q_rows * d->distance_dims : 0;
        p->k_pos_stride_batch = k_batches > 1 ? k_rows * d->distance_dims : 0;
        add_packed(args, HEED_ARG_Q_POS, HEED_F32, false, q_batches, q_rows, d->distance_dims, &overflow);
        add_packed(args, HEED_ARG_K_POS, HEED_F32, false, k_batches, k_rows, d->distance_dims, &overflow);
        add_packed(args, HEED_ARG_DISTANCE, HEED_F32, false, d->heads_q, 2, 1, &overflow);
    }
    if (d->sinks)
        add_packed(args, HEED_ARG_SINKS, HEED_F32, false, d->heads_q, 1, 1, &overflow);
    if (d->lse)
        add_packed(args, HEED_ARG_LSE, HEED_F32, true, p->rows, 1, 1, &overflow);
    if (d->entropy)
        add_packed(args, HEED_ARG_ENTROPY, HEED_F32, true, p->rows, 1, 1, &overflow);
    if (overflow)
        return FAIL("key_bias, q_pos, k_pos, lse or entropy does not fit 63 bits of bytes");
    return HEED_OK;
}

enum heed_status heed_attention_problem_init(heed_context *context, const struct heed_attention_desc *desc,
                                             struct heed_attention_problem *problem)
{
    *problem = (struct heed_attention_problem){0};
    if (!desc)
        return FAIL("the descriptor is NULL");
    if (desc->struct_size != sizeof *desc)
        return FAIL(
            "struct_size %zu is not sizeof(struct heed_attention_desc) %zu; start from HEED_ATTENTION_DESC_INIT",
            desc->struct_size, sizeof *desc);
    problem->desc = *desc;
    struct heed_attention_desc *d = &problem->desc;
    struct heed_args *args = &problem->args;
    d->kernel = NULL;
    enum heed_status status = check_shape(context, d);
    if (status == HEED_OK)
        status = check_numbers(context, d);
    if (status != HEED_OK)
        return status;

    bool packed_q = d->total_q > 0, packed_kv = d->total_kv > 0;
    uint64_t rows_q = packed_q ? d->total_q : d->len_q, rows_kv = packed_kv ? d->total_kv : d->len_kv;
    uint64_t batch_q = packed_q ? 1 : d->batch, batch_kv = packed_kv ? 1 : d->batch;
    problem->group = d->heads_q / d->heads_kv;
    problem->folded = 1;
    struct heed_checked rows = heed_checked_mul(heed_checked_mul(heed_checked(batch_q), d->heads_q), rows_q);
    struct heed_checked pairs = heed_checked_mul(rows, d->len_kv);
    struct heed_checked pair_bytes = heed_checked_mul(pairs, 4);
    struct heed_checked flops = heed_checked_mul(pairs, 2 * ((uint64_t)d->dim_qk + d->dim_v));
    if (pair_bytes.overflow || pair_bytes.value > INT64_MAX || flops.overflow)
        return FAIL("batch %u x heads_q %u x len_q %u x len_kv %u pairs do not fit 63 bits of bytes", d->batch,
                    d->heads_q, d->len_q, d->len_kv);
    problem->rows = rows.value;

    bool whole = d->op == HEED_OP_ATTENTION, scores = d->op == HEED_OP_SCORES, softmax = d->op == HEED_OP_SOFTMAX,
         aggregate = d->op == HEED_OP_AGGREGATE;
    problem->flops = scores      ? 2 * pairs.value * d->dim_qk
                     : softmax   ? 4 * pairs.value
                     : aggregate ? 2 * pairs.value * d->dim_v
                                 : flops.value;
    const struct heed_viewed tensors[] = {
        {HEED_ARG_Q, &d->q, batch_q, d->heads_q, rows_q, d->dim_qk, packed_q, false, whole || scores},
        {HEED_ARG_K, &d->k, batch_kv, d->heads_kv, rows_kv, d->dim_qk, packed_kv, false, whole || scores},
        {HEED_ARG_V, &d->v, batch_kv, d->heads_kv, rows_kv, d->dim_v, packed_kv, false, whole || aggregate},
        {HEED_ARG_O, &d->o, batch_q, d->heads_q, rows_q, d->dim_v, packed_q, true, whole || aggregate},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        status = heed_resolve_view(context, "attention", &tensors[i], args);
        if (status != HEED_OK)
            return status;
    }
    if (scores || softmax)
        heed_args_add(args, HEED_ARG_SCORES, HEED_F32, scores, pair_bytes.value);
    if (softmax || aggregate || (whole && d->weights))
        heed_args_add(args, HEED_ARG_WEIGHTS, HEED_F32, !aggregate, pair_bytes.value);
    if (packed_q)
        heed_args_add(args, HEED_ARG_CU_SEQLENS_Q, HEED_I32, false, 4 * ((uint64_t)d->batch + 1));
    if (packed_kv)
        heed_args_add(args, HEED_ARG_CU_SEQLENS_KV, HEED_I32, false, 4 * ((uint64_t)d->batch + 1));
    return whole || softmax ? resolve_terms(context, problem) : HEED_OK;
}
