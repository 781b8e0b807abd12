/* SPDX-License-Identifier: MIT
 * Deformable attention without a device: the rules of its descriptor, and the oracle against numbers worked out by
 * hand. */
#include "dtype.h"
#include "problem.h"
#include "reference/reference.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char message[512];

static void keep_message(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(message, sizeof message, "%s", text);
}

static heed_context *context;

static void open_context(void)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_message};
    message[0] = 0;
    ck_assert_int_eq(heed_context_create(&desc, &context), HEED_OK);
}

static void close_context(void)
{
    heed_context_destroy(&context);
}

/* One batch, query, head and channel on one level of 3 x 2 pixels (width x height), one point:
 *     1 2 3
 *     4 5 6 */
static struct heed_deform_desc small(void)
{
    struct heed_deform_desc desc = HEED_DEFORM_DESC_INIT;
    desc.batch = desc.len_q = desc.heads = desc.dim = desc.level_count = 1;
    desc.levels[0] = (struct heed_level){.height = 2, .width = 3, .points = 1};
    desc.len_value = 6;
    return desc;
}

static const float six[] = {1, 2, 3, 4, 5, 6};

/* The outputs of a legal problem into o, `second` and `third` being weights, or logits and reference. */
static void attend(const struct heed_deform_desc *desc, const void *value, const float *places, const float *second,
                   const float *third, double *o)
{
    struct heed_deform_problem problem;
    ck_assert_msg(heed_deform_problem_init(context, desc, &problem) == HEED_OK, "%s", message);
    const void *in[HEED_ARG_COUNT] = {NULL};
    void *out[HEED_ARG_COUNT] = {NULL};
    in[HEED_ARG_VALUE] = value;
    in[HEED_ARG_LOCATIONS] = in[HEED_ARG_OFFSETS] = places;
    in[HEED_ARG_WEIGHTS] = in[HEED_ARG_LOGITS] = second;
    in[HEED_ARG_REFERENCE] = third;
    out[HEED_ARG_O] = o;
    ck_assert_int_eq(heed_reference_deform(context, &problem, in, out, HEED_REFERENCE_F64), HEED_OK);
}

/* What one point of weight 1 at (x, y) in pixels samples. Locations are k / 48, which f32 rounds: hence the tolerance.
 */
static double at_pixel(const struct heed_deform_desc *desc, const float *value, double x, double y)
{
    const struct heed_level *level = &desc->levels[0];
    const float one = 1;
    float location[2] = {(float)((x + 0.5) / level->width), (float)((y + 0.5) / level->height)};
    if (desc->align_corners) {
        location[0] = (float)(x / (level->width - 1.0));
        location[1] = (float)(y / (level->height - 1.0));
    }
    double o;
    attend(desc, value, location, &one, NULL, &o);
    return o;
}

#define NEAR(a, b) ck_assert_double_eq_tol(a, b, 2e-6)

START_TEST(linear_inside)
{
    const struct heed_deform_desc desc = small();
    NEAR(at_pixel(&desc, six, 0, 0), 1);
    NEAR(at_pixel(&desc, six, 2, 1), 6);
    NEAR(at_pixel(&desc, six, 0.5, 0), 1.5);
    NEAR(at_pixel(&desc, six, 0, 0.25), 1.75);   /* 3/4 * 1 + 1/4 * 4 */
    NEAR(at_pixel(&desc, six, 1.5, 0.5), 4);     /* (2 + 3 + 5 + 6) / 4 */
    NEAR(at_pixel(&desc, six, 1.25, 0.75), 4.5); /* 1/4 (3/4 2 + 1/4 3) + 3/4 (3/4 5 + 1/4 6) */
}
END_TEST

START_TEST(linear_zeros_outside)
{
    const struct heed_deform_desc desc = small();
    NEAR(at_pixel(&desc, six, -0.5, -0.5), 0.25); /* location (0, 0), the corner: a quarter of the 1 */
    NEAR(at_pixel(&desc, six, 2.5, 1.5), 1.5);    /* location (1, 1): a quarter of the 6 */
    NEAR(at_pixel(&desc, six, -0.25, 0), 0.75);
    NEAR(at_pixel(&desc, six, 1, 1.75), 1.25);
    ck_assert_double_eq(at_pixel(&desc, six, -1.01, 0), 0);
    ck_assert_double_eq(at_pixel(&desc, six, 3.01, 0), 0);
    ck_assert_double_eq(at_pixel(&desc, six, 1, -1.01), 0);
    ck_assert_double_eq(at_pixel(&desc, six, 1, 2.01), 0);
}
END_TEST

