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

bool heed_cl_has_kernel(unsigned kernel)
{
    return heed_cl_kernel_source((enum heed_kernel)kernel).count > 0;
}
