/* SPDX-License-Identifier: MIT
 * heed_layer_norm and heed_rms_norm. */
#include "pipeline_ops.h"

#include <math.h>
#include <string.h>

enum { X, GAIN, BIAS };
enum { BATCH, ROW }; /* axes of the box */
enum { GROUP = HEED_NORM_GROUP, LANES = 32, LANES_CPU = 8 };

static bool has_size(const void *desc, size_t bytes)
{
    size_t said = 0;
    if (desc)
        memcpy(&said, desc, sizeof said);
    return said == bytes;
}

heed_value heed_layer_norm(heed_pipeline *pipeline, heed_value x, const struct heed_layer_norm_desc *desc)
{
    const heed_value none = {0};
    const bool good = has_size(desc, sizeof *desc);
    return heed_pipeline_add(pipeline,
                             &(struct heed_node_init){.kind = HEED_NODE_LAYER_NORM,
                                                      .input = {x, good ? desc->gain : none, good ? desc->bias : none},
                                                      .desc = desc,
                                                      .desc_bytes = sizeof *desc});
}

heed_value heed_rms_norm(heed_pipeline *pipeline, heed_value x, const struct heed_rms_norm_desc *desc)
{
    const heed_value none = {0};
    return heed_pipeline_add(pipeline,
                             &(struct heed_node_init){.kind = HEED_NODE_RMS_NORM,
                                                      .input = {x, has_size(desc, sizeof *desc) ? desc->gain : none},
                                                      .desc = desc,
                                                      .desc_bytes = sizeof *desc});
}

static bool rows_of(const struct heed_graph *g, const struct heed_node *n, struct heed_rows *rows)
{
    const struct heed_tensor *tensors[] = {heed_node_input(g, n, X), &g->tensors[n->output[0]]};
    return heed_tensors_as_rows(tensors, 2, rows);
}

static enum heed_status infer(struct heed_graph *g, struct heed_node *n, float epsilon, enum heed_dtype dtype)
{
    enum heed_status status = heed_node_expect_float(g, n, X, "x");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, dtype);
    if (status != HEED_OK)
        return status;
    if (!(epsilon >= 0.0f && isfinite(epsilon)))
        return heed_node_fail(g, n, "epsilon %g is negative or not finite", (double)epsilon);
    const struct heed_tensor *x = heed_node_input(g, n, X);
    const uint64_t features = x->length[x->axes - 1];
    status = heed_node_expect(g, n, GAIN, "gain", HEED_F32, 1, &features);
    if (status == HEED_OK)
        status = heed_node_expect(g, n, BIAS, "bias", HEED_F32, 1, &features);
    if (status == HEED_OK)
        status = heed_node_output(g, n, 0, dtype, x->axes, x->length);
    struct heed_rows rows;
    if (status == HEED_OK && !rows_of(g, n, &rows))
        return heed_node_fail(g, n, "x %s has no rows of adjacent features; heed_combine makes a packed copy",
                              heed_tensor_text(x).text);
    n->flops = 8 * heed_tensor_count(x);
    return status;
}

enum heed_status heed_infer_layer_norm(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_layer_norm_desc *d = heed_node_desc(n);
    return infer(g, n, d->epsilon, d->dtype);
}

enum heed_status heed_infer_rms_norm(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_rms_norm_desc *d = heed_node_desc(n);
    return infer(g, n, d->epsilon, d->dtype);
}

/* ---- steps */

struct lowering {
    struct heed_rows rows;
    uint32_t lanes, flags;
    float epsilon;
};

static bool grid(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3])
{
    const struct lowering *lowering = job->user;
    uint64_t rows = GROUP / lowering->lanes;
    groups[0] = (box->length[ROW] + rows - 1) / rows;
    groups[1] = 1;
    groups[2] = box->length[BATCH];
    return box->length[ROW] < UINT32_MAX / 2;
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct lowering *lowering = job->user;
    return 16.0 * (double)lowering->rows.of[0].features * (double)box->length[ROW] * (double)box->length[BATCH];
}

