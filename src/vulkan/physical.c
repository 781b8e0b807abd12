/* SPDX-License-Identifier: MIT
 * Describes a physical device: limits, subgroups, the queue family to use. */
#include <stdio.h>
#include <string.h>

#include "../rate.h"
#include "vk.h"

bool heed_vk_has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(extensions[i].extensionName, name) == 0)
            return true;
    }
    return false;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static enum heed_device_type device_type(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return HEED_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return HEED_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return HEED_DEVICE_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return HEED_DEVICE_CPU;
    default:
        return HEED_DEVICE_OTHER;
    }
}

/* A family with compute and without graphics leaves the app's rendering alone. */
static bool find_queue_family(heed_context *context, const struct heed_vk_functions *vk,
                              struct heed_vk_physical *physical, enum heed_status *status)
{
    uint32_t count = 0;
    vk->GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, NULL);
    VkQueueFamilyProperties *families = heed_alloc(context, count, sizeof *families);
    if (count > 0 && !families) {
        *status = heed_fail_memory(context);
        return false;
    }
    vk->GetPhysicalDeviceQueueFamilyProperties(physical->handle, &count, families);
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        const VkQueueFlags flags = families[i].queueFlags;
        const bool alone = !(flags & VK_QUEUE_GRAPHICS_BIT);
        if (!(flags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0 || (found && !alone))
            continue;
        physical->queue_family = i;
        physical->timestamp_bits = families[i].timestampValidBits;
        found = true;
        if (alone)
            break;
    }
    heed_free(context, families);
    return found;
}

/* Properties of extensions that need not be enabled to be read. */
struct cores {
    bool nv, amd, amd2, arm;
};

static struct cores find_cores(const VkExtensionProperties *extensions, uint32_t count)
{
    return (struct cores){
        .nv = heed_vk_has_extension(extensions, count, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME),
        .amd = heed_vk_has_extension(extensions, count, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME),
        .amd2 = heed_vk_has_extension(extensions, count, VK_AMD_SHADER_CORE_PROPERTIES_2_EXTENSION_NAME),
        .arm = heed_vk_has_extension(extensions, count, VK_ARM_SHADER_CORE_BUILTINS_EXTENSION_NAME),
    };
}

static uint32_t count_cores(const struct heed_vk_functions *vk, VkPhysicalDevice handle, struct cores cores)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nv = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
    VkPhysicalDeviceShaderCorePropertiesAMD amd = {.sType =
                                                       VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD};
    VkPhysicalDeviceShaderCoreProperties2AMD amd2 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD};
    VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM arm = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    if (cores.nv) {
        nv.pNext = properties.pNext;
        properties.pNext = &nv;
    }
    if (cores.amd) {
        amd.pNext = properties.pNext;
        properties.pNext = &amd;
    }
    if (cores.amd2) {
        amd2.pNext = properties.pNext;
        properties.pNext = &amd2;
    }
    if (cores.arm) {
        arm.pNext = properties.pNext;
        properties.pNext = &arm;
    }
    if (!properties.pNext)
        return 0;
    vk->GetPhysicalDeviceProperties2(handle, &properties);
    return nv.shaderSMCount              ? nv.shaderSMCount
           : amd2.activeComputeUnitCount ? amd2.activeComputeUnitCount
           : amd.computeUnitsPerShaderArray
               ? amd.shaderEngineCount * amd.shaderArraysPerEngineCount * amd.computeUnitsPerShaderArray
               : arm.shaderCoreCount;
}

static enum heed_status list_extensions(heed_context *context, const struct heed_vk_functions *vk,
                                        VkPhysicalDevice handle, VkExtensionProperties **extensions, uint32_t *count)
{
    *extensions = NULL;
    VkResult result;
    do { /* the number can grow between the two calls */
        heed_free(context, *extensions);
        *extensions = NULL;
        *count = 0;
        result = vk->EnumerateDeviceExtensionProperties(handle, NULL, count, NULL);
        if (result != VK_SUCCESS)
            break;
        *extensions = heed_alloc(context, (size_t)*count + 1, sizeof **extensions);
        if (!*extensions)
            return heed_fail_memory(context);
        result = vk->EnumerateDeviceExtensionProperties(handle, NULL, count, *extensions);
    } while (result == VK_INCOMPLETE);
    if (result != VK_SUCCESS) {
        heed_free(context, *extensions);
        *extensions = NULL;
    }
    return heed_vk_result(context, result, "vkEnumerateDeviceExtensionProperties");
}

