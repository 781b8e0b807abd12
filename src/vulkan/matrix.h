/* SPDX-License-Identifier: MIT
 * What heed uses of VK_KHR_cooperative_matrix, VK_KHR_shader_bfloat16 and VK_NV_cooperative_matrix2, for vulkan_core.h
 * before 1.3.255, 1.4.311 and 1.3.300. */
#ifndef HEED_VULKAN_MATRIX_H
#define HEED_VULKAN_MATRIX_H

#include <vulkan/vulkan_core.h>

/* Numbers of the registry. */
enum {
    HEED_VK_COOPERATIVE_MATRIX_FEATURES = 1000506000,   /* VkStructureType */
    HEED_VK_COOPERATIVE_MATRIX_PROPERTY = 1000506001,   /* of one shape */
    HEED_VK_COOPERATIVE_MATRIX_PROPERTIES = 1000506002, /* of the device */
    HEED_VK_BFLOAT16_FEATURES = 1000141000,
    HEED_VK_COOPERATIVE_MATRIX_2_FEATURES = 1000593000,
    HEED_VK_COMPONENT_FLOAT16 = 0, /* VkComponentTypeKHR */
    HEED_VK_COMPONENT_FLOAT32 = 1,
    HEED_VK_COMPONENT_BFLOAT16 = 1000141000,
    HEED_VK_SCOPE_SUBGROUP = 3, /* VkScopeKHR */
};

#define HEED_VK_COOPERATIVE_MATRIX "VK_KHR_cooperative_matrix"
#define HEED_VK_BFLOAT16 "VK_KHR_shader_bfloat16"
#define HEED_VK_COOPERATIVE_MATRIX_2 "VK_NV_cooperative_matrix2"

/* VkCooperativeMatrixPropertiesKHR */
struct heed_vk_matrix_property {
    VkStructureType sType;
    void *pNext;
    uint32_t m, n, k, a_type, b_type, c_type, result_type;
    VkBool32 saturating;
    uint32_t scope;
};

/* VkPhysicalDeviceCooperativeMatrixPropertiesKHR */
struct heed_vk_matrix_stages {
    VkStructureType sType;
    void *pNext;
    VkShaderStageFlags stages;
};

/* vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR */
typedef VkResult(VKAPI_PTR *heed_vk_get_matrix_properties_fn)(VkPhysicalDevice device, uint32_t *count,
                                                              struct heed_vk_matrix_property *properties);

#endif
