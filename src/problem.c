/* SPDX-License-Identifier: MIT
 * What the problems of all ops share: argument names and sizes that cannot overflow unseen. */
#include "problem.h"

#include <inttypes.h>
#include <string.h>

static const char *const arg_names[HEED_ARG_COUNT] = {
    [HEED_ARG_Q] = "q",
    [HEED_ARG_K] = "k",
    [HEED_ARG_V] = "v",
    [HEED_ARG_SCORES] = "scores",
    [HEED_ARG_O] = "o",
    [HEED_ARG_MASK] = "mask",
    [HEED_ARG_KEY_LENGTHS] = "key_lengths",
    [HEED_ARG_CU_SEQLENS_Q] = "cu_seqlens_q",
    [HEED_ARG_CU_SEQLENS_KV] = "cu_seqlens_kv",
    [HEED_ARG_KEY_BIAS] = "key_bias",
    [HEED_ARG_ALIBI] = "alibi",
    [HEED_ARG_Q_POS] = "q_pos",
    [HEED_ARG_K_POS] = "k_pos",
    [HEED_ARG_DISTANCE] = "distance",
    [HEED_ARG_SINKS] = "sinks",
    [HEED_ARG_LSE] = "lse",
    [HEED_ARG_ENTROPY] = "entropy",
    [HEED_ARG_WEIGHTS] = "weights",
    [HEED_ARG_VALUE] = "value",
    [HEED_ARG_LOCATIONS] = "locations",
    [HEED_ARG_REFERENCE] = "reference",
    [HEED_ARG_OFFSETS] = "offsets",
    [HEED_ARG_LOGITS] = "logits",
    [HEED_ARG_SCRATCH] = "scratch",
};

const char *heed_arg_name(enum heed_arg_id id)
{
    return arg_names[id];
}

enum heed_arg_id heed_arg_find(const char *name)
{
    int id = 0;
    while (id < HEED_ARG_COUNT && (!name || strcmp(name, arg_names[id]) != 0))
        id++;
    return (enum heed_arg_id)id;
}

struct heed_checked heed_checked(uint64_t value)
{
    return (struct heed_checked){value, false};
}

struct heed_checked heed_checked_add(struct heed_checked a, uint64_t b)
{
    return (struct heed_checked){a.value + b, a.overflow || b > UINT64_MAX - a.value};
}

struct heed_checked heed_checked_mul(struct heed_checked a, uint64_t b)
{
    return (struct heed_checked){a.value * b, a.overflow || (b != 0 && a.value > UINT64_MAX / b)};
}

struct heed_checked heed_extent_bytes(enum heed_dtype dtype, uint32_t count, const uint64_t *length,
                                      const uint64_t *stride)
{
    struct heed_checked last = heed_checked(0);
    for (uint32_t i = 0; i < count; i++) {
        if (length[i] == 0)
            return heed_checked(0);
        struct heed_checked step = heed_checked_mul(heed_checked(length[i] - 1), stride[i]);
        last = heed_checked_add(last, step.value);
        last.overflow |= step.overflow;
    }
    return heed_checked_mul(heed_checked_add(last, 1), heed_dtype_size(dtype));
}

bool heed_strides_distinct(int axes, const uint64_t *length, const uint64_t *stride)
{
    uint64_t reach = 1;
    unsigned done = 0;
    for (int n = 0; n < axes; n++) {
        int next = -1;
        for (int i = 0; i < axes; i++)
            if (!(done >> i & 1) && length[i] > 1 && (next < 0 || stride[i] < stride[next]))
                next = i;
        if (next < 0)
            return true;
        if (stride[next] < reach)
            return false;
        reach += stride[next] * (length[next] - 1);
        done |= 1u << next;
    }
    return true;
}

void heed_args_add(struct heed_args *args, enum heed_arg_id id, enum heed_dtype dtype, bool output, uint64_t bytes)
{
    args->arg[id].name = heed_arg_name(id);
    args->arg[id].present = true;
    args->arg[id].output = output;
    args->arg[id].dtype = dtype;
    args->arg[id].bytes = bytes;
}

enum heed_status heed_check_ranges(heed_context *context, const char *op, const struct heed_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)
            return heed_fail(context, HEED_ERR_ARGUMENT, "%s: %s %" PRIu64 " is not in %" PRIu64 "..%" PRIu64, op,
                             ranges[i].name, ranges[i].value, ranges[i].least, ranges[i].most);
    return HEED_OK;
}

enum heed_status heed_resolve_offset_alignment(heed_context *context, const char *op, uint32_t *alignment)
{
    if (*alignment == 0)
        *alignment = 16;
    if (*alignment & (*alignment - 1))
        return heed_fail(context, HEED_ERR_ARGUMENT, "%s: offset_alignment %u is not a power of two", op, *alignment);
    return HEED_OK;
}

enum heed_status heed_resolve_view(heed_context *context, const char *op, const struct heed_viewed *t,
                                   struct heed_args *args)
{
    struct heed_view *v = t->view;
    const char *name = heed_arg_name(t->id);
    if (v->dtype != HEED_F32 && v->dtype != HEED_F16 && v->dtype != HEED_BF16)
        return heed_fail(context, HEED_ERR_ARGUMENT, "%s: %s has type %s, which is not f32, f16 or bf16", op, name,
                         heed_dtype_name(v->dtype));
    struct heed_checked plane = heed_checked_mul(heed_checked(t->rows_first ? t->heads : t->rows), t->dim);
    struct heed_checked whole = heed_checked_mul(plane, t->rows_first ? t->rows : t->heads);
    if (v->stride_batch == 0 && v->stride_head == 0 && v->stride_row == 0) {
        v->stride_row = t->rows_first ? plane.value : t->dim;
        v->stride_head = t->rows_first ? t->dim : plane.value;
        v->stride_batch = whole.value;
    }
    const uint64_t length[] = {t->batch, t->heads, t->rows, t->dim};
    const uint64_t stride[] = {v->stride_batch, v->stride_head, v->stride_row, 1};
    struct heed_checked extent = heed_extent_bytes(v->dtype, 4, length, stride);
    if (whole.overflow || extent.overflow || extent.value > INT64_MAX)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "%s: %s of batch %" PRIu64 ", heads %" PRIu64 ", rows %" PRIu64 ", dim %" PRIu64
                         " with strides %" PRIu64 ", %" PRIu64 ", %" PRIu64 " does not fit 63 bits of bytes",
                         op, name, t->batch, t->heads, t->rows, t->dim, v->stride_batch, v->stride_head, v->stride_row);
    if (t->output && extent.value > 0 && !heed_strides_distinct(4, length, stride))
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "%s: %s strides %" PRIu64 ", %" PRIu64 ", %" PRIu64 " make elements of an output overlap", op,
                         name, v->stride_batch, v->stride_head, v->stride_row);
    if (t->used)
        heed_args_add(args, t->id, v->dtype, t->output, extent.value);
    return HEED_OK;
}