static void describe_limits(const VkPhysicalDeviceLimits *from, struct heed_limits *limits)
{
    const uint32_t *groups = from->maxComputeWorkGroupCount;
    limits->max_storage_range = least(from->maxStorageBufferRange, UINT32_C(1) << 31);
    limits->max_group_count = least(groups[0], least(groups[1], groups[2]));
    limits->max_group_size = least(from->maxComputeWorkGroupInvocations, from->maxComputeWorkGroupSize[0]);
    limits->max_shared_bytes = from->maxComputeSharedMemorySize;
    limits->max_storage_buffers =
        least(from->maxPerStageDescriptorStorageBuffers, from->maxDescriptorSetStorageBuffers);
    limits->min_offset_alignment = (uint32_t)from->minStorageBufferOffsetAlignment;
}

static void describe_driver(const VkPhysicalDeviceProperties *properties,
                            const VkPhysicalDeviceDriverProperties *driver, struct heed_device_info *info)
{
    const uint32_t v = properties->driverVersion;
    info->driver_id = (uint32_t)driver->driverID;
    info->driver_version = v;
    if (driver->driverName[0] && driver->driverInfo[0])
        snprintf(info->driver, sizeof info->driver, "%.120s, %.120s", driver->driverName, driver->driverInfo);
    else if (driver->driverName[0])
        snprintf(info->driver, sizeof info->driver, "%.200s", driver->driverName);
    else
        snprintf(info->driver, sizeof info->driver, "driver %u.%u.%u", (unsigned)VK_API_VERSION_MAJOR(v),
                 (unsigned)VK_API_VERSION_MINOR(v), (unsigned)VK_API_VERSION_PATCH(v));
}

/* AMD's own drivers list shapes on GPUs without matrix units too, and are slow there: RDNA 3, which was the first with
 * them, was also the first to multiply signed by unsigned bytes (ggml-org/llama.cpp, Tencent/ncnn keep lists of GPUs).
 */
static bool emulates_matrix(const struct heed_vk_functions *vk, VkPhysicalDevice handle, uint32_t driver_id)
{
    if (driver_id != VK_DRIVER_ID_AMD_PROPRIETARY && driver_id != VK_DRIVER_ID_AMD_OPEN_SOURCE)
        return false;
    VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &dot};
    vk->GetPhysicalDeviceProperties2(handle, &properties);
    return !dot.integerDotProduct4x8BitPackedMixedSignednessAccelerated;
}

/* lavapipe 26.1 crashes on matrices when its vectors have 512 bits (LP_NATIVE_VECTOR_WIDTH), and lists them. */
static bool crashes_on_matrix(const struct heed_device_info *info)
{
    return info->driver_id == VK_DRIVER_ID_MESA_LLVMPIPE && info->limits.subgroup_size_max > 8;
}

