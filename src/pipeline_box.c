/* SPDX-License-Identifier: MIT
 * Steps of ops that work on a box of axes, cut until no limit of the device is broken; and the choice of a kernel. */
#include "pipeline.h"
#include "dtype.h"
#include "preferences.h"
#include "rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct heed_boxed heed_box_tensor(const struct heed_tensor *tensor)
{
    struct heed_boxed boxed = {.tensor = tensor, .inner = 1};
    if (tensor)
        for (uint32_t a = 0, shift = HEED_MAX_AXES - tensor->axes; a < tensor->axes; a++)
            boxed.stride[a + shift] = tensor->length[a] > 1 ? tensor->stride[a] : 0;
    return boxed;
}

/* Elements from the part's first to its last. */
static uint64_t extent(const struct heed_boxed *t, const struct heed_box *box, uint64_t *first)
{
    uint64_t reach = t->inner;
    *first = t->tensor->offset;
    for (uint32_t a = 0; a < HEED_MAX_AXES; a++) {
        *first += box->first[a] * t->stride[a];
        reach += (box->length[a] - 1) * t->stride[a];
    }
    return reach;
}

static uint64_t step_ns(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct heed_rate rate = heed_rate(&job->l->plan->device->info, false);
    return heed_rate_ns(&rate, job->flops(job, box), 0.0);
}

/* NULL, or what is over a limit. */
static const char *too_much(const struct heed_box_job *job, const struct heed_box *box)
{
    const struct heed_limits *limits = &job->l->plan->device->info.limits;
    uint64_t groups[3], first;
    if (!job->grid(job, box, groups) || groups[0] > limits->max_group_count || groups[1] > limits->max_group_count ||
        groups[2] > limits->max_group_count)
        return "the number of work groups";
    for (uint32_t i = 0; i < job->tensor_count; i++) {
        const struct heed_boxed *t = &job->tensor[i];
        /* The binding may begin up to an alignment earlier, and end with its word. */
        if (t->tensor && heed_dtype_bytes(t->tensor->dtype, extent(t, box, &first)) + limits->min_offset_alignment + 3 >
                             limits->max_storage_range)
            return "the bytes of a binding";
    }
    return step_ns(job, box) > limits->max_dispatch_ns ? "" : NULL;
}

bool heed_box_is_alone(const heed_device *device)
{
    return device->ops->backend == HEED_BACKEND_OPENCL && device->info.type == HEED_DEVICE_CPU &&
           !(heed_preferences(&device->info) & HEED_AVOIDS_VECTORS);
}

static enum heed_status add_step(const struct heed_box_job *job, const struct heed_box *box)
{
    struct heed_step *step = heed_node_add_step(
        job->l, job->kernel, heed_box_is_alone(job->l->plan->device) && !job->together ? 1 : job->group);
    if (!step)
        return heed_fail_memory(job->l->graph->context);
    uint64_t groups[3];
    job->grid(job, box, groups);
    for (int i = 0; i < 3; i++)
        step->groups[i] = (uint32_t)groups[i];
    step->ns = step_ns(job, box);
    job->describe(job, box, step);
    uint32_t there = 0; /* sets have no holes: what is not there is something that is only read */
    while (!job->tensor[there].tensor || heed_kernel_writes(job->kernel) >> there & 1)
        there++;
    for (uint32_t i = 0; i < job->tensor_count; i++) {
        const struct heed_boxed *t = &job->tensor[job->tensor[i].tensor ? i : there];
        uint64_t first, count = extent(t, box, &first);
        heed_node_bind_range(step, i, t->tensor->storage, (uint32_t)heed_dtype_alignment(t->tensor->dtype),
                             heed_dtype_bytes(t->tensor->dtype, first), heed_dtype_bytes(t->tensor->dtype, count));
    }
    return HEED_OK;
}

