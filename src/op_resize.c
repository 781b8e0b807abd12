/* SPDX-License-Identifier: MIT
 * heed_resize: images of another size, bilinearly. */
#include "op_layers.h"
#include "op_points.h"

#include <string.h>

heed_value heed_resize(heed_pipeline *pipeline, heed_value x, uint32_t height, uint32_t width,
                       const struct heed_resize_desc *desc)
{
    struct heed_resize_call resize = {.struct_size = sizeof resize, .height = height, .width = width};
    struct heed_node_init init = {.kind = HEED_NODE_RESIZE, .input = {x}, .desc = &resize, .desc_bytes = sizeof resize};
    if (desc && desc->struct_size == sizeof *desc) {
        resize.desc = *desc;
    } else if (desc) { /* which heed_pipeline_add refuses */
        init.desc = desc;
        init.desc_bytes = sizeof *desc;
    }
    return heed_pipeline_add(pipeline, &init);
}

enum heed_status heed_infer_resize(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_resize_call *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, 0, "x");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->desc.dtype);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    if (x->axes < 3 || x->length[x->axes - 3] == 0 || x->length[x->axes - 2] == 0)
        return heed_node_fail(g, n, "x %s is not [y][x][channels] or [batch][y][x][channels] of at least one place",
                              heed_tensor_text(x).text);
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, x->length, sizeof length);
    length[x->axes - 3] = heed_graph_length(g, d->height);
    length[x->axes - 2] = heed_graph_length(g, d->width);
    status = heed_node_output(g, n, 0, d->desc.dtype, x->axes, length);
    n->flops = 8 * heed_tensor_count(&g->tensors[n->output[0]]);
    return status;
}

static float scale_of(uint64_t from, uint64_t to, bool align_corners)
{
    if (align_corners)
        return to > 1 ? (float)((double)(from - 1) / (double)(to - 1)) : 0.0f;
    return to > 0 ? (float)((double)from / (double)to) : 0.0f;
}

enum heed_status heed_lower_resize(struct heed_node_lowering *l)
{
    const bool align = ((const struct heed_resize_call *)heed_node_desc(l->node))->desc.align_corners;
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, 0), *o = &l->graph->tensors[l->node->output[0]];
    const uint64_t height = x->length[x->axes - 3], width = x->length[x->axes - 2];
    struct heed_points points = {.kernel = HEED_KERNEL_RESIZE, .tensor_count = HEED_RESIZE_BINDINGS, .flops = 128};
    struct heed_boxed *boxed = &points.tensor[HEED_RESIZE_X];
    *boxed = heed_box_tensor(x);
    memcpy(points.x_strides, boxed->stride, sizeof points.x_strides);
    boxed->inner = (height - 1) * boxed->stride[1] + (width - 1) * boxed->stride[2] + 1;
    boxed->stride[1] = boxed->stride[2] = 0;
    const bool strided = x->length[x->axes - 1] > 1 && boxed->stride[3] != 1;
    points.flags = (align ? HEED_RESIZE_ALIGN_CORNERS : 0) | (strided ? HEED_RESIZE_STRIDED : 0);
    points.vector = strided || heed_tensor_is_vector(l->graph, x);
    points.push.own[0] = (uint32_t)height;
    points.push.own[1] = (uint32_t)width;
    points.push.a = scale_of(height, o->length[o->axes - 3], align);
    points.push.b = scale_of(width, o->length[o->axes - 2], align);
    return heed_points_lower(l, &points);
}
