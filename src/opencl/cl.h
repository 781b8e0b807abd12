/* SPDX-License-Identifier: MIT
 * What the files of the OpenCL backend share: the device, buffers, pipelines. */
#ifndef HEED_OPENCL_CL_H
#define HEED_OPENCL_CL_H

#include <stdatomic.h>

#include "functions.h"
#include "../cache.h"
#include "../pipelines.h"

/* ---- platform.c: what a device can do */

struct heed_cl_physical {
    cl_platform_id platform;
    cl_device_id handle;
    char unusable[96]; /* why heed cannot use it; empty: it can */
    uint64_t max_allocation;
    struct heed_cache_identity identity;
    struct heed_device_info info;
};

/* HEED_OK also for a device that is unusable. */
enum heed_status heed_cl_physical_init(heed_context *context, const struct heed_cl_functions *cl, cl_device_id handle,
                                       struct heed_cl_physical *physical);
/* The `index`th usable device of all platforms; *count becomes how many were looked at. NULL as `wanted`: none is
 * taken, `infos` is filled as by heed_opencl_list. */
enum heed_status heed_cl_enumerate(heed_context *context, const struct heed_cl_functions *cl,
                                   struct heed_device_info *infos, uint32_t capacity, uint32_t *count, uint32_t index,
                                   struct heed_cl_physical *wanted);

/* ---- device.c */

/* A program's binary, kept by the app between runs. */
struct heed_cl_kept {
    struct heed_cl_kept *next;
    struct heed_cache_entry entry;
};

struct heed_cl_device {
    struct heed_device base;
    struct heed_cl_functions cl;
    struct heed_cl_physical physical;
    cl_context context;
    struct heed_pipelines pipelines;
    heed_mutex mutex; /* arguments of kernels, `kept`, scratch of every plan */
    bool mutex_made;
    struct heed_cl_kept *kept; /* the last used first */
    bool kept_changed;         /* since the app has it */
    bool closing;              /* what goes now was saved before */
    atomic_bool lost;
    void *loader; /* NULL: the functions are from the app */

    /* Own mode only. */
    cl_command_queue queue;
    heed_mutex queue_mutex; /* the kernels of a run follow one another: runs of a plan share its scratch */
    bool queue_mutex_made;
};

/* Own mode through any functions; takes over `loader`, also when it fails. */
enum heed_status heed_cl_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                heed_cl_get_function_fn get_function, void *loader, heed_device **device);
/* What own mode and import share once the functions and `physical` are there. */
enum heed_status heed_cl_device_finish(struct heed_cl_device *device, const struct heed_limits *wanted);
/* Also of a device that is only half made. */
void heed_cl_device_destroy(heed_device *device);

/* HEED_OK for CL_SUCCESS; else logs "opencl: clX: CL_Y" and gives the status. The second form remembers a lost device.
 */
enum heed_status heed_cl_result(heed_context *context, cl_int result, const char *call);
enum heed_status heed_cl_check(struct heed_cl_device *device, cl_int result, const char *call);
/* Fails on a lost device, and in a process forked from the one that made the device. */
enum heed_status heed_cl_usable(struct heed_cl_device *device);
/* In a forked child a destroy must free host memory and touch nothing of the driver. */
bool heed_cl_in_child(const struct heed_cl_device *device);

/* ---- kernels.c */

struct heed_cl_source {
    const char *const *texts;
    const size_t *bytes;
    cl_uint count; /* 0: the kernel is not for OpenCL */
};
struct heed_cl_source heed_cl_kernel_source(enum heed_kernel kernel);
bool heed_cl_has_kernel(unsigned kernel);
/* Bit i: constant i is a macro of the program. Drivers compile for a second, and a model has a few variants of each op
 * of pipelines: their kernels are told the other constants when they run. */
uint32_t heed_cl_compiled(enum heed_kernel kernel);

/* ---- pipeline.c: plan->backend */

struct heed_cl_pipeline {
    struct heed_pipeline base;
    cl_program program;
    cl_kernel kernel;
    uint64_t key[2]; /* of the binary */
    bool from_cache;
};

struct heed_cl_plan {
    struct heed_plan_pipelines pipelines;
    cl_mem scratch; /* own mode, made by the first run; the device's mutex guards it */
};

enum heed_status heed_cl_pipeline_make(heed_device *device, const struct heed_step *step,
                                       struct heed_pipeline **pipeline, bool *cached, char why[HEED_REFUSAL]);
void heed_cl_pipeline_destroy(heed_device *device, struct heed_pipeline *pipeline);
enum heed_status heed_cl_plan_compile(heed_plan *plan);
void heed_cl_plan_release(heed_plan *plan);

/* ---- cache.c */

/* Takes what the app keeps for this device, if it is good. */
void heed_cl_cache_load(struct heed_cl_device *device);
/* The binary with this key as a program that is not built; NULL: there is none, or the driver refuses it. */
cl_program heed_cl_cache_find(struct heed_cl_device *device, const uint64_t key[2]);
/* Before the pipeline's program goes: keeps its binary, if anything is kept. */
void heed_cl_cache_remember(struct heed_cl_device *device, const struct heed_cl_pipeline *pipeline);
enum heed_status heed_cl_cache_save(heed_device *device);
void heed_cl_cache_free(struct heed_cl_device *device);

/* ---- enqueue.c */

/* Where an argument of a run lies. */
struct heed_cl_bound {
    cl_mem buffer;
    uint64_t offset;
};

/* One step of a plan, after the wait list. `bound` as below; `event` may be NULL. */
enum heed_status heed_cl_enqueue_step(const heed_plan *plan, uint32_t number, cl_command_queue queue,
                                      const struct heed_cl_bound *bound, cl_uint wait_count,
                                      const cl_event *wait_list, cl_event *event);
/* The steps of a plan, after the wait list. `bound` has plan->arg_count entries, with scratch. `first` and `last`, if
 * not NULL, become events of the first kernel and of the end; without steps `first` becomes NULL. On failure both are
 * NULL. */
enum heed_status heed_cl_enqueue_steps(heed_plan *plan, cl_command_queue queue, bool out_of_order,
                                       const struct heed_cl_bound *bound, cl_uint wait_count, const cl_event *wait_list,
                                       cl_event *first, cl_event *last);

/* ---- buffer.c and run.c: own mode */

struct heed_cl_buffer {
    struct heed_buffer base;
    cl_mem handle;
};

enum heed_status heed_cl_memory_create(struct heed_cl_device *device, uint64_t bytes, cl_mem *memory);
enum heed_status heed_cl_buffer_create(heed_device *device, uint64_t bytes, heed_buffer **buffer);
void heed_cl_buffer_destroy(heed_buffer *buffer);
enum heed_status heed_cl_buffer_write(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
enum heed_status heed_cl_buffer_read(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes);

enum heed_status heed_cl_run(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **fence);
enum heed_status heed_cl_profile(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns);
enum heed_status heed_cl_fence_wait(heed_fence *fence, uint64_t timeout_ns);
enum heed_status heed_cl_fence_get_device_ns(heed_fence *fence, uint64_t *ns);
void heed_cl_fence_destroy(heed_fence *fence);

#endif
