/* SPDX-License-Identifier: MIT
 * The deformable kernel's part of abi.h. */
#ifndef HEED_ABI_DEFORM_H
#define HEED_ABI_DEFORM_H

/* Bindings. Each begins at the first element of the step's part: some batches, queries and heads. */
#define HEED_DEFORM_VALUE 0
#define HEED_DEFORM_O 1
#define HEED_DEFORM_COORDS 2    /* locations or offsets */
#define HEED_DEFORM_WEIGHTS 3   /* weights or logits */
#define HEED_DEFORM_REFERENCE 4
#define HEED_DEFORM_TABLE 5     /* the levels, where they are too many for the push block */
#define HEED_DEFORM_BINDINGS 6

/* Specialisation constants; 0 is the work-group size. */
#define HEED_DEFORM_SPEC_DIM 1
#define HEED_DEFORM_SPEC_BLOCK 2  /* channels of one invocation: 4, 8 or 16 */
#define HEED_DEFORM_SPEC_FLAGS 3  /* HEED_DEFORM_* below */
#define HEED_DEFORM_SPEC_DTYPES 4 /* value | o << 4 */
#define HEED_DEFORM_SPEC_VECTOR 5 /* elements that value's and o's rows are aligned to, 1, 4 or 8: value | o << 4 */
#define HEED_DEFORM_SPEC_POINTS 6 /* of all levels; this and what follows: deform_shared */
#define HEED_DEFORM_SPEC_ROWS 7   /* queries of a work group */
#define HEED_DEFORM_SPEC_CHUNK 8  /* points that are worked out at a time */
#define HEED_DEFORM_SPEC_QUERIES 9 /* deform by OpenCL: of one work-item, more than 1 where its channels are many */
#define HEED_DEFORM_SPEC_COUNT 10

#define HEED_DEFORM_3D (1u << 0)
#define HEED_DEFORM_NEAREST (1u << 1)
#define HEED_DEFORM_BORDER (1u << 2)
#define HEED_DEFORM_ALIGN_CORNERS (1u << 3)
#define HEED_DEFORM_FROM_OFFSETS (1u << 4)
#define HEED_DEFORM_BOXES (1u << 5)
#define HEED_DEFORM_REFERENCE_PER_LEVEL (1u << 6)
#define HEED_DEFORM_LEVEL_TABLE (1u << 7)
#define HEED_DEFORM_UNWEIGHTED (1u << 8)

/* A level in three words: width | height << 16, depth | points << 16, first row. */
#define HEED_DEFORM_LEVEL_WORDS 3
#define HEED_DEFORM_PUSH_LEVELS 6

/* deform: invocation x of a head y of a batch z is query * blocks of channels + block. deform_shared: a work group is ROWS
 * queries of a head y of a batch z. */
#define HEED_DEFORM_PUSH \
    HEED_PUSH_RESIDUAL \
    HEED_U(queries) HEED_U(heads) \
    HEED_U(heads_total) /* heads of the tensors that are packed over all heads */ \
    HEED_U(counts)      /* levels | points of all levels << 16 */ \
    HEED_U(value_stride_batch) HEED_U(value_stride_head) HEED_U(value_stride_row) \
    HEED_U(o_stride_batch) HEED_U(o_stride_head) HEED_U(o_stride_row) \
    HEED_F(offset_scale) \
    HEED_U_ARRAY(levels, HEED_DEFORM_LEVEL_WORDS * HEED_DEFORM_PUSH_LEVELS)

#ifndef VULKAN
struct heed_deform_push { HEED_DEFORM_PUSH };
#endif
#if !defined(VULKAN) && !defined(__OPENCL_VERSION__)
_Static_assert(sizeof(struct heed_deform_push) <= 4 * HEED_PUSH_WORDS, "push constants: 128 bytes are guaranteed");
#endif

#endif
