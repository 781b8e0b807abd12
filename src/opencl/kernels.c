/* SPDX-License-Identifier: MIT
 * The embedded OpenCL C. Kernels that use what only Vulkan has are not among it. */
#include "cl.h"
#include "cl_kernels.h"

struct heed_cl_source heed_cl_kernel_source(enum heed_kernel kernel)
{
    static const struct heed_cl_source sources[HEED_KERNEL_COUNT] = {
#define SOURCE(id, name)                                                                                               \
    [HEED_KERNEL_##id] = {source_##name, source_##name##_bytes, sizeof source_##name / sizeof *source_##name},
        SOURCES(SOURCE)};
    return sources[kernel];
}

uint32_t heed_cl_compiled(enum heed_kernel kernel)
{
    const uint32_t group = 1u << HEED_SPEC_GROUP;
    if (kernel < HEED_KERNEL_LINEAR)
        return UINT32_MAX;
    return kernel == HEED_KERNEL_LINEAR_ROWS || kernel == HEED_KERNEL_CONV_ROWS ? group | 1u << HEED_LINEAR_SPEC_COLUMNS
                                                                                : group;
}

bool heed_cl_has_kernel(unsigned kernel)
{
    return heed_cl_kernel_source((enum heed_kernel)kernel).count > 0;
}
