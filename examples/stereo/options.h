/* SPDX-License-Identifier: MIT
 * The command line of the stereo demo. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <heed/heed.h>

struct options {
    const char *left, *right, *truth, *out, *device;
    enum heed_backend backend;
    uint32_t max_disparity; /* 0: a sixth of the width */
};

/* Ends the program after --help (status 0) and where the command line breaks a rule (status 2, one sentence). */
struct options options_parse(int count, char **words);

#endif
