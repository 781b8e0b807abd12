/* SPDX-License-Identifier: MIT
 * heed_pool: the mean or the maximum along an axis. */
#include "op_layers.h"
#include "op_points.h"

#include <string.h>

heed_value heed_pool(heed_pipeline *pipeline, heed_value x, uint32_t axis, const struct heed_pool_desc *desc)
{
    struct heed_pool_call pool = {.struct_size = sizeof pool, .axis = axis};
    struct heed_node_init init = {.kind = HEED_NODE_POOL, .input = {x}, .desc = &pool, .desc_bytes = sizeof pool};
    if (desc && desc->struct_size == sizeof *desc) {
        pool.desc = *desc;
    } else if (desc) { /* which heed_pipeline_add refuses */
        init.desc = desc;
        init.desc_bytes = sizeof *desc;
    }
    return heed_pipeline_add(pipeline, &init);
}

enum heed_status heed_infer_pool(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_pool_call *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, 0, "x");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->desc.dtype);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    if ((unsigned)d->desc.pooling > HEED_POOL_MAXIMUM)
        return heed_node_fail(g, n, "pooling %d is not one there is", (int)d->desc.pooling);
    if (d->axis >= x->axes || x->length[d->axis] == 0)
        return heed_node_fail(g, n, "axis %u of x %s is not there, or has no elements", d->axis,
                              heed_tensor_text(x).text);
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, x->length, sizeof length);
    length[d->axis] = 1;
    n->flops = heed_tensor_count(x);
    return heed_node_output(g, n, 0, d->desc.dtype, x->axes, length);
}

enum heed_status heed_lower_pool(struct heed_node_lowering *l)
{
    const struct heed_pool_call *d = heed_node_desc(l->node);
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, 0);
    const uint32_t axis = d->axis + HEED_MAX_AXES - x->axes;
    const uint64_t count = x->length[d->axis];
    struct heed_points points = {
        .kernel = HEED_KERNEL_POOL, .tensor_count = HEED_POOL_BINDINGS, .flops = 8.0 * (double)count};
    struct heed_boxed *boxed = &points.tensor[HEED_POOL_X];
    *boxed = heed_box_tensor(x);
    memcpy(points.x_strides, boxed->stride, sizeof points.x_strides);
    const bool strided = x->length[x->axes - 1] > 1 && boxed->stride[3] != 1;
    points.push.own[0] = (uint32_t)count;
    points.push.own[1] = (uint32_t)boxed->stride[axis];
    boxed->inner = (count - 1) * boxed->stride[axis] + 1;
    boxed->stride[axis] = 0;
    if (axis != 3)
        points.x_strides[axis] = 0;
    points.flags = (d->desc.pooling == HEED_POOL_MAXIMUM ? HEED_POOL_MAX : 0) | (axis == 3 ? HEED_POOL_LAST : 0) |
                   (strided ? HEED_POOL_STRIDED : 0);
    points.vector = strided || heed_tensor_is_vector(l->graph, x);
    return heed_points_lower(l, &points);
}
