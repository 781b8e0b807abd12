/* SPDX-License-Identifier: MIT
 * Fills the table of Vulkan functions through vkGetInstanceProcAddr. */
#include "functions.h"

#define LOAD(name) \
    vk->name = (PFN_vk##name)vk->GetInstanceProcAddr(instance, "vk" #name); \
    if (!vk->name) \
        return "vk" #name;

const char *heed_vk_load_global(struct heed_vk_functions *vk, PFN_vkGetInstanceProcAddr get_instance_proc_addr)
{
    const VkInstance instance = VK_NULL_HANDLE;
    vk->GetInstanceProcAddr = get_instance_proc_addr;
    vk->EnumerateInstanceVersion =
        (PFN_vkEnumerateInstanceVersion)get_instance_proc_addr(instance, "vkEnumerateInstanceVersion");
    HEED_VK_GLOBAL_FUNCTIONS(LOAD)
    return NULL;
}

const char *heed_vk_load_physical(struct heed_vk_functions *vk, VkInstance instance)
{
    HEED_VK_PHYSICAL_FUNCTIONS(LOAD)
    vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR = (heed_vk_get_matrix_properties_fn)vk->GetInstanceProcAddr(
        instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    return NULL;
}

const char *heed_vk_load_device(struct heed_vk_functions *vk, VkInstance instance)
{
    HEED_VK_DEVICE_FUNCTIONS(LOAD)
    return NULL;
}

bool heed_vk_load_addresses(struct heed_vk_functions *vk, VkInstance instance, bool core)
{
    const char *name = core ? "vkGetBufferDeviceAddress" : "vkGetBufferDeviceAddressKHR";
    vk->GetBufferDeviceAddress = (PFN_vkGetBufferDeviceAddress)vk->GetInstanceProcAddr(instance, name);
    return vk->GetBufferDeviceAddress != NULL;
}

const char *heed_vk_load_own(struct heed_vk_functions *vk, VkInstance instance)
{
    HEED_VK_OWN_INSTANCE_FUNCTIONS(LOAD)
    HEED_VK_OWN_DEVICE_FUNCTIONS(LOAD)
    return NULL;
}
