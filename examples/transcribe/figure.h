/* SPDX-License-Identifier: MIT
 * The picture of a window: its spectrogram, and under it where the decoder looked, token by token. */
#ifndef FIGURE_H
#define FIGURE_H

#include "../stereo/picture.h"
#include "mel.h"

enum { FIGURE_LABEL = 64 };

struct figure_word {
    char text[FIGURE_LABEL]; /* UTF-8 */
    uint32_t from, to;       /* frames of 20 ms */
};

struct figure {
    const struct mel *mel;
    uint32_t first;               /* frame of the spectrogram, of 10 ms */
    uint32_t frames, rows;        /* of the looks; frames of 20 ms */
    const float *looks;           /* [rows][frames] */
    const uint32_t *path;         /* [rows + 1]: the frames that belong to each row */
    char (*labels)[FIGURE_LABEL]; /* of the rows */
    const struct figure_word *words;
    uint32_t word_count;
};

bool figure_draw(const struct figure *figure, struct picture *picture);

#endif
