/* SPDX-License-Identifier: MIT
 * DAT's deformable attention: Xia et al. 2022. */
#include <heed/heed_blocks.h>

#include "pipeline.h"

#include <string.h>

static const heed_value none = {0};

/* The call: its descriptor with defaults filled in. */
struct dat {
    heed_pipeline *p;
    struct heed_block_dat_desc d;
};

static heed_value project(const struct dat *b, heed_value x, heed_value weight, heed_value bias)
{
    const struct heed_linear_desc d = {.struct_size = sizeof d, .bias = bias, .dtype = b->d.dtype};
    return heed_linear(b->p, x, weight, &d);
}

static heed_value normed(const struct dat *b, heed_value x, const struct heed_norm *norm)
{
    const struct heed_layer_norm_desc d = {
        .struct_size = sizeof d, .gain = norm->gain, .bias = norm->bias, .epsilon = norm->epsilon, .dtype = b->d.dtype};
    return norm->gain.id ? heed_layer_norm(b->p, x, &d) : x;
}

static heed_value activated(const struct dat *b, heed_value x, enum heed_activation activation, enum heed_dtype dtype)
{
    const struct heed_combine_desc d = {.struct_size = sizeof d, .activation = activation, .dtype = dtype};
    return heed_combine(b->p, x, none, &d);
}

/* x[...][features] as [batch][rows][groups][features of a group]. */
static heed_value grouped(const struct dat *b, heed_value x, uint32_t rows)
{
    struct heed_shape shape = {0};
    heed_pipeline_get_shape(b->p, x, &shape, NULL);
    const uint32_t features = shape.length[2] / b->d.groups;
    return heed_reshape(b->p, x, heed_shape_4(HEED_LENGTH_REST, rows, b->d.groups, features));
}

/* q as images of one group each: [batch * groups][height][width][features of a group]. */
static heed_value group_images(const struct dat *b, heed_value q)
{
    static const uint32_t groups_first[HEED_MAX_AXES] = {0, 2, 1, 3};
    struct heed_shape shape = {0};
    heed_value images = grouped(b, q, b->d.height * b->d.width);
    if (b->d.groups > 1) /* a copy: what a group's image is made of lies apart */
        images = activated(b, heed_permute(b->p, images, groups_first), HEED_ACTIVATION_NONE, b->d.dtype);
    heed_pipeline_get_shape(b->p, images, &shape, NULL);
    return heed_reshape(b->p, images, heed_shape_4(HEED_LENGTH_REST, b->d.height, b->d.width, shape.length[3]));
}

/* Where the groups' points are: f32 [batch][points][groups][2]. *points is how many. */
static heed_value find_points(const struct dat *b, heed_value q, uint32_t *points)
{
    static const uint32_t points_first[HEED_MAX_AXES] = {0, 2, 1, 3};
    const struct heed_block_dat_desc *d = &b->d;
    heed_value h = group_images(b, q);
    struct heed_shape shape = {0};
    heed_pipeline_get_shape(b->p, h, &shape, NULL);
    const struct heed_conv_desc conv = {.struct_size = sizeof conv,
                                        .bias = d->conv_bias,
                                        .stride = {d->stride, d->stride},
                                        .padding = {d->padding, d->padding},
                                        .groups = shape.length[3],
                                        .dtype = d->dtype};
    h = heed_conv(b->p, h, d->conv, &conv);
    h = activated(b, normed(b, h, &d->norm), HEED_GELU, d->dtype);
    h = heed_linear(b->p, h, d->w_offset, NULL);
    heed_pipeline_get_shape(b->p, h, &shape, NULL);
    *points = shape.length[1] * shape.length[2];
    h = heed_reshape(b->p, h, heed_shape_4(HEED_LENGTH_REST, d->groups, *points, 2));
    const struct heed_combine_desc moved = {
        .struct_size = sizeof moved, .activation = HEED_TANH, .combination = HEED_MULTIPLY};
    h = heed_combine(b->p, heed_permute(b->p, h, points_first), d->range, &moved);
    return heed_combine(b->p, h, heed_reshape(b->p, d->reference, heed_shape_4(1, *points, 1, 2)), NULL);
}

/* A value of one level sampled at one place for each query and head. */
static heed_value sample(const struct dat *b, heed_value value, heed_value places, uint32_t height, uint32_t width,
                         enum heed_dtype dtype)
{
    struct heed_deform_desc deform = HEED_DEFORM_DESC_INIT;
    deform.level_count = 1;
    deform.levels[0] = (struct heed_level){.height = height, .width = width, .points = 1};
    deform.align_corners = deform.unweighted = true;
    const struct heed_sample_desc d = {.struct_size = sizeof d, .dtype = dtype};
    return heed_sample(b->p, value, places, none, &deform, &d);
}

