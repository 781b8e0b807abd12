/* SPDX-License-Identifier: MIT
 * Blocks as lines of tests/ops ask for them. */
#include "op_case.h"
#include "op_rows_blocks.h"

#include <heed/heed_blocks.h>

#include <stdio.h>

static const heed_value none = {0};

struct maker {
    struct op_case *c;
    const char *prefix;
    enum heed_dtype weight;
};

static heed_value weight(const struct maker *m, const char *name, uint32_t out, uint32_t in)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", m->prefix, name);
    return op_input(m->c, text, m->weight, heed_shape_2(out, in), OP_FILL_WEIGHT);
}

static heed_value vector(const struct maker *m, const char *name, uint32_t count, enum op_fill fill)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", m->prefix, name);
    return op_input(m->c, text, HEED_F32, heed_shape_1(count), fill);
}

static struct heed_norm norm(const struct maker *m, uint32_t features)
{
    return (struct heed_norm){vector(m, "gain", features, OP_FILL_GAIN), vector(m, "shift", features, OP_FILL_WEIGHT),
                              0};
}

static struct heed_block_attention_desc attention(const struct maker *m, uint32_t dim, uint32_t memory, uint32_t inner,
                                                  uint32_t heads)
{
    return (struct heed_block_attention_desc){
        .struct_size = sizeof(struct heed_block_attention_desc),
        .heads = heads,
        .weights = {weight(m, "wq", inner, dim), weight(m, "wk", inner, memory), weight(m, "wv", inner, memory),
                    weight(m, "wo", dim, inner), vector(m, "bq", inner, OP_FILL_WEIGHT),
                    vector(m, "bk", inner, OP_FILL_WEIGHT), vector(m, "bv", inner, OP_FILL_WEIGHT),
                    vector(m, "bo", dim, OP_FILL_WEIGHT)},
    };
}

static struct heed_block_feed_forward_desc feed_forward(const struct maker *m, uint32_t dim, uint32_t inner)
{
    return (struct heed_block_feed_forward_desc){
        .struct_size = sizeof(struct heed_block_feed_forward_desc),
        .w1 = weight(m, "w1", inner, dim),
        .b1 = vector(m, "b1", inner, OP_FILL_WEIGHT),
        .w2 = weight(m, "w2", dim, inner),
        .b2 = vector(m, "b2", dim, OP_FILL_WEIGHT),
        .activation = HEED_GELU,
    };
}

struct sizes {
    uint32_t batch, rows, keys, dim, memory, heads;
    enum heed_dtype type, weight;
};

static struct sizes sizes_of(struct test_words *words)
{
    struct sizes s = {
        .batch = test_words_number(words, "batch", 1),
        .rows = test_words_number(words, "rows", 7),
        .keys = test_words_number(words, "keys", 19),
        .dim = test_words_number(words, "dim", 64),
        .heads = test_words_number(words, "heads", 4),
        .type = op_dtype(words, "type", HEED_F32),
        .weight = op_dtype(words, "weight", HEED_F32),
    };
    s.memory = test_words_number(words, "memory", s.dim);
    return s;
}

