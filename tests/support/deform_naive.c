/* SPDX-License-Identifier: MIT
 * Deformable attention in f32, one query and head at a time, with first-order bounds of the rounding errors beside
 * every number. */
#include "deform_naive.h"

#include "dtype.h"
#include "reference/reference.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUND 0x1p-24 /* one correctly rounded f32 operation, relative */
#define ULP 0x1p-23

enum { MAX_POINTS = HEED_MAX_LEVELS * HEED_MAX_POINTS };

struct naive {
    struct test_case *test;
    const struct heed_deform_problem *p;
    const struct heed_deform_desc *d;
    uint64_t row, slot, head_at; /* batch and query; batch, query and head; first element of value's batch and head */
    float weight[MAX_POINTS];
    double weight_error[MAX_POINTS]; /* relative */
    float *o;
    double *noise;
};

/* One axis of one sample: a coordinate in pixels and how far it may be off. */
struct coordinate {
    float x;
    double error;
    int64_t low;
    float share[2];
};

static float at(const struct naive *n, enum heed_arg_id id, uint64_t index)
{
    const struct test_tensor *t = &n->test->tensor[id];
    return (float)heed_dtype_load(t->data, t->dtype, index);
}

static void find_weights(struct naive *n)
{
    uint32_t points = n->p->points;
    bool logits = n->d->input == HEED_DEFORM_OFFSETS;
    float highest = -INFINITY, sum = 0;
    double sum_error = 0;
    for (uint32_t i = 0; i < points; i++) {
        n->weight[i] = n->d->unweighted ? 1 : at(n, logits ? HEED_ARG_LOGITS : HEED_ARG_WEIGHTS, n->slot * points + i);
        n->weight_error[i] = 0;
        highest = fmaxf(highest, n->weight[i]);
    }
    if (!logits)
        return;
    for (uint32_t i = 0; i < points; i++) {
        double x = highest == -INFINITY ? (double)n->weight[i] : (double)n->weight[i] - highest;
        n->weight[i] = expf((float)x);
        sum += n->weight[i];
        /* exp of Vulkan's precision table: 3 + 2|x| ULP; the subtraction rounds once. */
        n->weight_error[i] = isfinite(x) ? 3 * ULP + (2 * ULP + ROUND) * fabs(x) : 0;
        sum_error += n->weight[i] * n->weight_error[i];
    }
    for (uint32_t i = 0; i < points && sum != 0; i++) {
        n->weight[i] /= sum;
        n->weight_error[i] += sum_error / sum + points * ROUND + 2.5 * ULP;
    }
}

/* False where nothing of the axis is near the location. */
static bool find_coordinate(const struct naive *n, float location, double location_error, uint32_t size,
                            struct coordinate *c)
{
    float last = (float)size - 1, scale = n->d->align_corners ? last : (float)size;
    if (isnan(location))
        return false;
    c->x = isinf(location) ? location : location * scale - (n->d->align_corners ? 0 : 0.5f);
    c->error = location_error * scale + 2 * ROUND * (fabs((double)location) * scale + 1);
    if (n->d->padding == HEED_PADDING_BORDER) {
        if (isinf(location) || c->x < -c->error || c->x > last + c->error)
            c->error = 0; /* beyond the edge by more than it may be off */
        c->x = c->x < 0 ? 0 : c->x > last ? last : c->x;
    }
    if (!(c->x > -1 && c->x < (float)size))
        return false;
    if (n->d->interpolation == HEED_INTERPOLATION_NEAREST) {
        c->low = (int64_t)nearbyintf(c->x);
        c->share[0] = 1;
        c->share[1] = 0;
        c->error = 0; /* inputs are exactly on ties, or far from them */
    } else {
        c->low = (int64_t)floorf(c->x);
        c->share[1] = c->x - floorf(c->x);
        c->share[0] = 1 - c->share[1];
    }
    return true;
}

