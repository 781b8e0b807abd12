/* SPDX-License-Identifier: MIT
 * Folding of specialisation constants, and what it leaves of the code, over modules written by hand. */
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
    NAME = 5,
    ENTRY_POINT = 15,
    TYPE_VOID = 19,
    TYPE_POINTER = 32,
    TYPE_FUNCTION = 33,
    FUNCTION = 54,
    PARAMETER = 55,
    FUNCTION_END = 56,
    CALL = 57,
    VARIABLE = 59,
    LOAD = 61,
    STORE = 62,
    DECORATE = 71,
    I_ADD = 128,
    I_EQUAL = 170,
    PHI = 245,
    LOOP_MERGE = 246,
    SELECTION_MERGE = 247,
    LABEL = 248,
    BRANCH = 249,
    BRANCH_CONDITIONAL = 250,
    RETURN = 253,
    UNREACHABLE = 255,
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
    fold(&m);
    for (uint32_t id = DIVIDED; id <= AFTER; id++)
        ck_assert_ptr_nonnull(find(SPEC_CONSTANT_OP, id));
}
END_TEST

/* ---- code */

enum { VOID = FIRST_RESULT, SIGNATURE, POINTER, WITH_POINTER, MAIN, HELPER, START, YES, NO, JOIN, X, Y, Z, INNER = 40 };

/* void main(), void helper(uint *); HELPER's parameter is X. FLAG is true, A and B are what fold() gives. */
static void begin_code(struct module *m)
{
    begin(m);
    PUT(m, TYPE_VOID, VOID);
    PUT(m, TYPE_FUNCTION, SIGNATURE, VOID);
    PUT(m, TYPE_POINTER, POINTER, 7, UINT);
    PUT(m, TYPE_FUNCTION, WITH_POINTER, VOID, POINTER);
    PUT(m, ENTRY_POINT, 5, MAIN, 0);
}

static void begin_function(struct module *m, uint32_t id, uint32_t type, uint32_t label)
{
    PUT(m, FUNCTION, VOID, id, 0, type);
    if (type == WITH_POINTER)
        PUT(m, PARAMETER, POINTER, X);
    PUT(m, LABEL, label);
}

static void end_function(struct module *m)
{
    put(m, 2, (const uint32_t[]){INSTRUCTION(RETURN, 1), INSTRUCTION(FUNCTION_END, 1)});
}

static bool has_label(uint32_t id)
{
    for (size_t at = 5; at < folded.count; at += folded.words[at] >> 16)
        if ((folded.words[at] & 0xffff) == LABEL && folded.words[at + 1] == id)
            return true;
    return false;
}

static uint32_t count(uint32_t opcode)
{
    uint32_t n = 0;
    for (size_t at = 5; at < folded.count; at += folded.words[at] >> 16)
        n += (folded.words[at] & 0xffff) == opcode;
    return n;
}

/* if (condition) y = A + A; else { helper(); y = B + B }  x = phi */
static void put_choice(struct module *m, uint32_t condition)
{
    PUT(m, SELECTION_MERGE, JOIN, 0);
    PUT(m, BRANCH_CONDITIONAL, condition, YES, NO);
    PUT(m, LABEL, YES);
    PUT(m, I_ADD, UINT, Y, A, A);
    PUT(m, BRANCH, JOIN);
    PUT(m, LABEL, NO);
    PUT(m, CALL, VOID, INNER, HELPER);
    PUT(m, I_ADD, UINT, Z, B, B);
    PUT(m, BRANCH, JOIN);
    PUT(m, LABEL, JOIN);
    PUT(m, PHI, UINT, X, Y, YES, Z, NO);
}

START_TEST(branches)
{
    struct module m;
    begin_code(&m);
    PUT(&m, NAME, Z, 0x7a);
    PUT(&m, DECORATE, Y, 42);
    PUT(&m, DECORATE, Z, 42);
    begin_function(&m, MAIN, SIGNATURE, START);
    put_choice(&m, FLAG);
    end_function(&m);
    begin_function(&m, HELPER, SIGNATURE, INNER + 1);
    end_function(&m);
    fold(&m);
    ck_assert(has_label(START) && has_label(YES) && has_label(JOIN) && !has_label(NO));
    ck_assert_ptr_null(find(FUNCTION, HELPER));
    ck_assert_ptr_nonnull(find(FUNCTION, MAIN));
    ck_assert_uint_eq(count(SELECTION_MERGE) + count(BRANCH_CONDITIONAL) + count(NAME), 0);
    const uint32_t *phi = find(PHI, X);
    ck_assert_uint_eq(phi[0] >> 16, 5);
    ck_assert(phi[3] == Y && phi[4] == YES);
    ck_assert_ptr_nonnull(find(DECORATE, Y));
    ck_assert_ptr_null(find(DECORATE, Z));

    /* What is not known stays. */
    enum { UNKNOWN = INNER + 2 };
    begin_code(&m);
    begin_function(&m, MAIN, SIGNATURE, START);
    PUT(&m, I_EQUAL, BOOL, UNKNOWN, LATE, A);
    put_choice(&m, UNKNOWN);
    end_function(&m);
    begin_function(&m, HELPER, SIGNATURE, INNER + 1);
    end_function(&m);
    fold(&m);
    ck_assert(has_label(YES) && has_label(NO) && has_label(INNER + 1));
    ck_assert_uint_eq(find(PHI, X)[0] >> 16, 7);
    ck_assert_uint_eq(count(SELECTION_MERGE), 1);
}
END_TEST

