/* SPDX-License-Identifier: MIT
 * Own mode: lists devices, makes context and queue. And what every OpenCL device shares. */
#include <string.h>

#include "cl.h"

/* ---- results */

static const char *result_name(cl_int result)
{
    static const struct {
        cl_int result;
        const char *name;
    } names[] = {
#define NAME(result) {result, #result}
        NAME(CL_DEVICE_NOT_FOUND),
        NAME(CL_DEVICE_NOT_AVAILABLE),
        NAME(CL_COMPILER_NOT_AVAILABLE),
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        NAME(CL_OUT_OF_RESOURCES),
        NAME(CL_OUT_OF_HOST_MEMORY),
        NAME(CL_BUILD_PROGRAM_FAILURE),
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        NAME(CL_INVALID_VALUE),
        NAME(CL_INVALID_DEVICE),
        NAME(CL_INVALID_CONTEXT),
        NAME(CL_INVALID_COMMAND_QUEUE),
        NAME(CL_INVALID_MEM_OBJECT),
        NAME(CL_INVALID_BINARY),
        NAME(CL_INVALID_BUILD_OPTIONS),
        NAME(CL_INVALID_PROGRAM_EXECUTABLE),
        NAME(CL_INVALID_KERNEL_NAME),
        NAME(CL_INVALID_ARG_INDEX),
        NAME(CL_INVALID_ARG_SIZE),
        NAME(CL_INVALID_KERNEL_ARGS),
        NAME(CL_INVALID_WORK_GROUP_SIZE),
        NAME(CL_INVALID_WORK_ITEM_SIZE),
        NAME(CL_INVALID_GLOBAL_WORK_SIZE),
        NAME(CL_INVALID_EVENT_WAIT_LIST),
        NAME(CL_INVALID_EVENT),
        NAME(CL_INVALID_BUFFER_SIZE),
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].result == result)
            return names[i].name;
    return "error";
}

static enum heed_status result_status(cl_int result)
{
    switch (result) {
    case CL_SUCCESS:
        return HEED_OK;
    case CL_OUT_OF_HOST_MEMORY:
        return HEED_ERR_HOST_MEMORY;
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_INVALID_BUFFER_SIZE:
        return HEED_ERR_DEVICE_MEMORY;
    case CL_DEVICE_NOT_AVAILABLE:
        return HEED_ERR_DEVICE_LOST;
    default:
        return HEED_ERR_BACKEND;
    }
}

enum heed_status heed_cl_result(heed_context *context, cl_int result, const char *call)
{
    if (result == CL_SUCCESS)
        return HEED_OK;
    return heed_fail(context, result_status(result), "opencl: %s: %s (%d)", call, result_name(result), (int)result);
}

enum heed_status heed_cl_check(struct heed_cl_device *device, cl_int result, const char *call)
{
    if (result == CL_DEVICE_NOT_AVAILABLE)
        atomic_store(&device->lost, true);
    return heed_cl_result(device->base.context, result, call);
}

bool heed_cl_in_child(const struct heed_cl_device *device)
{
    return device->base.process != heed_process_id();
}

enum heed_status heed_cl_usable(struct heed_cl_device *device)
{
    enum heed_status status = heed_device_check(&device->base);
    if (status)
        return status;
    if (atomic_load(&device->lost))
        return heed_fail(device->base.context, HEED_ERR_DEVICE_LOST, "opencl: the device was lost");
    return HEED_OK;
}

/* ---- what every device has */

enum heed_status heed_cl_device_finish(struct heed_cl_device *device, const struct heed_limits *wanted)
{
    struct heed_device_info *info = &device->base.info;
    *info = device->physical.info;
    device->pipelines.device = &device->base;
    device->pipelines.make = heed_cl_pipeline_make;
    device->pipelines.compiled = heed_cl_compiled;
    device->pipelines.destroy = heed_cl_pipeline_destroy;
    device->mutex_made = heed_mutex_init(&device->mutex);
    if (!device->mutex_made || !heed_pipelines_init(&device->pipelines))
        return heed_fail_memory(device->base.context);
    heed_limits_lower(&info->limits, wanted);
    heed_cl_cache_load(device);
    return HEED_OK;
}

void heed_cl_device_destroy(heed_device *base)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base;
    const struct heed_cl_functions *cl = &device->cl;
    const bool own = base->ops->run != NULL, child = heed_cl_in_child(device);
    if (!child && own && device->queue)
        heed_cl_check(device, cl->Finish(device->queue), "clFinish");
    if (!child && !atomic_load(&device->lost))
        heed_cl_cache_save(base);
    device->closing = true;
    heed_pipelines_destroy(&device->pipelines);
    heed_cl_cache_free(device);
    if (!child) {
        if (own && device->queue)
            cl->ReleaseCommandQueue(device->queue);
        if (own && device->context)
            cl->ReleaseContext(device->context);
        heed_cl_loader_close(device->loader);
    }
    if (device->mutex_made)
        heed_mutex_destroy(&device->mutex);
    if (device->queue_mutex_made)
        heed_mutex_destroy(&device->queue_mutex);
    heed_free(base->context, device);
}