START_TEST(linear_border)
{
    struct heed_deform_desc desc = small();
    desc.padding = HEED_PADDING_BORDER;
    NEAR(at_pixel(&desc, six, -0.5, -0.5), 1);
    NEAR(at_pixel(&desc, six, -7, 0.5), 2.5); /* (1 + 4) / 2 */
    NEAR(at_pixel(&desc, six, 2.4, 9), 6);
    NEAR(at_pixel(&desc, six, 1.5, 3), 5.5);
}
END_TEST

START_TEST(align_corners)
{
    struct heed_deform_desc desc = small();
    desc.align_corners = true;
    const float one = 1, ends[] = {1, 1}, middle[] = {0.25f, 0.5f}, outside[] = {-0.25f, 0};
    double o;
    attend(&desc, six, ends, &one, NULL, &o);
    ck_assert_double_eq(o, 6);
    attend(&desc, six, middle, &one, NULL, &o); /* pixel (0.5, 0.5) */
    ck_assert_double_eq(o, 3);
    attend(&desc, six, outside, &one, NULL, &o); /* pixel (-0.5, 0) */
    ck_assert_double_eq(o, 0.5);
    desc.padding = HEED_PADDING_BORDER;
    attend(&desc, six, outside, &one, NULL, &o);
    ck_assert_double_eq(o, 1);
}
END_TEST

START_TEST(unweighted)
{
    struct heed_deform_desc desc = small();
    desc.unweighted = desc.align_corners = true;
    desc.levels[0].points = 2;
    const float places[] = {1, 1, 0.25f, 0.5f};
    double o;
    attend(&desc, six, places, NULL, NULL, &o);
    ck_assert_double_eq(o, 6 + 3);
}
END_TEST

START_TEST(nearest_half_to_even)
{
    struct heed_deform_desc desc = small();
    desc.interpolation = HEED_INTERPOLATION_NEAREST;
    desc.levels[0].width = 4; /* powers of two, so that locations are exact */
    desc.levels[0].height = 1;
    desc.len_value = 4;
    ck_assert_double_eq(at_pixel(&desc, six, 0.5, 0), 1);
    ck_assert_double_eq(at_pixel(&desc, six, 1.5, 0), 3);
    ck_assert_double_eq(at_pixel(&desc, six, 2.5, 0), 3);
    ck_assert_double_eq(at_pixel(&desc, six, -0.5, 0), 1);
    ck_assert_double_eq(at_pixel(&desc, six, 3.5, 0), 0); /* 4 is outside */
    ck_assert_double_eq(at_pixel(&desc, six, 1.25, 0), 2);
    ck_assert_double_eq(at_pixel(&desc, six, -0.75, 0), 0);
    desc.padding = HEED_PADDING_BORDER;
    ck_assert_double_eq(at_pixel(&desc, six, 3.5, 0), 4);
    ck_assert_double_eq(at_pixel(&desc, six, -9, 0), 1);
}
END_TEST

START_TEST(strange_locations)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 3.4e38f, -3.4e38f};
    const float one = 1;
    double o;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int axis = 0; axis < 2; axis++)
            for (int mode = 0; mode < 8; mode++) {
                struct heed_deform_desc desc = small();
                float location[] = {0.5f, 0.25f}; /* pixel (1, 0): 2 */
                desc.padding = mode & 1 ? HEED_PADDING_BORDER : HEED_PADDING_ZEROS;
                desc.interpolation = mode & 2 ? HEED_INTERPOLATION_NEAREST : HEED_INTERPOLATION_LINEAR;
                desc.align_corners = mode & 4;
                location[1] = desc.align_corners ? 0 : 0.25f;
                location[axis] = odd[i];
                attend(&desc, six, location, &one, NULL, &o);
                /* The edges of the row that holds 2, and of the column that does. */
                double low = axis ? 2 : 1, high = axis ? 5 : 3;
                double expected = isnan(odd[i]) || !(mode & 1) ? 0 : odd[i] > 0 ? high : low;
                ck_assert_double_eq(o, expected);
            }
}
END_TEST

