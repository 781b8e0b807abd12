// SPDX-License-Identifier: MIT
// Rotary positions: features in pairs, each turned by the row's position times the pair's frequency.
#include "points.clh"
#include "rotate.h"

HEED_KERNEL rope(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_IN(x), HEED_IN(positions), HEED_OUT(o))
{
    const uint FLAGS = POINTS_FLAGS;
    global const uchar *from = HEED_AT(x, const uchar);
    uint z = (uint)get_group_id(2), dims = push.own[4];
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        int position = (int)push.own[3];
        if (flag(HEED_ROPE_COUNT_ON))
            position += (int)(push.first[2] + p.row);
        if (flag(HEED_ROPE_HAS_POSITIONS))
            position += HEED_AT(positions, const int)[point_of(push.own, z, p)];
        uint row = point_of(push.x_strides, z, p);
        uint d0 = push.first[3] + p.d;
        HEED_REALS v = load_strided(POINTS_X, from, row + d0 * push.x_strides[3], push.x_strides[3], p.n);
        if (d0 < dims) {
            HEED_REALS there = HEED_EACH(0.0f), number = there;
            for (uint k = 0u; k < min(p.n, dims - d0); k++) {
                uint3 pair = heed_pair(flag(HEED_ROPE_INTERLEAVED), d0 + k, dims);
                float other = tensor_load(POINTS_X, from, row + pair.y * push.x_strides[3]);
                ((float *)&there)[k] = pair.z != 0u ? other : -other;
                ((float *)&number)[k] = (float)pair.x;
            }
            Turn turn = heed_turn_of((float)position * (push.c * heed_frequency(number, push.a, push.b)));
            v = LANE_NUMBERS < dims - d0 ? heed_turned(v, there, turn) : v;
        }
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
