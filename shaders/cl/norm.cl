// SPDX-License-Identifier: MIT
// Layer norm and RMS norm over rows of features: the mean, the mean square around it, and the row once more. A work-item
// has whole rows.
//
//   groups.x  rows / (HEED_NORM_GROUP / LANES of the host)      groups.z  batches
#include "wide.clh"

HEED_KERNEL norm(HEED_PUSH(heed_norm_push), HEED_TOLD, HEED_IN(x), HEED_IN(gain), HEED_IN(bias), HEED_OUT(o))
{
    const uint FLAGS = HEED_TELL(HEED_NORM_SPEC_FLAGS), dtypes = HEED_TELL(HEED_NORM_SPEC_DTYPES);
    uint dt_x = dtypes & 15u, dt_o = dtypes >> 4 & 15u, features = push.features;
    uint rows = HEED_NORM_GROUP / HEED_TELL(HEED_NORM_SPEC_LANES), first = (uint)get_group_id(0) * rows;
    uint end = min(first + rows, push.rows);
    for (uint row = first + (uint)get_local_id(0); row < end; row += HEED_GROUP) {
        global const uchar *from = HEED_AT(x, const uchar);
        uint e = (uint)get_group_id(2) * push.x_stride_batch + row * push.x_stride_row;
        float mean = 0.0f;
        if (flag(HEED_NORM_MEAN)) {
            HEED_REALS sum = HEED_EACH(0.0f);
            for (uint d = 0u; d < features; d += LANES)
                sum += load_n(dt_x, from, e + d, features - d);
            mean = add_lanes(sum) / (float)features;
        }
        HEED_REALS square = HEED_EACH(0.0f);
        for (uint d = 0u; d < features; d += LANES) {
            HEED_REALS away = first_n(load_n(dt_x, from, e + d, features - d) - mean, features - d);
            square = fma(away, away, square);
        }
        float factor = 1.0f / sqrt(add_lanes(square) / (float)features + push.epsilon);
        uint to = (uint)get_group_id(2) * push.o_stride_batch + row * push.o_stride_row;
        for (uint d = 0u; d < features; d += LANES) {
            uint n = features - d;
            HEED_REALS y = (load_n(dt_x, from, e + d, n) - mean) * factor;
            if (flag(HEED_NORM_GAIN_FLAG))
                y *= load_n(HEED_DT_F32, HEED_AT(gain, const uchar), d, n);
            if (flag(HEED_NORM_BIAS_FLAG))
                y += load_n(HEED_DT_F32, HEED_AT(bias, const uchar), d, n);
            store_n(dt_o, HEED_AT(o, uchar), to + d, y, n);
        }
    }
}
