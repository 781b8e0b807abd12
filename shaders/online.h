/* SPDX-License-Identifier: MIT
 * The online softmax of kernels that keep logits and sums in registers: the same text in GLSL, for a row, and in
 * OpenCL C, for a row or as many as a vector has. Whoever includes it has defined FLOATS, float or a vector of them,
 * and FLOATS_BITS and BITS_FLOATS, which reinterpret it as uint and back. */
#ifndef HEED_ONLINE_H
#define HEED_ONLINE_H

#include "fused.h"
#include "weight.h"

/* Only its number rules a key out, and nothing is added to its score: logits are then kept in units of log(2), which
 * the scale of the queries brings about. */
#define PLAIN \
    (!flag(~(HEED_ATTN_KEY_LENGTHS | HEED_ATTN_PACKED_Q | HEED_ATTN_PACKED_KV | HEED_ATTN_SINKS | HEED_ATTN_TOP_LEFT | \
             HEED_ATTN_WRITE_LSE | HEED_ATTN_WRITE_ENTROPY | HEED_ATTN_PARTIAL)))
#define LN_2 0.693147181f
#define UNIT (PLAIN ? 1.0f : LOG2_E)  /* from the units of logits to those of log(2) */
#define NATURAL (PLAIN ? LN_2 : 1.0f) /* and to those of heed.h */
/* What queries are multiplied with. */
#define SCALE (PLAIN ? push.scale * LOG2_E : push.scale)

/* What logits are taken from before weight(): their maximum, or 0 where all are ruled out and get the weight 0. */
FLOATS origin(FLOATS top)
{
    return top == HEED_RULED_OUT ? EACH(0.0f) : top;
}

/* A row: the maximum of its logits, the sum of their weights, and for the entropy that of weight x logit. */
HEED_STRUCT(Online)
struct Online {
    FLOATS top, sum, weighted;
};

Online online_begin()
{
    Online row;
    row.top = EACH(HEED_RULED_OUT);
    row.sum = EACH(0.0f);
    row.weighted = EACH(0.0f);
    return row;
}

/* What sums and outputs of the row are multiplied with when it moves to a larger maximum. */
FLOATS online_shift(Online row, FLOATS top)
{
    return weight(UNIT * (row.top - origin(top)));
}

Online online_move(Online row, FLOATS top, FLOATS shift)
{
    if (flag(HEED_ATTN_WRITE_ENTROPY)) {
        FLOATS by = LN_2 * UNIT * (row.top - origin(top));
        row.weighted = shift == 0.0f ? EACH(0.0f) : shift * fma(row.sum, by, row.weighted);
    }
    row.sum *= shift;
    row.top = top;
    return row;
}

/* The weight of a logit, and the row with it. */
FLOATS online_weight(Online row, FLOATS t)
{
    return weight(UNIT * (t - origin(row.top)));
}

Online online_add(Online row, FLOATS t, FLOATS p)
{
    row.sum += p;
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        row.weighted += p == 0.0f ? EACH(0.0f) : p * (LN_2 * UNIT * (t - origin(row.top)));
    return row;
}

/* The row's maximum as heed.h counts it. */
FLOATS online_top(Online row)
{
    return row.top == HEED_RULED_OUT ? row.top : NATURAL * row.top;
}

#endif
