/* SPDX-License-Identifier: MIT
 * Own mode: records a plan into command buffers of its own, submits them, and times them on the device's clock. */
#include <string.h>

#include "vk.h"

/* ---- command buffers with their fence */

struct job {
    VkCommandPool pool;        /* its own, so that nothing is shared between threads */
    VkCommandBuffer *commands; /* submitted one by one, in this order */
    uint32_t count;
    VkFence fence;
    bool submitted; /* and not known to be done */
};

struct heed_vk_fence {
    struct heed_fence base;
    struct job job;
    VkQueryPool queries; /* timestamps: before all steps, then after each mark */
    uint32_t marks;
    struct heed_vk_binding *binding;
};

/* Everything that was submitted before comes first, whatever it did. */
static void order_after_all(const struct heed_vk_functions *vk, VkCommandBuffer commands)
{
    static const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                            .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                                            .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT};
    vk->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, 0, 1,
                           &barrier, 0, NULL, 0, NULL);
}

static void show_host(const struct heed_vk_functions *vk, VkCommandBuffer commands)
{
    static const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                            .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vk->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                           VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
}

/* The caller destroys the job, whatever happened. */
static enum heed_status job_begin(struct heed_vk_device *device, struct job *job, uint32_t count)
{
    const struct heed_vk_functions *vk = &device->vk;
    job->commands = heed_alloc(device->base.context, count, sizeof *job->commands);
    if (!job->commands)
        return heed_fail_memory(device->base.context);
    job->count = count;
    const VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkFence fence;
    enum heed_status status =
        heed_vk_check(device, vk->CreateFence(device->device, &fence_info, NULL, &fence), "vkCreateFence");
    if (status)
        return status;
    job->fence = fence;
    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                               .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
                                               .queueFamilyIndex = device->physical.queue_family};
    VkCommandPool pool;
    status =
        heed_vk_check(device, vk->CreateCommandPool(device->device, &pool_info, NULL, &pool), "vkCreateCommandPool");
    if (status)
        return status;
    job->pool = pool;
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = count};
    status = heed_vk_check(device, vk->AllocateCommandBuffers(device->device, &info, job->commands),
                           "vkAllocateCommandBuffers");
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    for (uint32_t i = 0; !status && i < count; i++)
        status = heed_vk_check(device, vk->BeginCommandBuffer(job->commands[i], &begin), "vkBeginCommandBuffer");
    if (!status)
        order_after_all(vk, job->commands[0]);
    return status;
}

/* The caller holds the mutex. */
static enum heed_status job_submit(struct heed_vk_device *device, struct job *job)
{
    const struct heed_vk_functions *vk = &device->vk;
    enum heed_status status = HEED_OK;
    uint32_t done = 0;
    for (; !status && done < job->count; done++) {
        const VkSubmitInfo info = {
            .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &job->commands[done]};
        const VkFence fence = done + 1 == job->count ? job->fence : VK_NULL_HANDLE;
        status = heed_vk_check(device, vk->QueueSubmit(device->queue, 1, &info, fence), "vkQueueSubmit");
    }
    job->submitted = !status;
    if (status && done > 1) /* no fence tells when those before are done */
        heed_vk_check(device, vk->QueueWaitIdle(device->queue), "vkQueueWaitIdle");
    return status;
}

static enum heed_status job_end(struct heed_vk_device *device, struct job *job)
{
    enum heed_status status = HEED_OK;
    show_host(&device->vk, job->commands[job->count - 1]);
    for (uint32_t i = 0; !status && i < job->count; i++)
        status = heed_vk_check(device, device->vk.EndCommandBuffer(job->commands[i]), "vkEndCommandBuffer");
    return status;
}

static void job_destroy(struct heed_vk_device *device, struct job *job)
{
    const struct heed_vk_functions *vk = &device->vk;
    /* Also after a wait that failed for want of memory: the device may still be at work. */
    if (job->submitted)
        heed_vk_check(device, vk->WaitForFences(device->device, 1, &job->fence, VK_TRUE, UINT64_MAX),
                      "vkWaitForFences");
    if (job->pool)
        vk->DestroyCommandPool(device->device, job->pool, NULL);
    if (job->fence)
        vk->DestroyFence(device->device, job->fence, NULL);
}

static void job_free(struct heed_vk_device *device, struct job *job)
{
    heed_free(device->base.context, job->commands);
}

