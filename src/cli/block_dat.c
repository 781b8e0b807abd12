/* SPDX-License-Identifier: MIT
 * The type of block that is DAT's attention: tensors as in a state_dict of DAT's code, places made from sizes. */
#include "block_keys.h"

#include <stdlib.h>

static const struct block_when always = {true, NULL, NULL};

/* clang-format off */
const struct config_key block_dat_keys[BLOCK_DAT_KEYS] = {
    KEY_HEADS,
    {CONFIG_COUNT, "groups", "1", "of heads, each with points of its own", AT(groups), 0, 1, 65535, NULL},
    {CONFIG_COUNT, "height", NULL, "of the image that x is", AT(height), 0, 1, 65535, NULL},
    {CONFIG_COUNT, "width", NULL, "of it", AT(width), 0, 1, 65535, NULL},
    {CONFIG_COUNT, "stride", "1", "of the convolution that moves the points", AT(stride), 0, 1, 65535, NULL},
    {CONFIG_COUNT, "padding", "", "of it; default half its kernel", AT(padding), 0, 0, 255, NULL},
    {CONFIG_NUMBER, "offset_range_factor", NULL, "how far points move, in distances between them",
     AT(offset_range_factor), 0, 0, 0, NULL},
    {CONFIG_FLAG, "position_bias", "true", "scores have a bias by the distance of query and point", AT(position_bias), 0, 0,
     0, NULL},
    KEY_RESIDUAL, KEY_DTYPE};
/* clang-format on */

/* A convolution of 1 x 1 as the matrix that it is. */
static void convolution(struct block_build *b, const char *name, heed_value *weight, heed_value *bias)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    *weight = block_tensor(b, BLOCK_FLOATS, "", full, "dim dim 1 1", always);
    snprintf(full, sizeof full, "%s.bias", name);
    *bias = block_tensor(b, BLOCK_F32, "", full, "dim", always);
    const uint32_t dim = (uint32_t)block_get_length(b, "", "dim");
    *weight = heed_reshape(b->pipeline, *weight, heed_shape_2(dim, dim));
}

/* [rows * columns][2]: x, y of each, first + step * number. */
static float *grid(uint32_t rows, uint32_t columns, const double first[2], const double step[2])
{
    float *places = malloc(((size_t)rows * columns + 1) * 2 * sizeof *places);
    for (size_t i = 0; places && i < (size_t)rows * columns; i++) {
        places[2 * i] = (float)(first[0] + step[0] * (double)(i % columns));
        places[2 * i + 1] = (float)(first[1] + step[1] * (double)(i / columns));
    }
    return places;
}

/* How many points there are along an axis; 0: too few, and the build has failed. */
static uint32_t dat_points(struct block_build *b, const char *axis, uint32_t length, uint64_t kernel, uint32_t stride,
                           uint32_t padding)
{
    if (!b->file)
        return 0;
    const uint64_t padded = (uint64_t)length + 2 * (uint64_t)padding;
    const uint64_t points = padded < kernel ? 0 : (padded - kernel) / stride + 1;
    if (points >= 2 && length >= 2)
        return (uint32_t)points;
    if (b->file)
        block_fail(
            b,
            "block dat: %s %u, convolved by a kernel of %u with stride %u and padding %u, has %u points; it needs "
            "2 pixels and 2 points",
            axis, length, (unsigned)kernel, stride, padding, (unsigned)points);
    return 0;
}

