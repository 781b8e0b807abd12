/* SPDX-License-Identifier: MIT
 * The table of preferences, keyed on driver and version. */
#include "preferences.h"

#include <string.h>

/* VkDriverId, which is the same number on every platform; versions as drivers report them, Mesa in VK_MAKE_VERSION. */
enum {
    NVIDIA_PROPRIETARY = 4,
    INTEL_WINDOWS = 5,
    INTEL_MESA = 6,
    ARM_PROPRIETARY = 9,
    GOOGLE_SWIFTSHADER = 10,
    MESA_LLVMPIPE = 13,
    MESA_V3DV = 19,
    MESA_PANVK = 20,
    MESA_NVK = 24
};
#define MESA(major, minor) ((uint32_t)(major) << 22 | (uint32_t)(minor) << 12)
#define API(major, minor) MESA(major, minor) /* VK_MAKE_API_VERSION packs the same way */

static const struct {
    uint32_t driver_id, from, to; /* versions from <= v < to */
    uint32_t preferences;
    uint32_t api_below; /* only devices of a lower api_version; 0: all */
} table[] = {
    /* CPU ms of 12 heads of 32 x 257 keys of 64 features, lanes against the 16x32 tile: 26.1.6, 16 lanes 0.7 : 7.6,
     * 22.3.6 6.2 : 18. 8 heads of 1 x 1500 keys, keys against the 16x32 tile: 0.75 : 15 and 2.1 : 29. */
    {MESA_LLVMPIPE, 0, UINT32_MAX, HEED_PREFERS_LANES},
    /* 22.3.6, staged aggregate with 512 and 128 weights a lane: first run 8.4 s and 1.0 s, 3.9 and 3.3 GFLOP per CPU
     * second (the plain one 2.1; a busy machine). attn_lanes with 2 rows x 4 keys of 64 features and with 1 x 4:
     * 2.4 s and 1.7 s. */
    {MESA_LLVMPIPE, 0, MESA(26, 0), HEED_AVOIDS_LONG_CODE},
    /* 26.1.6: a segmentation fault in the compiled code of attn_matrix where batches have no keys (11 x 83 causal with
     * key lengths, 5 x 0 with a mask) or no rows (packed, causal); none without masks. */
    {MESA_LLVMPIPE, 0, UINT32_MAX, HEED_AVOIDS_IDLE_MATRIX},
    /* Shared memory is memory behind the same unit as loads. Raspberry Pi 5, Mesa 26.1.6, 64 features: 448 bytes of
     * spills with 2 vec4 of output and one row of scores a lane, 3136 with twice of that, none with 1; with masks or
     * packed sequences 128 to 704. */
    {MESA_V3DV, 0, UINT32_MAX, HEED_AVOIDS_STAGING | HEED_PREFERS_LEAST_TILES},
    /* Mesa 26.1.6, spills in the large tiles with 16 scores and 8 vec4 of output a lane: 34 on Battlemage (64 features,
     * packed, ALiBi and sinks), 5 to 36 on DG2; none with half of that. */
    {INTEL_WINDOWS, 0, UINT32_MAX, HEED_PREFERS_SMALL_TILES},
    {INTEL_MESA, 0, UINT32_MAX, HEED_PREFERS_SMALL_TILES},
    /* Kepler, which has Vulkan 1.2 there, Mesa 26.1.6: 63 registers, and 36 to 285 spills in every tile, in the stages
     * none. */
    {MESA_NVK, 0, UINT32_MAX, HEED_PREFERS_STAGED, API(1, 3)},
    /* Mali has no shared memory of its own: it lies in the caches that loads go through. 64 registers at most: PanVK
     * 26.1.6 for a G610 spills 3 to 18 with 4 vec4 of output a lane, none with 2 and one row of scores (56 to 59). */
    {ARM_PROPRIETARY, 0, UINT32_MAX, HEED_AVOIDS_STAGING | HEED_PREFERS_TINY_TILES},
    {MESA_PANVK, 0, UINT32_MAX, HEED_AVOIDS_STAGING | HEED_PREFERS_TINY_TILES},
    /* See prefers_held. */
    {NVIDIA_PROPRIETARY, 0, UINT32_MAX, HEED_PREFERS_HELD},
    /* llvmpipe by OpenCL, 26.1.6: attn_rows for 18 x 35 keys of 8 features did not come to an end in 200 s, where tiles
     * took 4. */
    {HEED_DRIVER_CL_RUSTICL, 0, UINT32_MAX, HEED_AVOIDS_VECTORS},
    /* 8 heads of 1 x 1500 keys of 64 features, keys against the 16x32 tile: 7 : 55 CPU ms, the pipeline 1.2 s.
     * attn_lanes: 64 features in bf16 were stopped after 100 s, others when they took 10 GB. */
    {GOOGLE_SWIFTSHADER, 0, UINT32_MAX, HEED_PREFERS_LANES | HEED_AVOIDS_LONG_CODE | HEED_AVOIDS_LANES},
};

/* The compiler of NVIDIA's own driver breaks attention on matrix units there: ggml-org/llama.cpp#19290. Nothing but its
 * name tells such a GPU from an Ampere without enabling more. */
static bool is_turing(const char *name)
{
    static const char *const names[] = {"RTX 20", "TITAN RTX", "Quadro RTX", "Tesla T4"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(name, names[i]))
            return true;
    return false;
}

uint32_t heed_preferences(const struct heed_device_info *info)
{
    uint32_t flags = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (info->driver_id == table[i].driver_id && info->driver_version >= table[i].from &&
            info->driver_version < table[i].to && (table[i].api_below == 0 || info->api_version < table[i].api_below))
            flags |= table[i].preferences;
    if (info->driver_id == NVIDIA_PROPRIETARY && is_turing(info->name))
        flags |= HEED_AVOIDS_MATRIX;
    return flags;
}
