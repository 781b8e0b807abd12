/* SPDX-License-Identifier: MIT
 * heed_linear: which kernels there are, and their steps. */
#include "op_linear.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { X, WEIGHT, BIAS, RESIDUAL };
enum { BATCH, ROW, COLUMN }; /* axes of the box */

heed_value heed_linear(heed_pipeline *pipeline, heed_value x, heed_value weight, const struct heed_linear_desc *desc)
{
    const bool good = desc && desc->struct_size == sizeof *desc;
    const heed_value none = {0};
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){.kind = HEED_NODE_LINEAR,
                                           .input = {x, weight, good ? desc->bias : none, good ? desc->residual : none},
                                           .desc = desc,
                                           .desc_bytes = sizeof *desc,
                                           .kernel = good ? desc->kernel : NULL});
}

static bool rows_of(const struct heed_graph *g, const struct heed_node *n, const struct heed_tensor *y,
                    struct heed_rows *rows)
{
    const struct heed_tensor *tensors[] = {heed_node_input(g, n, X), y, heed_node_input(g, n, RESIDUAL)};
    return heed_tensors_as_rows(tensors, tensors[2] ? 3 : 2, rows);
}

enum heed_status heed_infer_linear(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_linear_desc *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, X, "x");
    if (status == HEED_OK)
        status = heed_node_require(g, n, WEIGHT, "weight");
    if (status == HEED_OK && n->input[RESIDUAL])
        status = heed_node_expect_float(g, n, RESIDUAL, "residual");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->dtype);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, X), *w = heed_node_input(g, n, WEIGHT),
                             *residual = heed_node_input(g, n, RESIDUAL);
    if ((unsigned)d->activation > HEED_TANH)
        return heed_node_fail(g, n, "activation %d is not one there is", (int)d->activation);
    if (w->dtype == HEED_I32 || w->dtype == HEED_BOOL || (w->dtype == HEED_Q8_0 && d->transposed))
        return heed_node_fail(g, n, "weight %s is not f32, f16, bf16, or q8_0 as it lies", heed_tensor_text(w).text);
    const uint64_t in = x->length[x->axes - 1];
    if (w->axes != 2 || w->length[d->transposed ? 0 : 1] != in || (w->length[1] > 1 && w->stride[1] != 1))
        return heed_node_fail(g, n, "weight %s is not %s for x %s", heed_tensor_text(w).text,
                              d->transposed ? "[in][out]" : "[out][in]", heed_tensor_text(x).text);
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, x->length, sizeof length);
    const uint64_t out = length[x->axes - 1] = w->length[d->transposed ? 1 : 0];
    status = heed_node_expect(g, n, BIAS, "bias", HEED_F32, 1, &out);
    if (status == HEED_OK && residual &&
        (residual->axes != x->axes || memcmp(residual->length, length, x->axes * sizeof *length) != 0))
        return heed_node_fail(g, n, "residual %s has not the shape of the result of x %s and weight %s",
                              heed_tensor_text(residual).text, heed_tensor_text(x).text, heed_tensor_text(w).text);
    if (status == HEED_OK)
        status = heed_node_output(g, n, 0, d->dtype, x->axes, length);
    struct heed_rows rows;
    if (status == HEED_OK && !rows_of(g, n, &g->tensors[n->output[0]], &rows))
        return heed_node_fail(g, n,
                              "x %s or the residual has no rows of adjacent features; heed_combine makes a packed copy",
                              heed_tensor_text(x).text);
    n->flops = 2 * heed_tensor_count(&g->tensors[n->output[0]]) * in;
    return status;
}

/* ---- kernels */

/* 384 q8_0 features x 384, vector against lanes, GFLOP per CPU second on lavapipe 26.1.6: 12 rows 12 : 4, 20 rows 14 :
 * 8, 40 rows 13 : 15, 150 rows 15 : 18; 22.3.6 4.3 : 1.5, 4.0 : 2.6, 4.4 : 4.8, 4.3 : 6.2. */
enum { VECTOR_ROWS = 4, VECTOR_MAX = 8, CPU_VECTOR_MAX = 32 };

