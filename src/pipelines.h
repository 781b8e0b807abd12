/* SPDX-License-Identifier: MIT
 * A device's compiled kernels, for the backends that compile: plans whose steps have the same kernel and constants
 * share one. Lengths and strides are no constants, and so a new plan for other lengths usually compiles nothing. */
#ifndef HEED_PIPELINES_H
#define HEED_PIPELINES_H

#include "mutex.h"
#include "plan.h"

/* Backends' own structs begin with this. */
struct heed_pipeline {
    struct heed_pipeline *next;
    struct heed_step step; /* one that uses it */
    uint32_t plans;        /* that use it */
};

struct heed_pipelines {
    heed_device *device;
    /* Compiles what the step needs; `cached`: the driver says that it had it. HEED_ERR_UNSUPPORTED is not logged but
     * has its reason in `why`. Called by several threads at a time. */
    enum heed_status (*make)(heed_device *device, const struct heed_step *step, struct heed_pipeline **pipeline,
                             bool *cached, char why[HEED_REFUSAL]);
    /* Bit i: constant i is compiled in, and others are told when the kernel runs. NULL: all are. */
    uint32_t (*compiled)(enum heed_kernel kernel);
    /* Also in a forked child, where nothing of the driver may be touched. */
    void (*destroy)(heed_device *device, struct heed_pipeline *pipeline);
    heed_mutex mutex;
    bool mutex_made;
    struct heed_pipeline *first; /* the last released first */
};
/* Kept for plans to come when no plan uses them: as many variants as a model with a few layer types has. */
enum { HEED_IDLE_PIPELINES = 32 };

bool heed_pipelines_init(struct heed_pipelines *pipelines);
/* Of a device without plans; also when init failed or was never called. */
void heed_pipelines_destroy(struct heed_pipelines *pipelines);

/* Those of one plan. */
struct heed_plan_pipelines {
    struct heed_pipeline **pipelines;
    uint32_t count;
    uint32_t *of_step; /* index into pipelines, for each step */
};
static inline struct heed_pipeline *heed_step_pipeline(const struct heed_plan_pipelines *p, uint32_t step)
{
    return p->pipelines[p->of_step[step]];
}

/* Compiles what is not there yet and counts in the plan. On failure there is nothing to release. */
enum heed_status heed_pipelines_obtain(struct heed_pipelines *pipelines, heed_plan *plan,
                                       struct heed_plan_pipelines *obtained);
void heed_pipelines_release(struct heed_pipelines *pipelines, struct heed_plan_pipelines *obtained);

#endif
