/* SPDX-License-Identifier: MIT
 * The context: messages and host memory, and the names of statuses. */
#include "context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *heed_version(void)
{
    return HEED_VERSION;
}

const char *heed_status_name(enum heed_status status)
{
    switch (status) {
    case HEED_OK:
        return "HEED_OK";
    case HEED_NOT_READY:
        return "HEED_NOT_READY";
    case HEED_ERR_ARGUMENT:
        return "HEED_ERR_ARGUMENT";
    case HEED_ERR_UNSUPPORTED:
        return "HEED_ERR_UNSUPPORTED";
    case HEED_ERR_HOST_MEMORY:
        return "HEED_ERR_HOST_MEMORY";
    case HEED_ERR_DEVICE_MEMORY:
        return "HEED_ERR_DEVICE_MEMORY";
    case HEED_ERR_DEVICE_LOST:
        return "HEED_ERR_DEVICE_LOST";
    case HEED_ERR_BACKEND:
        return "HEED_ERR_BACKEND";
    case HEED_ERR_NO_DEVICE:
        return "HEED_ERR_NO_DEVICE";
    }
    return "unknown heed_status";
}

static void *default_alloc(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void default_free(void *user, void *memory)
{
    (void)user;
    free(memory);
}

void *heed_alloc(heed_context *context, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    size_t bytes = count * size > 0 ? count * size : 1;
    void *memory = context->allocator.alloc(context->allocator.user, bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void heed_free(heed_context *context, void *memory)
{
    if (memory)
        context->allocator.free(context->allocator.user, memory);
}

static void log_list(heed_context *context, enum heed_log_level level, const char *format, va_list list)
{
    if (!context->log || level > context->log_level)
        return;
    char text[1024];
    vsnprintf(text, sizeof text, format, list);
    context->log(context->log_user, level, text);
}

void heed_log(heed_context *context, enum heed_log_level level, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    log_list(context, level, format, list);
    va_end(list);
}

enum heed_status heed_fail(heed_context *context, enum heed_status status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    log_list(context, HEED_LOG_ERROR, format, list);
    va_end(list);
    return status;
}

enum heed_status heed_fail_memory(heed_context *context)
{
    return heed_fail(context, HEED_ERR_HOST_MEMORY, "out of host memory");
}

enum heed_status heed_context_create(const struct heed_context_desc *desc, heed_context **context)
{
    if (!context)
        return HEED_ERR_ARGUMENT;
    *context = NULL;
    struct heed_context made = {
        .log_level = HEED_LOG_ERROR,
        .allocator = {default_alloc, default_free, NULL},
    };
    if (desc) {
        if (desc->struct_size != sizeof *desc || !desc->allocator.alloc != !desc->allocator.free ||
            !desc->cache.get != !desc->cache.put)
            return HEED_ERR_ARGUMENT;
        made.log = desc->log;
        made.log_user = desc->log_user;
        if (desc->log_level != HEED_LOG_NONE)
            made.log_level = desc->log_level;
        if (desc->allocator.alloc)
            made.allocator = desc->allocator;
        made.cache = desc->cache;
    }
    heed_context *result = made.allocator.alloc(made.allocator.user, sizeof *result);
    if (!result)
        return HEED_ERR_HOST_MEMORY;
    *result = made;
    *context = result;
    return HEED_OK;
}

void heed_context_destroy(heed_context **context)
{
    if (!context || !*context)
        return;
    struct heed_allocator allocator = (*context)->allocator;
    allocator.free(allocator.user, *context);
    *context = NULL;
}