static double value_at(const struct naive *n, const struct heed_level *level, int64_t x, int64_t y, int64_t z,
                       uint32_t channel)
{
    if (x < 0 || x >= level->width || y < 0 || y >= level->height || z < 0 || z >= level->depth)
        return 0;
    uint64_t pixel = ((uint64_t)z * level->height + (uint64_t)y) * level->width + (uint64_t)x;
    uint64_t element = n->head_at + (level->start + pixel) * n->d->value.stride_row + channel;
    return heed_dtype_load(n->test->tensor[HEED_ARG_VALUE].data, n->d->value.dtype, element);
}

/* How much the sample changes at most per pixel along an axis: between any two neighbours close to it, because a
 * coordinate that is off may also be in the next cell. */
static double steepest(const struct naive *n, const struct heed_level *level, const struct coordinate c[3],
                       uint32_t channel)
{
    double low = 0, high = 0;
    bool volume = n->d->axes == 3;
    for (int z = volume ? -1 : 0; z <= (volume ? 2 : 0); z++)
        for (int y = -1; y <= 2; y++)
            for (int x = -1; x <= 2; x++) {
                double v = value_at(n, level, c[0].low + x, c[1].low + y, c[2].low + z, channel);
                if (isfinite(v)) {
                    low = fmin(low, v);
                    high = fmax(high, v);
                }
            }
    return high - low;
}

static void add_sample(struct naive *n, const struct heed_level *level, const struct coordinate c[3], uint32_t point)
{
    float weight = n->weight[point];
    double error = c[0].error + c[1].error + c[2].error;
    for (uint32_t channel = 0; channel < n->d->dim; channel++) {
        double size = 0;
        for (int k = 0; k < 8; k++) {
            int i = k & 1, j = k >> 1 & 1, l = k >> 2;
            float share = c[0].share[i] * c[1].share[j] * c[2].share[l];
            if (share == 0)
                continue;
            float v = (float)value_at(n, level, c[0].low + i, c[1].low + j, c[2].low + l, channel);
            if (share * weight == 0) { /* perhaps only here: it may be too small for f32 */
                size += isfinite(v) ? fabs((double)v) : 0;
                continue;
            }
            n->o[channel] += weight * share * v;
            size += fabs((double)share * v);
        }
        /* Three products make a share, one the weight; 1 - f is one rounding on each axis; the sum's are as a rule the
         * square root of their number (Higham and Mary 2019). */
        double moved = error > 0 ? (error + 3 * ROUND) * steepest(n, level, c, channel) : 0;
        n->noise[channel] +=
            fabs((double)weight) * (size * (n->weight_error[point] + (10 + sqrt(8.0 * n->p->points)) * ROUND) + moved) +
            FLT_MIN * size;
    }
}

static void add_level(struct naive *n, uint32_t l, uint32_t first)
{
    const struct heed_deform_desc *d = n->d;
    const struct heed_level *level = &d->levels[l];
    const uint32_t size[3] = {level->width, level->height, level->depth};
    uint64_t reference = (n->row * n->p->reference_levels + (d->reference_per_level ? l : 0)) * n->p->reference_width;
    for (uint32_t point = first; point < first + level->points; point++) {
        struct coordinate c[3] = {{0}, {0}, {.share = {1, 0}}};
        bool near = true;
        for (uint32_t a = 0; a < d->axes; a++) {
            uint64_t index = (n->slot * n->p->points + point) * d->axes + a;
            float location;
            double error = 0;
            if (d->input == HEED_DEFORM_LOCATIONS) {
                location = at(n, HEED_ARG_LOCATIONS, index);
            } else {
                float center = at(n, HEED_ARG_REFERENCE, reference + a), offset = at(n, HEED_ARG_OFFSETS, index);
                float step = d->reference_boxes
                                 ? offset / (float)level->points * at(n, HEED_ARG_REFERENCE, reference + d->axes + a) *
                                       d->offset_scale
                                 : offset / (float)size[a];
                location = center + step;
                /* A division of 2.5 ULP, two products, a sum. */
                error = fabs((double)step) * (2.5 * ULP + 2 * ROUND) + ROUND * fabs((double)location);
                if (!isfinite(error))
                    error = 0;
            }
            near &= find_coordinate(n, location, error, size[a], &c[a]);
        }
        if (near)
            add_sample(n, level, c, point);
    }
}

