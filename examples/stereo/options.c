/* SPDX-License-Identifier: MIT
 * The command line of the stereo demo. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: stereo LEFT RIGHT [options]\n"
    "Finds how far away things are in a pair of photographs (JPEG or PNG), by attention.\n"
    "The pair must be rectified: what is in a row of one picture is in the same row of the other.\n"
    "\n"
    "  --truth T            disparity of the left picture, 8-bit grey PNG of its size, 0 = unknown: print errors\n"
    "  --max-disparity N    of the nearest thing, in pixels of the halved pictures; default: a sixth of their width\n"
    "  --out DIR            where the pictures go; default: out\n"
    "  --device D           index, UUID or part of a name (see heed devices); default: the best\n"
    "  --backend B          vulkan, opencl or reference (plain C, slow); default: whichever is there\n";

static void refuse(const char *what, const char *why)
{
    fprintf(stderr, "stereo: %s %s (see stereo --help)\n", what, why);
    exit(2);
}

static enum heed_backend parse_backend(const char *name)
{
    if (strcmp(name, "vulkan") == 0)
        return HEED_BACKEND_VULKAN;
    if (strcmp(name, "opencl") == 0)
        return HEED_BACKEND_OPENCL;
    if (strcmp(name, "reference") != 0)
        refuse(name, "is not a backend: vulkan, opencl, reference");
    return HEED_BACKEND_REFERENCE;
}

static uint32_t parse_disparity(const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > 10000)
        refuse(text, "is not a disparity from 1 to 10000");
    return (uint32_t)value;
}

struct options options_parse(int count, char **words)
{
    struct options options = {.out = "out"};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (word[0] != '-') {
            if (options.right != NULL)
                refuse(word, "is one picture too many");
            *(options.left == NULL ? &options.left : &options.right) = word;
            continue;
        }
        if (value == NULL)
            refuse(word, "needs a value");
        i++;
        if (strcmp(word, "--truth") == 0)
            options.truth = value;
        else if (strcmp(word, "--max-disparity") == 0)
            options.max_disparity = parse_disparity(value);
        else if (strcmp(word, "--out") == 0)
            options.out = value;
        else if (strcmp(word, "--device") == 0)
            options.device = value;
        else if (strcmp(word, "--backend") == 0)
            options.backend = parse_backend(value);
        else
            refuse(word, "is not an option");
    }
    if (options.right == NULL)
        refuse("a pair", "is two pictures, LEFT and RIGHT");
    return options;
}
