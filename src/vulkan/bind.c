/* SPDX-License-Identifier: MIT
 * Ties buffers to a plan and replays its steps into a command buffer: for apps (heed_vulkan.h) and for own mode. */
#include <inttypes.h>
#include <string.h>

#include "vk.h"

/* Where binding `b` of a step lies: from an offset that the device can bind, with the elements before the tensor. */
static enum heed_status place(const heed_plan *plan, const struct heed_step_binding *b,
                              const struct heed_vk_range *ranges, VkDescriptorBufferInfo *info, uint32_t *residual)
{
    const struct heed_vk_device *device = (const struct heed_vk_device *)plan->device;
    heed_context *context = device->base.context;
    const struct heed_vk_range *range = &ranges[b->arg];
    const uint64_t alignment = device->base.info.limits.min_offset_alignment;
    const uint64_t begin = range->offset + b->offset, rest = begin % alignment;
    const uint64_t end = (begin + b->bytes + 3) / 4 * 4; /* kernels work on whole words */
    if (end > range->offset + range->size)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "vulkan: \"%s\" needs bytes %" PRIu64 " to %" PRIu64
                         " of its buffer, which may be used to %" PRIu64,
                         heed_plan_arg_name(plan, b->arg), begin, end, range->offset + range->size);
    if (rest % b->element_bytes != 0)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "vulkan: byte %" PRIu64 " of \"%s\" is not a multiple of its element's %u bytes", begin,
                         heed_plan_arg_name(plan, b->arg), (unsigned)b->element_bytes);
    *info = (VkDescriptorBufferInfo){.buffer = range->buffer, .offset = begin - rest, .range = end - (begin - rest)};
    if (info->range > device->max_storage_range)
        return heed_fail(context, HEED_ERR_UNSUPPORTED,
                         "vulkan: a binding of %" PRIu64 " bytes of \"%s\" is over the device's %" PRIu64, info->range,
                         heed_plan_arg_name(plan, b->arg), device->max_storage_range);
    *residual = (uint32_t)(rest / b->element_bytes);
    return HEED_OK;
}

static enum heed_status write_set(const heed_plan *plan, const struct heed_step *step,
                                  const struct heed_vk_range *ranges, struct heed_vk_bound_step *bound)
{
    const struct heed_vk_device *device = (const struct heed_vk_device *)plan->device;
    VkDescriptorBufferInfo infos[HEED_MAX_BINDINGS];
    VkWriteDescriptorSet writes[HEED_MAX_BINDINGS];
    /* Vulkan has no empty bindings: a tensor without elements, which no kernel touches, is bound to another one. */
    uint32_t filled = 0;
    while (filled + 1 < step->binding_count && step->bindings[filled].bytes == 0)
        filled++;
    uint32_t address_words = 0;
    for (uint32_t i = 0; i < step->binding_count; i++) {
        const struct heed_step_binding *b = &step->bindings[step->bindings[i].bytes > 0 ? i : filled];
        uint32_t residual = 0;
        enum heed_status status = place(plan, b, ranges, &infos[i], &residual);
        if (status)
            return status;
        bound->residual[i / 4] |= residual << (8 * (i % 4));
        if (heed_kernel_addresses(step->kernel) >> i & 1) {
            const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                                    .buffer = infos[i].buffer};
            const uint64_t address = device->vk.GetBufferDeviceAddress(device->device, &info) + infos[i].offset;
            bound->addresses[address_words++] = (uint32_t)address;
            bound->addresses[address_words++] = (uint32_t)(address >> 32);
        }
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = bound->set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &infos[i]};
    }
    device->vk.UpdateDescriptorSets(device->device, step->binding_count, writes, 0, NULL);
    return HEED_OK;
}

