/* SPDX-License-Identifier: MIT
 * The pipelines that lines of tests/ops can ask for: one op each, and blocks. */
#include "op_case.h"
#include "op_rows_blocks.h"

#include <string.h>

static const heed_value none = {0};
const char *const op_activations[] = {"none", "relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", NULL};

/* "2x3x4". */
struct heed_shape op_shape(struct test_words *words, const char *key, struct heed_shape fallback)
{
    const char *text = test_words_get(words, key);
    if (!text || !*text)
        return fallback;
    struct heed_shape shape = {0};
    while (*text && shape.axes < HEED_MAX_AXES) {
        uint32_t n = 0;
        while (*text >= '0' && *text <= '9')
            n = 10 * n + (uint32_t)(*text++ - '0');
        shape.length[shape.axes++] = n;
        if (*text == 'x')
            text++;
        else if (*text)
            test_words_fail(words, key, "needs numbers with x between");
        if (*text && (*text < '0' || *text > '9'))
            break;
    }
    return shape;
}

static void linear(struct op_case *c, struct test_words *words)
{
    const uint32_t batch = test_words_number(words, "batch", 1), rows = test_words_number(words, "rows", 1);
    const uint32_t in = test_words_number(words, "in", 64), out = test_words_number(words, "out", 64);
    const bool transposed = test_words_has(words, "transposed"), strided = test_words_has(words, "strided");
    struct heed_linear_desc d = {.struct_size = sizeof d, .transposed = transposed, .kernel = c->kernel};
    d.activation = (enum heed_activation)test_words_choice(words, "act", op_activations, 0);
    d.dtype = op_dtype(words, "y", HEED_F32);
    heed_value x = op_input(c, "x", op_dtype(words, "x", HEED_F32), heed_shape_3(batch, rows, strided ? in + 3 : in),
                            OP_FILL_NORMAL);
    if (strided)
        x = heed_slice(c->p, x, 2, 2, in);
    heed_value w = op_input(c, "w", op_dtype(words, "w", HEED_F32),
                            transposed ? heed_shape_2(in, out) : heed_shape_2(out, in), OP_FILL_WEIGHT);
    if (test_words_has(words, "bias"))
        d.bias = op_input(c, "bias", HEED_F32, heed_shape_1(out), OP_FILL_NORMAL);
    if (test_words_has(words, "residual"))
        d.residual =
            op_input(c, "residual", op_dtype(words, "r", HEED_F32), heed_shape_3(batch, rows, out), OP_FILL_NORMAL);
    heed_pipeline_output(c->p, "y", heed_linear(c->p, x, w, &d));
}

static heed_value norm_input(struct op_case *c, struct test_words *words, uint32_t *features)
{
    const uint32_t batch = test_words_number(words, "batch", 1), rows = test_words_number(words, "rows", 1);
    *features = test_words_number(words, "features", 64);
    const bool strided = test_words_has(words, "strided");
    heed_value x = op_input(c, "x", op_dtype(words, "x", HEED_F32),
                            heed_shape_3(batch, strided ? rows + 2 : rows, *features + strided), OP_FILL_NORMAL);
    return strided ? heed_slice(c->p, heed_slice(c->p, x, 1, 1, rows), 2, 1, *features) : x;
}

static void layer_norm(struct op_case *c, struct test_words *words)
{
    uint32_t features;
    heed_value x = norm_input(c, words, &features);
    struct heed_layer_norm_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    if (test_words_has(words, "gain"))
        d.gain = op_input(c, "gain", HEED_F32, heed_shape_1(features), OP_FILL_GAIN);
    if (test_words_has(words, "bias"))
        d.bias = op_input(c, "bias", HEED_F32, heed_shape_1(features), OP_FILL_NORMAL);
    heed_pipeline_output(c->p, "y", heed_layer_norm(c->p, x, &d));
}

static void rms_norm(struct op_case *c, struct test_words *words)
{
    uint32_t features;
    heed_value x = norm_input(c, words, &features);
    struct heed_rms_norm_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    if (test_words_has(words, "gain"))
        d.gain = op_input(c, "gain", HEED_F32, heed_shape_1(features), OP_FILL_GAIN);
    heed_pipeline_output(c->p, "y", heed_rms_norm(c->p, x, &d));
}