START_TEST(infinite_location_on_one_pixel)
{
    struct heed_deform_desc desc = small(); /* align_corners multiplies by 0 here */
    const float one = 1, location[] = {INFINITY, 0};
    double o;
    desc.levels[0].width = 1;
    desc.len_value = 2;
    desc.align_corners = true;
    attend(&desc, six, location, &one, NULL, &o);
    ck_assert_double_eq(o, 0);
    desc.padding = HEED_PADDING_BORDER;
    attend(&desc, six, location, &one, NULL, &o);
    ck_assert_double_eq(o, 1);
}
END_TEST

START_TEST(unused_values_may_be_nan)
{
    const struct heed_deform_desc desc = small();
    float value[] = {1, NAN, INFINITY, 4, NAN, NAN};
    const float center[] = {0.5f, 0.25f}, corner[] = {0, 0}, one = 1, zero = 0, tiny = 1e-45f;
    double o;
    NEAR(at_pixel(&desc, value, -0.5, 0), 0.5); /* half of it lies outside, where nothing is */
    NEAR(at_pixel(&desc, value, -0.5, 1), 2);
    attend(&desc, value, center, &one, NULL, &o);
    ck_assert_double_nan(o);
    attend(&desc, value, center, &zero, NULL, &o);
    ck_assert_double_eq(o, 0);
    attend(&desc, six, corner, &tiny, NULL, &o); /* a quarter of it is less than f32 holds */
    ck_assert_double_eq(o, 0);
}
END_TEST

/* Two levels with 2 and 1 points, two heads of two channels. */
START_TEST(levels_points_heads)
{
    struct heed_deform_desc desc = small();
    desc.heads = desc.dim = desc.level_count = 2;
    desc.levels[0] = (struct heed_level){.height = 1, .width = 2, .points = 2};
    desc.levels[1] = (struct heed_level){.height = 2, .width = 1, .points = 1};
    desc.len_value = 4;
    const float value[] = {
        1, 10, 100, 1000, /* row 0 = level 0, pixel 0: head 0, head 1 */
        2, 20, 200, 2000, /* pixel 1 */
        3, 30, 300, 3000, /* row 2 = level 1, pixel (0, 0) */
        4, 40, 400, 4000, /* pixel (0, 1) */
    };
    const float locations[] = {
        0.25f, 0.5f, 0.5f,  0.5f, 0.5f, 0.75f, /* head 0: pixel 0, between 0 and 1; pixel (0, 1) */
        0.75f, 0.5f, 0.75f, 0.5f, 0.5f, 0.5f,  /* head 1: pixel 1 twice; between (0, 0) and (0, 1) */
    };
    const float weights[] = {0.5f, 0.25f, 2, 1, -1, 1};
    double o[4];
    attend(&desc, value, locations, weights, NULL, o);
    ck_assert_double_eq(o[0], 0.5 * 1 + 0.25 * 1.5 + 2 * 4);
    ck_assert_double_eq(o[1], 10 * o[0]);
    ck_assert_double_eq(o[2], 350);
    ck_assert_double_eq(o[3], 3500);

    /* The same with the levels the other way round in value, and a row of nobody between. */
    const float moved[] = {3, 30, 300, 3000, 4, 40, 400, 4000, NAN, NAN, NAN, NAN, 1, 10, 100, 1000, 2, 20, 200, 2000};
    desc.explicit_starts = true;
    desc.levels[0].start = 3;
    desc.len_value = 5;
    double again[4];
    attend(&desc, moved, locations, weights, NULL, again);
    ck_assert_mem_eq(o, again, sizeof o);
}
END_TEST