/* Of what is listed, the multiplications of f16 or bf16 that a subgroup does and that sum in f32. */
static enum heed_status list_matrix_shapes(heed_context *context, const struct heed_vk_functions *vk,
                                           struct heed_vk_physical *physical, bool bf16)
{
    struct heed_device_info *info = &physical->info;
    struct heed_vk_matrix_property *listed = NULL;
    uint32_t count = 0;
    VkResult result;
    do {
        heed_free(context, listed);
        listed = NULL;
        count = 0;
        result = vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical->handle, &count, NULL);
        if (result != VK_SUCCESS)
            break;
        listed = heed_alloc(context, (size_t)count + 1, sizeof *listed);
        if (!listed)
            return heed_fail_memory(context);
        for (uint32_t i = 0; i < count; i++)
            listed[i].sType = (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_PROPERTY;
        result = vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR(physical->handle, &count, listed);
    } while (result == VK_INCOMPLETE);
    for (uint32_t i = 0; result == VK_SUCCESS && i < count; i++) {
        const struct heed_vk_matrix_property *p = &listed[i];
        const bool half = p->a_type == HEED_VK_COMPONENT_FLOAT16, brain = p->a_type == HEED_VK_COMPONENT_BFLOAT16;
        if (!(half || (brain && bf16)) || p->b_type != p->a_type || p->c_type != HEED_VK_COMPONENT_FLOAT32 ||
            p->result_type != HEED_VK_COMPONENT_FLOAT32 || p->saturating || p->scope != HEED_VK_SCOPE_SUBGROUP ||
            info->matrix_shape_count == HEED_MAX_MATRIX_SHAPES)
            continue;
        info->matrix_shapes[info->matrix_shape_count++] =
            (struct heed_matrix_shape){brain ? HEED_BF16 : HEED_F16, p->m, p->n, p->k};
        physical->matrix_bf16 |= brain;
    }
    heed_free(context, listed);
    return heed_vk_result(context, result, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
}

/* `shuffles`: full subgroups of one size can be had, whose invocations can read each other's values. */
static enum heed_status describe_matrix(heed_context *context, const struct heed_vk_functions *vk,
                                        struct heed_vk_physical *physical, bool shuffles)
{
    struct heed_vk_bfloat16_features bf16 = {.sType = (VkStructureType)HEED_VK_BFLOAT16_FEATURES};
    struct heed_vk_cooperative_matrix_2_features second = {.sType =
                                                               (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_2_FEATURES};
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
        .pNext = physical->bf16_extension ? &bf16 : NULL};
    VkPhysicalDeviceShaderFloat16Int8Features float16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, .pNext = &memory_model};
    struct heed_vk_cooperative_matrix_features matrix = {.sType = (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_FEATURES,
                                                         .pNext = &float16};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &matrix};
    struct heed_vk_matrix_stages stages = {.sType = (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &stages};
    if (!physical->matrix_extension || !shuffles || !vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR)
        return HEED_OK;
    if (physical->matrix_2_extension) {
        second.pNext = features.pNext;
        features.pNext = &second;
    }
    vk->GetPhysicalDeviceFeatures2(physical->handle, &features);
    vk->GetPhysicalDeviceProperties2(physical->handle, &properties);
    /* Where the memory model is enabled, the atomics of all kernels need its device scope. */
    if (!matrix.cooperativeMatrix || !memory_model.vulkanMemoryModel || !memory_model.vulkanMemoryModelDeviceScope ||
        !float16.shaderFloat16 || !(stages.stages & VK_SHADER_STAGE_COMPUTE_BIT) ||
        emulates_matrix(vk, physical->handle, physical->info.driver_id) || crashes_on_matrix(&physical->info))
        return HEED_OK;
    enum heed_status status =
        list_matrix_shapes(context, vk, physical, bf16.shaderBFloat16Type && bf16.shaderBFloat16CooperativeMatrix);
    physical->matrix_useful = physical->info.matrix_shape_count > 0;
    physical->info.has_matrix_reductions =
        physical->matrix_useful && second.cooperativeMatrixReductions && second.cooperativeMatrixConversions;
    return status;
}

enum heed_status heed_vk_physical_init(heed_context *context, const struct heed_vk_functions *vk,
                                       VkPhysicalDevice handle, uint32_t instance_api_version,
                                       struct heed_vk_physical *physical)
{
    memset(physical, 0, sizeof *physical);
    physical->handle = handle;
    VkPhysicalDeviceProperties basic;
    vk->GetPhysicalDeviceProperties(handle, &basic);
    physical->api_version = least(basic.apiVersion, instance_api_version);

    struct heed_device_info *info = &physical->info;
    info->backend = HEED_BACKEND_VULKAN;
    info->type = device_type(basic.deviceType);
    info->vendor_id = basic.vendorID;
    info->api_version = basic.apiVersion;
    snprintf(info->name, sizeof info->name, "%s", basic.deviceName);
    if (physical->api_version < VK_API_VERSION_1_1) {
        physical->unusable = "is below Vulkan 1.1";
        return HEED_OK;
    }
    enum heed_status status = HEED_OK;
    if (!find_queue_family(context, vk, physical, &status)) {
        physical->unusable = "has no compute queue";
        return status;
    }