static void combine(struct op_case *c, struct test_words *words)
{
    static const char *const combinations[] = {"add", "multiply", NULL};
    struct heed_combine_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    d.activation = (enum heed_activation)test_words_choice(words, "act", op_activations, 0);
    d.combination = (enum heed_combination)test_words_choice(words, "with", combinations, 0);
    d.scale = (float)test_words_real(words, "scale", 0);
    const struct heed_shape shape = op_shape(words, "shape", heed_shape_2(4, 64));
    heed_value a = op_input(c, "a", op_dtype(words, "a", HEED_F32), shape, OP_FILL_NORMAL), b = none;
    if (test_words_has(words, "b"))
        b = op_input(c, "b", op_dtype(words, "b_type", HEED_F32), op_shape(words, "b", shape), OP_FILL_NORMAL);
    if (test_words_has(words, "swapped")) { /* the last two axes */
        uint32_t order[HEED_MAX_AXES] = {0, 1, 2, 3};
        order[shape.axes - 1] = shape.axes - 2;
        order[shape.axes - 2] = shape.axes - 1;
        a = heed_permute(c->p, a, order);
    }
    heed_pipeline_output(c->p, "y", heed_combine(c->p, a, b, &d));
}

static void append(struct op_case *c, struct test_words *words)
{
    const uint32_t batch = test_words_number(words, "batch", 1), most = test_words_number(words, "most", 16);
    const uint32_t rows = test_words_number(words, "rows", 1), features = test_words_number(words, "features", 64);
    const uint32_t heads = test_words_number(words, "heads", 0);
    const int32_t at = (int32_t)test_words_real(words, "at", 0);
    heed_value state =
        op_state(c, "cache", op_dtype(words, "state", HEED_F32),
                 heads ? heed_shape_4(batch, most, heads, features) : heed_shape_3(batch, most, features));
    heed_value x = op_input(c, "x", op_dtype(words, "x", HEED_F32),
                            heads ? heed_shape_4(batch, rows, heads, features) : heed_shape_3(batch, rows, features),
                            OP_FILL_NORMAL);
    heed_append(c->p, state, x, test_words_has(words, "at") ? op_integers(c, "at", 1, &at) : none);
}

static void attend(struct op_case *c, struct test_words *words)
{
    const uint32_t batch = test_words_number(words, "batch", 1), heads = test_words_number(words, "heads", 2);
    const uint32_t heads_kv = test_words_number(words, "heads_kv", heads), dim = test_words_number(words, "dim", 32);
    const uint32_t len_q = test_words_number(words, "len_q", 5), len_kv = test_words_number(words, "len_kv", 9);
    struct heed_attend_desc d = {.struct_size = sizeof d, .causal = test_words_has(words, "causal")};
    d.dtype = op_dtype(words, "o", HEED_F32);
    /* One product for queries, keys and values, as many models have it: three slices of a row. */
    heed_value q, k, v;
    if (test_words_has(words, "packed")) {
        heed_value qkv = op_input(c, "qkv", op_dtype(words, "q", HEED_F32), heed_shape_3(batch, len_q, 3 * heads * dim),
                                  OP_FILL_NORMAL);
        q = heed_split_heads(c->p, heed_slice(c->p, qkv, 2, 0, heads * dim), heads);
        k = heed_split_heads(c->p, heed_slice(c->p, qkv, 2, heads * dim, heads * dim), heads);
        v = heed_split_heads(c->p, heed_slice(c->p, qkv, 2, 2 * heads * dim, heads * dim), heads);
    } else {
        q = heed_split_heads(
            c->p,
            op_input(c, "q", op_dtype(words, "q", HEED_F32), heed_shape_3(batch, len_q, heads * dim), OP_FILL_NORMAL),
            heads);
        k = heed_split_heads(c->p,
                             op_input(c, "k", op_dtype(words, "k", HEED_F32),
                                      heed_shape_3(batch, len_kv, heads_kv * dim), OP_FILL_NORMAL),
                             heads_kv);
        v = heed_split_heads(c->p,
                             op_input(c, "v", op_dtype(words, "v", HEED_F32),
                                      heed_shape_3(batch, len_kv, heads_kv * dim), OP_FILL_NORMAL),
                             heads_kv);
    }
    if (test_words_has(words, "mask"))
        d.mask =
            op_input(c, "mask", op_dtype(words, "mask", HEED_F32), heed_shape_4(1, 1, len_q, len_kv), OP_FILL_NORMAL);
    if (test_words_has(words, "lengths")) {
        int32_t lengths[64];
        for (uint32_t b = 0; b < 64; b++)
            lengths[b] = (int32_t)(b * 5 % (len_kv + 1));
        d.key_lengths = op_integers(c, "key_lengths", batch < 64 ? batch : 64, lengths);
    }
    heed_value lse = none, weights = none;
    if (test_words_has(words, "lse"))
        d.lse = &lse;
    if (test_words_has(words, "weights"))
        d.weights = &weights;
    heed_pipeline_output(c->p, "o", heed_merge_heads(c->p, heed_attend(c->p, q, k, v, &d)));
    if (d.lse)
        heed_pipeline_output(c->p, "lse", lse);
    if (d.weights)
        heed_pipeline_output(c->p, "weights", weights);
}

