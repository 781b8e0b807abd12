/* SPDX-License-Identifier: MIT
 * What is faster where, and what a driver cannot do: each with the measurement that it rests on. */
#ifndef HEED_PREFERENCES_H
#define HEED_PREFERENCES_H

#include <heed/heed.h>

enum heed_preference {
    HEED_PREFERS_LANES = 1,       /* a processor: scores and outputs in a lane's own variables, attn_lanes, attn_keys */
    HEED_AVOIDS_LANES = 2,        /* the driver's compiler does not come to an end with attn_lanes */
    HEED_PREFERS_HELD = 4,        /* matrix units: scores stay in matrices, attn_held */
    HEED_PREFERS_SMALL_TILES = 8, /* few registers: a lane makes less of scores and output */
    HEED_AVOIDS_MATRIX = 16,      /* matrix units, or the compiler for them, are known to be wrong or slow */
    HEED_AVOIDS_LONG_CODE = 32,   /* compiling takes seconds where others take tenths */
    HEED_AVOIDS_STAGING = 64,     /* shared memory is no nearer than caches: keys and values do not go through it */
    HEED_AVOIDS_IDLE_MATRIX = 128,  /* a work group without rows or keys crashes on matrices with a mask */
    HEED_PREFERS_TINY_TILES = 256,  /* fewer still: one row of scores, two vec4 of output */
    HEED_PREFERS_LEAST_TILES = 512, /* one of each */
    HEED_PREFERS_STAGED = 1024,     /* not even that many: the stages are all that does not spill */
    HEED_AVOIDS_VECTORS = 2048,     /* a processor whose compiler takes vectors of OpenCL C apart, for minutes */
};

/* heed_device_info.driver_id on OpenCL, by the name of the platform. VkDriverId is far below. */
enum {
    HEED_DRIVER_CL_POCL = 0x434c0001,
    HEED_DRIVER_CL_RUSTICL,
    HEED_DRIVER_CL_CLOVER,
    HEED_DRIVER_CL_CLVK,
    HEED_DRIVER_CL_NVIDIA,
    HEED_DRIVER_CL_AMD,
    HEED_DRIVER_CL_INTEL,
    HEED_DRIVER_CL_ARM,
    HEED_DRIVER_CL_QUALCOMM,
    HEED_DRIVER_CL_APPLE,
    HEED_DRIVER_CL_OCLGRIND,
};

/* heed_preference flags. */
uint32_t heed_preferences(const struct heed_device_info *info);

#endif
