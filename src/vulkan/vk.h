/* SPDX-License-Identifier: MIT
 * What the files of the Vulkan backend share: the device, memory, plans and bindings. */
#ifndef HEED_VULKAN_VK_H
#define HEED_VULKAN_VK_H

#include <heed/heed_vulkan.h>
#include <stdatomic.h>

#include "functions.h"
#include "../cache.h"
#include "../pipelines.h"

/* ---- loader.c: what differs between systems */

/* NULL when there is no Vulkan loader. */
void *heed_vk_loader_open(void);
void heed_vk_loader_close(void *loader);
PFN_vkGetInstanceProcAddr heed_vk_loader_entry(void *loader);

/* ---- physical.c: what a physical device can do */

struct heed_vk_physical {
    VkPhysicalDevice handle;
    const char *unusable; /* why heed cannot use it, or NULL */
    uint32_t api_version; /* what may be called: the lower of the instance's and the device's */
    bool portability_subset, subgroup_size_control_extension, buffer_address_extension;
    bool matrix_extension, bf16_extension, matrix_2_extension; /* with those that they need */
    bool int64_useful;      /* 64-bit integers can be enabled, and a kernel is faster with them */
    bool subgroup_features; /* full subgroups of a controlled size can be enabled */
    bool subgroups_useful;  /* and with them there is subgroup arithmetic in compute shaders */
    bool matrix_useful;     /* matrix units, the memory model and f16 that their kernels need, and shapes to use */
    bool matrix_bf16;       /* among them shapes of bf16 */
    uint32_t queue_family, timestamp_bits;
    double timestamp_period_ns;
    uint64_t atom, max_allocation;
    struct heed_cache_identity identity;
    bool pipeline_feedback_extension;
    struct heed_device_info info; /* has_subgroups, has_timestamps, matrix_shapes: if all that is useful is enabled */
};

/* HEED_OK also for a device that is unusable. HEED_ERR_HOST_MEMORY, or what the driver said. */
enum heed_status heed_vk_physical_init(heed_context *context, const struct heed_vk_functions *vk,
                                       VkPhysicalDevice handle, uint32_t instance_api_version,
                                       struct heed_vk_physical *physical);
bool heed_vk_has_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name);
/* All that is useful on the device. */
void heed_vk_require(const struct heed_vk_physical *physical, struct heed_vk_requirements *requirements);

/* ---- memory.c: buffers of own mode */

/* A buffer with its own memory. */
struct heed_vk_memory {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint64_t bytes; /* of the buffer: what was asked for, rounded up */
    uint64_t allocated;
    void *map; /* NULL: the host cannot see it */
    bool coherent;
};

struct heed_vk_buffer {
    struct heed_buffer base;
    struct heed_vk_memory memory;
};

/* ---- device.c */

struct heed_vk_device {
    struct heed_device base;
    struct heed_vk_functions vk;
    VkInstance instance;
    VkDevice device;
    VkPipelineCache pipeline_cache;
    bool owns_cache;                 /* else it is the app's */
    uint64_t kept_hash;              /* of what the app keeps of it; 0: nothing */
    struct heed_pipelines pipelines; /* their mutex guards kept_hash, too */
    uint64_t max_storage_range;      /* the device's own: info.limits may be lower */
    /* For 1, 2, ... storage buffers. */
    VkDescriptorSetLayout set_layouts[HEED_MAX_BINDINGS];
    VkPipelineLayout pipeline_layouts[HEED_MAX_BINDINGS];
    atomic_bool lost;

    /* Own mode only. */
    void *loader;
    struct heed_vk_physical physical;
    VkPhysicalDeviceMemoryProperties memory;
    VkQueue queue;
    heed_mutex mutex; /* queue, staging, scratch of every plan */
    bool mutex_made;
    struct heed_vk_memory staging;
};

/* Own mode through any vkGetInstanceProcAddr; takes over `loader`, also when it fails. */
enum heed_status heed_vk_create(heed_context *context, const struct heed_device_desc *desc, uint32_t index,
                                PFN_vkGetInstanceProcAddr get_instance_proc_addr, void *loader, heed_device **device);

/* What own mode and import share once the functions are loaded: limits in force, layouts. */
enum heed_status heed_vk_device_finish(struct heed_vk_device *device, const struct heed_limits *wanted);
/* Also of a device that is only half made. */
void heed_vk_device_destroy(heed_device *device);

/* HEED_OK for VK_SUCCESS; else logs "vulkan: vkX: VK_ERROR_Y" and gives the status. The second form remembers a lost
 * device. */