void op_block_attention(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker m = {c, "a", s.weight}, pre = {c, "pre", s.weight}, post = {c, "post", s.weight};
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const bool self = test_words_has(words, "self");
    const heed_value memory =
        self ? none : op_input(c, "memory", HEED_F32, heed_shape_3(s.batch, s.keys, s.memory), OP_FILL_NORMAL);
    struct heed_block_attention_desc d = attention(&m, s.dim, s.memory, s.dim, s.heads);
    d.dtype = s.type;
    d.attend.causal = test_words_has(words, "causal");
    if (test_words_has(words, "pre"))
        d.pre = norm(&pre, s.dim);
    if (test_words_has(words, "post"))
        d.post = norm(&post, s.dim);
    if (test_words_has(words, "tied"))
        d.weights.wv = none;
    if (test_words_has(words, "packed")) {
        d.weights.wq = d.weights.wk = d.weights.wv = d.weights.bq = d.weights.bk = d.weights.bv = none;
        d.weights.wqkv = weight(&m, "wqkv", 3 * s.dim, s.dim);
        d.weights.bqkv = vector(&m, "bqkv", 3 * s.dim, OP_FILL_WEIGHT);
    }
    if (test_words_has(words, "gate"))
        d.gate = vector(&m, "gate", 1, OP_FILL_NORMAL);
    if (test_words_has(words, "pos")) {
        d.x_pos = op_input(c, "x_pos", HEED_F32, heed_shape_3(1, s.rows, s.dim), OP_FILL_NORMAL);
        if (!self)
            d.memory_pos = op_input(c, "memory_pos", HEED_F32, heed_shape_3(1, s.keys, s.memory), OP_FILL_NORMAL);
    }
    heed_pipeline_output(c->p, "y", heed_block_attention(c->p, x, memory, &d));
}

void op_block_decoder_layer(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker self = {c, "self", s.weight}, cross = {c, "cross", s.weight}, ff = {c, "ff", s.weight};
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const heed_value memory = op_input(c, "memory", HEED_F32, heed_shape_3(s.batch, s.keys, s.memory), OP_FILL_NORMAL);
    struct heed_block_decoder_layer_desc d = {
        .struct_size = sizeof d,
        .self = attention(&self, s.dim, s.dim, s.dim, s.heads),
        .cross = attention(&cross, s.dim, s.memory, s.dim, s.heads),
        .feed_forward = feed_forward(&ff, s.dim, 3 * s.dim),
    };
    const bool pre = test_words_has(words, "pre");
    *(pre ? &d.self.pre : &d.self.post) = norm(&self, s.dim);
    *(pre ? &d.cross.pre : &d.cross.post) = norm(&cross, s.dim);
    *(pre ? &d.feed_forward.pre : &d.feed_forward.post) = norm(&ff, s.dim);
    d.self.attend.causal = true;
    d.self.dtype = d.cross.dtype = d.feed_forward.dtype = s.type;
    if (test_words_has(words, "gated"))
        d.feed_forward.w_gate = weight(&ff, "wg", 3 * s.dim, s.dim);
    heed_pipeline_output(c->p, "y", heed_block_decoder_layer(c->p, x, memory, &d));
}

void op_block_co_attention(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker a = {c, "a", s.weight}, b = {c, "b", s.weight};
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const heed_value y = op_input(c, "y", HEED_F32, heed_shape_3(s.batch, s.keys, s.memory), OP_FILL_NORMAL);
    heed_value x_out, y_out = none;
    if (test_words_has(words, "shared")) {
        const struct heed_block_shared_attention_desc d = {
            .struct_size = sizeof d,
            .heads = s.heads,
            .wx = weight(&a, "w", s.dim, s.dim),
            .wy = weight(&b, "w", s.dim, s.memory),
            .vx = weight(&a, "v", s.dim, s.dim),
            .vy = weight(&b, "v", s.dim, s.memory),
            .ox = weight(&a, "o", s.dim, s.dim),
            .oy = weight(&b, "o", s.memory, s.dim),
            .box = vector(&a, "bo", s.dim, OP_FILL_NORMAL),
        };
        x_out = heed_block_shared_attention(c->p, x, y, &d, &y_out);
    } else {
        const struct heed_block_co_attention_desc d = {
            .struct_size = sizeof d,
            .x_to_y = attention(&a, s.dim, s.memory, s.dim, s.heads),
            .y_to_x = attention(&b, s.memory, s.dim, s.dim, s.heads),
        };
        x_out = heed_block_co_attention(c->p, x, y, &d, &y_out);
    }
    heed_pipeline_output(c->p, "x_out", x_out);
    heed_pipeline_output(c->p, "y_out", y_out);
}

