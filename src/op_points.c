/* SPDX-License-Identifier: MIT
 * The steps of ops whose invocations make 4 features each. */
#include "op_points.h"

#include <string.h>

enum { GROUP = HEED_QUADS_OF_GROUP };

static double flops(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct heed_points *points = job->user;
    return points->flops * (double)((box->length[3] + 3) / 4) * (double)box->length[0] * (double)box->length[1] *
           (double)box->length[2];
}

static void describe(const struct heed_box_job *job, const struct heed_box *box, struct heed_step *step)
{
    const struct heed_points *points = job->user;
    const struct heed_boxed *o = &job->tensor[points->tensor_count - 1];
    struct heed_points_push push = points->push;
    for (uint32_t a = 0; a < 4; a++) {
        push.lengths[a] = (uint32_t)box->length[a];
        push.first[a] = (uint32_t)box->first[a];
        push.x_strides[a] = (uint32_t)points->x_strides[a];
        if (a < 3)
            push.o_strides[a] = box->length[a] > 1 ? (uint32_t)o->stride[a] : 0;
    }
    step->spec_count = HEED_POINTS_SPEC_COUNT;
    step->spec[HEED_POINTS_SPEC_FLAGS] = points->flags;
    step->spec[HEED_POINTS_SPEC_DTYPES] = (uint32_t)job->tensor[points->x].tensor->dtype | (uint32_t)o->tensor->dtype
                                                                                               << 4;
    step->spec[HEED_POINTS_SPEC_VECTOR] = points->vector && heed_tensor_is_vector(job->l->graph, o->tensor);
    memcpy(step->push, &push, sizeof push);
    step->push_words = sizeof push / 4;
}

enum heed_status heed_points_lower(struct heed_node_lowering *l, struct heed_points *points)
{
    const struct heed_tensor *o = &l->graph->tensors[l->node->output[0]];
    struct heed_box_job job = {
        .l = l,
        .kernel = points->kernel,
        .group = GROUP,
        .tensor_count = points->tensor_count,
        .quantum = {1, 1, 1, 4},
        .user = points,
        .grid = heed_box_grid_quads,
        .flops = flops,
        .describe = describe,
    };
    points->tensor[points->tensor_count - 1] = heed_box_tensor(o);
    memcpy(job.tensor, points->tensor, sizeof job.tensor);
    struct heed_box box = {.length = {1, 1, 1, 1}};
    for (uint32_t a = 0; a < o->axes; a++)
        box.length[a + HEED_MAX_AXES - o->axes] = o->length[a];
    return heed_box_lower(&job, &box);
}
