/* SPDX-License-Identifier: MIT
 * Deformable attention problems from text lines. The words, all optional but levels and dim:
 *
 *   batch=2 heads=8 len_q=50 dim=32 levels=25x42,13x21 (height x width, or depth x height x width)
 *   points=4 (or one number for each level: 4,2)   starts=gaps (levels in reverse order, with rows of nobody between)
 *   dtype=f16/f32 (value/o, or one for both)   layout=packed|bhsd|gaps|shared   alignment=BYTES
 *   input=locations|offsets|boxes per_level offset_scale=X
 *   interpolation=linear|nearest padding=zeros|border align_corners unweighted
 *   places=wide|pixels|halves|wild logits=normal|heavy|infinite poison */
#include "deform_naive.h"
#include "test_case.h"

#include "dtype.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* wide: in [-0.3, 1.3]; pixels: exactly on pixels, inside and next to the level; halves: exactly between pixels, where
 * nearest has to choose; wild: NaN, infinite, far, and the rest wide. */
enum { PLACES_WIDE, PLACES_PIXELS, PLACES_HALVES, PLACES_WILD };
enum { LOGITS_NORMAL, LOGITS_HEAVY, LOGITS_INFINITE };
enum { LAYOUT_PACKED, LAYOUT_BHSD, LAYOUT_GAPS, LAYOUT_SHARED };

/* "25x42" or "3x25x42", then a comma or the end. */
static const char *parse_level(const char *text, struct heed_level *level, uint32_t *axes)
{
    uint32_t size[3];
    char *end;
    *axes = 0;
    do {
        size[*axes] = (uint32_t)strtoul(text, &end, 10);
        if (end == text)
            return NULL;
        ++*axes;
        text = end + 1;
    } while (*end == 'x' && *axes < 3);
    if (*axes < 2 || (*end && *end != ','))
        return NULL;
    level->depth = *axes == 3 ? size[0] : 0;
    level->height = size[*axes - 2];
    level->width = size[*axes - 1];
    return *end ? text : end;
}

static void parse_levels(struct test_words *words, struct heed_deform_desc *d)
{
    const char *text = test_words_get(words, "levels");
    if (!text) {
        test_words_fail(words, "levels", "must be there");
        return;
    }
    do {
        uint32_t axes;
        if (d->level_count == HEED_MAX_LEVELS || !(text = parse_level(text, &d->levels[d->level_count], &axes)) ||
            (d->level_count > 0 && axes != d->axes)) {
            test_words_fail(words, "levels", "needs HxW,... or DxHxW,...");
            return;
        }
        d->axes = axes;
        d->level_count++;
    } while (*text);
}

static void parse_points(struct test_words *words, struct heed_deform_desc *d)
{
    const char *text = test_words_get(words, "points");
    uint32_t points = 4;
    for (uint32_t l = 0; l < d->level_count; l++) {
        char *end;
        if (text && *text) {
            points = (uint32_t)strtoul(text, &end, 10);
            text = *end == ',' ? end + 1 : end;
        }
        d->levels[l].points = points;
    }
    if (text && *text)
        test_words_fail(words, "points", "needs one number, or one for each level");
}

static void parse_dtypes(struct test_words *words, struct heed_deform_desc *d)
{
    static const char *const names[] = {"f32", "f16", "bf16", "f32/f16", "f32/bf16", "f16/f32", "bf16/f32", NULL};
    static const enum heed_dtype types[][2] = {
        {HEED_F32, HEED_F32},  {HEED_F16, HEED_F16}, {HEED_BF16, HEED_BF16}, {HEED_F32, HEED_F16},
        {HEED_F32, HEED_BF16}, {HEED_F16, HEED_F32}, {HEED_BF16, HEED_F32},
    };
    int choice = test_words_choice(words, "dtype", names, 0);
    d->value.dtype = types[choice][0];
    d->o.dtype = types[choice][1];
}

static void set_starts(struct heed_deform_desc *d, bool gaps)
{
    uint64_t row = 0;
    d->explicit_starts = gaps;
    for (uint32_t i = 0; i < d->level_count; i++) {
        struct heed_level *level = &d->levels[gaps ? d->level_count - 1 - i : i];
        row += gaps ? 3 : 0;
        level->start = row;
        row += (uint64_t)(level->depth ? level->depth : 1) * level->height * level->width;
    }
    d->len_value = (uint32_t)row + (gaps ? 2 : 0);
}

