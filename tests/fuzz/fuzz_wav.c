/* SPDX-License-Identifier: MIT
 * A fuzzer's way into the WAV reader of the demo transcribe: whatever bytes a file has, they are refused with one line
 * or give as many samples as they claim, all finite.
 *
 *     E=examples/transcribe; clang -g -O1 -fsanitize=fuzzer,address,undefined -I$E -D_POSIX_C_SOURCE=200809L
 *         tests/fuzz/fuzz_wav.c $E/wav.c $E/bytes.c $E/trouble.c -lm -o fuzz_wav && ./fuzz_wav
 *
 * With -DHEED_FUZZ_MAIN it is a program that reads the files named by its arguments: for AFL, and for replaying. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wav.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int refused(const struct trouble *trouble)
{
    if (strncmp(trouble->text, "fuzz.wav: ", 10) != 0 || strchr(trouble->text, '\n'))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wav wav;
    struct trouble trouble = {""};
    float *samples = NULL;
    if (!wav_parse(data, size, "fuzz.wav", &wav, &trouble))
        return refused(&trouble);
    if (wav.frames < 1 || wav.data < data ||
        wav.frames * wav.channels * (wav.bits / 8) > size - (size_t)(wav.data - data))
        abort();
    if (!wav_mono(&wav, "fuzz.wav", &samples, &trouble))
        return refused(&trouble);
    for (size_t i = 0; i < wav.frames; i++)
        if (!isfinite(samples[i]))
            abort();
    free(samples);
    return 0;
}

#include "replay.h"