static enum heed_status allocate_sets(struct heed_vk_binding *binding)
{
    const heed_plan *plan = binding->plan;
    struct heed_vk_device *device = (struct heed_vk_device *)plan->device;
    const struct heed_vk_functions *vk = &device->vk;
    VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER};
    for (uint32_t i = 0; i < plan->step_count; i++)
        size.descriptorCount += plan->steps[i].binding_count;
    const VkDescriptorPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                                  .maxSets = plan->step_count,
                                                  .poolSizeCount = 1,
                                                  .pPoolSizes = &size};
    VkDescriptorPool pool;
    enum heed_status status = heed_vk_check(device, vk->CreateDescriptorPool(device->device, &pool_info, NULL, &pool),
                                            "vkCreateDescriptorPool");
    if (status)
        return status;
    binding->pool = pool;
    for (uint32_t i = 0; !status && i < plan->step_count; i++) {
        const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = pool,
                                                  .descriptorSetCount = 1,
                                                  .pSetLayouts =
                                                      &device->set_layouts[plan->steps[i].binding_count - 1]};
        status = heed_vk_check(device, vk->AllocateDescriptorSets(device->device, &info, &binding->steps[i].set),
                               "vkAllocateDescriptorSets");
    }
    return status;
}

enum heed_status heed_vk_binding_create(heed_plan *plan, const struct heed_vk_range *ranges,
                                        struct heed_vk_binding **result)
{
    heed_context *context = plan->device->context;
    *result = NULL;
    struct heed_vk_binding *binding = heed_alloc(context, 1, sizeof *binding);
    if (!binding)
        return heed_fail_memory(context);
    binding->plan = plan;
    enum heed_status status = HEED_OK;
    if (plan->step_count > 0) {
        binding->steps = heed_alloc(context, plan->step_count, sizeof *binding->steps);
        status = binding->steps ? allocate_sets(binding) : heed_fail_memory(context);
    }
    for (uint32_t i = 0; !status && i < plan->step_count; i++)
        status = write_set(plan, &plan->steps[i], ranges, &binding->steps[i]);
    if (status)
        heed_vk_binding_destroy(&binding);
    *result = binding;
    return status;
}

void heed_vk_binding_record(const struct heed_vk_binding *binding, VkCommandBuffer commands, uint32_t first,
                            uint32_t count)
{
    static const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    const heed_plan *plan = binding->plan;
    const struct heed_vk_device *device = (const struct heed_vk_device *)plan->device;
    const struct heed_vk_functions *vk = &device->vk;
    const struct heed_vk_plan *compiled = plan->backend;
    VkPipeline bound = VK_NULL_HANDLE;
    for (uint32_t i = first; i < first + count; i++) {
        const struct heed_step *step = &plan->steps[i];
        const VkPipeline pipeline =
            ((const struct heed_vk_pipeline *)heed_step_pipeline(&compiled->pipelines, i))->handle;
        const VkPipelineLayout layout = device->pipeline_layouts[step->binding_count - 1];
        if (step->barrier && i > 0)
            vk->CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                   0, 1, &barrier, 0, NULL, 0, NULL);
        if (pipeline != bound)
            vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        bound = pipeline;
        vk->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &binding->steps[i].set, 0,
                                  NULL);
        uint32_t push[HEED_PUSH_WORDS + HEED_ADDRESS_WORDS];
        memcpy(push, step->push, step->push_words * sizeof *push);
        memcpy(push, binding->steps[i].residual, sizeof binding->steps[i].residual);
        memcpy(push + step->push_words, binding->steps[i].addresses, sizeof binding->steps[i].addresses);
        vk->CmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 4 * heed_step_push_words(step), push);
        vk->CmdDispatch(commands, step->groups[0], step->groups[1], step->groups[2]);
    }
}

/* ---- heed_vulkan.h */

