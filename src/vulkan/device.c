/* SPDX-License-Identifier: MIT
 * Own mode: lists devices, makes instance, device and queue. And what every Vulkan device shares. */
#include <string.h>

#include "vk.h"

/* ---- results */

static const char *result_name(VkResult result)
{
    switch (result) {
    case VK_NOT_READY:
        return "VK_NOT_READY";
    case VK_TIMEOUT:
        return "VK_TIMEOUT";
    case VK_INCOMPLETE:
        return "VK_INCOMPLETE";
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST:
        return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_MEMORY_MAP_FAILED:
        return "VK_ERROR_MEMORY_MAP_FAILED";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
        return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_FEATURE_NOT_PRESENT:
        return "VK_ERROR_FEATURE_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "VK_ERROR_TOO_MANY_OBJECTS";
    case VK_ERROR_FRAGMENTED_POOL:
        return "VK_ERROR_FRAGMENTED_POOL";
    case VK_ERROR_OUT_OF_POOL_MEMORY:
        return "VK_ERROR_OUT_OF_POOL_MEMORY";
    case VK_ERROR_FRAGMENTATION:
        return "VK_ERROR_FRAGMENTATION";
    case VK_ERROR_INVALID_SHADER_NV:
        return "VK_ERROR_INVALID_SHADER_NV";
    default:
        return "VkResult";
    }
}

static enum heed_status result_status(VkResult result)
{
    switch (result) {
    case VK_SUCCESS:
        return HEED_OK;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return HEED_ERR_HOST_MEMORY;
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTATION:
        return HEED_ERR_DEVICE_MEMORY;
    case VK_ERROR_DEVICE_LOST:
        return HEED_ERR_DEVICE_LOST;
    default:
        return HEED_ERR_BACKEND;
    }
}

enum heed_status heed_vk_result(heed_context *context, VkResult result, const char *call)
{
    if (result == VK_SUCCESS)
        return HEED_OK;
    return heed_fail(context, result_status(result), "vulkan: %s: %s (%d)", call, result_name(result), (int)result);
}

enum heed_status heed_vk_check(struct heed_vk_device *device, VkResult result, const char *call)
{
    if (result == VK_ERROR_DEVICE_LOST)
        atomic_store(&device->lost, true);
    return heed_vk_result(device->base.context, result, call);
}

bool heed_vk_in_child(const struct heed_vk_device *device)
{
    return device->base.process != heed_process_id();
}

enum heed_status heed_vk_usable(struct heed_vk_device *device)
{
    enum heed_status status = heed_device_check(&device->base);
    if (status)
        return status;
    if (atomic_load(&device->lost))
        return heed_fail(device->base.context, HEED_ERR_DEVICE_LOST, "vulkan: the device was lost");
    return HEED_OK;
}

/* ---- what every device has */

static enum heed_status create_layouts(struct heed_vk_device *device, uint32_t max_bindings)
{
    const struct heed_vk_functions *vk = &device->vk;
    VkDescriptorSetLayoutBinding bindings[HEED_MAX_BINDINGS];
    for (uint32_t i = 0; i < HEED_MAX_BINDINGS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                     .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    for (uint32_t i = 0; i < HEED_MAX_BINDINGS && i < max_bindings; i++) {
        const VkDescriptorSetLayoutCreateInfo set_info = {
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = i + 1, .pBindings = bindings};
        VkDescriptorSetLayout set;
        enum heed_status status =
            heed_vk_check(device, vk->CreateDescriptorSetLayout(device->device, &set_info, NULL, &set),
                          "vkCreateDescriptorSetLayout");
        if (status)
            return status;
        device->set_layouts[i] = set;

        const uint32_t push_words = HEED_PUSH_WORDS + (device->base.info.has_buffer_addresses ? HEED_ADDRESS_WORDS : 0);
        const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 4 * push_words};
        const VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                 .setLayoutCount = 1,
                                                 .pSetLayouts = &set,
                                                 .pushConstantRangeCount = 1,
                                                 .pPushConstantRanges = &push};
        VkPipelineLayout layout;
        status = heed_vk_check(device, vk->CreatePipelineLayout(device->device, &info, NULL, &layout),
                               "vkCreatePipelineLayout");
        if (status)
            return status;
        device->pipeline_layouts[i] = layout;
    }
    return HEED_OK;
}