START_TEST(volume)
{
    struct heed_deform_desc desc = small(); /* 2 x 2 x 2: value = 1 + x + 2 y + 4 z */
    desc.axes = 3;
    desc.levels[0] = (struct heed_level){.depth = 2, .height = 2, .width = 2, .points = 1};
    desc.len_value = 8;
    const float value[] = {1, 2, 3, 4, 5, 6, 7, 8}, one = 1;
    const float corner[] = {0.75f, 0.25f, 0.75f}, inside[] = {0.5f, 0.375f, 0.625f}, edge[] = {0, 0, 0};
    double o;
    attend(&desc, value, corner, &one, NULL, &o); /* pixel (1, 0, 1) */
    ck_assert_double_eq(o, 6);
    attend(&desc, value, inside, &one, NULL, &o); /* pixel (0.5, 0.25, 0.75): 1 + 0.5 + 0.5 + 3 */
    ck_assert_double_eq(o, 5);
    attend(&desc, value, edge, &one, NULL, &o); /* an eighth of the first */
    ck_assert_double_eq(o, 0.125);
    desc.interpolation = HEED_INTERPOLATION_NEAREST;
    attend(&desc, value, inside, &one, NULL, &o); /* pixel (0, 0, 1): 0.5 goes to the even 0 */
    ck_assert_double_eq(o, 5);
}
END_TEST

