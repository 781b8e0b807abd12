/* SPDX-License-Identifier: MIT
 * Why a step of the transcription failed: one printable line. */
#ifndef TROUBLE_H
#define TROUBLE_H

#include <stdbool.h>

struct trouble {
    char text[512];
};

/* Returns false, so that a check is one line: return trouble_set(trouble, ...). Names and contents of files may be in
 * the arguments: control characters become '?', so that the message is one line whatever they are. */
bool trouble_set(struct trouble *trouble, const char *format, ...);

#endif
