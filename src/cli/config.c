/* SPDX-License-Identifier: MIT
 * Configuration in JSON by a table of keys. */
#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum { MAX_KEYS = 32, WANTED_TEXT = 200, MOST_SIDE = 65535 };

/* "a whole number from 1 to 65535" */
static void wanted_text(const struct config_key *key, char text[WANTED_TEXT])
{
    switch (key->kind) {
    case CONFIG_COUNT:
        snprintf(text, WANTED_TEXT, "a whole number from %" PRIu32 " to %" PRIu32, key->least, key->most);
        break;
    case CONFIG_NUMBER:
        snprintf(text, WANTED_TEXT, "a finite number above %" PRIu32, key->least);
        break;
    case CONFIG_FLAG:
        snprintf(text, WANTED_TEXT, "true or false");
        break;
    case CONFIG_CHOICE:
        snprintf(text, WANTED_TEXT, "one of %s, in quotes", key->choices);
        break;
    case CONFIG_LEVELS:
        snprintf(text, WANTED_TEXT, "1 to %d levels [[height, width], ...], sides from 1 to %d", HEED_MAX_LEVELS,
                 MOST_SIDE);
        break;
    case CONFIG_POINTS:
        snprintf(text, WANTED_TEXT, "a whole number from 1 to %d, or an array of 1 to %d of them", HEED_MAX_POINTS,
                 HEED_MAX_LEVELS);
        break;
    }
}

static bool wrong_value(const struct config_key *key, const json_t *value, struct fault *fault)
{
    char wanted[WANTED_TEXT];
    wanted_text(key, wanted);
    char *given = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    fault_usage(fault, "--config: \"%s\" is %.60s; it wants %s", key->name, given ? given : "no such value", wanted);
    free(given);
    return false;
}

static bool whole(const json_t *value, uint32_t least, uint32_t most, uint32_t *number)
{
    const json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < least || n > most)
        return false;
    *number = (uint32_t)n;
    return true;
}

static bool choose(const char *choices, const char *text, int *chosen)
{
    const size_t length = strlen(text);
    *chosen = 0;
    for (const char *word = choices;; word += strcspn(word, "|") + 1, ++*chosen) {
        if (strcspn(word, "|") == length && memcmp(word, text, length) == 0)
            return true;
        if (!word[strcspn(word, "|")])
            return false;
    }
}

static bool read_levels(const json_t *value, struct heed_level *levels, uint32_t *count)
{
    if (!json_is_array(value) || json_array_size(value) < 1 || json_array_size(value) > HEED_MAX_LEVELS)
        return false;
    *count = (uint32_t)json_array_size(value);
    for (uint32_t l = 0; l < *count; l++) {
        const json_t *sides = json_array_get(value, l);
        if (!json_is_array(sides) || json_array_size(sides) != 2 ||
            !whole(json_array_get(sides, 0), 1, MOST_SIDE, &levels[l].height) ||
            !whole(json_array_get(sides, 1), 1, MOST_SIDE, &levels[l].width))
            return false;
    }
    return true;
}

static bool read_points(const json_t *value, uint32_t *points, uint32_t *count)
{
    *count = 0;
    if (!json_is_array(value))
        return whole(value, 1, HEED_MAX_POINTS, &points[0]);
    if (json_array_size(value) < 1 || json_array_size(value) > HEED_MAX_LEVELS)
        return false;
    *count = (uint32_t)json_array_size(value);
    for (uint32_t l = 0; l < *count; l++)
        if (!whole(json_array_get(value, l), 1, HEED_MAX_POINTS, &points[l]))
            return false;
    return true;
}

