/* SPDX-License-Identifier: MIT
 * heed_rope and heed_sinusoid: positions as angles. */
#include "op_points.h"

#include <math.h>
#include <string.h>

enum { X, POSITIONS };
enum { MOST_DIMS = 8192 }; /* the number of a pair has 12 bits: rotate.h */

heed_value heed_rope(heed_pipeline *pipeline, heed_value x, const struct heed_rope_desc *desc)
{
    const bool good = desc && desc->struct_size == sizeof *desc;
    return heed_pipeline_add(pipeline, &(struct heed_node_init){.kind = HEED_NODE_ROPE,
                                                                .input = {x, good ? desc->positions : (heed_value){0}},
                                                                .desc = desc,
                                                                .desc_bytes = sizeof *desc});
}

heed_value heed_sinusoid(heed_pipeline *pipeline, heed_value positions, const struct heed_sinusoid_desc *desc)
{
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){
                      .kind = HEED_NODE_SINUSOID, .input = {positions}, .desc = desc, .desc_bytes = sizeof *desc});
}

static enum heed_status check_numbers(const struct heed_graph *g, const struct heed_node *n, float base, float scale)
{
    if (base == 0.0f || (base > 1.0f && base <= 1e30f))
        return isfinite(scale) ? HEED_OK : heed_node_fail(g, n, "scale %g is not finite", (double)scale);
    return heed_node_fail(g, n, "base %g is not above 1 and at most 1e30", (double)base);
}

enum heed_status heed_infer_rope(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_rope_desc *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, X, "x");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->dtype);
    if (status == HEED_OK)
        status = check_numbers(g, n, d->base, d->scale);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, X), *p = heed_node_input(g, n, POSITIONS);
    const uint64_t features = x->length[x->axes - 1], dims = d->dims > 0 ? d->dims : features;
    if (x->axes < 2 || dims > features || dims % 2 != 0 || dims > MOST_DIMS)
        return heed_node_fail(g, n,
                              "%u turned features of x %s: an even number of them, at most %d and at most all, "
                              "of at least 2 axes",
                              (unsigned)dims, heed_tensor_text(x).text, MOST_DIMS);
    if (p) {
        const uint64_t rows = x->length[x->axes - 2], last = p->length[p->axes - 1];
        if (p->dtype != HEED_I32 || p->axes > 2 || (last != 1 && last != rows) ||
            (p->axes == 2 && (x->axes < 3 || p->length[0] != x->length[0])))
            return heed_node_fail(g, n, "positions %s are not i32 [1], [rows], [batch][1] or [batch][rows] for x %s",
                                  heed_tensor_text(p).text, heed_tensor_text(x).text);
    }
    status = heed_node_output(g, n, 0, d->dtype, x->axes, x->length);
    n->flops = 3 * heed_tensor_count(x);
    return status;
}

enum heed_status heed_infer_sinusoid(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_sinusoid_desc *d = heed_node_desc(n);
    const struct heed_tensor *p = heed_node_input(g, n, 0);
    enum heed_status status = heed_node_expect_output(g, n, d->dtype);
    if (status == HEED_OK)
        status = check_numbers(g, n, d->base, d->scale);
    if (status != HEED_OK)
        return status;
    if (d->channels == 0 || d->channels % 2 != 0 || d->channels > MOST_DIMS)
        return heed_node_fail(g, n, "%u channels are not an even number of 2..%d", d->channels, MOST_DIMS);
    if (p && ((p->dtype != HEED_I32 && p->dtype != HEED_F32) || p->axes == HEED_MAX_AXES))
        return heed_node_fail(g, n, "positions %s are not f32 or i32 of at most %d axes", heed_tensor_text(p).text,
                              HEED_MAX_AXES - 1);
    if (p && d->rows != 0)
        return heed_node_fail(g, n, "rows %u and positions %s were both given", d->rows, heed_tensor_text(p).text);
    uint64_t length[HEED_MAX_AXES] = {heed_graph_length(g, d->rows)};
    if (p)
        memcpy(length, p->length, sizeof length);
    const uint32_t axes = p ? p->axes : 1;
    length[axes] = d->channels;
    status = heed_node_output(g, n, 0, d->dtype, axes + 1, length);
    n->flops = 0;
    return status;
}

