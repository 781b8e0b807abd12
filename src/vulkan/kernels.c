/* SPDX-License-Identifier: MIT
 * The embedded SPIR-V. A build whose shader compiler is too old for a kernel leaves it out. */
#include "kernels_built.h"
#include "vk.h"

const uint32_t *heed_vk_kernel_code(enum heed_kernel kernel, size_t *bytes)
{
    static const struct {
        const uint32_t *words;
        size_t bytes;
    } codes[HEED_KERNEL_COUNT] = {
#define CODE(id, name) [HEED_KERNEL_##id] = {heed_spv_##name, sizeof heed_spv_##name},
        HEED_KERNELS_BUILT(CODE)
    };
    *bytes = codes[kernel].bytes;
    return codes[kernel].words;
}

bool heed_vk_has_kernel(unsigned kernel)
{
    size_t bytes;
    return heed_vk_kernel_code((enum heed_kernel)kernel, &bytes) != NULL;
}
