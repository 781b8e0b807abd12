/* SPDX-License-Identifier: MIT
 * heed_conv: a convolution as the product of linear's kernels, one for each group, or directly where groups are small.
 */
#include "op_linear.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { X, WEIGHT, BIAS, RESIDUAL };
enum { LINE, ROW, COLUMN };                /* axes of the box: lines of all images, positions in a line, channels */
enum { IMAGE, IMAGE_Y, IMAGE_X, CHANNEL }; /* axes of x and y, however many of them are there */

struct axis {
    uint64_t kernel, stride, padding, dilation, in, out;
};
struct problem {
    struct axis y, x;
    uint64_t images, groups, in, out; /* channels of a group */
    uint64_t x_stride[4];
};

heed_value heed_conv(heed_pipeline *pipeline, heed_value x, heed_value weight, const struct heed_conv_desc *desc)
{
    const bool good = desc && desc->struct_size == sizeof *desc;
    const heed_value none = {0};
    return heed_pipeline_add(
        pipeline, &(struct heed_node_init){.kind = HEED_NODE_CONV,
                                           .input = {x, weight, good ? desc->bias : none, good ? desc->residual : none},
                                           .desc = desc,
                                           .desc_bytes = sizeof *desc,
                                           .kernel = good ? desc->kernel : NULL});
}

/* Where axis `which` (IMAGE..) of an image is in a tensor with `spatial` axes of positions; UINT32_MAX: nowhere. */
static uint32_t axis_of(const struct heed_tensor *t, uint32_t spatial, uint32_t which)
{
    const uint32_t missing = which == IMAGE ? t->axes == spatial + 1 : which == IMAGE_Y && spatial == 1;
    if (missing)
        return UINT32_MAX;
    return which == IMAGE ? 0 : t->axes - 4 + which;
}

static uint64_t or_one(uint32_t said)
{
    return said > 0 ? said : 1;
}

static struct problem problem_of(const struct heed_graph *g, const struct heed_node *n)
{
    const struct heed_conv_desc *d = heed_node_desc(n);
    const struct heed_tensor *x = heed_node_input(g, n, X), *w = heed_node_input(g, n, WEIGHT);
    const uint32_t spatial = w->axes - 2;
    struct problem p = {.y = {.kernel = 1, .stride = 1, .dilation = 1}, .groups = or_one(d->groups)};
    struct axis *axes[] = {&p.y, &p.x};
    uint64_t length[4];
    for (uint32_t a = 0; a < 4; a++) {
        const uint32_t at = axis_of(x, spatial, a);
        length[a] = at == UINT32_MAX ? 1 : x->length[at];
        p.x_stride[a] = at == UINT32_MAX || length[a] < 2 ? 0 : x->stride[at];
    }
    for (uint32_t i = 0; i < spatial; i++)
        *axes[i + 2 - spatial] = (struct axis){.kernel = w->length[2 + i],
                                               .stride = or_one(d->stride[i]),
                                               .padding = d->padding[i],
                                               .dilation = or_one(d->dilation[i])};
    for (uint32_t i = 0; i < 2; i++) {
        struct axis *a = axes[i];
        a->in = length[IMAGE_Y + i];
        const uint64_t reach = a->dilation * (a->kernel - 1) + 1, padded = a->in + 2 * a->padding;
        a->out = padded < reach ? 0 : (padded - reach) / a->stride + 1;
    }
    p.images = length[IMAGE];
    p.in = w->length[1];
    p.out = w->length[0] / p.groups;
    return p;
}

static enum heed_status check_axis(const struct heed_graph *g, const struct heed_node *n, const struct axis *a)
{
    const uint64_t most = 1 << 24; /* so that positions, padding and all, are of 32 bits */
    if (a->kernel == 0 || a->kernel > most || a->stride > most || a->dilation > most || a->padding > most ||
        a->dilation * a->kernel > INT32_MAX / 4 || a->in > INT32_MAX / 4)
        return heed_node_fail(
            g, n,
            "kernel %" PRIu64 ", stride %" PRIu64 ", dilation %" PRIu64 ", padding %" PRIu64
            ": each is at most 2^24, the kernel at least 1, and kernel times dilation, and the %" PRIu64
            " positions of x, below 2^29",
            a->kernel, a->stride, a->dilation, a->padding, a->in);
    if (a->in == 0)
        return heed_node_fail(g, n, "x has no positions along an axis");
    if (a->out == 0)
        return heed_node_fail(g, n,
                              "%" PRIu64 " positions with padding %" PRIu64 " on both sides are fewer than the %" PRIu64
                              " that kernel %" PRIu64 " with dilation %" PRIu64 " spans",
                              a->in, a->padding, a->dilation * (a->kernel - 1) + 1, a->kernel, a->dilation);
    return HEED_OK;
}

