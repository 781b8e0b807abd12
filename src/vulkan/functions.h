/* SPDX-License-Identifier: MIT
 * The Vulkan functions that heed calls, as a table per device: no global pointers, no link to the loader. */
#ifndef HEED_VULKAN_FUNCTIONS_H
#define HEED_VULKAN_FUNCTIONS_H

#include <stdbool.h>

#include "matrix.h"

/* Before there is an instance. */
#define HEED_VK_GLOBAL_FUNCTIONS(X) \
    X(CreateInstance) \
    X(EnumerateInstanceExtensionProperties)

/* Of the instance, own mode. */
#define HEED_VK_OWN_INSTANCE_FUNCTIONS(X) \
    X(DestroyInstance) \
    X(EnumeratePhysicalDevices) \
    X(CreateDevice)

/* What describes a physical device. */
#define HEED_VK_PHYSICAL_FUNCTIONS(X) \
    X(EnumerateDeviceExtensionProperties) \
    X(GetPhysicalDeviceFeatures2) \
    X(GetPhysicalDeviceProperties) \
    X(GetPhysicalDeviceProperties2) \
    X(GetPhysicalDeviceMemoryProperties) \
    X(GetPhysicalDeviceQueueFamilyProperties)

/* All that an imported device needs: nothing here allocates device memory, submits or waits. */
#define HEED_VK_DEVICE_FUNCTIONS(X) \
    X(AllocateDescriptorSets) \
    X(CmdBindDescriptorSets) \
    X(CmdBindPipeline) \
    X(CmdDispatch) \
    X(CmdPipelineBarrier) \
    X(CmdPushConstants) \
    X(CreateComputePipelines) \
    X(CreateDescriptorPool) \
    X(CreateDescriptorSetLayout) \
    X(CreatePipelineCache) \
    X(CreatePipelineLayout) \
    X(CreateShaderModule) \
    X(DestroyDescriptorPool) \
    X(DestroyDescriptorSetLayout) \
    X(DestroyPipeline) \
    X(DestroyPipelineCache) \
    X(DestroyPipelineLayout) \
    X(DestroyShaderModule) \
    X(GetPipelineCacheData) \
    X(UpdateDescriptorSets)

/* Own mode: memory, queue, time. */
#define HEED_VK_OWN_DEVICE_FUNCTIONS(X) \
    X(AllocateCommandBuffers) \
    X(AllocateMemory) \
    X(BeginCommandBuffer) \
    X(BindBufferMemory) \
    X(CmdCopyBuffer) \
    X(CmdFillBuffer) \
    X(CmdResetQueryPool) \
    X(CmdWriteTimestamp) \
    X(CreateBuffer) \
    X(CreateCommandPool) \
    X(CreateFence) \
    X(CreateQueryPool) \
    X(DestroyBuffer) \
    X(DestroyCommandPool) \
    X(DestroyDevice) \
    X(DestroyFence) \
    X(DestroyQueryPool) \
    X(DeviceWaitIdle) \
    X(EndCommandBuffer) \
    X(FlushMappedMemoryRanges) \
    X(FreeMemory) \
    X(GetBufferMemoryRequirements) \
    X(GetDeviceQueue) \
    X(GetQueryPoolResults) \
    X(InvalidateMappedMemoryRanges) \
    X(MapMemory) \
    X(QueueSubmit) \
    X(QueueWaitIdle) \
    X(WaitForFences)

struct heed_vk_functions {
    PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
    PFN_vkEnumerateInstanceVersion EnumerateInstanceVersion; /* NULL: the loader is one of Vulkan 1.0 */
    PFN_vkGetBufferDeviceAddress GetBufferDeviceAddress; /* NULL: not asked for */
    heed_vk_get_matrix_properties_fn GetPhysicalDeviceCooperativeMatrixPropertiesKHR; /* NULL: no driver has it */
#define HEED_VK_MEMBER(name) PFN_vk##name name;
    HEED_VK_GLOBAL_FUNCTIONS(HEED_VK_MEMBER)
    HEED_VK_OWN_INSTANCE_FUNCTIONS(HEED_VK_MEMBER)
    HEED_VK_PHYSICAL_FUNCTIONS(HEED_VK_MEMBER)
    HEED_VK_DEVICE_FUNCTIONS(HEED_VK_MEMBER)
    HEED_VK_OWN_DEVICE_FUNCTIONS(HEED_VK_MEMBER)
#undef HEED_VK_MEMBER
};

/* Each returns NULL, or the name of the first function that is missing. Device functions are asked of the instance
 * too, so that an app that wraps vkGetInstanceProcAddr sees every call. */
const char *heed_vk_load_global(struct heed_vk_functions *vk, PFN_vkGetInstanceProcAddr get_instance_proc_addr);
const char *heed_vk_load_physical(struct heed_vk_functions *vk, VkInstance instance);
const char *heed_vk_load_device(struct heed_vk_functions *vk, VkInstance instance);
/* Of Vulkan 1.2, or of its extension. False: there is no such function. */
bool heed_vk_load_addresses(struct heed_vk_functions *vk, VkInstance instance, bool core);
/* What own mode needs beyond the two above. */
const char *heed_vk_load_own(struct heed_vk_functions *vk, VkInstance instance);

#endif