enum heed_status heed_vk_submit_wait(struct heed_vk_device *device, heed_vk_record_fn record, void *user)
{
    struct job job = {.submitted = false};
    enum heed_status status = job_begin(device, &job, 1);
    if (!status) {
        record(device, job.commands[0], user);
        status = job_end(device, &job);
    }
    if (!status)
        status = job_submit(device, &job);
    if (!status) {
        status = heed_vk_check(device, device->vk.WaitForFences(device->device, 1, &job.fence, VK_TRUE, UINT64_MAX),
                               "vkWaitForFences");
        job.submitted = status != HEED_OK;
    }
    job_destroy(device, &job);
    job_free(device, &job);
    return status;
}

/* ---- runs */

/* The first run of a plan makes its scratch. Runs follow one another on the one queue, and so they can share it. */
static enum heed_status make_scratch(struct heed_vk_device *device, const heed_plan *plan)
{
    struct heed_vk_memory *scratch = &((struct heed_vk_plan *)plan->backend)->scratch;
    enum heed_status status = HEED_OK;
    heed_mutex_lock(&device->mutex);
    if (plan->scratch_bytes > 0 && !scratch->buffer)
        status = heed_vk_memory_create(device, plan->scratch_bytes, HEED_VK_MEMORY_DEVICE, scratch);
    heed_mutex_unlock(&device->mutex);
    return status;
}

static enum heed_status bind(heed_plan *plan, const struct heed_bound_arg *args, struct heed_vk_binding **binding)
{
    const struct heed_vk_memory *scratch = &((struct heed_vk_plan *)plan->backend)->scratch;
    heed_context *context = plan->device->context;
    const uint32_t scratch_arg = plan->arg_count - 1;
    struct heed_vk_range *ranges = heed_alloc(context, plan->arg_count, sizeof *ranges);
    if (!ranges)
        return heed_fail_memory(context);
    for (uint32_t id = 0; id < scratch_arg; id++) {
        if (!args[id].buffer)
            continue;
        const struct heed_vk_memory *memory = &((const struct heed_vk_buffer *)args[id].buffer)->memory;
        ranges[id] = (struct heed_vk_range){memory->buffer, args[id].offset, memory->bytes - args[id].offset};
    }
    ranges[scratch_arg] = (struct heed_vk_range){scratch->buffer, 0, scratch->bytes};
    enum heed_status status = heed_vk_binding_create(plan, ranges, binding);
    heed_free(context, ranges);
    return status;
}

static enum heed_status create_queries(struct heed_vk_device *device, struct heed_vk_fence *fence, uint32_t marks)
{
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = marks + 1};
    VkQueryPool handle;
    enum heed_status status =
        heed_vk_check(device, device->vk.CreateQueryPool(device->device, &info, NULL, &handle), "vkCreateQueryPool");
    if (!status) {
        fence->queries = handle;
        fence->marks = marks;
    }
    return status;
}

static uint32_t submission_count(const heed_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t first = 0; first < plan->step_count; first += heed_plan_submission(plan, first))
        count++;
    return count > 0 ? count : 1;
}

static void write_timestamp(const struct heed_vk_functions *vk, const struct heed_vk_fence *fence,
                            VkCommandBuffer commands, uint32_t query)
{
    vk->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, fence->queries, query);
}

/* marks[i]: how many steps come before timestamp i + 1; they do not fall. No marks: no timestamps. */
static void record(const struct heed_vk_functions *vk, const struct heed_vk_fence *fence, const uint32_t *marks)
{
    const struct job *job = &fence->job;
    if (fence->queries) {
        vk->CmdResetQueryPool(job->commands[0], fence->queries, 0, fence->marks + 1);
        write_timestamp(vk, fence, job->commands[0], 0);
    }
    for (uint32_t i = 0, step = 0, mark = 0; i < job->count; i++) {
        const uint32_t end = step + heed_plan_submission(fence->binding->plan, step);
        for (; mark < fence->marks && marks[mark] <= end; step = marks[mark++]) {
            heed_vk_binding_record(fence->binding, job->commands[i], step, marks[mark] - step);
            write_timestamp(vk, fence, job->commands[i], mark + 1);
        }
        heed_vk_binding_record(fence->binding, job->commands[i], step, end - step);
        step = end;
    }
}

