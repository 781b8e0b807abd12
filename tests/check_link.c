/* SPDX-License-Identifier: MIT
 * An app with heed in it as a static library, the Vulkan loader linked, and its calls made through the loader
 * (check_link) or through volk (check_link_volk): heed defines and needs no symbol named vk*, so both work, also while
 * heed opens the loader for itself. */
#ifdef HEED_TEST_VOLK
#define VOLK_IMPLEMENTATION
#include <volk.h>
#else
#include <vulkan/vulkan.h>
#endif

#include <heed/heed_vulkan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { QUERIES = 3, KEYS = 2, DIM = 4 };

/* The second key is so much the better match that all weight is on it: o is v's second row, exactly. */
static const float q[QUERIES * DIM] = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0};
static const float k[KEYS * DIM] = {-1000, 0, 0, 0, 1000, 0, 0, 0};
static const float v[KEYS * DIM] = {1, 2, 3, 4, 5, 6, 7, 8};

static void log_line(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "heed: %s\n", text);
}

static heed_plan *make_plan(heed_device *device)
{
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = desc.heads_q = desc.heads_kv = 1;
    desc.len_q = QUERIES;
    desc.len_kv = KEYS;
    desc.dim_qk = desc.dim_v = DIM;
    heed_plan *plan;
    CHECK(heed_plan_create_attention(device, &desc, &plan) == HEED_OK);
    return plan;
}

static void check_output(const float *o)
{
    for (int i = 0; i < QUERIES; i++)
        CHECK(memcmp(o + i * DIM, v + DIM, DIM * sizeof *o) == 0);
}

static void own_mode(heed_context *context)
{
    const struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = HEED_BACKEND_VULKAN};
    heed_device *device;
    CHECK(heed_device_create(context, &desc, &device) == HEED_OK);
    heed_plan *plan = make_plan(device);
    const struct {
        const char *name;
        const float *data;
        size_t bytes;
    } tensors[] = {{"q", q, sizeof q}, {"k", k, sizeof k}, {"v", v, sizeof v}, {"o", NULL, sizeof q}};
    struct heed_arg args[4] = {{NULL, NULL, 0}};
    for (int i = 0; i < 4; i++) {
        args[i].name = tensors[i].name;
        CHECK(heed_buffer_create(device, tensors[i].bytes, &args[i].buffer) == HEED_OK);
        if (tensors[i].data)
            CHECK(heed_buffer_write(args[i].buffer, 0, tensors[i].data, tensors[i].bytes) == HEED_OK);
    }
    float o[QUERIES * DIM];
    CHECK(heed_run(plan, args, 4, NULL) == HEED_OK);
    CHECK(heed_buffer_read(args[3].buffer, 0, o, sizeof o) == HEED_OK);
    check_output(o);
    for (int i = 0; i < 4; i++)
        heed_buffer_destroy(&args[i].buffer);
    heed_plan_destroy(&plan);
    heed_device_destroy(&device);
}

static uint32_t find_type(VkPhysicalDevice physical, uint32_t bits)
{
    const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    uint32_t type = 0;
    while (type < memory.memoryTypeCount &&
           (!(bits >> type & 1) || (memory.memoryTypes[type].propertyFlags & wanted) != wanted))
        type++;
    CHECK(type < memory.memoryTypeCount);
    return type;
}

static void embed_mode(heed_context *context, VkInstance instance, VkPhysicalDevice physical)
{
    struct heed_vk_requirements needs;
    CHECK(heed_vk_get_requirements(context, instance, physical, vkGetInstanceProcAddr, &needs) == HEED_OK);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue_info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device_info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                            .pNext = &needs.features,
                                            .queueCreateInfoCount = 1,
                                            .pQueueCreateInfos = &queue_info,
                                            .enabledExtensionCount = needs.extension_count,
                                            .ppEnabledExtensionNames = needs.extensions};
    VkDevice device;
    CHECK(vkCreateDevice(physical, &device_info, NULL, &device) == VK_SUCCESS);
#ifdef HEED_TEST_VOLK
    volkLoadDevice(device);