enum heed_status heed_infer_conv(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_conv_desc *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, X, "x");
    if (status == HEED_OK)
        status = heed_node_expect_float(g, n, WEIGHT, "weight");
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
    if (w->axes < 3 || !heed_tensor_is_packed(w) || heed_tensor_count(w) == 0)
        return heed_node_fail(g, n, "weight %s is not packed [out][in][x] or [out][in][y][x] of at least 1 each",
                              heed_tensor_text(w).text);
    const uint32_t spatial = w->axes - 2;
    if (x->axes != spatial + 1 && x->axes != spatial + 2)
        return heed_node_fail(g, n, "x %s has not %u or %u axes, as weight %s asks for", heed_tensor_text(x).text,
                              spatial + 1, spatial + 2, heed_tensor_text(w).text);
    if (spatial == 1 && (d->stride[1] || d->padding[1] || d->dilation[1]))
        return heed_node_fail(g, n, "stride %u, padding %u or dilation %u along a second axis, and weight %s has one",
                              d->stride[1], d->padding[1], d->dilation[1], heed_tensor_text(w).text);
    const uint64_t groups = or_one(d->groups), channels = x->length[x->axes - 1];
    if (w->length[1] * groups != channels || w->length[0] % groups != 0)
        return heed_node_fail(
            g, n, "weight %s with %" PRIu64 " groups is not [multiple of groups][channels / groups] for x %s",
            heed_tensor_text(w).text, groups, heed_tensor_text(x).text);
    const struct problem p = problem_of(g, n);
    status = check_axis(g, n, &p.y);
    if (status == HEED_OK)
        status = check_axis(g, n, &p.x);
    if (status == HEED_OK)
        status = heed_node_expect(g, n, BIAS, "bias", HEED_F32, 1, &w->length[0]);
    if (status != HEED_OK)
        return status;
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, x->length, sizeof length);
    if (spatial == 2)
        length[x->axes - 3] = p.y.out;
    length[x->axes - 2] = p.x.out;
    length[x->axes - 1] = w->length[0];
    if (residual)
        status = heed_node_expect(g, n, RESIDUAL, "residual", residual->dtype, x->axes, length);
    if (status == HEED_OK)
        status = heed_node_output(g, n, 0, d->dtype, x->axes, length);
    n->flops = 2 * heed_tensor_count(&g->tensors[n->output[0]]) * p.in * p.y.kernel * p.x.kernel;
    return status;
}

/* ---- kernels */

enum { MOST_GROUPS = 64 };

static struct heed_linear_tile tile_of(enum heed_kernel kernel, const heed_device *device, const struct problem *p)
{
    switch (kernel) {
    case HEED_KERNEL_CONV_ROWS:
        return heed_linear_rows_tile(device);
    case HEED_KERNEL_CONV_LANES:
        return heed_linear_lanes_tile(device, p->out);
    case HEED_KERNEL_CONV_DIRECT:
        return (struct heed_linear_tile){64, 4, 4, 4, 4, 4, 0};
    default:
        return heed_linear_plain_tile(device);
    }
}