static double stored(const struct test_tensor *t, float x)
{
    return t->dtype == HEED_F32   ? (double)x
           : t->dtype == HEED_F16 ? heed_f16_to_f32(heed_f64_to_f16(x))
                                  : heed_bf16_to_f32(heed_f64_to_bf16(x));
}

/* FlashAttention's rule: twice the naive error, the largest of the row's channels, and the noise. */
static void set_bounds(struct naive *n, uint64_t o)
{
    struct test_tensor *t = &n->test->tensor[HEED_ARG_O];
    double worst = 0;
    for (uint32_t c = 0; c < n->d->dim; c++) {
        double error = fabs(stored(t, n->o[c]) - t->expected[o + c]);
        worst = isfinite(error) ? fmax(worst, error) : worst;
        n->noise[c] += test_half_ulp(t->dtype, fabs(t->expected[o + c]) + n->noise[c]);
    }
    for (uint32_t c = 0; c < n->d->dim; c++) {
        double expected = t->expected[o + c], got = stored(t, n->o[c]);
        t->bound[o + c] = isfinite(expected) ? 2 * worst + n->noise[c] : 0;
        if (!test_value_ok(t->dtype, got, expected, 2 * n->noise[c]) && !n->test->error[0])
            snprintf(n->test->error, sizeof n->test->error,
                     "the oracle and a plain f32 evaluation disagree: o[%" PRIu64 "] is %.9g and %.9g, noise %.3g",
                     o + c, expected, got, n->noise[c]);
    }
}

static void bound_head(struct naive *n, uint64_t b, uint64_t q, uint64_t h)
{
    const struct heed_deform_desc *d = n->d;
    n->row = b * d->len_q + q;
    n->slot = n->row * d->heads + h;
    n->head_at = b * d->value.stride_batch + h * d->value.stride_head;
    find_weights(n);
    float sum = 0;
    for (uint32_t i = 0; i < n->p->points && d->input == HEED_DEFORM_OFFSETS; i++)
        sum += n->weight[i];
    for (uint32_t c = 0; c < d->dim; c++) {
        n->o[c] = isnan(sum) ? sum : 0;
        n->noise[c] = 0;
    }
    uint32_t first = 0;
    for (uint32_t l = 0; l < d->level_count; l++) {
        add_level(n, l, first);
        first += d->levels[l].points;
    }
    set_bounds(n, b * d->o.stride_batch + q * d->o.stride_row + h * d->o.stride_head);
}

enum heed_status test_deform_expect(heed_context *context, struct test_case *test)
{
    const struct heed_deform_problem *problem = &test->problem.deform;
    const void *in[HEED_ARG_COUNT];
    void *out[HEED_ARG_COUNT];
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        in[id] = test->tensor[id].data;
        out[id] = test->tensor[id].expected;
    }
    enum heed_status status = heed_reference_deform(context, problem, in, out, HEED_REFERENCE_F64);
    struct naive *n = calloc(1, sizeof *n);
    if (status != HEED_OK || !n) {
        free(n);
        return status != HEED_OK ? status : HEED_ERR_HOST_MEMORY;
    }
    n->test = test;
    n->p = problem;
    n->d = &problem->desc;
    n->o = calloc(n->d->dim, sizeof *n->o);
    n->noise = calloc(n->d->dim, sizeof *n->noise);
    if (!n->o || !n->noise)
        status = HEED_ERR_HOST_MEMORY;
    for (uint64_t b = 0; status == HEED_OK && b < n->d->batch; b++)
        for (uint64_t q = 0; q < n->d->len_q; q++)
            for (uint64_t h = 0; h < n->d->heads; h++)
                bound_head(n, b, q, h);
    free(n->o);
    free(n->noise);
    free(n);
    return status;
}