START_TEST(offsets_from_points)
{
    struct heed_deform_desc desc = small();
    desc.input = HEED_DEFORM_OFFSETS;
    desc.levels[0] = (struct heed_level){.height = 2, .width = 4, .points = 2};
    desc.len_value = 8;
    const float value[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const float reference[] = {0.375f, 0.25f}; /* pixel (1, 0) */
    const float offsets[] = {1, 1, -0.5f, 0};  /* pixels: (2, 1) and (0.5, 0) */
    const float logits[] = {0, 1.0986122887f}; /* 1 : 3 */
    double o;
    attend(&desc, value, offsets, logits, reference, &o);
    NEAR(o, 0.25 * 7 + 0.75 * 1.5);
}
END_TEST

START_TEST(offsets_per_level)
{
    struct heed_deform_desc desc = small();
    desc.input = HEED_DEFORM_OFFSETS;
    desc.level_count = 2;
    desc.levels[0] = (struct heed_level){.height = 1, .width = 2, .points = 1};
    desc.levels[1] = (struct heed_level){.height = 1, .width = 4, .points = 1};
    const float reference[] = {0.25f, 0.5f, 0.625f, 0.5f}; /* pixel 0 of level 0, pixel 2 of level 1 */
    const float offsets[] = {1, 0, 1, 0}, logits[] = {7, 7};
    double o;
    attend(&desc, six, offsets, logits, reference, &o); /* the first reference serves both levels */
    NEAR(o, 0.5 * 2 + 0.5 * 4.5);                       /* 0.25 + 1/4 is between pixels 1 and 2 of level 1: 4.5 */
    desc.reference_per_level = true;
    attend(&desc, six, offsets, logits, reference, &o);
    NEAR(o, 0.5 * 2 + 0.5 * 6);
}
END_TEST

START_TEST(offsets_from_boxes)
{
    struct heed_deform_desc desc = small();
    desc.input = HEED_DEFORM_OFFSETS;
    desc.reference_boxes = true;
    desc.levels[0] = (struct heed_level){.height = 1, .width = 4, .points = 2};
    desc.len_value = 4;
    const float reference[] = {0.375f, 0.5f, 0.5f, 1}; /* pixel 1, half as wide as the level */
    const float offsets[] = {2, 0, -2, 0}, logits[] = {0, -INFINITY};
    double o;
    attend(&desc, six, offsets, logits, reference, &o); /* 0.375 + 2 / 2 * 0.5 * 0.5 = 0.625: pixel 2 */
    ck_assert_double_eq(o, 3);
    desc.offset_scale = 0.25f; /* 0.5: between pixels 1 and 2 */
    attend(&desc, six, offsets, logits, reference, &o);
    ck_assert_double_eq(o, 2.5);
}
END_TEST

START_TEST(softmax_of_strange_logits)
{
    struct heed_deform_desc desc = small();
    desc.input = HEED_DEFORM_OFFSETS;
    desc.levels[0].points = 2;
    const float reference[] = {0.5f, 0.25f}, offsets[] = {0, 0, 1, 1}; /* 2 and 6 */
    const float nowhere[] = {99, 99, 99, 99};
    const float none[] = {-INFINITY, -INFINITY}, one[] = {-INFINITY, -800}, large[] = {1000, 1000};
    const float nan[] = {0, NAN}, infinite[] = {INFINITY, 0};
    double o;
    attend(&desc, six, offsets, none, reference, &o);
    ck_assert_double_eq(o, 0);
    attend(&desc, six, offsets, one, reference, &o);
    ck_assert_double_eq(o, 6);
    attend(&desc, six, offsets, large, reference, &o);
    ck_assert_double_eq(o, 4);
    attend(&desc, six, offsets, nan, reference, &o);
    ck_assert_double_nan(o);
    attend(&desc, six, offsets, infinite, reference, &o);
    ck_assert_double_nan(o);
    attend(&desc, six, nowhere, nan, reference, &o);
    ck_assert_double_nan(o);
}
END_TEST

START_TEST(strides_and_stored_types)
{
    struct heed_deform_desc desc = small();
    desc.batch = desc.len_q = desc.heads = 2;
    desc.levels[0] = (struct heed_level){.height = 1, .width = 1, .points = 1};
    desc.len_value = 1;
    desc.value = (struct heed_view){HEED_F16, 2, 1, 9};
    desc.o = (struct heed_view){HEED_BF16, 1, 2, 4}; /* [query][head][batch] */
    uint16_t value[4], o[8];
    float locations[16], weights[8];
    for (int i = 0; i < 16; i++)
        locations[i] = 0.5f;
    for (int i = 0; i < 8; i++)
        weights[i] = (float)(1 << i);
    for (int i = 0; i < 4; i++)
        value[i] = heed_f64_to_f16(1 + i);
    struct heed_deform_problem problem;
    ck_assert_msg(heed_deform_problem_init(context, &desc, &problem) == HEED_OK, "%s", message);
    ck_assert_uint_eq(problem.args.arg[HEED_ARG_VALUE].bytes, 8);
    ck_assert_uint_eq(problem.args.arg[HEED_ARG_O].bytes, 16);
    const void *in[HEED_ARG_COUNT] = {NULL};
    void *out[HEED_ARG_COUNT] = {NULL};
    in[HEED_ARG_VALUE] = value;
    in[HEED_ARG_LOCATIONS] = locations;
    in[HEED_ARG_WEIGHTS] = weights;
    out[HEED_ARG_O] = o;
    ck_assert_int_eq(heed_reference_deform(context, &problem, in, out, HEED_REFERENCE_STORED_TYPE), HEED_OK);
    for (int b = 0; b < 2; b++)
        for (int q = 0; q < 2; q++)
            for (int h = 0; h < 2; h++)
                ck_assert_float_eq(heed_bf16_to_f32(o[4 * q + 2 * h + b]),
                                   weights[(b * 2 + q) * 2 + h] * (float)(1 + 2 * b + h));
}
END_TEST

START_TEST(resolved)
{
    struct heed_deform_desc desc = small();
    struct heed_deform_problem p;
    desc.batch = 2;
    desc.len_q = 5;
    desc.heads = 3;
    desc.dim = 8;
    desc.level_count = 2;
    desc.levels[1] = (struct heed_level){.height = 1, .width = 4, .points = 3};
    desc.len_value = 10;
    desc.input = HEED_DEFORM_OFFSETS;
    desc.reference_boxes = desc.reference_per_level = true;
    desc.value.dtype = HEED_F16;
    ck_assert_msg(heed_deform_problem_init(context, &desc, &p) == HEED_OK, "%s", message);
    ck_assert_uint_eq(p.points, 4);
    ck_assert_uint_eq(p.reference_levels, 2);
    ck_assert_uint_eq(p.reference_width, 4);
    ck_assert_uint_eq(p.flops, 2 * 5 * 3 * 4 * 4 * 2 * 8); /* samples x neighbours x multiply and add x dim */
    ck_assert_uint_eq(p.desc.axes, 2);
    ck_assert_uint_eq(p.desc.levels[1].start, 6);
    ck_assert_uint_eq(p.desc.levels[0].depth, 1);
    ck_assert_float_eq(p.desc.offset_scale, 0.5f);
    ck_assert_uint_eq(p.desc.offset_alignment, 16);
    ck_assert_uint_eq(p.desc.value.stride_row, 24);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_VALUE].bytes, 2 * 10 * 3 * 8 * 2);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_O].bytes, 2 * 5 * 3 * 8 * 4);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_OFFSETS].bytes, 2 * 5 * 3 * 4 * 2 * 4);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_LOGITS].bytes, 2 * 5 * 3 * 4 * 4);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_REFERENCE].bytes, 2 * 5 * 2 * 4 * 4);
    ck_assert(!p.args.arg[HEED_ARG_LOCATIONS].present && !p.args.arg[HEED_ARG_WEIGHTS].present);
    ck_assert(p.args.arg[HEED_ARG_O].output && !p.args.arg[HEED_ARG_LOGITS].output);

    desc.batch = 0;
    ck_assert_int_eq(heed_deform_problem_init(context, &desc, &p), HEED_OK);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_O].bytes, 0);
    ck_assert_int_eq(heed_deform_problem_init(context, NULL, &p), HEED_ERR_ARGUMENT);
}
END_TEST

