/* SPDX-License-Identifier: MIT
 * An app with its own Vulkan device, made as heed_vk_get_requirements says. heed sees it through vk_wrap. */
#ifndef HEED_TESTS_VK_APP_H
#define HEED_TESTS_VK_APP_H

#include "vulkan/vk.h"

struct app {
    heed_context *context;
    struct heed_vk_functions vk; /* the driver's own, not counted */
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    struct heed_vk_requirements requirements;
    heed_device *heed;
};

struct app_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint32_t *words;
};

/* Every failure fails the test. */
void app_open(struct app *app, PFN_vkGetInstanceProcAddr loader_entry, heed_context *context);
struct heed_vk_import_desc app_desc(const struct app *app);
/* min_offset_alignment 0: the device's own. */
void app_import(struct app *app, uint32_t min_offset_alignment);
void app_close(struct app *app);

/* Mapped, and filled with 0xcd. */
struct app_buffer app_buffer(struct app *app, uint64_t bytes);
void app_buffer_free(struct app *app, struct app_buffer *buffer);

VkCommandBuffer app_begin(struct app *app, VkCommandPool *pool);
/* What the app owes heed between two uses of the same buffers. */
void app_barrier(struct app *app, VkCommandBuffer commands);
/* Makes what was written visible to the host. */
void app_end(struct app *app, VkCommandBuffer commands);
/* Submits and waits. */
void app_submit(struct app *app, VkCommandBuffer commands);

#endif
