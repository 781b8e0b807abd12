/* SPDX-License-Identifier: MIT
 * malloc and free, counted. */
#include "host_memory.h"

#include <stdlib.h>

uint32_t host_calls, host_fail_at;
int host_live;

static void *host_alloc(void *user, size_t bytes)
{
    (void)user;
    if (++host_calls == host_fail_at)
        return NULL;
    host_live++;
    return malloc(bytes);
}

static void host_free(void *user, void *memory)
{
    (void)user;
    host_live -= memory != NULL;
    free(memory);
}

const struct heed_allocator host_allocator = {host_alloc, host_free, NULL};