static void set_strides(struct heed_deform_desc *d, int layout)
{
    struct heed_view *const views[] = {&d->value, &d->o};
    const uint64_t rows[] = {d->len_value, d->len_q};
    for (int i = 0; i < 2; i++) {
        struct heed_view *v = views[i];
        switch (layout) {
        case LAYOUT_PACKED: /* the library's own default: no strides given */
            break;
        case LAYOUT_BHSD:
            v->stride_row = d->dim;
            v->stride_head = rows[i] * d->dim;
            v->stride_batch = d->heads * v->stride_head;
            break;
        case LAYOUT_GAPS: /* odd strides, and room after heads, rows and batches */
            v->stride_head = d->dim + 3;
            v->stride_row = d->heads * v->stride_head + 2;
            v->stride_batch = rows[i] * v->stride_row + 5;
            break;
        case LAYOUT_SHARED: /* all batches sample the same value */
            v->stride_head = d->dim;
            v->stride_row = d->heads * d->dim;
            v->stride_batch = i == 0 ? 0 : rows[i] * v->stride_row;
            break;
        }
    }
}

static void parse(struct test_case *test, struct test_words *words)
{
    static const char *const starts[] = {"packed", "gaps", NULL};
    static const char *const layouts[] = {"packed", "bhsd", "gaps", "shared", NULL};
    static const char *const inputs[] = {"locations", "offsets", "boxes", NULL};
    static const char *const interpolations[] = {"linear", "nearest", NULL};
    static const char *const paddings[] = {"zeros", "border", NULL};
    static const char *const places[] = {"wide", "pixels", "halves", "wild", NULL};
    static const char *const logits[] = {"normal", "heavy", "infinite", NULL};
    struct heed_deform_desc *d = &test->desc.deform;
    *d = (struct heed_deform_desc)HEED_DEFORM_DESC_INIT;
    d->batch = test_words_number(words, "batch", 1);
    d->heads = test_words_number(words, "heads", 1);
    d->dim = test_words_number(words, "dim", 32);
    d->len_q = test_words_number(words, "len_q", 20);
    parse_levels(words, d);
    parse_points(words, d);
    parse_dtypes(words, d);
    set_starts(d, test_words_choice(words, "starts", starts, 0) == 1);
    set_strides(d, test_words_choice(words, "layout", layouts, LAYOUT_PACKED));
    d->offset_alignment = test_words_number(words, "alignment", 0);
    int input = test_words_choice(words, "input", inputs, 0);
    d->input = input > 0 ? HEED_DEFORM_OFFSETS : HEED_DEFORM_LOCATIONS;
    d->reference_boxes = input == 2;
    d->reference_per_level = test_words_has(words, "per_level");
    d->offset_scale = (float)test_words_real(words, "offset_scale", 0);
    d->interpolation = (enum heed_interpolation)test_words_choice(words, "interpolation", interpolations, 0);
    d->padding = (enum heed_padding)test_words_choice(words, "padding", paddings, 0);
    d->align_corners = test_words_has(words, "align_corners");
    d->unweighted = test_words_has(words, "unweighted");
    test->deform_inputs.places = test_words_choice(words, "places", places, PLACES_WIDE);
    test->deform_inputs.logits = test_words_choice(words, "logits", logits, LOGITS_NORMAL);
    test->deform_inputs.poison = test_words_has(words, "poison");
}

static enum heed_status init(heed_context *context, struct test_case *test)
{
    test->args = &test->problem.deform.args;
    test->problem_op = HEED_OP_DEFORM;
    return heed_deform_problem_init(context, &test->desc.deform, &test->problem.deform);
}

static void set(struct test_case *test, enum heed_arg_id id, uint64_t index, double value)
{
    struct test_tensor *t = &test->tensor[id];
    if (t->present)
        heed_dtype_store(t->data, t->dtype, index, value);
}

/* Rows of no level stay NaN. */
static void fill_value(struct test_case *test)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    const struct heed_deform_desc *d = &test->problem.deform.desc;
    for (uint64_t b = 0; b < d->batch; b++)
        for (uint32_t l = 0; l < d->level_count; l++) {
            const struct heed_level *level = &d->levels[l];
            uint64_t rows = (uint64_t)level->depth * level->height * level->width;
            for (uint64_t row = level->start; row < level->start + rows; row++)
                for (uint64_t h = 0; h < d->heads; h++) {
                    bool poison = test->deform_inputs.poison && test_random_chance(&test->random, 0.1);
                    uint64_t at = b * d->value.stride_batch + row * d->value.stride_row + h * d->value.stride_head;
                    for (uint32_t c = 0; c < d->dim; c++)
                        set(test, HEED_ARG_VALUE, at + c,
                            poison ? bad[test_random_below(&test->random, 3)] : test_random_normal(&test->random));
                }
        }
}