    VkExtensionProperties *extensions;
    uint32_t count;
    status = list_extensions(context, vk, handle, &extensions, &count);
    if (status)
        return status;
    physical->portability_subset = heed_vk_has_extension(extensions, count, "VK_KHR_portability_subset");
    physical->subgroup_size_control_extension =
        heed_vk_has_extension(extensions, count, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    physical->pipeline_feedback_extension =
        heed_vk_has_extension(extensions, count, VK_EXT_PIPELINE_CREATION_FEEDBACK_EXTENSION_NAME);
    physical->buffer_address_extension =
        heed_vk_has_extension(extensions, count, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
    const bool driver_properties = physical->api_version >= VK_API_VERSION_1_2 ||
                                   heed_vk_has_extension(extensions, count, VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME);
    info->compute_units = count_cores(vk, handle, find_cores(extensions, count));
    const bool core_1_2 = physical->api_version >= VK_API_VERSION_1_2;
    physical->matrix_extension =
        heed_vk_has_extension(extensions, count, HEED_VK_COOPERATIVE_MATRIX) &&
        (core_1_2 || (heed_vk_has_extension(extensions, count, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME) &&
                      heed_vk_has_extension(extensions, count, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME)));
    physical->bf16_extension = physical->matrix_extension && heed_vk_has_extension(extensions, count, HEED_VK_BFLOAT16);
    physical->matrix_2_extension = physical->matrix_extension && physical->api_version >= VK_API_VERSION_1_3 &&
                                   heed_vk_has_extension(extensions, count, HEED_VK_COOPERATIVE_MATRIX_2);
    heed_free(context, extensions);

    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties maintenance = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &id};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &maintenance};
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                              .pNext = &subgroup};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    if (driver_properties) {
        driver.pNext = properties.pNext;
        properties.pNext = &driver;
    }
    VkPhysicalDeviceSubgroupSizeControlProperties size_control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    VkPhysicalDeviceSubgroupSizeControlFeatures size_features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    if (physical->subgroup_size_control_extension || physical->api_version >= VK_API_VERSION_1_3) {
        size_control.pNext = properties.pNext;
        properties.pNext = &size_control;
        VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                              .pNext = &size_features};
        vk->GetPhysicalDeviceFeatures2(handle, &features);
    }
    vk->GetPhysicalDeviceProperties2(handle, &properties);

    /* Software drivers load lane by lane, and so twice as much at a time. */
    VkPhysicalDeviceFeatures2 basic_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    vk->GetPhysicalDeviceFeatures2(handle, &basic_features);
    physical->int64_useful = info->type == HEED_DEVICE_CPU && basic_features.features.shaderInt64;
    info->has_int64 = physical->int64_useful;

    const VkPhysicalDeviceLimits *limits = &properties.properties.limits;
    physical->timestamp_period_ns = limits->timestampPeriod;
    physical->atom = limits->nonCoherentAtomSize > 0 ? limits->nonCoherentAtomSize : 1;
    physical->max_allocation = maintenance.maxMemoryAllocationSize;
    describe_limits(limits, &info->limits);
    info->limits.max_dispatch_ns = info->type == HEED_DEVICE_CPU ? UINT64_MAX : HEED_DISPATCH_NS;
    info->limits.subgroup_size_min =
        size_control.minSubgroupSize ? size_control.minSubgroupSize : subgroup.subgroupSize;
    info->limits.subgroup_size_max =
        size_control.maxSubgroupSize ? size_control.maxSubgroupSize : subgroup.subgroupSize;

    const VkSubgroupFeatureFlags needed = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    physical->subgroup_features = size_features.subgroupSizeControl && size_features.computeFullSubgroups;
    physical->subgroups_useful = physical->subgroup_features && info->limits.subgroup_size_min >= 4 &&
                                 (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
                                 (subgroup.supportedOperations & needed) == needed;
    info->has_subgroups = physical->subgroups_useful;
    /* SPIR-V 1.5 is where the lane may be computed, if it comes out the same for all. */
    info->has_subgroup_broadcast = physical->subgroups_useful && physical->api_version >= VK_API_VERSION_1_2 &&
                                   (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT);
    /* Software drivers check the bounds of other loads. */
    const VkSubgroupFeatureFlags address_operations = VK_SUBGROUP_FEATURE_BALLOT_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
    if (physical->int64_useful && (core_1_2 || physical->buffer_address_extension) &&
        (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
        (subgroup.supportedOperations & address_operations) == address_operations &&
        limits->maxPushConstantsSize >= 4 * (HEED_PUSH_WORDS + HEED_ADDRESS_WORDS)) {
        VkPhysicalDeviceBufferDeviceAddressFeatures address = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES};
        VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &address};
        vk->GetPhysicalDeviceFeatures2(handle, &features);
        info->has_buffer_addresses = address.bufferDeviceAddress;
    }
    info->has_timestamps = physical->timestamp_bits > 0;
    memcpy(info->uuid, id.deviceUUID, sizeof info->uuid);
    describe_driver(&properties.properties, &driver, info);
    physical->identity = (struct heed_cache_identity){.vendor_id = basic.vendorID,
                                                      .device_id = basic.deviceID,
                                                      .driver_id = info->driver_id,
                                                      .driver_version = info->driver_version};
    memcpy(physical->identity.uuid, basic.pipelineCacheUUID, sizeof physical->identity.uuid);
    info->has_pipeline_feedback = physical->api_version >= VK_API_VERSION_1_3 || physical->pipeline_feedback_extension;
    const bool one_size = info->limits.subgroup_size_min == info->limits.subgroup_size_max ||
                          (size_control.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
    return describe_matrix(context, vk, physical,
                           physical->subgroups_useful && one_size &&
                               (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT));
}

