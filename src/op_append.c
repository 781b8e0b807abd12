/* SPDX-License-Identifier: MIT
 * heed_append: rows into a state, in place, where the device is told. */
#include "pipeline_ops.h"

#include <string.h>

enum { STATE, X, AT };
enum { GROUP = HEED_QUADS_OF_GROUP };

heed_value heed_append(heed_pipeline *pipeline, heed_value state, heed_value x, heed_value at)
{
    return heed_pipeline_add(
        pipeline,
        &(struct heed_node_init){.kind = HEED_NODE_APPEND, .input = {state, x, at}, .desc_bytes = sizeof(size_t)});
}

enum heed_status heed_infer_append(struct heed_graph *g, struct heed_node *n)
{
    enum heed_status status = heed_node_expect_float(g, n, STATE, "state");
    if (status == HEED_OK)
        status = heed_node_expect_float(g, n, X, "x");
    if (status != HEED_OK)
        return status;
    const struct heed_tensor *state = heed_node_input(g, n, STATE), *x = heed_node_input(g, n, X);
    const struct heed_storage *storage = &g->storages[state->storage];
    const uint64_t one = 1;
    if (storage->arg == UINT32_MAX || !storage->input || !storage->output)
        return heed_node_fail(g, n, "%s is no heed_pipeline_state", heed_tensor_text(state).text);
    bool fits = state->axes == x->axes && state->axes >= 3 && x->length[1] <= state->length[1];
    for (uint32_t a = 0; fits && a < state->axes; a++)
        fits = a == 1 || x->length[a] == state->length[a];
    if (!fits)
        return heed_node_fail(g, n,
                              "x %s has not the axes of the state %s, 3 or 4, with at most as many rows on the second",
                              heed_tensor_text(x).text, heed_tensor_text(state).text);
    uint32_t last = x->axes - 1;
    if (x->length[last] > 1 && (x->stride[last] != 1 || state->stride[last] != 1) && last > 1)
        return heed_node_fail(g, n, "the features of x %s or of the state are not adjacent", heed_tensor_text(x).text);
    status = heed_node_expect(g, n, AT, "at", HEED_I32, 1, &one);
    n->flops = 0;
    return status == HEED_OK ? heed_node_view(g, n, 0, STATE, state) : status;
}

/* The tensors with four axes, [batch][row][...][feature]: ones go in behind the rows. */
static struct heed_boxed boxed(const struct heed_tensor *t, uint64_t length[HEED_MAX_AXES])
{
    struct heed_boxed b = {.tensor = t, .inner = 1};
    for (uint32_t a = 0; a < HEED_MAX_AXES; a++)
        length[a] = 1;
    for (uint32_t a = 0; a < t->axes; a++) {
        uint32_t to = a < 2 ? a : a + HEED_MAX_AXES - t->axes;
        length[to] = t->length[a];
        b.stride[to] = t->stride[a];
    }
    return b;
}

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    (void)job;
    return 4.0 * (double)box->length[0] * (double)box->length[1] * (double)box->length[2] * (double)box->length[3];
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct heed_boxed *x = &job->tensor[HEED_APPEND_X], *state = &job->tensor[HEED_APPEND_STATE];
    const uint64_t *length = job->user;
    struct heed_append_push push = {.most = (uint32_t)(length[1] - box->length[1])};
    for (uint32_t a = 0; a < 4; a++)
        push.lengths[a] = (uint32_t)box->length[a];
    for (uint32_t a = 0; a < 3; a++) {
        push.x_strides[a] = box->length[a] > 1 ? (uint32_t)x->stride[a] : 0;
        push.state_strides[a] = a == 1 || box->length[a] > 1 ? (uint32_t)state->stride[a] : 0;
    }
    step->spec_count = HEED_APPEND_SPEC_COUNT;
    step->spec[HEED_APPEND_SPEC_FLAGS] = job->tensor[HEED_APPEND_AT].tensor ? HEED_APPEND_HAS_AT : 0;
    step->spec[HEED_APPEND_SPEC_DTYPES] = (uint32_t)x->tensor->dtype | (uint32_t)state->tensor->dtype << 4;
    step->spec[HEED_APPEND_SPEC_VECTOR] =
        heed_tensor_is_vector(job->l->graph, x->tensor) && heed_tensor_is_vector(job->l->graph, state->tensor);
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

enum heed_status heed_lower_append(struct heed_node_lowering *l)
{
    uint64_t state_length[HEED_MAX_AXES];
    struct heed_box box = {.first = {0}};
    struct heed_box_job job = {
        .l = l,
        .kernel = HEED_KERNEL_APPEND,
        .group = GROUP,
        .tensor_count = HEED_APPEND_BINDINGS,
        .quantum = {1, 0, 0, 0},
        .user = state_length,
        .grid = heed_box_grid_quads,
        .flops = flops,
        .describe = describe,
    };
    job.tensor[HEED_APPEND_X] = boxed(heed_node_input(l->graph, l->node, X), box.length);
    job.tensor[HEED_APPEND_STATE] = boxed(heed_node_input(l->graph, l->node, STATE), state_length);
    job.tensor[HEED_APPEND_AT] = (struct heed_boxed){heed_node_input(l->graph, l->node, AT), {0}, 1};
    /* Which rows are written only the device knows: all of them are bound. */
    struct heed_boxed *state = &job.tensor[HEED_APPEND_STATE];
    for (uint32_t a = 1; a < HEED_MAX_AXES; a++)
        state->inner += (state_length[a] - box.length[a]) * state->stride[a];
    return heed_box_lower(&job, &box);
}
