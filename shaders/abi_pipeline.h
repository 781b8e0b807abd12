/* SPDX-License-Identifier: MIT
 * The part of abi.h of the kernels that only pipelines have. */
#ifndef HEED_ABI_PIPELINE_H
#define HEED_ABI_PIPELINE_H

#define HEED_DT_Q8_0 5
#define HEED_Q8_BLOCK 32 /* int8 behind their scale, an f16 */
#define HEED_Q8_HALVES 17

/* Of a work group of combine, append and the ops of HEED_POINTS_PUSH: fours of elements. */
#define HEED_QUADS_OF_GROUP 64

/* ---- combine: o = activation(scale * a) + b, or * b, or without b. Four axes, of which the first is groups.z and the
 * last one is taken four elements at a time; strides of 0 repeat. */
#define HEED_COMBINE_A 0
#define HEED_COMBINE_B 1
#define HEED_COMBINE_O 2
#define HEED_COMBINE_BINDINGS 3

#define HEED_COMBINE_SPEC_FLAGS 1  /* activation | HEED_COMBINE_* */
#define HEED_COMBINE_SPEC_DTYPES 2 /* a | b << 4 | o << 8 */
#define HEED_COMBINE_SPEC_VECTOR 3
#define HEED_COMBINE_SPEC_COUNT 4
#define HEED_COMBINE_ADD (1u << 4)
#define HEED_COMBINE_MULTIPLY (1u << 5)
#define HEED_COMBINE_STRIDED_A (1u << 6) /* neighbours on the last axis of a are not adjacent, or are the same */
#define HEED_COMBINE_STRIDED_B (1u << 7)

#define HEED_COMBINE_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U_ARRAY(lengths, 3)   /* of axes 1, 2, 3 */ \
    HEED_U_ARRAY(a_strides, 4) \
    HEED_U_ARRAY(b_strides, 4) \
    HEED_U_ARRAY(o_strides, 3) \
    HEED_F(scale)

/* ---- norm: a row of features less its mean (layer norm), divided by its deviation or its root of mean squares. A work
 * group has HEED_NORM_GROUP / LANES rows, in Vulkan each with its share of the invocations. */
#define HEED_NORM_GROUP 64
#define HEED_NORM_X 0
#define HEED_NORM_GAIN 1
#define HEED_NORM_BIAS 2
#define HEED_NORM_O 3
#define HEED_NORM_BINDINGS 4

#define HEED_NORM_SPEC_FLAGS 1
#define HEED_NORM_SPEC_DTYPES 2 /* x | o << 4 */
#define HEED_NORM_SPEC_VECTOR 3
#define HEED_NORM_SPEC_LANES 4 /* invocations of a row, a power of two */
#define HEED_NORM_SPEC_COUNT 5
#define HEED_NORM_MEAN (1u << 0)
#define HEED_NORM_GAIN_FLAG (1u << 1)
#define HEED_NORM_BIAS_FLAG (1u << 2)

#define HEED_NORM_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(rows) HEED_U(features) \
    HEED_U(x_stride_batch) HEED_U(x_stride_row) \
    HEED_U(o_stride_batch) HEED_U(o_stride_row) \
    HEED_F(epsilon)

/* ---- linear: y = activation(x W + bias) + residual. */
#define HEED_LINEAR_X 0
#define HEED_LINEAR_W 1
#define HEED_LINEAR_BIAS 2
#define HEED_LINEAR_RESIDUAL 3
#define HEED_LINEAR_Y 4
#define HEED_LINEAR_BINDINGS 5

#define HEED_LINEAR_SPEC_FLAGS 1  /* activation | HEED_LINEAR_* */
#define HEED_LINEAR_SPEC_DTYPES 2 /* x | w << 4 | residual << 8 | y << 12 */
#define HEED_LINEAR_SPEC_VECTOR 3
#define HEED_LINEAR_SPEC_ROWS 4    /* of a work group; linear: of an invocation */
#define HEED_LINEAR_SPEC_COLUMNS 5 /* of an invocation; linear_rows: a multiple of 16 */
#define HEED_LINEAR_SPEC_CHUNK 6   /* features at a time; linear_vector: invocations that share a column */
#define HEED_LINEAR_SPEC_COUNT 7
#define HEED_LINEAR_PLAIN 32      /* OpenCL's linear: rows, and columns, of a work group */
#define HEED_LINEAR_ROWS_MOST 192 /* linear_rows: rows of a work group */
#define HEED_LINEAR_HAS_BIAS (1u << 4)
#define HEED_LINEAR_HAS_RESIDUAL (1u << 5)
#define HEED_LINEAR_TRANSPOSED (1u << 6) /* W is [in][out] */

#define HEED_LINEAR_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(rows) HEED_U(features) HEED_U(columns) \
    HEED_U(x_stride_batch) HEED_U(x_stride_row) \
    HEED_U(w_stride) \
    HEED_U(residual_stride_batch) HEED_U(residual_stride_row) \
    HEED_U(y_stride_batch) HEED_U(y_stride_row)

/* ---- conv: y = activation(x * W + bias) + residual, a convolution, in two ways. conv and conv_lanes: linear's kernels,
 * bindings and constants (HEED_LINEAR_*), with features of one tap after another. conv_direct: 4 channels of POSITIONS
 * positions of y in an invocation, for groups of few channels. */
#define HEED_CONV_SPEC_PADDED 7   /* features of a tap, a multiple of the chunk; conv_direct: channels of x of a group */
#define HEED_CONV_SPEC_KERNEL_X 8
#define HEED_CONV_SPEC_TAPS 9
#define HEED_CONV_SPEC_GROUP_OUT 10 /* conv_direct: channels of y of a group */
#define HEED_CONV_SPEC_COUNT 11
#define HEED_CONV_STRIDED (1u << 7) /* channels of x are not adjacent */

