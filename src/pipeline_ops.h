/* SPDX-License-Identifier: MIT
 * What the rows of pipeline_ops.c name: infer and lower of each op in its own file, evaluate in src/reference. */
#ifndef HEED_PIPELINE_OPS_H
#define HEED_PIPELINE_OPS_H

#include "pipeline.h"

#define HEED_DECLARE_VIEW(op) enum heed_status heed_infer_##op(struct heed_graph *graph, struct heed_node *node);
#define HEED_DECLARE_OP(op)                                                                                            \
    HEED_DECLARE_VIEW(op)                                                                                              \
    enum heed_status heed_reference_##op(const struct heed_graph *graph, const struct heed_node *node,                 \
                                         const struct heed_operand *in, const struct heed_operand *out);               \
    enum heed_status heed_lower_##op(struct heed_node_lowering *l);

HEED_DECLARE_VIEW(reshape)
HEED_DECLARE_VIEW(permute)
HEED_DECLARE_VIEW(slice)
HEED_DECLARE_VIEW(split_heads)
HEED_DECLARE_VIEW(merge_heads)
HEED_DECLARE_OP(linear)
HEED_DECLARE_OP(layer_norm)
HEED_DECLARE_OP(rms_norm)
HEED_DECLARE_OP(combine)
HEED_DECLARE_OP(attend)
HEED_DECLARE_OP(sample)
HEED_DECLARE_OP(append)
HEED_DECLARE_OP(conv)
HEED_DECLARE_OP(embed)
HEED_DECLARE_OP(concat)
HEED_DECLARE_OP(rope)
HEED_DECLARE_OP(sinusoid)
HEED_DECLARE_OP(pool)
HEED_DECLARE_OP(resize)
HEED_DECLARE_OP(top_k)

/* A copy of the same lengths, of any strides: steps of another node than heed_combine's. */
enum heed_status heed_lower_copy(struct heed_node_lowering *l, const struct heed_tensor *from,
                                 const struct heed_tensor *to);

/* In double precision. */
double heed_reference_activate(enum heed_activation activation, double x);

const struct heed_node_candidate *heed_linear_candidates(uint32_t *count);
const struct heed_node_candidate *heed_conv_candidates(uint32_t *count);

#endif
