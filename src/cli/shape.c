/* SPDX-License-Identifier: MIT
 * A problem without data, put into a descriptor. */
#include "shape.h"

#include <string.h>

static bool parse_broadcast(const char *text, uint32_t *flags, struct fault *fault)
{
    static const char *const axes[] = {"batch", "head", "row"}; /* in the order of enum heed_broadcast */
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        size_t length = strcspn(at, ","), axis = 0;
        while (axis < 3 && (strlen(axes[axis]) != length || memcmp(axes[axis], at, length) != 0))
            axis++;
        if (axis == 3)
            return fault_usage(fault, "--mask-broadcast \"%s\": \"%.*s\" is not one of batch, head, row", text,
                               (int)length, at);
        *flags |= 1u << axis;
    }
    return true;
}

bool attention_shape_apply(const struct attention_shape *s, struct heed_attention_desc *desc, struct fault *fault)
{
    static const enum heed_mask masks[] = {HEED_MASK_NONE, HEED_MASK_BOOL, HEED_MASK_ADD, HEED_MASK_ADD};
    static const enum heed_dtype mask_dtypes[] = {HEED_F32, HEED_BOOL, HEED_F32, HEED_F16};
    desc->op = (enum heed_op)s->op;
    desc->batch = s->batch;
    desc->heads_q = s->heads_q;
    desc->heads_kv = s->heads_kv ? s->heads_kv : s->heads_q;
    desc->len_q = s->len_q;
    desc->len_kv = s->len_kv;
    desc->dim_qk = s->dim;
    desc->dim_v = s->dim_v ? s->dim_v : s->dim;
    desc->total_q = s->total_q;
    desc->total_kv = s->total_kv;
    desc->mask = masks[s->mask];
    desc->mask_dtype = mask_dtypes[s->mask];
    if (s->mask_broadcast && desc->mask == HEED_MASK_NONE)
        return fault_usage(fault, "--mask-broadcast needs --mask");
    if (s->mask_broadcast && !parse_broadcast(s->mask_broadcast, &desc->mask_broadcast, fault))
        return false;
    desc->key_lengths = s->key_lengths;
    desc->key_bias = s->key_bias;
    desc->alibi = s->alibi;
    desc->distance_dims = s->distance;
    desc->sinks = s->sinks;
    desc->lse = s->lse;
    desc->entropy = s->entropy;
    desc->weights = s->weights;
    if (s->terms.dtype >= 0)
        desc->q.dtype = desc->k.dtype = desc->v.dtype = desc->o.dtype = (enum heed_dtype)s->terms.dtype;
    return terms_apply(&s->terms, s->alibi, desc, fault);
}

bool deform_shape_apply(const struct deform_shape *s, struct heed_deform_desc *desc, struct fault *fault)
{
    enum { LOCATIONS, POINTS, BOXES };
    if (!levels_apply(&s->levels, 4, desc, fault))
        return false;
    desc->batch = s->batch;
    desc->heads = s->heads;
    desc->dim = s->dim;
    desc->len_q = s->len_q;
    uint64_t rows = 0;
    for (uint32_t l = 0; l < desc->level_count; l++)
        rows += (uint64_t)desc->levels[l].depth * desc->levels[l].height * desc->levels[l].width;
    if (rows > UINT32_MAX)
        return fault_failed(fault, "--shapes \"%s\" has more than 2^32 - 1 pixels", s->levels.shapes);
    desc->len_value = (uint32_t)rows;
    desc->input = s->form == LOCATIONS ? HEED_DEFORM_LOCATIONS : HEED_DEFORM_OFFSETS;
    desc->reference_boxes = s->form == BOXES;
    desc->reference_per_level = s->form != LOCATIONS;
    if (s->levels.dtype >= 0)
        desc->value.dtype = desc->o.dtype = (enum heed_dtype)s->levels.dtype;
    return true;
}
