/* SPDX-License-Identifier: MIT
 * Own mode: enqueues a plan, waits for it, and times it on the device's clock. */
#include "../clock.h"
#include "cl.h"

struct heed_cl_fence {
    struct heed_fence base;
    cl_event first, last; /* `first` is NULL where there are not two steps, or nobody asks for the time */
    bool empty;           /* `last` is a marker, whose times some drivers do not know */
};

/* The first run of a plan makes its scratch. Runs follow one another on the one queue, and so they can share it. */
static enum heed_status make_scratch(struct heed_cl_device *device, const heed_plan *plan)
{
    struct heed_cl_plan *compiled = plan->backend;
    enum heed_status status = HEED_OK;
    heed_mutex_lock(&device->mutex);
    if (plan->scratch_bytes > 0 && !compiled->scratch)
        status = heed_cl_memory_create(device, plan->scratch_bytes, &compiled->scratch);
    heed_mutex_unlock(&device->mutex);
    return status;
}

/* Where each of the plan's arguments lies, its scratch included; NULL: out of host memory. */
static struct heed_cl_bound *bind(const heed_plan *plan, const struct heed_bound_arg *args)
{
    struct heed_cl_bound *bound = heed_alloc(plan->device->context, plan->arg_count, sizeof *bound);
    const uint32_t scratch = plan->arg_count - 1;
    for (uint32_t id = 0; bound && id < scratch; id++)
        if (args[id].buffer)
            bound[id] = (struct heed_cl_bound){((struct heed_cl_buffer *)args[id].buffer)->handle, args[id].offset};
    if (bound)
        bound[scratch].buffer = ((struct heed_cl_plan *)plan->backend)->scratch;
    return bound;
}

enum heed_status heed_cl_run(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **result)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    const struct heed_cl_functions *cl = &device->cl;
    heed_context *context = device->base.context;
    enum heed_status status = heed_cl_usable(device);
    if (!status)
        status = make_scratch(device, plan);
    if (status)
        return status;
    struct heed_cl_fence *fence = heed_alloc(context, 1, sizeof *fence);
    struct heed_cl_bound *bound = fence ? bind(plan, args) : NULL;
    if (!bound) {
        heed_free(context, fence);
        return heed_fail_memory(context);
    }
    fence->base.device = &device->base;
    fence->empty = plan->step_count == 0;
    heed_mutex_lock(&device->queue_mutex);
    status = heed_cl_enqueue_steps(plan, device->queue, false, bound, 0, NULL,
                                   timed && plan->step_count > 1 ? &fence->first : NULL, &fence->last);
    if (!status)
        status = heed_cl_check(device, cl->Flush(device->queue), "clFlush");
    heed_mutex_unlock(&device->queue_mutex);
    heed_free(context, bound);
    if (status) {
        cl->Finish(device->queue); /* what was enqueued uses the caller's buffers */
        heed_cl_fence_destroy(&fence->base);
        return status;
    }
    *result = &fence->base;
    return HEED_OK;
}

/* ---- time of ops */

/* Runs the steps with an event for each; those that were made are `events`, whatever comes of it. */
static enum heed_status run_with_events(heed_plan *plan, const struct heed_bound_arg *args, cl_event *events)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    struct heed_cl_bound *bound = bind(plan, args);
    if (!bound)
        return heed_fail_memory(device->base.context);
    enum heed_status status = HEED_OK;
    heed_mutex_lock(&device->queue_mutex);
    for (uint32_t i = 0; !status && i < plan->step_count; i++)
        status = heed_cl_enqueue_step(plan, i, device->queue, bound, 0, NULL, &events[i]);
    const cl_int finished = device->cl.Finish(device->queue);
    heed_mutex_unlock(&device->queue_mutex);
    heed_free(device->base.context, bound);
    return status ? status : heed_cl_check(device, finished, "clFinish");
}

/* What a kernel took; its own failure, if it failed. */
static enum heed_status add_ns(struct heed_cl_device *device, cl_event event, uint64_t *ns)
{
    const struct heed_cl_functions *cl = &device->cl;
    cl_int state = CL_COMPLETE;
    cl_ulong start = 0, end = 0;
    cl_int result = cl->GetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (result == CL_SUCCESS && state < 0)
        return heed_cl_check(device, state, "a kernel");
    if (result == CL_SUCCESS)
        result = cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    *ns += end - start;
    return heed_cl_check(device, result, "clGetEventProfilingInfo");
}