#endif
    const struct heed_vk_import_desc import = {.struct_size = sizeof import,
                                               .instance = instance,
                                               .physical_device = physical,
                                               .device = device,
                                               .get_instance_proc_addr = vkGetInstanceProcAddr,
                                               .api_version = VK_API_VERSION_1_1,
                                               .extensions = needs.extensions,
                                               .extension_count = needs.extension_count,
                                               .features = &needs.features};
    heed_device *imported;
    CHECK(heed_vk_import(context, &import, &imported) == HEED_OK);
    heed_plan *plan = make_plan(imported);
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);

    /* One buffer for everything, its parts 256 bytes apart. */
    const VkDeviceSize bytes = 4 * 256 + info.scratch_bytes;
    const VkBufferCreateInfo buffer_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = bytes, .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    VkBuffer buffer;
    CHECK(vkCreateBuffer(device, &buffer_info, NULL, &buffer) == VK_SUCCESS);
    VkMemoryRequirements requirements;
    vkGetBufferMemoryRequirements(device, buffer, &requirements);
    const VkMemoryAllocateInfo allocate = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                           .allocationSize = requirements.size,
                                           .memoryTypeIndex = find_type(physical, requirements.memoryTypeBits)};
    VkDeviceMemory memory;
    CHECK(vkAllocateMemory(device, &allocate, NULL, &memory) == VK_SUCCESS);
    CHECK(vkBindBufferMemory(device, buffer, memory, 0) == VK_SUCCESS);
    void *map;
    CHECK(vkMapMemory(device, memory, 0, VK_WHOLE_SIZE, 0, &map) == VK_SUCCESS);
    memcpy(map, q, sizeof q);
    memcpy((char *)map + 256, k, sizeof k);
    memcpy((char *)map + 512, v, sizeof v);
    const struct heed_vk_arg args[] = {{"q", buffer, 0, sizeof q},
                                       {"k", buffer, 256, sizeof k},
                                       {"v", buffer, 512, sizeof v},
                                       {"o", buffer, 768, sizeof q},
                                       {"scratch", buffer, 1024, info.scratch_bytes}};
    heed_vk_binding *binding;
    CHECK(heed_vk_bind(plan, args, info.scratch_bytes > 0 ? 5 : 4, &binding) == HEED_OK);

    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandPool pool;
    CHECK(vkCreateCommandPool(device, &pool_info, NULL, &pool) == VK_SUCCESS);
    const VkCommandBufferAllocateInfo commands_info = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool, .commandBufferCount = 1};
    VkCommandBuffer commands;
    CHECK(vkAllocateCommandBuffers(device, &commands_info, &commands) == VK_SUCCESS);
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    CHECK(vkBeginCommandBuffer(commands, &begin) == VK_SUCCESS);
    CHECK(heed_vk_record(binding, commands) == HEED_OK);
    const VkMemoryBarrier to_host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &to_host, 0,
                         NULL, 0, NULL);
    CHECK(vkEndCommandBuffer(commands) == VK_SUCCESS);
    VkQueue queue;
    vkGetDeviceQueue(device, 0, 0, &queue);
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
    CHECK(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE) == VK_SUCCESS);
    CHECK(vkQueueWaitIdle(queue) == VK_SUCCESS);
    check_output((const float *)((const char *)map + 768));

    heed_vk_binding_destroy(&binding);
    heed_plan_destroy(&plan);
    heed_device_destroy(&imported);
    vkDestroyCommandPool(device, pool, NULL);
    vkDestroyBuffer(device, buffer, NULL);
    vkFreeMemory(device, memory, NULL);
    vkDestroyDevice(device, NULL);
}

int main(void)
{
#ifdef HEED_TEST_VOLK
    CHECK(volkInitialize() == VK_SUCCESS);
#endif
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    VkInstance instance;
    VkPhysicalDevice physical;
    uint32_t count = 1;
    if (vkCreateInstance(&info, NULL, &instance) != VK_SUCCESS) {
        puts("skipped: no Vulkan device here");
        return 77;
    }
#ifdef HEED_TEST_VOLK
    volkLoadInstance(instance);
#endif
    CHECK(vkEnumeratePhysicalDevices(instance, &count, &physical) >= VK_SUCCESS && count == 1);

    heed_context *context;
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = log_line};
    CHECK(heed_context_create(&desc, &context) == HEED_OK);
    embed_mode(context, instance, physical);
    own_mode(context);
    embed_mode(context, instance, physical);
    heed_context_destroy(&context);
    vkDestroyInstance(instance, NULL);
    return 0;
}
