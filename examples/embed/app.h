/* SPDX-License-Identifier: MIT
 * What any Vulkan app has anyway: an instance, a device, memory, its own shaders, a command buffer. No heed in here. */
#ifndef APP_H
#define APP_H

#include <stdbool.h>

#include <volk.h>

struct app {
    VkInstance instance;
    VkPhysicalDevice physical_device;
    char device_name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    uint32_t queue_family;
    VkDevice device;
    VkQueue queue;
    VkCommandPool command_pool;
    VkCommandBuffer commands;
    VkFence fence;
};

/* Memory that the host sees, and a storage buffer over it. */
struct app_buffer {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceSize bytes;
    void *data;
};

/* A compute shader of the app with its buffers bound. */
struct app_shader {
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorPool pool;
    VkDescriptorSet set;
};

/* Ends the program with a sentence when a call fails. */
void app_must(VkResult result, const char *what);

/* Instance and physical device, the first with a compute queue and Vulkan 1.1; false: there is none. */
bool app_create_instance(struct app *app);
/* After the device was made: queue, command buffer, fence. */
void app_create_commands(struct app *app);
struct app_buffer app_create_buffer(const struct app *app, VkDeviceSize bytes);
struct app_shader app_create_shader(const struct app *app, const uint32_t *code, size_t code_bytes,
                                    const struct app_buffer *const *buffers, uint32_t buffer_count);
void app_dispatch(const struct app *app, const struct app_shader *shader, uint32_t groups);
/* What was written before is visible after. */
void app_barrier(const struct app *app, VkPipelineStageFlags after, VkAccessFlags access);
void app_destroy_buffer(const struct app *app, struct app_buffer *buffer);
void app_destroy_shader(const struct app *app, struct app_shader *shader);
void app_destroy(struct app *app);

#endif