enum heed_status heed_cl_profile(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    heed_context *context = device->base.context;
    const uint32_t count = heed_plan_op_count(plan);
    enum heed_status status = heed_cl_usable(device);
    if (!status)
        status = make_scratch(device, plan);
    if (status)
        return status;
    cl_event *events = heed_alloc(context, plan->step_count > 0 ? plan->step_count : 1, sizeof(cl_event));
    status = events ? run_with_events(plan, args, events) : heed_fail_memory(context);
    for (uint32_t op = 0, step = 0; !status && op < count; op++) {
        struct heed_op_time time;
        const uint32_t end = heed_plan_op(plan, op, &time);
        for (ns[op] = 0; !status && step < end; step++)
            status = add_ns(device, events[step], &ns[op]);
    }
    for (uint32_t i = 0; events && i < plan->step_count; i++)
        if (events[i])
            device->cl.ReleaseEvent(events[i]);
    heed_free(context, events);
    return status;
}

/* ---- fences */

/* What became of the run: HEED_OK when it is done, HEED_NOT_READY while it is not. */
static enum heed_status look(struct heed_cl_device *device, const struct heed_cl_fence *fence)
{
    cl_int state = CL_QUEUED;
    const cl_int result =
        device->cl.GetEventInfo(fence->last, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetEventInfo");
    if (state < 0)
        return heed_cl_check(device, state, "a kernel");
    return state == CL_COMPLETE ? HEED_OK : HEED_NOT_READY;
}

/* OpenCL waits without an end, or not at all. */
enum { LEAST_PAUSE_NS = 20000, LONGEST_PAUSE_NS = 1000000 };

enum heed_status heed_cl_fence_wait(heed_fence *base, uint64_t timeout_ns)
{
    const struct heed_cl_fence *fence = (const struct heed_cl_fence *)base;
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    if (timeout_ns == UINT64_MAX) {
        const cl_int result = device->cl.WaitForEvents(1, &fence->last);
        if (result != CL_SUCCESS && result != CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
            return heed_cl_check(device, result, "clWaitForEvents");
        return look(device, fence);
    }
    const uint64_t start = heed_clock_ns();
    uint64_t pause = LEAST_PAUSE_NS, passed;
    while ((status = look(device, fence)) == HEED_NOT_READY && (passed = heed_clock_ns() - start) < timeout_ns) {
        heed_sleep_ns(timeout_ns - passed < pause ? timeout_ns - passed : pause);
        pause = 2 * pause < LONGEST_PAUSE_NS ? 2 * pause : LONGEST_PAUSE_NS;
    }
    return status;
}

enum heed_status heed_cl_fence_get_device_ns(heed_fence *base, uint64_t *ns)
{
    const struct heed_cl_fence *fence = (const struct heed_cl_fence *)base;
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    const struct heed_cl_functions *cl = &device->cl;
    if (!device->base.info.has_timestamps)
        return heed_fail(device->base.context, HEED_ERR_UNSUPPORTED, "the device has no timestamps");
    enum heed_status status = heed_cl_usable(device);
    if (!status)
        status = look(device, fence);
    if (status)
        return status;
    if (fence->empty) {
        *ns = 0;
        return HEED_OK;
    }
    cl_ulong start = 0, end = 0;
    cl_int result = cl->GetEventProfilingInfo(fence->first ? fence->first : fence->last, CL_PROFILING_COMMAND_START,
                                              sizeof start, &start, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetEventProfilingInfo(fence->last, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    *ns = end - start;
    return heed_cl_check(device, result, "clGetEventProfilingInfo");
}

void heed_cl_fence_destroy(heed_fence *base)
{
    struct heed_cl_fence *fence = (struct heed_cl_fence *)base;
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    if (!heed_cl_in_child(device)) {
        if (fence->first)
            device->cl.ReleaseEvent(fence->first);
        if (fence->last)
            device->cl.ReleaseEvent(fence->last);
    }
    heed_free(base->device->context, fence);
}
