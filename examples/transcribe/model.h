/* SPDX-License-Identifier: MIT
 * Whisper as pipelines: the encoder in one recording, and each step of the decoder in one. */
#ifndef MODEL_H
#define MODEL_H

#include <heed/heed.h>

#include "ggml.h"

struct model;

/* Opens the device, builds the pipelines, uploads the weights, of which nothing is needed afterwards. */
bool model_create(const struct ggml_model *weights, enum heed_backend backend, const char *device,
                  struct model **model);
void model_destroy(struct model **model);

/* Encodes a window of sound, [mels][MEL_FRAMES], and projects it to the keys and values of every decoder layer. */
bool model_encode(struct model *model, const float *window);

/* Feeds the decoder one token at a position from 0 on. logits: [vocabulary] of the next token. attention: the weights
 * of the cross-attention, [layers][heads][audio context]. */
bool model_decode(struct model *model, uint32_t token, uint32_t position, float *logits, float *attention);

enum model_part { MODEL_ENCODER, MODEL_DECODER };
/* Runs a part once more on the values that are there, as heed_profile does. */
bool model_profile(struct model *model, enum model_part part, struct heed_op_time *times, uint32_t capacity,
                   uint32_t *count);
/* A device with timestamps, and not the reference, which takes minutes for a window. */
bool model_can_profile(const struct model *model);

#endif