static bool accepts(const struct heed_node_candidate *self, const struct heed_node_lowering *l, char *why, size_t size)
{
    const struct heed_limits *limits = &l->plan->device->info.limits;
    const struct problem p = problem_of(l->graph, l->node);
    const struct heed_linear_tile t = tile_of(self->kernel, l->plan->device, &p);
    if (self->kernel != HEED_KERNEL_CONV_DIRECT && p.groups > MOST_GROUPS)
        snprintf(why, size, "%" PRIu64 " groups, each a dispatch, are more than %d", p.groups, MOST_GROUPS);
    else if (t.group > limits->max_group_size)
        snprintf(why, size, "%u invocations of a group are more than %u", t.group, limits->max_group_size);
    else if (t.shared_bytes > limits->max_shared_bytes)
        snprintf(why, size, "%u bytes of shared memory are more than %u", t.shared_bytes, limits->max_shared_bytes);
    else if (limits->max_storage_buffers < HEED_LINEAR_BINDINGS)
        snprintf(why, size, "%d storage buffers are more than %u", HEED_LINEAR_BINDINGS, limits->max_storage_buffers);
    else
        return self->kernel != HEED_KERNEL_CONV_ROWS || heed_node_accepts_rows(l->plan->device, why, size);
    return false;
}

static bool prefers_direct(const struct heed_node_candidate *self, const struct heed_node_lowering *l)
{
    (void)self;
    const struct problem p = problem_of(l->graph, l->node);
    return p.groups > 1 && (p.out < 16 || p.in < 8);
}

static const struct heed_node_candidate candidates[] = {
    {"conv__direct", HEED_KERNEL_CONV_DIRECT, accepts, prefers_direct},
    {"conv__rows", HEED_KERNEL_CONV_ROWS, accepts, heed_node_prefers_cpu},
    {"conv__lanes", HEED_KERNEL_CONV_LANES, accepts, heed_node_prefers_cpu},
    {"conv__plain_32x32", HEED_KERNEL_CONV, accepts, NULL},
};

const struct heed_node_candidate *heed_conv_candidates(uint32_t *count)
{
    *count = sizeof candidates / sizeof *candidates;
    return candidates;
}

/* ---- steps */

struct lowering {
    struct problem problem; /* of one group, or of all where the kernel takes all */
    struct heed_linear_tile tile;
    uint64_t group_out;
    bool direct;
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
    groups[2] = box->length[LINE];
    if (!lowering->direct)
        return box->length[ROW] < UINT32_MAX / 2;
    const uint64_t invocations = groups[0] * groups[1];
    groups[0] = ceil_div(invocations, lowering->tile.group);
    groups[1] = 1;
    return invocations < UINT32_MAX / 2;
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct problem *p = &((const struct lowering *)job->user)->problem;
    return 2.0 * (double)(p->in * p->y.kernel * p->x.kernel) * (double)box->length[COLUMN] * (double)box->length[ROW] *
           (double)box->length[LINE];
}

