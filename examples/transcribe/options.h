/* SPDX-License-Identifier: MIT
 * The command line of the transcription. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <heed/heed.h>

struct options {
    const char *wav, *model, *language, *out, *device;
    enum heed_backend backend;
};

/* Ends the program after --help (status 0) and where the command line breaks a rule (status 2, one sentence). */
struct options options_parse(int count, char **words);

#endif
