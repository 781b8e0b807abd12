/* SPDX-License-Identifier: MIT
 * Replays a plan's steps into a queue: for apps (heed_opencl.h) and for own mode. */
#include <inttypes.h>
#include <string.h>

#include "cl.h"

/* ---- one step */

/* The arguments of shaders/cl/cl.clh. The caller holds the mutex: a cl_kernel has one set of arguments. */
static enum heed_status set_arguments(struct heed_cl_device *device, const struct heed_step *step, cl_kernel kernel,
                                      const struct heed_cl_bound *bound)
{
    const struct heed_cl_functions *cl = &device->cl;
    cl_uint at = 0;
    cl_int result = cl->SetKernelArg(kernel, at++, step->push_words * sizeof *step->push, step->push);
    if (result == CL_SUCCESS && heed_cl_compiled(step->kernel) != UINT32_MAX)
        result = cl->SetKernelArg(kernel, at++, sizeof step->spec, step->spec);
    /* A tensor without elements may have no buffer; no kernel touches it, and it gets that of another one. */
    uint32_t filled = 0;
    while (filled + 1 < step->binding_count && step->bindings[filled].bytes == 0)
        filled++;
    for (uint32_t i = 0; result == CL_SUCCESS && i < step->binding_count; i++) {
        const struct heed_step_binding *b = &step->bindings[step->bindings[i].bytes > 0 ? i : filled];
        const cl_ulong offset = bound[b->arg].offset + b->offset;
        result = cl->SetKernelArg(kernel, at++, sizeof(cl_mem), &bound[b->arg].buffer);
        if (result == CL_SUCCESS)
            result = cl->SetKernelArg(kernel, at++, sizeof offset, &offset);
    }
    return heed_cl_check(device, result, "clSetKernelArg");
}

enum heed_status heed_cl_enqueue_step(const heed_plan *plan, uint32_t number, cl_command_queue queue,
                                      const struct heed_cl_bound *bound, cl_uint wait_count, const cl_event *wait_list,
                                      cl_event *event)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    const struct heed_cl_plan *compiled = plan->backend;
    const struct heed_step *step = &plan->steps[number];
    const cl_kernel kernel =
        ((const struct heed_cl_pipeline *)heed_step_pipeline(&compiled->pipelines, number))->kernel;
    const size_t local[3] = {step->spec[0], 1, 1};
    const size_t global[3] = {(size_t)step->groups[0] * step->spec[0], step->groups[1], step->groups[2]};
    heed_mutex_lock(&device->mutex);
    enum heed_status status = set_arguments(device, step, kernel, bound);
    if (!status)
        status = heed_cl_check(device,
                               device->cl.EnqueueNDRangeKernel(queue, kernel, 3, NULL, global, local, wait_count,
                                                               wait_count > 0 ? wait_list : NULL, event),
                               "clEnqueueNDRangeKernel");
    heed_mutex_unlock(&device->mutex);
    return status;
}

/* ---- the order of steps on a queue without order */

/* Steps up to a barrier run in any order: they wait for `before`, and what follows the barrier waits for all of them.
 */
struct order {
    const cl_event *before;
    cl_uint before_count;
    cl_event gate;    /* what `before` is after the first barrier */
    cl_event *events; /* of the steps since */
    cl_uint event_count;
};

static void release_events(struct heed_cl_device *device, struct order *order)
{
    for (cl_uint i = 0; i < order->event_count; i++)
        device->cl.ReleaseEvent(order->events[i]);
    order->event_count = 0;
}

/* One event that is complete when all since the last barrier are. */
static enum heed_status close_group(struct heed_cl_device *device, cl_command_queue queue, struct order *order,
                                    cl_event *all)
{
    if (order->event_count == 1) {
        *all = order->events[0];
        order->event_count = 0;
        return HEED_OK;
    }
    enum heed_status status =
        heed_cl_check(device, device->cl.EnqueueMarkerWithWaitList(queue, order->event_count, order->events, all),
                      "clEnqueueMarkerWithWaitList");
    release_events(device, order);
    return status;
}

static enum heed_status pass_barrier(struct heed_cl_device *device, cl_command_queue queue, struct order *order)
{
    cl_event gate;
    enum heed_status status = close_group(device, queue, order, &gate);
    if (status)
        return status;
    if (order->gate)
        device->cl.ReleaseEvent(order->gate);
    order->gate = gate;
    order->before = &order->gate;
    order->before_count = 1;
    return HEED_OK;
}

/* ---- all steps */

