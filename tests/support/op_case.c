/* SPDX-License-Identifier: MIT
 * From a line of text to a pipeline with data and expectations, and from a plan to a verdict. */
#include "op_case.h"

#include "dtype.h"
#include "naive_pipeline.h"
#include "reference/reference.h"
#include "test_case.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static bool fail(struct op_case *c, const char *why)
{
    if (!c->error[0])
        snprintf(c->error, sizeof c->error, "%s", why);
    return false;
}

/* ---- arguments */

static struct op_arg *find(struct op_case *c, const char *name)
{
    for (uint32_t i = 0; i < c->arg_count; i++)
        if (strcmp(c->args[i].name, name) == 0)
            return &c->args[i];
    return NULL;
}

static struct op_arg *add(struct op_case *c, const char *name, enum heed_dtype dtype, uint64_t count)
{
    if (c->arg_count == OP_ARGS_MAX)
        abort();
    struct op_arg *arg = &c->args[c->arg_count++];
    *arg = (struct op_arg){.dtype = dtype, .count = count, .bytes = heed_dtype_bytes(dtype, count)};
    snprintf(arg->name, sizeof arg->name, "%s", name);
    return arg;
}

static double number(struct op_case *c, enum op_fill fill, uint64_t last)
{
    switch (fill) {
    case OP_FILL_WEIGHT:
        return test_random_normal(&c->random) / sqrt((double)(last > 0 ? last : 1));
    case OP_FILL_GAIN:
        return test_random_uniform(&c->random, 0.5, 1.5);
    case OP_FILL_UNIT:
        return test_random_uniform(&c->random, 0, 1);
    case OP_FILL_POSITIVE:
        return test_random_uniform(&c->random, 0.05, 0.6);
    default:
        return test_random_normal(&c->random);
    }
}

static void fill_blocks(struct op_case *c, struct op_arg *arg)
{
    unsigned char *block = arg->data;
    for (uint64_t b = 0; b < arg->count / HEED_Q8_0_NUMBERS; b++, block += HEED_Q8_0_BYTES) {
        const uint16_t scale = heed_f64_to_f16(test_random_uniform(&c->random, 0.0002, 0.002));
        memcpy(block, &scale, sizeof scale);
        for (int i = 0; i < HEED_Q8_0_NUMBERS; i++)
            block[2 + i] = (unsigned char)test_random_below(&c->random, 256);
    }
}

static struct op_arg *filled(struct op_case *c, const char *name, enum heed_dtype dtype, const struct heed_shape *shape,
                             enum op_fill fill)
{
    struct op_arg *arg = find(c, name);
    if (arg)
        return arg;
    uint64_t count = 1;
    for (uint32_t a = 0; a < shape->axes; a++)
        count *= shape->length[a];
    arg = add(c, name, dtype, count);
    arg->input = true;
    arg->data = must(calloc(1, (size_t)arg->bytes + 4));
    if (dtype == HEED_Q8_0)
        fill_blocks(c, arg);
    for (uint64_t i = 0; dtype != HEED_Q8_0 && i < count; i++)
        heed_dtype_store(arg->data, dtype, i,
                         dtype == HEED_BOOL ? test_random_chance(&c->random, 0.7)
                                            : number(c, fill, shape->length[shape->axes - 1]));
    return arg;
}

heed_value op_input(struct op_case *c, const char *name, enum heed_dtype dtype, struct heed_shape shape,
                    enum op_fill fill)
{
    filled(c, name, dtype, &shape, fill);
    return heed_pipeline_input(c->p, name, dtype, shape);
}

heed_value op_state(struct op_case *c, const char *name, enum heed_dtype dtype, struct heed_shape shape)
{
    filled(c, name, dtype, &shape, OP_FILL_NORMAL)->output = true;
    return heed_pipeline_state(c->p, name, dtype, shape);
}

heed_value op_integers(struct op_case *c, const char *name, uint32_t count, const int32_t *values)
{
    if (!find(c, name)) {
        struct op_arg *arg = add(c, name, HEED_I32, count);
        arg->input = true;
        arg->data = must(malloc(arg->bytes + 4));
        memcpy(arg->data, values, arg->bytes);
    }
    return heed_pipeline_input(c->p, name, HEED_I32, heed_shape_1(count));
}

enum heed_dtype op_dtype(struct test_words *words, const char *key, enum heed_dtype fallback)
{
    static const char *const names[] = {"f32", "f16", "bf16", "bool", "i32", "q8_0", NULL};
    return (enum heed_dtype)test_words_choice(words, key, names, (int)fallback);
}

