/* SPDX-License-Identifier: MIT
 * The staged path: scores, softmax and aggregate of a part, with the matrix between them. */
#include "lower_attention.h"

bool heed_lower_staged_fits(const struct lowering *l, const struct part *part, enum axis *axis)
{
    const struct heed_attention_desc *d = l->d;
    bool scores = l->plan->op == HEED_OP_ATTENTION || l->plan->op == HEED_OP_SCORES;
    bool aggregate = l->plan->op == HEED_OP_ATTENTION || l->plan->op == HEED_OP_AGGREGATE;
    if ((scores && !(heed_lower_tensor_fits(l, &l->q, part, axis) && heed_lower_tensor_fits(l, &l->k, part, axis))) ||
        (aggregate &&
         !(heed_lower_tensor_fits(l, &l->v, part, axis) && heed_lower_tensor_fits(l, &l->o, part, axis))) ||
        !heed_lower_tensor_fits(l, &l->mask, part, axis) || !heed_lower_tensor_fits(l, &l->matrix, part, axis))
        return false;
    uint64_t most = l->limits->max_group_count;
    uint64_t row_blocks = ceil_div(part->rows, STAGE_BR), key_blocks = ceil_div(d->len_kv, STAGE_GROUP);
    uint64_t feature_blocks = ceil_div(d->dim_v, 4 * STAGE_GROUP);
    *axis = part->rows > most || row_blocks * key_blocks > most || row_blocks * feature_blocks > most ? AXIS_ROW
            : part->heads > most                                                                      ? AXIS_HEAD
            : part->batches > most                                                                    ? AXIS_BATCH
                                                                                                      : AXIS_NONE;
    if (*axis != AXIS_NONE)
        return false;
    return heed_lower_time_fits(l, part, axis);
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
    const struct tensor *in = stage == HEED_OP_SCORES ? &l->q : &input,
                        *out = stage == HEED_OP_AGGREGATE ? &l->o : &matrix;
    /* Parts of a matrix in scratch follow one another in the same room. */
    bool barrier = l->plan->op == HEED_OP_ATTENTION || l->plan->step_count > 0;
    struct heed_step *step = heed_lower_add_step(l, kernels[stage], STAGE_GROUP, barrier);
    if (!step)
        return heed_fail_memory(l->plan->device->context);
    heed_lower_describe(l, step, part, 0, d->len_kv, in, out, STAGE_BR, STAGE_BC);
    struct part place = *part;
    if (l->matrix_scratch && d->total_q == 0)
        place.batch0 = place.head0 = place.row0 = 0;
    heed_lower_bind_part(l, step, HEED_ATTN_Q, in, in == &l->q ? part : &place, 0, 0);
    if (stage == HEED_OP_SCORES && d->len_kv > 0)
        heed_lower_bind_part(l, step, HEED_ATTN_K, &l->k, part, 0, d->len_kv);
    if (stage == HEED_OP_AGGREGATE && d->len_kv > 0)
        heed_lower_bind_part(l, step, HEED_ATTN_V, &l->v, part, 0, d->len_kv);
    heed_lower_bind_part(l, step, HEED_ATTN_O, out, out == &l->o ? part : &place, 0, 0);
    if (stage == HEED_OP_SOFTMAX)
        heed_lower_bind_terms(l, step, part, 0, d->len_kv, row_results);
    else if (l->side_bytes > 0)
        heed_lower_bind(step, HEED_ATTN_SIDE, HEED_ARG_SCRATCH, 4, l->side, l->side_bytes);
    if (stage != HEED_OP_SOFTMAX) /* only where sequences lie concerns the other two */
        step->spec[HEED_SPEC_FLAGS] &= HEED_ATTN_PACKED_Q | HEED_ATTN_PACKED_KV;
    else if (!row_results)
        step->spec[HEED_SPEC_FLAGS] &= ~(HEED_ATTN_WRITE_LSE | HEED_ATTN_WRITE_ENTROPY);
    if (!heed_lower_fill_holes(step)) { /* a row without keys, and nobody asks for its lse */
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

enum heed_status heed_lower_emit_staged(struct lowering *l, const struct part *part)
{
    const struct heed_attention_desc *d = l->d;
    enum heed_op op = l->plan->op;
    if (op != HEED_OP_ATTENTION)
        return emit_stage(l, part, op, true);
    if (l->matrix_scratch) {
        uint64_t rows =
            d->total_q > 0 ? (uint64_t)d->heads_q * d->total_q : (uint64_t)part->batches * part->heads * part->rows;
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

enum heed_status heed_lower_emit_weights(struct lowering *l, const struct part *part)
{
    enum heed_status status = emit_stage(l, part, HEED_OP_SCORES, false);
    return status == HEED_OK ? emit_stage(l, part, HEED_OP_SOFTMAX, false) : status;
}
