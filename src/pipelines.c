/* SPDX-License-Identifier: MIT
 * Compiles a plan's steps: one pipeline for each kernel with its constants. */
#include "pipelines.h"
#include "clock.h"

static bool same_pipeline(const struct heed_pipelines *pipelines, const struct heed_step *a, const struct heed_step *b)
{
    if (a->kernel != b->kernel || a->binding_count != b->binding_count || a->subgroup_size != b->subgroup_size ||
        a->spec_count != b->spec_count)
        return false;
    const uint32_t compiled = pipelines->compiled ? pipelines->compiled(a->kernel) : UINT32_MAX;
    for (uint32_t i = 0; i < a->spec_count; i++)
        if ((compiled >> i & 1) != 0 && a->spec[i] != b->spec[i])
            return false;
    return true;
}

bool heed_pipelines_init(struct heed_pipelines *pipelines)
{
    pipelines->mutex_made = heed_mutex_init(&pipelines->mutex);
    return pipelines->mutex_made;
}

void heed_pipelines_destroy(struct heed_pipelines *pipelines)
{
    while (pipelines->first) {
        struct heed_pipeline *p = pipelines->first;
        pipelines->first = p->next;
        pipelines->destroy(pipelines->device, p);
    }
    if (pipelines->mutex_made)
        heed_mutex_destroy(&pipelines->mutex);
    pipelines->mutex_made = false;
}

/* ---- the caller of these holds the mutex */

static struct heed_pipeline *take(const struct heed_pipelines *pipelines, const struct heed_step *step)
{
    struct heed_pipeline *p = pipelines->first;
    while (p && !same_pipeline(pipelines, &p->step, step))
        p = p->next;
    if (p)
        p->plans++;
    return p;
}

static void unlink_pipeline(struct heed_pipelines *pipelines, const struct heed_pipeline *pipeline)
{
    struct heed_pipeline **link = &pipelines->first;
    while (*link != pipeline)
        link = &(*link)->next;
    *link = pipeline->next;
}

static void give_back(struct heed_pipelines *pipelines, struct heed_pipeline *pipeline)
{
    if (--pipeline->plans > 0)
        return;
    unlink_pipeline(pipelines, pipeline);
    pipeline->next = pipelines->first;
    pipelines->first = pipeline;
    struct heed_pipeline *oldest = NULL;
    uint32_t idle = 0;
    for (struct heed_pipeline *p = pipelines->first; p; p = p->next) {
        if (p->plans == 0) {
            oldest = p;
            idle++;
        }
    }
    if (idle > HEED_IDLE_PIPELINES) {
        unlink_pipeline(pipelines, oldest);
        pipelines->destroy(pipelines->device, oldest);
    }
}

/* ---- plans */

/* Compiles outside the mutex, so that threads can do so side by side; of two that made the same, the first is kept. */
static enum heed_status obtain(struct heed_pipelines *pipelines, const struct heed_step *step, heed_plan *plan,
                               struct heed_pipeline **pipeline)
{
    heed_mutex_lock(&pipelines->mutex);
    *pipeline = take(pipelines, step);
    heed_mutex_unlock(&pipelines->mutex);
    if (*pipeline) {
        plan->pipelines_shared++;
        return HEED_OK;
    }
    struct heed_pipeline *made;
    bool cached = false;
    enum heed_status status = pipelines->make(pipelines->device, step, &made, &cached, plan->refusal);
    if (status)
        return status;
    plan->pipelines_cached += cached;
    made->step = *step;
    made->plans = 1;
    heed_mutex_lock(&pipelines->mutex);
    *pipeline = take(pipelines, step);
    if (!*pipeline) {
        made->next = pipelines->first;
        pipelines->first = *pipeline = made;
    }
    heed_mutex_unlock(&pipelines->mutex);
    if (*pipeline != made)
        pipelines->destroy(pipelines->device, made);
    return HEED_OK;
}

enum heed_status heed_pipelines_obtain(struct heed_pipelines *pipelines, heed_plan *plan,
                                       struct heed_plan_pipelines *obtained)
{
    heed_context *context = pipelines->device->context;
    const uint64_t start = heed_clock_ns();
    *obtained = (struct heed_plan_pipelines){0};
    plan->pipelines_shared = plan->pipelines_cached = 0;
    if (plan->step_count == 0)
        return HEED_OK;
    enum heed_status status = HEED_OK;
    obtained->pipelines = heed_alloc(context, plan->step_count, sizeof *obtained->pipelines);
    obtained->of_step = heed_alloc(context, plan->step_count, sizeof *obtained->of_step);
    if (!obtained->pipelines || !obtained->of_step)
        status = heed_fail_memory(context);

    for (uint32_t i = 0; !status && i < plan->step_count; i++) {
        const struct heed_step *step = &plan->steps[i];
        uint32_t p = 0;
        while (p < obtained->count && !same_pipeline(pipelines, &obtained->pipelines[p]->step, step))
            p++;
        obtained->of_step[i] = p;
        if (p < obtained->count)
            continue;
        status = obtain(pipelines, step, plan, &obtained->pipelines[p]);
        if (!status)
            obtained->count++;
    }
    plan->pipelines = obtained->count;
    plan->compile_ns = heed_clock_ns() - start;
    if (status)
        heed_pipelines_release(pipelines, obtained);
    return status;
}

void heed_pipelines_release(struct heed_pipelines *pipelines, struct heed_plan_pipelines *obtained)
{
    heed_context *context = pipelines->device->context;
    /* In a forked child another thread may have held the mutex, for ever; the device's destroy frees what is left. */
    if (pipelines->device->process == heed_process_id()) {
        heed_mutex_lock(&pipelines->mutex);
        for (uint32_t i = 0; i < obtained->count; i++)
            give_back(pipelines, obtained->pipelines[i]);
        heed_mutex_unlock(&pipelines->mutex);
    }
    heed_free(context, obtained->of_step);
    heed_free(context, obtained->pipelines);
    *obtained = (struct heed_plan_pipelines){0};
}