/* A location on an axis of `size` pixels. */
static double place(struct test_case *test, uint32_t size)
{
    static const double wild[] = {NAN, INFINITY, -INFINITY, 1e30, -1e30, FLT_MAX, -FLT_MAX, 1e-40, 3e9, -5e9};
    const struct heed_deform_desc *d = &test->problem.deform.desc;
    double scale = d->align_corners ? (size > 1 ? size - 1 : 1) : size, shift = d->align_corners ? 0 : 0.5;
    double pixel = (double)test_random_below(&test->random, size + 4) - 2;
    switch (test->deform_inputs.places) {
    case PLACES_PIXELS:
        return (pixel + shift) / scale;
    case PLACES_HALVES:
        return (pixel + 0.5 + shift) / scale;
    case PLACES_WILD:
        if (test_random_chance(&test->random, 0.3))
            return wild[test_random_below(&test->random, sizeof wild / sizeof *wild)];
        break;
    }
    if (d->interpolation == HEED_INTERPOLATION_NEAREST) /* far from where nearest changes over */
        return (pixel + test_random_uniform(&test->random, -0.4, 0.4) + shift) / scale;
    return test_random_uniform(&test->random, -0.3, 1.3);
}

/* Reference points and offsets that end at `place`. */
static void fill_places(struct test_case *test)
{
    const struct heed_deform_problem *p = &test->problem.deform;
    const struct heed_deform_desc *d = &p->desc;
    uint32_t axes = d->axes;
    for (uint64_t i = 0; i < test->tensor[HEED_ARG_REFERENCE].count; i++)
        set(test, HEED_ARG_REFERENCE, i,
            i % p->reference_width < axes ? test_random_uniform(&test->random, 0, 1)
                                          : test_random_uniform(&test->random, 0.05, 0.6));
    uint64_t index = 0;
    for (uint64_t slot = 0; slot < (uint64_t)d->batch * d->len_q * d->heads; slot++)
        for (uint32_t l = 0; l < d->level_count; l++) {
            const struct heed_level *level = &d->levels[l];
            const uint32_t size[3] = {level->width, level->height, level->depth};
            uint64_t reference =
                (slot / d->heads * p->reference_levels + (d->reference_per_level ? l : 0)) * p->reference_width;
            for (uint32_t i = 0; i < level->points * axes; i++, index++) {
                double x = place(test, size[i % axes]);
                set(test, HEED_ARG_LOCATIONS, index, x);
                if (d->input != HEED_DEFORM_OFFSETS)
                    continue;
                const float *numbers = (const float *)test->tensor[HEED_ARG_REFERENCE].data + reference + i % axes;
                double unit =
                    d->reference_boxes ? numbers[axes] * d->offset_scale / (float)level->points : 1.0 / size[i % axes];
                set(test, HEED_ARG_OFFSETS, index, (x - numbers[0]) / unit);
            }
        }
}

static void fill_weights(struct test_case *test)
{
    const struct heed_deform_problem *p = &test->problem.deform;
    for (uint64_t i = 0; i < test->tensor[HEED_ARG_WEIGHTS].count; i++) {
        double weight = test_random_uniform(&test->random, -0.2, 0.5);
        if (test_random_chance(&test->random, 0.1))
            weight = test->deform_inputs.poison && i % 2 ? INFINITY : 0;
        set(test, HEED_ARG_WEIGHTS, i, weight);
    }
    for (uint64_t i = 0; i < test->tensor[HEED_ARG_LOGITS].count; i++) {
        double logit = (test->deform_inputs.logits == LOGITS_HEAVY ? 100 : 2) * test_random_normal(&test->random);
        if (test->deform_inputs.logits == LOGITS_INFINITE) {
            uint64_t slot = i / p->points;
            if (slot % 5 == 1 || test_random_chance(&test->random, 0.3))
                logit = -INFINITY;
            if (slot % 7 == 3 && i % p->points == 0)
                logit = slot % 2 ? NAN : INFINITY;
        }
        set(test, HEED_ARG_LOGITS, i, logit);
    }
}

static void fill(struct test_case *test)
{
    fill_value(test);
    fill_places(test);
    fill_weights(test);
}

static const struct heed_candidate *candidates(const struct test_case *test, uint32_t *count)
{
    (void)test;
    return heed_deform_candidates(count);
}

static enum heed_status plan(heed_device *device, const struct test_case *test, const char *kernel, heed_plan **result)
{
    struct heed_deform_desc desc = test->desc.deform;
    desc.kernel = kernel;
    return heed_plan_create_deform(device, &desc, result);
}

const struct test_op test_op_deform = {
    .word = "deform",
    .parse = parse,
    .init = init,
    .fill = fill,
    .expect = test_deform_expect,
    .candidates = candidates,
    .plan = plan,
};
