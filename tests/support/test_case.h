/* SPDX-License-Identifier: MIT
 * A problem made from one line of a shape file: its inputs, what the oracle says, and how far a kernel may be from it.
 * An op joins by a row in test_ops (test_case.c). */
#ifndef HEED_TEST_CASE_H
#define HEED_TEST_CASE_H

#include "random.h"
#include "words.h"

#include "plan.h"

/* One argument. Inputs have data of exactly `bytes`; outputs have, for each of `count` elements, what to expect and how
 * far from it is right. Elements that nothing may write hold test_unwritten in `expected`. */
struct test_tensor {
    bool present, output;
    enum heed_dtype dtype;
    uint64_t bytes, count;
    void *data;
    double *expected, *bound;
    double
        *bound16; /* of kernels that multiply values with weights of their own 16 bits, as matrix units do; or NULL */
};

/* How the inputs of an attention problem are made. */
struct attention_inputs {
    int logits;        /* enum in attention_case.c */
    double keep;       /* share of pairs that masks let through */
    bool empty_rows;   /* masks rule out some rows altogether */
    bool wild_lengths; /* key_lengths, cu_seqlens beyond the tensor and negative */
    int poison;        /* NaN and Inf: enum in attention_case.c */
};

/* How those of a deformable problem are made. */
struct deform_inputs {
    int places, logits; /* enums in deform_case.c */
    bool poison;        /* NaN and Inf among the values */
};

struct test_case {
    char name[64], line[1024];
    const struct test_op *op;
    uint64_t seed;
    struct test_random random;
    char error[512]; /* why a function returned false */

    union {
        struct heed_attention_desc attention;
        struct heed_deform_desc deform;
    } desc;
    union {
        struct heed_attention_problem attention;
        struct heed_deform_problem deform;
    } problem;
    const struct heed_args *args; /* those of the problem */
    enum heed_op problem_op;      /* set by the op's init, as args is */
    struct attention_inputs inputs;
    struct deform_inputs deform_inputs;
    bool quick;    /* word "quick": belongs to the short run */
    bool all;      /* word "all": every kernel runs it, not only those whose turn it is */
    bool split;    /* word "split": also runs on a device whose limits make the plan split the work */
    bool chain;    /* word "chain": also as three plans, scores, softmax, aggregate */
    bool in_place; /* word "in_place": HEED_OP_SOFTMAX with weights over scores */
    struct test_tensor tensor[HEED_ARG_COUNT];
};

struct test_op {
    const char *word; /* first on the line; the second is the case's name */
    /* Words -> desc. */
    void (*parse)(struct test_case *test, struct test_words *words);
    /* desc -> problem, test->args, test->problem_op. */
    enum heed_status (*init)(heed_context *context, struct test_case *test);
    /* Random inputs; tensors are allocated and filled with the bytes 0xff (NaN in every float type) before. */
    void (*fill)(struct test_case *test);
    /* expected and bound of every output; `expected` holds test_unwritten before, `bound` 0. */
    enum heed_status (*expect)(heed_context *context, struct test_case *test);
    const struct heed_candidate *(*candidates)(const struct test_case *test, uint32_t *count);
    enum heed_status (*plan)(heed_device *device, const struct test_case *test, const char *kernel, heed_plan **plan);
};
extern const struct test_op test_op_attention, test_op_deform;

/* NULL-terminated. */
extern const struct test_op *const test_ops[];

/* The problem without its tensors. False with test->error. */
bool test_case_parse(heed_context *context, struct test_case *test, const char *line, uint64_t seed);
/* Everything up to fill and expect; false with test->error. Always test_case_free. `expect` false: inputs only. */
bool test_case_init(heed_context *context, struct test_case *test, const char *line, uint64_t seed, bool expect);
void test_case_free(struct test_case *test);

/* A NaN that no computation makes. */
double test_unwritten(void);
bool test_is_unwritten(double value);

/* Half of the distance between neighbours of `value` in that type: one rounding. */
double test_half_ulp(enum heed_dtype dtype, double value);
/* Is the stored element `got` what was expected: same class (finite, NaN, +-Inf), within the bound? Where rounding
 * overflows the type within the bound, infinity is right too. */
bool test_value_ok(enum heed_dtype dtype, double got, double expected, double bound);

#endif
