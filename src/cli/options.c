/* SPDX-License-Identifier: MIT
 * Command-line options from a table: parsing, help, and guesses at what a misspelled one meant. */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64, MAX_WORD = 63, HELP_WIDTH = 100, HELP_COLUMN = 30 };

/* ---- misspelled words */

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours that lead from a to b. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][MAX_WORD + 1];
    if (n > MAX_WORD || m > MAX_WORD)
        return SIZE_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = smallest(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[n % 3][m];
}

const char *options_nearest(const char *text, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(text, words[i]);
        if (d < least) {
            least = d;
            nearest = words[i];
        }
    }
    /* Further away than a third of the word it would be a guess at nothing. */
    return nearest && least <= 1 + strlen(nearest) / 3 && least < strlen(nearest) ? nearest : NULL;
}

static const struct option *find(const struct command *command, const char *name, size_t length)
{
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option *o = &command->options[i];
        if (o->kind != OPTION_HEADING && strncmp(o->name, name, length) == 0 && !o->name[length])
            return o;
    }
    return NULL;
}

static bool unknown_option(const struct command *command, const char *name, size_t length, struct fault *fault)
{
    const char *names[MAX_OPTIONS + 1] = {"help"};
    size_t count = 1;
    char text[MAX_WORD + 1];
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].kind != OPTION_HEADING)
            names[count++] = command->options[i].name;
    snprintf(text, sizeof text, "%.*s", (int)length, name);
    const char *nearest = options_nearest(text, names, count);
    if (nearest)
        return fault_usage(fault, "unknown option --%.*s; did you mean --%s?", (int)length, name, nearest);
    return fault_usage(fault, "unknown option --%.*s; heed %s --help lists the options", (int)length, name,
                       command->name);
}

/* ---- values */

static bool parse_integer(const char *text, size_t length, int64_t *number)
{
    size_t i = length > 0 && text[0] == '-' ? 1 : 0;
    if (i == length)
        return false;
    *number = 0;
    for (; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || *number > INT64_MAX / 10 - 1)
            return false;
        *number = *number * 10 + (text[i] - '0');
    }
    if (text[0] == '-')
        *number = -*number;
    return true;
}

static bool parse_number(const char *option, const char *text, size_t length, int64_t least, int64_t most,
                         int64_t *number, struct fault *fault)
{
    if (!parse_integer(text, length, number) || *number < least || *number > most)
        return fault_usage(fault, "--%s: \"%.*s\" is not a whole number from %" PRId64 " to %" PRId64, option,
                           (int)length, text, least, most);
    return true;
}

bool options_numbers(const char *option, const char *text, char separator, int64_t least, int64_t most,
                     int64_t *numbers, uint32_t capacity, uint32_t *count, struct fault *fault)
{
    *count = 0;
    for (;;) {
        const char *end = strchr(text, separator);
        size_t length = end ? (size_t)(end - text) : strlen(text);
        if (*count == capacity)
            return fault_usage(fault, "--%s has more than %" PRIu32 " numbers", option, capacity);
        if (!parse_number(option, text, length, least, most, &numbers[*count], fault))
            return false;
        ++*count;
        if (!end)
            return true;
        text = end + 1;
    }
}

static bool parse_choice(const struct option *o, const char *text, int *choice, struct fault *fault)
{
    size_t length = strlen(text);
    const char *word = o->value;
    for (int i = 0; word; i++) {
        const char *end = strchr(word, '|');
        size_t word_length = end ? (size_t)(end - word) : strlen(word);
        if (word_length == length && memcmp(word, text, length) == 0) {
            *choice = i;
            return true;
        }
        word = end ? end + 1 : NULL;
    }
    return fault_usage(fault, "--%s \"%s\" is not one of %s", o->name, text, o->value);
}

static bool parse_float(const struct option *o, const char *text, float *number, struct fault *fault)
{
    char *end;
    double value = strtod(text, &end);
    *number = (float)value;
    if (end == text || *end || !isfinite(*number))
        return fault_usage(fault, "--%s \"%s\" is not a finite number", o->name, text);
    return true;
}

