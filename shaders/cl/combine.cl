// SPDX-License-Identifier: MIT
// o = activation(scale * a) + b, or * b: neighbours of any strides, where 0 repeats.
//
//   groups.x  HEED_QUADS_OF_GROUP fours of features, of axis 2, of axis 1      groups.z  axis 0
#include "wide.clh"
#include "activation.h"

HEED_REALS load_part(uint dt, global const uchar *t, uint row, Piece p, uint stride, bool strided)
{
    return load_neighbours(dt, t, row + p.d * (strided ? stride : 1u), stride, strided, p.n);
}

HEED_KERNEL combine(HEED_PUSH(heed_combine_push), HEED_TOLD, HEED_IN(a), HEED_IN(b), HEED_OUT(o))
{
    global const uchar *from = HEED_AT(a, const uchar), *with = HEED_AT(b, const uchar);
    global uchar *to = HEED_AT(o, uchar);
    const uint FLAGS = HEED_TELL(HEED_COMBINE_SPEC_FLAGS), dtypes = HEED_TELL(HEED_COMBINE_SPEC_DTYPES);
    uint z = (uint)get_group_id(2);
    Share share = own_share(push.lengths[0], push.lengths[1], push.lengths[2]);
    Piece p;
    while (next_piece(&share, &p)) {
        uint e = z * push.a_strides[0] + p.plane * push.a_strides[1] + p.row * push.a_strides[2];
        HEED_REALS x = load_part(dtypes & 15u, from, e, p, push.a_strides[3], flag(HEED_COMBINE_STRIDED_A));
        x = heed_activate(FLAGS & 15u, x * push.scale);
        if (flag(HEED_COMBINE_ADD | HEED_COMBINE_MULTIPLY)) {
            e = z * push.b_strides[0] + p.plane * push.b_strides[1] + p.row * push.b_strides[2];
            HEED_REALS y = load_part(dtypes >> 4 & 15u, with, e, p, push.b_strides[3], flag(HEED_COMBINE_STRIDED_B));
            x = flag(HEED_COMBINE_ADD) ? x + y : x * y;
        }
        e = z * push.o_strides[0] + p.plane * push.o_strides[1] + p.row * push.o_strides[2];
        store_n(dtypes >> 8 & 15u, to, e + p.d, x, p.n);
    }
}
