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

/* Numbers of which some are negative and some too large. */
static heed_value numbers(struct op_case *c, const char *name, struct heed_shape shape, uint32_t below)
{
    int32_t values[INTEGERS_MAX];
    uint32_t count = 1;
    for (uint32_t a = 0; a < shape.axes; a++)
        count *= shape.length[a];
    count = count < INTEGERS_MAX ? count : INTEGERS_MAX;
    for (uint32_t i = 0; i < count; i++)
        values[i] = (int32_t)(i * 7919 % (below + 2)) - 1;
    if (count > 3)
        values[3] = INT32_MIN;
    return heed_reshape(c->p, op_integers(c, name, count, values), shape);
}

void op_build_embed(struct op_case *c, struct test_words *words)
{
    const uint32_t rows = test_words_number(words, "rows", 10), features = test_words_number(words, "features", 64);
    struct heed_embed_desc d = {.struct_size = sizeof d, .dtype = op_dtype(words, "y", HEED_F32)};
    heed_value table =
        op_input(c, "table", op_dtype(words, "table", HEED_F32), heed_shape_2(rows, features), OP_FILL_NORMAL);
    heed_value indices = numbers(c, "indices", op_shape(words, "indices", heed_shape_1(8)), rows);
    if (test_words_has(words, "turned"))
        indices = heed_permute(c->p, indices, (const uint32_t[]){1, 0, 2, 3});
    heed_pipeline_output(c->p, "y", heed_embed(c->p, table, indices, &d));
}
