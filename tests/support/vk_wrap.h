/* SPDX-License-Identifier: MIT
 * A vkGetInstanceProcAddr between heed and the driver: counts calls and objects, lets the Nth call fail, and shows
 * memory that this machine's driver does not have. Vulkan gives it no user pointer, so there is one per process. */
#ifndef HEED_TESTS_VK_WRAP_H
#define HEED_TESTS_VK_WRAP_H

#include "vulkan/vk.h"

enum vk_wrap_memory {
    VK_WRAP_MEMORY_AS_IS,
    VK_WRAP_MEMORY_STAGED,       /* device memory that the host does not see, and host memory that is not coherent */
    VK_WRAP_MEMORY_NOT_COHERENT, /* one type, seen by the host, where nothing crosses without flush or invalidate */
};

enum { VK_WRAP_NAMES = 128, VK_WRAP_ATOM = 256 };

struct vk_wrap {
    /* What to do. */
    enum vk_wrap_memory memory;
    uint32_t fail_at; /* the call that can fail, counted from 1, that does; 0 = none */
    VkResult fail_with;
    bool null_pipelines; /* vkCreateComputePipelines succeeds and gives none */
    uint32_t cache_bytes;     /* what pipeline caches seem to hold behind their header; 0: the driver's own */
    uint8_t cache_fill;       /* the bytes of it */
    bool cache_grows;         /* it has one more between the question for its size and the next one */
    bool cache_refuses_data;  /* no pipeline cache can be made out of data */

    /* What happened. */
    atomic_uint calls;          /* that can fail */
    const char *failed;         /* the one that did */
    atomic_int live;            /* objects created and not destroyed, descriptor sets and command buffers apart */
    atomic_uint created;        /* objects of any kind, sets and command buffers too */
    atomic_uint device_memory, submits, waits;
    atomic_uint dispatches, barriers, binds; /* recorded */
    size_t cache_given;         /* initial data of the last pipeline cache */
    VkPipelineCache cache_used; /* by the last pipeline */
    uint32_t bad_ranges;        /* flushes and invalidates that break Vulkan's rule of atoms */
    const char *asked[VK_WRAP_NAMES]; /* functions that heed asked for */
    uint32_t asked_count;
};
extern struct vk_wrap vk_wrap;

/* Forgets what happened; `loader_entry` is the loader's vkGetInstanceProcAddr. */
void vk_wrap_reset(PFN_vkGetInstanceProcAddr loader_entry);
bool vk_wrap_asked(const char *name);
PFN_vkVoidFunction VKAPI_CALL vk_wrap_get_instance_proc_addr(VkInstance instance, const char *name);

#endif