static uint32_t stride(uint64_t elements, uint64_t length)
{
    return length > 1 ? (uint32_t)elements : 0;
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct lowering *lowering = job->user;
    const struct heed_graph *g = job->l->graph;
    const struct heed_rows *r = &lowering->rows;
    const struct heed_tensor *x = job->tensor[HEED_NORM_X].tensor, *o = job->tensor[HEED_NORM_O].tensor,
                             *gain = job->tensor[HEED_NORM_GAIN].tensor, *bias = job->tensor[HEED_NORM_BIAS].tensor;
    const struct heed_norm_push push = {
        .rows = (uint32_t)box->length[ROW],
        .features = (uint32_t)r->of[0].features,
        .x_stride_batch = stride(r->of[0].stride_batch, box->length[BATCH]),
        .x_stride_row = stride(r->of[0].stride_row, box->length[ROW]),
        .o_stride_batch = stride(r->of[1].stride_batch, box->length[BATCH]),
        .o_stride_row = stride(r->of[1].stride_row, box->length[ROW]),
        .epsilon = lowering->epsilon,
    };
    step->spec_count = HEED_NORM_SPEC_COUNT;
    step->spec[HEED_NORM_SPEC_FLAGS] =
        lowering->flags | (gain ? HEED_NORM_GAIN_FLAG : 0) | (bias ? HEED_NORM_BIAS_FLAG : 0);
    step->spec[HEED_NORM_SPEC_DTYPES] = (uint32_t)x->dtype | (uint32_t)o->dtype << 4;
    step->spec[HEED_NORM_SPEC_VECTOR] = heed_tensor_is_vector(g, x) && heed_tensor_is_vector(g, o) &&
                                        (!gain || heed_tensor_is_vector(g, gain)) &&
                                        (!bias || heed_tensor_is_vector(g, bias));
    step->spec[HEED_NORM_SPEC_LANES] = lowering->lanes;
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

static uint32_t lanes_of(const heed_device *device)
{
    if (device->ops->backend == HEED_BACKEND_OPENCL && !heed_box_is_alone(device))
        return 1;
    return device->info.type == HEED_DEVICE_CPU ? LANES_CPU : LANES;
}

static enum heed_status lower(struct heed_node_lowering *l, uint32_t flags, float epsilon)
{
    struct lowering lowering = {.flags = flags, .epsilon = epsilon};
    lowering.lanes = lanes_of(l->plan->device);
    if (!rows_of(l->graph, l->node, &lowering.rows))
        return heed_node_fail(l->graph, l->node, "x has no rows of adjacent features");
    const struct heed_rows *r = &lowering.rows;
    const uint64_t features = r->of[0].features;
    struct heed_box_job job = {
        .l = l,
        .kernel = HEED_KERNEL_NORM,
        .group = GROUP,
        .tensor_count = HEED_NORM_BINDINGS,
        .quantum = {1, 1, 0, 0},
        .user = &lowering,
        .grid = grid,
        .flops = flops,
        .describe = describe,
    };
    job.tensor[HEED_NORM_X] = (struct heed_boxed){
        heed_node_input(l->graph, l->node, X), {r->of[0].stride_batch, r->of[0].stride_row}, features};
    job.tensor[HEED_NORM_GAIN] = (struct heed_boxed){heed_node_input(l->graph, l->node, GAIN), {0}, features};
    job.tensor[HEED_NORM_BIAS] = (struct heed_boxed){heed_node_input(l->graph, l->node, BIAS), {0}, features};
    job.tensor[HEED_NORM_O] = (struct heed_boxed){
        &l->graph->tensors[l->node->output[0]], {r->of[1].stride_batch, r->of[1].stride_row}, features};
    const struct heed_box box = {.length = {r->batches, r->rows, features > 0, 1}};
    return heed_box_lower(&job, &box);
}

enum heed_status heed_lower_layer_norm(struct heed_node_lowering *l)
{
    const struct heed_layer_norm_desc *d = heed_node_desc(l->node);
    return lower(l, HEED_NORM_MEAN, d->epsilon == 0.0f ? 1e-5f : d->epsilon);
}

enum heed_status heed_lower_rms_norm(struct heed_node_lowering *l)
{
    const struct heed_rms_norm_desc *d = heed_node_desc(l->node);
    return lower(l, 0, d->epsilon == 0.0f ? 1e-6f : d->epsilon);
}