/* helper(uint *x) { if (*x == 7) ...; else ... }, called with what is in a variable. */
static bool inner_no_is_left(const uint32_t *stored, uint32_t calls, bool helper_stores, bool stores_between)
{
    enum { LOADED = 30, IS_SEVEN, OUTER = 32, IN_YES, IN_NO, IN_JOIN, IN_START, RESULT };
    struct module m;
    begin_code(&m);
    begin_function(&m, HELPER, WITH_POINTER, IN_START);
    PUT(&m, LOAD, UINT, LOADED, X);
    PUT(&m, I_EQUAL, BOOL, IS_SEVEN, LOADED, SEVEN);
    PUT(&m, SELECTION_MERGE, IN_JOIN, 0);
    PUT(&m, BRANCH_CONDITIONAL, IS_SEVEN, IN_YES, IN_NO);
    PUT(&m, LABEL, IN_YES);
    PUT(&m, BRANCH, IN_JOIN);
    PUT(&m, LABEL, IN_NO);
    PUT(&m, BRANCH, IN_JOIN);
    PUT(&m, LABEL, IN_JOIN);
    if (helper_stores)
        PUT(&m, STORE, X, B);
    end_function(&m);
    begin_function(&m, MAIN, SIGNATURE, START);
    for (uint32_t i = 0; i < calls; i++)
        PUT(&m, VARIABLE, POINTER, INNER + i, 7);
    for (uint32_t i = 0; i < calls; i++) {
        PUT(&m, STORE, INNER + i, stored[i]);
        PUT(&m, CALL, VOID, INNER + 10 + i, HELPER, INNER + i);
        if (stores_between)
            PUT(&m, STORE, INNER + i, LATE);
    }
    end_function(&m);
    fold(&m);
    ck_assert(has_label(IN_YES));
    return has_label(IN_NO);
}

START_TEST(arguments)
{
    ck_assert(!inner_no_is_left((const uint32_t[]){SEVEN}, 1, false, false));
    ck_assert(!inner_no_is_left((const uint32_t[]){SEVEN, SEVEN, SEVEN}, 3, false, false));
    ck_assert(inner_no_is_left((const uint32_t[]){SEVEN, B}, 2, false, false));
    ck_assert(inner_no_is_left((const uint32_t[]){LATE}, 1, false, false));
    ck_assert(inner_no_is_left((const uint32_t[]){SEVEN}, 1, true, false));
    ck_assert(inner_no_is_left((const uint32_t[]){SEVEN}, 1, false, true));
}
END_TEST

/* for (;;) { if (FLAG) break; continue; }: no way leads to the continue target, and the loop still names it. */
START_TEST(loops)
{
    enum { HEAD = 30, BODY, OUT, REST, AGAIN, AFTER };
    struct module m;
    begin_code(&m);
    begin_function(&m, MAIN, SIGNATURE, START);
    PUT(&m, BRANCH, HEAD);
    PUT(&m, LABEL, HEAD);
    PUT(&m, LOOP_MERGE, AFTER, AGAIN, 0);
    PUT(&m, BRANCH, BODY);
    PUT(&m, LABEL, BODY);
    PUT(&m, SELECTION_MERGE, REST, 0);
    PUT(&m, BRANCH_CONDITIONAL, FLAG, OUT, REST);
    PUT(&m, LABEL, OUT);
    PUT(&m, BRANCH, AFTER);
    PUT(&m, LABEL, REST);
    PUT(&m, BRANCH, AGAIN);
    PUT(&m, LABEL, AGAIN);
    PUT(&m, I_ADD, UINT, X, A, A);
    PUT(&m, BRANCH, HEAD);
    PUT(&m, LABEL, AFTER);
    end_function(&m);
    fold(&m);
    ck_assert(has_label(OUT) && has_label(AGAIN) && has_label(AFTER) && !has_label(REST));
    ck_assert_ptr_null(find(I_ADD, X));
    ck_assert_uint_eq(count(LOOP_MERGE), 1);
    ck_assert_uint_eq(count(BRANCH), 5);
    ck_assert_uint_eq(count(UNREACHABLE), 0);
}
END_TEST

int main(void)
{
    TCase *test = tcase_create("specialise");
    tcase_add_test(test, constants);
    tcase_add_test(test, operations);
    tcase_add_test(test, composites);
    tcase_add_test(test, left_alone);
    tcase_add_test(test, branches);
    tcase_add_test(test, arguments);
    tcase_add_test(test, loops);
    Suite *suite = suite_create("check_specialise");
    suite_add_tcase(suite, test);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
