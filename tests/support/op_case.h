/* SPDX-License-Identifier: MIT
 * A pipeline made from one line of a shape file: its arguments with random data, what the oracle says and how far from
 * it is right. An op, or a block of ops, joins by a row in test_pipelines (op_case.c). */
#ifndef HEED_TEST_OP_CASE_H
#define HEED_TEST_OP_CASE_H

#include "random.h"
#include "words.h"

#include "pipeline.h"

enum { OP_ARGS_MAX = 96 };

enum op_fill {
    OP_FILL_NORMAL,   /* mean 0, deviation 1 */
    OP_FILL_WEIGHT,   /* smaller, as weights are: deviation 1 / sqrt of the last length */
    OP_FILL_GAIN,     /* around 1 */
    OP_FILL_UNIT,     /* 0..1: reference points */
    OP_FILL_POSITIVE, /* 0.05..0.6: box sizes */
};

struct op_arg {
    char name[64];
    enum heed_dtype dtype;
    bool input, output;
    uint64_t bytes, count;
    void *data;               /* of inputs and states */
    double *expected, *bound; /* of outputs and states */
};

struct op_case {
    char name[64], line[1024];
    uint64_t seed;
    struct test_words words;
    struct test_random random;
    const struct op_row *row;
    const char *kernel; /* to force, or NULL */
    heed_pipeline *p;   /* that is being built */
    struct op_arg args[OP_ARGS_MAX];
    uint32_t arg_count;
    bool quick, split;
    uint64_t device_ns; /* of the last run, where the device has a clock */
    char error[512];
};

struct op_row {
    const char *word;
    enum heed_node_kind kind; /* of which the kernels are forced; HEED_NODE_KIND_COUNT: of none */
    void (*build)(struct op_case *c, struct test_words *words);
};
extern const struct op_row test_pipelines[];
extern const uint32_t test_pipeline_count;

/* For build: arguments whose data is random the first time, and the same afterwards. */
heed_value op_input(struct op_case *c, const char *name, enum heed_dtype dtype, struct heed_shape shape,
                    enum op_fill fill);
heed_value op_state(struct op_case *c, const char *name, enum heed_dtype dtype, struct heed_shape shape);
heed_value op_integers(struct op_case *c, const char *name, uint32_t count, const int32_t *values);
enum heed_dtype op_dtype(struct test_words *words, const char *key, enum heed_dtype fallback);
/* "2x3x4". */
struct heed_shape op_shape(struct test_words *words, const char *key, struct heed_shape fallback);
extern const char *const op_activations[];

/* Rows in op_rows_layers.c. */
void op_build_conv(struct op_case *c, struct test_words *words);
void op_build_embed(struct op_case *c, struct test_words *words);
void op_build_concat(struct op_case *c, struct test_words *words);
void op_build_rope(struct op_case *c, struct test_words *words);
void op_build_sinusoid(struct op_case *c, struct test_words *words);
void op_build_pool(struct op_case *c, struct test_words *words);
void op_build_resize(struct op_case *c, struct test_words *words);
void op_build_top_k(struct op_case *c, struct test_words *words);

/* The line's words and its row; nothing is built. False: c->error. */
bool op_case_parse(struct op_case *c, const char *line, uint64_t seed);
/* Is the first word of the line one of test_pipelines? */
bool op_case_knows(const char *line);
/* Parses the line, builds it on `device` (any) and fills data, expectations and bounds. False: c->error. Always free.
 */
bool op_case_init(struct op_case *c, heed_device *device, const char *line, uint64_t seed);
/* Builds and compiles; c->kernel is forced. */
enum heed_status op_case_plan(struct op_case *c, heed_device *device, heed_plan **plan);
/* Runs the plan with all arguments in one buffer between canaries, and compares. False: c->error. *worst: the largest
 * error as a share of its bound; the buffer afterwards is the caller's to free. */
bool op_case_run(struct op_case *c, heed_plan *plan, double *worst, unsigned char **after, uint64_t *bytes);
void op_case_free(struct op_case *c);

#endif
