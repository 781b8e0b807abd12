// SPDX-License-Identifier: MIT
// The mean or the maximum along an axis: neighbours on another axis through all of it, or, along the last axis,
// neighbours on it.
#include "points.clh"

// All of a row of `count`.
float pool_row(uint dt, global const uchar *x, uint e, uint stride, bool strided, bool most, uint count)
{
    HEED_REALS v = HEED_EACH(most ? tensor_load(dt, x, e) : 0.0f), none = v;
    for (uint i = 0u; i < count; i += LANES) {
        HEED_REALS next = load_neighbours(dt, x, e + i * stride, stride, strided, count - i);
        next = LANE_NUMBERS < count - i ? next : none;
        v = most ? heed_larger(v, next) : v + next;
    }
    if (!most)
        return add_lanes(v);
    HEED_REALS all = HEED_EACH(v.s0);
    for (uint k = 1u; k < LANES; k++)
        all = heed_larger(all, HEED_EACH(((const float *)&v)[k]));
    return all.s0;
}

HEED_KERNEL pool(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_IN(x), HEED_OUT(o))
{
    const uint FLAGS = POINTS_FLAGS;
    global const uchar *from = HEED_AT(x, const uchar);
    uint z = (uint)get_group_id(2), count = push.own[0], stride = push.x_strides[3];
    bool most = flag(HEED_POOL_MAX), strided = flag(HEED_POOL_STRIDED);
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        uint e = point_of(push.x_strides, z, p) + p.d * stride;
        HEED_REALS v;
        if (flag(HEED_POOL_LAST)) {
            v = HEED_EACH(pool_row(POINTS_X, from, e, stride, strided, most, count));
        } else {
            v = load_neighbours(POINTS_X, from, e, stride, strided, p.n);
            for (uint i = 1u; i < count; i++) {
                HEED_REALS next = load_neighbours(POINTS_X, from, e + i * push.own[1], stride, strided, p.n);
                v = most ? heed_larger(v, next) : v + next;
            }
        }
        if (!most)
            v /= (float)count;
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
