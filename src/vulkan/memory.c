/* SPDX-License-Identifier: MIT
 * Buffers of own mode: in device memory, mapped where the host sees it, else copied through a staging buffer. */
#include <inttypes.h>
#include <string.h>

#include "vk.h"

enum { STAGING_BYTES = 16 << 20 };

/* ---- memory */

/* How well a memory type serves; 0 = not at all. */
static uint32_t rank_type(const struct heed_vk_device *device, uint32_t type, uint64_t bytes,
                          enum heed_vk_memory_use use)
{
    const VkMemoryPropertyFlags known = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                        VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const VkMemoryPropertyFlags flags = device->memory.memoryTypes[type].propertyFlags;
    const bool local = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const bool visible = flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    const bool cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
    const bool coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    /* Other flags (protected, lazily allocated, uncached for the device) are for other purposes. */
    if ((flags & ~known) || device->memory.memoryHeaps[device->memory.memoryTypes[type].heapIndex].size < bytes)
        return 0;
    if (use == HEED_VK_MEMORY_STAGING)
        return visible ? 1u + 4 * cached + 2 * coherent + !local : 0;
    /* What the host sees of a discrete card's memory is slow to read, and often small. */
    const bool wanted_visible = device->base.info.type != HEED_DEVICE_DISCRETE;
    return 1u + 16 * local + 8 * (visible == wanted_visible) + 4 * (visible && cached) + 2 * (visible && coherent);
}

enum heed_status heed_vk_memory_create(struct heed_vk_device *device, uint64_t bytes, enum heed_vk_memory_use use,
                                       struct heed_vk_memory *memory)
{
    const struct heed_vk_functions *vk = &device->vk;
    heed_context *context = device->base.context;
    memset(memory, 0, sizeof *memory);
    if (bytes > device->physical.max_allocation)
        return heed_fail(context, HEED_ERR_DEVICE_MEMORY,
                         "vulkan: a buffer of %" PRIu64 " bytes is over the device's largest of %" PRIu64, bytes,
                         device->physical.max_allocation);
    const bool addresses = device->base.info.has_buffer_addresses;
    /* Kernels touch whole vectors of four words. */
    memory->bytes = (bytes + 15) / 16 * 16;
    const VkBufferCreateInfo buffer_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = memory->bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | (addresses ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0)};
    VkBuffer buffer;
    enum heed_status status =
        heed_vk_check(device, vk->CreateBuffer(device->device, &buffer_info, NULL, &buffer), "vkCreateBuffer");
    if (status)
        return status;
    memory->buffer = buffer;

    VkMemoryRequirements needs;
    vk->GetBufferMemoryRequirements(device->device, buffer, &needs);
    uint32_t best = 0, best_rank = 0;
    for (uint32_t i = 0; i < device->memory.memoryTypeCount; i++) {
        const uint32_t rank = needs.memoryTypeBits >> i & 1 ? rank_type(device, i, needs.size, use) : 0;
        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    if (best_rank == 0)
        status = heed_fail(context, HEED_ERR_DEVICE_MEMORY,
                           "vulkan: no heap of the device can hold a buffer of %" PRIu64 " bytes", bytes);
    if (!status) {
        const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                                 .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
        const VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                           .pNext = addresses ? &flags : NULL,
                                           .allocationSize = needs.size,
                                           .memoryTypeIndex = best};
        VkDeviceMemory handle;
        status = heed_vk_check(device, vk->AllocateMemory(device->device, &info, NULL, &handle), "vkAllocateMemory");
        if (!status)
            memory->memory = handle;
        memory->allocated = needs.size;
    }
    if (!status)
        status = heed_vk_check(device, vk->BindBufferMemory(device->device, buffer, memory->memory, 0),
                               "vkBindBufferMemory");
    const VkMemoryPropertyFlags flags = device->memory.memoryTypes[best].propertyFlags;
    memory->coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    if (!status && (flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        void *map;
        status = heed_vk_check(device, vk->MapMemory(device->device, memory->memory, 0, VK_WHOLE_SIZE, 0, &map),
                               "vkMapMemory");
        if (!status)
            memory->map = map;
    }
    if (status)
        heed_vk_memory_destroy(device, memory);
    return status;
}

void heed_vk_memory_destroy(struct heed_vk_device *device, struct heed_vk_memory *memory)
{
    if (memory->buffer)
        device->vk.DestroyBuffer(device->device, memory->buffer, NULL);
    if (memory->memory) /* unmaps, too */
        device->vk.FreeMemory(device->device, memory->memory, NULL);
    memset(memory, 0, sizeof *memory);
}

/* Ranges of memory that is not coherent begin and end at multiples of an atom, or at the end of the memory. */
static VkMappedMemoryRange atoms(const struct heed_vk_device *device, const struct heed_vk_memory *memory,
                                 uint64_t offset, uint64_t bytes)
{
    const uint64_t atom = device->physical.atom, begin = offset / atom * atom;
    uint64_t end = (offset + bytes + atom - 1) / atom * atom;
    if (end > memory->allocated)
        end = memory->allocated;
    return (VkMappedMemoryRange){
        .sType = VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE, .memory = memory->memory, .offset = begin, .size = end - begin};
}

static enum heed_status flush(struct heed_vk_device *device, const struct heed_vk_memory *memory, uint64_t offset,
                              uint64_t bytes)
{
    if (memory->coherent)
        return HEED_OK;
    const VkMappedMemoryRange range = atoms(device, memory, offset, bytes);
    return heed_vk_check(device, device->vk.FlushMappedMemoryRanges(device->device, 1, &range),
                         "vkFlushMappedMemoryRanges");
}

