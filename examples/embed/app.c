/* SPDX-License-Identifier: MIT
 * What any Vulkan app has anyway: an instance, a device, memory, its own shaders, a command buffer. No heed in here. */
#define VOLK_IMPLEMENTATION
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 16, FAMILIES_MAX = 16, SHADER_BUFFERS_MAX = 4 };

void app_must(VkResult result, const char *what)
{
    if (result == VK_SUCCESS)
        return;
    fprintf(stderr, "embed: %s failed: VkResult %d\n", what, (int)result);
    exit(1);
}

static bool find_compute(VkPhysicalDevice device, uint32_t *family)
{
    VkQueueFamilyProperties families[FAMILIES_MAX];
    uint32_t count = FAMILIES_MAX;
    vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families);
    for (*family = 0; *family < count; (*family)++)
        if (families[*family].queueFlags & VK_QUEUE_COMPUTE_BIT)
            return true;
    return false;
}

bool app_create_instance(struct app *app)
{
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "embed", .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    VkPhysicalDevice devices[DEVICES_MAX];
    uint32_t count = DEVICES_MAX;
    if (volkInitialize() != VK_SUCCESS || volkGetInstanceVersion() < VK_API_VERSION_1_1 ||
        vkCreateInstance(&info, NULL, &app->instance) != VK_SUCCESS)
        return false;
    volkLoadInstance(app->instance);
    if (vkEnumeratePhysicalDevices(app->instance, &count, devices) < 0)
        count = 0;
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceProperties properties;
        vkGetPhysicalDeviceProperties(devices[i], &properties);
        if (properties.apiVersion >= VK_API_VERSION_1_1 && find_compute(devices[i], &app->queue_family)) {
            app->physical_device = devices[i];
            memcpy(app->device_name, properties.deviceName, sizeof app->device_name);
            return true;
        }
    }
    return false;
}

void app_create_commands(struct app *app)
{
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = app->queue_family};
    vkGetDeviceQueue(app->device, app->queue_family, 0, &app->queue);
    app_must(vkCreateCommandPool(app->device, &pool, NULL, &app->command_pool), "vkCreateCommandPool");
    const VkCommandBufferAllocateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                                  .commandPool = app->command_pool,
                                                  .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                                  .commandBufferCount = 1};
    app_must(vkAllocateCommandBuffers(app->device, &commands, &app->commands), "vkAllocateCommandBuffers");
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    app_must(vkCreateFence(app->device, &fence, NULL, &app->fence), "vkCreateFence");
}

static uint32_t find_memory(const struct app *app, uint32_t allowed)
{
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(app->physical_device, &memory);
    uint32_t type = 0; /* Vulkan promises one */
    while (!(allowed >> type & 1) || (memory.memoryTypes[type].propertyFlags & wanted) != wanted)
        type++;
    return type;
}

struct app_buffer app_create_buffer(const struct app *app, VkDeviceSize bytes)
{
    struct app_buffer buffer = {.bytes = bytes};
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkMemoryRequirements needs;
    app_must(vkCreateBuffer(app->device, &info, NULL, &buffer.buffer), "vkCreateBuffer");
    vkGetBufferMemoryRequirements(app->device, buffer.buffer, &needs);
    const VkMemoryAllocateInfo memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                         .allocationSize = needs.size,
                                         .memoryTypeIndex = find_memory(app, needs.memoryTypeBits)};
    app_must(vkAllocateMemory(app->device, &memory, NULL, &buffer.memory), "vkAllocateMemory");
    app_must(vkBindBufferMemory(app->device, buffer.buffer, buffer.memory, 0), "vkBindBufferMemory");
    app_must(vkMapMemory(app->device, buffer.memory, 0, VK_WHOLE_SIZE, 0, &buffer.data), "vkMapMemory");
    return buffer;
}

