/* SPDX-License-Identifier: MIT
 * The command line of the transcription. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: transcribe FILE.wav --model MODEL.bin [options]\n"
    "Writes down what is said in a recording, and when each word was said: Whisper, by attention.\n"
    "\n"
    "  --model M      weights in whisper.cpp's ggml format: f32, f16 or q8_0\n"
    "  --language L   that is spoken, as its code: en (the default), de, fr, ...\n"
    "  --out FILE     the picture; default: out/transcribe.png; further windows of 30 s get -2, -3, ...\n"
    "  --device D     index, UUID or part of a name (see heed devices); default: the best\n"
    "  --backend B    vulkan or reference (plain C, slow); default: whichever is there\n";

static void refuse(const char *what, const char *why)
{
    fprintf(stderr, "transcribe: %s %s (see transcribe --help)\n", what, why);
    exit(2);
}

static enum heed_backend parse_backend(const char *name)
{
    if (strcmp(name, "vulkan") == 0)
        return HEED_BACKEND_VULKAN;
    if (strcmp(name, "reference") != 0)
        refuse(name, "is not a backend: vulkan, reference");
    return HEED_BACKEND_REFERENCE;
}

struct options options_parse(int count, char **words)
{
    struct options options = {.language = "en", .out = "out/transcribe.png"};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            fputs(help, stdout);
            exit(0);
        }
        if (word[0] != '-') {
            if (options.wav != NULL)
                refuse(word, "is one recording too many");
            options.wav = word;
            continue;
        }
        if (value == NULL)
            refuse(word, "needs a value");
        i++;
        if (strcmp(word, "--model") == 0)
            options.model = value;
        else if (strcmp(word, "--language") == 0)
            options.language = value;
        else if (strcmp(word, "--out") == 0)
            options.out = value;
        else if (strcmp(word, "--device") == 0)
            options.device = value;
        else if (strcmp(word, "--backend") == 0)
            options.backend = parse_backend(value);
        else
            refuse(word, "is not an option");
    }
    if (options.wav == NULL)
        refuse("a recording", "is missing: FILE.wav");
    if (options.model == NULL)
        refuse("--model", "is missing: the weights");
    return options;
}
