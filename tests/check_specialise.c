/* SPDX-License-Identifier: MIT
 * Folding of specialisation constants, over a module written by hand. */
#include "vulkan/specialise.h"

#include <check.h>
#include <string.h>

/* Opcodes of the SPIR-V specification. */
enum {
    TYPE_BOOL = 20,
    TYPE_INT = 21,
    TYPE_VECTOR = 23,
    CONSTANT_TRUE = 41,
    CONSTANT_FALSE = 42,
    CONSTANT = 43,
    CONSTANT_COMPOSITE = 44,
    SPEC_CONSTANT_FALSE = 49,
    SPEC_CONSTANT = 50,
    SPEC_CONSTANT_COMPOSITE = 51,
    SPEC_CONSTANT_OP = 52,
    FUNCTION = 54,
    DECORATE = 71,
};

#define INSTRUCTION(opcode, length) ((uint32_t)(length) << 16 | (opcode))

/* Ids. */
enum { BOOL = 1, UINT, VECTOR, SEVEN, A, B, FLAG, LATE, FIRST_RESULT, BOUND = 64 };

struct module {
    uint32_t words[512];
    size_t count;
};

static void put(struct module *m, size_t count, const uint32_t *words)
{
    memcpy(m->words + m->count, words, count * sizeof *words);
    m->count += count;
}

#define PUT(m, opcode, ...)                                                                                            \
    put(m, sizeof((uint32_t[]){0, __VA_ARGS__}) / 4,                                                                   \
        (uint32_t[]){INSTRUCTION(opcode, sizeof((uint32_t[]){0, __VA_ARGS__}) / 4), __VA_ARGS__})

/* Constants A (id 0), B (id 1), FLAG (id 2), and LATE, whose id 9 gets no value. */
static void begin(struct module *m)
{
    m->count = 0;
    put(m, 5, (const uint32_t[]){0x07230203, 0x00010300, 0, BOUND, 0});
    PUT(m, DECORATE, A, 1, 0);
    PUT(m, DECORATE, B, 1, 1);
    PUT(m, DECORATE, FLAG, 1, 2);
    PUT(m, DECORATE, LATE, 1, 9);
    PUT(m, TYPE_BOOL, BOOL);
    PUT(m, TYPE_INT, UINT, 32, 0);
    PUT(m, TYPE_VECTOR, VECTOR, UINT, 3);
    PUT(m, CONSTANT, UINT, SEVEN, 7);
    PUT(m, SPEC_CONSTANT, UINT, A, 1000);
    PUT(m, SPEC_CONSTANT, UINT, B, 1001);
    PUT(m, SPEC_CONSTANT_FALSE, BOOL, FLAG);
    PUT(m, SPEC_CONSTANT, UINT, LATE, 1002);
}

static struct module folded;

static void fold(const struct module *m)
{
    static const uint32_t values[] = {0xf0000012u, 5, 1};
    heed_context *context;
    ck_assert_int_eq(heed_context_create(NULL, &context), HEED_OK);
    folded.count = heed_spirv_specialise(context, m->words, m->count, values, 3, folded.words);
    heed_context_destroy(&context);
    ck_assert_uint_gt(folded.count, 5);
    ck_assert_uint_le(folded.count, m->count);
    size_t at = 5;
    while (at < folded.count && folded.words[at] >> 16 > 0)
        at += folded.words[at] >> 16;
    ck_assert_uint_eq(at, folded.count); /* a sequence of whole instructions */
}

/* The instruction that makes an id, or decorates it. */
static const uint32_t *find(uint32_t opcode, uint32_t id)
{
    for (size_t at = 5; at < folded.count; at += folded.words[at] >> 16)
        if ((folded.words[at] & 0xffff) == opcode && folded.words[at + (opcode == DECORATE ? 1 : 2)] == id)
            return folded.words + at;
    return NULL;
}

static void is_constant(uint32_t id, uint32_t value)
{
    const uint32_t *made = find(CONSTANT, id);
    ck_assert_msg(made != NULL, "id %u is no constant", id);
    ck_assert_uint_eq(made[0] >> 16, 4);
    ck_assert_uint_eq(made[1], UINT);
    ck_assert_uint_eq(made[3], value);
}

START_TEST(constants)
{
    struct module m;
    begin(&m);
    fold(&m);
    is_constant(SEVEN, 7);
    is_constant(A, 0xf0000012u);
    is_constant(B, 5);
    ck_assert_ptr_nonnull(find(CONSTANT_TRUE, FLAG));
    ck_assert_ptr_null(find(DECORATE, A));
    ck_assert_ptr_nonnull(find(DECORATE, LATE)); /* the driver's */
    ck_assert_ptr_nonnull(find(SPEC_CONSTANT, LATE));
}
END_TEST

