/* SPDX-License-Identifier: MIT
 * A Vulkan program with one planted bug, which proves that a mode of the validation layer works before its silence over
 * heed is believed:  canary none|core|destroy|sync|gpu
 *     none     no bug: the layer must have nothing to say
 *     core     a buffer of no bytes
 *     destroy  a buffer that is left when the device goes: messages of that late moment count too
 *     sync     a dispatch reads what the one before wrote, without a barrier
 *     gpu      a shader writes behind the end of its buffer */
#include <vulkan/vulkan.h>

#include "canary.spv.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 64 };

static void require(VkResult result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "canary: %s: VkResult %d\n", what, result);
        exit(1);
    }
}

static VkBuffer make_buffer(VkDevice device, VkDeviceSize bytes, VkDeviceMemory *memory)
{
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkBuffer buffer = VK_NULL_HANDLE;
    require(vkCreateBuffer(device, &info, NULL, &buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, buffer, &needs);
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1))
        type++;
    const VkMemoryAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = type};
    require(vkAllocateMemory(device, &allocate, NULL, memory), "vkAllocateMemory");
    require(vkBindBufferMemory(device, buffer, *memory, 0), "vkBindBufferMemory");
    return buffer;
}

int main(int argc, char **argv)
{
    const char *bug = argc == 2 ? argv[1] : "";
    const bool known = !strcmp(bug, "none") || !strcmp(bug, "core") || !strcmp(bug, "destroy") ||
                       !strcmp(bug, "sync") || !strcmp(bug, "gpu");
    if (!known) {
        fprintf(stderr, "usage: canary none|core|destroy|sync|gpu\n");
        return 2;
    }

    const VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance_info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                                .pApplicationInfo = &app};
    VkInstance instance;
    require(vkCreateInstance(&instance_info, NULL, &instance), "vkCreateInstance");
    VkPhysicalDevice physical_device;
    uint32_t count = 1;
    require(vkEnumeratePhysicalDevices(instance, &count, &physical_device), "vkEnumeratePhysicalDevices");

    /* The software drivers that tests run on have one queue family, which can do everything. */
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue_info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    VkPhysicalDeviceFeatures supported;
    vkGetPhysicalDeviceFeatures(physical_device, &supported);
    /* What the layer's own instrumentation uses. */
    const VkPhysicalDeviceFeatures features = {.fragmentStoresAndAtomics = supported.fragmentStoresAndAtomics,
                                               .vertexPipelineStoresAndAtomics =
                                                   supported.vertexPipelineStoresAndAtomics,
                                               .shaderInt64 = supported.shaderInt64};
    const VkDeviceCreateInfo device_info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                            .queueCreateInfoCount = 1,
                                            .pQueueCreateInfos = &queue_info,
                                            .pEnabledFeatures = &features};
    VkDevice device;
    require(vkCreateDevice(physical_device, &device_info, NULL, &device), "vkCreateDevice");
    VkQueue queue;
    vkGetDeviceQueue(device, 0, 0, &queue);

    const VkDescriptorSetLayoutBinding slots[2] = {{.binding = 0,
                                                    .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                    .descriptorCount = 1,
                                                    .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT},
                                                   {.binding = 1,
                                                    .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                    .descriptorCount = 1,
                                                    .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT}};
    const VkDescriptorSetLayoutCreateInfo set_layout_info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 2, .pBindings = slots};
    VkDescriptorSetLayout set_layout;
    require(vkCreateDescriptorSetLayout(device, &set_layout_info, NULL, &set_layout), "vkCreateDescriptorSetLayout");
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 4};
    const VkPipelineLayoutCreateInfo layout_info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                    .setLayoutCount = 1,
                                                    .pSetLayouts = &set_layout,
                                                    .pushConstantRangeCount = 1,
                                                    .pPushConstantRanges = &range};
    VkPipelineLayout layout;
    require(vkCreatePipelineLayout(device, &layout_info, NULL, &layout), "vkCreatePipelineLayout");
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = sizeof canary_spv, .pCode = canary_spv};
    VkShaderModule module;
    require(vkCreateShaderModule(device, &module_info, NULL, &module), "vkCreateShaderModule");
    const VkComputePipelineCreateInfo pipeline_info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main"},
        .layout = layout};
    VkPipeline pipeline;
    require(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline_info, NULL, &pipeline),
            "vkCreateComputePipelines");

    /* Three buffers; sets[0] copies 0 to 1, sets[1] copies 1 to 2. */
    VkBuffer buffers[3];
    VkDeviceMemory memories[3];
    for (int i = 0; i < 3; i++)
        buffers[i] = make_buffer(device, 4 * ELEMENTS, &memories[i]);
    const VkDescriptorPoolSize pool_size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 4};
    const VkDescriptorPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                                  .maxSets = 2,
                                                  .poolSizeCount = 1,
                                                  .pPoolSizes = &pool_size};
    VkDescriptorPool pool;
    require(vkCreateDescriptorPool(device, &pool_info, NULL, &pool), "vkCreateDescriptorPool");
    VkDescriptorSet sets[2];
    for (int i = 0; i < 2; i++) {
        const VkDescriptorSetAllocateInfo set_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                      .descriptorPool = pool,
                                                      .descriptorSetCount = 1,
                                                      .pSetLayouts = &set_layout};
        require(vkAllocateDescriptorSets(device, &set_info, &sets[i]), "vkAllocateDescriptorSets");
        const VkDescriptorBufferInfo ranges[2] = {{.buffer = buffers[i], .range = 4 * ELEMENTS},
                                                  {.buffer = buffers[i + 1], .range = 4 * ELEMENTS}};
        const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                            .dstSet = sets[i],
                                            .descriptorCount = 2,
                                            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            .pBufferInfo = ranges};
        vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
    }

    const VkCommandPoolCreateInfo command_pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandPool command_pool;
    require(vkCreateCommandPool(device, &command_pool_info, NULL, &command_pool), "vkCreateCommandPool");
    const VkCommandBufferAllocateInfo command_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                      .commandPool = command_pool,
                                                      .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                      .commandBufferCount = 1};
    VkCommandBuffer commands;
    require(vkAllocateCommandBuffers(device, &command_info, &commands), "vkAllocateCommandBuffers");
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    require(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    /* Half a work group behind the end: within the allocation on every driver, beyond the descriptor's range. */
    const uint32_t first = !strcmp(bug, "gpu") ? ELEMENTS / 2 : 0;
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, 4, &first);
    for (int i = 0; i < 2; i++) {
        vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &sets[i], 0, NULL);
        vkCmdDispatch(commands, 1, 1, 1);
        const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                         .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                         .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
        if (strcmp(bug, "sync"))
            vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
                                 0, 1, &barrier, 0, NULL, 0, NULL);
    }
    require(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    require(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    require(vkDeviceWaitIdle(device), "vkDeviceWaitIdle");

    if (!strcmp(bug, "core")) {
        const VkBufferCreateInfo empty = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                          .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
        VkBuffer buffer = VK_NULL_HANDLE;
        if (vkCreateBuffer(device, &empty, NULL, &buffer) == VK_SUCCESS)
            vkDestroyBuffer(device, buffer, NULL);
    }
    vkDestroyCommandPool(device, command_pool, NULL);
    vkDestroyDescriptorPool(device, pool, NULL);
    for (int i = 0; i < 3; i++) {
        if (i > 0 || strcmp(bug, "destroy"))
            vkDestroyBuffer(device, buffers[i], NULL);
        vkFreeMemory(device, memories[i], NULL);
    }
    vkDestroyPipeline(device, pipeline, NULL);
    vkDestroyShaderModule(device, module, NULL);
    vkDestroyPipelineLayout(device, layout, NULL);
    vkDestroyDescriptorSetLayout(device, set_layout, NULL);
    vkDestroyDevice(device, NULL);
    vkDestroyInstance(instance, NULL);
    return 0;
}
