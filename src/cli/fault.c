/* SPDX-License-Identifier: MIT
 * Why a command failed: one printable line. */
#include "fault.h"

#include <stdarg.h>
#include <stdio.h>

static void set(struct fault *fault, enum exit_status status, const char *format, va_list list)
{
    vsnprintf(fault->text, sizeof fault->text, format, list);
    for (char *c = fault->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fault->status = status;
}

bool fault_failed(struct fault *fault, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    set(fault, EXIT_FAILED, format, list);
    va_end(list);
    return false;
}

bool fault_usage(struct fault *fault, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    set(fault, EXIT_USAGE, format, list);
    va_end(list);
    return false;
}
