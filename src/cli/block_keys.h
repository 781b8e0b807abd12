/* SPDX-License-Identifier: MIT
 * Keys that several types of block have. */
#ifndef HEED_CLI_BLOCK_KEYS_H
#define HEED_CLI_BLOCK_KEYS_H

#include "block.h"

#define AT(field) offsetof(struct block_config, field)
/* clang-format off */
#define KEY_HEADS {CONFIG_COUNT, "heads", NULL, "heads of every attention", AT(heads), 0, 1, 65535, NULL}
#define KEY_DEPTH {CONFIG_COUNT, "depth", "2", "layers", AT(depth), 0, 1, 64, NULL}
#define KEY_BIAS {CONFIG_FLAG, "bias", "true", "projections have a bias", AT(bias), 0, 0, 0, NULL}
#define KEY_NORM(initial) \
    {CONFIG_CHOICE, "norm", initial, "layer norms behind the residual, before the part, or none", AT(norm), 0, 0, 0, \
     "none|post|pre"}
#define KEY_POST_NORM(initial) \
    {CONFIG_CHOICE, "norm", initial, "layer norm behind the residual, or none", AT(norm), 0, 0, 0, "none|post"}
#define KEY_EPSILON {CONFIG_NUMBER, "epsilon", "1e-5", "of the layer norms", AT(epsilon), 0, 0, 0, NULL}
#define KEY_RESIDUAL {CONFIG_FLAG, "residual", "true", "x is added to the result", AT(residual), 0, 0, 0, NULL}
#define KEY_GATE {CONFIG_FLAG, "gate", "false", "what is added is multiplied by tanh(gate)", AT(gate), 0, 0, 0, NULL}
#define KEY_SCALE \
    {CONFIG_NUMBER, "scale", "", "of the scores; default 1 / sqrt(dim of a head)", AT(scale), 0, 0, 0, NULL}
#define KEY_CAUSAL \
    {CONFIG_CHOICE, "causal", "\"none\"", "row i of x sees keys up to i + diagonal, which meets the last row and key, or " \
     "the first", AT(causal), 0, 0, 0, "none|bottom-right|top-left"}
#define KEY_ACTIVATION \
    {CONFIG_CHOICE, "activation", "\"relu\"", "of the feed-forward part", AT(activation), 0, 0, 0, \
     "relu|gelu|gelu-tanh|silu"}
#define KEY_GATED \
    {CONFIG_FLAG, "gated", "false", "linear2(activation(linear_gate(x)) * linear1(x)), as SwiGLU", AT(gated), 0, 0, 0, \
     NULL}
#define KEY_DTYPE \
    {CONFIG_CHOICE, "dtype", "\"f32\"", "of what lies between the ops; sums are f32 always", AT(dtype), 0, 0, 0, \
     "f32|f16|bf16"}
#define KEY_LEVELS \
    {CONFIG_LEVELS, "spatial_shapes", NULL, "of memory, level after level", AT(levels), AT(level_count), 0, 0, NULL}
#define KEY_POINTS \
    {CONFIG_POINTS, "points", "4", "of each head on every level, or level by level", AT(points), AT(point_count), 0, 0, \
     NULL}
#define KEY_OFFSET_SCALE \
    {CONFIG_NUMBER, "offset_scale", "0.5", "of offsets, in sizes of boxes; not for points", AT(offset_scale), 0, 0, 0, \
     NULL}
/* clang-format on */

#endif
