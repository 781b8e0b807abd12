/* SPDX-License-Identifier: MIT
 * The context: where messages go and where host memory comes from. */
#ifndef HEED_CONTEXT_H
#define HEED_CONTEXT_H

#include <heed/heed.h>

#if defined(__MINGW32__)
#define HEED_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define HEED_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define HEED_PRINTF(text, first)
#endif

struct heed_context {
    heed_log_fn log;
    void *log_user;
    enum heed_log_level log_level;
    struct heed_allocator allocator;
    struct heed_cache cache;
};

/* Zeroed memory, or NULL; count * size is checked. Free with heed_free. */
void *heed_alloc(heed_context *context, size_t count, size_t size);
void heed_free(heed_context *context, void *memory);

void heed_log(heed_context *context, enum heed_log_level level, const char *format, ...) HEED_PRINTF(3, 4);
/* Logs an error and returns `status`, so that a check is one line: return heed_fail(...). */
enum heed_status heed_fail(heed_context *context, enum heed_status status, const char *format, ...) HEED_PRINTF(3, 4);
/* The usual sentence for a failed heed_alloc. */
enum heed_status heed_fail_memory(heed_context *context);

#endif
