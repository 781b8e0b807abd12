/* SPDX-License-Identifier: MIT
 * Compiles a plan's steps: one pipeline for each kernel with its constants. */
#include <string.h>

#include "../clock.h"
#include "specialise.h"
#include "vk.h"

static bool same_pipeline(const struct heed_step *a, const struct heed_step *b)
{
    return a->kernel == b->kernel && a->binding_count == b->binding_count && a->subgroup_size == b->subgroup_size &&
           a->spec_count == b->spec_count && memcmp(a->spec, b->spec, a->spec_count * sizeof *a->spec) == 0;
}

static enum heed_status create_module(struct heed_vk_device *device, const struct heed_step *step,
                                      VkShaderModule *module)
{
    heed_context *context = device->base.context;
    size_t bytes;
    const uint32_t *code = heed_vk_kernel_code(step->kernel, &bytes);
    if (!code)
        return heed_fail(context, HEED_ERR_UNSUPPORTED, "vulkan: kernel %s was left out of this build",
                         heed_kernel_name(step->kernel));
    uint32_t *special = heed_alloc(context, bytes, 1);
    size_t words = special ? heed_spirv_specialise(context, code, bytes / 4, step->spec, step->spec_count, special) : 0;
    enum heed_status status = words > 0 ? HEED_OK : heed_fail_memory(context);
    if (!status) {
        const VkShaderModuleCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = 4 * words, .pCode = special};
        VkShaderModule handle = VK_NULL_HANDLE;
        status = heed_vk_check(device, device->vk.CreateShaderModule(device->device, &info, NULL, &handle),
                               "vkCreateShaderModule");
        if (!status)
            *module = handle;
    }
    heed_free(context, special);
    return status;
}

/* `cached`: the driver says that it had it. */
static enum heed_status create_pipeline(struct heed_vk_device *device, const struct heed_step *step,
                                        VkPipeline *pipeline, bool *cached)
{
    VkShaderModule module = VK_NULL_HANDLE;
    enum heed_status status = create_module(device, step, &module);
    if (status)
        return status;
    const struct heed_vk_functions *vk = &device->vk;
    VkSpecializationMapEntry entries[HEED_MAX_SPEC];
    for (uint32_t i = 0; i < step->spec_count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo constants = {.mapEntryCount = step->spec_count,
                                            .pMapEntries = entries,
                                            .dataSize = 4 * step->spec_count,
                                            .pData = step->spec};
    const struct heed_limits *limits = &device->base.info.limits;
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = step->subgroup_size};
    VkPipelineCreationFeedback feedback = {0}, stage_feedback = {0};
    const VkPipelineCreationFeedbackCreateInfo feedback_info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CREATION_FEEDBACK_CREATE_INFO,
        .pPipelineCreationFeedback = &feedback,
        .pipelineStageCreationFeedbackCount = 1,
        .pPipelineStageCreationFeedbacks = &stage_feedback};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .pNext = device->base.info.has_pipeline_feedback ? &feedback_info : NULL,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  /* Where there is one size only, drivers need not let it be asked for. */
                  .pNext =
                      step->subgroup_size > 0 && limits->subgroup_size_min < limits->subgroup_size_max ? &size : NULL,
                  .flags =
                      step->subgroup_size > 0
                          ? (VkPipelineShaderStageCreateFlags)VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                          : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = device->pipeline_layouts[step->binding_count - 1]};
    VkPipeline handle = VK_NULL_HANDLE;
    status = heed_vk_check(device,
                           vk->CreateComputePipelines(device->device, device->pipeline_cache, 1, &info, NULL, &handle),
                           "vkCreateComputePipelines");
    vk->DestroyShaderModule(device->device, module, NULL);
    if (status)
        return status;
    if (!handle) /* seen on phones: success, and no pipeline */
        return heed_fail(device->base.context, HEED_ERR_BACKEND, "vulkan: the driver made no pipeline of kernel %s",
                         heed_kernel_name(step->kernel));
    *pipeline = handle;
    const VkPipelineCreationFeedbackFlags hit =
        VK_PIPELINE_CREATION_FEEDBACK_VALID_BIT | VK_PIPELINE_CREATION_FEEDBACK_APPLICATION_PIPELINE_CACHE_HIT_BIT;
    *cached = (feedback.flags & hit) == hit;
    return HEED_OK;
}

/* ---- the device's pipelines. The caller of take and give_back holds their mutex */

static struct heed_vk_pipeline *take(struct heed_vk_device *device, const struct heed_step *step)
{
    struct heed_vk_pipeline *p = device->pipelines;
    while (p && !same_pipeline(&p->step, step))
        p = p->next;
    if (p)
        p->plans++;
    return p;
}

