/* SPDX-License-Identifier: MIT
 * The command line of the demos that run Whisper. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../stereo/picture.h"

void options_refuse(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s %s (see %s --help)\n", picture_program, what, why, picture_program);
    exit(2);
}

static enum heed_backend parse_backend(const char *name)
{
    if (strcmp(name, "vulkan") == 0)
        return HEED_BACKEND_VULKAN;
    if (strcmp(name, "opencl") == 0)
        return HEED_BACKEND_OPENCL;
    if (strcmp(name, "reference") != 0)
        options_refuse(name, "is not a backend: vulkan, opencl, reference");
    return HEED_BACKEND_REFERENCE;
}

static void set_option(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--model") == 0)
        options->model = value;
    else if (strcmp(name, "--language") == 0)
        options->language = value;
    else if (strcmp(name, "--out") == 0)
        options->out = value;
    else if (strcmp(name, "--device") == 0)
        options->device = value;
    else if (strcmp(name, "--backend") == 0)
        options->backend = parse_backend(value);
    else
        options_refuse(name, "is not an option");
}

struct options options_parse(int count, char **words, const char *help, const char *out)
{
    struct options options = {.language = "en", .out = out, .words = words};
    for (int i = 1; i < count; i++) {
        char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (word[0] != '-') {
            words[options.word_count++] = word;
            continue;
        }
        if (value == NULL)
            options_refuse(word, "needs a value");
        set_option(&options, word, value);
        i++;
    }
    return options;
}
