/* SPDX-License-Identifier: MIT
 * What the demos that run Whisper write: text for people, numbered pictures. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include "../stereo/picture.h"
#include "ggml.h"

/* Bytes of text for people: nothing that moves a terminal's cursor. */
void output_text(struct ggml_token text);

/* Makes the folder of the picture `out`, before the work is done for nothing. */
bool output_folder(const char *out, struct trouble *trouble);

/* The first as `out`, out/x.png, then out/x-2.png, out/x-3.png, ...; says where, and what it shows. */
bool output_picture(const struct picture *picture, const char *out, uint32_t number, const char *shows,
                    struct trouble *trouble);

#endif
