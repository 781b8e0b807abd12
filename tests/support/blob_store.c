/* SPDX-License-Identifier: MIT
 * The store in memory. */
#include "blob_store.h"

#include <stdlib.h>
#include <string.h>

struct store store;

static size_t get(void *user, const char *key, void *data, size_t capacity)
{
    struct store *s = user;
    s->gets++;
    if (strcmp(key, s->key) != 0)
        return 0;
    if (data)
        memcpy(data, s->data, capacity < s->bytes ? capacity : s->bytes);
    return s->lie && !data ? s->lie : s->bytes;
}

static void put(void *user, const char *key, const void *data, size_t bytes)
{
    struct store *s = user;
    s->puts++;
    if (strlen(key) >= sizeof s->key)
        abort();
    strcpy(s->key, key);
    free(s->data);
    s->data = malloc(bytes);
    if (!s->data)
        abort();
    s->bytes = bytes;
    memcpy(s->data, data, bytes);
}

void store_reset(void)
{
    free(store.data);
    store = (struct store){.bytes = 0};
}

struct heed_cache store_cache(void)
{
    return (struct heed_cache){get, put, &store};
}
