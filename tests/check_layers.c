/* SPDX-License-Identifier: MIT
 * Convolutions, tables, positions, pools, images and orders: what the builder refuses and in which words, results that
 * can be said in advance, numbers that are none, and sizes that change afterwards. */
#include <heed/heed_pipeline.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static heed_context *context;
static heed_device *device;
static char last_line[1024];

static const heed_value none = {0};

static void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level == HEED_LOG_ERROR)
        snprintf(last_line, sizeof last_line, "%s", text);
}

/* ---- what is refused */

struct values {
    heed_value x, image, weight, bias, table, indices;
};

static void conv_groups(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->x, v->weight, HEED_DESC(conv, .groups = 3));
}

static void conv_axes(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->image, v->weight, NULL);
}

static void conv_short(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->x, v->weight, HEED_DESC(conv, .padding = {1}, .dilation = {4}));
}

static void conv_second(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->x, v->weight, HEED_DESC(conv, .stride = {1, 2}));
}

static void conv_bias(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->x, v->weight, HEED_DESC(conv, .bias = v->bias));
}

static void conv_huge(heed_pipeline *p, const struct values *v)
{
    heed_conv(p, v->x, v->weight, HEED_DESC(conv, .padding = {UINT32_MAX}));
}

static void embed_floats(heed_pipeline *p, const struct values *v)
{
    heed_embed(p, v->table, v->bias, NULL);
}

static void embed_table(heed_pipeline *p, const struct values *v)
{
    heed_embed(p, v->x, v->indices, NULL);
}

static void concat_none(heed_pipeline *p, const struct values *v)
{
    heed_concat(p, &v->x, 0, 0, NULL);
}

static void concat_axis(heed_pipeline *p, const struct values *v)
{
    heed_concat(p, &v->x, 1, 3, NULL);
}

static void concat_lengths(heed_pipeline *p, const struct values *v)
{
    heed_concat(p, (const heed_value[]){v->x, v->weight}, 2, 1, NULL);
}

static void rope_odd(heed_pipeline *p, const struct values *v)
{
    heed_rope(p, v->x, HEED_DESC(rope, .dims = 3));
}

static void rope_positions(heed_pipeline *p, const struct values *v)
{
    heed_rope(p, v->x, HEED_DESC(rope, .positions = v->indices));
}

static void rope_base(heed_pipeline *p, const struct values *v)
{
    heed_rope(p, v->x, HEED_DESC(rope, .base = 0.5f));
}

static void sinusoid_odd(heed_pipeline *p, const struct values *v)
{
    heed_sinusoid(p, v->indices, HEED_DESC(sinusoid, .channels = 7));
}

static void sinusoid_both(heed_pipeline *p, const struct values *v)
{
    heed_sinusoid(p, v->indices, HEED_DESC(sinusoid, .channels = 8, .rows = 4));
}

static void pool_axis(heed_pipeline *p, const struct values *v)
{
    heed_pool(p, v->x, 3, NULL);
}

static void resize_axes(heed_pipeline *p, const struct values *v)
{
    heed_resize(p, v->bias, 4, 4, NULL);
}

static void top_k_more(heed_pipeline *p, const struct values *v)
{
    heed_top_k(p, v->x, 5, NULL);
}

static void top_k_size(heed_pipeline *p, const struct values *v)
{
    heed_top_k(p, v->x, 1, &(const struct heed_top_k_desc){.struct_size = 5});
}

