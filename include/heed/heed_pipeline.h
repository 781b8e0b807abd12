/* SPDX-License-Identifier: MIT
 *
 * heed pipelines: many ops in one recording. A pipeline is built value by value, checked as it is built, and compiled
 * once into a heed_plan (heed.h), which is run, bound and recorded like any other; its arguments have the names given
 * here. What lies between the ops lives in one scratch arena, packed by lifetime, with barriers only where one step
 * needs what another wrote. A cross-attention block:
 *
 *     heed_pipeline *p;
 *     heed_pipeline_create(device, NULL, &p);
 *     heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(1, len_q, 512));
 *     heed_value memory = heed_pipeline_input(p, "memory", HEED_F32, heed_shape_3(1, len_kv, 512));
 *     heed_value wq = heed_pipeline_input(p, "wq", HEED_F16, heed_shape_2(512, 512)); // wk, wv, wo, bq, gain: the same
 *     ...
 *     heed_value q = heed_split_heads(p, heed_linear(p, x, wq, HEED_DESC(linear, .bias = bq)), 8);
 *     heed_value k = heed_split_heads(p, heed_linear(p, memory, wk, NULL), 8);
 *     heed_value v = heed_split_heads(p, heed_linear(p, memory, wv, NULL), 8);
 *     heed_value o = heed_merge_heads(p, heed_attend(p, q, k, v, NULL));
 *     heed_value y = heed_linear(p, o, wo, HEED_DESC(linear, .residual = x));
 *     heed_pipeline_output(p, "y", heed_layer_norm(p, y, HEED_DESC(layer_norm, .gain = gain, .bias = bias)));
 *
 *     heed_plan *plan;
 *     if (heed_pipeline_compile(p, &plan)) // the log names the value and the rule
 *         ...
 *     heed_pipeline_destroy(&p);           // the plan does not need it
 *
 * Errors: a function that fails logs one line, returns no value, and the pipeline remembers the status; every later
 * call with it does nothing, and heed_pipeline_compile returns the status. So only the compile needs a check.
 *
 * Numbers: every op computes in f32 (f64 on the reference) and stores its result as its desc says, f32 unless told
 * otherwise. The reference backend keeps f32 results between ops in f64 and rounds only where 16 bits were declared, so
 * that it is the oracle of a whole pipeline: what differs is what f32 and the kernels do.
 *
 * Devices: every op is on all of them. On OpenCL a program serves all types, flags and lengths of an op, so that a device
 * compiles it once; those of heed_attend and heed_sample are for one problem's constants, as in heed.h.
 *
 * Threads: a pipeline is built by one thread at a time; different pipelines of a device by any. The plan follows
 * heed.h.
 */
#ifndef HEED_HEED_PIPELINE_H
#define HEED_HEED_PIPELINE_H

#include <heed/heed.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct heed_pipeline heed_pipeline;

/* A tensor of a pipeline: a handle, copied freely; good for the pipeline that made it. id 0: none, for what is
 * optional, and from functions that failed. */
typedef struct heed_value {
    uint32_t id;
} heed_value;

enum { HEED_MAX_AXES = 4 };

/* Lengths of the axes, the last one of adjacent elements (features). A length is 0..2^31 - 1, or a size made by
 * heed_pipeline_add_size. */
struct heed_shape {
    uint32_t axes; /* 1..HEED_MAX_AXES */
    uint32_t length[HEED_MAX_AXES];
};
static inline struct heed_shape heed_shape_1(uint32_t a)
{
    struct heed_shape s = {1, {a, 0, 0, 0}};
    return s;
}
static inline struct heed_shape heed_shape_2(uint32_t a, uint32_t b)
{
    struct heed_shape s = {2, {a, b, 0, 0}};
    return s;
}
static inline struct heed_shape heed_shape_3(uint32_t a, uint32_t b, uint32_t c)
{
    struct heed_shape s = {3, {a, b, c, 0}};
    return s;
}
static inline struct heed_shape heed_shape_4(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    struct heed_shape s = {4, {a, b, c, d}};
    return s;
}

/* A descriptor in place, C only: HEED_DESC(linear, .bias = b) is a pointer to a struct heed_linear_desc with its
 * struct_size and these fields, the rest zero. Zero is the default of every field of the descriptors here, and NULL the
 * default of all of them. */
