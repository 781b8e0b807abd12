/* SPDX-License-Identifier: MIT
 * A problem without data, in words: shared by `heed explain` and the lines of `heed bench`'s shape files. */
#ifndef HEED_CLI_SHAPE_H
#define HEED_CLI_SHAPE_H

#include "levels.h"
#include "terms.h"

struct attention_shape {
    uint32_t batch, heads_q, heads_kv, len_q, len_kv, dim, dim_v, total_q, total_kv, distance;
    int mask, op;
    const char *mask_broadcast;
    bool key_lengths, key_bias, alibi, sinks, lse, entropy, weights;
    struct terms terms;
};

#define ATTENTION_SHAPE_INIT                                                                                           \
    {                                                                                                                  \
        .batch = 1, .heads_q = 1, .len_q = 1024, .len_kv = 1024, .dim = 64, .terms = TERMS_INIT                        \
    }

/* clang-format off */
#define ATTENTION_SHAPE_OPTIONS(type, member) \
    {OPTION_HEADING, "shape", NULL, NULL, 0}, \
    {OPTION_LENGTH, "batch", "N", "default 1", offsetof(type, member.batch)}, \
    {OPTION_COUNT, "heads-q", "N", "default 1", offsetof(type, member.heads_q)}, \
    {OPTION_COUNT, "heads-kv", "N", "default: as many as --heads-q", offsetof(type, member.heads_kv)}, \
    {OPTION_LENGTH, "len-q", "N", "rows, or of the longest sequence; default 1024", offsetof(type, member.len_q)}, \
    {OPTION_LENGTH, "len-kv", "N", "keys; default 1024", offsetof(type, member.len_kv)}, \
    {OPTION_COUNT, "dim", "N", "features of queries and keys; default 64", offsetof(type, member.dim)}, \
    {OPTION_COUNT, "dim-v", "N", "features of values; default: as --dim", offsetof(type, member.dim_v)}, \
    {OPTION_COUNT, "total-q", "N", "rows of all sequences, end to end", offsetof(type, member.total_q)}, \
    {OPTION_COUNT, "total-kv", "N", "keys of all sequences, end to end", offsetof(type, member.total_kv)}, \
    {OPTION_HEADING, "terms", NULL, NULL, 0}, \
    {OPTION_CHOICE, "mask", "none|bool|f32|f16", "boolean, or added to the scores", offsetof(type, member.mask)}, \
    {OPTION_TEXT, "mask-broadcast", "AXIS,...", \
     "axes that the mask has once: batch, head, row; default: one mask for every batch, head and row", \
     offsetof(type, member.mask_broadcast)}, \
    {OPTION_FLAG, "key-lengths", NULL, "only so many keys of each batch count", offsetof(type, member.key_lengths)}, \
    {OPTION_FLAG, "key-bias", NULL, "one per batch, head and key", offsetof(type, member.key_bias)}, \
    {OPTION_FLAG, "alibi", NULL, "slopes per head", offsetof(type, member.alibi)}, \
    {OPTION_COUNT, "distance", "C", "penalty by coordinates, C of them", offsetof(type, member.distance)}, \
    {OPTION_FLAG, "sinks", NULL, "one more score per head", offsetof(type, member.sinks)}, \
    {OPTION_HEADING, "how", NULL, NULL, 0}, \
    {OPTION_CHOICE, "op", "attention|scores|softmax|aggregate", "the whole, or a stage of it", \
     offsetof(type, member.op)}, \
    TERMS_OPTIONS(type, member.terms), \
    {OPTION_HEADING, "more results", NULL, NULL, 0}, \
    {OPTION_FLAG, "lse", NULL, "log-sum-exp of each row", offsetof(type, member.lse)}, \
    {OPTION_FLAG, "entropy", NULL, "of each row", offsetof(type, member.entropy)}, \
    {OPTION_FLAG, "weights", NULL, "the whole matrix", offsetof(type, member.weights)}
/* clang-format on */

/* `desc` begins as HEED_ATTENTION_DESC_INIT. */
bool attention_shape_apply(const struct attention_shape *shape, struct heed_attention_desc *desc, struct fault *fault);

struct deform_shape {
    uint32_t batch, heads, dim, len_q;
    int form;
    struct levels levels;
};

#define DEFORM_SHAPE_INIT                                                                                              \
    {                                                                                                                  \
        .batch = 1, .heads = 8, .dim = 32, .len_q = 900, .levels = LEVELS_INIT                                         \
    }

/* clang-format off */
#define DEFORM_SHAPE_OPTIONS(type, member) \
    {OPTION_HEADING, "shape", NULL, NULL, 0}, \
    {OPTION_LENGTH, "batch", "N", "default 1", offsetof(type, member.batch)}, \
    {OPTION_COUNT, "heads", "N", "default 8", offsetof(type, member.heads)}, \
    {OPTION_COUNT, "dim", "N", "features of a head; default 32", offsetof(type, member.dim)}, \
    {OPTION_LENGTH, "len-q", "N", "queries; default 900", offsetof(type, member.len_q)}, \
    {OPTION_CHOICE, "form", "locations|points|boxes", \
     "locations and weights as they are, or reference points or boxes with offsets and logits", \
     offsetof(type, member.form)}, \
    {OPTION_HEADING, "how", NULL, NULL, 0}, \
    LEVELS_OPTIONS(type, member.levels)
/* clang-format on */

/* `desc` begins as HEED_DEFORM_DESC_INIT. */
bool deform_shape_apply(const struct deform_shape *shape, struct heed_deform_desc *desc, struct fault *fault);

#endif
