/* SPDX-License-Identifier: MIT
 * The reference backend: a device that is always there. Buffers are host memory and a run is over when it returns. */
#include "reference.h"

#include "../backend.h"
#include "../clock.h"
#include "../pipeline.h"

#include <stdio.h>
#include <string.h>

struct reference_buffer {
    struct heed_buffer base;
    unsigned char *data;
};

struct reference_fence {
    struct heed_fence base;
    uint64_t elapsed_ns;
};

static void device_destroy(heed_device *device)
{
    heed_free(device->context, device);
}

static enum heed_status plan_compile(heed_plan *plan)
{
    (void)plan;
    return HEED_OK;
}

static void plan_release(heed_plan *plan)
{
    (void)plan;
}

static enum heed_status buffer_create(heed_device *device, uint64_t bytes, heed_buffer **buffer)
{
    struct reference_buffer *made = heed_alloc(device->context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(device->context);
    made->base = (struct heed_buffer){.device = device, .bytes = bytes};
    made->data = bytes <= SIZE_MAX ? heed_alloc(device->context, (size_t)bytes, 1) : NULL;
    if (!made->data) {
        heed_free(device->context, made);
        return heed_fail(device->context, HEED_ERR_DEVICE_MEMORY, "buffer: no memory for %llu bytes",
                         (unsigned long long)bytes);
    }
    *buffer = &made->base;
    return HEED_OK;
}

static void buffer_destroy(heed_buffer *buffer)
{
    struct heed_context *context = buffer->device->context;
    heed_free(context, ((struct reference_buffer *)buffer)->data);
    heed_free(context, buffer);
}

static enum heed_status buffer_write(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes)
{
    if (bytes > 0)
        memcpy(((struct reference_buffer *)buffer)->data + offset, data, (size_t)bytes);
    return HEED_OK;
}

static enum heed_status buffer_read(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes)
{
    if (bytes > 0)
        memcpy(data, ((struct reference_buffer *)buffer)->data + offset, (size_t)bytes);
    return HEED_OK;
}

/* ns: of each op, or NULL. */
static enum heed_status solve(const heed_plan *plan, void *const *args, uint64_t *ns)
{
    heed_context *context = plan->device->context;
    const void *const *in = (const void *const *)args;
    switch (plan->op) {
    case HEED_OP_PIPELINE:
        return heed_reference_pipeline(&plan->pipeline->graph, args, HEED_REFERENCE_STORED_TYPE, ns);
    case HEED_OP_DEFORM:
        return heed_reference_deform(context, &plan->problem.deform, in, args, HEED_REFERENCE_STORED_TYPE);
    default:
        return heed_reference_attention(context, &plan->problem.attention, in, args, HEED_REFERENCE_STORED_TYPE);
    }
}

static enum heed_status solve_timed(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *op_ns,
                                    uint64_t *elapsed_ns)
{
    heed_context *context = plan->device->context;
    void **data = heed_alloc(context, plan->arg_count, sizeof *data);
    if (!data)
        return heed_fail_memory(context);
    uint64_t start = heed_clock_ns();
    for (uint32_t arg = 0; arg < plan->arg_count; arg++)
        if (args[arg].buffer)
            data[arg] = ((struct reference_buffer *)args[arg].buffer)->data + args[arg].offset;
    enum heed_status status = solve(plan, data, op_ns);
    *elapsed_ns = heed_clock_ns() - start;
    heed_free(context, data);
    return status;
}

static enum heed_status run(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **fence)
{
    (void)timed;
    heed_context *context = plan->device->context;
    struct reference_fence *made = heed_alloc(context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(context);
    made->base.device = plan->device;
    enum heed_status status = solve_timed(plan, args, NULL, &made->elapsed_ns);
    if (status == HEED_OK)
        *fence = &made->base;
    else
        heed_free(context, made);
    return status;
}

static enum heed_status profile(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns)
{
    uint64_t elapsed;
    enum heed_status status = solve_timed(plan, args, plan->pipeline ? ns : NULL, &elapsed);
    if (!plan->pipeline)
        *ns = elapsed;
    return status;
}

static enum heed_status fence_wait(heed_fence *fence, uint64_t timeout_ns)
{
    (void)fence;
    (void)timeout_ns;
    return HEED_OK;
}

static enum heed_status fence_get_device_ns(heed_fence *fence, uint64_t *ns)
{
    *ns = ((struct reference_fence *)fence)->elapsed_ns;
    return HEED_OK;
}

static void fence_destroy(heed_fence *fence)
{
    heed_free(fence->device->context, fence);
}

static const struct heed_backend_ops reference_ops = {
    .backend = HEED_BACKEND_REFERENCE,
    .direct_kernel = "reference_f64",
    .device_destroy = device_destroy,
    .plan_compile = plan_compile,
    .plan_release = plan_release,
    .buffer_create = buffer_create,
    .buffer_destroy = buffer_destroy,
    .buffer_write = buffer_write,
    .buffer_read = buffer_read,
    .run = run,
    .profile = profile,
    .fence_wait = fence_wait,
    .fence_get_device_ns = fence_get_device_ns,
    .fence_destroy = fence_destroy,
};

/* The limits bound nothing here; they are what no device exceeds, so that whatever looks at them goes on. */
static const struct heed_device_info reference_info = {
    .backend = HEED_BACKEND_REFERENCE,
    .type = HEED_DEVICE_CPU,
    .uuid = {'h', 'e', 'e', 'd', ' ', 'r', 'e', 'f', 'e', 'r', 'e', 'n', 'c', 'e', ' ', 'C'},
    .name = "heed reference (C, double precision)",
    .driver = "heed " HEED_VERSION,
    .limits =
        {
            .max_storage_range = UINT64_MAX,
            .max_group_count = UINT32_MAX,
            .max_group_size = 1024,
            .max_shared_bytes = UINT32_MAX,
            .max_storage_buffers = UINT32_MAX,
            .min_offset_alignment = 1,
            .subgroup_size_min = 1,
            .subgroup_size_max = 1,
            .max_dispatch_ns = UINT64_MAX,
            .no_subgroups = true,
            .no_matrix = true,
        },
    .has_timestamps = true,
};

enum heed_status heed_reference_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                     uint32_t *count)
{
    (void)context;
    if (*count < capacity)
        infos[*count] = reference_info;
    ++*count;
    return HEED_OK;
}

enum heed_status heed_reference_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                       heed_device **device)
{
    (void)index; /* there is one */
    struct heed_device *made = heed_alloc(context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(context);
    *made = (struct heed_device){
        .context = context,
        .ops = &reference_ops,
        .info = reference_info,
        .process = heed_process_id(),
    };
    heed_limits_lower(&made->info.limits, &desc->limits);
    *device = made;
    return HEED_OK;
}
