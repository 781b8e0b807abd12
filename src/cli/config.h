/* SPDX-License-Identifier: MIT
 * The configuration of a block: a JSON object read strictly by a table of keys, and the help that the table gives. */
#ifndef HEED_CLI_CONFIG_H
#define HEED_CLI_CONFIG_H

#include <heed/heed.h>

#include "fault.h"

enum config_kind {
    CONFIG_COUNT,  /* uint32_t, of `least` to `most` */
    CONFIG_NUMBER, /* float, above `least` */
    CONFIG_FLAG,   /* bool */
    CONFIG_CHOICE, /* int: position in `choices`, which is "first|second|..." */
    CONFIG_LEVELS, /* struct heed_level[HEED_MAX_LEVELS]: [[height, width], ...]; their number is at `count_offset` */
    CONFIG_POINTS, /* uint32_t[HEED_MAX_LEVELS]: a number, or an array; how many, 0 for a number, at `count_offset` */
};

struct config_key {
    enum config_kind kind;
    const char *name;
    const char *initial; /* JSON of the default; "": what `values` has already; NULL: it must be given */
    const char *help;
    size_t offset, count_offset; /* of the field in the struct that the keys fill */
    uint32_t least, most;
    const char *choices;
};

/* `text` is JSON if it begins with {, else the name of a file with JSON; NULL is {}. Fills `values` with what
 * it says, and with defaults. `what` names what is configured: "block two-way". */
bool config_read(const char *text, const struct config_key *keys, size_t count, const char *what, void *values,
                 struct fault *fault);
void config_print_help(const struct config_key *keys, size_t count);

#endif
