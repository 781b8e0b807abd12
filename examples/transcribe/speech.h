/* SPDX-License-Identifier: MIT
 * What Whisper works on: the model's file and what it says, the sound and its spectrogram. */
#ifndef SPEECH_H
#define SPEECH_H

#include "bytes.h"
#include "mel.h"
#include "tokens.h"

enum { SPEECH_SHORTEST = 10 }; /* frames: whisper.cpp looks at no less */

struct speech {
    struct bytes file;
    struct ggml_model weights;
    struct tokens tokens;
    uint32_t language; /* token */
    bool spaceless;    /* its words have no spaces between them */
    struct mel mel;
    double seconds;
};

/* Reads the model, and takes `language` out of it. */
bool speech_open(const char *model, const char *language, struct speech *speech, struct trouble *trouble);
/* Reads a recording, in place of one before. */
bool speech_hear(const char *wav, struct speech *speech, struct trouble *trouble);
void speech_close(struct speech *speech);

/* The text of `count` tokens without the spaces before it, cut where `room` bytes with the final 0 are full. */
void speech_text(const struct speech *speech, const uint32_t *sequence, uint32_t count, char *text, size_t room);

#endif