static void add_extension(struct heed_vk_requirements *r, bool wanted, const char *name)
{
    if (wanted)
        r->extensions[r->extension_count++] = name;
}

void heed_vk_require(const struct heed_vk_physical *physical, struct heed_vk_requirements *r)
{
    const bool before_1_2 = physical->api_version < VK_API_VERSION_1_2;
    *r = (struct heed_vk_requirements){
        .api_version = VK_API_VERSION_1_1,
        .features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2},
        .subgroup_size_control = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT},
        .vulkan_memory_model = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES},
        .buffer_device_address = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES},
        .float16 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES},
        .cooperative_matrix = {.sType = (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_FEATURES},
        .bfloat16 = {.sType = (VkStructureType)HEED_VK_BFLOAT16_FEATURES},
        .cooperative_matrix_2 = {.sType = (VkStructureType)HEED_VK_COOPERATIVE_MATRIX_2_FEATURES}};
    r->features.features.shaderInt64 = physical->int64_useful;
    add_extension(r, physical->portability_subset, "VK_KHR_portability_subset");
    add_extension(r, physical->subgroups_useful && physical->api_version < VK_API_VERSION_1_3,
                  VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    add_extension(r, physical->info.has_buffer_addresses && before_1_2, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
    add_extension(r, physical->pipeline_feedback_extension && physical->api_version < VK_API_VERSION_1_3,
                  VK_EXT_PIPELINE_CREATION_FEEDBACK_EXTENSION_NAME);
    add_extension(r, physical->matrix_useful, HEED_VK_COOPERATIVE_MATRIX);
    add_extension(r, physical->matrix_useful && before_1_2, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
    add_extension(r, physical->matrix_useful && before_1_2, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
    add_extension(r, physical->matrix_bf16, HEED_VK_BFLOAT16);
    add_extension(r, physical->info.has_matrix_reductions, HEED_VK_COOPERATIVE_MATRIX_2);
    if (physical->subgroups_useful) {
        r->subgroup_size_control.subgroupSizeControl = VK_TRUE;
        r->subgroup_size_control.computeFullSubgroups = VK_TRUE;
        r->features.pNext = &r->subgroup_size_control;
    }
    if (physical->matrix_useful) { /* has subgroups */
        r->vulkan_memory_model.vulkanMemoryModel = VK_TRUE;
        r->vulkan_memory_model.vulkanMemoryModelDeviceScope = VK_TRUE;
        r->float16.shaderFloat16 = VK_TRUE;
        r->cooperative_matrix.cooperativeMatrix = VK_TRUE;
        r->subgroup_size_control.pNext = &r->vulkan_memory_model;
        r->vulkan_memory_model.pNext = &r->float16;
        r->float16.pNext = &r->cooperative_matrix;
    }
    if (physical->info.has_buffer_addresses) {
        r->buffer_device_address.bufferDeviceAddress = VK_TRUE;
        r->buffer_device_address.pNext = r->features.pNext;
        r->features.pNext = &r->buffer_device_address;
    }
    if (physical->matrix_bf16) {
        r->bfloat16.shaderBFloat16Type = VK_TRUE;
        r->bfloat16.shaderBFloat16CooperativeMatrix = VK_TRUE;
        r->cooperative_matrix.pNext = &r->bfloat16;
    }
    if (physical->info.has_matrix_reductions) {
        r->cooperative_matrix_2.cooperativeMatrixReductions = VK_TRUE;
        r->cooperative_matrix_2.cooperativeMatrixConversions = VK_TRUE;
        r->cooperative_matrix_2.pNext = r->cooperative_matrix.pNext;
        r->cooperative_matrix.pNext = &r->cooperative_matrix_2;
    }
}