enum heed_status heed_vk_device_finish(struct heed_vk_device *device, const struct heed_limits *wanted)
{
    struct heed_device_info *info = &device->base.info;
    const uint32_t max_bindings = info->limits.max_storage_buffers;
    device->max_storage_range = info->limits.max_storage_range;
    device->base.process = heed_process_id();
    device->pipelines.device = &device->base;
    device->pipelines.make = heed_vk_pipeline_make;
    device->pipelines.destroy = heed_vk_pipeline_destroy;
    if (!heed_pipelines_init(&device->pipelines))
        return heed_fail_memory(device->base.context);
    heed_limits_lower(&info->limits, wanted);
    if (info->limits.no_subgroups)
        info->has_subgroups = info->has_subgroup_broadcast = info->has_buffer_addresses = false;
    info->has_buffer_addresses =
        info->has_buffer_addresses &&
        heed_vk_load_addresses(&device->vk, device->instance, device->physical.api_version >= VK_API_VERSION_1_2);
    if (info->limits.no_matrix || !info->has_subgroups)
        info->matrix_shape_count = 0;
    if (info->matrix_shape_count == 0)
        info->has_matrix_reductions = false;
    const uint32_t alignment = info->limits.min_offset_alignment;
    if (alignment == 0 || alignment > 256 || (alignment & (alignment - 1)))
        return heed_fail(device->base.context, HEED_ERR_ARGUMENT,
                         "device: min_offset_alignment %u is not a power of two from 1 to 256", (unsigned)alignment);
    return create_layouts(device, max_bindings);
}

void heed_vk_device_destroy(heed_device *base)
{
    struct heed_vk_device *device = (struct heed_vk_device *)base;
    const struct heed_vk_functions *vk = &device->vk;
    const bool own = device->base.ops->run != NULL;
    heed_pipelines_destroy(&device->pipelines);
    if (!heed_vk_in_child(device)) {
        if (own && device->queue)
            vk->DeviceWaitIdle(device->device);
        heed_vk_cache_destroy(device);
        for (uint32_t i = 0; i < HEED_MAX_BINDINGS; i++) {
            if (device->pipeline_layouts[i])
                vk->DestroyPipelineLayout(device->device, device->pipeline_layouts[i], NULL);
            if (device->set_layouts[i])
                vk->DestroyDescriptorSetLayout(device->device, device->set_layouts[i], NULL);
        }
        heed_vk_memory_destroy(device, &device->staging);
        if (own && device->device)
            vk->DestroyDevice(device->device, NULL);
        if (own && device->instance)
            vk->DestroyInstance(device->instance, NULL);
        heed_vk_loader_close(device->loader);
    }
    if (device->mutex_made)
        heed_mutex_destroy(&device->mutex);
    heed_free(device->base.context, device);
}

/* ---- instance */

struct instance {
    struct heed_vk_functions vk;
    VkInstance handle; /* NULL without error: Vulkan is not here, or below 1.1 */
    uint32_t api_version;
    VkPhysicalDevice *devices;
    uint32_t device_count;
};

static void instance_close(heed_context *context, struct instance *instance)
{
    heed_free(context, instance->devices);
    if (instance->handle)
        instance->vk.DestroyInstance(instance->handle, NULL);
    memset(instance, 0, sizeof *instance);
}

static enum heed_status has_portability(heed_context *context, const struct heed_vk_functions *vk, bool *has)
{
    VkExtensionProperties *extensions = NULL;
    uint32_t count;
    VkResult result;
    do {
        heed_free(context, extensions);
        extensions = NULL;
        count = 0;
        result = vk->EnumerateInstanceExtensionProperties(NULL, &count, NULL);
        if (result != VK_SUCCESS)
            break;
        extensions = heed_alloc(context, (size_t)count + 1, sizeof *extensions);
        if (!extensions)
            return heed_fail_memory(context);
        result = vk->EnumerateInstanceExtensionProperties(NULL, &count, extensions);
    } while (result == VK_INCOMPLETE);
    *has =
        result == VK_SUCCESS && heed_vk_has_extension(extensions, count, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME);
    heed_free(context, extensions);
    return heed_vk_result(context, result, "vkEnumerateInstanceExtensionProperties");
}