void op_block_pooling(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker a = {c, "a", s.weight}, ff = {c, "ff", s.weight};
    const heed_value seeds = op_input(c, "seeds", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, s.keys, s.memory), OP_FILL_NORMAL);
    struct heed_block_pooling_desc d = {
        .struct_size = sizeof d,
        .attention = attention(&a, s.dim, s.memory, s.dim, s.heads),
        .feed_forward = feed_forward(&ff, s.dim, 2 * s.dim),
    };
    d.attention.post = norm(&a, s.dim);
    d.feed_forward.post = norm(&ff, s.dim);
    heed_pipeline_output(c->p, "y", heed_block_pooling(c->p, seeds, x, &d));
}

void op_block_two_way(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker self = {c, "self", s.weight}, ti = {c, "ti", s.weight}, it = {c, "it", s.weight},
                       ff = {c, "ff", s.weight};
    const heed_value tokens = op_input(c, "tokens", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const heed_value image = op_input(c, "image", HEED_F32, heed_shape_3(s.batch, s.keys, s.dim), OP_FILL_NORMAL);
    struct heed_block_two_way_desc d = {
        .struct_size = sizeof d,
        .first = test_words_has(words, "first"),
        .token_pos = op_input(c, "token_pos", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL),
        .image_pos = op_input(c, "image_pos", HEED_F32, heed_shape_3(1, s.keys, s.dim), OP_FILL_NORMAL),
        .self = attention(&self, s.dim, s.dim, s.dim, s.heads),
        .token_to_image = attention(&ti, s.dim, s.dim, s.dim / 2, s.heads),
        .image_to_token = attention(&it, s.dim, s.dim, s.dim / 2, s.heads),
        .feed_forward = feed_forward(&ff, s.dim, 4 * s.dim),
    };
    d.self.post = norm(&self, s.dim);
    d.token_to_image.post = norm(&ti, s.dim);
    d.image_to_token.post = norm(&it, s.dim);
    d.feed_forward.post = norm(&ff, s.dim);
    d.feed_forward.activation = HEED_RELU;
    heed_value seen = none, out;
    if (test_words_has(words, "transformer")) {
        const struct heed_block_two_way_desc layers[] = {d, d};
        const struct heed_block_two_way_transformer_desc whole = {
            .struct_size = sizeof whole,
            .depth = 2,
            .layers = layers,
            .token_pos = d.token_pos,
            .image_pos = d.image_pos,
            .final = d.token_to_image,
        };
        out = heed_block_two_way_transformer(c->p, tokens, image, &whole, &seen);
    } else {
        out = heed_block_two_way(c->p, tokens, image, &d, &seen);
    }
    heed_pipeline_output(c->p, "tokens_out", out);
    heed_pipeline_output(c->p, "image_out", seen);
}

void op_block_deform_decoder(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker self = {c, "self", s.weight}, cross = {c, "cross", s.weight}, ff = {c, "ff", s.weight};
    const bool boxes = test_words_has(words, "boxes");
    struct heed_deform_desc deform = HEED_DEFORM_DESC_INIT;
    deform.input = HEED_DEFORM_OFFSETS;
    deform.reference_boxes = boxes;
    deform.level_count = 2;
    deform.levels[0] = (struct heed_level){1, 6, 8, 3, 0};
    deform.levels[1] = (struct heed_level){1, 3, 4, 2, 0};
    const uint32_t points = 5, rows = 6 * 8 + 3 * 4;
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    const heed_value memory = op_input(c, "memory", HEED_F32, heed_shape_3(s.batch, rows, s.dim), OP_FILL_NORMAL);
    const heed_value pos = op_input(c, "pos", HEED_F32, heed_shape_3(s.batch, s.rows, s.dim), OP_FILL_NORMAL);
    struct heed_block_deform_decoder_desc d = {
        .struct_size = sizeof d,
        .self = attention(&self, s.dim, s.dim, s.dim, s.heads),
        .cross = {.heads = s.heads,
                  .w_value = weight(&cross, "wv", s.dim, s.dim),
                  .b_value = vector(&cross, "bv", s.dim, OP_FILL_WEIGHT),
                  .w_offset = weight(&cross, "wp", s.heads * points * 2, s.dim),
                  .b_offset = vector(&cross, "bp", s.heads * points * 2, OP_FILL_NORMAL),
                  .w_weight = weight(&cross, "ww", s.heads * points, s.dim),
                  .wo = weight(&cross, "wo", s.dim, s.dim),
                  .bo = vector(&cross, "bo", s.dim, OP_FILL_WEIGHT),
                  .x_pos = pos,
                  .reference =
                      op_input(c, "reference", HEED_F32, heed_shape_4(s.batch, s.rows, 1, boxes ? 4 : 2), OP_FILL_UNIT),
                  .deform = &deform,
                  .post = norm(&cross, s.dim),
                  .dtype = s.type},
        .feed_forward = feed_forward(&ff, s.dim, 2 * s.dim),
    };
    if (test_words_has(words, "padded"))
        d.cross.value_scale = op_input(c, "padding", HEED_F32, heed_shape_3(1, rows, 1), OP_FILL_UNIT);
    d.self.x_pos = pos;
    d.self.post = norm(&self, s.dim);
    d.feed_forward.post = norm(&ff, s.dim);
    heed_pipeline_output(c->p, "y", heed_block_deform_decoder(c->p, x, memory, &d));
}

void op_block_dat(struct op_case *c, struct test_words *words)
{
    const struct sizes s = sizes_of(words);
    const struct maker a = {c, "a", s.weight}, n = {c, "n", s.weight}, pre = {c, "pre", s.weight};
    const uint32_t height = test_words_number(words, "height", 6), width = test_words_number(words, "width", 8);
    const uint32_t groups = test_words_number(words, "groups", 2), part = s.dim / groups;
    const uint32_t kernel = test_words_number(words, "kernel", 3), stride = test_words_number(words, "stride", 2);
    const uint32_t rows = (height + 2 * (kernel / 2) - kernel) / stride + 1;
    const uint32_t columns = (width + 2 * (kernel / 2) - kernel) / stride + 1;
    const heed_value x = op_input(c, "x", HEED_F32, heed_shape_3(s.batch, height * width, s.dim), OP_FILL_NORMAL);
    const struct heed_block_attention_desc projections = attention(&a, s.dim, s.dim, s.dim, s.heads);
    struct heed_block_dat_desc d = {
        .struct_size = sizeof d,
        .height = height,
        .width = width,
        .heads = s.heads,
        .groups = groups,
        .stride = stride,
        .padding = kernel / 2,
        .weights = projections.weights,
        .conv = op_input(c, "conv", s.weight == HEED_Q8_0 ? HEED_F32 : s.weight, heed_shape_4(part, 1, kernel, kernel),
                         OP_FILL_WEIGHT),
        .conv_bias = vector(&a, "conv_bias", part, OP_FILL_WEIGHT),
        .w_offset = op_input(c, "w_offset", HEED_F32, heed_shape_2(2, part), OP_FILL_WEIGHT),
        .range = op_input(c, "range", HEED_F32, heed_shape_1(2), OP_FILL_POSITIVE),
        .reference = op_input(c, "reference", HEED_F32, heed_shape_2(rows * columns, 2), OP_FILL_UNIT),
        .norm = norm(&n, part),
        .no_residual = test_words_has(words, "alone"),
        .dtype = s.type,
    };
    if (test_words_has(words, "pre"))
        d.pre = norm(&pre, s.dim);
    if (!test_words_has(words, "no_bias")) {
        d.table = op_input(c, "table", HEED_F32, heed_shape_3(s.heads, 2 * height - 1, 2 * width - 1), OP_FILL_NORMAL);
        d.query_place = op_input(c, "query_place", HEED_F32, heed_shape_2(height * width, 2), OP_FILL_UNIT);
    }
    heed_pipeline_output(c->p, "y", heed_block_dat(c->p, x, &d));
}
