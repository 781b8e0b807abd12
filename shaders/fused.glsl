// SPDX-License-Identifier: MIT
// What the fused kernels share: their bindings, and what fused.h makes of them.

#define HEED_ATTN_TERMS
#include "attn.glsl"

HEED_TENSOR_IN(q, HEED_ATTN_Q)
HEED_TENSOR_IN(k, HEED_ATTN_K)
HEED_TENSOR_IN(v, HEED_ATTN_V)
HEED_TENSOR_OUT(o, HEED_ATTN_O)
layout(set = 0, binding = HEED_ATTN_LSE) writeonly buffer Lse { float lse_w[]; };
layout(set = 0, binding = HEED_ATTN_ENTROPY) writeonly buffer Entropy { float entropy_w[]; };

#include "fused.h"

// Four features from d on; behind the last there are zeros, which add nothing to a dot product.
vec4 load_q(uint row_begin, uint d)
{
    return heed_first(q_load4n(DT_Q, row_begin + d, DIM_QK - d), DIM_QK - d);
}

vec4 load_k(uint row_begin, uint d)
{
    return heed_first(k_load4n(DT_K, row_begin + d, DIM_QK - d), DIM_QK - d);
}

void store_o(uint element, uint feature, vec4 acc, float factor)
{
    o_store4n(PARTIAL ? uint(HEED_DT_F32) : DT_O, element + feature, factor == 0.0 ? vec4(0.0) : acc * factor,
              DIM_V - feature);
}
