// SPDX-License-Identifier: MIT
// linear for few rows: the work is reading W, once for all rows that a work-item has. It makes COLUMNS columns of up to
// ROWS rows, 4 columns at a time along their features, or LANES where W is transposed.
//
//   groups.x  blocks of COLUMNS * HEED_GROUP columns      groups.y  blocks of ROWS rows      groups.z  batches
#include "linear.clh"

// Columns column .. column + 3 of one row.
void multiply_along(HEED_PARAMS uint batch, uint row, uint column)
{
    uint last = push.columns - 1u, features = push.features;
    uint c1 = min(column + 1u, last), c2 = min(column + 2u, last), c3 = min(column + 3u, last);
    HEED_REALS s0 = HEED_EACH(0.0f), s1 = s0, s2 = s0, s3 = s0;
    for (uint d = 0u; d < features; d += LANES) {
        uint n = features - d;
        HEED_REALS v = load_x(HEED_ARGS batch, row, d, n);
        s0 = fma(v, load_w(HEED_ARGS column, d, n), s0);
        s1 = fma(v, load_w(HEED_ARGS c1, d, n), s1);
        s2 = fma(v, load_w(HEED_ARGS c2, d, n), s2);
        s3 = fma(v, load_w(HEED_ARGS c3, d, n), s3);
    }
    HEED_REALS v = HEED_EACH(0.0f);
    v.s0 = add_lanes(s0);
    v.s1 = add_lanes(s1);
    v.s2 = add_lanes(s2);
    v.s3 = add_lanes(s3);
    store_y(HEED_ARGS batch, row, column, v, min(push.columns - column, 4u));
}

void multiply_across(HEED_PARAMS uint batch, uint row, uint column)
{
    uint n = push.columns - column;
    HEED_REALS sum = HEED_EACH(0.0f);
    for (uint d = 0u; d < push.features; d++) {
        float v = tensor_load(DT_X, buffers.x, batch * push.x_stride_batch + row * push.x_stride_row + d);
        sum = fma(HEED_EACH(v), load_n(DT_W, buffers.w, d * push.w_stride + column, n), sum);
    }
    store_y(HEED_ARGS batch, row, column, sum, n);
}

HEED_KERNEL linear_vector(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    uint batch = (uint)get_group_id(2), rows = HEED_TELL(HEED_LINEAR_SPEC_ROWS), row0 = (uint)get_group_id(1) * rows;
    uint wide = HEED_TELL(HEED_LINEAR_SPEC_COLUMNS), end_row = min(row0 + rows, push.rows);
    uint first = (uint)get_global_id(0) * wide, end = min(first + wide, push.columns);
    bool transposed = flag(HEED_LINEAR_TRANSPOSED);
    for (uint column = first; column < end; column += transposed ? LANES : 4u)
        for (uint row = row0; row < end_row; row++)
            if (transposed)
                multiply_across(HEED_ARGS batch, row, column);
            else
                multiply_along(HEED_ARGS batch, row, column);
}
