/* SPDX-License-Identifier: MIT
 * Compiles a plan's steps: one pipeline for each kernel with its constants. */
#include <string.h>
#include <time.h>

#include "vk.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool same_pipeline(const struct heed_step *a, const struct heed_step *b)
{
    return a->kernel == b->kernel && a->binding_count == b->binding_count && a->full_subgroups == b->full_subgroups &&
           a->spec_count == b->spec_count && memcmp(a->spec, b->spec, a->spec_count * sizeof *a->spec) == 0;
}

static enum heed_status create_pipeline(struct heed_vk_device *device, const struct heed_step *step,
                                        VkShaderModule module, VkPipeline *pipeline)
{
    const struct heed_vk_functions *vk = &device->vk;
    VkSpecializationMapEntry entries[HEED_MAX_SPEC];
    for (uint32_t i = 0; i < step->spec_count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    const VkSpecializationInfo constants = {.mapEntryCount = step->spec_count,
                                            .pMapEntries = entries,
                                            .dataSize = 4 * step->spec_count,
                                            .pData = step->spec};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .flags =
                      step->full_subgroups
                          ? (VkPipelineShaderStageCreateFlags)VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                          : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = device->pipeline_layouts[step->binding_count - 1]};
    VkPipeline handle = VK_NULL_HANDLE;
    enum heed_status status = heed_vk_check(
        device, vk->CreateComputePipelines(device->device, device->pipeline_cache, 1, &info, NULL, &handle),
        "vkCreateComputePipelines");
    if (status)
        return status;
    if (!handle) /* seen on phones: success, and no pipeline */
        return heed_fail(device->base.context, HEED_ERR_BACKEND, "vulkan: the driver made no pipeline of kernel %s",
                         heed_kernel_name(step->kernel));
    *pipeline = handle;
    return HEED_OK;
}

static enum heed_status create_module(struct heed_vk_device *device, enum heed_kernel kernel, VkShaderModule *module)
{
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
    info.pCode = heed_vk_kernel_code(kernel, &info.codeSize);
    if (!info.pCode)
        return heed_fail(device->base.context, HEED_ERR_UNSUPPORTED, "vulkan: kernel %s was left out of this build",
                         heed_kernel_name(kernel));
    VkShaderModule handle;
    enum heed_status status = heed_vk_check(device, device->vk.CreateShaderModule(device->device, &info, NULL, &handle),
                                            "vkCreateShaderModule");
    if (!status)
        *module = handle;
    return status;
}

enum heed_status heed_vk_plan_compile(heed_plan *plan)
{
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    heed_context *context = device->base.context;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    const uint64_t start = now_ns();
    struct heed_vk_plan *compiled = heed_alloc(context, 1, sizeof *compiled);
    if (!compiled)
        return heed_fail_memory(context);
    plan->backend = compiled;
    if (plan->step_count == 0)
        return HEED_OK;
    compiled->pipelines = heed_alloc(context, plan->step_count, sizeof *compiled->pipelines);
    compiled->step_pipeline = heed_alloc(context, plan->step_count, sizeof *compiled->step_pipeline);
    if (!compiled->pipelines || !compiled->step_pipeline)
        status = heed_fail_memory(context);

    VkShaderModule modules[HEED_KERNEL_COUNT] = {VK_NULL_HANDLE};
    for (uint32_t i = 0; !status && i < plan->step_count; i++) {
        const struct heed_step *step = &plan->steps[i];
        uint32_t p = 0;
        while (p < compiled->pipeline_count && !same_pipeline(compiled->pipelines[p].step, step))
            p++;
        compiled->step_pipeline[i] = p;
        if (p < compiled->pipeline_count)
            continue;
        if (!modules[step->kernel])
            status = create_module(device, step->kernel, &modules[step->kernel]);
        if (!status)
            status = create_pipeline(device, step, modules[step->kernel], &compiled->pipelines[p].handle);
        if (!status) {
            compiled->pipelines[p].step = step;
            compiled->pipeline_count++;
        }
    }
    for (uint32_t i = 0; i < HEED_KERNEL_COUNT; i++) {
        if (modules[i])
            device->vk.DestroyShaderModule(device->device, modules[i], NULL);
    }
    plan->compile_ns = now_ns() - start;
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
        for (uint32_t i = 0; i < compiled->pipeline_count; i++)
            device->vk.DestroyPipeline(device->device, compiled->pipelines[i].handle, NULL);
        heed_vk_memory_destroy(device, &compiled->scratch);
    }
    heed_free(device->base.context, compiled->step_pipeline);
    heed_free(device->base.context, compiled->pipelines);
    heed_free(device->base.context, compiled);
    plan->backend = NULL;
}