/* 1500 x 384 features x 384, GFLOP per CPU second in f32 and with q8_0 weights, and the first run: lavapipe 26.1.6 31,
 * 25, 0.16 s (16 lanes 38, 32), with 8 features at a time 33, 27, 0.35 s (40, 36); 22.3.6 10, 8, 0.4 s, with 8 features
 * the same in 0.7 s, with 16 rows 14, 11, 0.8 s; SwiftShader 4.5, 1.4, 1.2 s, with 8 features 2.9, 1.3, 2.4 s. A lane
 * with four columns of W, and rows of x passing by in shared memory: 26, 26 (16 lanes 11, 11); 4, 4; 2.4, 2.4. */
enum { LANES_ROWS = 8, LANES_COLUMNS = 16, LANES_CHUNK = 4 };

struct heed_linear_tile heed_linear_lanes_tile(const heed_device *device, uint64_t columns)
{
    struct heed_linear_tile t = {.spec_rows = LANES_ROWS, .spec_columns = LANES_COLUMNS, .spec_chunk = LANES_CHUNK};
    t.group = device->info.limits.subgroup_size_max > 8 ? device->info.limits.subgroup_size_max : 8;
    while (t.spec_columns > 4 && t.spec_columns / 2 >= columns)
        t.spec_columns /= 2;
    t.rows = t.spec_rows * t.group;
    t.columns = t.spec_columns;
    t.shared_bytes = 4 * t.rows * t.columns;
    return t;
}

struct heed_linear_tile heed_linear_rows_tile(const heed_device *device)
{
    struct heed_linear_tile t = {.group = 1, .rows = HEED_LINEAR_ROWS_MOST, .spec_chunk = 1};
    t.spec_rows = t.rows;
    t.columns = t.spec_columns = heed_node_rows_columns(device);
    return t;
}

struct heed_linear_tile heed_linear_plain_tile(const heed_device *device)
{
    struct heed_linear_tile t = {.group = 64, .columns = 32, .spec_columns = 4, .spec_chunk = 16};
    t.rows = t.spec_rows = t.group / 8 * 4;
    if (device->ops->backend != HEED_BACKEND_OPENCL)
        t.shared_bytes = 4 * t.spec_chunk * (t.rows + t.columns);
    return t;
}

static struct heed_linear_tile cl_vector_tile(const heed_device *device)
{
    const bool alone = heed_box_is_alone(device);
    struct heed_linear_tile t = {.group = alone ? 1 : 64, .rows = VECTOR_ROWS, .spec_columns = alone ? 32 : 4};
    t.spec_rows = t.rows;
    t.columns = t.group * t.spec_columns;
    return t;
}

/* A lane of a CPU reads a column of its own; elsewhere neighbours read what lies next to one another. */
static struct heed_linear_tile vector_tile(const heed_device *device)
{
    const bool cpu = device->info.type == HEED_DEVICE_CPU;
    struct heed_linear_tile t = {.group = cpu ? 8 : 64, .rows = VECTOR_ROWS, .spec_columns = 4};
    t.spec_rows = t.rows;
    t.spec_chunk = cpu ? 1 : 16;
    t.columns = t.group / t.spec_chunk * 4;
    t.shared_bytes = 16 * t.group;
    return t;
}

static uint64_t features_of(const struct heed_node_lowering *l)
{
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, X);
    return x->length[x->axes - 1];
}

static uint64_t rows_count(const struct heed_node_lowering *l)
{
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, X);
    uint64_t rows = 1;
    for (uint32_t a = 0; a + 1 < x->axes; a++)
        rows *= x->length[a];
    return rows;
}

static uint64_t columns_count(const struct heed_node_lowering *l)
{
    const struct heed_linear_desc *d = heed_node_desc(l->node);
    return heed_node_input(l->graph, l->node, WEIGHT)->length[d->transposed ? 1 : 0];
}

static struct heed_linear_tile tile_of(enum heed_kernel kernel, const struct heed_node_lowering *l)
{
    const heed_device *device = l->plan->device;
    switch (kernel) {
    case HEED_KERNEL_LINEAR_LANES:
        return heed_linear_lanes_tile(device, columns_count(l));
    case HEED_KERNEL_LINEAR_ROWS:
        return heed_linear_rows_tile(device);
    case HEED_KERNEL_LINEAR_VECTOR:
        return device->ops->backend == HEED_BACKEND_OPENCL ? cl_vector_tile(device) : vector_tile(device);
    default:
        return heed_linear_plain_tile(device);
    }
}

