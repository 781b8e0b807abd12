/* SPDX-License-Identifier: MIT
 * The embedded SPIR-V. A build whose shader compiler is too old for a kernel leaves it out. */
#include "vk.h"

#ifndef HEED_WITHOUT_ATTN_FUSED
#include "attn_fused.spv.h"
#endif
#ifndef HEED_WITHOUT_ATTN_FUSED_SUBGROUP
#include "attn_fused_subgroup.spv.h"
#endif
#ifndef HEED_WITHOUT_ATTN_MERGE
#include "attn_merge.spv.h"
#include "attn_rows.spv.h"
#endif
#ifndef HEED_WITHOUT_ATTN_SCORES
#include "attn_scores.spv.h"
#endif
#ifndef HEED_WITHOUT_ATTN_SOFTMAX
#include "attn_softmax.spv.h"
#endif
#ifndef HEED_WITHOUT_ATTN_AGGREGATE
#include "attn_aggregate.spv.h"
#endif
#ifndef HEED_WITHOUT_PACK
#include "pack.spv.h"
#endif
#ifndef HEED_WITHOUT_DEFORM
#include "deform.spv.h"
#endif

const uint32_t *heed_vk_kernel_code(enum heed_kernel kernel, size_t *bytes)
{
    static const struct {
        const uint32_t *words;
        size_t bytes;
    } codes[HEED_KERNEL_COUNT] = {
#define CODE(name) {heed_spv_##name, sizeof heed_spv_##name}
#ifndef HEED_WITHOUT_ATTN_FUSED
        [HEED_KERNEL_ATTN_FUSED] = CODE(attn_fused),
#endif
#ifndef HEED_WITHOUT_ATTN_FUSED_SUBGROUP
        [HEED_KERNEL_ATTN_FUSED_SUBGROUP] = CODE(attn_fused_subgroup),
#endif
#ifndef HEED_WITHOUT_ATTN_MERGE
        [HEED_KERNEL_ATTN_ROWS] = CODE(attn_rows),
        [HEED_KERNEL_ATTN_MERGE] = CODE(attn_merge),
#endif
#ifndef HEED_WITHOUT_ATTN_SCORES
        [HEED_KERNEL_ATTN_SCORES] = CODE(attn_scores),
#endif
#ifndef HEED_WITHOUT_ATTN_SOFTMAX
        [HEED_KERNEL_ATTN_SOFTMAX] = CODE(attn_softmax),
#endif
#ifndef HEED_WITHOUT_ATTN_AGGREGATE
        [HEED_KERNEL_ATTN_AGGREGATE] = CODE(attn_aggregate),
#endif
#ifndef HEED_WITHOUT_PACK
        [HEED_KERNEL_PACK] = CODE(pack),
#endif
#ifndef HEED_WITHOUT_DEFORM
        [HEED_KERNEL_DEFORM] = CODE(deform),
#endif
    };
    *bytes = codes[kernel].bytes;
    return codes[kernel].words;
}
