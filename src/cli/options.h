/* SPDX-License-Identifier: MIT
 * Command-line options from a table, and the help that the table gives. */
#ifndef HEED_CLI_OPTIONS_H
#define HEED_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "fault.h"

enum option_kind {
    OPTION_HEADING,  /* no option: a line of the help */
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *, not empty */
    OPTION_REQUIRED, /* the same, and it must be given */
    OPTION_PAIR,     /* const char *[2]: two words after the option */
    OPTION_COUNT,    /* uint32_t from 1 up */
    OPTION_LENGTH,   /* uint32_t from 0 up */
    OPTION_NUMBER,   /* float, finite */
    OPTION_CHOICE,   /* int: position in `value`, which is "first|second|..." */
};

struct option {
    enum option_kind kind;
    const char *name;  /* without --; of a heading its text */
    const char *value; /* what the help calls the value; the choices of OPTION_CHOICE */
    const char *help;  /* lines are broken at words */
    size_t offset;     /* of the field in the struct that the options fill */
};

struct command {
    const char *name;    /* "attention", "explain deform" */
    const char *summary; /* one line, for the list of commands */
    const char *about;   /* what the help says before the options */
    const struct option *options;
    size_t option_count;
    const char *notes; /* what the help says after them; may be NULL */
};

/* Fills `values` (its defaults are there already) from argv[0] .. argv[argc - 1]. *help: --help was among them, and
 * nothing else matters. */
bool options_parse(const struct command *command, int argc, char *const *argv, void *values, bool *help,
                   struct fault *fault);
void options_print_help(const struct command *command);
/* The text at `column` of a line, broken at words; further lines begin at `indent`. */
void options_print_words(const char *text, int column, int indent);

/* The word among `count` that `text` is most likely a misspelling of, or NULL. */
const char *options_nearest(const char *text, const char *const *words, size_t count);

/* "4", "8,0": at most `capacity` whole numbers from `least` to `most`, split by `separator`. `option` is for messages.
 */
bool options_numbers(const char *option, const char *text, char separator, int64_t least, int64_t most,
                     int64_t *numbers, uint32_t capacity, uint32_t *count, struct fault *fault);

#endif
