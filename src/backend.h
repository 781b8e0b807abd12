/* SPDX-License-Identifier: MIT
 * What a backend is to the rest: a device with a table of functions. Backends see problems, plans and this; nothing
 * else in src/ sees Vulkan or OpenCL. */
#ifndef HEED_BACKEND_H
#define HEED_BACKEND_H

#include "problem.h"

struct heed_step;

/* Where an argument of a run lies; buffer NULL where the problem has no such argument. */
struct heed_bound_arg {
    heed_buffer *buffer;
    uint64_t offset;
};

struct heed_backend_ops {
    enum heed_backend backend;
    /* Solves problems itself, without steps: plans are not lowered and the kernel has this name. NULL: needs steps. */
    const char *direct_kernel;

    /* plan_compile may refuse what accepts() took: only the driver's compiler knows what a kernel needs. */
    bool compile_refuses;

    void (*device_destroy)(heed_device *device);
    enum heed_status (*save_cache)(heed_device *device); /* NULL: nothing is ever kept */

    /* Is a kernel in this build? NULL: all are. */
    bool (*has_kernel)(unsigned kernel); /* enum heed_kernel */
    /* Make pipelines for plan->steps (in plan->backend), or free them (plan->backend may be NULL). HEED_ERR_UNSUPPORTED is
     * not logged, plan->refusal says why: the next kernel of the list is tried. */
    enum heed_status (*plan_compile)(heed_plan *plan);
    void (*plan_release)(heed_plan *plan);

    /* Own mode only; NULL on an imported device. Arguments are checked by the caller. */
    enum heed_status (*buffer_create)(heed_device *device, uint64_t bytes, heed_buffer **buffer);
    void (*buffer_destroy)(heed_buffer *buffer);
    enum heed_status (*buffer_write)(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
    enum heed_status (*buffer_read)(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes);
    /* args has plan->arg_count entries. Always gives a fence when it returns HEED_OK; whether it will be asked for the
     * device's time is `timed`. */
    enum heed_status (*run)(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **fence);
    /* Runs, waits, and gives the time of each of heed_plan_op_count ops. NULL: cannot. */
    enum heed_status (*profile)(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns);
    enum heed_status (*fence_wait)(heed_fence *fence, uint64_t timeout_ns);
    enum heed_status (*fence_get_device_ns)(heed_fence *fence, uint64_t *ns);
    void (*fence_destroy)(heed_fence *fence);
};

/* Backends' own structs begin with these. */
struct heed_device {
    heed_context *context;
    const struct heed_backend_ops *ops;
    struct heed_device_info info; /* info.limits are those in force */
    long process;                 /* getpid() at creation: a child must not use the device */
};
struct heed_buffer {
    heed_device *device;
    uint64_t bytes;
};
struct heed_fence {
    heed_device *device;
};

/* Each backend's entry points. list: appends to infos up to capacity, adds to *count; a missing loader is no error. */
enum heed_status heed_reference_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                     uint32_t *count);
enum heed_status heed_reference_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                       heed_device **device);
enum heed_status heed_vulkan_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                  uint32_t *count);
/* `index`: the entry of the backend's list to open; desc gives the limits. */
enum heed_status heed_vulkan_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                    heed_device **device);

enum heed_status heed_opencl_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                  uint32_t *count);
enum heed_status heed_opencl_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                    heed_device **device);

/* HEED_ERR_BACKEND in a process that was forked off the one that made the device. */
enum heed_status heed_device_check(const heed_device *device);
long heed_process_id(void); /* for heed_device.process */

/* Lowers each limit of `device` to the non-zero ones of `wanted`. */
void heed_limits_lower(struct heed_limits *device, const struct heed_limits *wanted);

/* Matches heed_device_desc.select against an entry: index within the listing, UUID, or part of the name. */
bool heed_device_matches(const struct heed_device_info *info, uint32_t index, const char *select);

/* The checks that heed_run and heed_vk_bind share: sorts named arguments as plan->args has them. For each of `count`
 * entries the caller fills name, offset and bytes available; `bytes` 0 = unknown. HEED_ERR_ARGUMENT with a line in the
 * log for unknown, missing, doubled, misaligned, undersized. `position[arg]`, of plan->arg_count, becomes the index of
 * the entry, or UINT32_MAX. */
struct heed_named_arg {
    const char *name;
    uint64_t offset, bytes;
    uint64_t buffer; /* tells buffers apart: outputs must not overlap anything. 0 = unknown */
};
enum heed_status heed_args_check(const heed_plan *plan, const struct heed_named_arg *named, uint32_t count,
                                 bool scratch_is_named, uint32_t *position);

/* Room for them: plan->arg_count entries each. HEED_ERR_ARGUMENT: arg_count is more than that. */
struct heed_arg_table {
    struct heed_named_arg *named;
    uint32_t *position;
};
enum heed_status heed_arg_table_make(const heed_plan *plan, uint32_t arg_count, struct heed_arg_table *table);
void heed_arg_table_free(heed_context *context, struct heed_arg_table *table);

#endif
