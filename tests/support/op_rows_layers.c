/* SPDX-License-Identifier: MIT
 * Lines of tests/ops/layers.txt: convolutions, tables, pools and orders. */
#include "op_case.h"

/* "3" or "3x2": along both axes, or along y and x. */
static void pair(struct test_words *words, const char *key, uint32_t values[2], bool flat, uint32_t fallback)
{
    const struct heed_shape shape = op_shape(words, key, heed_shape_1(fallback));
    values[0] = shape.length[0];
    values[1] = flat ? 0 : shape.length[shape.axes > 1];
}

void op_build_conv(struct op_case *c, struct test_words *words)
{
    const struct heed_shape x_shape = op_shape(words, "x", heed_shape_3(1, 20, 8));
    const uint32_t in = x_shape.length[x_shape.axes - 1], out = test_words_number(words, "out", 8);
    const struct heed_shape kernel = op_shape(words, "kernel", heed_shape_1(3));
    const bool flat = kernel.axes == 1, first = test_words_has(words, "channels_first");
    struct heed_conv_desc d = {.struct_size = sizeof d, .kernel = c->kernel};
    d.groups = test_words_number(words, "groups", 0);
    d.activation = (enum heed_activation)test_words_choice(words, "act", op_activations, 0);
    d.dtype = op_dtype(words, "y_type", HEED_F32);
    pair(words, "stride", d.stride, flat, 0);
    pair(words, "padding", d.padding, flat, 0);
    pair(words, "dilation", d.dilation, flat, 0);
    heed_value x;
    if (first) { /* as PyTorch has it: the last axis goes before the positions */
        const uint32_t n = x_shape.axes, at = n - (flat ? 2 : 3);
        struct heed_shape turned = x_shape;
        uint32_t order[HEED_MAX_AXES] = {0, 1, 2, 3};
        for (uint32_t a = at; a < n; a++) {
            turned.length[a] = a == at ? in : x_shape.length[a - 1];
            order[a] = a + 1 == n ? at : a + 1;
        }
        x = heed_permute(c->p, op_input(c, "x", op_dtype(words, "x_type", HEED_F32), turned, OP_FILL_NORMAL), order);
    } else {
        x = op_input(c, "x", op_dtype(words, "x_type", HEED_F32), x_shape, OP_FILL_NORMAL);
    }
    const uint32_t of_group = in / (d.groups ? d.groups : 1);
    heed_value w = op_input(c, "w", op_dtype(words, "w_type", HEED_F32),
                            flat ? heed_shape_3(out, of_group, kernel.length[0])
                                 : heed_shape_4(out, of_group, kernel.length[0], kernel.length[1]),
                            OP_FILL_WEIGHT);
    if (test_words_has(words, "bias"))
        d.bias = op_input(c, "bias", HEED_F32, heed_shape_1(out), OP_FILL_NORMAL);
    if (test_words_has(words, "residual")) {
        const struct heed_shape shape = op_shape(words, "residual", heed_shape_1(0));
        d.residual = op_input(c, "residual", op_dtype(words, "r_type", HEED_F32), shape, OP_FILL_NORMAL);
    }
    heed_pipeline_output(c->p, "y", heed_conv(c->p, x, w, &d));
}

enum { INTEGERS_MAX = 512 };

/* Numbers of which some are negative and some too large; `lowest` is one of them. */
static heed_value numbers(struct op_case *c, const char *name, struct heed_shape shape, uint32_t below, int32_t lowest)
{
    int32_t values[INTEGERS_MAX];
    uint32_t count = 1;
    for (uint32_t a = 0; a < shape.axes; a++)
        count *= shape.length[a];
    count = count < INTEGERS_MAX ? count : INTEGERS_MAX;
    for (uint32_t i = 0; i < count; i++)
        values[i] = (int32_t)(i * 7919 % (below + 2)) - 1;
    if (count > 3)
        values[3] = lowest;
    return heed_reshape(c->p, op_integers(c, name, count, values), shape);
}

void op_build_embed(struct op_case *c, struct test_words *words)
{
    const uint32_t rows = test_words_number(words, "rows", 10), features = test_words_number(words, "features", 64);
    struct heed_embed_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    heed_value table =
        op_input(c, "table", op_dtype(words, "table", HEED_F32), heed_shape_2(rows, features), OP_FILL_NORMAL);
    heed_value indices = numbers(c, "indices", op_shape(words, "indices", heed_shape_1(8)), rows, INT32_MIN);
    if (test_words_has(words, "turned"))
        indices = heed_permute(c->p, indices, (const uint32_t[]){1, 0, 2, 3});
    heed_pipeline_output(c->p, "y", heed_embed(c->p, table, indices, &d));
}

