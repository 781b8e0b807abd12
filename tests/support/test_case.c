/* SPDX-License-Identifier: MIT
 * From a line of text to inputs and expectations. */
#include "test_case.h"

#include "dtype.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct test_op *const test_ops[] = {&test_op_attention, &test_op_deform, NULL};

static const uint64_t unwritten_bits = UINT64_C(0x7ff8dead00c0ffee);

double test_unwritten(void)
{
    double value;
    memcpy(&value, &unwritten_bits, sizeof value);
    return value;
}

bool test_is_unwritten(double value)
{
    return memcmp(&value, &unwritten_bits, sizeof value) == 0;
}

static bool fail(struct test_case *test, const char *why)
{
    if (!test->error[0])
        snprintf(test->error, sizeof test->error, "%s", why);
    return false;
}

static bool allocate(struct test_case *test)
{
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        struct test_tensor *t = &test->tensor[id];
        if (!test->args->arg[id].present)
            continue;
        t->present = true;
        t->output = test->args->arg[id].output;
        t->dtype = test->args->arg[id].dtype;
        t->bytes = test->args->arg[id].bytes;
        t->count = t->bytes / heed_dtype_size(t->dtype);
        size_t items = (size_t)t->count + (t->count == 0);
        if (t->output) {
            t->expected = calloc(items, sizeof *t->expected);
            t->bound = calloc(items, sizeof *t->bound);
            if (!t->expected || !t->bound)
                return fail(test, "out of memory");
            for (uint64_t i = 0; i < t->count; i++)
                t->expected[i] = test_unwritten();
        } else {
            t->data = malloc(items * heed_dtype_size(t->dtype));
            if (!t->data)
                return fail(test, "out of memory");
            memset(t->data, 0xff, (size_t)t->bytes);
        }
    }
    return true;
}

bool test_case_parse(heed_context *context, struct test_case *test, const char *line, uint64_t seed)
{
    memset(test, 0, sizeof *test);
    struct test_words words;
    if (!test_words_split(&words, line))
        return fail(test, words.error);
    if (words.count < 2)
        return fail(test, "a line begins with an op and a name");
    snprintf(test->line, sizeof test->line, "%s", line);
    snprintf(test->name, sizeof test->name, "%s", words.word[1].key);
    test->seed = seed;
    test->random = test_random_for(line, seed);
    for (int i = 0; test_ops[i]; i++)
        if (strcmp(test_ops[i]->word, words.word[0].key) == 0)
            test->op = test_ops[i];
    if (!test->op)
        return fail(test, "the first word is no op");
    test->quick = test_words_has(&words, "quick");
    test->all = test_words_has(&words, "all");
    test->split = test_words_has(&words, "split");
    test->chain = test_words_has(&words, "chain");
    test->in_place = test_words_has(&words, "in_place");
    test->op->parse(test, &words);
    if (!test_words_done(&words))
        return fail(test, words.error);
    return test->op->init(context, test) == HEED_OK || fail(test, "the problem is not legal");
}

bool test_case_init(heed_context *context, struct test_case *test, const char *line, uint64_t seed, bool expect)
{
    if (!test_case_parse(context, test, line, seed) || !allocate(test))
        return false;
    test->op->fill(test);
    if (expect && test->op->expect(context, test) != HEED_OK)
        return fail(test, "the oracle failed");
    return !test->error[0];
}

void test_case_free(struct test_case *test)
{
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        free(test->tensor[id].data);
        free(test->tensor[id].expected);
        free(test->tensor[id].bound);
        free(test->tensor[id].bound16);
    }
    memset(test->tensor, 0, sizeof test->tensor);
}

double test_half_ulp(enum heed_dtype dtype, double value)
{
    int mantissa = dtype == HEED_F16 ? 10 : dtype == HEED_BF16 ? 7 : 23;
    int exponent_min = dtype == HEED_F16 ? -14 : -126;
    int exponent = exponent_min;
    if (value != 0 && isfinite(value) && ilogb(value) > exponent_min)
        exponent = ilogb(value);
    return ldexp(0.5, exponent - mantissa);
}

static double largest(enum heed_dtype dtype)
{
    return dtype == HEED_F16 ? 65504 : dtype == HEED_BF16 ? ldexp(255, 120) : FLT_MAX;
}

bool test_value_ok(enum heed_dtype dtype, double got, double expected, double bound)
{
    if (isnan(got) || isnan(expected))
        return isnan(got) && isnan(expected);
    if (isinf(expected))
        return got == expected;
    if (isinf(got)) /* from the middle between the largest number and what would follow it */
        return signbit(got) == signbit(expected) &&
               fabs(expected) + bound >= largest(dtype) + test_half_ulp(dtype, largest(dtype));
    return fabs(got - expected) <= bound;
}
