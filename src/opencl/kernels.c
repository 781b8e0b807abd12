/* SPDX-License-Identifier: MIT
 * The embedded OpenCL C. Kernels that use what only Vulkan has are not among it. */
#include "cl.h"
#include "cl_kernels.h"

struct heed_cl_source heed_cl_kernel_source(enum heed_kernel kernel)
{
    static const struct heed_cl_source sources[HEED_KERNEL_COUNT] = {
#define SOURCE(id, name)                                                                                               \
    [HEED_KERNEL_##id] = {heed_cl_##name, heed_cl_##name##_bytes, sizeof heed_cl_##name / sizeof *heed_cl_##name},
        HEED_CL_KERNELS_BUILT(SOURCE)
    };
    return sources[kernel];
}

bool heed_cl_has_kernel(unsigned kernel)
{
    return heed_cl_kernel_source((enum heed_kernel)kernel).count > 0;
}