/* What DAT's code makes of sizes alone, in places from 0 to 1: see heed_blocks.h. */
static void dat_places(struct block_build *b, struct heed_block_dat_desc *d)
{
    const struct block_config *c = b->config;
    const uint64_t kernel = block_get_length(b, "", "kernel");
    d->stride = c->stride;
    d->padding = c->padding == UINT32_MAX ? (uint32_t)kernel / 2 : c->padding;
    const uint32_t rows = dat_points(b, "height", c->height, kernel, c->stride, d->padding);
    const uint32_t columns = dat_points(b, "width", c->width, kernel, c->stride, d->padding);
    if (b->failed || rows == 0 || columns == 0)
        return;
    const double apart[2] = {1.0 / (columns - 1), 1.0 / (rows - 1)}, half[2] = {apart[0] / 2, apart[1] / 2};
    const double factor = (double)c->offset_range_factor, range[2] = {factor * half[0], factor * half[1]};
    const double middle[2] = {0.5, 0.5}, step[2] = {0.5 / (c->width - 1), 0.5 / (c->height - 1)};
    d->range = block_made(b, "range", heed_shape_1(2), grid(1, 1, range, apart));
    d->reference = block_made(b, "reference", heed_shape_2(rows * columns, 2), grid(rows, columns, half, apart));
    if (c->position_bias)
        d->query_place = block_made(b, "query_place", heed_shape_2(c->height * c->width, 2),
                                    grid(c->height, c->width, middle, step));
}

/* The rows of DAT's last convolution are y, x. */
static heed_value swapped(struct block_build *b, heed_value rows)
{
    const uint32_t part = (uint32_t)block_get_length(b, "", "part");
    rows = heed_reshape(b->pipeline, rows, heed_shape_2(2, part));
    const heed_value x_first[] = {heed_slice(b->pipeline, rows, 0, 1, 1), heed_slice(b->pipeline, rows, 0, 0, 1)};
    return heed_concat(b->pipeline, x_first, 2, 0, NULL);
}

void block_build_dat(struct block_build *b)
{
    const struct block_config *c = b->config;
    struct heed_block_dat_desc d = {.struct_size = sizeof d,
                                    .height = c->height,
                                    .width = c->width,
                                    .heads = c->heads,
                                    .groups = c->groups,
                                    .no_residual = !c->residual,
                                    .dtype = (enum heed_dtype)c->dtype};
    struct heed_projections *w = &d.weights;
    block_set_length(b, "heads", c->heads);
    block_set_length(b, "groups", c->groups);
    block_set_length(b, "pixels", (uint64_t)c->height * c->width);
    block_set_length(b, "table_height", 2 * (uint64_t)c->height - 1);
    block_set_length(b, "table_width", 2 * (uint64_t)c->width - 1);
    const heed_value x = block_tensor(b, BLOCK_FLOATS, "", "x", "batch pixels dim", always);
    block_expect_multiple(b, "", "dim", "heads");
    block_expect_multiple(b, "", "heads", "groups");
    if (b->file && c->groups > 0)
        block_set_length(b, "part", block_get_length(b, "", "dim") / c->groups);
    convolution(b, "proj_q", &w->wq, &w->bq);
    convolution(b, "proj_k", &w->wk, &w->bk);
    convolution(b, "proj_v", &w->wv, &w->bv);
    convolution(b, "proj_out", &w->wo, &w->bo);
    d.conv = block_tensor(b, BLOCK_FLOATS, "", "conv_offset.0.weight", "part 1 kernel kernel", always);
    d.conv_bias = block_tensor(b, BLOCK_F32, "", "conv_offset.0.bias", "part", always);
    d.norm.gain = block_tensor(b, BLOCK_F32, "conv_offset.1.norm.", "weight", "part", always);
    d.norm.bias = block_tensor(b, BLOCK_F32, "conv_offset.1.norm.", "bias", "part", always);
    d.w_offset = swapped(b, block_tensor(b, BLOCK_FLOATS, "", "conv_offset.3.weight", "2 part 1 1", always));
    d.table = block_tensor(b, BLOCK_F32, "", "rpe_table", "heads table_height table_width",
                           (struct block_when){c->position_bias, "position_bias", "with \"position_bias\": true"});
    dat_places(b, &d);
    block_output(b, "y", heed_block_dat(b->pipeline, x, &d), "batch pixels dim");
}