/* Every rule: a descriptor that breaks it alone, and what the message has to name. */
#define REFUSE(expected, ...)                                                                                          \
    do {                                                                                                               \
        struct heed_deform_desc d = small();                                                                           \
        struct heed_deform_problem p;                                                                                  \
        __VA_ARGS__;                                                                                                   \
        message[0] = 0;                                                                                                \
        ck_assert_int_eq(heed_deform_problem_init(context, &d, &p), HEED_ERR_ARGUMENT);                                \
        ck_assert_str_eq(message, "deform: " expected);                                                                \
    } while (0)

START_TEST(refused_fields)
{
    REFUSE("batch 2147483648 is not in 0..2147483647", d.batch = 2147483648u);
    REFUSE("heads 0 is not in 1..65535", d.heads = 0);
    REFUSE("heads 65536 is not in 1..65535", d.heads = 65536);
    REFUSE("dim 0 is not in 1..65535", d.dim = 0);
    REFUSE("len_q 4294967295 is not in 0..2147483647", d.len_q = UINT32_MAX);
    REFUSE("len_value 0 is not in 1..2147483647", d.len_value = 0);
    REFUSE("level_count 0 is not in 1..16", d.level_count = 0);
    REFUSE("level_count 17 is not in 1..16", d.level_count = 17);
    REFUSE("input 2 is not in 0..1", d.input = (enum heed_deform_input)2);
    REFUSE("interpolation 2 is not in 0..1", d.interpolation = (enum heed_interpolation)2);
    REFUSE("padding 2 is not in 0..1", d.padding = (enum heed_padding)2);
    REFUSE("axes 4 is not 2 or 3", d.axes = 4);
    REFUSE("reference_boxes is set, but input 0 has no reference", d.reference_boxes = true);
    REFUSE("reference_per_level is set, but input 0 has no reference", d.reference_per_level = true);
    REFUSE("unweighted is set, but input 1 makes its weights of logits",
           (d.unweighted = true, d.input = HEED_DEFORM_OFFSETS));
    REFUSE("offset_scale inf is not finite", d.offset_scale = INFINITY);
    REFUSE("offset_scale 0.25 is set, but only boxes have a size to scale", d.offset_scale = 0.25f);
    REFUSE("offset_alignment 12 is not a power of two", d.offset_alignment = 12);
    REFUSE("value has type bool, which is not f32, f16 or bf16", d.value.dtype = HEED_BOOL);
    REFUSE("o has type i32, which is not f32, f16 or bf16", d.o.dtype = HEED_I32);

    struct heed_deform_desc d = small();
    struct heed_deform_problem p;
    d.struct_size = 8;
    ck_assert_int_eq(heed_deform_problem_init(context, &d, &p), HEED_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(message, "struct_size 8 is not sizeof(struct heed_deform_desc)"));
}
END_TEST

