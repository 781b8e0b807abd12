/* SPDX-License-Identifier: MIT
 * Views: the same elements with other axes. They have no steps. */
#include "pipeline_ops.h"
#include "dtype.h"

#include <inttypes.h>
#include <string.h>

struct reshape {
    size_t struct_size;
    struct heed_shape shape;
};

struct permute {
    size_t struct_size;
    uint32_t order[HEED_MAX_AXES];
};

struct slice {
    size_t struct_size;
    uint32_t axis, first, length;
};

struct heads {
    size_t struct_size;
    uint32_t heads;
};

static enum heed_status refuse_blocks(const struct heed_graph *g, const struct heed_node *n)
{
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    return x->dtype == HEED_Q8_0
               ? heed_node_fail(g, n, "%s is of blocks, of which there are only slices", heed_tensor_text(x).text)
               : HEED_OK;
}

static enum heed_status require(const struct heed_graph *g, const struct heed_node *n, uint32_t axes)
{
    enum heed_status status = heed_node_require(g, n, 0, "x");
    if (status == HEED_OK)
        status = refuse_blocks(g, n);
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    if (status == HEED_OK && axes > 0 && x->axes != axes)
        return heed_node_fail(g, n, "%s has not %u axes", heed_tensor_text(x).text, axes);
    return status;
}

/* ---- reshape */

enum heed_status heed_infer_reshape(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = require(g, n, 0);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    const struct reshape *d = heed_node_desc(n);
    struct heed_tensor view = {.axes = d->shape.axes, .offset = x->offset};
    if (view.axes < 1 || view.axes > HEED_MAX_AXES)
        return heed_node_fail(g, n, "%u axes are not 1..%d", view.axes, HEED_MAX_AXES);
    if (!heed_tensor_is_packed(x))
        return heed_node_fail(g, n, "%s is not packed; heed_combine makes a packed copy", heed_tensor_text(x).text);
    uint64_t total = heed_tensor_count(x);
    struct heed_checked count = heed_checked(1);
    uint32_t rest = UINT32_MAX;
    for (uint32_t a = 0; a < view.axes; a++) {
        if (d->shape.length[a] == HEED_LENGTH_REST) {
            if (rest != UINT32_MAX)
                return heed_node_fail(g, n, "axes %u and %u cannot both be the rest", rest, a);
            rest = a;
            continue;
        }
        view.length[a] = heed_graph_length(g, d->shape.length[a]);
        count = heed_checked_mul(count, view.length[a]);
    }
    if (rest != UINT32_MAX) {
        view.length[rest] = count.value > 0 && !count.overflow ? total / count.value : 0;
        count = heed_checked_mul(count, view.length[rest]);
    }
    if (count.overflow || count.value != total)
        return heed_node_fail(g, n, "%s has %" PRIu64 " elements, and the new shape %" PRIu64, heed_tensor_text(x).text,
                              total, count.value);
    uint64_t stride = 1;
    for (uint32_t a = view.axes; a-- > 0;) {
        view.stride[a] = stride;
        stride *= view.length[a];
    }
    return heed_node_view(g, n, 0, 0, &view);
}

heed_value heed_reshape(heed_pipeline *pipeline, heed_value x, struct heed_shape shape)
{
    const struct reshape desc = {sizeof desc, shape};
    return heed_pipeline_add(
        pipeline,
        &(struct heed_node_init){.kind = HEED_NODE_RESHAPE, .input = {x}, .desc = &desc, .desc_bytes = sizeof desc});
}

/* ---- permute */

enum heed_status heed_infer_permute(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = require(g, n, 0);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    const struct permute *d = heed_node_desc(n);
    struct heed_tensor view = {.axes = x->axes, .offset = x->offset};
    uint32_t seen = 0;
    for (uint32_t a = 0; a < x->axes; a++) {
        uint32_t from = d->order[a];
        if (from >= x->axes || seen >> from & 1)
            return heed_node_fail(g, n, "axis %u is not one of %s, or is there twice", from, heed_tensor_text(x).text);
        seen |= 1u << from;
        view.length[a] = x->length[from];
        view.stride[a] = x->stride[from];
    }
    return heed_node_view(g, n, 0, 0, &view);
}

