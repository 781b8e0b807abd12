/* SPDX-License-Identifier: MIT
 * What an app keeps of compiled pipelines: one blob, which tests may damage. */
#ifndef HEED_TESTS_BLOB_STORE_H
#define HEED_TESTS_BLOB_STORE_H

#include "cache.h"

struct store {
    char key[HEED_CACHE_KEY];
    uint8_t *data;
    size_t bytes;
    uint32_t gets, puts;
    size_t lie; /* get says that there are so many bytes */
};
extern struct store store;

/* Empty. */
void store_reset(void);
/* heed_context_desc.cache with this store. */
struct heed_cache store_cache(void);

#endif
