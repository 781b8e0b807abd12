// SPDX-License-Identifier: MIT
// Rows of x into a state in place, from the row on that the device finds in `at`.
//
//   groups.x  HEED_QUADS_OF_GROUP fours of features, of axis 2, of rows      groups.z  batches
#include "wide.clh"

HEED_KERNEL append(HEED_PUSH(heed_append_push), HEED_TOLD, HEED_INOUT(x), HEED_IN(at), HEED_INOUT(state))
{
    global const uchar *from = HEED_AT(x, const uchar);
    global uchar *to = HEED_AT(state, uchar);
    const uint FLAGS = HEED_TELL(HEED_APPEND_SPEC_FLAGS), dtypes = HEED_TELL(HEED_APPEND_SPEC_DTYPES);
    uint z = (uint)get_group_id(2), row0 = 0u;
    if (flag(HEED_APPEND_HAS_AT))
        row0 = (uint)clamp(*HEED_AT(at, const int), 0, (int)push.most);
    Share share = own_share(push.lengths[1], push.lengths[2], push.lengths[3]);
    Piece p;
    while (next_piece(&share, &p)) {
        uint x = z * push.x_strides[0] + p.plane * push.x_strides[1] + p.row * push.x_strides[2] + p.d;
        uint e = z * push.state_strides[0] + (row0 + p.plane) * push.state_strides[1] + p.row * push.state_strides[2] +
                 p.d;
        store_n(dtypes >> 4 & 15u, to, e, load_n(dtypes & 15u, from, x, p.n), p.n);
    }
}