/* log2(base) / count in two parts, of which the first has 12 bits: it is multiplied without rounding. */
static void set_frequencies(struct heed_points *points, float base, double count)
{
    const double exponent = log2(base == 0.0f ? 10000.0 : (double)base) / count;
    int power;
    frexp(exponent, &power);
    const double unit = ldexp(1.0, power - 12);
    points->push.a = (float)(floor(exponent / unit) * unit);
    points->push.b = (float)(exponent - (double)points->push.a);
}

enum heed_status heed_lower_rope(struct heed_node_lowering *l)
{
    const struct heed_rope_desc *d = heed_node_desc(l->node);
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, X),
                             *p = heed_node_input(l->graph, l->node, POSITIONS);
    const uint64_t features = x->length[x->axes - 1], dims = d->dims > 0 ? d->dims : features;
    struct heed_points points = {
        .kernel = HEED_KERNEL_ROPE,
        .tensor_count = HEED_ROPE_BINDINGS,
        .flags = d->interleaved ? HEED_ROPE_INTERLEAVED : 0,
        .vector = true,
        .flops = 512,
    };
    struct heed_boxed *boxed = &points.tensor[HEED_ROPE_X];
    *boxed = heed_box_tensor(x);
    memcpy(points.x_strides, boxed->stride, sizeof points.x_strides);
    boxed->inner = features > 0 ? (features - 1) * boxed->stride[3] + 1 : 0;
    boxed->stride[3] = 0; /* a feature's other may be in any part */
    if (!p || p->length[p->axes - 1] == 1)
        points.flags |= HEED_ROPE_COUNT_ON;
    if (p) {
        points.flags |= HEED_ROPE_HAS_POSITIONS;
        struct heed_boxed *positions = &points.tensor[HEED_ROPE_POSITIONS];
        *positions = (struct heed_boxed){.tensor = p, .inner = 1};
        positions->stride[2] = p->length[p->axes - 1] > 1 ? p->stride[p->axes - 1] : 0;
        if (p->axes == 2 && p->length[0] > 1)
            positions->stride[HEED_MAX_AXES - x->axes] = p->stride[0];
        for (uint32_t a = 0; a < 3; a++)
            points.push.own[a] = (uint32_t)positions->stride[a];
    }
    points.push.own[3] = d->first;
    points.push.own[4] = (uint32_t)dims;
    points.push.c = d->scale == 0.0f ? 1.0f : d->scale;
    set_frequencies(&points, d->base, 0.5 * (double)(dims > 0 ? dims : 2));
    return heed_points_lower(l, &points);
}

enum heed_status heed_lower_sinusoid(struct heed_node_lowering *l)
{
    const struct heed_sinusoid_desc *d = heed_node_desc(l->node);
    const struct heed_tensor *p = heed_node_input(l->graph, l->node, 0);
    struct heed_points points = {
        .kernel = HEED_KERNEL_SINUSOID,
        .tensor_count = HEED_SINUSOID_BINDINGS,
        .flags = (d->interleaved ? HEED_SINUSOID_INTERLEAVED : 0) | (d->cosine_first ? HEED_SINUSOID_COSINE_FIRST : 0),
        .vector = true,
        .flops = 512,
    };
    /* Without positions the result itself is bound in their place, and not read. */
    struct heed_boxed *boxed = &points.tensor[HEED_SINUSOID_POSITIONS];
    *boxed = (struct heed_boxed){.tensor = p ? p : &l->graph->tensors[l->node->output[0]], .inner = 1};
    points.flags |= p ? HEED_SINUSOID_HAS_POSITIONS : 0;
    points.flags |= p && p->dtype == HEED_I32 ? HEED_SINUSOID_INTEGERS : 0;
    for (uint32_t a = 0; p && a < p->axes; a++) {
        const uint32_t to = a + HEED_MAX_AXES - 1 - p->axes;
        boxed->stride[to] = p->length[a] > 1 ? p->stride[a] : 0;
        points.push.own[to] = (uint32_t)boxed->stride[to];
    }
    points.push.own[3] = d->channels / 2;
    points.push.c = d->scale == 0.0f ? 1.0f : d->scale;
    set_frequencies(&points, d->base, d->inclusive && d->channels > 2 ? d->channels / 2 - 1 : d->channels / 2);
    return heed_points_lower(l, &points);
}
