// SPDX-License-Identifier: MIT
// What the kernels for software drivers share: they keep logits and sums in registers, a row of them a lane or a key of
// them a lane, and know the shape of all loops when they are compiled.

#include "fused.glsl"

const uint Q_VECTORS = (DIM_QK + 3u) / 4u;
const uint V_VECTORS = (DIM_V_SLICE + 3u) / 4u;

#define FLOATS float
#define FLOATS_BITS(x) floatBitsToUint(x)
#define BITS_FLOATS(x) uintBitsToFloat(x)
#include "online.h"

vec4 scaled_q(uint row_begin, uint d)
{
    return load_q(row_begin, d) * SCALE;
}

// The last slice of features may be shorter than the others: its last four are loaded again.
uint v_feature(uint feature0, uint d)
{
    return feature0 + min(d, (DIM_V - feature0 - 1u) / 4u * 4u);
}

vec4 load_v(uint row_begin, uint feature0, uint d)
{
    uint feature = v_feature(feature0, d);
    return v_load4n(DT_V, row_begin + feature, DIM_V - feature);
}