static bool accepts(const struct heed_node_candidate *self, const struct heed_node_lowering *l, char *why, size_t size)
{
    const struct heed_limits *limits = &l->plan->device->info.limits;
    const struct heed_linear_tile t = tile_of(self->kernel, l);
    if (t.group > limits->max_group_size)
        snprintf(why, size, "%u invocations of a group are more than %u", t.group, limits->max_group_size);
    else if (t.shared_bytes > limits->max_shared_bytes)
        snprintf(why, size, "%u bytes of shared memory are more than %u", t.shared_bytes, limits->max_shared_bytes);
    else if (limits->max_storage_buffers < HEED_LINEAR_BINDINGS)
        snprintf(why, size, "%d storage buffers are more than %u", HEED_LINEAR_BINDINGS, limits->max_storage_buffers);
    else
        return self->kernel != HEED_KERNEL_LINEAR_ROWS || heed_node_accepts_rows(l->plan->device, why, size);
    return false;
}

/* 1536 features x 1536, vector against rows, CPU ms on PoCL 3.1 in f32 and with q8_0 weights: 1 row 0.48, 0.48 : 0.83,
 * 0.81; 2 rows 0.86, 0.76 : 0.80, 0.70; 8 rows 3.0, 3.0 : 1.0, 0.9. */
static bool prefers_vector(const struct heed_node_candidate *self, const struct heed_node_lowering *l)
{
    (void)self;
    const heed_device *device = l->plan->device;
    if (heed_box_is_alone(device))
        return rows_count(l) == 1;
    return rows_count(l) <= (device->info.type == HEED_DEVICE_CPU ? CPU_VECTOR_MAX : VECTOR_MAX);
}

static const struct heed_node_candidate candidates[] = {
    {"linear__vector", HEED_KERNEL_LINEAR_VECTOR, accepts, prefers_vector},
    {"linear__rows", HEED_KERNEL_LINEAR_ROWS, accepts, heed_node_prefers_cpu},
    {"linear__lanes", HEED_KERNEL_LINEAR_LANES, accepts, heed_node_prefers_cpu},
    {"linear__plain_32x32", HEED_KERNEL_LINEAR, accepts, NULL},
};

const struct heed_node_candidate *heed_linear_candidates(uint32_t *count)
{
    *count = sizeof candidates / sizeof *candidates;
    return candidates;
}

/* ---- steps */

struct lowering {
    struct heed_linear_tile tile;
    struct heed_rows rows;
    uint64_t features, w_stride;
};

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static bool grid(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3])
{
    const struct lowering *lowering = job->user;
    groups[0] = ceil_div(box->length[COLUMN], lowering->tile.columns);
    groups[1] = ceil_div(box->length[ROW], lowering->tile.rows);
    groups[2] = box->length[BATCH];
    return box->length[ROW] < UINT32_MAX / 2;
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct lowering *lowering = job->user;
    return 2.0 * (double)lowering->features * (double)box->length[COLUMN] * (double)box->length[ROW] *
           (double)box->length[BATCH];
}