static enum heed_status invalidate(struct heed_vk_device *device, const struct heed_vk_memory *memory, uint64_t offset,
                                   uint64_t bytes)
{
    if (memory->coherent)
        return HEED_OK;
    const VkMappedMemoryRange range = atoms(device, memory, offset, bytes);
    return heed_vk_check(device, device->vk.InvalidateMappedMemoryRanges(device->device, 1, &range),
                         "vkInvalidateMappedMemoryRanges");
}

/* ---- transfers */

static void record_zero(struct heed_vk_device *device, VkCommandBuffer commands, void *user)
{
    device->vk.CmdFillBuffer(commands, ((struct heed_vk_memory *)user)->buffer, 0, VK_WHOLE_SIZE, 0);
}

struct copy {
    VkBuffer from, to;
    VkBufferCopy region;
};

static void record_copy(struct heed_vk_device *device, VkCommandBuffer commands, void *user)
{
    const struct copy *copy = user;
    device->vk.CmdCopyBuffer(commands, copy->from, copy->to, 1, &copy->region);
}

/* The caller holds the mutex. Exactly one of `from` and `to` is set. */
static enum heed_status copy_staged(struct heed_vk_buffer *buffer, uint64_t offset, const char *from, char *to,
                                    uint64_t bytes)
{
    struct heed_vk_device *device = (struct heed_vk_device *)buffer->base.device;
    struct heed_vk_memory *staging = &device->staging;
    enum heed_status status = HEED_OK;
    if (!staging->buffer)
        status = heed_vk_memory_create(device, STAGING_BYTES, HEED_VK_MEMORY_STAGING, staging);
    for (uint64_t done = 0; !status && done < bytes; done += STAGING_BYTES) {
        const uint64_t part = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
        struct copy copy = {.region.size = part};
        if (from) {
            memcpy(staging->map, from + done, part);
            copy.from = staging->buffer;
            copy.to = buffer->memory.buffer;
            copy.region.dstOffset = offset + done;
            status = flush(device, staging, 0, part);
        } else {
            copy.from = buffer->memory.buffer;
            copy.to = staging->buffer;
            copy.region.srcOffset = offset + done;
        }
        if (!status)
            status = heed_vk_submit_wait(device, record_copy, &copy);
        if (!status && to) {
            status = invalidate(device, staging, 0, part);
            if (!status)
                memcpy(to + done, staging->map, part);
        }
    }
    return status;
}

static enum heed_status wait_idle(struct heed_vk_device *device)
{
    return heed_vk_check(device, device->vk.QueueWaitIdle(device->queue), "vkQueueWaitIdle");
}

/* ---- buffers */

enum heed_status heed_vk_buffer_create(heed_device *base, uint64_t bytes, heed_buffer **result)
{
    struct heed_vk_device *device = (struct heed_vk_device *)base;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    struct heed_vk_buffer *buffer = heed_alloc(base->context, 1, sizeof *buffer);
    if (!buffer)
        return heed_fail_memory(base->context);
    buffer->base = (struct heed_buffer){.device = base, .bytes = bytes};
    struct heed_vk_memory *memory = &buffer->memory;
    status = heed_vk_memory_create(device, bytes, HEED_VK_MEMORY_DEVICE, memory);
    if (!status && memory->map) {
        memset(memory->map, 0, memory->bytes);
        status = flush(device, memory, 0, memory->bytes);
    } else if (!status) {
        heed_mutex_lock(&device->mutex);
        status = heed_vk_submit_wait(device, record_zero, memory);
        heed_mutex_unlock(&device->mutex);
    }
    if (status) {
        heed_vk_memory_destroy(device, memory);
        heed_free(base->context, buffer);
        return status;
    }
    *result = &buffer->base;
    return HEED_OK;
}

void heed_vk_buffer_destroy(heed_buffer *base)
{
    struct heed_vk_buffer *buffer = (struct heed_vk_buffer *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    if (!heed_vk_in_child(device))
        heed_vk_memory_destroy(device, &buffer->memory);
    heed_free(base->device->context, buffer);
}

enum heed_status heed_vk_buffer_write(heed_buffer *base, uint64_t offset, const void *data, uint64_t bytes)
{
    struct heed_vk_buffer *buffer = (struct heed_vk_buffer *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    heed_mutex_lock(&device->mutex);
    if (buffer->memory.map) {
        status = wait_idle(device);
        if (!status) {
            memcpy((char *)buffer->memory.map + offset, data, bytes);
            status = flush(device, &buffer->memory, offset, bytes);
        }
    } else {
        status = copy_staged(buffer, offset, data, NULL, bytes);
    }
    heed_mutex_unlock(&device->mutex);
    return status;
}

enum heed_status heed_vk_buffer_read(heed_buffer *base, uint64_t offset, void *data, uint64_t bytes)
{
    struct heed_vk_buffer *buffer = (struct heed_vk_buffer *)base;
    struct heed_vk_device *device = (struct heed_vk_device *)base->device;
    enum heed_status status = heed_vk_usable(device);
    if (status)
        return status;
    heed_mutex_lock(&device->mutex);
    if (buffer->memory.map) {
        status = wait_idle(device);
        if (!status)
            status = invalidate(device, &buffer->memory, offset, bytes);
        if (!status)
            memcpy(data, (const char *)buffer->memory.map + offset, bytes);
    } else {
        status = copy_staged(buffer, offset, NULL, data, bytes);
    }
    heed_mutex_unlock(&device->mutex);
    return status;
}