static enum heed_status enumerate_devices(heed_context *context, struct instance *instance)
{
    const struct heed_vk_functions *vk = &instance->vk;
    VkResult result;
    do {
        heed_free(context, instance->devices);
        instance->devices = NULL;
        instance->device_count = 0;
        uint32_t count = 0;
        result = vk->EnumeratePhysicalDevices(instance->handle, &count, NULL);
        if (result != VK_SUCCESS)
            break;
        instance->devices = heed_alloc(context, (size_t)count + 1, sizeof *instance->devices);
        if (!instance->devices)
            return heed_fail_memory(context);
        result = vk->EnumeratePhysicalDevices(instance->handle, &count, instance->devices);
        if (result == VK_SUCCESS)
            instance->device_count = count;
    } while (result == VK_INCOMPLETE);
    if (result == VK_ERROR_INITIALIZATION_FAILED) { /* what a driver without its hardware says */
        heed_log(context, HEED_LOG_WARN,
                 "vulkan: vkEnumeratePhysicalDevices: VK_ERROR_INITIALIZATION_FAILED: no device");
        return HEED_OK;
    }
    return heed_vk_result(context, result, "vkEnumeratePhysicalDevices");
}

static enum heed_status instance_open(heed_context *context, PFN_vkGetInstanceProcAddr get_instance_proc_addr,
                                      struct instance *instance)
{
    memset(instance, 0, sizeof *instance);
    struct heed_vk_functions *vk = &instance->vk;
    const char *missing = heed_vk_load_global(vk, get_instance_proc_addr);
    if (missing)
        return heed_fail(context, HEED_ERR_BACKEND, "vulkan: the loader has no %s", missing);
    uint32_t version = VK_API_VERSION_1_0;
    if (vk->EnumerateInstanceVersion) {
        enum heed_status status =
            heed_vk_result(context, vk->EnumerateInstanceVersion(&version), "vkEnumerateInstanceVersion");
        if (status)
            return status;
    }
    if (version < VK_API_VERSION_1_1) {
        heed_log(context, HEED_LOG_INFO, "vulkan: the loader is one of Vulkan 1.0; 1.1 is the least");
        return HEED_OK;
    }
    instance->api_version =
        version < VK_API_VERSION_1_3 ? VK_MAKE_API_VERSION(0, 1, VK_API_VERSION_MINOR(version), 0) : VK_API_VERSION_1_3;
    bool portability = false;
    enum heed_status status = has_portability(context, vk, &portability);
    if (status)
        return status;

    const char *const extension = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    const VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pEngineName = "heed",
        .engineVersion = VK_MAKE_API_VERSION(0, HEED_VERSION_MAJOR, HEED_VERSION_MINOR, HEED_VERSION_PATCH),
        .apiVersion = instance->api_version};
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .flags = portability ? (VkInstanceCreateFlags)VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
        .pApplicationInfo = &application,
        .enabledExtensionCount = portability ? 1 : 0,
        .ppEnabledExtensionNames = &extension};
    VkInstance handle;
    const VkResult result = vk->CreateInstance(&info, NULL, &handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        heed_log(context, HEED_LOG_INFO, "vulkan: there is no driver");
        return HEED_OK;
    }
    status = heed_vk_result(context, result, "vkCreateInstance");
    if (status)
        return status;

    vk->DestroyInstance = (PFN_vkDestroyInstance)vk->GetInstanceProcAddr(handle, "vkDestroyInstance");
    if (!vk->DestroyInstance)
        return heed_fail(context, HEED_ERR_BACKEND, "vulkan: the loader has no vkDestroyInstance");
    instance->handle = handle;
    missing = heed_vk_load_physical(vk, handle);
    if (!missing)
        missing = heed_vk_load_device(vk, handle);
    if (!missing)
        missing = heed_vk_load_own(vk, handle);
    status = missing ? heed_fail(context, HEED_ERR_BACKEND, "vulkan: the loader has no %s", missing)
                     : enumerate_devices(context, instance);
    if (status)
        instance_close(context, instance);
    return status;
}

/* The next device from *position on that heed can use; false at the end or with *status an error. */
static bool next_device(heed_context *context, const struct instance *instance, uint32_t *position,
                        struct heed_vk_physical *physical, enum heed_status *status)
{
    while (*position < instance->device_count) {
        *status = heed_vk_physical_init(context, &instance->vk, instance->devices[(*position)++], instance->api_version,
                                        physical);
        if (*status)
            return false;
        if (!physical->unusable)
            return true;
        heed_log(context, HEED_LOG_INFO, "vulkan: \"%s\" %s", physical->info.name, physical->unusable);
    }
    return false;
}

enum heed_status heed_vulkan_list(heed_context *context, struct heed_device_info *infos, uint32_t capacity,
                                  uint32_t *count)
{
    void *loader = heed_vk_loader_open();
    const PFN_vkGetInstanceProcAddr entry = loader ? heed_vk_loader_entry(loader) : NULL;
    if (!entry) {
        heed_log(context, HEED_LOG_INFO, "vulkan: there is no loader (libvulkan)");
        heed_vk_loader_close(loader);
        return HEED_OK;
    }
    struct instance instance;
    enum heed_status status = instance_open(context, entry, &instance);
    struct heed_vk_physical physical;
    uint32_t position = 0, index = 0;
    while (!status && next_device(context, &instance, &position, &physical, &status)) {
        physical.info.index = index++;
        if (*count < capacity)
            infos[*count] = physical.info;
        (*count)++;
    }
    instance_close(context, &instance);
    heed_vk_loader_close(loader);
    return status;
}

