/* SPDX-License-Identifier: MIT
 * What host and shaders agree on: binding numbers, push blocks, specialisation constants, flag bits.
 * Included by C, by GLSL and by OpenCL C; tests/check_abi compares the offsets in the SPIR-V with those of the C structs.
 */
#ifndef HEED_ABI_H
#define HEED_ABI_H

#define HEED_MAX_BINDINGS 8
#define HEED_MAX_SPEC 16
#define HEED_PUSH_WORDS 32 /* 128 bytes, what every Vulkan device has */
#define HEED_ADDRESS_WORDS 6 /* of addresses behind them, two for each, on devices that have so many */

#if defined(VULKAN) || defined(__OPENCL_VERSION__) /* glslang, or a compiler of OpenCL C */
#define HEED_U(name) uint name;
#define HEED_I(name) int name;
#define HEED_F(name) float name;
#define HEED_U_ARRAY(name, n) uint name[n];
#else
#include <stdint.h>
#define HEED_U(name) uint32_t name;
#define HEED_I(name) int32_t name;
#define HEED_F(name) float name;
#define HEED_U_ARRAY(name, n) uint32_t name[n];
#endif

/* Every push block begins with these. A binding may begin up to 255 elements before the tensor, because devices align
 * offsets more than callers do: HEED_RESIDUAL(b) elements, of the binding's own element size. OpenCL has pointers, which
 * begin where the tensor does. */
#define HEED_PUSH_RESIDUAL HEED_U(residual0) HEED_U(residual1)
#ifdef __OPENCL_VERSION__
#define HEED_RESIDUAL(push, b) 0u
#else
#define HEED_RESIDUAL(push, b) \
    ((((b) < 4 ? (push).residual0 : (push).residual1) >> (8 * ((b) % 4))) & 255u)
#endif

/* Element types, as in enum heed_dtype. */
#define HEED_DT_F32 0
#define HEED_DT_F16 1
#define HEED_DT_BF16 2
#define HEED_DT_BOOL 3

/* ---- attention: fused, merge, scores, softmax, aggregate share one push block.
 * A step works on rows row0 .. row0 + rows - 1 of each sequence, keys key0 .. key0 + keys - 1, batches from batch0 and
 * query heads from head0; bindings begin at the first element of that part, so that strides and the LOCAL batch, head,
 * row and key number give an element, and the global numbers serve masks, biases and the side table. */
#define HEED_ATTN_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(len_q) HEED_U(len_kv) \
    HEED_U(heads)     /* heads_q | heads per key head << 16 */ \
    HEED_U(q_stride_batch) HEED_U(q_stride_head) HEED_U(q_stride_row) \
    HEED_U(k_stride_batch) HEED_U(k_stride_head) HEED_U(k_stride_row) \
    HEED_U(v_stride_batch) HEED_U(v_stride_head) HEED_U(v_stride_row) \
    HEED_U(o_stride_batch) HEED_U(o_stride_head) HEED_U(o_stride_row) \
    HEED_U(mask_stride_batch) HEED_U(mask_stride_head) HEED_U(mask_stride_row) \
    HEED_U(row0) HEED_U(rows) HEED_U(key0) HEED_U(keys) \
    HEED_U(batch0) HEED_U(head0) \
    HEED_U(key_chunk) /* keys of one split */ \
    HEED_U(row_total) /* rows of partial results: from one split to the next */ \
    HEED_F(scale) HEED_F(softcap) \
    HEED_I(window_left) HEED_I(window_right)

/* Behind it in kernels that load by address: where up to three bindings begin, low word first. Which, in the order of
 * their numbers, a kernel's row in src/plan.c tells. */
#define HEED_ATTN_ADDRESSES HEED_U_ARRAY(address0, 2) HEED_U_ARRAY(address1, 2) HEED_U_ARRAY(address2, 2)

/* Bindings of the attention kernels. */
#define HEED_ATTN_Q 0
#define HEED_ATTN_K 1
#define HEED_ATTN_V 2
#define HEED_ATTN_O 3
#define HEED_ATTN_MASK 4
#define HEED_ATTN_SIDE 5
#define HEED_ATTN_LSE 6
#define HEED_ATTN_ENTROPY 7
/* A binding that a step does not use is bound to something that it uses: sets have no holes. */

