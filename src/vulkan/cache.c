/* SPDX-License-Identifier: MIT
 * The VkPipelineCache of a device that has none from the app, and the app's callbacks that keep it between runs. */
#include "vk.h"

enum heed_status heed_vk_cache_create(struct heed_vk_device *device)
{
    heed_context *context = device->base.context;
    size_t bytes = 0;
    char *blob = heed_cache_load(context, &device->physical.identity, &bytes);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    VkPipelineCache handle = VK_NULL_HANDLE;
    VkResult result = VK_ERROR_UNKNOWN;
    if (blob) {
        info.initialDataSize = bytes - HEED_CACHE_HEADER;
        info.pInitialData = blob + HEED_CACHE_HEADER;
        result = device->vk.CreatePipelineCache(device->device, &info, NULL, &handle);
        if (result == VK_SUCCESS)
            device->kept_hash = heed_cache_hash(HEED_CACHE_HASH, info.pInitialData, info.initialDataSize);
        else
            heed_log(context, HEED_LOG_WARN, "cache: the driver refuses what it once gave (%d): not used", (int)result);
    }
    if (result != VK_SUCCESS) {
        info.initialDataSize = 0;
        info.pInitialData = NULL;
        result = device->vk.CreatePipelineCache(device->device, &info, NULL, &handle);
    }
    heed_free(context, blob);
    enum heed_status status = heed_vk_check(device, result, "vkCreatePipelineCache");
    if (!status) {
        device->pipeline_cache = handle;
        device->owns_cache = true;
    }
    return status;
}

/* The caller holds the mutex of the pipelines. */
static enum heed_status save(struct heed_vk_device *device)
{
    heed_context *context = device->base.context;
    const struct heed_cache *cache = &context->cache;
    const struct heed_vk_functions *vk = &device->vk;
    size_t bytes = 0;
    char *blob = NULL;
    VkResult result;
    do { /* pipelines may be made meanwhile */
        heed_free(context, blob);
        blob = NULL;
        result = vk->GetPipelineCacheData(device->device, device->pipeline_cache, &bytes, NULL);
        if (result != VK_SUCCESS || bytes <= HEED_CACHE_DRIVER_HEADER)
            break;
        blob = heed_alloc(context, bytes + HEED_CACHE_HEADER, 1);
        if (!blob)
            return heed_fail_memory(context);
        result = vk->GetPipelineCacheData(device->device, device->pipeline_cache, &bytes, blob + HEED_CACHE_HEADER);
    } while (result == VK_INCOMPLETE);
    enum heed_status status = heed_vk_check(device, result, "vkGetPipelineCacheData");
    const uint64_t hash = blob && !status ? heed_cache_hash(HEED_CACHE_HASH, blob + HEED_CACHE_HEADER, bytes) : 0;
    if (blob && !status && hash != device->kept_hash) {
        char key[HEED_CACHE_KEY];
        heed_cache_key(&device->physical.identity, key);
        heed_cache_seal(&device->physical.identity, blob, bytes + HEED_CACHE_HEADER);
        heed_log(context, HEED_LOG_INFO, "cache: %zu bytes to keep as \"%s\"", bytes + HEED_CACHE_HEADER, key);
        cache->put(cache->user, key, blob, bytes + HEED_CACHE_HEADER);
        device->kept_hash = hash;
    }
    heed_free(context, blob);
    return status;
}

enum heed_status heed_vk_cache_save(heed_device *base)
{
    struct heed_vk_device *device = (struct heed_vk_device *)base;
    enum heed_status status = heed_vk_usable(device);
    if (status || !base->context->cache.put || !device->owns_cache)
        return status;
    heed_mutex_lock(&device->pipelines.mutex);
    status = save(device);
    heed_mutex_unlock(&device->pipelines.mutex);
    return status;
}

void heed_vk_cache_destroy(struct heed_vk_device *device)
{
    if (!device->owns_cache)
        return;
    if (device->base.context->cache.put && !atomic_load(&device->lost))
        save(device);
    device->vk.DestroyPipelineCache(device->device, device->pipeline_cache, NULL);
}
