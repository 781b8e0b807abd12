/* SPDX-License-Identifier: MIT
 * Why a command failed: the one line it prints, and its exit status. */
#ifndef HEED_CLI_FAULT_H
#define HEED_CLI_FAULT_H

#include <stdbool.h>

#include "context.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOTHING = 77, /* nothing to run on */
};

struct fault {
    enum exit_status status;
    char text[1024];
};

/* Both return false, so that a check is one line: return fault_failed(fault, ...). File names and file contents may be
 * in the arguments: control characters become '?', so that a message is one line whatever they are. */
bool fault_failed(struct fault *fault, const char *format, ...) HEED_PRINTF(2, 3);
bool fault_usage(struct fault *fault, const char *format, ...) HEED_PRINTF(2, 3);

#endif