#define HEED_DESC(op, ...)                                                                                             \
    (&(const struct heed_##op##_desc){.struct_size = sizeof(struct heed_##op##_desc), __VA_ARGS__})

/* ------------------------------------------------------------------------------------------------ pipeline */

struct heed_pipeline_desc {
    size_t struct_size;
    uint32_t offset_alignment; /* as in heed_attention_desc: of every argument's offset; 0 = 16 */
};

/* `desc` may be NULL. HEED_ERR_ARGUMENT, HEED_ERR_HOST_MEMORY. */
HEED_API enum heed_status heed_pipeline_create(heed_device *device, const struct heed_pipeline_desc *desc,
                                               heed_pipeline **pipeline);
/* Sets *pipeline to NULL; NULL is allowed. Plans made from it stay. */
HEED_API void heed_pipeline_destroy(heed_pipeline **pipeline);
/* The first error so far, or HEED_OK. */
HEED_API enum heed_status heed_pipeline_get_status(const heed_pipeline *pipeline);

/* An argument that is only read: data, weights. Packed, row-major. Names are of 1 to 63 characters and differ from each
 * other and from "scratch". dtype may also be HEED_Q8_0 for the weights of heed_linear, and HEED_I32 and HEED_BOOL
 * where an op says so. */
HEED_API heed_value heed_pipeline_input(heed_pipeline *pipeline, const char *name, enum heed_dtype dtype,
                                        struct heed_shape shape);
/* An argument that is read, and written in place by heed_append: a cache. */
HEED_API heed_value heed_pipeline_state(heed_pipeline *pipeline, const char *name, enum heed_dtype dtype,
                                        struct heed_shape shape);
/* Makes an argument of a value: packed, row-major, of the value's type. The value itself can still be used, and a value
 * that is a view or an argument already is copied. */
HEED_API void heed_pipeline_output(heed_pipeline *pipeline, const char *name, heed_value value);
/* What messages, heed_explain_plan and heed_pipeline_dot call the value; "linear 3" and the like otherwise. */
HEED_API void heed_pipeline_label(heed_pipeline *pipeline, heed_value value, const char *label);
HEED_API enum heed_status heed_pipeline_get_shape(const heed_pipeline *pipeline, heed_value value,
                                                  struct heed_shape *shape, enum heed_dtype *dtype);

/* A size with bounds: a length that shapes, heed_reshape and heed_slice take in place of a number. The plan is for
 * `most`; heed_plan_create_resized makes one for less out of it. 0 < most < 2^31. At most HEED_MAX_SIZES. */
enum { HEED_MAX_SIZES = 16 };
HEED_API uint32_t heed_pipeline_add_size(heed_pipeline *pipeline, const char *name, uint32_t most);

/* Checks what is left to check, lowers, places barriers, packs the arena, compiles. The pipeline can go on being built
 * and be compiled again. *plan is NULL on failure. Statuses as heed_plan_create_attention, or the first of building. */
HEED_API enum heed_status heed_pipeline_compile(heed_pipeline *pipeline, heed_plan **plan);

struct heed_size {
    const char *name;
    uint32_t length; /* 0..most */
};
/* The same pipeline with other sizes up to their most; those that are not named stay. The kernels are those that were
 * chosen for `plan`, whose pipelines it shares, because lengths are no constants of kernels: host work of the order of
 * the number of dispatches. Only attention may want another variant of its kernel where rows or keys become few, which
 * is compiled then (heed_plan_info.pipelines - pipelines_shared). `plan` may be one that was resized, and may be
 * destroyed first. HEED_ERR_ARGUMENT: an unknown name, more than `most`, or shapes that do not fit together. */
HEED_API enum heed_status heed_plan_create_resized(heed_plan *plan, const struct heed_size *sizes, uint32_t size_count,
                                                   heed_plan **resized);

/* The recording, as text for people: each op with its shapes, bytes and flops, its dispatches with their kernels, arena
 * offsets and barriers. Any plan. Like heed_explain_attention writes at most `capacity` bytes with the final 0. */
HEED_API enum heed_status heed_explain_plan(const heed_plan *plan, char *text, size_t capacity, size_t *length);
/* The graph in the language of Graphviz. */
HEED_API enum heed_status heed_pipeline_dot(const heed_pipeline *pipeline, char *text, size_t capacity, size_t *length);

/* ------------------------------------------------------------------------------------------------ views */

/* The same elements seen otherwise; nothing is copied and nothing runs. What cannot be seen without a copy is
 * HEED_ERR_ARGUMENT. */

/* One length may be HEED_LENGTH_REST: what is left of the elements. */
#define HEED_LENGTH_REST UINT32_MAX
HEED_API heed_value heed_reshape(heed_pipeline *pipeline, heed_value x, struct heed_shape shape);
/* Axis i of the result is axis order[i] of x. */
HEED_API heed_value heed_permute(heed_pipeline *pipeline, heed_value x, const uint32_t order[HEED_MAX_AXES]);
/* Elements first .. first + length - 1 of an axis. */
HEED_API heed_value heed_slice(heed_pipeline *pipeline, heed_value x, uint32_t axis, uint32_t first, uint32_t length);
/* [batch][row][heads * dim] -> [batch][heads][row][dim], what heed_attend takes, and back. */
HEED_API heed_value heed_split_heads(heed_pipeline *pipeline, heed_value x, uint32_t heads);
HEED_API heed_value heed_merge_heads(heed_pipeline *pipeline, heed_value x);

/* ------------------------------------------------------------------------------------------------ ops */

enum heed_activation {
    HEED_ACTIVATION_NONE = 0,
    HEED_RELU = 1,      /* max(x, 0) */
    HEED_GELU = 2,      /* x/2 (1 + erf(x / sqrt 2)): Hendrycks and Gimpel 2016 */
    HEED_GELU_TANH = 3, /* x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
    HEED_SILU = 4,      /* x / (1 + exp(-x)) */
    HEED_SIGMOID = 5,   /* 1 / (1 + exp(-x)) */
    HEED_TANH = 6,
};

/* y = activation(x W + bias) + residual, over the last axis of x: [...][in] -> [...][out].
 *
 *   weight    f32, f16, bf16 or q8_0 [out][in], as PyTorch and ggml keep it; with `transposed` [in][out], not q8_0
 *   bias      f32 [out]
 *   residual  f32, f16, bf16, the shape of y */
struct heed_linear_desc {
    size_t struct_size;
    heed_value bias, residual;
    bool transposed;
    enum heed_activation activation;
    enum heed_dtype dtype; /* of y */
    const char *kernel;    /* NULL: the best */
};
HEED_API heed_value heed_linear(heed_pipeline *pipeline, heed_value x, heed_value weight,
                                const struct heed_linear_desc *desc);

/* y = (x - mean) / sqrt(variance + epsilon) * gain + bias over the last axis: Ba et al. 2016. gain, bias: f32
 * [features], or none. */
struct heed_layer_norm_desc {
    size_t struct_size;
    heed_value gain, bias;
    float epsilon; /* 0 = 1e-5 */
    enum heed_dtype dtype;
};
HEED_API heed_value heed_layer_norm(heed_pipeline *pipeline, heed_value x, const struct heed_layer_norm_desc *desc);

/* y = x / sqrt(mean of x^2 + epsilon) * gain: Zhang and Sennrich 2019. */
struct heed_rms_norm_desc {
    size_t struct_size;
    heed_value gain;
    float epsilon; /* 0 = 1e-6 */
    enum heed_dtype dtype;
};
HEED_API heed_value heed_rms_norm(heed_pipeline *pipeline, heed_value x, const struct heed_rms_norm_desc *desc);

enum heed_combination {
    HEED_ADD = 0,
    HEED_MULTIPLY = 1,
};

/* y = activation(scale * a) + b or activation(scale * a) * b, or without b activation(scale * a). Axes are matched from
 * the last one; an axis of length 1, or missing in front, is repeated. A gate is sigma(g) * x or tanh(a) * x:
 * heed_combine(p, g, x, HEED_DESC(combine, .activation = HEED_SIGMOID, .combination = HEED_MULTIPLY)). */
struct heed_combine_desc {
    size_t struct_size;
    enum heed_activation activation;
    enum heed_combination combination;
    float scale; /* 0 = 1 */
    enum heed_dtype dtype;
};
HEED_API heed_value heed_combine(heed_pipeline *pipeline, heed_value a, heed_value b,
                                 const struct heed_combine_desc *desc);

/* Attention as heed.h defines it: q [batch][heads_q][len_q][dim_qk], k [batch][heads_kv][len_kv][dim_qk],
 * v [batch][heads_kv][len_kv][dim_v] -> o [batch][heads_q][len_q][dim_v], any views of adjacent features. o lies as
 * [batch][row][head][feature], so that heed_merge_heads sees it without a copy. Values are of the types and shapes that
 * heed_attention_desc names for the arguments; broadcast axes have length 1. */
struct heed_attend_desc {
    size_t struct_size;
    float scale;   /* 0 = 1 / sqrt(dim_qk) */
    float softcap; /* 0: none */
    enum heed_softcap_order softcap_order;
    bool causal, window;
    int32_t window_left, window_right;
    enum heed_diagonal diagonal;
    heed_value mask;                     /* bool, f32 or f16, [batch or 1][heads_q or 1][len_q or 1][len_kv] */
    heed_value key_lengths;              /* i32 [batch] */
    heed_value key_bias;                 /* f32 [batch or 1][heads_q or 1][len_kv] */
    heed_value alibi;                    /* f32 [heads_q] */
    heed_value q_pos, k_pos, distance;   /* f32 [batch or 1][len_q][dims], [batch or 1][len_kv][dims], [heads_q][2] */
    heed_value sinks;                    /* f32 [heads_q] */
    heed_value *lse, *entropy, *weights; /* not NULL: set to f32 [batch][heads_q][len_q] (and [len_kv]) */
    enum heed_path path;
    enum heed_dtype dtype; /* of o */
    const char *kernel;
};
HEED_API heed_value heed_attend(heed_pipeline *pipeline, heed_value q, heed_value k, heed_value v,
                                const struct heed_attend_desc *desc);

/* Multi-scale deformable attention as heed.h defines it, its form, levels and sampling as in `deform`, where batch,
 * len_q, heads, dim, len_value, value and o are 0: the values say them. value [batch][len_value][heads][dim];
 * coordinates and weights, offsets and logits [batch][len_q][heads][...] with as many elements as heed.h says, packed;
 * reference [batch][len_q][levels or 1][2 or more], for HEED_DEFORM_OFFSETS only; no weights where `deform` is
 * unweighted. -> o [batch][len_q][heads * dim]. */
struct heed_sample_desc {
    size_t struct_size;
    heed_value reference;
    enum heed_dtype dtype; /* of o */
};
HEED_API heed_value heed_sample(heed_pipeline *pipeline, heed_value value, heed_value coordinates, heed_value weights,
                                const struct heed_deform_desc *deform, const struct heed_sample_desc *desc);

/* Writes x [batch][n][...] into rows at .. at + n - 1 of a state [batch][length][...]: a cache that grows in place.
 * `at`: i32 [1], or none for 0; it is clamped so that x ends within the state. Returns the state with x in it: use that
 * from there on, with key lengths of at + n where it is attended to. */
HEED_API heed_value heed_append(heed_pipeline *pipeline, heed_value state, heed_value x, heed_value at);

/* y = activation(x * W + bias) + residual, the convolution of PyTorch's Conv1d and Conv2d (a cross-correlation):
 *
 *   y[b][oy][ox][n] = sum over c, ky, kx of W[n][c][ky][kx] x[b][oy stride - padding + ky dilation][ox ...][g in + c]
 *
 * with 0 for what lies outside x; n is of group g = n / (channels of y / groups), of `in` channels of x. Channels are
 * the last axis, as heed_linear and heed_attend want them:
 *
 *   x         f32, f16, bf16 [batch][x][channels], or [x][channels], where W has 3 axes; [batch][y][x][channels], or
 *             [y][x][channels], where it has 4. Any view: channels first is heed_permute of it, without a copy
 *   weight    f32, f16, bf16 [channels of y][in][kx] or [channels of y][in][ky][kx], packed, as PyTorch keeps it
 *   bias      f32 [channels of y]
 *   residual  f32, f16, bf16, packed, the shape of y
 *
 * Whisper's mel [1][80][3000] goes in as heed_permute(p, mel, (uint32_t[]){0, 2, 1, 3}), [1][3000][80]. The result has
 * (length + 2 padding - dilation (kernel - 1) - 1) / stride + 1 positions along each axis; less than one is
 * HEED_ERR_ARGUMENT. */
struct heed_conv_desc {
    size_t struct_size;
    heed_value bias, residual;
    uint32_t stride[2], padding[2], dilation[2]; /* along x, or along y and x; stride and dilation 0 = 1 */
    uint32_t groups;                             /* 0 = 1; as many as channels: depth-wise */
    enum heed_activation activation;
    enum heed_dtype dtype; /* of y */
    const char *kernel;    /* NULL: the best */
};
HEED_API heed_value heed_conv(heed_pipeline *pipeline, heed_value x, heed_value weight,
                              const struct heed_conv_desc *desc);

/* y[...][d] = table[indices[...]][d], and 0 where the index is negative or not below the rows of the table.
 *
 *   table    f32, f16, bf16 or q8_0 [rows][features]
 *   indices  i32 [...], 1 to 3 axes, any view */
struct heed_embed_desc {
    size_t struct_size;
    enum heed_dtype dtype; /* of y */
};
HEED_API heed_value heed_embed(heed_pipeline *pipeline, heed_value table, heed_value indices,
                               const struct heed_embed_desc *desc);

/* 1 to 12 values one behind the other along an axis; f32, f16 or bf16, any views, of the same lengths otherwise. */
struct heed_concat_desc {
    size_t struct_size;
    enum heed_dtype dtype;
};
HEED_API heed_value heed_concat(heed_pipeline *pipeline, const heed_value *values, uint32_t count, uint32_t axis,
                                const struct heed_concat_desc *desc);

/* Rotary positions: Su et al. 2021. x [...][rows][features], f32, f16, bf16, any view: pair i of the first `dims`
 * features of a row is turned by the angle scale * position * base^(-2 i / dims); the rest stays as it is.
 *
 *   pair i    features i and i + dims / 2 (GPT-NeoX, Llama in Hugging Face's layout), or 2 i and 2 i + 1, interleaved
 *             (GPT-J, Llama's own)
 *   position  row + first + what `positions`, i32 [1] or [batch][1], says; or first + positions, i32 [rows] or
 *             [batch][rows]. batch is the first axis of x, of 3 or 4 axes
 *
 * Angles are made in f32, so that their error grows with the position: half a degree at 10^5. */
struct heed_rope_desc {
    size_t struct_size;
    heed_value positions;
    uint32_t first;
    uint32_t dims; /* even, at most 8192; 0: all features */
    bool interleaved;
    float base;  /* 0 = 10000; above 1 */
    float scale; /* 0 = 1; 1/8: positions eight times as far as the model was trained for (Chen et al. 2023) */
    enum heed_dtype dtype;
};
HEED_API heed_value heed_rope(heed_pipeline *pipeline, heed_value x, const struct heed_rope_desc *desc);

/* Sines and cosines of scale * position * base^(-i / n): Vaswani et al. 2017. positions f32 or i32 [...], 1 to 3 axes,
 * any view, or none for 0 .. rows - 1; -> [...][channels]. Of channels / 2 frequencies n is all, or, inclusive, one
 * less, so that the last one is 1 / base. Whisper's: .channels = 384, .rows = 1500, .inclusive = true; DETR's, of one
 * coordinate 0..1: .interleaved = true, .scale = 2 pi. */
struct heed_sinusoid_desc {
    size_t struct_size;
    uint32_t channels; /* even, 2..8192 */
    uint32_t rows;     /* without positions; or a size of the pipeline */
    bool interleaved;  /* sine and cosine of a frequency are neighbours; else all sines, then all cosines */
    bool cosine_first;
    bool inclusive;
    float base;  /* 0 = 10000; above 1 */
    float scale; /* 0 = 1 */
    enum heed_dtype dtype;
};
HEED_API heed_value heed_sinusoid(heed_pipeline *pipeline, heed_value positions, const struct heed_sinusoid_desc *desc);

enum heed_pooling {
    HEED_POOL_MEAN = 0,
    HEED_POOL_MAXIMUM = 1, /* NaN where one is */
};

/* The mean or the largest of an axis of x, which has length 1 in the result: tokens, or channels. The axis has at least
 * one element. Pools of w tokens are an axis of w, made by heed_reshape. */
struct heed_pool_desc {
    size_t struct_size;
    enum heed_pooling pooling;
    enum heed_dtype dtype;
};
HEED_API heed_value heed_pool(heed_pipeline *pipeline, heed_value x, uint32_t axis, const struct heed_pool_desc *desc);

/* Images [y][x][channels] or [batch][y][x][channels], any view, in another size, as PyTorch's interpolate does with
 * mode "bilinear": place o of the result is at (o + 1/2) size / (new size) - 1/2 of x, not below 0, or with
 * align_corners at o (size - 1) / (new size - 1), and between the two neighbours of that place along each axis it is
 * linear. height and width may be sizes of the pipeline. */
struct heed_resize_desc {
    size_t struct_size;
    bool align_corners;
    enum heed_dtype dtype;
};
HEED_API heed_value heed_resize(heed_pipeline *pipeline, heed_value x, uint32_t height, uint32_t width,
                                const struct heed_resize_desc *desc);

/* Where the k largest elements of each row of x are, the largest first, of equal ones the first in the row: i32
 * [...][k]. NaN is less than any number. k may be a size of the pipeline; each of the k is a pass over the row. */
struct heed_top_k_desc {
    size_t struct_size;
    heed_value *values;    /* not NULL: set to what they are, [...][k] */
    enum heed_dtype dtype; /* of values */
};
HEED_API heed_value heed_top_k(heed_pipeline *pipeline, heed_value x, uint32_t k, const struct heed_top_k_desc *desc);
/* The largest alone: heed_top_k of 1. */
HEED_API heed_value heed_arg_max(heed_pipeline *pipeline, heed_value x);

#ifdef __cplusplus
}
#endif
#endif
