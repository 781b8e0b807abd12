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
        HEED_REALS v = HEED_EACH(0.0f);
        for (uint k = 0u; k < p.n; k++) {
            uint3 pair = heed_pair(flag(HEED_SINUSOID_INTERLEAVED), push.first[3] + p.d + k, 2u * push.own[3]);
            float2 turn = heed_cos_sin(push.c * position * heed_frequency(pair.x, push.a, push.b));
            ((float *)&v)[k] = (pair.z != 0u) != flag(HEED_SINUSOID_COSINE_FIRST) ? turn.x : turn.y;
        }
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
