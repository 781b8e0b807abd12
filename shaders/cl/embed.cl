// SPDX-License-Identifier: MIT
// Rows of a table, f32, f16, bf16 or q8_0, by number; zeros where there is no such row.
#include "points.clh"

// A piece may begin and end anywhere in blocks.
HEED_REALS load_blocks(global const uchar *table, uint row_block, uint d, uint n)
{
    HEED_REALS v = HEED_EACH(0.0f);
    for (uint k = 0u; k < n; k++)
        ((float *)&v)[k] = load_q8_0(table, row_block, d + k);
    return v;
}

HEED_KERNEL embed(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_IN(table), HEED_IN(index), HEED_OUT(o))
{
    global const uchar *rows = HEED_AT(table, const uchar);
    uint z = (uint)get_group_id(2);
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        uint row = (uint)HEED_AT(index, const int)[point_of(push.own, z, p)], d = push.first[3] + p.d;
        HEED_REALS v = HEED_EACH(0.0f);
        if (row < push.own[3])
            v = POINTS_X == HEED_DT_Q8_0 ? load_blocks(rows, row * (push.x_strides[0] / HEED_Q8_BLOCK), d, p.n)
                                         : load_n(POINTS_X, rows, row * push.x_strides[0] + d, p.n);
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
