/* SPDX-License-Identifier: MIT
 * Multi-scale deformable attention as heed.h defines it: double precision, one function per concept. It is what kernels
 * are measured against, so it favours being obviously right over being fast. */
#include "reference.h"

#include "../dtype.h"

#include <math.h>

enum { MAX_AXES = 3, MAX_SAMPLES = HEED_MAX_LEVELS * HEED_MAX_POINTS };

struct call {
    const struct heed_deform_problem *problem;
    const struct heed_deform_desc *desc;
    const void *const *in;
};

/* The pixels next to a location on one axis; `weight` 0 where there is none. */
struct neighbours {
    uint32_t pixel[2];
    double weight[2];
};

static double load(const struct call *c, enum heed_arg_id id, uint64_t index)
{
    return heed_dtype_load(c->in[id], c->problem->args.arg[id].dtype, index);
}

static double round_half_even(double x)
{
    double low = floor(x), rest = x - low;
    return rest > 0.5 || (rest == 0.5 && fmod(low, 2.0) != 0.0) ? low + 1.0 : low;
}

static void set_neighbour(struct neighbours *at, int i, double pixel, double weight, uint32_t size)
{
    at->pixel[i] = 0;
    at->weight[i] = 0.0;
    if (pixel >= 0.0 && pixel < size) {
        at->pixel[i] = (uint32_t)pixel;
        at->weight[i] = weight;
    }
}

/* False: the location is NaN, or nowhere near. */
static bool find_neighbours(const struct heed_deform_desc *d, double location, uint32_t size, struct neighbours *at)
{
    double last = size - 1.0, x = d->align_corners ? location * last : location * size - 0.5;
    if (isnan(location))
        return false;
    if (isinf(location))
        x = location; /* even where the axis has one pixel and align_corners multiplies by 0 */
    if (d->padding == HEED_PADDING_BORDER)
        x = x < 0.0 ? 0.0 : x > last ? last : x;
    bool nearest = d->interpolation == HEED_INTERPOLATION_NEAREST;
    double low = nearest ? round_half_even(x) : floor(x);
    set_neighbour(at, 0, low, nearest ? 1.0 : 1.0 - (x - low), size);
    set_neighbour(at, 1, low + 1.0, nearest ? 0.0 : x - low, size);
    return at->weight[0] != 0.0 || at->weight[1] != 0.0;
}

/* total += weight * value sampled at a location (x, y, z) of a level. `first`: the element of value where row 0 of this
 * batch and head begins. */
static void add_sample(const struct call *c, const struct heed_level *level, const double location[MAX_AXES],
                       double weight, uint64_t first, double *total)
{
    const struct heed_deform_desc *d = c->desc;
    const uint32_t size[MAX_AXES] = {level->width, level->height, level->depth};
    struct neighbours at[MAX_AXES] = {{{0, 0}, {1.0, 0.0}}, {{0, 0}, {1.0, 0.0}}, {{0, 0}, {1.0, 0.0}}};
    for (uint32_t a = 0; a < d->axes; a++)
        if (!find_neighbours(d, location[a], size[a], &at[a]))
            return;
    for (int n = 0; n < 8; n++) {
        int i = n & 1, j = n >> 1 & 1, k = n >> 2;
        double share = at[0].weight[i] * at[1].weight[j] * at[2].weight[k];
        if (share == 0.0 || (float)(weight * share) == 0.0f)
            continue;
        uint64_t pixel = ((uint64_t)at[2].pixel[k] * size[1] + at[1].pixel[j]) * size[0] + at[0].pixel[i];
        uint64_t element = first + (level->start + pixel) * d->value.stride_row;
        for (uint32_t f = 0; f < d->dim; f++)
            total[f] += weight * share * load(c, HEED_ARG_VALUE, element + f);
    }
}