/* x with its last two axes exchanged where the line says "turned". */
static heed_value input(struct op_case *c, struct test_words *words, struct heed_shape fallback,
                        struct heed_shape *shape)
{
    *shape = op_shape(words, "x", fallback);
    heed_value x = op_input(c, "x", op_dtype(words, "x_type", HEED_F32), *shape, OP_FILL_NORMAL);
    if (!test_words_has(words, "turned"))
        return x;
    uint32_t order[HEED_MAX_AXES] = {0, 1, 2, 3};
    order[shape->axes - 1] = shape->axes - 2;
    order[shape->axes - 2] = shape->axes - 1;
    const uint32_t last = shape->length[shape->axes - 1];
    shape->length[shape->axes - 1] = shape->length[shape->axes - 2];
    shape->length[shape->axes - 2] = last;
    return heed_permute(c->p, x, order);
}

void op_build_concat(struct op_case *c, struct test_words *words)
{
    static const char *const names[] = {"x", "second", "third"};
    struct heed_concat_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    struct heed_shape shape;
    heed_value values[3] = {input(c, words, heed_shape_2(3, 8), &shape)};
    uint32_t count = 1;
    for (; count < 3 && test_words_has(words, names[count]); count++)
        values[count] = op_input(c, names[count], op_dtype(words, count > 1 ? "third_type" : "second_type", HEED_F32),
                                 op_shape(words, names[count], shape), OP_FILL_NORMAL);
    heed_pipeline_output(c->p, "y", heed_concat(c->p, values, count, test_words_number(words, "axis", 0), &d));
}

void op_build_rope(struct op_case *c, struct test_words *words)
{
    struct heed_rope_desc d = {.struct_size = sizeof d,
                               .dims = test_words_number(words, "dims", 0),
                               .first = test_words_number(words, "first", 0),
                               .interleaved = test_words_has(words, "interleaved"),
                               .base = (float)test_words_real(words, "base", 0),
                               .scale = (float)test_words_real(words, "scale", 0),
                               .dtype = op_dtype(words, "y", HEED_F32)};
    struct heed_shape shape;
    heed_value x = input(c, words, heed_shape_4(1, 2, 5, 64), &shape);
    if (test_words_has(words, "positions")) {
        const struct heed_shape said = op_shape(words, "positions", heed_shape_1(1));
        d.positions = numbers(c, "positions", said, test_words_number(words, "below", 100), -7);
    }
    heed_pipeline_output(c->p, "y", heed_rope(c->p, x, &d));
}

void op_build_sinusoid(struct op_case *c, struct test_words *words)
{
    struct heed_sinusoid_desc d = {.struct_size = sizeof d,
                                   .channels = test_words_number(words, "channels", 64),
                                   .rows = test_words_number(words, "rows", 0),
                                   .interleaved = test_words_has(words, "interleaved"),
                                   .cosine_first = test_words_has(words, "cosine_first"),
                                   .inclusive = test_words_has(words, "inclusive"),
                                   .base = (float)test_words_real(words, "base", 0),
                                   .scale = (float)test_words_real(words, "scale", 0),
                                   .dtype = op_dtype(words, "y", HEED_F32)};
    heed_value positions = {0};
    if (test_words_has(words, "positions"))
        positions = op_input(c, "positions", HEED_F32, op_shape(words, "positions", heed_shape_1(9)), OP_FILL_UNIT);
    if (test_words_has(words, "integers"))
        positions = numbers(c, "positions", op_shape(words, "integers", heed_shape_1(9)), 500, -7);
    heed_pipeline_output(c->p, "y", heed_sinusoid(c->p, positions, &d));
}

void op_build_pool(struct op_case *c, struct test_words *words)
{
    static const char *const poolings[] = {"mean", "max", NULL};
    struct heed_pool_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    d.pooling = (enum heed_pooling)test_words_choice(words, "of", poolings, 0);
    struct heed_shape shape;
    heed_value x = input(c, words, heed_shape_3(2, 9, 64), &shape);
    heed_pipeline_output(c->p, "y", heed_pool(c->p, x, test_words_number(words, "axis", 0), &d));
}

void op_build_resize(struct op_case *c, struct test_words *words)
{
    struct heed_resize_desc d = {.struct_size = sizeof d,
                                 .align_corners = test_words_has(words, "align_corners"),
                                 .dtype = op_dtype(words, "y", HEED_F32)};
    struct heed_shape shape;
    heed_value x = input(c, words, heed_shape_4(1, 4, 5, 8), &shape);
    const struct heed_shape to = op_shape(words, "to", heed_shape_2(8, 10));
    heed_pipeline_output(c->p, "y", heed_resize(c->p, x, to.length[0], to.length[1], &d));
}

void op_build_top_k(struct op_case *c, struct test_words *words)
{
    struct heed_shape shape;
    heed_value x = input(c, words, heed_shape_2(3, 40), &shape), values = {0};
    struct heed_top_k_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "v", HEED_F32)};
    if (test_words_has(words, "values"))
        d.values = &values;
    const uint32_t k = test_words_number(words, "k", 0);
    heed_pipeline_output(c->p, "indices", k > 0 ? heed_top_k(c->p, x, k, &d) : heed_arg_max(c->p, x));
    if (d.values)
        heed_pipeline_output(c->p, "values", values);
}
