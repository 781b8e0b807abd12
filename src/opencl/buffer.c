/* SPDX-License-Identifier: MIT
 * Buffers of own mode. */
#include <inttypes.h>

#include "cl.h"

enum heed_status heed_cl_memory_create(struct heed_cl_device *device, uint64_t bytes, cl_mem *memory)
{
    if (bytes > device->physical.max_allocation)
        return heed_fail(device->base.context, HEED_ERR_DEVICE_MEMORY,
                         "opencl: a buffer of %" PRIu64 " bytes is over the device's largest of %" PRIu64, bytes,
                         device->physical.max_allocation);
    /* Kernels touch whole words. */
    cl_int result;
    *memory = device->cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, (size_t)((bytes + 3) / 4 * 4), NULL, &result);
    return heed_cl_check(device, result, "clCreateBuffer");
}

enum heed_status heed_cl_buffer_create(heed_device *base, uint64_t bytes, heed_buffer **result)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base;
    const struct heed_cl_functions *cl = &device->cl;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    struct heed_cl_buffer *buffer = heed_alloc(base->context, 1, sizeof *buffer);
    if (!buffer)
        return heed_fail_memory(base->context);
    buffer->base = (struct heed_buffer){.device = base, .bytes = bytes};
    status = heed_cl_memory_create(device, bytes, &buffer->handle);
    const cl_uint zero = 0;
    if (!status)
        status = heed_cl_check(device,
                               cl->EnqueueFillBuffer(device->queue, buffer->handle, &zero, sizeof zero, 0,
                                                     (size_t)((bytes + 3) / 4 * 4), 0, NULL, NULL),
                               "clEnqueueFillBuffer");
    if (!status) /* many drivers allocate now, and tell now that they cannot */
        status = heed_cl_check(device, cl->Finish(device->queue), "clFinish");
    if (status) {
        if (buffer->handle)
            cl->ReleaseMemObject(buffer->handle);
        heed_free(base->context, buffer);
        return status;
    }
    *result = &buffer->base;
    return HEED_OK;
}

void heed_cl_buffer_destroy(heed_buffer *base)
{
    struct heed_cl_buffer *buffer = (struct heed_cl_buffer *)base;
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    if (!heed_cl_in_child(device))
        device->cl.ReleaseMemObject(buffer->handle);
    heed_free(base->device->context, buffer);
}

/* The queue is in order: what was run before comes first. */

enum heed_status heed_cl_buffer_write(heed_buffer *base, uint64_t offset, const void *data, uint64_t bytes)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    return heed_cl_check(device,
                         device->cl.EnqueueWriteBuffer(device->queue, ((struct heed_cl_buffer *)base)->handle, CL_TRUE,
                                                       (size_t)offset, (size_t)bytes, data, 0, NULL, NULL),
                         "clEnqueueWriteBuffer");
}

enum heed_status heed_cl_buffer_read(heed_buffer *base, uint64_t offset, void *data, uint64_t bytes)
{
    struct heed_cl_device *device = (struct heed_cl_device *)base->device;
    enum heed_status status = heed_cl_usable(device);
    if (status)
        return status;
    return heed_cl_check(device,
                         device->cl.EnqueueReadBuffer(device->queue, ((struct heed_cl_buffer *)base)->handle, CL_TRUE,
                                                      (size_t)offset, (size_t)bytes, data, 0, NULL, NULL),
                         "clEnqueueReadBuffer");
}