static bool read_value(const struct config_key *key, const json_t *value, void *values)
{
    void *field = (char *)values + key->offset;
    uint32_t *count = (uint32_t *)((char *)values + key->count_offset);
    switch (key->kind) {
    case CONFIG_COUNT:
        return whole(value, key->least, key->most, field);
    case CONFIG_NUMBER:
        *(float *)field = (float)json_number_value(value);
        return json_is_number(value) && isfinite(*(float *)field) && *(float *)field > (float)key->least;
    case CONFIG_FLAG:
        *(bool *)field = json_is_true(value);
        return json_is_boolean(value);
    case CONFIG_CHOICE:
        return json_is_string(value) && choose(key->choices, json_string_value(value), field);
    case CONFIG_LEVELS:
        return read_levels(value, field, count);
    case CONFIG_POINTS:
        return read_points(value, field, count);
    }
    return false;
}

static const struct config_key *find(const struct config_key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool unknown_key(const char *name, const struct config_key *keys, size_t count, const char *what,
                        struct fault *fault)
{
    const char *names[MAX_KEYS];
    char all[400] = "";
    size_t length = 0;
    for (size_t i = 0; i < count && length < sizeof all; i++) {
        names[i] = keys[i].name;
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i > 0 ? ", " : "", keys[i].name);
    }
    const char *nearest = options_nearest(name, names, count);
    if (nearest)
        return fault_usage(fault, "--config: %s has no key \"%.40s\"; did you mean \"%s\"?", what, name, nearest);
    return fault_usage(fault, "--config: %s has no key \"%.40s\"; it has %s", what, name, all);
}

static json_t *load(const char *text, struct fault *fault)
{
    json_error_t error;
    if (!text)
        return json_object();
    const bool inline_text = text[strspn(text, " \t\r\n")] == '{';
    json_t *root = inline_text ? json_loads(text, JSON_REJECT_DUPLICATES, &error)
                               : json_load_file(text, JSON_REJECT_DUPLICATES, &error);
    if (!root && error.line < 0)
        fault_failed(fault, "--config: %s", error.text);
    else if (!root)
        fault_failed(fault, "--config: %s:%d: %s", inline_text ? "line" : text, error.line, error.text);
    if (!root || json_is_object(root))
        return root;
    json_decref(root);
    fault_failed(fault, "--config: %s: is no JSON object {...}", text);
    return NULL;
}

static bool read_default(const struct config_key *key, const char *what, void *values, struct fault *fault)
{
    if (!key->initial) {
        char wanted[WANTED_TEXT];
        wanted_text(key, wanted);
        return fault_usage(fault, "--config: \"%s\" is missing, which %s needs: %s", key->name, what, wanted);
    }
    if (!*key->initial)
        return true;
    json_t *value = json_loads(key->initial, JSON_DECODE_ANY, NULL);
    const bool done = value ? read_value(key, value, values) : fault_failed(fault, "out of host memory");
    json_decref(value);
    return done;
}

bool config_read(const char *text, const struct config_key *keys, size_t count, const char *what, void *values,
                 struct fault *fault)
{
    json_t *root = load(text, fault);
    const char *name;
    json_t *value;
    bool done = root != NULL;
    json_object_foreach(root, name, value)
    {
        const struct config_key *key = find(keys, count, name);
        if (done && !key)
            done = unknown_key(name, keys, count, what, fault);
        else if (done && !read_value(key, value, values))
            done = wrong_value(key, value, fault);
    }
    for (size_t i = 0; done && i < count; i++)
        if (!json_object_get(root, keys[i].name))
            done = read_default(&keys[i], what, values, fault);
    json_decref(root);
    return done;
}

void config_print_help(const struct config_key *keys, size_t count)
{
    enum { COLUMN = 30 };
    for (size_t i = 0; i < count; i++) {
        char text[600], wanted[WANTED_TEXT];
        wanted_text(&keys[i], wanted);
        const char *initial = keys[i].initial;
        snprintf(text, sizeof text, "%s; %s%s%s", keys[i].help, wanted,
                 !initial   ? "; must be given"
                 : *initial ? "; default "
                            : "",
                 initial ? initial : "");
        printf("  %-*s", COLUMN - 2, keys[i].name);
        options_print_words(text, COLUMN, COLUMN);
    }
}
