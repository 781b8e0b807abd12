/* SPDX-License-Identifier: MIT
 * What nodes keep of calls that take more than a descriptor. */
#ifndef HEED_OP_LAYERS_H
#define HEED_OP_LAYERS_H

#include <heed/heed_pipeline.h>

struct heed_concat_call {
    size_t struct_size;
    uint32_t count, axis;
    enum heed_dtype dtype;
};

struct heed_pool_call {
    size_t struct_size;
    uint32_t axis;
    struct heed_pool_desc desc;
};

struct heed_resize_call {
    size_t struct_size;
    uint32_t height, width;
    struct heed_resize_desc desc;
};

struct heed_top_k_call {
    size_t struct_size;
    uint32_t k;
    bool values;
    enum heed_dtype dtype;
};

#endif
