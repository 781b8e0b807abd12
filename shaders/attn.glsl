// SPDX-License-Identifier: MIT
// What the attention kernels share: constants, push block, bindings, and what attn.h makes of them.
// The including file defines HEED_ATTN_TERMS when it needs a mask and a logit.

layout(local_size_x_id = 0) in;
layout(constant_id = HEED_SPEC_BR) const uint BR = 16;
layout(constant_id = HEED_SPEC_BC) const uint BC = 32;
layout(constant_id = HEED_SPEC_DIM_QK) const uint DIM_QK = 64;
layout(constant_id = HEED_SPEC_DIM_V) const uint DIM_V = 64;
layout(constant_id = HEED_SPEC_FLAGS) const uint FLAGS = 0;
layout(constant_id = HEED_SPEC_DTYPES) const uint DTYPES = 0;
layout(constant_id = HEED_SPEC_VECTOR) const bool HEED_VECTOR = false;
layout(constant_id = HEED_SPEC_Q_SHARED) const bool Q_SHARED = true;
layout(constant_id = HEED_SPEC_DIM_V_SLICE) const uint DIM_V_SLICE = 64;
layout(constant_id = HEED_SPEC_POS_DIMS) const uint POS_DIMS = 0;

#ifdef HEED_ADDRESS
layout(push_constant) uniform Push { HEED_ATTN_PUSH HEED_ATTN_ADDRESSES } push;
#else
layout(push_constant) uniform Push { HEED_ATTN_PUSH } push;
#endif

const uint WG = gl_WorkGroupSize.x;
const uint DT_Q = DTYPES & 15u, DT_K = (DTYPES >> 4) & 15u, DT_V = (DTYPES >> 8) & 15u, DT_O = (DTYPES >> 12) & 15u,
           DT_MASK = (DTYPES >> 16) & 15u;

#include "tensor.glsl"
#include "score.h"

layout(set = 0, binding = HEED_ATTN_SIDE) readonly buffer Side { uint side_w[]; };

#ifdef HEED_ATTN_TERMS
HEED_TENSOR_IN(mask, HEED_ATTN_MASK)

bool mask_is_set(uint e)
{
    return ((mask_w[e >> 2] >> (8u * (e & 3u))) & 255u) != 0u;
}

float mask_bias(uint e)
{
    return mask_load(DT_MASK, e);
}
#endif

#include "attn.h"