static void sample(struct op_case *c, struct test_words *words)
{
    const uint32_t batch = test_words_number(words, "batch", 1), len_q = test_words_number(words, "len_q", 7);
    const uint32_t heads = test_words_number(words, "heads", 2), dim = test_words_number(words, "dim", 16);
    const uint32_t size = test_words_number(words, "size", 8), levels = test_words_number(words, "levels", 2);
    const bool offsets = test_words_has(words, "offsets");
    struct heed_deform_desc deform = HEED_DEFORM_DESC_INIT;
    struct heed_sample_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "o", HEED_F32)};
    uint32_t rows = 0, points = 0;
    deform.level_count = levels;
    deform.reference_boxes = test_words_has(words, "boxes");
    deform.input = offsets ? HEED_DEFORM_OFFSETS : HEED_DEFORM_LOCATIONS;
    for (uint32_t l = 0; l < levels; l++) {
        deform.levels[l] = (struct heed_level){1, (size >> l) + 1, (size >> l) + 2, 2 + l, 0};
        rows += ((size >> l) + 1) * ((size >> l) + 2);
        points += 2 + l;
    }
    heed_value value =
        op_input(c, "value", op_dtype(words, "value", HEED_F32), heed_shape_4(batch, rows, heads, dim), OP_FILL_NORMAL);
    heed_value places = op_input(c, "places", HEED_F32, heed_shape_4(batch, len_q, heads, points * 2),
                                 offsets ? OP_FILL_NORMAL : OP_FILL_UNIT);
    deform.align_corners = test_words_has(words, "align_corners");
    deform.unweighted = test_words_has(words, "unweighted");
    heed_value weights =
        deform.unweighted ? none
                          : op_input(c, "weights", HEED_F32, heed_shape_4(batch, len_q, heads, points), OP_FILL_NORMAL);
    if (offsets)
        d.reference = op_input(c, "reference", HEED_F32, heed_shape_4(batch, len_q, 1, deform.reference_boxes ? 4 : 2),
                               OP_FILL_UNIT);
    heed_pipeline_output(c->p, "o", heed_sample(c->p, value, places, weights, &deform, &d));
}

const struct op_row test_pipelines[] = {
    {"linear", HEED_NODE_LINEAR, linear},
    {"layer_norm", HEED_NODE_LAYER_NORM, layer_norm},
    {"rms_norm", HEED_NODE_RMS_NORM, rms_norm},
    {"combine", HEED_NODE_COMBINE, combine},
    {"append", HEED_NODE_APPEND, append},
    {"attend", HEED_NODE_ATTEND, attend},
    {"sample", HEED_NODE_SAMPLE, sample},
    {"conv", HEED_NODE_CONV, op_build_conv},
    {"embed", HEED_NODE_EMBED, op_build_embed},
    {"concat", HEED_NODE_CONCAT, op_build_concat},
    {"rope", HEED_NODE_ROPE, op_build_rope},
    {"sinusoid", HEED_NODE_SINUSOID, op_build_sinusoid},
    {"pool", HEED_NODE_POOL, op_build_pool},
    {"resize", HEED_NODE_RESIZE, op_build_resize},
    {"top_k", HEED_NODE_TOP_K, op_build_top_k},
    {"block_attention", HEED_NODE_KIND_COUNT, op_block_attention},
    {"block_decoder_layer", HEED_NODE_KIND_COUNT, op_block_decoder_layer},
    {"block_co_attention", HEED_NODE_KIND_COUNT, op_block_co_attention},
    {"block_pooling", HEED_NODE_KIND_COUNT, op_block_pooling},
    {"block_two_way", HEED_NODE_KIND_COUNT, op_block_two_way},
    {"block_deform_decoder", HEED_NODE_KIND_COUNT, op_block_deform_decoder},
    {"block_dat", HEED_NODE_KIND_COUNT, op_block_dat},
};
const uint32_t test_pipeline_count = sizeof test_pipelines / sizeof *test_pipelines;