/* Specialisation constants of the attention kernels; 0 is the work-group size in all kernels. */
#define HEED_SPEC_GROUP 0
#define HEED_SPEC_BR 1     /* rows of a tile */
#define HEED_SPEC_BC 2     /* keys of a tile */
#define HEED_SPEC_DIM_QK 3
#define HEED_SPEC_DIM_V 4
#define HEED_SPEC_FLAGS 5  /* HEED_ATTN_* below */
#define HEED_SPEC_DTYPES 6 /* q | k << 4 | v << 8 | o << 12 | mask << 16 */
#define HEED_SPEC_VECTOR 7 /* 1: rows begin at multiples of 4 elements, dims are multiples of 4 */
#define HEED_SPEC_Q_SHARED 8 /* 1: the tile's queries are kept in shared memory */
#define HEED_SPEC_DIM_V_SLICE 9 /* features of the output that one work group makes */
#define HEED_SPEC_POS_DIMS 10
/* From 11 on each kernel has its own. attn_fused: */
#define HEED_SPEC_STAGE 11 /* features of a key that are staged in shared memory at a time; 0: none, nor are values */
#define HEED_SPEC_VALUE_ROWS 12 /* rows, */
#define HEED_SPEC_VALUE_COLUMNS 13 /* and vec4 of a row, of the output that an invocation makes */
#define HEED_SPEC_BY_WORD 11 /* attn_lanes. 1: words of keys are read one by one, where used; 0: four at once */
#define HEED_SPEC_TOUCH 11   /* attn_keys. 1: lines of memory are read in order before their use; VECTOR is 1 then */
#define HEED_SPEC_LANES 11   /* attn_rows: rows, and attn_features: features, of a vector; 8 or 16 */
#define HEED_SPEC_COLUMNS 12 /* attn_rows: keys, and features; attn_features: vectors: that are multiplied at a time */
#define HEED_SPEC_MATRIX_M 11 /* attn_matrix: what a subgroup multiplies at a time, M x K by K x N */
#define HEED_SPEC_MATRIX_N 12
#define HEED_SPEC_MATRIX_K 13
#define HEED_SPEC_WIDE 13 /* attn_held, whose N is K too. 1: rows of q, k and v begin at multiples of 16 bytes */
#define HEED_SPEC_SUBGROUP 14 /* its invocations */
#define HEED_ATTN_SPEC_COUNT 15

#define HEED_ATTN_MASK_BOOL (1u << 0)
#define HEED_ATTN_MASK_ADD (1u << 1)
#define HEED_ATTN_CAUSAL (1u << 2)
#define HEED_ATTN_WINDOW (1u << 3)
#define HEED_ATTN_TOP_LEFT (1u << 4)
#define HEED_ATTN_KEY_LENGTHS (1u << 5)
#define HEED_ATTN_PACKED_Q (1u << 6)
#define HEED_ATTN_PACKED_KV (1u << 7)
#define HEED_ATTN_KEY_BIAS (1u << 8)
#define HEED_ATTN_ALIBI (1u << 9)
#define HEED_ATTN_DISTANCE (1u << 10)
#define HEED_ATTN_SINKS (1u << 11)
#define HEED_ATTN_SOFTCAP (1u << 12)
#define HEED_ATTN_SOFTCAP_AFTER (1u << 13)
#define HEED_ATTN_WRITE_LSE (1u << 14)
#define HEED_ATTN_WRITE_ENTROPY (1u << 15)
#define HEED_ATTN_PARTIAL (1u << 16) /* fused: write (sum, max, entropy sum) and an unnormalised o for merge */

/* The side table: small tensors copied by the pack kernel into one binding. It begins with a header of word offsets,
 * counted from the table's own start, and strides in elements. */
#define HEED_SIDE_KEY_LENGTHS 0
#define HEED_SIDE_CU_SEQLENS_Q 1
#define HEED_SIDE_CU_SEQLENS_KV 2
#define HEED_SIDE_KEY_BIAS 3
#define HEED_SIDE_ALIBI 4
#define HEED_SIDE_DISTANCE 5
#define HEED_SIDE_SINKS 6
#define HEED_SIDE_Q_POS 7
#define HEED_SIDE_K_POS 8
#define HEED_SIDE_KEY_BIAS_STRIDE_BATCH 9
#define HEED_SIDE_KEY_BIAS_STRIDE_HEAD 10
#define HEED_SIDE_Q_POS_STRIDE_BATCH 11
#define HEED_SIDE_K_POS_STRIDE_BATCH 12
#define HEED_SIDE_TOTAL_Q 13
#define HEED_SIDE_TOTAL_KV 14
#define HEED_SIDE_HEADER 16

/* ---- pack: dst[dst_word + i] = src[i] for i < count; dst[i] = inline_words[i] for i < inline_count. */
#define HEED_PACK_SRC 0
#define HEED_PACK_DST 1
#define HEED_PACK_INLINE_WORDS 24
#define HEED_PACK_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(count) HEED_U(dst_word) HEED_U(inline_count) \
    HEED_U_ARRAY(inline_words, HEED_PACK_INLINE_WORDS)

#ifndef VULKAN
struct heed_attn_push { HEED_ATTN_PUSH };
struct heed_attn_address_push { HEED_ATTN_PUSH HEED_ATTN_ADDRESSES };
struct heed_pack_push { HEED_PACK_PUSH };
#endif
#if !defined(VULKAN) && !defined(__OPENCL_VERSION__)
_Static_assert(sizeof(struct heed_attn_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
_Static_assert(sizeof(struct heed_attn_address_push) == sizeof(struct heed_attn_push) + 4 * HEED_ADDRESS_WORDS,
               "addresses follow the push block");
_Static_assert(sizeof(struct heed_pack_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
#endif

#include "abi_deform.h"
#include "abi_pipeline.h"

#endif
