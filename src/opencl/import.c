/* SPDX-License-Identifier: MIT
 * Uses the app's cl_context: heed_opencl.h. */
#include "cl.h"

static const struct heed_backend_ops imported_ops = {
    .backend = HEED_BACKEND_OPENCL,
    .compile_refuses = true,
    .device_destroy = heed_cl_device_destroy,
    .has_kernel = heed_cl_has_kernel,
    .save_cache = heed_cl_cache_save,
    .plan_compile = heed_cl_plan_compile,
    .plan_release = heed_cl_plan_release,
};

static enum heed_status load(struct heed_cl_device *device, const struct heed_cl_import_desc *desc)
{
    heed_context *context = device->base.context;
    heed_cl_get_function_fn get_function = desc->get_function;
    void *user = desc->get_function_user;
    if (!get_function) {
        device->loader = heed_cl_loader_open();
        if (!device->loader)
            return heed_fail(context, HEED_ERR_NO_DEVICE, "opencl: there is no ICD loader (libOpenCL)");
        get_function = heed_cl_loader_symbol;
        user = device->loader;
    }
    const char *missing = heed_cl_load(&device->cl, get_function, user, false);
    if (!missing)
        return HEED_OK;
    return desc->get_function ? heed_fail(context, HEED_ERR_ARGUMENT, "import: get_function gives no %s", missing)
                              : heed_fail(context, HEED_ERR_UNSUPPORTED,
                                          "opencl: the ICD loader has no %s: it is below OpenCL 1.2", missing);
}

/* Whether the device is one of the context's. */
static enum heed_status check_context(struct heed_cl_device *device, cl_device_id wanted)
{
    heed_context *context = device->base.context;
    size_t bytes = 0;
    cl_int result = device->cl.GetContextInfo(device->context, CL_CONTEXT_DEVICES, 0, NULL, &bytes);
    if (result == CL_INVALID_CONTEXT)
        return heed_fail(context, HEED_ERR_ARGUMENT, "import: the context is no cl_context");
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetContextInfo");
    cl_device_id *devices = heed_alloc(context, bytes, 1);
    if (!devices)
        return heed_fail_memory(context);
    result = device->cl.GetContextInfo(device->context, CL_CONTEXT_DEVICES, bytes, devices, NULL);
    bool found = false;
    for (size_t i = 0; result == CL_SUCCESS && i < bytes / sizeof *devices; i++)
        found |= devices[i] == wanted;
    heed_free(context, devices);
    if (result != CL_SUCCESS)
        return heed_cl_check(device, result, "clGetContextInfo");
    if (!found)
        return heed_fail(context, HEED_ERR_ARGUMENT, "import: the device is none of the %zu of the context",
                         bytes / sizeof *devices);
    return HEED_OK;
}

static enum heed_status import(struct heed_cl_device *device, const struct heed_cl_import_desc *desc)
{
    heed_context *context = device->base.context;
    device->context = desc->context;
    enum heed_status status = load(device, desc);
    if (!status)
        status = check_context(device, desc->device);
    if (!status)
        status = heed_cl_physical_init(context, &device->cl, desc->device, &device->physical);
    if (status)
        return status;
    if (device->physical.unusable[0])
        return heed_fail(context, HEED_ERR_UNSUPPORTED, "opencl: \"%s\" %s", device->physical.info.name,
                         device->physical.unusable);
    device->physical.info.has_timestamps = false; /* heed runs nothing here that it could time */
    return heed_cl_device_finish(device, &desc->limits);
}

enum heed_status heed_cl_import(heed_context *context, const struct heed_cl_import_desc *desc, heed_device **result)
{
    if (!context || !result)
        return HEED_ERR_ARGUMENT;
    *result = NULL;
    if (!desc || desc->struct_size != sizeof *desc)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "import: struct_size %zu is not sizeof(struct heed_cl_import_desc) %zu",
                         desc ? desc->struct_size : 0, sizeof *desc);
    if (!desc->context || !desc->device)
        return heed_fail(context, HEED_ERR_ARGUMENT, "import: %s is NULL", desc->context ? "device" : "context");
    struct heed_cl_device *device = heed_alloc(context, 1, sizeof *device);
    if (!device)
        return heed_fail_memory(context);
    device->base.context = context;
    device->base.ops = &imported_ops;
    device->base.process = heed_process_id();
    enum heed_status status = import(device, desc);
    if (status) {
        heed_cl_device_destroy(&device->base);
        return status;
    }
    *result = &device->base;
    return HEED_OK;
}