#define HEED_CONV_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(rows) HEED_U(features) HEED_U(columns) \
    HEED_U(channels)           /* of x, of a group */ \
    HEED_U(column0)            /* conv_direct: of y, what is column 0 of the step */ \
    HEED_U(line0) HEED_U(lines_y) \
    HEED_U(x_stride_image) HEED_U(x_stride_y) HEED_U(x_stride_x) HEED_U(x_stride_channel) \
    HEED_U(length_y) HEED_U(length_x) \
    HEED_U(stride_y) HEED_U(stride_x) HEED_U(dilation_y) HEED_U(dilation_x) \
    HEED_U(padding_y) HEED_I(origin_x) \
    HEED_U(residual_stride_batch) HEED_U(residual_stride_row) \
    HEED_U(y_stride_batch) HEED_U(y_stride_row)

/* ---- ops whose invocations make 4 features of one place of the result each, in a box of 4 axes: lengths of the box,
 * where it begins in the result, and what else the op needs. */
#define HEED_POINTS_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U_ARRAY(lengths, 4) \
    HEED_U_ARRAY(first, 4) \
    HEED_U_ARRAY(x_strides, 4) \
    HEED_U_ARRAY(o_strides, 3) /* features of the result are adjacent */ \
    HEED_U_ARRAY(own, 10) \
    HEED_F(a) HEED_F(b) HEED_F(c)

#define HEED_POINTS_SPEC_FLAGS 1
#define HEED_POINTS_SPEC_DTYPES 2 /* x | o << 4 */
#define HEED_POINTS_SPEC_VECTOR 3
#define HEED_POINTS_SPEC_COUNT 4

/* embed: x is the table; own[0..2] strides of the indices, own[3] rows of the table */
#define HEED_EMBED_TABLE 0
#define HEED_EMBED_INDEX 1
#define HEED_EMBED_O 2
#define HEED_EMBED_BINDINGS 3

/* rope: own[0..2] strides of the positions, own[3] what is added to them, own[4] features that are turned; a + b: twice
 * the binary logarithm of the base over them; c: what positions are multiplied by */
#define HEED_ROPE_X 0
#define HEED_ROPE_POSITIONS 1
#define HEED_ROPE_O 2
#define HEED_ROPE_BINDINGS 3
#define HEED_ROPE_HAS_POSITIONS (1u << 0)
#define HEED_ROPE_COUNT_ON (1u << 1) /* add the number of the row */
#define HEED_ROPE_INTERLEAVED (1u << 2)

/* sinusoid: own[0..2] strides of the positions, own[3] half of the channels; a + b: the binary logarithm of the base
 * over the number of frequencies; c: what positions are multiplied by */
#define HEED_SINUSOID_POSITIONS 0
#define HEED_SINUSOID_O 1
#define HEED_SINUSOID_BINDINGS 2
#define HEED_SINUSOID_HAS_POSITIONS (1u << 0) /* else the row is the position */
#define HEED_SINUSOID_INTEGERS (1u << 1)
#define HEED_SINUSOID_INTERLEAVED (1u << 2)
#define HEED_SINUSOID_COSINE_FIRST (1u << 3)

/* pool: own[0] elements along the axis, own[1] from one to the next, unless it is the last one */
#define HEED_POOL_X 0
#define HEED_POOL_O 1
#define HEED_POOL_BINDINGS 2
#define HEED_POOL_MAX (1u << 0)
#define HEED_POOL_LAST (1u << 1)
#define HEED_POOL_STRIDED (1u << 2) /* neighbours on the last axis of x are not adjacent */

/* resize: own[0..1] lines and positions of x, a and b: of x, for one of the result */
#define HEED_RESIZE_X 0
#define HEED_RESIZE_O 1
#define HEED_RESIZE_BINDINGS 2
#define HEED_RESIZE_ALIGN_CORNERS (1u << 0)
#define HEED_RESIZE_STRIDED (1u << 1)

/* top_k: own[0] elements of a row, own[1] how many of them; both results are packed */
#define HEED_TOP_K_X 0
#define HEED_TOP_K_VALUES 1
#define HEED_TOP_K_INDICES 2
#define HEED_TOP_K_BINDINGS 3
#define HEED_TOP_K_HAS_VALUES (1u << 0)

/* ---- append: rows of x into a state, from row `at` on: four axes [batch][row][...][...], taken word by word or in
 * elements of 16 bits. */
#define HEED_APPEND_X 0
#define HEED_APPEND_AT 1
#define HEED_APPEND_STATE 2
#define HEED_APPEND_BINDINGS 3

#define HEED_APPEND_SPEC_FLAGS 1
#define HEED_APPEND_SPEC_DTYPES 2 /* x | state << 4 */
#define HEED_APPEND_SPEC_VECTOR 3
#define HEED_APPEND_SPEC_COUNT 4
#define HEED_APPEND_HAS_AT (1u << 0)

#define HEED_APPEND_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U_ARRAY(lengths, 4)  /* of x */ \
    HEED_U_ARRAY(x_strides, 3) \
    HEED_U_ARRAY(state_strides, 3) \
    HEED_U(most) /* the largest `at` */

#ifndef VULKAN
struct heed_combine_push { HEED_COMBINE_PUSH };
struct heed_norm_push { HEED_NORM_PUSH };
struct heed_linear_push { HEED_LINEAR_PUSH };
struct heed_conv_push { HEED_CONV_PUSH };
struct heed_points_push { HEED_POINTS_PUSH };
struct heed_append_push { HEED_APPEND_PUSH };
_Static_assert(sizeof(struct heed_combine_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_norm_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_linear_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_conv_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_points_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_append_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
#endif

#endif
