/* SPDX-License-Identifier: MIT
 * Makes the pipeline of a step, and what a plan has of them. */
#include <stdio.h>

#include "specialise.h"
#include "vk.h"

static enum heed_status create_module(struct heed_vk_device *device, const struct heed_step *step,
                                      VkShaderModule *module)
{
    heed_context *context = device->base.context;
    const size_t all = heed_vk_kernel_words(step->kernel);
    uint32_t *code = heed_alloc(context, all, sizeof *code), *special = heed_alloc(context, all, sizeof *special);
    size_t words = 0;
    if (code && special) {
        heed_vk_kernel_unpack(step->kernel, code);
        words = heed_spirv_specialise(context, code, all, step->spec, step->spec_count, special);
    }
    heed_free(context, code);
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

/* ---- for src/pipelines.c */

enum heed_status heed_vk_pipeline_make(heed_device *base, const struct heed_step *step, struct heed_pipeline **result,
                                       bool *cached, char why[HEED_REFUSAL])
{
    struct heed_vk_device *device = (struct heed_vk_device *)base;
    if (!heed_vk_has_kernel(step->kernel)) {
        snprintf(why, HEED_REFUSAL, "its kernel %s was left out of this build", heed_kernel_name(step->kernel));
        return HEED_ERR_UNSUPPORTED;
    }
    struct heed_vk_pipeline *made = heed_alloc(base->context, 1, sizeof *made);
    if (!made)
        return heed_fail_memory(base->context);
    enum heed_status status = create_pipeline(device, step, &made->handle, cached);
    if (status)
        heed_free(base->context, made);
    else
        *result = &made->base;
    return status;
}

void heed_vk_pipeline_destroy(heed_device *base, struct heed_pipeline *pipeline)
{
    struct heed_vk_device *device = (struct heed_vk_device *)base;
    if (!heed_vk_in_child(device))
        device->vk.DestroyPipeline(device->device, ((struct heed_vk_pipeline *)pipeline)->handle, NULL);
    heed_free(base->context, pipeline);
}

/* ---- plans */

enum heed_status heed_vk_plan_compile(heed_plan *plan)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    struct heed_vk_plan *compiled = heed_alloc(context, 1, sizeof *compiled);
    if (!compiled)
        return heed_fail_memory(context);
    status = heed_pipelines_obtain(&device->pipelines, plan, &compiled->pipelines);
    if (status)
        heed_free(context, compiled);
    else
        plan->backend = compiled;
    return status;
}

void heed_vk_plan_release(heed_plan *plan)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    struct heed_vk_plan *compiled = plan->backend;
    if (!compiled)
        return;
    heed_pipelines_release(&device->pipelines, &compiled->pipelines);
    if (!heed_vk_in_child(device))
        heed_vk_memory_destroy(device, &compiled->scratch);
    heed_free(device->base.context, compiled);
    plan->backend = NULL;
}