START_TEST(operations)
{
    const uint32_t a = 0xf0000012u, b = 5;
    const struct {
        uint32_t opcode, operands[3], count, result;
        bool boolean;
    } cases[] = {
        {128, {A, B}, 2, a + b, false},  {130, {B, A}, 2, b - a, false},     {132, {A, B}, 2, a * b, false},
        {134, {A, B}, 2, a / b, false},  {137, {A, B}, 2, a % b, false},     {194, {A, B}, 2, a >> b, false},
        {196, {A, B}, 2, a << b, false}, {197, {A, SEVEN}, 2, a | 7, false}, {198, {A, SEVEN}, 2, a ^ 7, false},
        {199, {A, SEVEN}, 2, 2, false},  {200, {A}, 1, ~a, false},           {169, {FLAG, A, B}, 3, a, false},
        {170, {A, B}, 2, 0, true},       {171, {A, B}, 2, 1, true},          {172, {A, B}, 2, 1, true},
        {174, {B, A}, 2, 0, true},       {176, {B, A}, 2, 1, true},          {178, {A, B}, 2, 0, true},
        {178, {B, B}, 2, 1, true},       {174, {B, B}, 2, 1, true},          {172, {B, B}, 2, 0, true},
        {164, {FLAG, FLAG}, 2, 1, true}, {165, {FLAG, FLAG}, 2, 0, true},    {166, {FLAG, FLAG}, 2, 1, true},
        {167, {FLAG, FLAG}, 2, 1, true}, {168, {FLAG}, 1, 0, true},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    struct module m;
    begin(&m);
    for (uint32_t i = 0; i < CASES; i++) {
        uint32_t words[7] = {INSTRUCTION(SPEC_CONSTANT_OP, 4 + cases[i].count), cases[i].boolean ? BOOL : UINT,
                             FIRST_RESULT + i, cases[i].opcode};
        memcpy(words + 4, cases[i].operands, cases[i].count * sizeof *words);
        put(&m, 4 + cases[i].count, words);
    }
    PUT(&m, SPEC_CONSTANT_OP, UINT, FIRST_RESULT + CASES, 128, FIRST_RESULT, FIRST_RESULT + 1); /* of results */
    fold(&m);
    for (uint32_t i = 0; i < CASES; i++) {
        if (cases[i].boolean)
            ck_assert_msg(find(cases[i].result ? CONSTANT_TRUE : CONSTANT_FALSE, FIRST_RESULT + i) != NULL,
                          "case %u, opcode %u", i, cases[i].opcode);
        else
            is_constant(FIRST_RESULT + i, cases[i].result);
    }
    is_constant(FIRST_RESULT + CASES, 2 * b);
}
END_TEST

START_TEST(composites)
{
    enum { WHOLE = FIRST_RESULT, PART, MIXED, MIXED_PART };
    struct module m;
    begin(&m);
    PUT(&m, SPEC_CONSTANT_COMPOSITE, VECTOR, WHOLE, A, SEVEN, B);
    PUT(&m, SPEC_CONSTANT_OP, UINT, PART, 81, WHOLE, 2);
    PUT(&m, SPEC_CONSTANT_COMPOSITE, VECTOR, MIXED, A, LATE, B);
    PUT(&m, SPEC_CONSTANT_OP, UINT, MIXED_PART, 81, MIXED, 1);
    fold(&m);
    ck_assert_ptr_nonnull(find(CONSTANT_COMPOSITE, WHOLE));
    is_constant(PART, 5);
    ck_assert_ptr_nonnull(find(SPEC_CONSTANT_COMPOSITE, MIXED));
    ck_assert_ptr_nonnull(find(SPEC_CONSTANT_OP, MIXED_PART));
}
END_TEST

/* Division by zero and shifts past the end are undefined: for the driver, as what is unknown here. */
START_TEST(left_alone)
{
    enum { ZERO = FIRST_RESULT, DIVIDED, SHIFTED, NEGATED, AFTER };
    struct module m;
    begin(&m);
    PUT(&m, CONSTANT, UINT, ZERO, 0);
    PUT(&m, SPEC_CONSTANT_OP, UINT, DIVIDED, 134, A, ZERO);
    PUT(&m, SPEC_CONSTANT_OP, UINT, SHIFTED, 194, A, A);
    PUT(&m, SPEC_CONSTANT_OP, UINT, NEGATED, 126, A);
    PUT(&m, SPEC_CONSTANT_OP, UINT, AFTER, 128, NEGATED, B);
    PUT(&m, FUNCTION, UINT, 60, 0, 61);
    PUT(&m, SPEC_CONSTANT_OP, UINT, 62, 128, A, B); /* words of functions are not looked at */
    fold(&m);
    for (uint32_t id = DIVIDED; id <= AFTER; id++)
        ck_assert_ptr_nonnull(find(SPEC_CONSTANT_OP, id));
    ck_assert_ptr_nonnull(find(SPEC_CONSTANT_OP, 62));
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("specialise");
    tcase_add_test(test, constants);
    tcase_add_test(test, operations);
    tcase_add_test(test, composites);
    tcase_add_test(test, left_alone);
    Suite *suite = suite_create("check_specialise");
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
