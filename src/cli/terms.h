/* SPDX-License-Identifier: MIT
 * Options of attention that need no file: shared by `heed attention` and `heed explain attention`. */
#ifndef HEED_CLI_TERMS_H
#define HEED_CLI_TERMS_H

#include <heed/heed.h>

#include "options.h"

struct terms {
    int causal, diagonal, softcap_order, dtype; /* -1: not given */
    const char *window;
    float scale, softcap;
    bool staged;
};

#define TERMS_INIT                                                                                                     \
    {                                                                                                                  \
        .causal = -1, .diagonal = -1, .softcap_order = -1, .dtype = -1, .scale = HEED_SCALE_DEFAULT                    \
    }

/* The choices follow enum heed_diagonal, heed_softcap_order and heed_dtype. */
/* clang-format off */
#define TERMS_OPTIONS(type, member) \
    {OPTION_CHOICE, "causal", "bottom-right|top-left", \
     "row i sees keys up to i + diagonal; the diagonal is aligned with the last row and key, or with the first", \
     offsetof(type, member.causal)}, \
    {OPTION_TEXT, "window", "L,R", "row i sees keys from i + diagonal - L to i + diagonal + R; -1 = no bound", \
     offsetof(type, member.window)}, \
    {OPTION_CHOICE, "diagonal", "bottom-right|top-left", \
     "for --window and --alibi; default: that of --causal, else bottom-right", offsetof(type, member.diagonal)}, \
    {OPTION_NUMBER, "scale", "X", "of the scores; default 1 / sqrt(features of Q)", offsetof(type, member.scale)}, \
    {OPTION_NUMBER, "softcap", "X", "scores become X tanh(score / X)", offsetof(type, member.softcap)}, \
    {OPTION_CHOICE, "softcap-order", "before-bias|after-bias", \
     "cap the scores alone (default: FlashAttention, Gemma), or scores and bias (ONNX)", \
     offsetof(type, member.softcap_order)}, \
    {OPTION_CHOICE, "dtype", "f32|f16|bf16", \
     "of q, k, v and o on the device; default f32, or f16 when Q holds f2. Sums are always f32", \
     offsetof(type, member.dtype)}, \
    {OPTION_FLAG, "staged", NULL, "three kernels with the matrix in between, instead of a fused one", \
     offsetof(type, member.staged)}
/* clang-format on */

bool terms_apply(const struct terms *terms, bool alibi, struct heed_attention_desc *desc, struct fault *fault);

#endif
