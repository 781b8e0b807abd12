/* SPDX-License-Identifier: MIT
 * heed on the app's own device: what to enable before it is created, and taking it over. */
#include <string.h>

#include "vk.h"

static enum heed_status fail_missing(heed_context *context, const char *function)
{
    return heed_fail(context, HEED_ERR_BACKEND, "vulkan: vkGetInstanceProcAddr gave no %s", function);
}

enum heed_status heed_vk_get_requirements(heed_context *context, VkInstance instance, VkPhysicalDevice physical_device,
                                          PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                          struct heed_vk_requirements *requirements)
{
    if (!context || !instance || !physical_device || !get_instance_proc_addr || !requirements)
        return HEED_ERR_ARGUMENT;
    struct heed_vk_functions vk = {.GetInstanceProcAddr = get_instance_proc_addr};
    const char *missing = heed_vk_load_physical(&vk, instance);
    if (missing)
        return fail_missing(context, missing);
    /* The version of the instance is not known here, so everything newer than 1.1 is asked for as an extension. */
    struct heed_vk_physical physical;
    enum heed_status status = heed_vk_physical_init(context, &vk, physical_device, VK_API_VERSION_1_1, &physical);
    if (status)
        return status;
    if (physical.unusable)
        return heed_fail(context, HEED_ERR_UNSUPPORTED, "vulkan: \"%s\" %s", physical.info.name, physical.unusable);

    heed_vk_require(&physical, requirements);
    return HEED_OK;
}

/* What the app says it enabled, of what heed can use. */
struct declared {
    bool subgroups; /* full ones, of a controlled size */
    bool addresses;
    bool matrix, matrix_bf16, matrix_reductions;
};

static bool declares_extension(const struct heed_vk_import_desc *desc, const char *name)
{
    for (uint32_t i = 0; i < desc->extension_count; i++) {
        if (strcmp(desc->extensions[i], name) == 0)
            return true;
    }
    return false;
}