static const struct mistake {
    void (*make)(heed_pipeline *p, const struct values *v);
    const char *line; /* how it ends */
} mistakes[] = {
    {conv_groups,
     "conv 1: weight \"weight\" [6 4 3] f32 with 3 groups is not [multiple of groups][channels / groups] for "
     "x \"x\" [2 6 4] f32"},
    {conv_axes, "conv 1: x \"image\" [1 5 7 4] f32 has not 2 or 3 axes, as weight \"weight\" [6 4 3] f32 asks for"},
    {conv_short, "conv 1: 6 positions with padding 1 on both sides are fewer than the 9 that kernel 3 with dilation 4 "
                 "spans"},
    {conv_second,
     "conv 1: stride 2, padding 0 or dilation 0 along a second axis, and weight \"weight\" [6 4 3] f32 has "
     "one"},
    {conv_bias, "conv 1: bias \"bias\" [5] f32 is not [6] f32"},
    {conv_huge,
     "conv 1: kernel 3, stride 1, dilation 1, padding 4294967295: each is at most 2^24, the kernel at least 1, "
     "and kernel times dilation, and the 6 positions of x, below 2^29"},
    {embed_floats, "embed 1: indices \"bias\" [5] f32 are not i32 of at most 3 axes"},
    {embed_table, "embed 1: table \"x\" [2 6 4] f32 is not [rows][features] of f32, f16, bf16 or q8_0, features "
                  "adjacent"},
    {concat_none, "concat 1: 0 values are not 1..12"},
    {concat_axis, "concat 1: axis 3 is none of \"x\" [2 6 4] f32"},
    {concat_lengths, "concat 1: \"x\" [2 6 4] f32 and \"weight\" [6 4 3] f32 differ in an axis other than 1"},
    {rope_odd,
     "rope 1: 3 turned features of x \"x\" [2 6 4] f32: an even number of them, at most 8192 and at most all, of "
     "at least 2 axes"},
    {rope_positions, "rope 1: positions \"indices\" [3] i32 are not i32 [1], [rows], [batch][1] or [batch][rows] for x "
                     "\"x\" [2 6 4] f32"},
    {rope_base, "rope 1: base 0.5 is not above 1 and at most 1e30"},
    {sinusoid_odd, "sinusoid 1: 7 channels are not an even number of 2..8192"},
    {sinusoid_both, "sinusoid 1: rows 4 and positions \"indices\" [3] i32 were both given"},
    {pool_axis, "pool 1: axis 3 of x \"x\" [2 6 4] f32 is not there, or has no elements"},
    {resize_axes,
     "resize 1: x \"bias\" [5] f32 is not [y][x][channels] or [batch][y][x][channels] of at least one place"},
    {top_k_more, "top_k 1: the 5 largest are more than there are in a row of x \"x\" [2 6 4] f32"},
    {top_k_size, "top_k 1: struct_size 5 is not sizeof(struct heed_top_k_desc) 24"},
};
enum { MISTAKES = sizeof mistakes / sizeof *mistakes };

START_TEST(refuses)
{
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const struct values v = {
        .x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(2, 6, 4)),
        .image = heed_pipeline_input(p, "image", HEED_F32, heed_shape_4(1, 5, 7, 4)),
        .weight = heed_pipeline_input(p, "weight", HEED_F32, heed_shape_3(6, 4, 3)),
        .bias = heed_pipeline_input(p, "bias", HEED_F32, heed_shape_1(5)),
        .table = heed_pipeline_input(p, "table", HEED_F32, heed_shape_2(9, 4)),
        .indices = heed_pipeline_input(p, "indices", HEED_I32, heed_shape_1(3)),
    };
    last_line[0] = 0;
    mistakes[_i].make(p, &v);
    char expected[1024];
    snprintf(expected, sizeof expected, "pipeline: %s", mistakes[_i].line);
    ck_assert_str_eq(last_line, expected);
    ck_assert_int_eq(heed_pipeline_get_status(p), HEED_ERR_ARGUMENT);
    heed_pipeline_destroy(&p);
}
END_TEST

/* ---- results */

/* Runs with "x" and reads "y": words of 4 bytes. */
static void run(heed_plan *plan, const void *x, uint64_t x_words, void *y, uint64_t y_words)
{
    heed_buffer *buffer;
    const uint64_t at_y = (x_words + 15) / 16 * 64;
    ck_assert_int_eq(heed_buffer_create(device, at_y + 4 * y_words + 64, &buffer), HEED_OK);
    const struct heed_arg args[] = {{"x", buffer, 0}, {"y", buffer, at_y}};
    ck_assert_int_eq(heed_buffer_write(buffer, 0, x, 4 * x_words), HEED_OK);
    ck_assert_msg(heed_run(plan, args, 2, NULL) == HEED_OK, "%s", last_line);
    ck_assert_int_eq(heed_buffer_read(buffer, at_y, y, 4 * y_words), HEED_OK);
    heed_buffer_destroy(&buffer);
}

static heed_plan *compiled(heed_pipeline **p)
{
    heed_plan *plan;
    ck_assert_msg(heed_pipeline_compile(*p, &plan) == HEED_OK, "%s", last_line);
    heed_pipeline_destroy(p);
    return plan;
}

START_TEST(orders)
{
    const float x[2][6] = {{1, NAN, -INFINITY, 0.0f, -0.0f, INFINITY}, {NAN, NAN, 3, NAN, 3, 2}};
    const int32_t expected[2][6] = {{5, 0, 3, 4, 2, 1}, {2, 4, 5, 0, 1, 3}};
    int32_t y[2][6];
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const heed_value in = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(2, 6));
    heed_pipeline_output(p, "y", heed_top_k(p, in, 6, NULL));
    heed_plan *plan = compiled(&p);
    run(plan, x, 12, y, 12);
    for (int r = 0; r < 2; r++)
        for (int i = 0; i < 6; i++)
            ck_assert_int_eq(y[r][i], expected[r][i]);
    heed_plan_destroy(&plan);
}
END_TEST