static enum heed_status cut(const struct heed_box_job *job, const struct heed_box *box)
{
    const char *why = too_much(job, box);
    if (!why)
        return add_step(job, box);
    uint32_t longest = HEED_MAX_AXES;
    for (uint32_t a = 0; a < HEED_MAX_AXES; a++)
        if (job->quantum[a] > 0 && box->length[a] > job->quantum[a] &&
            (longest == HEED_MAX_AXES ||
             box->length[a] / job->quantum[a] > box->length[longest] / job->quantum[longest]))
            longest = a;
    if (longest == HEED_MAX_AXES && !*why) /* longer than the limit is only what cannot be cut */
        return add_step(job, box);
    if (longest == HEED_MAX_AXES)
        return heed_fail(job->l->graph->context, HEED_ERR_UNSUPPORTED,
                         "pipeline: %s %u: %s of the smallest part is over a limit of %s",
                         heed_pipeline_ops[job->l->node->kind].name,
                         (unsigned)(job->l->node - job->l->graph->nodes) + 1, why, job->l->plan->device->info.name);
    struct heed_box a = *box, b = *box;
    uint64_t quantum = job->quantum[longest];
    a.length[longest] = (box->length[longest] / 2 + quantum - 1) / quantum * quantum;
    b.first[longest] += a.length[longest];
    b.length[longest] -= a.length[longest];
    enum heed_status status = cut(job, &a);
    return status == HEED_OK ? cut(job, &b) : status;
}

enum heed_status heed_box_lower(const struct heed_box_job *job, const struct heed_box *box)
{
    for (uint32_t a = 0; a < HEED_MAX_AXES; a++)
        if (box->length[a] == 0)
            return HEED_OK;
    return cut(job, box);
}

bool heed_box_grid_quads(const struct heed_box_job *job, const struct heed_box *box, uint64_t groups[3])
{
    uint64_t quads = (box->length[3] + 3) / 4 * box->length[2] * box->length[1];
    groups[0] = (quads + job->group - 1) / job->group;
    groups[1] = 1;
    groups[2] = box->length[0];
    return quads < UINT32_MAX - job->group;
}

/* ---- the choice of a kernel */

bool heed_node_prefers_cpu(const struct heed_node_candidate *self, const struct heed_node_lowering *l)
{
    (void)self;
    return l->plan->device->info.type == HEED_DEVICE_CPU;
}

/* So that the sums of 6 rows fill the registers: 12 of 32 with vectors of 16 floats, 12 of 16 with vectors of 8. */
uint32_t heed_node_rows_columns(const heed_device *device)
{
    return device->info.limits.subgroup_size_max >= 16 ? 32 : 16;
}

bool heed_node_accepts_rows(const heed_device *device, char *why, size_t size)
{
    if (device->info.type != HEED_DEVICE_CPU)
        snprintf(why, size, "the device is no processor: a work-item of it is too slow to be alone in its group");
    else if (heed_preferences(&device->info) & HEED_AVOIDS_VECTORS)
        snprintf(why, size, "this driver takes minutes to compile vectors of 16 floats");
    else
        return true;
    return false;
}

static enum heed_status fail_name(const struct heed_node_lowering *l, const struct heed_node_candidate *list,
                                  uint32_t count)
{
    char names[512];
    size_t used = 0;
    for (uint32_t i = 0; i < count && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", list[i].name);
    return heed_node_fail(l->graph, l->node, "kernel \"%s\" is not one of: %s", l->node->kernel, names);
}

const struct heed_node_candidate *heed_node_select(const struct heed_node_lowering *l,
                                                   const struct heed_node_candidate *list, uint32_t count,
                                                   enum heed_status *status)
{
    const heed_device *device = l->plan->device;
    const struct heed_node_candidate *chosen = NULL, *fallback = NULL;
    const char *name = l->node->kernel, *op = heed_pipeline_ops[l->node->kind].name;
    char why[256] = "no kernel was built";
    bool known = false;
    *status = HEED_OK;
    for (uint32_t i = 0; i < count && !chosen; i++) {
        if (*name && strcmp(name, list[i].name) != 0)
            continue;
        known = true;
        if (!heed_plan_has_kernel(l->plan, list[i].kernel, why, sizeof why) ||
            (list[i].accepts && !list[i].accepts(&list[i], l, why, sizeof why)))
            heed_log(l->graph->context, HEED_LOG_DEBUG, "pipeline: %s: %s refuses: %s", op, list[i].name, why);
        else if (*name || !list[i].prefers || list[i].prefers(&list[i], l))
            chosen = &list[i];
        else if (!fallback)
            fallback = &list[i];
    }
    if (!chosen)
        chosen = fallback;
    if (chosen)
        snprintf(l->node->kernel, sizeof l->node->kernel, "%s", chosen->name);
    else if (!known)
        *status = fail_name(l, list, count);
    else
        *status = heed_fail(
            l->graph->context, HEED_ERR_UNSUPPORTED, "pipeline: %s %u: no kernel for this on %s: %s refuses: %s", op,
            (unsigned)(l->node - l->graph->nodes) + 1, device->info.name, *name ? name : list[count - 1].name, why);
    return chosen;
}