static enum heed_status submit(heed_plan *plan, const struct heed_bound_arg *args, const uint32_t *marks,
                               uint32_t mark_count, heed_fence **result)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    struct heed_vk_fence *fence = heed_alloc(context, 1, sizeof *fence);
    if (!fence)
        return heed_fail_memory(context);
    fence->base.device = &device->base;
    status = make_scratch(device, plan);
    if (!status)
        status = bind(plan, args, &fence->binding);
    if (!status && mark_count > 0 && device->base.info.has_timestamps)
        status = create_queries(device, fence, mark_count);
    if (!status)
        status = job_begin(device, &fence->job, submission_count(plan));
    if (!status) {
        record(&device->vk, fence, marks);
        status = job_end(device, &fence->job);
    }
    if (!status) {
        heed_mutex_lock(&device->mutex);
        status = job_submit(device, &fence->job);
        heed_mutex_unlock(&device->mutex);
    }
    if (status) {
        heed_vk_fence_destroy(&fence->base);
        return status;
    }
    *result = &fence->base;
    return HEED_OK;
}

/* Timestamps only where somebody can ask for them: lavapipe 26.1.6 ends all its work at each, and a run of the least
 * problem takes 0.10 ms without and 0.18 with the two. */
enum heed_status heed_vk_run(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **result)
{
    return submit(plan, args, &plan->step_count, timed ? 1 : 0, result);
}

enum heed_status heed_vk_fence_wait(heed_fence *base, uint64_t timeout_ns)
{
    struct heed_vk_fence *fence = (struct heed_vk_fence *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    const VkResult result = device->vk.WaitForFences(device->device, 1, &fence->job.fence, VK_TRUE, timeout_ns);
    return result == VK_TIMEOUT ? HEED_NOT_READY : heed_vk_check(device, result, "vkWaitForFences");
}

/* From timestamp `first` to timestamp `last`. */
static enum heed_status get_ns(const struct heed_vk_fence *fence, uint32_t first, uint32_t last, uint64_t *ns)
{
    struct heed_vk_device *device = (struct heed_vk_device *)fence->base.device;
    uint64_t ticks[2];
    for (uint32_t i = 0; i < 2; i++) {
        const VkResult result =
            device->vk.GetQueryPoolResults(device->device, fence->queries, i == 0 ? first : last, 1, sizeof *ticks,
                                           &ticks[i], sizeof *ticks, VK_QUERY_RESULT_64_BIT);
        if (result == VK_NOT_READY)
            return HEED_NOT_READY;
        const enum heed_status status = heed_vk_check(device, result, "vkGetQueryPoolResults");
        if (status)
            return status;
    }
    const uint32_t bits = device->physical.timestamp_bits;
    const uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    *ns = (uint64_t)((double)((ticks[1] - ticks[0]) & mask) * device->physical.timestamp_period_ns);
    return HEED_OK;
}

enum heed_status heed_vk_fence_get_device_ns(heed_fence *base, uint64_t *ns)
{
    const struct heed_vk_fence *fence = (const struct heed_vk_fence *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    if (!fence->queries)
        return heed_fail(device->base.context, HEED_ERR_UNSUPPORTED, "vulkan: the device has no timestamps");
    return get_ns(fence, 0, fence->marks, ns);
}

enum heed_status heed_vk_profile(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns)
{
    heed_context *context = plan->device->context;
    const uint32_t count = heed_plan_op_count(plan);
    uint32_t *marks = heed_alloc(context, count > 0 ? count : 1, sizeof *marks);
    if (!marks)
        return heed_fail_memory(context);
    for (uint32_t op = 0; op < count; op++) {
        struct heed_op_time time;
        marks[op] = heed_plan_op(plan, op, &time);
    }
    heed_fence *fence;
    enum heed_status status = submit(plan, args, marks, count, &fence);
    heed_free(context, marks);
    if (status)
        return status;
    status = heed_vk_fence_wait(fence, UINT64_MAX);
    for (uint32_t op = 0; !status && op < count; op++)
        status = get_ns((const struct heed_vk_fence *)fence, op, op + 1, &ns[op]);
    heed_vk_fence_destroy(fence);
    return status;
}

void heed_vk_fence_destroy(heed_fence *base)
{
    struct heed_vk_fence *fence = (struct heed_vk_fence *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    if (!heed_vk_in_child(device)) {
        job_destroy(device, &fence->job);
        if (fence->queries)
            device->vk.DestroyQueryPool(device->device, fence->queries, NULL);
    }
    job_free(device, &fence->job);
    heed_vk_binding_destroy(&fence->binding);
    heed_free(device->base.context, fence);
}
