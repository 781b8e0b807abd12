/* SPDX-License-Identifier: MIT
 * Files that a command writes: they appear all together when everything has succeeded, or not at all. */
#ifndef HEED_CLI_OUTPUT_H
#define HEED_CLI_OUTPUT_H

#include <stddef.h>
#include <stdio.h>

#include "fault.h"

enum { OUTPUT_MAX = 4 };

struct output_file {
    char *target, *temporary; /* written beside the target, renamed at the end */
    FILE *stream;
};

struct output_set {
    struct output_file files[OUTPUT_MAX];
    size_t count;
};

/* Creates the temporary; a place that cannot be written is found out before any work is done. Zero the set first. */
bool output_open(struct output_set *set, const char *target, struct fault *fault);
bool output_write(struct output_file *file, const void *data, size_t bytes, struct fault *fault);
/* Gives every file its name. */
bool output_commit(struct output_set *set, struct fault *fault);
/* Removes what was not committed, and frees. */
void output_close(struct output_set *set);

/* Ctrl-C and the like leave no temporary behind: one set at a time, which the process's signal handlers know. */
void output_guard(struct output_set *set);

#endif