struct app_shader app_create_shader(const struct app *app, const uint32_t *code, size_t code_bytes,
                                    const struct app_buffer *const *buffers, uint32_t buffer_count)
{
    struct app_shader shader;
    VkDescriptorSetLayoutBinding bindings[SHADER_BUFFERS_MAX];
    for (uint32_t i = 0; i < buffer_count; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                     .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo set_layout = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                        .bindingCount = buffer_count,
                                                        .pBindings = bindings};
    app_must(vkCreateDescriptorSetLayout(app->device, &set_layout, NULL, &shader.set_layout),
             "vkCreateDescriptorSetLayout");
    const VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &shader.set_layout};
    app_must(vkCreatePipelineLayout(app->device, &layout, NULL, &shader.layout), "vkCreatePipelineLayout");

    VkShaderModule module;
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = code_bytes, .pCode = code};
    app_must(vkCreateShaderModule(app->device, &module_info, NULL, &module), "vkCreateShaderModule");
    const VkComputePipelineCreateInfo pipeline = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main"},
        .layout = shader.layout};
    app_must(vkCreateComputePipelines(app->device, VK_NULL_HANDLE, 1, &pipeline, NULL, &shader.pipeline),
             "vkCreateComputePipelines");
    vkDestroyShaderModule(app->device, module, NULL);

    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, buffer_count};
    const VkDescriptorPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
    app_must(vkCreateDescriptorPool(app->device, &pool, NULL, &shader.pool), "vkCreateDescriptorPool");
    const VkDescriptorSetAllocateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                             .descriptorPool = shader.pool,
                                             .descriptorSetCount = 1,
                                             .pSetLayouts = &shader.set_layout};
    app_must(vkAllocateDescriptorSets(app->device, &set, &shader.set), "vkAllocateDescriptorSets");
    for (uint32_t i = 0; i < buffer_count; i++) {
        const VkDescriptorBufferInfo buffer = {buffers[i]->buffer, 0, VK_WHOLE_SIZE};
        const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                            .dstSet = shader.set,
                                            .dstBinding = i,
                                            .descriptorCount = 1,
                                            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                            .pBufferInfo = &buffer};
        vkUpdateDescriptorSets(app->device, 1, &write, 0, NULL);
    }
    return shader;
}

void app_dispatch(const struct app *app, const struct app_shader *shader, uint32_t groups)
{
    vkCmdBindPipeline(app->commands, VK_PIPELINE_BIND_POINT_COMPUTE, shader->pipeline);
    vkCmdBindDescriptorSets(app->commands, VK_PIPELINE_BIND_POINT_COMPUTE, shader->layout, 0, 1, &shader->set, 0, NULL);
    vkCmdDispatch(app->commands, groups, 1, 1);
}

void app_barrier(const struct app *app, VkPipelineStageFlags after, VkAccessFlags access)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = access};
    vkCmdPipelineBarrier(app->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, after, 0, 1, &barrier, 0, NULL, 0, NULL);
}

void app_destroy_buffer(const struct app *app, struct app_buffer *buffer)
{
    vkDestroyBuffer(app->device, buffer->buffer, NULL);
    vkFreeMemory(app->device, buffer->memory, NULL);
}

void app_destroy_shader(const struct app *app, struct app_shader *shader)
{
    vkDestroyDescriptorPool(app->device, shader->pool, NULL);
    vkDestroyPipeline(app->device, shader->pipeline, NULL);
    vkDestroyPipelineLayout(app->device, shader->layout, NULL);
    vkDestroyDescriptorSetLayout(app->device, shader->set_layout, NULL);
}

void app_destroy(struct app *app)
{
    if (app->device != VK_NULL_HANDLE) {
        vkDestroyFence(app->device, app->fence, NULL);
        vkDestroyCommandPool(app->device, app->command_pool, NULL);
        vkDestroyDevice(app->device, NULL);
    }
    if (app->instance != VK_NULL_HANDLE)
        vkDestroyInstance(app->instance, NULL);
}
