// SPDX-License-Identifier: MIT
// The K largest of a row and where they are: in each of K rounds, the largest of those behind the one before. A work
// group has a row.
//
//   groups.x  rows, axis 2 of the box      groups.y  axis 1      groups.z  axis 0
#include "cl.clh"

#define HEED_VECTOR false
#include "tensor.clh"
#include "order.h"

HEED_KERNEL top_k(HEED_PUSH(heed_points_push), HEED_TOLD, HEED_IN(x), HEED_INOUT(values), HEED_INOUT(indices))
{
    local uint2 best_of[HEED_GROUP];
    global const uchar *from = HEED_AT(x, const uchar);
    const uint FLAGS = HEED_TELL(HEED_POINTS_SPEC_FLAGS), dtypes = HEED_TELL(HEED_POINTS_SPEC_DTYPES);
    uint t = (uint)get_local_id(0), length = push.own[0], k = push.own[1], dt = dtypes & 15u;
    uint z = (uint)get_group_id(2), y = (uint)get_group_id(1), row = (uint)get_group_id(0);
    uint e = z * push.x_strides[0] + y * push.x_strides[1] + row * push.x_strides[2];
    uint o = z * push.o_strides[0] + y * push.o_strides[1] + row * push.o_strides[2];
    uint2 last = (uint2)(0xffffffffu, 0u);
    for (uint r = 0u; r < k; r++) {
        uint2 best = (uint2)(0u, 0xffffffffu);
        for (uint i = t; i < length; i += HEED_GROUP) {
            uint2 here = (uint2)(heed_key(tensor_load(dt, from, e + i * push.x_strides[3])), i);
            if (heed_precedes(here, best) && (r == 0u || heed_precedes(last, here)))
                best = here;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        best_of[t] = best;
        for (uint n = HEED_GROUP / 2u; n > 0u; n /= 2u) {
            barrier(CLK_LOCAL_MEM_FENCE);
            if (t < n && heed_precedes(best_of[t + n], best_of[t]))
                best_of[t] = best_of[t + n];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        last = best_of[0];
        if (t == 0u) {
            HEED_AT(indices, int)[o + r] = (int)last.y;
            if (flag(HEED_TOP_K_HAS_VALUES))
                tensor_store(dtypes >> 4 & 15u, HEED_AT(values, uchar), o + r,
                             tensor_load(dt, from, e + last.y * push.x_strides[3]));
        }
    }
}
