// SPDX-License-Identifier: MIT
// What the kernels for software drivers share: they keep logits and sums in registers, a row of them a lane or a key of
// them a lane, and know the shape of all loops when they are compiled.

#include "fused.glsl"

const uint Q_VECTORS = (DIM_QK + 3u) / 4u;
const uint V_VECTORS = (DIM_V_SLICE + 3u) / 4u;

// Only its number rules a key out, and nothing is added to its score: logits are then kept in units of log(2), which the
// scale of the queries brings about.
const bool PLAIN = (FLAGS & ~(HEED_ATTN_KEY_LENGTHS | HEED_ATTN_PACKED_Q | HEED_ATTN_PACKED_KV | HEED_ATTN_SINKS |
                              HEED_ATTN_TOP_LEFT | HEED_ATTN_WRITE_LSE | HEED_ATTN_WRITE_ENTROPY |
                              HEED_ATTN_PARTIAL)) == 0u;
const float LOG2_E = 1.44269504, LN_2 = 0.693147181;
const float UNIT = PLAIN ? 1.0 : LOG2_E;    // from the units of logits to those of log(2)
const float NATURAL = PLAIN ? LN_2 : 1.0;   // and to those of heed.h

// 2^x, and 0 below 2^-126. roundEven() leaves |f| <= 0.5 for a polynomial whose relative error is 1.7e-7; the sum with
// 1.5 * 2^23 has the whole part, biased like an exponent, in its low bits. It adds to what is rounded already: x + 127
// would round a half the other way, to twice the weight or half of it. int() is not used because lavapipe makes scalar
// code of it, and exp2() because it is twice as long there. NaN stays NaN.
float weight(float x)
{
    float whole = roundEven(x), f = x - whole;
    float p = fma(fma(fma(fma(fma(1.338207047e-3, f, 9.667145088e-3), f, 5.550380051e-2), f, 0.2402233928), f,
                      0.6931471825), f, 1.0);
    p *= uintBitsToFloat(floatBitsToUint(whole + (12582912.0 + 127.0)) << 23);
    return x < -126.0 ? 0.0 : p;
}

// What logits are taken from before weight(): their maximum, or 0 where all are ruled out and get the weight 0.
float origin(float top)
{
    return top == HEED_RULED_OUT ? 0.0 : top;
}

vec4 scaled_q(uint row_begin, uint d)
{
    return load_q(row_begin, d) * (PLAIN ? push.scale * LOG2_E : push.scale);
}

// The last slice of features may be shorter than the others: its last four are loaded again.
vec4 load_v(uint row_begin, uint feature0, uint d)
{
    uint feature = feature0 + min(d, (DIM_V - feature0 - 1u) / 4u * 4u);
    return v_load4n(DT_V, row_begin + feature, DIM_V - feature);
}

// One row: the maximum of its logits, the sum of their weights, and for the entropy that of weight x logit.
struct Online {
    float top, sum, weighted;
};

Online online_begin()
{
    return Online(HEED_RULED_OUT, 0.0, 0.0);
}

// Moves the row to a larger maximum and returns what outputs of it are multiplied with.
float online_move(inout Online row, float top)
{
    float by = UNIT * (row.top - origin(top)), shift = weight(by);
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        row.weighted = shift == 0.0 ? 0.0 : shift * fma(row.sum, by * LN_2, row.weighted);
    row.sum *= shift;
    row.top = top;
    return shift;
}

float online_add(inout Online row, float t)
{
    float x = UNIT * (t - origin(row.top)), p = weight(x);
    row.sum += p;
    if (flag(HEED_ATTN_WRITE_ENTROPY))
        row.weighted += p == 0.0 ? 0.0 : p * (x * LN_2);
    return p;
}

// The row's maximum as heed.h counts it.
float online_top(Online row)
{
    return row.top == HEED_RULED_OUT ? row.top : NATURAL * row.top;
}