static struct declared read_declared(const struct heed_vk_import_desc *desc, uint32_t api_version)
{
    bool subgroups = false, addresses = false, memory_model = false, float16 = false, matrix = false, bf16 = false,
         second = false;
    for (const VkBaseInStructure *s = desc->features ? desc->features->pNext : NULL; s; s = s->pNext) {
        const void *any = s;
        switch ((int)s->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
            const VkPhysicalDeviceSubgroupSizeControlFeatures *f = any;
            subgroups = f->subgroupSizeControl && f->computeFullSubgroups;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES: {
            const VkPhysicalDeviceVulkan13Features *f = any;
            subgroups = f->subgroupSizeControl && f->computeFullSubgroups;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES: {
            const VkPhysicalDeviceVulkan12Features *f = any;
            addresses = f->bufferDeviceAddress;
            memory_model = f->vulkanMemoryModel && f->vulkanMemoryModelDeviceScope;
            float16 = f->shaderFloat16;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
            addresses = ((const VkPhysicalDeviceBufferDeviceAddressFeatures *)any)->bufferDeviceAddress;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES: {
            const VkPhysicalDeviceVulkanMemoryModelFeatures *f = any;
            memory_model = f->vulkanMemoryModel && f->vulkanMemoryModelDeviceScope;
            break;
        }
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
            float16 = ((const VkPhysicalDeviceShaderFloat16Int8Features *)any)->shaderFloat16;
            break;
        case HEED_VK_COOPERATIVE_MATRIX_FEATURES:
            matrix = ((const struct heed_vk_cooperative_matrix_features *)any)->cooperativeMatrix;
            break;
        case HEED_VK_BFLOAT16_FEATURES: {
            const struct heed_vk_bfloat16_features *f = any;
            bf16 = f->shaderBFloat16Type && f->shaderBFloat16CooperativeMatrix;
            break;
        }
        case HEED_VK_COOPERATIVE_MATRIX_2_FEATURES: {
            const struct heed_vk_cooperative_matrix_2_features *f = any;
            second = f->cooperativeMatrixReductions && f->cooperativeMatrixConversions;
            break;
        }
        }
    }
    subgroups &=
        api_version >= VK_API_VERSION_1_3 || declares_extension(desc, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    memory_model &=
        api_version >= VK_API_VERSION_1_2 || declares_extension(desc, VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME);
    float16 &= api_version >= VK_API_VERSION_1_2 || declares_extension(desc, VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME);
    addresses &=
        api_version >= VK_API_VERSION_1_2 || declares_extension(desc, VK_KHR_BUFFER_DEVICE_ADDRESS_EXTENSION_NAME);
    matrix &= subgroups && memory_model && float16 && declares_extension(desc, HEED_VK_COOPERATIVE_MATRIX);
    return (struct declared){subgroups, addresses, matrix, matrix && bf16 && declares_extension(desc, HEED_VK_BFLOAT16),
                             matrix && second && declares_extension(desc, HEED_VK_COOPERATIVE_MATRIX_2)};
}

/* Keeps the shapes whose element type may be used. */
static void keep_matrix_shapes(struct heed_device_info *info, bool f16, bool bf16)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < info->matrix_shape_count; i++)
        if (info->matrix_shapes[i].input == HEED_BF16 ? bf16 : f16)
            info->matrix_shapes[kept++] = info->matrix_shapes[i];
    info->matrix_shape_count = kept;
}

static const struct heed_backend_ops imported_ops = {
    .backend = HEED_BACKEND_VULKAN,
    .device_destroy = heed_vk_device_destroy,
    .has_kernel = heed_vk_has_kernel,
    .save_cache = heed_vk_cache_save,
    .plan_compile = heed_vk_plan_compile,
    .plan_release = heed_vk_plan_release,
};

static enum heed_status import(struct heed_vk_device *device, const struct heed_vk_import_desc *desc)
{
    heed_context *context = device->base.context;
    device->instance = desc->instance;
    device->device = desc->device;
    device->pipeline_cache = desc->pipeline_cache;
    device->vk.GetInstanceProcAddr = desc->get_instance_proc_addr;
    const char *missing = heed_vk_load_physical(&device->vk, desc->instance);
    if (!missing)
        missing = heed_vk_load_device(&device->vk, desc->instance);
    if (missing)
        return fail_missing(context, missing);
    struct heed_vk_physical *physical = &device->physical;
    enum heed_status status =
        heed_vk_physical_init(context, &device->vk, desc->physical_device, desc->api_version, physical);
    if (status)
        return status;
    if (physical->unusable)
        return heed_fail(context, HEED_ERR_UNSUPPORTED, "vulkan: \"%s\" %s", physical->info.name, physical->unusable);
    device->base.info = physical->info;
    const struct declared declared = read_declared(desc, physical->api_version);
    device->base.info.has_subgroups = physical->subgroups_useful && declared.subgroups;
    device->base.info.has_subgroup_broadcast &= declared.subgroups;
    device->base.info.has_buffer_addresses &= declared.addresses && desc->buffers_have_addresses;
    device->base.info.has_int64 = physical->int64_useful && desc->features && desc->features->features.shaderInt64;
    keep_matrix_shapes(&device->base.info, declared.matrix, declared.matrix_bf16);
    device->base.info.has_matrix_reductions &= declared.matrix_reductions;
    device->base.info.has_timestamps = false; /* heed runs nothing here that it could time */
    device->base.info.has_pipeline_feedback =
        physical->api_version >= VK_API_VERSION_1_3 ||
        declares_extension(desc, VK_EXT_PIPELINE_CREATION_FEEDBACK_EXTENSION_NAME);
    status = heed_vk_device_finish(device, &desc->limits);
    if (!status && !device->pipeline_cache)
        status = heed_vk_cache_create(device);
    return status;
}

enum heed_status heed_vk_import(heed_context *context, const struct heed_vk_import_desc *desc, heed_device **result)
{
    if (!context || !result)
        return HEED_ERR_ARGUMENT;
    *result = NULL;
    if (!desc || desc->struct_size != sizeof *desc)
        return heed_fail(context, HEED_ERR_ARGUMENT,
                         "import: struct_size %zu is not sizeof(struct heed_vk_import_desc) %zu",
                         desc ? desc->struct_size : 0, sizeof *desc);
    const char *null = !desc->instance                                  ? "instance"
                       : !desc->physical_device                         ? "physical_device"
                       : !desc->device                                  ? "device"
                       : !desc->get_instance_proc_addr                  ? "get_instance_proc_addr"
                       : desc->extension_count > 0 && !desc->extensions ? "extensions"
                                                                        : NULL;
    if (null)
        return heed_fail(context, HEED_ERR_ARGUMENT, "import: %s is NULL", null);
    if (desc->api_version < VK_API_VERSION_1_1)
        return heed_fail(context, HEED_ERR_ARGUMENT, "import: api_version %u.%u is below 1.1",
                         (unsigned)VK_API_VERSION_MAJOR(desc->api_version),
                         (unsigned)VK_API_VERSION_MINOR(desc->api_version));
    struct heed_vk_device *device = heed_alloc(context, 1, sizeof *device);
    if (!device)
        return heed_fail_memory(context);
    device->base.context = context;
    device->base.ops = &imported_ops;
    device->base.process = heed_process_id();
    enum heed_status status = import(device, desc);
    if (status) {
        heed_vk_device_destroy(&device->base);
        return status;
    }
    *result = &device->base;
    return HEED_OK;
}
