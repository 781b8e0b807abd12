/* SPDX-License-Identifier: MIT
 *
 * heed in an app that owns its cl_context: import it, and enqueue plans between the app's own kernels.
 *
 *     once                    heed_cl_import -> heed_device
 *     per problem             heed_plan_create_attention (heed.h) -> heed_plan
 *     every frame             heed_cl_enqueue(plan, queue, buffers, wait list, event)
 *
 * On an imported device heed never allocates device memory, never waits, and calls OpenCL only through functions that the
 * app gave it, or that it found in the ICD loader: it does not link that. OpenCL 1.2 is enough. The kernels are OpenCL C
 * inside the library, compiled by the driver when a plan is made.
 */
#ifndef HEED_HEED_OPENCL_H
#define HEED_HEED_OPENCL_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <heed/heed.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The address of an OpenCL function by its name, "clSetKernelArg"; NULL: there is none. */
typedef void *(*heed_cl_get_function_fn)(void *user, const char *name);

/* The app's context, and one of its devices. Both stay the app's and must outlive the heed_device. */
struct heed_cl_import_desc {
    size_t struct_size; /* sizeof(struct heed_cl_import_desc) */
    cl_context context;
    cl_device_id device;
    heed_cl_get_function_fn get_function; /* NULL: heed opens the ICD loader, libOpenCL, at run time; where the app has
                                             linked or opened it, that is the same one */
    void *get_function_user;
    struct heed_limits limits; /* as in heed_device_desc */
};

/* HEED_ERR_ARGUMENT: a NULL, or a device that is none of the context's. HEED_ERR_UNSUPPORTED: the device is below OpenCL
 * 1.2, has no compiler, or no infinities. HEED_ERR_NO_DEVICE: there is no ICD loader. HEED_ERR_HOST_MEMORY,
 * HEED_ERR_BACKEND. Any thread. */
HEED_API enum heed_status heed_cl_import(heed_context *context, const struct heed_cl_import_desc *desc,
                                         heed_device **device);

/* A tensor: a buffer, or a sub-buffer, of the imported context. Its size is asked of OpenCL. */
struct heed_cl_arg {
    const char *name;
    cl_mem buffer; /* NULL is allowed for an argument of 0 bytes */
    size_t offset; /* bytes; a multiple of the descriptor's offset_alignment, need not be one of the device's */
};

/* Enqueues the plan's kernels. `args` are those of the plan plus "scratch" when heed_plan_info.scratch_bytes > 0.
 *
 * The kernels begin when the events of the wait list are complete; on a queue in order, also after what was enqueued
 * before. `event`, if not NULL, becomes one that is complete when all of them are; the app releases it. `queue` may be in
 * order or out of order: there heed orders its kernels by events of its own and leaves the app's other commands alone.
 *
 * Nothing is waited for. Kernels and buffers are retained by OpenCL, the plan must live until they are complete; use of
 * one plan on several queues at a time needs different outputs and scratch. Any thread, also with one plan: OpenCL's
 * clSetKernelArg is not safe for that, and heed takes a lock of the device for each kernel. The queue is flushed between
 * kernels where they would take more than 10 max_dispatch_ns together, see heed_limits, and not at the end.
 *
 * HEED_ERR_ARGUMENT: something of heed_run's rules, a queue or buffer of another context, a wait list that is NULL with
 * num_events_in_wait_list > 0. HEED_ERR_HOST_MEMORY, HEED_ERR_DEVICE_MEMORY, HEED_ERR_DEVICE_LOST, HEED_ERR_BACKEND:
 * OpenCL refused one of the kernels; *event is NULL, those before it were enqueued and must be waited for (clFinish)
 * before their buffers are used. */
HEED_API enum heed_status heed_cl_enqueue(heed_plan *plan, cl_command_queue queue, const struct heed_cl_arg *args,
                                          uint32_t arg_count, cl_uint num_events_in_wait_list,
                                          const cl_event *event_wait_list, cl_event *event);

#ifdef __cplusplus
}
#endif
#endif