heed_value heed_permute(heed_pipeline *pipeline, heed_value x, const uint32_t order[HEED_MAX_AXES])
{
    struct permute desc = {.struct_size = sizeof desc};
    struct heed_shape shape = {0};
    if (order && heed_pipeline_get_shape(pipeline, x, &shape, NULL) == HEED_OK)
        memcpy(desc.order, order, shape.axes * sizeof *order);
    return heed_pipeline_add(
        pipeline,
        &(struct heed_node_init){.kind = HEED_NODE_PERMUTE, .input = {x}, .desc = &desc, .desc_bytes = sizeof desc});
}

/* ---- slice */

enum heed_status heed_infer_slice(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = heed_node_require(g, n, 0, "x");
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    const struct slice *d = heed_node_desc(n);
    struct heed_tensor view = *x;
    uint64_t first = heed_graph_length(g, d->first), length = heed_graph_length(g, d->length);
    if (d->axis >= x->axes || first > x->length[d->axis] || length > x->length[d->axis] - first)
        return heed_node_fail(g, n, "elements %" PRIu64 " .. + %" PRIu64 " of axis %u are not in %s", first, length,
                              d->axis, heed_tensor_text(x).text);
    if (x->dtype == HEED_Q8_0 && d->axis != 0)
        return refuse_blocks(g, n);
    view.length[d->axis] = length;
    view.offset += first * x->stride[d->axis];
    return heed_node_view(g, n, 0, 0, &view);
}

heed_value heed_slice(heed_pipeline *pipeline, heed_value x, uint32_t axis, uint32_t first, uint32_t length)
{
    const struct slice desc = {sizeof desc, axis, first, length};
    return heed_pipeline_add(
        pipeline,
        &(struct heed_node_init){.kind = HEED_NODE_SLICE, .input = {x}, .desc = &desc, .desc_bytes = sizeof desc});
}

/* ---- heads */

enum heed_status heed_infer_split_heads(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = require(g, n, 3);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    const struct heads *d = heed_node_desc(n);
    if (d->heads == 0 || x->length[2] % d->heads != 0)
        return heed_node_fail(g, n, "the features of %s are not a multiple of %u heads", heed_tensor_text(x).text,
                              d->heads);
    uint64_t dim = x->length[2] / d->heads;
    const struct heed_tensor view = {
        .axes = 4,
        .length = {x->length[0], d->heads, x->length[1], dim},
        .stride = {x->stride[0], dim * x->stride[2], x->stride[1], x->stride[2]},
        .offset = x->offset,
    };
    return heed_node_view(g, n, 0, 0, &view);
}

heed_value heed_split_heads(heed_pipeline *pipeline, heed_value x, uint32_t heads)
{
    const struct heads desc = {sizeof desc, heads};
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){
                      .kind = HEED_NODE_SPLIT_HEADS, .input = {x}, .desc = &desc, .desc_bytes = sizeof desc});
}

enum heed_status heed_infer_merge_heads(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = require(g, n, 4);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    if (x->length[1] > 1 && x->stride[1] != x->length[3] * x->stride[3])
        return heed_node_fail(g, n,
                              "the heads of %s do not follow one another in a row; heed_combine makes a copy of a view",
                              heed_tensor_text(x).text);
    const struct heed_tensor view = {
        .axes = 3,
        .length = {x->length[0], x->length[2], x->length[1] * x->length[3]},
        .stride = {x->stride[0], x->stride[2], x->stride[3]},
        .offset = x->offset,
    };
    return heed_node_view(g, n, 0, 0, &view);
}

heed_value heed_merge_heads(heed_pipeline *pipeline, heed_value x)
{
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){.kind = HEED_NODE_MERGE_HEADS, .input = {x}, .desc_bytes = sizeof(size_t)});
}
