/* SPDX-License-Identifier: MIT
 * The wrapped functions. A failed call leaves rubbish in its results, as Vulkan allows. */
#include "vk_wrap.h"

#include <stdlib.h>
#include <string.h>

struct vk_wrap vk_wrap;
static struct heed_vk_functions real;

static bool fails(const char *name)
{
    if (atomic_fetch_add(&vk_wrap.calls, 1) + 1 != vk_wrap.fail_at)
        return false;
    vk_wrap.failed = name;
    return true;
}

#define RUBBISH(out) memset(out, 0xdb, sizeof *(out))

/* ---- calls that only return a status */

#define STATUS(name, parameters, arguments) \
    static VKAPI_ATTR VkResult VKAPI_CALL wrap_##name parameters \
    { \
        return fails("vk" #name) ? vk_wrap.fail_with : real.name arguments; \
    }
STATUS(EnumerateInstanceVersion, (uint32_t * version), (version))
STATUS(EnumerateInstanceExtensionProperties, (const char *layer, uint32_t *count, VkExtensionProperties *properties),
       (layer, count, properties))
STATUS(EnumerateDeviceExtensionProperties,
       (VkPhysicalDevice device, const char *layer, uint32_t *count, VkExtensionProperties *properties),
       (device, layer, count, properties))
STATUS(EnumeratePhysicalDevices, (VkInstance instance, uint32_t *count, VkPhysicalDevice *devices),
       (instance, count, devices))
STATUS(BeginCommandBuffer, (VkCommandBuffer commands, const VkCommandBufferBeginInfo *info), (commands, info))
STATUS(EndCommandBuffer, (VkCommandBuffer commands), (commands))
STATUS(BindBufferMemory, (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset),
       (device, buffer, memory, offset))
STATUS(GetQueryPoolResults,
       (VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count, size_t size, void *data, VkDeviceSize stride,
        VkQueryResultFlags flags),
       (device, pool, first, count, size, data, stride, flags))

#define COUNTED(name, counter, parameters, arguments) \
    static VKAPI_ATTR VkResult VKAPI_CALL wrap_##name parameters \
    { \
        atomic_fetch_add(&vk_wrap.counter, 1); \
        return fails("vk" #name) ? vk_wrap.fail_with : real.name arguments; \
    }
COUNTED(QueueSubmit, submits, (VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence),
        (queue, count, infos, fence))
COUNTED(QueueWaitIdle, waits, (VkQueue queue), (queue))
COUNTED(DeviceWaitIdle, waits, (VkDevice device), (device))
COUNTED(WaitForFences, waits,
        (VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout),
        (device, count, fences, all, timeout))

/* ---- objects */

#define CREATED(name, out, call) \
    if (fails(name)) { \
        RUBBISH(out); \
        return vk_wrap.fail_with; \
    } \
    const VkResult result = call; \
    if (result == VK_SUCCESS) { \
        atomic_fetch_add(&vk_wrap.live, 1); \
        atomic_fetch_add(&vk_wrap.created, 1); \
    } \
    return result;

#define OBJECT(name) \
    static VKAPI_ATTR VkResult VKAPI_CALL wrap_Create##name(VkDevice device, const Vk##name##CreateInfo *info, \
                                                            const VkAllocationCallbacks *allocator, Vk##name *out) \
    { \
        CREATED("vkCreate" #name, out, real.Create##name(device, info, allocator, out)) \
    } \
    static VKAPI_ATTR void VKAPI_CALL wrap_Destroy##name(VkDevice device, Vk##name handle, \
                                                         const VkAllocationCallbacks *allocator) \
    { \
        if (handle) \
            atomic_fetch_sub(&vk_wrap.live, 1); \
        real.Destroy##name(device, handle, allocator); \
    }
#define OBJECTS(X) \
    X(Buffer) \
    X(CommandPool) \
    X(DescriptorPool) \
    X(DescriptorSetLayout) \
    X(Fence) \
    X(PipelineLayout) \
    X(QueryPool) \
    X(ShaderModule)
OBJECTS(OBJECT)

static VKAPI_ATTR VkResult VKAPI_CALL wrap_CreatePipelineCache(VkDevice device, const VkPipelineCacheCreateInfo *info,
                                                               const VkAllocationCallbacks *allocator,
                                                               VkPipelineCache *out)
{
    vk_wrap.cache_given = info->initialDataSize;
    VkPipelineCacheCreateInfo plain = *info;
    if (vk_wrap.cache_bytes > 0)
        plain.initialDataSize = 0;
    if (vk_wrap.cache_refuses_data && info->initialDataSize > 0) {
        RUBBISH(out);
        return VK_ERROR_UNKNOWN;
    }
    CREATED("vkCreatePipelineCache", out, real.CreatePipelineCache(device, &plain, allocator, out))
}

static VKAPI_ATTR void VKAPI_CALL wrap_DestroyPipelineCache(VkDevice device, VkPipelineCache handle,
                                                            const VkAllocationCallbacks *allocator)
{
    if (handle)
        atomic_fetch_sub(&vk_wrap.live, 1);
    real.DestroyPipelineCache(device, handle, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_GetPipelineCacheData(VkDevice device, VkPipelineCache cache, size_t *bytes,
                                                                void *data)
{
    if (fails("vkGetPipelineCacheData"))
        return vk_wrap.fail_with;
    if (vk_wrap.cache_bytes == 0)
        return real.GetPipelineCacheData(device, cache, bytes, data);
    uint8_t header[HEED_CACHE_DRIVER_HEADER];
    size_t length = sizeof header;
    const VkResult result = real.GetPipelineCacheData(device, cache, &length, header);
    const size_t room = *bytes, whole = sizeof header + vk_wrap.cache_bytes;
    if (length != sizeof header || (result != VK_SUCCESS && result != VK_INCOMPLETE))
        abort();
    *bytes = whole;
    if (!data) {
        vk_wrap.cache_bytes += vk_wrap.cache_grows;
        vk_wrap.cache_grows = false;
        return VK_SUCCESS;
    }
    *bytes = room < whole ? room : whole;
    memset(data, vk_wrap.cache_fill, *bytes);
    memcpy(data, header, sizeof header);
    return room < whole ? VK_INCOMPLETE : VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_CreateInstance(const VkInstanceCreateInfo *info,
                                                          const VkAllocationCallbacks *allocator, VkInstance *out)
{
    CREATED("vkCreateInstance", out, real.CreateInstance(info, allocator, out))
}

static VKAPI_ATTR void VKAPI_CALL wrap_DestroyInstance(VkInstance instance, const VkAllocationCallbacks *allocator)
{
    atomic_fetch_sub(&vk_wrap.live, 1);
    real.DestroyInstance(instance, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                        const VkAllocationCallbacks *allocator, VkDevice *out)
{
    CREATED("vkCreateDevice", out, real.CreateDevice(physical, info, allocator, out))
}

static VKAPI_ATTR void VKAPI_CALL wrap_DestroyDevice(VkDevice device, const VkAllocationCallbacks *allocator)
{
    atomic_fetch_sub(&vk_wrap.live, 1);
    real.DestroyDevice(device, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_CreateComputePipelines(VkDevice device, VkPipelineCache cache,
                                                                  uint32_t count,
                                                                  const VkComputePipelineCreateInfo *infos,
                                                                  const VkAllocationCallbacks *allocator,
                                                                  VkPipeline *out)
{
    if (fails("vkCreateComputePipelines") || vk_wrap.null_pipelines) {
        memset(out, 0, count * sizeof *out);
        return vk_wrap.null_pipelines ? VK_SUCCESS : vk_wrap.fail_with;
    }
    vk_wrap.cache_used = cache;
    const VkResult result = real.CreateComputePipelines(device, cache, count, infos, allocator, out);
    if (result == VK_SUCCESS) {
        atomic_fetch_add(&vk_wrap.live, (int)count);
        atomic_fetch_add(&vk_wrap.created, count);
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL wrap_DestroyPipeline(VkDevice device, VkPipeline pipeline,
                                                       const VkAllocationCallbacks *allocator)
{
    if (pipeline)
        atomic_fetch_sub(&vk_wrap.live, 1);
    real.DestroyPipeline(device, pipeline, allocator);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_AllocateDescriptorSets(VkDevice device,
                                                                  const VkDescriptorSetAllocateInfo *info,
                                                                  VkDescriptorSet *sets)
{
    if (fails("vkAllocateDescriptorSets")) {
        RUBBISH(sets);
        return vk_wrap.fail_with;
    }
    atomic_fetch_add(&vk_wrap.created, info->descriptorSetCount);
    return real.AllocateDescriptorSets(device, info, sets);
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_AllocateCommandBuffers(VkDevice device,
                                                                  const VkCommandBufferAllocateInfo *info,
                                                                  VkCommandBuffer *commands)
{
    if (fails("vkAllocateCommandBuffers")) {
        RUBBISH(commands);
        return vk_wrap.fail_with;
    }
    atomic_fetch_add(&vk_wrap.created, info->commandBufferCount);
    return real.AllocateCommandBuffers(device, info, commands);
}

/* ---- commands */

static VKAPI_ATTR void VKAPI_CALL wrap_CmdDispatch(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
    atomic_fetch_add(&vk_wrap.dispatches, 1);
    real.CmdDispatch(commands, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL wrap_CmdBindPipeline(VkCommandBuffer commands, VkPipelineBindPoint point,
                                                       VkPipeline pipeline)
{
    atomic_fetch_add(&vk_wrap.binds, 1);
    real.CmdBindPipeline(commands, point, pipeline);
}

static VKAPI_ATTR void VKAPI_CALL wrap_CmdPipelineBarrier(
    VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to, VkDependencyFlags flags,
    uint32_t memory_count, const VkMemoryBarrier *memory, uint32_t buffer_count, const VkBufferMemoryBarrier *buffers,
    uint32_t image_count, const VkImageMemoryBarrier *images)
{
    atomic_fetch_add(&vk_wrap.barriers, 1);
    real.CmdPipelineBarrier(commands, from, to, flags, memory_count, memory, buffer_count, buffers, image_count,
                            images);
}

/* ---- memory: a copy that the host writes to, and that meets the driver's memory only where heed flushes it */

struct shadow {
    VkDeviceMemory memory;
    uint64_t bytes;
    char *device, *host; /* NULL: not mapped */
};
static struct shadow shadows[64];

/* VK_NULL_HANDLE finds a free one. */
static struct shadow *find_shadow(VkDeviceMemory memory)
{
    for (size_t i = 0; i < sizeof shadows / sizeof *shadows; i++) {
        if (shadows[i].memory == memory)
            return &shadows[i];
    }
    abort();
}

static VKAPI_ATTR void VKAPI_CALL wrap_GetPhysicalDeviceProperties2(VkPhysicalDevice device,
                                                                    VkPhysicalDeviceProperties2 *properties)
{
    real.GetPhysicalDeviceProperties2(device, properties);
    if (vk_wrap.memory != VK_WRAP_MEMORY_AS_IS)
        properties->properties.limits.nonCoherentAtomSize = VK_WRAP_ATOM;
}

static VKAPI_ATTR void VKAPI_CALL wrap_GetPhysicalDeviceMemoryProperties(VkPhysicalDevice device,
                                                                         VkPhysicalDeviceMemoryProperties *properties)
{
    real.GetPhysicalDeviceMemoryProperties(device, properties);
    if (vk_wrap.memory == VK_WRAP_MEMORY_AS_IS)
        return;
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const bool staged = vk_wrap.memory == VK_WRAP_MEMORY_STAGED;
    properties->memoryTypeCount = staged ? 2 : 1;
    properties->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | (staged ? 0 : host);
    properties->memoryTypes[1] = (VkMemoryType){host, properties->memoryTypes[0].heapIndex};
}

static VKAPI_ATTR void VKAPI_CALL wrap_GetBufferMemoryRequirements(VkDevice device, VkBuffer buffer,
                                                                   VkMemoryRequirements *requirements)
{
    real.GetBufferMemoryRequirements(device, buffer, requirements);
    if (vk_wrap.memory != VK_WRAP_MEMORY_AS_IS)
        requirements->memoryTypeBits = vk_wrap.memory == VK_WRAP_MEMORY_STAGED ? 3 : 1;
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_AllocateMemory(VkDevice device, const VkMemoryAllocateInfo *info,
                                                          const VkAllocationCallbacks *allocator, VkDeviceMemory *out)
{
    atomic_fetch_add(&vk_wrap.device_memory, 1);
    if (fails("vkAllocateMemory")) {
        RUBBISH(out);
        return vk_wrap.fail_with;
    }
    VkMemoryAllocateInfo asked = *info;
    if (vk_wrap.memory != VK_WRAP_MEMORY_AS_IS)
        asked.memoryTypeIndex = 0;
    const VkResult result = real.AllocateMemory(device, &asked, allocator, out);
    if (result == VK_SUCCESS) {
        atomic_fetch_add(&vk_wrap.live, 1);
        *find_shadow(VK_NULL_HANDLE) = (struct shadow){.memory = *out, .bytes = info->allocationSize};
    }
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_MapMemory(VkDevice device, VkDeviceMemory memory, VkDeviceSize offset,
                                                     VkDeviceSize bytes, VkMemoryMapFlags flags, void **data)
{
    if (fails("vkMapMemory")) {
        RUBBISH(data);
        return vk_wrap.fail_with;
    }
    const VkResult result = real.MapMemory(device, memory, offset, bytes, flags, data);
    if (result == VK_SUCCESS && vk_wrap.memory != VK_WRAP_MEMORY_AS_IS) {
        struct shadow *shadow = find_shadow(memory);
        shadow->device = *data;
        shadow->host = malloc(shadow->bytes);
        memset(shadow->host, 0xdb, shadow->bytes);
        *data = shadow->host;
    }
    return result;
}

static VKAPI_ATTR void VKAPI_CALL wrap_FreeMemory(VkDevice device, VkDeviceMemory memory,
                                                  const VkAllocationCallbacks *allocator)
{
    if (memory) {
        atomic_fetch_sub(&vk_wrap.live, 1);
        struct shadow *shadow = find_shadow(memory);
        free(shadow->host);
        *shadow = (struct shadow){VK_NULL_HANDLE};
    }
    real.FreeMemory(device, memory, allocator);
}

static void cross(uint32_t count, const VkMappedMemoryRange *ranges, bool to_device)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct shadow *shadow = find_shadow(ranges[i].memory);
        const uint64_t begin = ranges[i].offset, bytes = ranges[i].size;
        const bool whole = bytes % VK_WRAP_ATOM == 0 || begin + bytes == shadow->bytes;
        if (begin % VK_WRAP_ATOM != 0 || bytes == 0 || begin + bytes > shadow->bytes || !whole) {
            vk_wrap.bad_ranges++;
            continue;
        }
        if (to_device)
            memcpy(shadow->device + begin, shadow->host + begin, bytes);
        else
            memcpy(shadow->host + begin, shadow->device + begin, bytes);
    }
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_FlushMappedMemoryRanges(VkDevice device, uint32_t count,
                                                                   const VkMappedMemoryRange *ranges)
{
    (void)device;
    if (fails("vkFlushMappedMemoryRanges"))
        return vk_wrap.fail_with;
    cross(count, ranges, true);
    return VK_SUCCESS;
}

static VKAPI_ATTR VkResult VKAPI_CALL wrap_InvalidateMappedMemoryRanges(VkDevice device, uint32_t count,
                                                                        const VkMappedMemoryRange *ranges)
{
    (void)device;
    if (fails("vkInvalidateMappedMemoryRanges"))
        return vk_wrap.fail_with;
    cross(count, ranges, false);
    return VK_SUCCESS;
}

/* ---- the table */

void vk_wrap_reset(PFN_vkGetInstanceProcAddr loader_entry)
{
    vk_wrap = (struct vk_wrap){.fail_at = 0};
    real.GetInstanceProcAddr = loader_entry;
}

bool vk_wrap_asked(const char *name)
{
    for (uint32_t i = 0; i < vk_wrap.asked_count; i++) {
        if (strcmp(vk_wrap.asked[i], name) == 0)
            return true;
    }
    return false;
}

PFN_vkVoidFunction VKAPI_CALL vk_wrap_get_instance_proc_addr(VkInstance instance, const char *name)
{
    const PFN_vkVoidFunction function = real.GetInstanceProcAddr(instance, name);
    if (function && vk_wrap.asked_count < VK_WRAP_NAMES && !vk_wrap_asked(name))
        vk_wrap.asked[vk_wrap.asked_count++] = name;
#define GIVE(function_name) \
    if (function && strcmp(name, "vk" #function_name) == 0) { \
        real.function_name = (PFN_vk##function_name)function; \
        return (PFN_vkVoidFunction)wrap_##function_name; \
    }
#define GIVE_OBJECT(kind) GIVE(Create##kind) GIVE(Destroy##kind)
    OBJECTS(GIVE_OBJECT)
    GIVE_OBJECT(PipelineCache)
    GIVE(GetPipelineCacheData)
    GIVE_OBJECT(Instance)
    GIVE_OBJECT(Device)
    GIVE(EnumerateInstanceVersion)
    GIVE(EnumerateInstanceExtensionProperties)
    GIVE(EnumerateDeviceExtensionProperties)
    GIVE(EnumeratePhysicalDevices)
    GIVE(GetPhysicalDeviceProperties2)
    GIVE(GetPhysicalDeviceMemoryProperties)
    GIVE(GetBufferMemoryRequirements)
    GIVE(CreateComputePipelines)
    GIVE(DestroyPipeline)
    GIVE(AllocateDescriptorSets)
    GIVE(AllocateCommandBuffers)
    GIVE(BeginCommandBuffer)
    GIVE(EndCommandBuffer)
    GIVE(AllocateMemory)
    GIVE(FreeMemory)
    GIVE(BindBufferMemory)
    GIVE(MapMemory)
    GIVE(FlushMappedMemoryRanges)
    GIVE(InvalidateMappedMemoryRanges)
    GIVE(QueueSubmit)
    GIVE(QueueWaitIdle)
    GIVE(DeviceWaitIdle)
    GIVE(WaitForFences)
    GIVE(GetQueryPoolResults)
    GIVE(CmdDispatch)
    GIVE(CmdBindPipeline)
    GIVE(CmdPipelineBarrier)
    return function;
}
