/* SPDX-License-Identifier: MIT
 * heed_combine: elementwise ops, gates and copies. */
#include "pipeline_ops.h"
#include "rate.h"

#include <math.h>
#include <string.h>

enum { INPUT_A, INPUT_B };
enum { GROUP = HEED_QUADS_OF_GROUP };

heed_value heed_combine(heed_pipeline *pipeline, heed_value a, heed_value b, const struct heed_combine_desc *desc)
{
    return heed_pipeline_add(
        pipeline,
        &(struct heed_node_init){.kind = HEED_NODE_COMBINE, .input = {a, b}, .desc = desc, .desc_bytes = sizeof *desc});
}

/* Axes matched from the last one; false: neither equal nor 1. */
static bool broadcast(const struct heed_tensor *a, const struct heed_tensor *b, uint32_t *axes, uint64_t *length)
{
    *axes = a->axes > b->axes ? a->axes : b->axes;
    for (uint32_t i = 0; i < *axes; i++) {
        uint64_t x = i + a->axes < *axes ? 1 : a->length[i + a->axes - *axes];
        uint64_t y = i + b->axes < *axes ? 1 : b->length[i + b->axes - *axes];
        if (x != y && x != 1 && y != 1)
            return false;
        length[i] = x == 1 ? y : x;
    }
    return true;
}

enum heed_status heed_infer_combine(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_combine_desc *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, INPUT_A, "a");
    if (status == HEED_OK && n->input[INPUT_B])
        status = heed_node_expect_float(g, n, INPUT_B, "b");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->dtype);
    if (status != HEED_OK)
        return status;
    if ((unsigned)d->activation > HEED_TANH || (unsigned)d->combination > HEED_MULTIPLY || !isfinite(d->scale))
        return heed_node_fail(g, n, "activation %d, combination %d or scale %g is not one there is", (int)d->activation,
                              (int)d->combination, (double)d->scale);
    const struct heed_tensor *a = heed_node_input(g, n, INPUT_A), *b = heed_node_input(g, n, INPUT_B);
    uint32_t axes;
    uint64_t length[HEED_MAX_AXES];
    if (!broadcast(a, b ? b : a, &axes, length))
        return heed_node_fail(g, n, "%s and %s differ in an axis that is 1 in neither", heed_tensor_text(a).text,
                              heed_tensor_text(b).text);
    status = heed_node_output(g, n, 0, d->dtype, axes, length);
    n->flops = (b ? 2 : 1) * heed_tensor_count(&g->tensors[n->output[0]]);
    return status;
}

static void strides_of(const struct heed_boxed *t, const struct heed_box *box, uint32_t *strides, uint32_t count)
{
    for (uint32_t a = 0; a < count; a++)
        strides[a] = box->length[a] > 1 ? (uint32_t)t->stride[a] : 0;
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    (void)job;
    return 16.0 * (double)box->length[0] * (double)box->length[1] * (double)box->length[2] * (double)box->length[3];
}

static bool is_strided(const struct heed_boxed *t, const struct heed_box *box)
{
    return box->length[3] > 1 && t->stride[3] != 1;
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct heed_graph *g = job->l->graph;
    const struct heed_combine_desc *d = job->user;
    const struct heed_boxed *a = &job->tensor[HEED_COMBINE_A], *b = &job->tensor[HEED_COMBINE_B],
                            *o = &job->tensor[HEED_COMBINE_O];
    struct heed_combine_push push = {
        .lengths = {(uint32_t)box->length[1], (uint32_t)box->length[2], (uint32_t)box->length[3]},
        .scale = d->scale == 0.0f ? 1.0f : d->scale,
    };
    uint32_t flags = (uint32_t)d->activation | (is_strided(a, box) ? HEED_COMBINE_STRIDED_A : 0);
    bool vector = heed_tensor_is_vector(g, o->tensor) && (is_strided(a, box) || heed_tensor_is_vector(g, a->tensor));
    strides_of(a, box, push.a_strides, 4);
    strides_of(o, box, push.o_strides, 3);
    if (b->tensor) {
        strides_of(b, box, push.b_strides, 4);
        flags |= d->combination == HEED_ADD ? HEED_COMBINE_ADD : HEED_COMBINE_MULTIPLY;
        flags |= is_strided(b, box) ? HEED_COMBINE_STRIDED_B : 0;
        vector = vector && (is_strided(b, box) || heed_tensor_is_vector(g, b->tensor));
    }
    step->spec_count = HEED_COMBINE_SPEC_COUNT;
    step->spec[HEED_COMBINE_SPEC_FLAGS] = flags;
    step->spec[HEED_COMBINE_SPEC_DTYPES] = (uint32_t)a->tensor->dtype |
                                           (uint32_t)(b->tensor ? b : a)->tensor->dtype << 4 |
                                           (uint32_t)o->tensor->dtype << 8;
    step->spec[HEED_COMBINE_SPEC_VECTOR] = vector;
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

static enum heed_status lower(struct heed_node_lowering *l, const struct heed_combine_desc *desc,
                              const struct heed_tensor *a, const struct heed_tensor *b, const struct heed_tensor *o)
{
    struct heed_box_job job = {
        .l = l,
        .kernel = HEED_KERNEL_COMBINE,
        .group = GROUP,
        .tensor_count = HEED_COMBINE_BINDINGS,
        .quantum = {1, 1, 1, 4},
        .user = desc,
        .grid = heed_box_grid_quads,
        .flops = flops,
        .describe = describe,
    };
    struct heed_box box = {.length = {1, 1, 1, 1}};
    for (uint32_t axis = 0, shift = HEED_MAX_AXES - o->axes; axis < o->axes; axis++)
        box.length[axis + shift] = o->length[axis];
    job.tensor[HEED_COMBINE_A] = heed_box_tensor(a);
    job.tensor[HEED_COMBINE_B] = heed_box_tensor(b);
    job.tensor[HEED_COMBINE_O] = heed_box_tensor(o);
    return heed_box_lower(&job, &box);
}

enum heed_status heed_lower_combine(struct heed_node_lowering *l)
{
    return lower(l, heed_node_desc(l->node), heed_node_input(l->graph, l->node, INPUT_A),
                 heed_node_input(l->graph, l->node, INPUT_B), &l->graph->tensors[l->node->output[0]]);
}

enum heed_status heed_lower_copy(struct heed_node_lowering *l, const struct heed_tensor *from,
                                 const struct heed_tensor *to)
{
    const struct heed_combine_desc copy = {.struct_size = sizeof copy};
    return lower(l, &copy, from, NULL, to);
}
