// SPDX-License-Identifier: MIT
// A convolution of groups of few channels, such as depth-wise: 4 channels of 4 positions at a time, for which each weight
// is read once.
//
//   groups.x  HEED_QUADS_OF_GROUP of channels of y / 4, rows / 4      groups.z  lines
#define HEED_CONV
#include "linear.clh"

#define AT_ONCE 4u

// Depth-wise, the 4 channels are neighbours of x.
void convolve(HEED_PARAMS uint line, uint row0, uint column0, uint group_out)
{
    uint channels = push.channels, columns = min(push.columns - column0, 4u), rows = min(push.rows - row0, AT_ONCE);
    bool neighbours = group_out == 1u && channels == 1u;
    HEED_REALS sum[AT_ONCE];
    for (uint r = 0u; r < AT_ONCE; r++)
        sum[r] = HEED_EACH(0.0f);
    for (uint tap = 0u; tap < buffers.taps; tap++) {
        Tap t = tap_of(HEED_ARGS line, tap);
        if (!t.inside)
            continue;
        for (uint c = 0u; c < channels; c++) {
            HEED_REALS w = load_strided(DT_W, buffers.w, (column0 * channels + c) * buffers.taps + tap,
                                        channels * buffers.taps, columns);
            for (uint r = 0u; r < rows; r++) {
                HEED_REALS v = HEED_EACH(0.0f);
                if (neighbours)
                    v = load_tap(HEED_ARGS t, row0 + r, push.column0 + column0, columns);
                else
                    for (uint k = 0u; k < columns; k++)
                        ((float *)&v)[k] =
                            load_tap(HEED_ARGS t, row0 + r, (push.column0 + column0 + k) / group_out * channels + c, 1u)
                                .s0;
                sum[r] = fma(v, w, sum[r]);
            }
        }
    }
    for (uint r = 0u; r < rows; r++)
        store_y(HEED_ARGS line, row0 + r, column0, sum[r], columns);
}

HEED_KERNEL conv_direct(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    uint across = (push.columns + 3u) / 4u, first = (uint)get_group_id(0) * HEED_QUADS_OF_GROUP;
    for (uint i = first + (uint)get_local_id(0); i < first + HEED_QUADS_OF_GROUP; i += HEED_GROUP)
        if (i / across * AT_ONCE < push.rows)
            convolve(HEED_ARGS (uint)get_group_id(2), i / across * AT_ONCE, i % across * 4u,
                     HEED_TELL(HEED_CONV_SPEC_GROUP_OUT));
}