static enum heed_status name_args(const heed_plan *plan, const struct heed_vk_arg *args, uint32_t arg_count,
                                  struct heed_named_arg *named)
{
    heed_context *context = plan->device->context;
    for (uint32_t i = 0; i < arg_count; i++) {
        const char *name = args[i].name ? args[i].name : "(null)";
        const uint64_t end = args[i].offset + args[i].size;
        const uint32_t id = heed_plan_find_arg(plan, args[i].name);
        const bool empty = id + 1 < plan->arg_count && plan->args[id].bytes == 0;
        if (!args[i].buffer && !empty)
            return heed_fail(context, HEED_ERR_ARGUMENT, "vulkan: bind: \"%s\" has no buffer", name);
        if (args[i].size == VK_WHOLE_SIZE || (args[i].size == 0 && !empty))
            return heed_fail(context, HEED_ERR_ARGUMENT, "vulkan: bind: \"%s\" has size %s; say how many bytes", name,
                             args[i].size == 0 ? "0" : "VK_WHOLE_SIZE");
        if (end < args[i].size || end > INT64_MAX)
            return heed_fail(context, HEED_ERR_ARGUMENT,
                             "vulkan: bind: \"%s\" of %" PRIu64 " bytes at offset %" PRIu64 " ends over 2^63", name,
                             args[i].size, args[i].offset);
        named[i] = (struct heed_named_arg){.name = args[i].name, .offset = args[i].offset, .bytes = args[i].size};
        memcpy(&named[i].buffer, &args[i].buffer, sizeof args[i].buffer);
    }
    return HEED_OK;
}

enum heed_status heed_vk_bind(heed_plan *plan, const struct heed_vk_arg *args, uint32_t arg_count,
                              heed_vk_binding **binding)
{
    if (binding)
        *binding = NULL;
    if (!plan || !binding || (!args && arg_count > 0))
        return HEED_ERR_ARGUMENT;
    heed_context *context = plan->device->context;
    if (plan->device->ops->plan_compile != heed_vk_plan_compile || plan->device->ops->run)
        return heed_fail(context, HEED_ERR_ARGUMENT, "vulkan: bind: the plan's device was not imported");
    enum heed_status status = heed_vk_usable((struct heed_vk_device *)plan->device);
    if (status)
        return status;
    struct heed_arg_table table;
    status = heed_arg_table_make(plan, arg_count, &table);
    if (status)
        return status;
    struct heed_vk_range *ranges = heed_alloc(context, plan->arg_count, sizeof *ranges);
    status = ranges ? name_args(plan, args, arg_count, table.named) : heed_fail_memory(context);
    if (!status)
        status = heed_args_check(plan, table.named, arg_count, true, table.position);
    for (uint32_t id = 0; !status && id < plan->arg_count; id++) {
        if (table.position[id] == UINT32_MAX)
            continue;
        const struct heed_vk_arg *arg = &args[table.position[id]];
        ranges[id] = (struct heed_vk_range){arg->buffer, arg->offset, arg->size};
    }
    if (!status)
        status = heed_vk_binding_create(plan, ranges, binding);
    heed_free(context, ranges);
    heed_arg_table_free(context, &table);
    return status;
}

void heed_vk_binding_destroy(heed_vk_binding **binding)
{
    if (!binding || !*binding)
        return;
    const struct heed_vk_device *device = (const struct heed_vk_device *)(*binding)->plan->device;
    heed_context *context = device->base.context;
    if ((*binding)->pool && !heed_vk_in_child(device))
        device->vk.DestroyDescriptorPool(device->device, (*binding)->pool, NULL);
    heed_free(context, (*binding)->steps);
    heed_free(context, *binding);
    *binding = NULL;
}

enum heed_status heed_vk_record_range(const heed_vk_binding *binding, VkCommandBuffer command_buffer, uint32_t first,
                                      uint32_t count)
{
    if (!binding || !command_buffer)
        return HEED_ERR_ARGUMENT;
    const heed_plan *plan = binding->plan;
    if (first > plan->step_count || count > plan->step_count - first)
        return heed_fail(plan->device->context, HEED_ERR_ARGUMENT,
                         "vulkan: record: %u dispatches from %u on are not among the %u of the plan", (unsigned)count,
                         (unsigned)first, (unsigned)plan->step_count);
    enum heed_status status = heed_vk_usable((struct heed_vk_device *)plan->device);
    if (!status)
        heed_vk_binding_record(binding, command_buffer, first, count);
    return status;
}

enum heed_status heed_vk_record(const heed_vk_binding *binding, VkCommandBuffer command_buffer)
{
    return binding ? heed_vk_record_range(binding, command_buffer, 0, binding->plan->step_count) : HEED_ERR_ARGUMENT;
}
