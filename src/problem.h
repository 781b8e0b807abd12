/* SPDX-License-Identifier: MIT
 * A problem is a descriptor that was checked once: every default resolved, every stride explicit, no backend in it.
 * What a plan needs from the caller at run time is its list of arguments. */
#ifndef HEED_PROBLEM_H
#define HEED_PROBLEM_H

#include "context.h"

/* Every argument that any op can have. The order is that of heed_plan_get_arg. */
enum heed_arg_id {
    HEED_ARG_Q,
    HEED_ARG_K,
    HEED_ARG_V,
    HEED_ARG_SCORES,
    HEED_ARG_O,
    HEED_ARG_MASK,
    HEED_ARG_KEY_LENGTHS,
    HEED_ARG_CU_SEQLENS_Q,
    HEED_ARG_CU_SEQLENS_KV,
    HEED_ARG_KEY_BIAS,
    HEED_ARG_ALIBI,
    HEED_ARG_Q_POS,
    HEED_ARG_K_POS,
    HEED_ARG_DISTANCE,
    HEED_ARG_SINKS,
    HEED_ARG_LSE,
    HEED_ARG_ENTROPY,
    HEED_ARG_WEIGHTS,
    HEED_ARG_VALUE,
    HEED_ARG_LOCATIONS,
    HEED_ARG_REFERENCE,
    HEED_ARG_OFFSETS,
    HEED_ARG_LOGITS,
    HEED_ARG_SCRATCH, /* never in heed_args.present: the backend knows how much from the plan */
    HEED_ARG_COUNT,
};
const char *heed_arg_name(enum heed_arg_id id);
/* HEED_ARG_COUNT when no argument of any op has that name. */
enum heed_arg_id heed_arg_find(const char *name);

/* What a plan wants bound under a name. */
struct heed_arg_slot {
    const char *name;
    bool present, output;
    enum heed_dtype dtype;
    uint64_t bytes; /* the last element's end, counted from the argument's start */
};

/* Which arguments a problem has, and how large each must be. */
struct heed_args {
    struct heed_arg_slot arg[HEED_ARG_COUNT];
};

struct heed_attention_problem {
    struct heed_attention_desc desc; /* scale, strides, offset_alignment, mask_dtype resolved: no default left.
                                        Broadcast axes of the mask have stride 0. `kernel` is not kept here */
    uint32_t group;                  /* heads_q / heads_kv */
    uint32_t folded;                 /* heads that heed_attention_problem_simplify made rows of one; 1: none */
    uint64_t rows;                   /* of lse: batch * heads_q * len_q, or heads_q * total_q */
    uint64_t key_bias_stride_batch, key_bias_stride_head; /* elements; 0 = broadcast */
    uint64_t q_pos_stride_batch, k_pos_stride_batch;
    uint64_t flops;
    struct heed_args args;
};

struct heed_deform_problem {
    struct heed_deform_desc desc; /* axes, strides, starts, depth, offset_scale, offset_alignment resolved */
    uint32_t points;              /* of all levels together */
    uint32_t reference_levels;    /* 1 or level_count */
    uint32_t reference_width;     /* numbers of one reference: axes, or 2 axes for boxes */
    uint64_t flops;
    struct heed_args args;
};

/* HEED_ERR_ARGUMENT with one line in the log, or HEED_OK. */
enum heed_status heed_attention_problem_init(heed_context *context, const struct heed_attention_desc *desc,
                                             struct heed_attention_problem *problem);
/* For a plan made of kernels; the reference solves problems as they are stated. The arguments stay as they are. */
void heed_attention_problem_simplify(struct heed_attention_problem *problem);
enum heed_status heed_deform_problem_init(heed_context *context, const struct heed_deform_desc *desc,
                                          struct heed_deform_problem *problem);

/* 64-bit arithmetic that remembers whether it overflowed, for sizes made of the caller's numbers. */
struct heed_checked {
    uint64_t value;
    bool overflow;
};
struct heed_checked heed_checked(uint64_t value);
struct heed_checked heed_checked_add(struct heed_checked a, uint64_t b);
struct heed_checked heed_checked_mul(struct heed_checked a, uint64_t b);

/* Bytes from the first element to the end of the last of `count` axes of length[i] and stride[i] elements.
 * 0 if any length is 0. */
struct heed_checked heed_extent_bytes(enum heed_dtype dtype, uint32_t count, const uint64_t *length,
                                      const uint64_t *stride);
/* Whether no two elements of an output share an address: from the smallest stride up, each axis must step over all that
 * lies below it. The extent must not overflow. */
bool heed_strides_distinct(int axes, const uint64_t *length, const uint64_t *stride);

/* ---- what checking a descriptor of any op is made of; `op` begins the message */

void heed_args_add(struct heed_args *args, enum heed_arg_id id, enum heed_dtype dtype, bool output, uint64_t bytes);

struct heed_range {
    const char *name;
    uint64_t value, least, most;
};
enum heed_status heed_check_ranges(heed_context *context, const char *op, const struct heed_range *ranges,
                                   size_t count);

/* 0 becomes 16; anything else must be a power of two. */
enum heed_status heed_resolve_offset_alignment(heed_context *context, const char *op, uint32_t *alignment);

/* A tensor with a view: resolves packed strides, checks, and adds it to args if it is used. */
struct heed_viewed {
    enum heed_arg_id id;
    struct heed_view *view;
    uint64_t batch, heads, rows, dim;
    bool rows_first; /* packed is [batch][row][head][feature] instead of [batch][head][row][feature] */
    bool output, used;
};
enum heed_status heed_resolve_view(heed_context *context, const char *op, const struct heed_viewed *tensor,
                                   struct heed_args *args);

#endif