static enum heed_status enqueue_in_order(heed_plan *plan, cl_command_queue queue, uint32_t from, uint32_t count,
                                         const struct heed_cl_bound *bound, const struct order *order, cl_event *first,
                                         cl_event *last)
{
    enum heed_status status = HEED_OK;
    for (uint32_t i = from; !status && i < from + count; i++) {
        cl_event *event = i == 0 && first ? first : i + 1 == plan->step_count ? last : NULL;
        status = heed_cl_enqueue_step(plan, i, queue, bound, i == 0 ? order->before_count : 0, order->before, event);
    }
    return status;
}

static enum heed_status enqueue_out_of_order(heed_plan *plan, cl_command_queue queue, uint32_t from, uint32_t count,
                                             const struct heed_cl_bound *bound, struct order *order)
{
    enum heed_status status = HEED_OK;
    for (uint32_t i = from; !status && i < from + count; i++) {
        if (plan->steps[i].barrier && i > 0)
            status = pass_barrier((struct heed_cl_device *)plan->device, queue, order);
        if (!status)
            status = heed_cl_enqueue_step(plan, i, queue, bound, order->before_count, order->before,
                                          &order->events[order->event_count]);
        order->event_count += !status;
    }
    return status;
}

enum heed_status heed_cl_enqueue_steps(heed_plan *plan, cl_command_queue queue, bool out_of_order,
                                       const struct heed_cl_bound *bound, cl_uint wait_count, const cl_event *wait_list,
                                       cl_event *first, cl_event *last)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    heed_context *context = device->base.context;
    const struct heed_cl_functions *cl = &device->cl;
    struct order order = {.before = wait_list, .before_count = wait_count};
    if (first)
        *first = NULL;
    if (last)
        *last = NULL;
    if (plan->step_count == 0)
        return last ? heed_cl_check(
                          device, cl->EnqueueMarkerWithWaitList(queue, wait_count, wait_count ? wait_list : NULL, last),
                          "clEnqueueMarkerWithWaitList")
                    : HEED_OK;
    if (out_of_order)
        order.events = heed_alloc(context, plan->step_count, sizeof *order.events);
    if (out_of_order && !order.events)
        return heed_fail_memory(context);

    enum heed_status status = HEED_OK;
    for (uint32_t i = 0, count; !status && (count = heed_plan_submission(plan, i)) > 0; i += count) {
        if (i > 0)
            status = heed_cl_check(device, cl->Flush(queue), "clFlush");
        if (!status)
            status = out_of_order ? enqueue_out_of_order(plan, queue, i, count, bound, &order)
                                  : enqueue_in_order(plan, queue, i, count, bound, &order, first, last);
    }
    if (!status && last && out_of_order)
        status = close_group(device, queue, &order, last);
    release_events(device, &order);
    if (order.gate)
        cl->ReleaseEvent(order.gate);
    heed_free(context, order.events);
    if (status && first && *first) {
        cl->ReleaseEvent(*first);
        *first = NULL;
    }
    return status;
}

/* ---- heed_opencl.h */

/* A buffer's size; of a sub-buffer also where it lies, so that overlaps are found. */
static enum heed_status describe_buffer(struct heed_cl_device *device, const struct heed_cl_arg *arg,
                                        struct heed_named_arg *named)
{
    const struct heed_cl_functions *cl = &device->cl;
    size_t size = 0, origin = 0;
    cl_context context = NULL;
    cl_mem parent = NULL;
    cl_int result = cl->GetMemObjectInfo(arg->buffer, CL_MEM_SIZE, sizeof size, &size, NULL);
    if (result == CL_INVALID_MEM_OBJECT)
        return heed_fail(device->base.context, HEED_ERR_ARGUMENT, "opencl: enqueue: \"%s\" is no memory object",
                         named->name);
    if (result == CL_SUCCESS)
        result = cl->GetMemObjectInfo(arg->buffer, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetMemObjectInfo(arg->buffer, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL);
    if (result == CL_SUCCESS && parent)
        result = cl->GetMemObjectInfo(arg->buffer, CL_MEM_OFFSET, sizeof origin, &origin, NULL);
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetMemObjectInfo");
    if (context != device->context)
        return heed_fail(device->base.context, HEED_ERR_ARGUMENT, "opencl: enqueue: \"%s\" is of another context",
                         named->name);
    if (arg->offset > size)
        return heed_fail(device->base.context, HEED_ERR_ARGUMENT,
                         "opencl: enqueue: \"%s\" starts at byte %zu of a buffer of %zu", named->name, arg->offset,
                         size);
    named->offset = origin + arg->offset;
    named->bytes = size - arg->offset;
    named->buffer = (uint64_t)(uintptr_t)(parent ? parent : arg->buffer);
    return HEED_OK;
}

static enum heed_status check_queue(struct heed_cl_device *device, cl_command_queue queue, bool *out_of_order)
{
    const struct heed_cl_functions *cl = &device->cl;
    heed_context *heed = device->base.context;
    cl_context context = NULL;
    cl_device_id handle = NULL;
    cl_command_queue_properties properties = 0;
    cl_int result = cl->GetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof context, &context, NULL);
    if (result == CL_INVALID_COMMAND_QUEUE)
        return heed_fail(heed, HEED_ERR_ARGUMENT, "opencl: enqueue: the queue is no command queue");
    if (result == CL_SUCCESS)
        result = cl->GetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof handle, &handle, NULL);
    if (result == CL_SUCCESS)
        result = cl->GetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetCommandQueueInfo");
    if (context != device->context || handle != device->physical.handle)
        return heed_fail(heed, HEED_ERR_ARGUMENT, "opencl: enqueue: the queue is of another %s",
                         context != device->context ? "context" : "device");
    *out_of_order = (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
    return HEED_OK;
}

