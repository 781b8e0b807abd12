/* SPDX-License-Identifier: MIT
 * One line of a shape file: words "key" or "key=value" after the op and the name. */
#ifndef HEED_TEST_WORDS_H
#define HEED_TEST_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEST_WORDS_MAX = 48 };

struct test_words {
    char text[1024];
    int count;
    struct {
        const char *key, *value; /* value "" when there is no '=' */
        bool used;
    } word[TEST_WORDS_MAX];
    char error[256]; /* the first mistake; empty = none. Later calls keep it */
};

/* False (and an error) when the line is too long. Words 0 and 1 are the op and the name. */
bool test_words_split(struct test_words *words, const char *line);
/* The value of a key, NULL when it is not there. Repeated keys are an error. */
const char *test_words_get(struct test_words *words, const char *key);
bool test_words_has(struct test_words *words, const char *key);
uint32_t test_words_number(struct test_words *words, const char *key, uint32_t fallback);
double test_words_real(struct test_words *words, const char *key, double fallback);
/* "8/2" or "64x77": two numbers with that character between; only one means both. Absent: left alone. */
void test_words_pair(struct test_words *words, const char *key, char between, uint32_t *first, uint32_t *second);
/* Which of the names (NULL at the end) the value is; `fallback` when the key is absent. */
int test_words_choice(struct test_words *words, const char *key, const char *const *names, int fallback);
/* "batch,head": bit n set when names[n] is in the list; 0 when the key is absent or has no value. */
uint32_t test_words_set(struct test_words *words, const char *key, const char *const *names);
void test_words_fail(struct test_words *words, const char *key, const char *rule);
/* False when there was an error, or a word that nobody asked for. */
bool test_words_done(struct test_words *words);

#endif