/* ---- own device */

static const struct heed_backend_ops own_ops = {
    .backend = HEED_BACKEND_VULKAN,
    .device_destroy = heed_vk_device_destroy,
    .has_kernel = heed_vk_has_kernel,
    .save_cache = heed_vk_cache_save,
    .plan_compile = heed_vk_plan_compile,
    .plan_release = heed_vk_plan_release,
    .buffer_create = heed_vk_buffer_create,
    .buffer_destroy = heed_vk_buffer_destroy,
    .buffer_write = heed_vk_buffer_write,
    .buffer_read = heed_vk_buffer_read,
    .run = heed_vk_run,
    .profile = heed_vk_profile,
    .fence_wait = heed_vk_fence_wait,
    .fence_get_device_ns = heed_vk_fence_get_device_ns,
    .fence_destroy = heed_vk_fence_destroy,
};

static enum heed_status create_device(struct heed_vk_device *device)
{
    const struct heed_vk_functions *vk = &device->vk;
    const struct heed_vk_physical *physical = &device->physical;
    struct heed_vk_requirements needs;
    heed_vk_require(physical, &needs);
    const float priority = 1.0f;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = physical->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &needs.features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = needs.extension_count,
                                     .ppEnabledExtensionNames = needs.extensions};
    VkDevice handle;
    enum heed_status status =
        heed_vk_check(device, vk->CreateDevice(physical->handle, &info, NULL, &handle), "vkCreateDevice");
    if (status)
        return status;
    device->device = handle;
    vk->GetDeviceQueue(handle, physical->queue_family, 0, &device->queue);
    vk->GetPhysicalDeviceMemoryProperties(physical->handle, &device->memory);

    return HEED_OK;
}

enum heed_status heed_vk_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                PFN_vkGetInstanceProcAddr get_instance_proc_addr, void *loader, heed_device **result)
{
    *result = NULL;
    struct heed_vk_device *device = heed_alloc(context, 1, sizeof *device);
    if (!device) {
        heed_vk_loader_close(loader);
        return heed_fail_memory(context);
    }
    device->base.context = context;
    device->base.ops = &own_ops;
    device->base.process = heed_process_id();
    device->loader = loader;
    device->mutex_made = heed_mutex_init(&device->mutex);

    struct instance instance;
    enum heed_status status = instance_open(context, get_instance_proc_addr, &instance);
    uint32_t position = 0, found = 0;
    bool more = true;
    while (!status && (more = next_device(context, &instance, &position, &device->physical, &status)) && found < index)
        found++;
    if (!status && !more)
        status = heed_fail(context, HEED_ERR_NO_DEVICE, "vulkan: device %u of %u does not exist", (unsigned)index,
                           (unsigned)found);
    if (!status && !device->mutex_made)
        status = heed_fail_memory(context);
    /* The device owns the instance from here on. */
    device->vk = instance.vk;
    device->instance = instance.handle;
    instance.handle = VK_NULL_HANDLE;
    instance_close(context, &instance);
    device->base.info = device->physical.info;
    device->base.info.index = index;
    if (!status)
        status = create_device(device);
    static const struct heed_limits no_limits;
    if (!status)
        status = heed_vk_device_finish(device, desc ? &desc->limits : &no_limits);
    if (!status)
        status = heed_vk_cache_create(device);
    if (status) {
        heed_vk_device_destroy(&device->base);
        return status;
    }
    heed_log(context, HEED_LOG_INFO, "vulkan: \"%s\" (%s)", device->base.info.name, device->base.info.driver);
    *result = &device->base;
    return HEED_OK;
}

enum heed_status heed_vulkan_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                    heed_device **device)
{
    void *loader = heed_vk_loader_open();
    const PFN_vkGetInstanceProcAddr entry = loader ? heed_vk_loader_entry(loader) : NULL;
    if (!entry) {
        heed_vk_loader_close(loader);
        *device = NULL;
        return heed_fail(context, HEED_ERR_NO_DEVICE, "vulkan: there is no loader (libvulkan)");
    }
    return heed_vk_create(context, desc, index, entry, loader, device);
}