static enum heed_status name_args(heed_plan *plan, const struct heed_cl_arg *args, uint32_t arg_count,
                                  struct heed_named_arg *named)
{
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = HEED_OK;
    for (uint32_t i = 0; !status && i < arg_count; i++) {
        named[i] = (struct heed_named_arg){.name = args[i].name ? args[i].name : "(null)", .offset = args[i].offset};
        const uint32_t id = heed_plan_find_arg(plan, args[i].name);
        const uint64_t wanted = id < plan->arg_count ? heed_plan_arg_bytes(plan, id) : 0;
        if (!args[i].buffer && wanted > 0)
            return heed_fail(context, HEED_ERR_ARGUMENT, "opencl: enqueue: \"%s\" has no buffer", named[i].name);
        if (args[i].buffer)
            status = describe_buffer(device, &args[i], &named[i]);
        if (!status && named[i].bytes == 0 && wanted > 0)
            return heed_fail(context, HEED_ERR_ARGUMENT, "opencl: enqueue: \"%s\" starts at the end of its buffer",
                             named[i].name);
    }
    return status;
}

/* Sorts the arguments into `bound`, one for each that the plan can have. */
static enum heed_status bind(heed_plan *plan, const struct heed_cl_arg *args, uint32_t arg_count,
                             struct heed_cl_bound *bound)
{
    struct heed_arg_table table;
    enum heed_status status = heed_arg_table_make(plan, arg_count, &table);
    if (status)
        return status;
    status = name_args(plan, args, arg_count, table.named);
    if (!status)
        status = heed_args_check(plan, table.named, arg_count, true, table.position);
    for (uint32_t id = 0; !status && id < plan->arg_count; id++)
        if (table.position[id] != UINT32_MAX)
            bound[id] = (struct heed_cl_bound){args[table.position[id]].buffer, args[table.position[id]].offset};
    heed_arg_table_free(plan->device->context, &table);
    return status;
}

enum heed_status heed_cl_enqueue(heed_plan *plan, cl_command_queue queue, const struct heed_cl_arg *args,
                                 uint32_t arg_count, cl_uint wait_count, const cl_event *wait_list, cl_event *event)
{
    if (event)
        *event = NULL;
    if (!plan || !queue || (!args && arg_count > 0) || (!wait_list && wait_count > 0))
        return HEED_ERR_ARGUMENT;
    struct heed_cl_device *device = (struct heed_cl_device *)plan->device;
    heed_context *context = device->base.context;
    if (plan->device->ops->plan_compile != heed_cl_plan_compile || plan->device->ops->run)
        return heed_fail(context, HEED_ERR_ARGUMENT, "opencl: enqueue: the plan's device was not imported");
    bool out_of_order = false;
    enum heed_status status = heed_cl_usable(device);
    if (!status)
        status = check_queue(device, queue, &out_of_order);
    if (status)
        return status;
    struct heed_cl_bound *bound = heed_alloc(context, plan->arg_count, sizeof *bound);
    status = bound ? bind(plan, args, arg_count, bound) : heed_fail_memory(context);
    if (!status)
        status = heed_cl_enqueue_steps(plan, queue, out_of_order, bound, wait_count, wait_list, NULL, event);
    heed_free(context, bound);
    return status;
}
