/* SPDX-License-Identifier: MIT
 * heed_top_k and heed_arg_max: the largest elements of rows, and where they are. */
#include "op_layers.h"
#include "op_points.h"

#include <string.h>

enum { INDICES, VALUES }; /* outputs */
enum { GROUP = 128, GROUP_CPU = 8 };

heed_value heed_top_k(heed_pipeline *pipeline, heed_value x, uint32_t k, const struct heed_top_k_desc *desc)
{
    struct heed_top_k_call top = {.struct_size = sizeof top, .k = k};
    struct heed_node_init init = {.kind = HEED_NODE_TOP_K, .input = {x}, .desc = &top, .desc_bytes = sizeof top};
    if (desc && desc->struct_size == sizeof *desc) {
        top.values = desc->values != NULL;
        top.dtype = desc->dtype;
        init.output[VALUES] = desc->values;
    } else if (desc) { /* which heed_pipeline_add refuses */
        init.desc = desc;
        init.desc_bytes = sizeof *desc;
    }
    return heed_pipeline_add(pipeline, &init);
}

heed_value heed_arg_max(heed_pipeline *pipeline, heed_value x)
{
    return heed_top_k(pipeline, x, 1, NULL);
}

enum heed_status heed_infer_top_k(struct heed_graph *g, struct heed_node *n)
{
    const struct heed_top_k_call *d = heed_node_desc(n);
    enum heed_status status = heed_node_expect_float(g, n, 0, "x");
    if (status == HEED_OK)
        status = heed_node_expect_output(g, n, d->dtype);
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *x = heed_node_input(g, n, 0);
    const uint64_t k = heed_graph_length(g, d->k);
    if (k > x->length[x->axes - 1])
        return heed_node_fail(g, n, "the %u largest are more than there are in a row of x %s", (unsigned)k,
                              heed_tensor_text(x).text);
    uint64_t length[HEED_MAX_AXES];
    memcpy(length, x->length, sizeof length);
    length[x->axes - 1] = k;
    status = heed_node_output(g, n, INDICES, HEED_I32, x->axes, length);
    if (status == HEED_OK && d->values)
        status = heed_node_output(g, n, VALUES, d->dtype, x->axes, length);
    n->flops = k * heed_tensor_count(x);
    return status;
}

static bool grid(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3])
{
    (void)job;
    for (uint32_t a = 0; a < 3; a++)
        groups[2 - a] = box->length[a];
    return true;
}

/* The number of elements that a row has, and of those that are wanted. */
static void row_of(const struct heed_node_lowering *l, uint64_t *length, uint64_t *k)
{
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, 0),
                             *o = &l->graph->tensors[l->node->output[INDICES]];
    *length = x->length[x->axes - 1];
    *k = o->length[o->axes - 1];
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    uint64_t length, k;
    row_of(job->l, &length, &k);
    return 8.0 * (double)length * (double)k * (double)box->length[0] * (double)box->length[1] * (double)box->length[2];
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct heed_tensor *x = job->tensor[HEED_TOP_K_X].tensor, *values = job->tensor[HEED_TOP_K_VALUES].tensor;
    const struct heed_boxed *from = &job->tensor[HEED_TOP_K_X], *to = &job->tensor[HEED_TOP_K_INDICES];
    uint64_t length, k;
    row_of(job->l, &length, &k);
    struct heed_points_push push = {.own = {(uint32_t)length, (uint32_t)k}};
    for (uint32_t a = 0; a < 3; a++) {
        push.x_strides[a] = box->length[a] > 1 ? (uint32_t)from->stride[a] : 0;
        push.o_strides[a] = box->length[a] > 1 ? (uint32_t)to->stride[a] : 0;
    }
    push.x_strides[3] = length > 1 ? (uint32_t)x->stride[x->axes - 1] : 0;
    const bool has_values = values->dtype != HEED_I32;
    step->spec_count = HEED_POINTS_SPEC_COUNT;
    step->spec[HEED_POINTS_SPEC_FLAGS] = has_values ? HEED_TOP_K_HAS_VALUES : 0;
    step->spec[HEED_POINTS_SPEC_DTYPES] = (uint32_t)x->dtype | (uint32_t)(has_values ? values->dtype : HEED_F32) << 4;
    step->spec[HEED_POINTS_SPEC_VECTOR] = false;
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

enum heed_status heed_lower_top_k(struct heed_node_lowering *l)
{
    const struct heed_tensor *x = heed_node_input(l->graph, l->node, 0),
                             *indices = &l->graph->tensors[l->node->output[INDICES]];
    uint64_t length, k;
    row_of(l, &length, &k);
    struct heed_box_job job = {
        .l = l,
        .kernel = HEED_KERNEL_TOP_K,
        .group = l->plan->device->info.type == HEED_DEVICE_CPU ? GROUP_CPU : GROUP,
        .together = true,
        .tensor_count = HEED_TOP_K_BINDINGS,
        .quantum = {1, 1, 1, 0},
        .grid = grid,
        .flops = flops,
        .describe = describe,
    };
    struct heed_box box = {.length = {1, 1, 1, k > 0}};
    for (uint32_t a = 0; a + 1 < x->axes; a++)
        box.length[a + HEED_MAX_AXES - x->axes] = x->length[a];
    job.tensor[HEED_TOP_K_X] = heed_box_tensor(x);
    job.tensor[HEED_TOP_K_X].inner = length > 0 ? (length - 1) * x->stride[x->axes - 1] + 1 : 0;
    job.tensor[HEED_TOP_K_INDICES] = heed_box_tensor(indices);
    job.tensor[HEED_TOP_K_INDICES].inner = k;
    job.tensor[HEED_TOP_K_VALUES] = job.tensor[HEED_TOP_K_INDICES];
    if (l->node->output[VALUES])
        job.tensor[HEED_TOP_K_VALUES].tensor = &l->graph->tensors[l->node->output[VALUES]];
    return heed_box_lower(&job, &box);
}