/* B, f32 [batch][heads][queries][points]: a sample of the table for each query and point, of all heads of a group. */
static heed_value position_bias(const struct dat *b, heed_value places, uint32_t points)
{
    static const uint32_t heads_last[HEED_MAX_AXES] = {1, 2, 0, 3}, heads_second[HEED_MAX_AXES] = {0, 3, 1, 2};
    const struct heed_block_dat_desc *d = &b->d;
    const uint32_t queries = d->height * d->width, height = 2 * d->height - 1, width = 2 * d->width - 1;
    const struct heed_combine_desc apart = {.struct_size = sizeof apart, .scale = -0.5f};
    places = heed_reshape(b->p, places, heed_shape_4(HEED_LENGTH_REST, 1, points * d->groups, 2));
    places = heed_combine(b->p, places, heed_reshape(b->p, d->query_place, heed_shape_4(1, queries, 1, 2)), &apart);
    places = heed_reshape(b->p, places, heed_shape_4(1, HEED_LENGTH_REST, d->groups, 2));
    heed_value table = activated(b, heed_permute(b->p, d->table, heads_last), HEED_ACTIVATION_NONE, HEED_F32);
    table = heed_reshape(b->p, table, heed_shape_4(1, height * width, d->groups, d->heads / d->groups));
    heed_value bias = sample(b, table, places, height, width, HEED_F32);
    bias = heed_reshape(b->p, bias, heed_shape_4(HEED_LENGTH_REST, queries, points, d->heads));
    return activated(b, heed_permute(b->p, bias, heads_second), HEED_ACTIVATION_NONE, HEED_F32);
}

/* False where a rule is broken that the ops below would not name. */
static bool check(heed_pipeline *p, heed_value x, const struct heed_block_dat_desc *d)
{
    struct heed_shape shape = {0};
    size_t said = 0;
    if (!p || p->status != HEED_OK)
        return false;
    if (d)
        memcpy(&said, d, sizeof said);
    if (said != sizeof *d) {
        p->status =
            heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                      "pipeline: block dat: struct_size %zu is not that of its descriptor, %zu", said, sizeof *d);
        return false;
    }
    if (heed_pipeline_get_shape(p, x, &shape, NULL) != HEED_OK)
        return false;
    const uint32_t groups = d->groups ? d->groups : 1;
    if (shape.axes != 3 || shape.length[1] != d->height * d->width)
        p->status = heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                              "pipeline: block dat: x of %u axes is not [batch][height %u * width %u][features]",
                              shape.axes, d->height, d->width);
    else if (d->heads == 0 || d->heads % groups != 0 || shape.length[2] % groups != 0)
        p->status = heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                              "pipeline: block dat: %u heads and %u features are not both a multiple of %u groups",
                              d->heads, shape.length[2], groups);
    return p->status == HEED_OK;
}

heed_value heed_block_dat(heed_pipeline *p, heed_value x, const struct heed_block_dat_desc *desc)
{
    if (!check(p, x, desc))
        return none;
    struct dat b = {.p = p, .d = *desc};
    b.d.groups = desc->groups ? desc->groups : 1;
    const struct heed_projections *w = &b.d.weights;
    const heed_value from = normed(&b, x, &b.d.pre), q = project(&b, from, w->wq, w->bq);
    uint32_t points = 0;
    const heed_value places = find_points(&b, q, &points);
    const heed_value z =
        sample(&b, grouped(&b, from, b.d.height * b.d.width), places, b.d.height, b.d.width, b.d.dtype);
    const heed_value k = project(&b, z, w->wk, w->bk), v = w->wv.id ? project(&b, z, w->wv, w->bv) : k;
    const struct heed_attend_desc attend = {.struct_size = sizeof attend,
                                            .mask = b.d.table.id ? position_bias(&b, places, points) : none,
                                            .dtype = b.d.dtype};
    const heed_value o = heed_attend(p, heed_split_heads(p, q, b.d.heads), heed_split_heads(p, k, b.d.heads),
                                     heed_split_heads(p, v, b.d.heads), &attend);
    const struct heed_linear_desc out = {
        .struct_size = sizeof out, .bias = w->bo, .residual = b.d.no_residual ? none : x};
    return heed_linear(p, heed_merge_heads(p, o), w->wo, &out);
}
