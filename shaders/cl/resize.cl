// SPDX-License-Identifier: MIT
// An image of another size, each of its places between four of x.
#include "points.clh"
#include "resize.h"

HEED_KERNEL resize(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_IN(x), HEED_OUT(o))
{
    const uint FLAGS = POINTS_FLAGS;
    global const uchar *from = HEED_AT(x, const uchar);
    uint z = (uint)get_group_id(2), stride = push.x_strides[3], dt = POINTS_X;
    bool align = flag(HEED_RESIZE_ALIGN_CORNERS), strided = flag(HEED_RESIZE_STRIDED);
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        float y = heed_resize_place(align, push.first[1] + p.plane, push.a);
        float x_place = heed_resize_place(align, push.first[2] + p.row, push.b);
        uint y0 = heed_resize_before(y, push.own[0]), y1 = heed_resize_after(y0, push.own[0]);
        uint x0 = heed_resize_before(x_place, push.own[1]), x1 = heed_resize_after(x0, push.own[1]);
        float wy = heed_resize_weight(y, y0), wx = heed_resize_weight(x_place, x0);
        uint e = z * push.x_strides[0] + p.d * stride;
        y0 = e + y0 * push.x_strides[1];
        y1 = e + y1 * push.x_strides[1];
        x0 *= push.x_strides[2];
        x1 *= push.x_strides[2];
        HEED_REALS v = (1.0f - wy) * ((1.0f - wx) * load_neighbours(dt, from, y0 + x0, stride, strided, p.n) +
                                      wx * load_neighbours(dt, from, y0 + x1, stride, strided, p.n)) +
                       wy * ((1.0f - wx) * load_neighbours(dt, from, y1 + x0, stride, strided, p.n) +
                             wx * load_neighbours(dt, from, y1 + x1, stride, strided, p.n));
        store_n(POINTS_O, HEED_AT(o, uchar), point_of(push.o_strides, z, p) + p.d, v, p.n);
    }
}
