/* SPDX-License-Identifier: MIT
 * The table of ops: an op is a row here. */
#include "pipeline.h"
#include "pipeline_ops.h"

#define VIEW(op) .name = #op, .view = true, .infer = heed_infer_##op
#define OP(op) .name = #op, .infer = heed_infer_##op, .evaluate = heed_reference_##op, .lower = heed_lower_##op

const struct heed_pipeline_op heed_pipeline_ops[HEED_NODE_KIND_COUNT] = {
    [HEED_NODE_RESHAPE] = {VIEW(reshape)},
    [HEED_NODE_PERMUTE] = {VIEW(permute)},
    [HEED_NODE_SLICE] = {VIEW(slice)},
    [HEED_NODE_SPLIT_HEADS] = {VIEW(split_heads)},
    [HEED_NODE_MERGE_HEADS] = {VIEW(merge_heads)},
    [HEED_NODE_LINEAR] = {OP(linear), .candidates = heed_linear_candidates},
    [HEED_NODE_LAYER_NORM] = {OP(layer_norm)},
    [HEED_NODE_RMS_NORM] = {OP(rms_norm)},
    [HEED_NODE_COMBINE] = {OP(combine)},
    [HEED_NODE_ATTEND] = {OP(attend)},
    [HEED_NODE_SAMPLE] = {OP(sample)},
    [HEED_NODE_APPEND] = {OP(append)},
    [HEED_NODE_CONV] = {OP(conv), .candidates = heed_conv_candidates},
    [HEED_NODE_EMBED] = {OP(embed)},
    [HEED_NODE_CONCAT] = {OP(concat)},
    [HEED_NODE_ROPE] = {OP(rope)},
    [HEED_NODE_SINUSOID] = {OP(sinusoid)},
    [HEED_NODE_POOL] = {OP(pool)},
    [HEED_NODE_RESIZE] = {OP(resize)},
    [HEED_NODE_TOP_K] = {OP(top_k)},
};