enum heed_status heed_vk_result(heed_context *context, VkResult result, const char *call);
enum heed_status heed_vk_check(struct heed_vk_device *device, VkResult result, const char *call);
/* Fails on a lost device, and in a process forked from the one that made the device. */
enum heed_status heed_vk_usable(struct heed_vk_device *device);
/* In a forked child a destroy must free host memory and touch nothing of the driver: its threads are not here, and its
 * file descriptors are the parent's too. */
bool heed_vk_in_child(const struct heed_vk_device *device);

/* ---- cache.c */

/* Makes device->pipeline_cache, out of what the app keeps if that is good. */
enum heed_status heed_vk_cache_create(struct heed_vk_device *device);
enum heed_status heed_vk_cache_save(heed_device *device);
/* Saves first. Nothing for an app's cache. */
void heed_vk_cache_destroy(struct heed_vk_device *device);

/* ---- memory.c */

enum heed_vk_memory_use {
    HEED_VK_MEMORY_DEVICE,  /* device-local; mapped where that costs nothing */
    HEED_VK_MEMORY_STAGING, /* host-visible */
};
enum heed_status heed_vk_memory_create(struct heed_vk_device *device, uint64_t bytes, enum heed_vk_memory_use use,
                                       struct heed_vk_memory *memory);
void heed_vk_memory_destroy(struct heed_vk_device *device, struct heed_vk_memory *memory);

enum heed_status heed_vk_buffer_create(heed_device *device, uint64_t bytes, heed_buffer **buffer);
void heed_vk_buffer_destroy(heed_buffer *buffer);
enum heed_status heed_vk_buffer_write(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
enum heed_status heed_vk_buffer_read(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes);

/* ---- pipeline.c: plan->backend */

struct heed_vk_pipeline {
    struct heed_pipeline base;
    VkPipeline handle;
};

struct heed_vk_plan {
    struct heed_plan_pipelines pipelines;
    struct heed_vk_memory scratch; /* own mode, made by the first run; the device's mutex guards it */
};

/* The SPIR-V of a kernel: false when the build left it out; what it takes in the library, and unpacked. */
bool heed_vk_has_kernel(unsigned kernel);
size_t heed_vk_kernel_bytes(enum heed_kernel kernel);
size_t heed_vk_kernel_words(enum heed_kernel kernel);
void heed_vk_kernel_unpack(enum heed_kernel kernel, uint32_t *words);
enum heed_status heed_vk_pipeline_make(heed_device *device, const struct heed_step *step,
                                       struct heed_pipeline **pipeline, bool *cached, char why[HEED_REFUSAL]);
void heed_vk_pipeline_destroy(heed_device *device, struct heed_pipeline *pipeline);
enum heed_status heed_vk_plan_compile(heed_plan *plan);
void heed_vk_plan_release(heed_plan *plan);

/* ---- bind.c */

struct heed_vk_bound_step {
    VkDescriptorSet set;
    uint32_t residual[2];                   /* words 0 and 1 of the push block */
    uint32_t addresses[HEED_ADDRESS_WORDS]; /* those behind it */
};

struct heed_vk_binding {
    heed_plan *plan;
    VkDescriptorPool pool;
    struct heed_vk_bound_step *steps;
};

/* Where an argument lies; `size` bytes from offset may be touched. */
struct heed_vk_range {
    VkBuffer buffer;
    uint64_t offset, size;
};

/* ranges has plan->arg_count entries, with scratch. On failure *binding is NULL. */
enum heed_status heed_vk_binding_create(heed_plan *plan, const struct heed_vk_range *ranges,
                                        struct heed_vk_binding **binding);
/* Steps first .. first + count - 1. No allocation, no submit, no wait. */
void heed_vk_binding_record(const struct heed_vk_binding *binding, VkCommandBuffer commands, uint32_t first,
                            uint32_t count);

/* ---- run.c */

/* Records and submits one piece of work of its own and waits for it. The caller holds the mutex. */
typedef void (*heed_vk_record_fn)(struct heed_vk_device *device, VkCommandBuffer commands, void *user);
enum heed_status heed_vk_submit_wait(struct heed_vk_device *device, heed_vk_record_fn record, void *user);

enum heed_status heed_vk_run(heed_plan *plan, const struct heed_bound_arg *args, bool timed, heed_fence **fence);
enum heed_status heed_vk_profile(heed_plan *plan, const struct heed_bound_arg *args, uint64_t *ns);
enum heed_status heed_vk_fence_wait(heed_fence *fence, uint64_t timeout_ns);
enum heed_status heed_vk_fence_get_device_ns(heed_fence *fence, uint64_t *ns);
void heed_vk_fence_destroy(heed_fence *fence);

#endif