/* ---- own mode */

static const struct heed_backend_ops own_ops = {
    .backend = HEED_BACKEND_OPENCL,
    .compile_refuses = true,
    .device_destroy = heed_cl_device_destroy,
    .has_kernel = heed_cl_has_kernel,
    .save_cache = heed_cl_cache_save,
    .plan_compile = heed_cl_plan_compile,
    .plan_release = heed_cl_plan_release,
    .buffer_create = heed_cl_buffer_create,
    .buffer_destroy = heed_cl_buffer_destroy,
    .buffer_write = heed_cl_buffer_write,
    .buffer_read = heed_cl_buffer_read,
    .run = heed_cl_run,
    .profile = heed_cl_profile,
    .fence_wait = heed_cl_fence_wait,
    .fence_get_device_ns = heed_cl_fence_get_device_ns,
    .fence_destroy = heed_cl_fence_destroy,
};

enum heed_status heed_opencl_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                  uint32_t *count)
{
    void *loader = heed_cl_loader_open();
    if (!loader) {
        heed_log(context, HEED_LOG_INFO, "opencl: there is no ICD loader (libOpenCL)");
        return HEED_OK;
    }
    struct heed_cl_functions cl;
    const char *missing = heed_cl_load(&cl, heed_cl_loader_symbol, loader, true);
    enum heed_status status = HEED_OK;
    if (missing)
        heed_log(context, HEED_LOG_INFO, "opencl: the ICD loader has no %s: it is below OpenCL 1.2", missing);
    else
        status = heed_cl_enumerate(context, &cl, infos, capacity, count, 0, NULL);
    heed_cl_loader_close(loader);
    return status;
}

static enum heed_status open_queue(struct heed_cl_device *device)
{
    const struct heed_cl_functions *cl = &device->cl;
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)device->physical.platform,
                                                0};
    cl_int result;
    device->context = cl->CreateContext(properties, 1, &device->physical.handle, NULL, NULL, &result);
    enum heed_status status = heed_cl_check(device, result, "clCreateContext");
    if (status)
        return status;
    device->queue =
        cl->CreateCommandQueue(device->context, device->physical.handle, CL_QUEUE_PROFILING_ENABLE, &result);
    if (result == CL_INVALID_QUEUE_PROPERTIES) { /* OpenCL promises a clock; Mesa's panfrost and v3d have none */
        device->physical.info.has_timestamps = false;
        device->queue = cl->CreateCommandQueue(device->context, device->physical.handle, 0, &result);
    }
    return heed_cl_check(device, result, "clCreateCommandQueue");
}

enum heed_status heed_cl_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                heed_cl_get_function_fn get_function, void *loader, heed_device **result)
{
    *result = NULL;
    struct heed_cl_device *device = heed_alloc(context, 1, sizeof *device);
    if (!device) {
        heed_cl_loader_close(loader);
        return heed_fail_memory(context);
    }
    device->base.context = context;
    device->base.ops = &own_ops;
    device->base.process = heed_process_id();
    device->loader = loader;
    device->queue_mutex_made = heed_mutex_init(&device->queue_mutex);
    const char *missing = heed_cl_load(&device->cl, get_function, loader, true);
    uint32_t count = 0;
    enum heed_status status = missing
                                  ? heed_fail(context, HEED_ERR_NO_DEVICE, "opencl: the ICD loader has no %s", missing)
                                  : heed_cl_enumerate(context, &device->cl, NULL, 0, &count, index, &device->physical);
    if (!status && !device->queue_mutex_made)
        status = heed_fail_memory(context);
    if (!status && !device->physical.handle)
        status = heed_fail(context, HEED_ERR_NO_DEVICE, "opencl: device %u of %u does not exist", (unsigned)index,
                           (unsigned)count);
    if (!status)
        status = open_queue(device);
    static const struct heed_limits no_limits;
    if (!status)
        status = heed_cl_device_finish(device, desc ? &desc->limits : &no_limits);
    if (status) {
        heed_cl_device_destroy(&device->base);
        return status;
    }
    heed_log(context, HEED_LOG_INFO, "opencl: \"%s\" (%s)", device->base.info.name, device->base.info.driver);
    *result = &device->base;
    return HEED_OK;
}

enum heed_status heed_opencl_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                    heed_device **device)
{
    void *loader = heed_cl_loader_open();
    if (loader)
        return heed_cl_create(context, desc, index, heed_cl_loader_symbol, loader, device);
    *device = NULL;
    return heed_fail(context, HEED_ERR_NO_DEVICE, "opencl: there is no ICD loader (libOpenCL)");
}
