/* SPDX-License-Identifier: MIT
 * What is faster where, and what a driver cannot do: each with the measurement that it rests on. */
#ifndef HEED_PREFERENCES_H
#define HEED_PREFERENCES_H

#include <heed/heed.h>

enum heed_preference {
    HEED_PREFERS_ROWS = 1,        /* lanes that own rows, without shared memory or barriers: attn_rows */
    HEED_AVOIDS_ROWS = 2,         /* the driver's compiler does not come to an end with it */
    HEED_AVOIDS_WIDE_ROWS = 4,    /* nor beyond HEED_NARROW_ROWS features of q and v together */
    HEED_PREFERS_SMALL_TILES = 8, /* few registers: a lane makes less of scores and output */
    HEED_AVOIDS_MATRIX = 16,      /* matrix units, or the compiler for them, are known to be wrong or slow */
    HEED_AVOIDS_LONG_CODE = 32,   /* compiling takes seconds where others take tenths */
    HEED_AVOIDS_STAGING = 64,     /* shared memory is no nearer than caches: keys and values do not go through it */
};

enum { HEED_NARROW_ROWS = 32 };

/* heed_preference flags. */
uint32_t heed_preferences(const struct heed_device_info *info);

#endif