static bool is_vector(const struct heed_graph *g, const struct heed_tensor *t, uint64_t channels)
{
    return !t || (channels % 4 == 0 && t->stride[t->axes - 1] == 1 && heed_tensor_is_vector(g, t));
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct lowering *lowering = job->user;
    const struct problem *p = &lowering->problem;
    const struct heed_conv_desc *d = heed_node_desc(job->l->node);
    const struct heed_graph *g = job->l->graph;
    const struct heed_tensor *x = job->tensor[HEED_LINEAR_X].tensor, *w = job->tensor[HEED_LINEAR_W].tensor,
                             *bias = job->tensor[HEED_LINEAR_BIAS].tensor,
                             *residual = job->tensor[HEED_LINEAR_RESIDUAL].tensor,
                             *y = job->tensor[HEED_LINEAR_Y].tensor;
    const uint64_t taps = p->y.kernel * p->x.kernel, *stride = job->tensor[HEED_LINEAR_Y].stride;
    const uint64_t padded =
        lowering->direct ? p->in : ceil_div(p->in, lowering->tile.spec_chunk) * lowering->tile.spec_chunk;
    const struct heed_conv_push push = {
        .rows = (uint32_t)box->length[ROW],
        .features = (uint32_t)(taps * padded),
        .columns = (uint32_t)box->length[COLUMN],
        .channels = (uint32_t)p->in,
        .column0 = (uint32_t)box->first[COLUMN],
        .line0 = (uint32_t)box->first[LINE],
        .lines_y = (uint32_t)p->y.out,
        .x_stride_image = (uint32_t)p->x_stride[IMAGE],
        .x_stride_y = (uint32_t)p->x_stride[IMAGE_Y],
        .x_stride_x = (uint32_t)p->x_stride[IMAGE_X],
        .x_stride_channel = (uint32_t)p->x_stride[CHANNEL],
        .length_y = (uint32_t)p->y.in,
        .length_x = (uint32_t)p->x.in,
        .stride_y = (uint32_t)p->y.stride,
        .stride_x = (uint32_t)p->x.stride,
        .dilation_y = (uint32_t)p->y.dilation,
        .dilation_x = (uint32_t)p->x.dilation,
        .padding_y = (uint32_t)p->y.padding,
        .origin_x = (int32_t)((int64_t)(box->first[ROW] * p->x.stride) - (int64_t)p->x.padding),
        .residual_stride_batch = (uint32_t)stride[LINE],
        .residual_stride_row = (uint32_t)stride[ROW],
        .y_stride_batch = (uint32_t)stride[LINE],
        .y_stride_row = (uint32_t)stride[ROW],
    };
    uint32_t flags =
        (uint32_t)d->activation | (bias ? HEED_LINEAR_HAS_BIAS : 0) | (residual ? HEED_LINEAR_HAS_RESIDUAL : 0);
    /* conv_direct loads four neighbours only where they are of four groups; else each channel by itself. */
    const bool strided = p->x_stride[CHANNEL] > 1, single = strided || (lowering->direct && p->in > 1);
    const uint64_t out = lowering->direct ? p->out * p->groups : p->out;
    if (strided)
        flags |= HEED_CONV_STRIDED;
    step->spec_count = HEED_CONV_SPEC_COUNT;
    step->spec[HEED_LINEAR_SPEC_FLAGS] = flags;
    step->spec[HEED_LINEAR_SPEC_DTYPES] = (uint32_t)x->dtype | (uint32_t)w->dtype << 4 |
                                          (uint32_t)(residual ? residual : y)->dtype << 8 | (uint32_t)y->dtype << 12;
    step->spec[HEED_LINEAR_SPEC_VECTOR] = (single || is_vector(g, x, lowering->direct ? p->in * p->groups : p->in)) &&
                                          is_vector(g, y, out) && (!bias || heed_tensor_alignment(g, bias) == 16) &&
                                          is_vector(g, residual, out);
    step->spec[HEED_LINEAR_SPEC_ROWS] = lowering->tile.spec_rows;
    step->spec[HEED_LINEAR_SPEC_COLUMNS] = lowering->tile.spec_columns;
    step->spec[HEED_LINEAR_SPEC_CHUNK] = lowering->tile.spec_chunk;
    step->spec[HEED_CONV_SPEC_PADDED] = (uint32_t)padded;
    step->spec[HEED_CONV_SPEC_KERNEL_X] = (uint32_t)p->x.kernel;
    step->spec[HEED_CONV_SPEC_TAPS] = (uint32_t)taps;
    step->spec[HEED_CONV_SPEC_GROUP_OUT] = (uint32_t)lowering->group_out;
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

/* 1 x 1 with nothing between the lines: all lines of an image are one. */
static void join_lines(struct problem *p)
{
    const struct axis *y = &p->y, *x = &p->x;
    if (y->kernel * x->kernel == 1 && y->stride * x->stride == 1 && y->padding + x->padding == 0 && y->in > 1 &&
        (x->in == 1 || p->x_stride[IMAGE_Y] == x->in * p->x_stride[IMAGE_X])) {
        if (x->in == 1)
            p->x_stride[IMAGE_X] = p->x_stride[IMAGE_Y];
        p->x.in = p->x.out = y->in * x->in;
        p->y.in = p->y.out = 1;
    }
}

/* `images` from `image` on, channels of y from `column` on. */
static enum heed_status lower_part(struct heed_node_lowering *l, const struct lowering *lowering,
                                   const struct heed_node_candidate *chosen, uint64_t image, uint64_t images,
                                   uint64_t column, uint64_t columns)
{
    const struct problem *p = &lowering->problem;
    const struct heed_tensor *w = heed_node_input(l->graph, l->node, WEIGHT),
                             *bias = heed_node_input(l->graph, l->node, BIAS),
                             *residual = heed_node_input(l->graph, l->node, RESIDUAL);
    struct heed_tensor parts[HEED_LINEAR_BINDINGS];
    parts[HEED_LINEAR_X] = *heed_node_input(l->graph, l->node, X);
    parts[HEED_LINEAR_W] = *w;
    parts[HEED_LINEAR_Y] = l->graph->tensors[l->node->output[0]];
    parts[HEED_LINEAR_X].offset +=
        image * p->x_stride[IMAGE] + column / lowering->group_out * p->in * p->x_stride[CHANNEL];
    parts[HEED_LINEAR_W].offset += column * w->stride[0];
    const uint64_t channels = w->length[0], of_line = p->x.out * channels, first = image * p->y.out * of_line + column;
    parts[HEED_LINEAR_Y].offset += first;
    if (bias) {
        parts[HEED_LINEAR_BIAS] = *bias;
        parts[HEED_LINEAR_BIAS].offset += column;
    }
    if (residual) {
        parts[HEED_LINEAR_RESIDUAL] = *residual;
        parts[HEED_LINEAR_RESIDUAL].offset += first;
    }
    struct heed_box_job job = {
        .l = l,
        .kernel = chosen->kernel,
        .group = lowering->tile.group,
        .tensor_count = HEED_LINEAR_BINDINGS,
        .quantum = {1, lowering->tile.rows, lowering->tile.columns, 0},
        .user = lowering,
        .grid = grid,
        .flops = flops,
        .describe = describe,
    };
    const uint64_t in = lowering->direct ? p->in * p->groups : p->in;
    job.tensor[HEED_LINEAR_X] = (struct heed_boxed){
        &parts[HEED_LINEAR_X],
        {0},
        (images - 1) * p->x_stride[IMAGE] + (p->y.in > 0 ? p->y.in - 1 : 0) * p->x_stride[IMAGE_Y] +
            (p->x.in > 0 ? p->x.in - 1 : 0) * p->x_stride[IMAGE_X] + (in - 1) * p->x_stride[CHANNEL] + 1};
    job.tensor[HEED_LINEAR_W] = (struct heed_boxed){&parts[HEED_LINEAR_W], {0, 0, w->stride[0]}, w->stride[0]};
    if (bias)
        job.tensor[HEED_LINEAR_BIAS] = (struct heed_boxed){&parts[HEED_LINEAR_BIAS], {0, 0, 1}, 1};
    if (residual)
        job.tensor[HEED_LINEAR_RESIDUAL] = (struct heed_boxed){&parts[HEED_LINEAR_RESIDUAL], {of_line, channels, 1}, 1};
    job.tensor[HEED_LINEAR_Y] = (struct heed_boxed){&parts[HEED_LINEAR_Y], {of_line, channels, 1}, 1};
    const struct heed_box box = {.length = {images * p->y.out, p->x.out, columns, 1}};
    return heed_box_lower(&job, &box);
}

enum heed_status heed_lower_conv(struct heed_node_lowering *l)
{
    enum heed_status status;
    const struct heed_node_candidate *chosen =
        heed_node_select(l, candidates, sizeof candidates / sizeof *candidates, &status);
    if (!chosen)
        return status;
    struct lowering lowering = {.problem = problem_of(l->graph, l->node),
                                .direct = chosen->kernel == HEED_KERNEL_CONV_DIRECT};
    struct problem *p = &lowering.problem;
    lowering.group_out = p->out;
    if (p->images == 0)
        return HEED_OK;
    join_lines(p);
    lowering.tile = tile_of(chosen->kernel, l->plan->device, p);
    /* x is bound whole, image by image where that is too much. */
    const uint64_t all = 4 * p->images * p->x_stride[IMAGE];
    const uint64_t images = all > l->plan->device->info.limits.max_storage_range / 2 ? 1 : p->images;
    const uint64_t columns = lowering.direct ? p->out * p->groups : p->out;
    for (uint64_t image = 0; status == HEED_OK && image < p->images; image += images)
        for (uint64_t column = 0; status == HEED_OK && column < p->out * p->groups; column += columns)
            status = lower_part(l, &lowering, chosen, image, images, column, columns);
    return status;
}
