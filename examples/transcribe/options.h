/* SPDX-License-Identifier: MIT
 * The command line of the demos that run Whisper. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <heed/heed.h>

struct options {
    const char *model, *language, *out, *device;
    enum heed_backend backend;
    char **words; /* what is no option, in its order: the front of main's words */
    uint32_t word_count;
};

/* `help` is what --help prints; `out` the picture's default name. Ends the program after --help (status 0) and where
 * the command line breaks a rule (status 2, one sentence). Reorders `words`. */
struct options options_parse(int count, char **words, const char *help, const char *out);

/* One sentence on stderr: "PROGRAM: WHAT WHY (see PROGRAM --help)"; status 2. */
void options_refuse(const char *what, const char *why);

#endif
