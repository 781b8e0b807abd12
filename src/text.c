/* SPDX-License-Identifier: MIT
 * Text that grows in the caller's memory. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

void heed_text_append(struct heed_text *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t left = t->length < t->capacity ? t->capacity - t->length : 0;
    int n = vsnprintf(left ? t->text + t->length : NULL, left, format, list);
    va_end(list);
    if (n > 0)
        t->length += (size_t)n;
}
