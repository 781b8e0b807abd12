/* SPDX-License-Identifier: MIT
 * Transcribes window by window: the model's numbers, the decoding rules, and where the decoder looked. */
#ifndef LISTEN_H
#define LISTEN_H

#include "align.h"
#include "mel.h"
#include "model.h"
#include "rules.h"

struct listener {
    const struct ggml_model *weights;
    struct model *model;
    uint32_t language; /* token */
    struct rules rules;
    struct align_head *heads;
    uint32_t head_count;
    float *window, *logits, *attention;
    float *looks; /* [tokens][heads][audio context]: where the decoder looked when it chose the token */
    uint32_t *before, before_count; /* text of earlier windows */
    uint32_t windows, steps;
    double encode_seconds, decode_seconds;
};

bool listener_create(const struct ggml_model *weights, struct model *model, uint32_t language,
                     struct listener *listener, struct trouble *trouble);
void listener_destroy(struct listener *listener);

/* One window, from frame `first` on. `heard` is called after each token, the last of listener->rules. Afterwards the
 * rules hold the result, and `shift` of them says where the next window begins. trouble->text is empty where the
 * library has already said what failed. */
bool listen(struct listener *listener, const struct mel *mel, uint32_t first,
            void (*heard)(void *user, const struct listener *listener), void *user, struct trouble *trouble);

/* The rows of the result's tokens, over the sound of the window. */
struct align_rows listener_rows(const struct listener *listener, const struct mel *mel, uint32_t first);

#endif
