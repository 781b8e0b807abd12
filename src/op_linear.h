/* SPDX-License-Identifier: MIT
 * The tiles of linear's kernels, which conv has too. */
#ifndef HEED_OP_LINEAR_H
#define HEED_OP_LINEAR_H

#include "pipeline_ops.h"

struct heed_linear_tile {
    uint32_t group, rows, columns;                /* of a work group, rows and columns of y */
    uint32_t spec_rows, spec_columns, spec_chunk; /* HEED_LINEAR_SPEC_ROWS, _COLUMNS, _CHUNK */
    uint32_t shared_bytes;
};

/* Of linear_lanes.comp, for so many columns. Not for so many rows: a resized plan shares its pipelines. */
struct heed_linear_tile heed_linear_lanes_tile(const heed_device *device, uint64_t columns);
/* Of linear_rows.cl. */
struct heed_linear_tile heed_linear_rows_tile(const heed_device *device);
/* Of linear.comp and linear.cl. */
struct heed_linear_tile heed_linear_plain_tile(const heed_device *device);

#endif
