/* SPDX-License-Identifier: MIT
 * What the demos that run Whisper write: text for people, numbered pictures. */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void output_text(struct ggml_token text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.text[i];
        putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
}

bool output_folder(const char *out, struct trouble *trouble)
{
    char folder[4096];
    const char *slash = strrchr(out, '/');
    if (slash == NULL || slash == out)
        return true;
    if (snprintf(folder, sizeof folder, "%.*s", (int)(slash - out), out) >= (int)sizeof folder)
        return trouble_set(trouble, "%s is too long a name", out);
    struct stat status;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return trouble_set(trouble, "%s: %s", folder, strerror(errno));
    return (stat(folder, &status) == 0 && S_ISDIR(status.st_mode)) ||
           trouble_set(trouble, "%s is not a folder", folder);
}

bool output_picture(const struct picture *picture, const char *out, uint32_t number, const char *shows,
                    struct trouble *trouble)
{
    char path[4096];
    const char *dot = strrchr(out, '.'), *slash = strrchr(out, '/');
    int stem = (int)(dot != NULL && (slash == NULL || dot > slash) ? (size_t)(dot - out) : strlen(out));
    int length = number == 1 ? snprintf(path, sizeof path, "%s", out)
                             : snprintf(path, sizeof path, "%.*s-%u%s", stem, out, number, out + stem);
    if (length >= (int)sizeof path)
        return trouble_set(trouble, "%s is too long a name", out);
    if (!picture_write(path, picture))
        return false;
    printf("\npicture in %s: %s\n", path, shows);
    return true;
}