static void destroy_pipeline(struct heed_vk_device *device, struct heed_vk_pipeline *pipeline)
{
    if (!heed_vk_in_child(device))
        device->vk.DestroyPipeline(device->device, pipeline->handle, NULL);
    heed_free(device->base.context, pipeline);
}

static void unlink_pipeline(struct heed_vk_device *device, const struct heed_vk_pipeline *pipeline)
{
    struct heed_vk_pipeline **link = &device->pipelines;
    while (*link != pipeline)
        link = &(*link)->next;
    *link = pipeline->next;
}

static void give_back(struct heed_vk_device *device, struct heed_vk_pipeline *pipeline)
{
    if (--pipeline->plans > 0)
        return;
    unlink_pipeline(device, pipeline);
    pipeline->next = device->pipelines;
    device->pipelines = pipeline;
    struct heed_vk_pipeline *oldest = NULL;
    uint32_t idle = 0;
    for (struct heed_vk_pipeline *p = device->pipelines; p; p = p->next) {
        if (p->plans == 0) {
            oldest = p;
            idle++;
        }
    }
    if (idle > HEED_VK_IDLE_PIPELINES) {
        unlink_pipeline(device, oldest);
        destroy_pipeline(device, oldest);
    }
}

/* Compiles outside the mutex, so that threads can do so side by side; of two that made the same, the first is kept. */
static enum heed_status obtain(struct heed_vk_device *device, const struct heed_step *step, heed_plan *plan,
                               struct heed_vk_pipeline **pipeline)
{
    heed_mutex_lock(&device->pipelines_mutex);
    *pipeline = take(device, step);
    heed_mutex_unlock(&device->pipelines_mutex);
    if (*pipeline) {
        plan->pipelines_shared++;
        return HEED_OK;
    }
    struct heed_vk_pipeline *made = heed_alloc(device->base.context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(device->base.context);
    bool cached = false;
    enum heed_status status = create_pipeline(device, step, &made->handle, &cached);
    if (status) {
        heed_free(device->base.context, made);
        return status;
    }
    plan->pipelines_cached += cached;
    made->step = *step;
    made->plans = 1;
    heed_mutex_lock(&device->pipelines_mutex);
    *pipeline = take(device, step);
    if (!*pipeline) {
        made->next = device->pipelines;
        device->pipelines = *pipeline = made;
    }
    heed_mutex_unlock(&device->pipelines_mutex);
    if (*pipeline != made)
        destroy_pipeline(device, made);
    return HEED_OK;
}

void heed_vk_pipelines_destroy(struct heed_vk_device *device)
{
    while (device->pipelines) {
        struct heed_vk_pipeline *p = device->pipelines;
        device->pipelines = p->next;
        destroy_pipeline(device, p);
    }
}

/* ---- plans */

enum heed_status heed_vk_plan_compile(heed_plan *plan)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    const uint64_t start = heed_clock_ns();
    struct heed_vk_plan *compiled = heed_alloc(context, 1, sizeof *compiled);
    if (!compiled)
        return heed_fail_memory(context);
    plan->backend = compiled;
    plan->pipelines_shared = plan->pipelines_cached = 0;
    if (plan->step_count == 0)
        return HEED_OK;
    compiled->pipelines = heed_alloc(context, plan->step_count, sizeof *compiled->pipelines);
    compiled->step_pipeline = heed_alloc(context, plan->step_count, sizeof *compiled->step_pipeline);
    if (!compiled->pipelines || !compiled->step_pipeline)
        status = heed_fail_memory(context);

    for (uint32_t i = 0; !status && i < plan->step_count; i++) {
        const struct heed_step *step = &plan->steps[i];
        uint32_t p = 0;
        while (p < compiled->pipeline_count && !same_pipeline(&compiled->pipelines[p]->step, step))
            p++;
        compiled->step_pipeline[i] = p;
        if (p < compiled->pipeline_count)
            continue;
        status = obtain(device, step, plan, &compiled->pipelines[p]);
        if (!status)
            compiled->pipeline_count++;
    }
    plan->pipelines = compiled->pipeline_count;
    plan->compile_ns = heed_clock_ns() - start;
    if (status)
        heed_vk_plan_release(plan);
    return status;
}

void heed_vk_plan_release(heed_plan *plan)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    struct heed_vk_plan *compiled = plan->backend;
    if (!compiled)
        return;
    if (!heed_vk_in_child(device)) {
        heed_mutex_lock(&device->pipelines_mutex);
        for (uint32_t i = 0; i < compiled->pipeline_count; i++)
            give_back(device, compiled->pipelines[i]);
        heed_mutex_unlock(&device->pipelines_mutex);
        heed_vk_memory_destroy(device, &compiled->scratch);
    }
    heed_free(device->base.context, compiled->step_pipeline);
    heed_free(device->base.context, compiled->pipelines);
    heed_free(device->base.context, compiled);
    plan->backend = NULL;
}
