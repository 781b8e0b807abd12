/* SPDX-License-Identifier: MIT
 * The app's half of embed mode, in plain Vulkan 1.1. */
#include "vk_app.h"

#include <check.h>
#include <string.h>

#include "vk_wrap.h"

void app_open(struct app *app, PFN_vkGetInstanceProcAddr loader_entry, heed_context *context)
{
    *app = (struct app){.context = context};
    struct heed_vk_functions *vk = &app->vk;
    ck_assert_ptr_null(heed_vk_load_global(vk, loader_entry));
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo instance_info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                                .pApplicationInfo = &application};
    ck_assert_int_eq(vk->CreateInstance(&instance_info, NULL, &app->instance), VK_SUCCESS);
    ck_assert_ptr_null(heed_vk_load_physical(vk, app->instance));
    ck_assert_ptr_null(heed_vk_load_device(vk, app->instance));
    ck_assert_ptr_null(heed_vk_load_own(vk, app->instance));
    uint32_t count = 1;
    ck_assert_int_ge(vk->EnumeratePhysicalDevices(app->instance, &count, &app->physical), 0);
    ck_assert_uint_eq(count, 1);

    struct heed_vk_requirements *needs = &app->requirements;
    ck_assert_int_eq(
        heed_vk_get_requirements(context, app->instance, app->physical, vk_wrap_get_instance_proc_addr, needs),
        HEED_OK);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &needs->features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = needs->extension_count,
                                     .ppEnabledExtensionNames = needs->extensions};
    ck_assert_int_eq(vk->CreateDevice(app->physical, &info, NULL, &app->device), VK_SUCCESS);
    vk->GetDeviceQueue(app->device, 0, 0, &app->queue);
}

static bool has_addresses(const struct app *app)
{
    return app->requirements.buffer_device_address.bufferDeviceAddress;
}

struct heed_vk_import_desc app_desc(const struct app *app)
{
    return (struct heed_vk_import_desc){.struct_size = sizeof(struct heed_vk_import_desc),
                                        .instance = app->instance,
                                        .physical_device = app->physical,
                                        .device = app->device,
                                        .get_instance_proc_addr = vk_wrap_get_instance_proc_addr,
                                        .api_version = VK_API_VERSION_1_1,
                                        .extensions = app->requirements.extensions,
                                        .extension_count = app->requirements.extension_count,
                                        .features = &app->requirements.features,
                                        .buffers_have_addresses = has_addresses(app)};
}

void app_import(struct app *app, uint32_t min_offset_alignment)
{
    struct heed_vk_import_desc desc = app_desc(app);
    desc.limits.min_offset_alignment = min_offset_alignment;
    ck_assert_int_eq(heed_vk_import(app->context, &desc, &app->heed), HEED_OK);
}

void app_close(struct app *app)
{
    heed_device_destroy(&app->heed);
    app->vk.DestroyDevice(app->device, NULL);
    app->vk.DestroyInstance(app->instance, NULL);
}

struct app_buffer app_buffer(struct app *app, uint64_t bytes)
{
    const struct heed_vk_functions *vk = &app->vk;
    struct app_buffer buffer;
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                 (has_addresses(app) ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0)};
    ck_assert_int_eq(vk->CreateBuffer(app->device, &info, NULL, &buffer.handle), VK_SUCCESS);
    VkMemoryRequirements needs;
    vk->GetBufferMemoryRequirements(app->device, buffer.handle, &needs);
    VkPhysicalDeviceMemoryProperties memory;
    vk->GetPhysicalDeviceMemoryProperties(app->physical, &memory);
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t type = 0;
    while (!(needs.memoryTypeBits >> type & 1) || (memory.memoryTypes[type].propertyFlags & wanted) != wanted)
        ck_assert_uint_lt(++type, memory.memoryTypeCount);
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                           .pNext = has_addresses(app) ? &flags : NULL,
                                           .allocationSize = needs.size,
                                           .memoryTypeIndex = type};
    ck_assert_int_eq(vk->AllocateMemory(app->device, &allocate, NULL, &buffer.memory), VK_SUCCESS);
    ck_assert_int_eq(vk->BindBufferMemory(app->device, buffer.handle, buffer.memory, 0), VK_SUCCESS);
    void *map;
    ck_assert_int_eq(vk->MapMemory(app->device, buffer.memory, 0, VK_WHOLE_SIZE, 0, &map), VK_SUCCESS);
    buffer.words = map;
    memset(map, 0xcd, bytes);
    return buffer;
}

void app_buffer_free(struct app *app, struct app_buffer *buffer)
{
    app->vk.DestroyBuffer(app->device, buffer->handle, NULL);
    app->vk.FreeMemory(app->device, buffer->memory, NULL);
}

VkCommandBuffer app_begin(struct app *app, VkCommandPool *pool)
{
    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    ck_assert_int_eq(app->vk.CreateCommandPool(app->device, &pool_info, NULL, pool), VK_SUCCESS);
    const VkCommandBufferAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = *pool, .commandBufferCount = 1};
    VkCommandBuffer commands;
    ck_assert_int_eq(app->vk.AllocateCommandBuffers(app->device, &info, &commands), VK_SUCCESS);
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    ck_assert_int_eq(app->vk.BeginCommandBuffer(commands, &begin), VK_SUCCESS);
    return commands;
}

void app_barrier(struct app *app, VkCommandBuffer commands)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT};
    app->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0,
                               1, &barrier, 0, NULL, 0, NULL);
}

void app_end(struct app *app, VkCommandBuffer commands)
{
    const VkMemoryBarrier to_host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    app->vk.CmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                               &to_host, 0, NULL, 0, NULL);
    ck_assert_int_eq(app->vk.EndCommandBuffer(commands), VK_SUCCESS);
}

void app_submit(struct app *app, VkCommandBuffer commands)
{
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    ck_assert_int_eq(app->vk.QueueSubmit(app->queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
    ck_assert_int_eq(app->vk.QueueWaitIdle(app->queue), VK_SUCCESS);
}
