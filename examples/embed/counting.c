/* SPDX-License-Identifier: MIT
 * A vkGetInstanceProcAddr whose functions count their calls, so that an app can prove what a library does with them. */
#include "counting.h"

#include <stdio.h>
#include <string.h>

/* A row: result, how to give it back, name, parameters, arguments, and the one part of heed that may call it
 * (CALLER_APP: none). */
#define CREATE(X, type, allowed) \
    X(VkResult, return, vkCreate##type, \
      (VkDevice a, const Vk##type##CreateInfo *b, const VkAllocationCallbacks *c, Vk##type *d), (a, b, c, d), allowed)
#define FUNCTIONS(X) \
    X(VkResult, return, vkQueueSubmit, (VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d), (a, b, c, d), \
      CALLER_APP) \
    X(VkResult, return, vkQueueSubmit2, (VkQueue a, uint32_t b, const VkSubmitInfo2 *c, VkFence d), (a, b, c, d), \
      CALLER_APP) \
    X(VkResult, return, vkQueueWaitIdle, (VkQueue a), (a), CALLER_APP) \
    X(VkResult, return, vkDeviceWaitIdle, (VkDevice a), (a), CALLER_APP) \
    X(VkResult, return, vkWaitForFences, (VkDevice a, uint32_t b, const VkFence *c, VkBool32 d, uint64_t e), \
      (a, b, c, d, e), CALLER_APP) \
    X(VkResult, return, vkAllocateMemory, \
      (VkDevice a, const VkMemoryAllocateInfo *b, const VkAllocationCallbacks *c, VkDeviceMemory *d), (a, b, c, d), \
      CALLER_APP) \
    X(VkResult, return, vkMapMemory, \
      (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e, void **f), \
      (a, b, c, d, e, f), CALLER_APP) \
    X(VkResult, return, vkAllocateCommandBuffers, \
      (VkDevice a, const VkCommandBufferAllocateInfo *b, VkCommandBuffer *c), (a, b, c), CALLER_APP) \
    CREATE(X, CommandPool, CALLER_APP) \
    CREATE(X, Buffer, CALLER_APP) \
    CREATE(X, Fence, CALLER_APP) \
    CREATE(X, Semaphore, CALLER_APP) \
    CREATE(X, QueryPool, CALLER_APP) \
    CREATE(X, DescriptorSetLayout, CALLER_PREPARE) \
    CREATE(X, PipelineLayout, CALLER_PREPARE) \
    CREATE(X, ShaderModule, CALLER_PREPARE) \
    CREATE(X, DescriptorPool, CALLER_PREPARE) \
    X(VkResult, return, vkCreateComputePipelines, \
      (VkDevice a, VkPipelineCache b, uint32_t c, const VkComputePipelineCreateInfo *d, \
       const VkAllocationCallbacks *e, VkPipeline *f), (a, b, c, d, e, f), CALLER_PREPARE) \
    X(VkResult, return, vkAllocateDescriptorSets, \
      (VkDevice a, const VkDescriptorSetAllocateInfo *b, VkDescriptorSet *c), (a, b, c), CALLER_PREPARE) \
    X(void, , vkUpdateDescriptorSets, \
      (VkDevice a, uint32_t b, const VkWriteDescriptorSet *c, uint32_t d, const VkCopyDescriptorSet *e), \
      (a, b, c, d, e), CALLER_PREPARE) \
    X(void, , vkCmdBindPipeline, (VkCommandBuffer a, VkPipelineBindPoint b, VkPipeline c), (a, b, c), CALLER_RECORD) \
    X(void, , vkCmdPipelineBarrier, \
      (VkCommandBuffer a, VkPipelineStageFlags b, VkPipelineStageFlags c, VkDependencyFlags d, uint32_t e, \
       const VkMemoryBarrier *f, uint32_t g, const VkBufferMemoryBarrier *h, uint32_t i, \
       const VkImageMemoryBarrier *j), (a, b, c, d, e, f, g, h, i, j), CALLER_RECORD) \
    X(void, , vkCmdDispatch, (VkCommandBuffer a, uint32_t b, uint32_t c, uint32_t d), (a, b, c, d), CALLER_RECORD)

enum caller counting_caller = CALLER_APP;

#define INDEX(result, give, name, parameters, arguments, allowed) INDEX_##name,
enum { FUNCTIONS(INDEX) FUNCTION_COUNT };
#undef INDEX

static unsigned calls[FUNCTION_COUNT][CALLER_COUNT];

#define COUNTED(result, give, name, parameters, arguments, allowed) \
    static PFN_##name real_##name; \
    static VKAPI_ATTR result VKAPI_CALL counted_##name parameters \
    { \
        calls[INDEX_##name][counting_caller]++; \
        give real_##name arguments; \
    }
FUNCTIONS(COUNTED)
#undef COUNTED

#define ROW(result, give, name, parameters, arguments, allowed) \
    [INDEX_##name] = {#name, (PFN_vkVoidFunction)counted_##name, allowed},
static const struct {
    const char *name;
    PFN_vkVoidFunction function;
    enum caller allowed;
} table[FUNCTION_COUNT] = {FUNCTIONS(ROW)};
#undef ROW

void counting_install(void)
{
#define INSTALL(result, give, name, parameters, arguments, allowed) \
    real_##name = name; \
    name = name != NULL ? counted_##name : NULL;
    FUNCTIONS(INSTALL)
#undef INSTALL
}

static PFN_vkVoidFunction count(const char *name, PFN_vkVoidFunction function)
{
    for (int i = 0; function != NULL && i < FUNCTION_COUNT; i++)
        if (strcmp(name, table[i].name) == 0)
            return table[i].function;
    return function;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_proc_addr(VkDevice device, const char *name)
{
    return count(name, vkGetDeviceProcAddr(device, name));
}

VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL counting_get_instance_proc_addr(VkInstance instance, const char *name)
{
    if (strcmp(name, "vkGetInstanceProcAddr") == 0)
        return (PFN_vkVoidFunction)counting_get_instance_proc_addr;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (PFN_vkVoidFunction)get_device_proc_addr;
    return count(name, vkGetInstanceProcAddr(instance, name));
}

bool counting_report(void)
{
    bool ok = calls[INDEX_vkQueueSubmit][CALLER_APP] == 1 && calls[INDEX_vkAllocateMemory][CALLER_APP] > 0 &&
              calls[INDEX_vkCmdDispatch][CALLER_RECORD] > 0;
    printf("%-28s%8s%16s%15s\n", "calls made by", "the app", "heed: prepare", "heed: record");
    for (int i = 0; i < FUNCTION_COUNT; i++) {
        const char *verdict = "";
        for (int caller = CALLER_PREPARE; caller < CALLER_COUNT; caller++)
            if (calls[i][caller] > 0 && caller != (int)table[i].allowed)
                verdict = "   heed must not";
        printf("%-28s%8u%16u%15u%s\n", table[i].name, calls[i][CALLER_APP], calls[i][CALLER_PREPARE],
               calls[i][CALLER_RECORD], verdict);
        ok = ok && *verdict == '\0';
    }
    return ok;
}
