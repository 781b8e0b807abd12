// SPDX-License-Identifier: MIT
// Sines and cosines of positions times frequencies that fall geometrically.
#include "points.clh"
#include "rotate.h"

HEED_KERNEL sinusoid(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_INOUT(positions), HEED_INOUT(o))
{
    const uint FLAGS = POINTS_FLAGS;
    uint z = (uint)get_group_id(2);
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        float position = (float)(push.first[2] + p.row);
        if (flag(HEED_SINUSOID_HAS_POSITIONS)) {
            uint e = point_of(push.own, z, p);
            position = flag(HEED_SINUSOID_INTEGERS) ? (float)HEED_AT(positions, const int)[e]
                                                    : HEED_AT(positions, const float)[e];
        }
        HEED_REALS number = HEED_EACH(0.0f);
        BITS second = (BITS)(0u);
        for (uint k = 0u; k < p.n; k++) {
            uint3 pair = heed_pair(flag(HEED_SINUSOID_INTERLEAVED), push.first[3] + p.d + k, 2u * push.own[3]);
            ((float *)&number)[k] = (float)pair.x;
            ((uint *)&second)[k] = pair.z;
        }
        Turn turn = heed_turn_of(push.c * position * heed_frequency(number, push.a, push.b));
        HEED_REALS v = second != (flag(HEED_SINUSOID_COSINE_FIRST) ? 1u : 0u) ? turn.cosine : turn.sine;
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
