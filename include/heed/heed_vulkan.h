/* SPDX-License-Identifier: MIT
 *
 * heed in an app that owns its VkDevice: ask what heed can use, import the device, bind buffers to a plan, record.
 *
 *     before vkCreateDevice   heed_vk_get_requirements
 *     once                    heed_vk_import -> heed_device
 *     per problem             heed_plan_create_attention (heed.h) -> heed_plan
 *     per set of buffers      heed_vk_bind -> heed_vk_binding
 *     every frame             heed_vk_record(binding, command buffer)
 *
 * On an imported device heed never allocates device memory, never submits, never waits, and calls Vulkan only through
 * functions that it got from the app's vkGetInstanceProcAddr. It does not link the Vulkan loader.
 */
#ifndef HEED_HEED_VULKAN_H
#define HEED_HEED_VULKAN_H

#include <heed/heed.h>
#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The layouts of VkPhysicalDeviceCooperativeMatrixFeaturesKHR, VkPhysicalDeviceShaderBfloat16FeaturesKHR and
 * VkPhysicalDeviceCooperativeMatrix2FeaturesNV, which not every vulkan_core.h has that heed works with. */
struct heed_vk_cooperative_matrix_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
};
struct heed_vk_bfloat16_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 shaderBFloat16Type, shaderBFloat16DotProduct, shaderBFloat16CooperativeMatrix;
};
struct heed_vk_cooperative_matrix_2_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrixWorkgroupScope, cooperativeMatrixFlexibleDimensions, cooperativeMatrixReductions,
        cooperativeMatrixConversions, cooperativeMatrixPerElementOperations, cooperativeMatrixTensorAddressing,
        cooperativeMatrixBlockLoads;
};

/* What to enable at vkCreateDevice so that heed can use its best kernels on this physical device. Only api_version and
 * a queue family with compute are needed; the rest is worth enabling where the device has it (what it lacks is left out
 * here). Lifetime of the strings and of the chain: static / that of the struct. */
struct heed_vk_requirements {
    uint32_t api_version;                   /* least: VK_API_VERSION_1_1 */
    uint32_t extension_count;               /* device extensions that are there and useful */
    const char *extensions[16];
    /* Features to enable, chained: features.pNext leads to what follows. Merge with the app's own, or pass
     * &features as VkDeviceCreateInfo::pNext. */
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT subgroup_size_control;
    /* Software drivers; see heed_vk_import_desc.buffers_have_addresses. */
    VkPhysicalDeviceBufferDeviceAddressFeatures buffer_device_address;
    /* For matrix units; kernels on them are used only where all that is asked for here was enabled. */
    VkPhysicalDeviceVulkanMemoryModelFeatures vulkan_memory_model;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    struct heed_vk_cooperative_matrix_features cooperative_matrix;
    struct heed_vk_bfloat16_features bfloat16;
    struct heed_vk_cooperative_matrix_2_features cooperative_matrix_2; /* reductions and conversions */
};

/* `get_instance_proc_addr` is the loader's vkGetInstanceProcAddr. The struct must not be copied afterwards: the chain
 * points into it. HEED_ERR_UNSUPPORTED: the device is below Vulkan 1.1 or has no compute queue. */
HEED_API enum heed_status heed_vk_get_requirements(heed_context *context, VkInstance instance,
                                                   VkPhysicalDevice physical_device,
                                                   PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                                   struct heed_vk_requirements *requirements);

/* The app's device. Everything stays the app's and must outlive the heed_device. */
struct heed_vk_import_desc {
    size_t struct_size; /* sizeof(struct heed_vk_import_desc) */
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    uint32_t api_version;                       /* VkApplicationInfo::apiVersion of the instance; at least 1.1 */
    const char *const *extensions;              /* device extensions that were enabled */
    uint32_t extension_count;
    const VkPhysicalDeviceFeatures2 *features;  /* features that were enabled, with their chain; NULL = none. Features
                                                   that are not declared here are not used */
    bool buffers_have_addresses;                /* every buffer that will be bound, scratch too, has
                                                   VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT, its memory
                                                   VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT. Software drivers are then
                                                   about twice as fast, and with few queries five times, if
                                                   bufferDeviceAddress is among `features`; elsewhere it changes
                                                   nothing */
    VkPipelineCache pipeline_cache;             /* optional: used for every pipeline. Externally synchronised by the
                                                   app, unless it is used by one thread at a time. Without it heed has
                                                   one of its own, kept by heed_context_desc.cache */
    struct heed_limits limits;                  /* as in heed_device_desc */
};

HEED_API enum heed_status heed_vk_import(heed_context *context, const struct heed_vk_import_desc *desc,
                                         heed_device **device);

/* A tensor: `buffer` was created with VK_BUFFER_USAGE_STORAGE_BUFFER_BIT and has memory bound. */
struct heed_vk_arg {
    const char *name;
    VkBuffer buffer;
    VkDeviceSize offset; /* bytes; a multiple of the descriptor's offset_alignment, need not be one of the device's */
    VkDeviceSize size;   /* bytes from offset that heed may touch: to offset + heed_arg_info.bytes rounded up to a
                            multiple of 4, at least. VK_WHOLE_SIZE is not allowed: heed cannot ask a VkBuffer for its
                            size. An argument of 0 bytes may have size 0 and no buffer */
};

typedef struct heed_vk_binding heed_vk_binding;

/* Ties buffers to a plan: checks them and writes descriptor sets (host work; no device memory). `args` are those of the
 * plan plus "scratch" when heed_plan_info.scratch_bytes > 0. A binding can be recorded any number of times; recordings
 * that can execute at the same time need bindings with different outputs and scratch. The plan must outlive it.
 * HEED_ERR_ARGUMENT, HEED_ERR_HOST_MEMORY, HEED_ERR_DEVICE_MEMORY (descriptor pools may be of it), HEED_ERR_BACKEND. */
HEED_API enum heed_status heed_vk_bind(heed_plan *plan, const struct heed_vk_arg *args, uint32_t arg_count,
                                       heed_vk_binding **binding);
/* After the last recording has finished executing. */
HEED_API void heed_vk_binding_destroy(heed_vk_binding **binding);

/* Appends the plan's dispatches, and the barriers between them, to a command buffer that is recording outside a render
 * pass on a queue family with compute. No allocation, no submit, no wait; any thread (Vulkan's rule for the command
 * buffer stands).
 *
 * The app synchronises before and after: heed reads and writes in VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, with
 * VK_ACCESS_SHADER_READ_BIT on inputs, VK_ACCESS_SHADER_WRITE_BIT on outputs, and both on scratch.
 * It leaves the compute bind point's pipeline, descriptor set 0 and push constants changed. */
HEED_API enum heed_status heed_vk_record(const heed_vk_binding *binding, VkCommandBuffer command_buffer);

/* The same for dispatches first .. first + count - 1 of heed_plan_info.dispatches: systems reset a GPU not only for a
 * dispatch of 2 s, but also (amdgpu) for a submission of 2 s. A plan of many dispatches goes into several command buffers,
 * each with count * heed_plan_info.longest_dispatch_ns well below that; they are submitted to one queue, one submission
 * each, in the order of the dispatches. HEED_ERR_ARGUMENT: there are not so many. */
HEED_API enum heed_status heed_vk_record_range(const heed_vk_binding *binding, VkCommandBuffer command_buffer,
                                               uint32_t first, uint32_t count);

#ifdef __cplusplus
}
#endif
#endif