/* The token that is the likeliest, and its row of a table, without the host in between. */
START_TEST(greedy)
{
    const float x[8] = {0, 1, 5, 2, 7, 7, -1, 0}; /* two rows of four, and the table of 4 x 2 */
    float y[4];
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const heed_value in = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(2, 4));
    heed_pipeline_output(p, "y",
                         heed_embed(p, heed_reshape(p, in, heed_shape_2(4, 2)),
                                    heed_reshape(p, heed_arg_max(p, in), heed_shape_1(2)), NULL));
    heed_plan *plan = compiled(&p);
    run(plan, x, 8, y, 4);
    ck_assert_float_eq(y[0], 7);
    ck_assert_float_eq(y[1], 7);
    ck_assert_float_eq(y[2], 0);
    ck_assert_float_eq(y[3], 1);
    heed_plan_destroy(&plan);
}
END_TEST

START_TEST(largest_of_none)
{
    const float x[8] = {1, NAN, -INFINITY, 3, -INFINITY, -5, -INFINITY, INFINITY}; /* [2][4]: the first axis goes */
    float y[4];
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const heed_value in = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(2, 4));
    heed_pipeline_output(p, "y", heed_pool(p, in, 0, HEED_DESC(pool, .pooling = HEED_POOL_MAXIMUM)));
    heed_plan *plan = compiled(&p);
    run(plan, x, 8, y, 4);
    ck_assert_float_eq(y[0], 1);
    ck_assert_float_nan(y[1]);
    ck_assert(y[2] == -INFINITY && y[3] == INFINITY);
    heed_plan_destroy(&plan);
}
END_TEST

/* What PyTorch 2's interpolate gives for [[0, 1], [2, 3]] in 3 x 4. */
START_TEST(images)
{
    const float x[4] = {0, 1, 2, 3};
    const float half_pixels[12] = {0, 0.25f, 0.75f, 1, 1, 1.25f, 1.75f, 2, 2, 2.25f, 2.75f, 3};
    const float corners[12] = {0, 1.0f / 3, 2.0f / 3, 1, 1, 4.0f / 3, 5.0f / 3, 2, 2, 7.0f / 3, 8.0f / 3, 3};
    float y[12];
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const heed_value in = heed_pipeline_input(p, "x", HEED_F32, heed_shape_3(2, 2, 1));
    heed_pipeline_output(p, "y", heed_resize(p, in, 3, 4, HEED_DESC(resize, .align_corners = _i)));
    heed_plan *plan = compiled(&p);
    run(plan, x, 4, y, 12);
    for (int i = 0; i < 12; i++)
        ck_assert_float_eq_tol(y[i], (_i ? corners : half_pixels)[i], 1e-6f);
    heed_plan_destroy(&plan);
}
END_TEST

/* ---- sizes */

START_TEST(sizes)
{
    heed_pipeline *p;
    ck_assert_int_eq(heed_pipeline_create(device, NULL, &p), HEED_OK);
    const uint32_t n = heed_pipeline_add_size(p, "n", 9);
    const heed_value x = heed_pipeline_input(p, "x", HEED_F32, heed_shape_2(n, 4));
    const heed_value both = heed_concat(
        p, (const heed_value[]){x, heed_sinusoid(p, none, HEED_DESC(sinusoid, .channels = 4, .rows = n))}, 2, 1, NULL);
    heed_pipeline_output(p, "y", heed_pool(p, both, 0, NULL));
    heed_plan *plan = compiled(&p), *fewer, *no;
    const struct heed_size size = {"n", 2}, empty = {"n", 0};
    ck_assert_int_eq(heed_plan_create_resized(plan, &size, 1, &fewer), HEED_OK);
    ck_assert_int_eq(heed_plan_create_resized(plan, &empty, 1, &no), HEED_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(last_line, "has no elements"));
    const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float y[8];
    run(fewer, values, 8, y, 8);
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq_tol(y[i], 3 + (float)i, 1e-6f);
    ck_assert_float_eq_tol(y[4], 0.5f * sinf(1), 1e-6f);
    ck_assert_float_eq_tol(y[6], 0.5f * (1 + cosf(1)), 1e-6f);
    heed_plan_destroy(&fewer);
    heed_plan_destroy(&plan);
}
END_TEST

int main(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line};
    if (heed_context_create(&desc, &context) != HEED_OK || heed_device_create(context, NULL, &device) != HEED_OK)
        return EXIT_FAILURE;
    Suite *suite = suite_create("layers");
    TCase *tcase = tcase_create("layers");
    tcase_add_loop_test(tcase, refuses, 0, MISTAKES);
    tcase_add_test(tcase, orders);
    tcase_add_test(tcase, greedy);
    tcase_add_test(tcase, largest_of_none);
    tcase_add_loop_test(tcase, images, 0, 2);
    tcase_add_test(tcase, sizes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK); /* a device does not survive fork() */
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_device_destroy(&device);
    heed_context_destroy(&context);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