/* ---- expectations */

/* FlashAttention's rule, over a tensor: twice the error of a plain f32 evaluation, and what rounding the largest
 * element costs, four times for results that are exact only by luck. */
static void set_bounds(struct op_arg *arg, const float *naive)
{
    double worst = 0, largest = 0;
    for (uint64_t i = 0; i < arg->count; i++) {
        const double error = fabs((double)naive[i] - arg->expected[i]);
        if (isfinite(error))
            worst = fmax(worst, error);
        if (isfinite(arg->expected[i]))
            largest = fmax(largest, fabs(arg->expected[i]));
    }
    for (uint64_t i = 0; i < arg->count; i++)
        arg->bound[i] = 2 * worst + 4 * test_half_ulp(HEED_F32, largest) + test_half_ulp(arg->dtype, arg->expected[i]);
}

static bool expect(struct op_case *c)
{
    const struct heed_graph *g = &c->p->graph;
    void **args = must(calloc(g->arg_count + 1, sizeof *args));
    float **naive = must(calloc(g->arg_count + 1, sizeof *naive));
    void **copies = must(calloc(g->arg_count + 1, sizeof *copies));
    struct op_arg *named[OP_ARGS_MAX] = {NULL};
    for (uint32_t i = 0; i < g->storage_count; i++) {
        const struct heed_storage *s = &g->storages[i];
        if (s->arg == UINT32_MAX)
            continue;
        struct op_arg *arg = find(c, s->name);
        if (!arg) {
            arg = add(c, s->name, s->dtype, s->bytes / heed_dtype_size(s->dtype));
            arg->output = true;
        }
        named[s->arg] = arg;
        if (arg->output) {
            arg->expected = must(calloc(arg->count + 1, sizeof *arg->expected));
            arg->bound = must(calloc(arg->count + 1, sizeof *arg->bound));
        }
        args[s->arg] = arg->input ? arg->data : arg->expected;
        if (arg->input && arg->output) {
            args[s->arg] = copies[s->arg] = must(malloc(arg->bytes + 1));
            memcpy(copies[s->arg], arg->data, arg->bytes);
        }
    }
    const char *why;
    bool ok = test_naive_pipeline(g, args, naive, &why) || fail(c, why);
    ok = ok && (heed_reference_pipeline(g, args, HEED_REFERENCE_F64, NULL) == HEED_OK || fail(c, "the oracle failed"));
    for (uint32_t i = 0; i < g->arg_count; i++) {
        for (uint64_t e = 0; ok && copies[i] && e < named[i]->count; e++)
            named[i]->expected[e] = heed_dtype_load(copies[i], named[i]->dtype, e);
        if (ok && named[i]->output)
            set_bounds(named[i], naive[i]);
        free(copies[i]);
        free(naive[i]);
    }
    free(args);
    free(naive);
    free(copies);
    return ok;
}

static bool build(struct op_case *c, heed_device *device)
{
    for (int i = 0; i < c->words.count; i++)
        c->words.word[i].used = false;
    c->quick = test_words_has(&c->words, "quick");
    c->split = test_words_has(&c->words, "split");
    if (heed_pipeline_create(device, NULL, &c->p) != HEED_OK)
        return fail(c, "heed_pipeline_create failed");
    c->row->build(c, &c->words);
    if (!test_words_done(&c->words))
        return fail(c, c->words.error);
    return heed_pipeline_get_status(c->p) == HEED_OK || fail(c, "the pipeline is not legal");
}

static const struct op_row *find_row(const char *word, size_t length)
{
    for (uint32_t i = 0; i < test_pipeline_count; i++)
        if (strlen(test_pipelines[i].word) == length && memcmp(test_pipelines[i].word, word, length) == 0)
            return &test_pipelines[i];
    return NULL;
}

bool op_case_knows(const char *line)
{
    line += strspn(line, " \t");
    return find_row(line, strcspn(line, " \t")) != NULL;
}

bool op_case_parse(struct op_case *c, const char *line, uint64_t seed)
{
    memset(c, 0, sizeof *c);
    if (!test_words_split(&c->words, line))
        return fail(c, c->words.error);
    if (c->words.count < 2)
        return fail(c, "a line begins with an op and a name");
    snprintf(c->line, sizeof c->line, "%s", line);
    snprintf(c->name, sizeof c->name, "%s", c->words.word[1].key);
    c->seed = seed;
    c->random = test_random_for(line, seed);
    c->row = find_row(c->words.word[0].key, strlen(c->words.word[0].key));
    return c->row || fail(c, "the first word is no op");
}