static bool store(const struct option *o, const char *text, void *values, struct fault *fault)
{
    void *field = (char *)values + o->offset;
    int64_t number = 0;
    switch (o->kind) {
    case OPTION_HEADING:
        break;
    case OPTION_FLAG:
        *(bool *)field = true;
        break;
    case OPTION_REQUIRED:
    case OPTION_TEXT:
    case OPTION_PAIR:
        if (!*text)
            return fault_usage(fault, "--%s is empty; it wants %s", o->name, o->value);
        *(const char **)field = text;
        break;
    case OPTION_COUNT:
    case OPTION_LENGTH:
        if (!parse_number(o->name, text, strlen(text), o->kind == OPTION_COUNT, UINT32_MAX, &number, fault))
            return false;
        *(uint32_t *)field = (uint32_t)number;
        break;
    case OPTION_NUMBER:
        return parse_float(o, text, field, fault);
    case OPTION_CHOICE:
        return parse_choice(o, text, field, fault);
    }
    return true;
}

/* ---- the whole line */

bool options_parse(const struct command *command, int argc, char *const *argv, void *values, bool *help,
                   struct fault *fault)
{
    bool seen[MAX_OPTIONS] = {false};
    *help = false;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *help = true;
    if (*help)
        return true;

    for (int i = 0; i < argc; i++) {
        const char *name = argv[i] + 2;
        if (strncmp(argv[i], "--", 2) != 0 || !*name)
            return fault_usage(fault, "\"%s\" is not an option (they begin with --)", argv[i]);
        size_t length = strcspn(name, "=");
        const struct option *o = find(command, name, length);
        if (!o)
            return unknown_option(command, name, length, fault);
        if (seen[o - command->options])
            return fault_usage(fault, "--%s is given twice", o->name);
        seen[o - command->options] = true;

        const char *text = name[length] == '=' ? name + length + 1 : NULL;
        if (o->kind == OPTION_FLAG && text)
            return fault_usage(fault, "--%s takes no value (\"%s\")", o->name, text);
        if (o->kind != OPTION_FLAG && !text) {
            if (i + 1 == argc)
                return fault_usage(fault, "--%s needs a value: %s", o->name, o->value);
            /* More likely a value was forgotten than a file is called --k. */
            if (strncmp(argv[i + 1], "--", 2) == 0)
                return fault_usage(fault, "--%s needs a value: %s, not %s (write --%s=%s if it is meant)", o->name,
                                   o->value, argv[i + 1], o->name, argv[i + 1]);
            text = argv[++i];
        }
        if (!store(o, text, values, fault))
            return false;
        if (o->kind == OPTION_PAIR) {
            if (i + 1 == argc || strncmp(argv[i + 1], "--", 2) == 0 || !*argv[i + 1])
                return fault_usage(fault, "--%s needs two values: %s", o->name, o->value);
            ((const char **)((char *)values + o->offset))[1] = argv[++i];
        }
    }
    for (size_t i = 0; i < command->option_count; i++)
        if (command->options[i].kind == OPTION_REQUIRED && !seen[i])
            return fault_usage(fault, "--%s is missing: %s", command->options[i].name, command->options[i].help);
    return true;
}

/* ---- help */

void options_print_words(const char *text, int column, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, text);
        column += length;
        text += length;
        if (*text == '\n') {
            printf("\n%*s", indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

static void print_option(const struct option *o)
{
    int column = printf("  --%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    if (column >= HELP_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    options_print_words(o->help, HELP_COLUMN, HELP_COLUMN);
}

void options_print_help(const struct command *command)
{
    printf("usage: heed %s [options]\n\n", command->name);
    options_print_words(command->about, 0, 0);
    for (size_t i = 0; i < command->option_count; i++) {
        if (command->options[i].kind == OPTION_HEADING)
            printf("\n%s\n", command->options[i].name);
        else
            print_option(&command->options[i]);
    }
    if (command->notes) {
        putchar('\n');
        options_print_words(command->notes, 0, 0);
    }
}