START_TEST(refused_levels)
{
    REFUSE("levels[0].depth 2 is not in 1..1 with 2 axes", d.levels[0].depth = 2);
    REFUSE("levels[0].depth 0 is not in 1..65535 with 3 axes", d.axes = 3);
    REFUSE("levels[0].height 0 is not in 1..65535 with 2 axes", d.levels[0].height = 0);
    REFUSE("levels[0].width 65536 is not in 1..65535 with 2 axes", d.levels[0].width = 65536);
    REFUSE("levels[0].points 0 is not in 1..64 with 2 axes", d.levels[0].points = 0);
    REFUSE("levels[0].points 65 is not in 1..64 with 2 axes", d.levels[0].points = 65);
    REFUSE("the levels hold 6 rows together, but len_value is 7", d.len_value = 7);
    REFUSE("levels[0].start 1 + 6 rows is beyond len_value 6", d.explicit_starts = true, d.levels[0].start = 1);
    REFUSE("levels[0].start 18446744073709551615 + 6 rows is beyond len_value 6", d.explicit_starts = true,
           d.levels[0].start = UINT64_MAX);
    REFUSE("levels[1].start 5 lies so that it overlaps levels[0], rows 0..5", d.explicit_starts = true,
           d.level_count = 2, d.levels[1] = d.levels[0], d.levels[1].start = 5, d.len_value = 20);
    REFUSE("levels[1].start 0 lies so that it overlaps levels[0], rows 4..9", d.explicit_starts = true,
           d.level_count = 2, d.levels[1] = d.levels[0], d.levels[0].start = 4, d.len_value = 20);
    REFUSE("the levels hold 281462092005375 rows together, but len_value is 6", d.axes = 3, d.levels[0].depth = 65535,
           d.levels[0].height = 65535, d.levels[0].width = 65535);
}
END_TEST

START_TEST(refused_sizes)
{
    REFUSE("value of batch 1, heads 1, rows 6, dim 1 with strides 0, 0, 4611686018427387904 does not fit 63 bits of "
           "bytes",
           d.value.stride_row = UINT64_C(1) << 62);
    REFUSE("o of batch 2, heads 1, rows 1, dim 1 with strides 18446744073709551615, 0, 0 does not fit 63 bits of bytes",
           d.batch = 2, d.o.stride_batch = UINT64_MAX);
    REFUSE("o strides 0, 1, 2 make elements of an output overlap", d.batch = 2,
           d.o = ((struct heed_view){.stride_head = 1, .stride_row = 2}));
    REFUSE("o strides 6, 3, 3 make elements of an output overlap", d.dim = 3, d.heads = d.len_q = 2,
           d.o = ((struct heed_view){.stride_batch = 6, .stride_head = 3, .stride_row = 3}));
    REFUSE("locations of batch 2147483647 x len_q 1073741824 x 2 numbers does not fit 63 bits of bytes",
           d.batch = INT32_MAX, d.len_q = 1u << 30);
}
END_TEST

START_TEST(accepted)
{
    struct heed_deform_desc d = small();
    struct heed_deform_problem p;
    d.batch = 3;
    d.value = (struct heed_view){.stride_head = 1, .stride_row = 1}; /* all batches share one value */
    ck_assert_msg(heed_deform_problem_init(context, &d, &p) == HEED_OK, "%s", message);
    ck_assert_uint_eq(p.args.arg[HEED_ARG_VALUE].bytes, 24);
    d.offset_alignment = 1;
    ck_assert_int_eq(heed_deform_problem_init(context, &d, &p), HEED_OK);
    d.input = HEED_DEFORM_OFFSETS;
    d.reference_boxes = true;
    d.offset_scale = -2;
    ck_assert_int_eq(heed_deform_problem_init(context, &d, &p), HEED_OK);
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("deform");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_add_test(test, linear_inside);
    tcase_add_test(test, linear_zeros_outside);
    tcase_add_test(test, linear_border);
    tcase_add_test(test, align_corners);
    tcase_add_test(test, unweighted);
    tcase_add_test(test, nearest_half_to_even);
    tcase_add_test(test, strange_locations);
    tcase_add_test(test, infinite_location_on_one_pixel);
    tcase_add_test(test, unused_values_may_be_nan);
    tcase_add_test(test, levels_points_heads);
    tcase_add_test(test, volume);
    tcase_add_test(test, offsets_from_points);
    tcase_add_test(test, offsets_per_level);
    tcase_add_test(test, offsets_from_boxes);
    tcase_add_test(test, softmax_of_strange_logits);
    tcase_add_test(test, strides_and_stored_types);
    tcase_add_test(test, resolved);
    tcase_add_test(test, refused_fields);
    tcase_add_test(test, refused_levels);
    tcase_add_test(test, refused_sizes);
    tcase_add_test(test, accepted);
    Suite *suite = suite_create("check_deform");
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
