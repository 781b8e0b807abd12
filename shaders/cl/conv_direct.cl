// SPDX-License-Identifier: MIT
// A convolution of groups of few channels, such as depth-wise: neighbouring channels of 4 positions at a time, for which
// each weight is read once.
//
//   groups.x  HEED_QUADS_OF_GROUP fours of channels of y, of rows / 4      groups.z  lines
#define HEED_CONV
#include "linear.clh"

#define AT_ONCE 4u

// Columns column0 .. of rows row0 .. row0 + 3; depth-wise, they are neighbours of x, too.
void convolve(HEED_PARAMS uint line, uint row0, uint column0, uint columns, uint group_out)
{
    uint channels = push.channels, rows = min(push.rows - row0, AT_ONCE);
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
    Share share = own_share(1u, (push.rows + AT_ONCE - 1u) / AT_ONCE, push.columns);
    Piece p;
    while (next_piece(&share, &p))
        convolve(HEED_ARGS (uint)get_group_id(2), p.row * AT_ONCE, p.d, p.n, HEED_TELL(HEED_CONV_SPEC_GROUP_OUT));
}