/* Along an axis that is not stepped along the stride may be anything, also more than 32 bits. */
static uint32_t stride(uint64_t elements, uint64_t length)
{
    return length > 1 ? (uint32_t)elements : 0;
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct lowering *lowering = job->user;
    const struct heed_linear_desc *d = heed_node_desc(job->l->node);
    const struct heed_graph *g = job->l->graph;
    const struct heed_rows *r = &lowering->rows;
    const uint64_t batches = box->length[BATCH], rows = box->length[ROW];
    struct heed_linear_push push = {
        .rows = (uint32_t)rows,
        .features = (uint32_t)lowering->features,
        .columns = (uint32_t)box->length[COLUMN],
        .x_stride_batch = stride(r->of[0].stride_batch, batches),
        .x_stride_row = stride(r->of[0].stride_row, rows),
        .w_stride = (uint32_t)lowering->w_stride,
        .y_stride_batch = stride(r->of[1].stride_batch, batches),
        .y_stride_row = stride(r->of[1].stride_row, rows),
    };
    uint32_t flags = (uint32_t)d->activation | (d->transposed ? HEED_LINEAR_TRANSPOSED : 0);
    const struct heed_tensor *x = job->tensor[HEED_LINEAR_X].tensor, *w = job->tensor[HEED_LINEAR_W].tensor,
                             *bias = job->tensor[HEED_LINEAR_BIAS].tensor,
                             *residual = job->tensor[HEED_LINEAR_RESIDUAL].tensor,
                             *y = job->tensor[HEED_LINEAR_Y].tensor;
    bool vector = heed_tensor_is_vector(g, x) && (w->dtype == HEED_Q8_0 || heed_tensor_is_vector(g, w)) &&
                  heed_tensor_is_vector(g, y) && (!bias || heed_tensor_is_vector(g, bias)) &&
                  (!residual || heed_tensor_is_vector(g, residual));
    if (bias)
        flags |= HEED_LINEAR_HAS_BIAS;
    if (residual) {
        flags |= HEED_LINEAR_HAS_RESIDUAL;
        push.residual_stride_batch = stride(r->of[2].stride_batch, batches);
        push.residual_stride_row = stride(r->of[2].stride_row, rows);
    }
    step->spec_count = HEED_LINEAR_SPEC_COUNT;
    step->spec[HEED_LINEAR_SPEC_FLAGS] = flags;
    step->spec[HEED_LINEAR_SPEC_DTYPES] = (uint32_t)x->dtype | (uint32_t)w->dtype << 4 |
                                          (uint32_t)(residual ? residual : y)->dtype << 8 | (uint32_t)y->dtype << 12;
    step->spec[HEED_LINEAR_SPEC_VECTOR] = vector;
    step->spec[HEED_LINEAR_SPEC_ROWS] = lowering->tile.spec_rows;
    step->spec[HEED_LINEAR_SPEC_COLUMNS] = lowering->tile.spec_columns;
    step->spec[HEED_LINEAR_SPEC_CHUNK] = lowering->tile.spec_chunk;
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

enum heed_status heed_lower_linear(struct heed_node_lowering *l)
{
    enum heed_status status;
    const struct heed_node_candidate *chosen =
        heed_node_select(l, candidates, sizeof candidates / sizeof *candidates, &status);
    if (!chosen)
        return status;
    const struct heed_linear_desc *d = heed_node_desc(l->node);
    const struct heed_tensor *w = heed_node_input(l->graph, l->node, WEIGHT),
                             *y = &l->graph->tensors[l->node->output[0]];
    struct lowering lowering = {
        .tile = tile_of(chosen->kernel, l), .features = features_of(l), .w_stride = w->stride[0]};
    if (!rows_of(l->graph, l->node, y, &lowering.rows))
        return heed_node_fail(l->graph, l->node, "x has no rows of adjacent features");
    const struct heed_rows *r = &lowering.rows;
    struct heed_box_job job = {
        .l = l,
        .kernel = chosen->kernel,
        .group = lowering.tile.group,
        .tensor_count = HEED_LINEAR_BINDINGS,
        .quantum = {1, 1, 4, 0},
        .user = &lowering,
        .grid = grid,
        .flops = flops,
        .describe = describe,
    };
    const uint64_t in = lowering.features > 0 ? lowering.features : 1;
    job.tensor[HEED_LINEAR_X] =
        (struct heed_boxed){heed_node_input(l->graph, l->node, X), {r->of[0].stride_batch, r->of[0].stride_row}, in};
    job.tensor[HEED_LINEAR_W] = d->transposed ? (struct heed_boxed){w, {0, 0, 1}, (in - 1) * w->stride[0] + 1}
                                              : (struct heed_boxed){w, {0, 0, w->stride[0]}, in};
    job.tensor[HEED_LINEAR_BIAS] = (struct heed_boxed){heed_node_input(l->graph, l->node, BIAS), {0, 0, 1}, 1};
    job.tensor[HEED_LINEAR_RESIDUAL] = (struct heed_boxed){
        heed_node_input(l->graph, l->node, RESIDUAL), {r->of[2].stride_batch, r->of[2].stride_row, 1}, 1};
    job.tensor[HEED_LINEAR_Y] = (struct heed_boxed){y, {r->of[1].stride_batch, r->of[1].stride_row, 1}, 1};
    const struct heed_box box = {.length = {r->batches, r->rows, r->of[1].features, 1}};
    return heed_box_lower(&job, &box);
}
