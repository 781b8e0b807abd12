/* SPDX-License-Identifier: MIT
 * Why a step of the transcription failed: one printable line. */
#include "trouble.h"

#include <stdarg.h>
#include <stdio.h>

bool trouble_set(struct trouble *trouble, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(trouble->text, sizeof trouble->text, format, list);
    va_end(list);
    for (char *c = trouble->text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return false;
}