bool op_case_init(struct op_case *c, heed_device *device, const char *line, uint64_t seed)
{
    const bool ok = op_case_parse(c, line, seed) && build(c, device) && expect(c);
    heed_pipeline_destroy(&c->p);
    return ok;
}

void op_case_free(struct op_case *c)
{
    for (uint32_t i = 0; i < c->arg_count; i++) {
        free(c->args[i].data);
        free(c->args[i].expected);
        free(c->args[i].bound);
    }
    c->arg_count = 0;
}

/* ---- on a device */

enum heed_status op_case_plan(struct op_case *c, heed_device *device, heed_plan **plan)
{
    c->error[0] = 0;
    *plan = NULL;
    enum heed_status status = build(c, device) ? heed_pipeline_compile(c->p, plan) : HEED_ERR_ARGUMENT;
    heed_pipeline_destroy(&c->p);
    return status;
}

enum { GUARD = 96, STEP = 16 };
static const uint32_t canary = 0x7fd37fd3; /* NaN as f32, as two f16 and as two bf16 */

static bool check(struct op_case *c, const struct op_arg *arg, const unsigned char *got, double *worst)
{
    for (uint64_t i = 0; i < arg->count; i++) {
        const double value = heed_dtype_load(got, arg->dtype, i);
        if (!test_value_ok(arg->dtype, value, arg->expected[i], arg->bound[i])) {
            snprintf(c->error, sizeof c->error, "%s[%" PRIu64 "] expected %.9g, got %.9g, bound %.3g", arg->name, i,
                     arg->expected[i], value, arg->bound[i]);
            return false;
        }
        if (arg->bound[i] > 0 && isfinite(value))
            *worst = fmax(*worst, fabs(value - arg->expected[i]) / arg->bound[i]);
    }
    return true;
}

bool op_case_run(struct op_case *c, heed_plan *plan, double *worst, unsigned char **after, uint64_t *bytes)
{
    uint64_t offset[OP_ARGS_MAX], at = 0;
    struct heed_arg args[OP_ARGS_MAX];
    for (uint32_t i = 0; i < c->arg_count; i++) {
        offset[i] = ((at + GUARD) / STEP + 1) * STEP;
        offset[i] += offset[i] / STEP % 2 ? 0 : STEP; /* odd multiples of what heed asks for */
        at = offset[i] + c->args[i].bytes;
    }
    *bytes = (at + 2 * GUARD) / 4 * 4;
    *worst = 0;
    unsigned char *before = must(malloc((size_t)*bytes)), *result = must(malloc((size_t)*bytes));
    for (uint64_t i = 0; i < *bytes; i += 4)
        memcpy(before + i, &canary, 4);
    heed_buffer *buffer = NULL;
    enum heed_status status = heed_buffer_create(plan->device, *bytes, &buffer);
    for (uint32_t i = 0; i < c->arg_count; i++) {
        if (c->args[i].data)
            memcpy(before + offset[i], c->args[i].data, (size_t)c->args[i].bytes);
        args[i] = (struct heed_arg){c->args[i].name, buffer, offset[i]};
    }
    if (status == HEED_OK)
        status = heed_buffer_write(buffer, 0, before, *bytes);
    heed_fence *fence = NULL;
    if (status == HEED_OK)
        status = heed_run(plan, args, c->arg_count, &fence);
    if (status == HEED_OK)
        status = heed_fence_wait(fence, UINT64_MAX);
    c->device_ns = 0;
    if (status == HEED_OK && heed_fence_get_device_ns(fence, &c->device_ns) != HEED_OK)
        c->device_ns = 0;
    heed_fence_destroy(&fence);
    if (status == HEED_OK)
        status = heed_buffer_read(buffer, 0, result, *bytes);
    heed_buffer_destroy(&buffer);
    bool ok = status == HEED_OK || fail(c, heed_status_name(status));
    for (uint32_t i = 0; ok && i < c->arg_count; i++) {
        if (!c->args[i].output)
            continue;
        ok = check(c, &c->args[i], result + offset[i], worst);
        memcpy(before + offset[i], result + offset[i], (size_t)c->args[i].bytes);
    }
    for (uint64_t i = 0; ok && i < *bytes; i++)
        if (before[i] != result[i]) {
            snprintf(c->error, sizeof c->error, "byte %" PRIu64 " is no result and was overwritten", i);
            ok = false;
        }
    free(before);
    *after = result;
    return ok;
}
