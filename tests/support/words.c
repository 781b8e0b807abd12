/* SPDX-License-Identifier: MIT
 * Parsing a line of a shape file: whatever is not understood is an error. */
#include "words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_words_fail(struct test_words *words, const char *key, const char *rule)
{
    if (!words->error[0])
        snprintf(words->error, sizeof words->error, "word \"%.60s\" %.120s", key, rule);
}

bool test_words_split(struct test_words *words, const char *line)
{
    memset(words, 0, sizeof *words);
    if (strlen(line) >= sizeof words->text) {
        test_words_fail(words, "(line)", "has more than 1023 characters");
        return false;
    }
    strcpy(words->text, line);
    for (char *at = words->text; *(at += strspn(at, " \t\r\n"));) {
        if (words->count == TEST_WORDS_MAX) {
            test_words_fail(words, at, "is one word too many");
            return false;
        }
        char *end = at + strcspn(at, " \t\r\n");
        bool last = *end == 0;
        *end = 0;
        char *equals = strchr(at, '=');
        words->word[words->count].key = at;
        words->word[words->count].value = equals ? equals + 1 : "";
        if (equals)
            *equals = 0;
        words->count++;
        if (last)
            break;
        at = end + 1;
    }
    return true;
}

const char *test_words_get(struct test_words *words, const char *key)
{
    const char *value = NULL;
    for (int i = 2; i < words->count; i++) {
        if (strcmp(words->word[i].key, key) != 0)
            continue;
        if (value)
            test_words_fail(words, key, "is there twice");
        words->word[i].used = true;
        value = words->word[i].value;
    }
    return value;
}

bool test_words_has(struct test_words *words, const char *key)
{
    return test_words_get(words, key) != NULL;
}

static uint32_t number(struct test_words *words, const char *key, const char *text, char **end)
{
    unsigned long value = strtoul(text, end, 10);
    if (*end == text || *text == '-' || value > UINT32_MAX)
        test_words_fail(words, key, "needs a number of 32 bits");
    return (uint32_t)value;
}

uint32_t test_words_number(struct test_words *words, const char *key, uint32_t fallback)
{
    const char *text = test_words_get(words, key);
    if (!text)
        return fallback;
    char *end;
    uint32_t value = number(words, key, text, &end);
    if (*end)
        test_words_fail(words, key, "needs a number");
    return value;
}

double test_words_real(struct test_words *words, const char *key, double fallback)
{
    const char *text = test_words_get(words, key);
    if (!text)
        return fallback;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end)
        test_words_fail(words, key, "needs a number");
    return value;
}

void test_words_pair(struct test_words *words, const char *key, char between, uint32_t *first, uint32_t *second)
{
    const char *text = test_words_get(words, key);
    if (!text)
        return;
    char *end;
    *first = *second = number(words, key, text, &end);
    if (*end == between)
        *second = number(words, key, end + 1, &end);
    if (*end)
        test_words_fail(words, key, "needs one number, or two");
}

static int find(const char *const *names, const char *text, size_t length)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0)
            return i;
    return -1;
}

int test_words_choice(struct test_words *words, const char *key, const char *const *names, int fallback)
{
    const char *text = test_words_get(words, key);
    if (!text)
        return fallback;
    int choice = find(names, text, strlen(text));
    if (choice < 0)
        test_words_fail(words, key, "has a value that is none of its names");
    return choice < 0 ? fallback : choice;
}

uint32_t test_words_set(struct test_words *words, const char *key, const char *const *names)
{
    uint32_t set = 0;
    const char *text = test_words_get(words, key);
    while (text && *text) {
        size_t length = strcspn(text, ",");
        int choice = find(names, text, length);
        if (choice < 0)
            test_words_fail(words, key, "has a part that is none of its names");
        else
            set |= 1u << choice;
        text += length + (text[length] == ',');
    }
    return set;
}

bool test_words_done(struct test_words *words)
{
    for (int i = 2; i < words->count; i++)
        if (!words->word[i].used)
            test_words_fail(words, words->word[i].key, "is unknown here");
    return !words->error[0];
}
