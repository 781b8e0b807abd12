/* SPDX-License-Identifier: MIT
 * Options of attention that need no file, put into a descriptor. */
#include "terms.h"

bool terms_apply(const struct terms *terms, bool alibi, struct heed_attention_desc *desc, struct fault *fault)
{
    if (terms->causal >= 0 && terms->diagonal >= 0 && terms->causal != terms->diagonal)
        return fault_usage(fault, "--causal and --diagonal name different diagonals; there is one for all");
    if (terms->diagonal >= 0 && !terms->window && !alibi && terms->causal < 0)
        return fault_usage(fault, "--diagonal needs --window, --alibi or --causal: nothing else depends on it");
    if (terms->softcap_order >= 0 && terms->softcap == 0.0f)
        return fault_usage(fault, "--softcap-order needs --softcap");
    desc->scale = terms->scale;
    desc->softcap = terms->softcap;
    if (terms->softcap_order >= 0)
        desc->softcap_order = (enum heed_softcap_order)terms->softcap_order;
    desc->causal = terms->causal >= 0;
    int diagonal = terms->causal >= 0 ? terms->causal : terms->diagonal;
    if (diagonal >= 0)
        desc->diagonal = (enum heed_diagonal)diagonal;
    if (terms->window) {
        int64_t side[2];
        uint32_t count;
        if (!options_numbers("window", terms->window, ',', HEED_WINDOW_NONE, INT32_MAX, side, 2, &count, fault))
            return false;
        if (count != 2)
            return fault_usage(fault, "--window \"%s\" is not two numbers L,R", terms->window);
        desc->window = true;
        desc->window_left = (int32_t)side[0];
        desc->window_right = (int32_t)side[1];
    }
    if (terms->staged)
        desc->path = HEED_PATH_STAGED;
    return true;
}
