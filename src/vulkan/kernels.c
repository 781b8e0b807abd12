/* SPDX-License-Identifier: MIT
 * The embedded SPIR-V, packed as shaders/embed.py says: 0.8 MB instead of 1.8. A build whose shader compiler is too old
 * for a kernel leaves it out. */
#include "kernels_built.h"
#include "vk.h"

static const struct {
    const uint8_t *packed;
    size_t bytes, words;
} codes[HEED_KERNEL_COUNT] = {
#define CODE(id, name) [HEED_KERNEL_##id] = {heed_spv_##name, sizeof heed_spv_##name, heed_spv_##name##_words},
    HEED_KERNELS_BUILT(CODE)};

bool heed_vk_has_kernel(unsigned kernel)
{
    return codes[kernel].packed != NULL;
}

size_t heed_vk_kernel_bytes(enum heed_kernel kernel)
{
    return codes[kernel].bytes;
}

size_t heed_vk_kernel_words(enum heed_kernel kernel)
{
    return codes[kernel].words;
}

static uint32_t next_number(const uint8_t **packed)
{
    uint32_t number = 0;
    for (uint32_t shift = 0;; shift += 7) {
        const uint8_t byte = *(*packed)++;
        number |= (uint32_t)(byte & 127) << shift;
        if (byte < 128)
            return number;
    }
}

void heed_vk_kernel_unpack(enum heed_kernel kernel, uint32_t *words)
{
    enum { HEADER = 5 };
    const uint8_t *packed = codes[kernel].packed;
    uint32_t *const end = words + codes[kernel].words;
    for (int i = 0; i < HEADER; i++)
        *words++ = next_number(&packed);
    while (words < end) {
        const uint32_t opcode = next_number(&packed), length = next_number(&packed);
        *words++ = length << 16 | opcode;
        for (uint32_t i = 1; i < length; i++)
            *words++ = next_number(&packed);
    }
}
