/* SPDX-License-Identifier: MIT
 * Whisper models in whisper.cpp's ggml file format (models/convert-pt-to-ggml.py there writes it): hyper-parameters,
 * mel filters, vocabulary, tensors. */
#ifndef GGML_H
#define GGML_H

#include <stddef.h>
#include <stdint.h>

#include "trouble.h"

enum { GGML_RANK_MAX = 3, GGML_Q8_0_BLOCK = 32, GGML_Q8_0_BYTES = 34 };

/* Numbers of the format. A block of q8_0 is an f16 scale and 32 signed bytes, along the fastest axis. */
enum ggml_type { GGML_F32 = 0, GGML_F16 = 1, GGML_Q8_0 = 8 };

struct ggml_tensor {
    char name[48];
    enum ggml_type type;
    uint32_t rank, shape[GGML_RANK_MAX]; /* the fastest axis first; 1 beyond the rank */
    const uint8_t *data;                 /* in the file's bytes, at any address */
    size_t bytes;
};

struct ggml_token {
    const char *text; /* in the file's bytes; not terminated, not always whole characters */
    uint32_t length;
};

struct ggml_model {
    uint32_t vocabulary; /* of the token embedding: text, special tokens and timestamps */
    uint32_t audio_context, audio_state, audio_heads, audio_layers;
    uint32_t text_context, text_state, text_heads, text_layers;
    uint32_t mels, bins;
    float *filters; /* [mels][bins] */
    struct ggml_token *tokens;
    uint32_t token_count;
    struct ggml_tensor *tensors; /* each that a Whisper model of these hyper-parameters has, in a fixed order */
    uint32_t tensor_count;
};

/* Whether the bytes are such a model, whole and with nothing after it. Everything that is claimed is checked before it
 * is believed. The model points into the bytes, which must outlive it. `name` is for the message. */
bool ggml_parse(const uint8_t *bytes, size_t size, const char *name, struct ggml_model *model, struct trouble *trouble);
void ggml_destroy(struct ggml_model *model);

/* The name may hold one %u, for the layer. NULL: a Whisper model has none of that name. */
const struct ggml_tensor *ggml_find(const struct ggml_model *model, const char *name, uint32_t layer);

#endif