/* The weights of all points of one query and head, `slot` counting those. Returns their sum: NaN if one is. */
static double find_weights(const struct call *c, uint64_t slot, double *weight)
{
    uint32_t points = c->problem->points;
    double sum = 0.0;
    if (c->desc->input == HEED_DEFORM_LOCATIONS) {
        for (uint32_t p = 0; p < points; p++)
            weight[p] = c->desc->unweighted ? 1.0 : load(c, HEED_ARG_WEIGHTS, slot * points + p);
        return 0.0;
    }
    double highest = -INFINITY;
    for (uint32_t p = 0; p < points; p++) {
        weight[p] = load(c, HEED_ARG_LOGITS, slot * points + p);
        highest = weight[p] > highest ? weight[p] : highest;
    }
    for (uint32_t p = 0; p < points; p++) {
        weight[p] = exp(weight[p] - (highest == -INFINITY ? 0.0 : highest));
        sum += weight[p];
    }
    for (uint32_t p = 0; p < points && sum != 0.0; p++)
        weight[p] /= sum;
    return sum;
}

/* A point of level `l`, where `point` counts the points of all queries, heads and levels and `row` the queries. */
static void find_location(const struct call *c, uint64_t row, uint32_t l, uint64_t point, double location[MAX_AXES])
{
    const struct heed_deform_problem *p = c->problem;
    const struct heed_deform_desc *d = c->desc;
    const struct heed_level *level = &d->levels[l];
    const uint32_t size[MAX_AXES] = {level->width, level->height, level->depth};
    uint64_t reference = (row * p->reference_levels + (d->reference_per_level ? l : 0)) * p->reference_width;
    for (uint32_t a = 0; a < d->axes; a++) {
        if (d->input == HEED_DEFORM_LOCATIONS) {
            location[a] = load(c, HEED_ARG_LOCATIONS, point * d->axes + a);
            continue;
        }
        double centre = load(c, HEED_ARG_REFERENCE, reference + a);
        double offset = load(c, HEED_ARG_OFFSETS, point * d->axes + a);
        if (d->reference_boxes) {
            double box = load(c, HEED_ARG_REFERENCE, reference + d->axes + a);
            location[a] = centre + offset / level->points * box * (double)d->offset_scale;
        } else {
            location[a] = centre + offset / size[a];
        }
    }
}

static void attend(const struct call *c, uint64_t row, uint64_t b, uint64_t h, double *total)
{
    const struct heed_deform_desc *d = c->desc;
    uint64_t slot = row * d->heads + h, point = slot * c->problem->points;
    uint64_t first = b * d->value.stride_batch + h * d->value.stride_head;
    double weight[MAX_SAMPLES];
    double sum = find_weights(c, slot, weight);
    for (uint32_t f = 0; f < d->dim; f++)
        total[f] = isnan(sum) ? sum : 0.0;
    uint32_t n = 0;
    for (uint32_t l = 0; l < d->level_count; l++)
        for (uint32_t p = 0; p < d->levels[l].points; p++, n++) {
            double location[MAX_AXES];
            find_location(c, row, l, point + n, location);
            add_sample(c, &d->levels[l], location, weight[n], first, total);
        }
}

enum heed_status heed_reference_deform(heed_context *context, const struct heed_deform_problem *problem,
                                       const void *const in[HEED_ARG_COUNT], void *const out[HEED_ARG_COUNT],
                                       enum heed_reference_store store)
{
    const struct heed_deform_desc *d = &problem->desc;
    const struct call c = {problem, d, in};
    double *total = heed_alloc(context, d->dim, sizeof *total);
    if (!total)
        return heed_fail_memory(context);
    for (uint64_t b = 0; b < d->batch; b++)
        for (uint64_t q = 0; q < d->len_q; q++)
            for (uint64_t h = 0; h < d->heads; h++) {
                attend(&c, b * d->len_q + q, b, h, total);
                uint64_t o = b * d->o.stride_batch + q * d->o.stride_row + h * d->o.stride_head;
                for (uint32_t f = 0; f < d->dim; f++)
                    heed_reference_put(out[HEED_ARG_O], d->o.dtype, store, o + f, total[f]);
            }
    heed_free(context, total);
    return HEED_OK;
}
