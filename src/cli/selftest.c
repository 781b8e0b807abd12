/* SPDX-License-Identifier: MIT
 * heed selftest: every kernel on every device against the reference, on small problems. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "dtype.h"
#include "plan.h"
#include "run.h"

struct values {
    const char *device;
};

static const struct option options[] = {
    {OPTION_TEXT, "device", "D", "only this one: index, UUID or part of the name", offsetof(struct values, device)},
};

const struct command cli_selftest = {
    .name = "selftest",
    .summary = "every kernel on every device against the reference",
    .about = "Runs every kernel of heed on every Vulkan device, on a handful of small problems, and compares with the "
             "reference in double precision. A line each: ok, skip with the reason, or FAILED.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

/* ---- the problems */

struct trial {
    const char *name;
    union {
        struct heed_attention_desc attention;
        struct heed_deform_desc deform;
    } desc;
    bool is_deform;
    double bound; /* of an output element before it is rounded to its type; inputs are at most 1 */
};

enum { TRIAL_COUNT = 7 };

/* What f32 arithmetic may lose, with |q|, |k|, |v| <= 1. Dot products of n terms: 4 sqrt(n) u each (Higham and Mary
 * 2019, rounding errors add up like a random walk) times the sum of absolute terms, at most dim / sqrt(dim) after
 * scaling. exp: 3 + 2 |x| ulp by Vulkan's table, with |x| up to twice the largest score. */
static double attention_bound(uint32_t dim, uint32_t keys)
{
    double u = 0x1p-24, score = sqrt(dim), score_error = 4.0 * sqrt(dim) * score * u;
    return 2.0 * (score_error + (3.0 + 4.0 * score + 2.0 * sqrt(keys)) * 2.0 * u);
}

/* Coordinates carry 3 roundings of numbers up to `size`, and each pixel on the way can change a value by 2. */
static double deform_bound(uint32_t points, uint32_t size, uint32_t axes)
{
    return points * (2.0 * axes * 3.0 * size + 16.0) * 0x1p-24;
}

static void set_dtype(struct heed_attention_desc *d, enum heed_dtype dtype)
{
    d->q.dtype = d->k.dtype = d->v.dtype = d->o.dtype = dtype;
}

static void make_trials(struct trial trials[TRIAL_COUNT])
{
    for (int i = 0; i < TRIAL_COUNT; i++)
        memset(&trials[i], 0, sizeof trials[i]);
    const struct heed_attention_desc start = HEED_ATTENTION_DESC_INIT;
    struct heed_attention_desc *a;

    trials[0].name = "attention, f32, grouped heads";
    trials[0].desc.attention = start;
    a = &trials[0].desc.attention;
    a->batch = 2, a->heads_q = 4, a->heads_kv = 2, a->len_q = 49, a->len_kv = 77, a->dim_qk = a->dim_v = 40;
    a->lse = true;

    trials[1].name = "attention, f16, causal, window";
    trials[1].desc.attention = start;
    a = &trials[1].desc.attention;
    a->batch = 1, a->heads_q = a->heads_kv = 3, a->len_q = 70, a->len_kv = 101, a->dim_qk = a->dim_v = 64;
    a->causal = a->window = true, a->window_left = 20, a->window_right = HEED_WINDOW_NONE;
    set_dtype(a, HEED_F16);

    trials[2].name = "attention, bf16, mask, lengths";
    trials[2].desc.attention = start;
    a = &trials[2].desc.attention;
    a->batch = 2, a->heads_q = a->heads_kv = 2, a->len_q = 7, a->len_kv = 130, a->dim_qk = 36, a->dim_v = 20;
    a->mask = HEED_MASK_BOOL, a->mask_broadcast = HEED_BROADCAST_HEAD, a->key_lengths = a->sinks = true;
    set_dtype(a, HEED_BF16);

    trials[3].name = "attention, one row, added mask";
    trials[3].desc.attention = start;
    a = &trials[3].desc.attention;
    a->batch = 1, a->heads_q = 8, a->heads_kv = 1, a->len_q = 1, a->len_kv = 1500, a->dim_qk = a->dim_v = 64;
    a->mask = HEED_MASK_ADD, a->mask_broadcast = HEED_BROADCAST_BATCH | HEED_BROADCAST_HEAD, a->alibi = true;

    for (int i = 0; i < 4; i++)
        trials[i].bound = attention_bound(trials[i].desc.attention.dim_qk, trials[i].desc.attention.len_kv);

    for (int i = 4; i < TRIAL_COUNT; i++) {
        struct heed_deform_desc *d = &trials[i].desc.deform;
        *d = (struct heed_deform_desc)HEED_DEFORM_DESC_INIT;
        trials[i].is_deform = true;
        d->batch = 2, d->heads = 3, d->len_q = 33, d->dim = 32, d->level_count = 2;
        d->levels[0] = (struct heed_level){.height = 16, .width = 12, .points = 4};
        d->levels[1] = (struct heed_level){.height = 7, .width = 5, .points = 4};
        d->len_value = 16 * 12 + 7 * 5;
        trials[i].bound = deform_bound(8, 16, 2);
    }
    trials[4].name = "deform, f32, locations";

    trials[5].name = "deform, f16, boxes, border";
    struct heed_deform_desc *boxes = &trials[5].desc.deform;
    boxes->input = HEED_DEFORM_OFFSETS, boxes->reference_boxes = boxes->reference_per_level = true;
    boxes->padding = HEED_PADDING_BORDER, boxes->value.dtype = boxes->o.dtype = HEED_F16;

    trials[6].name = "deform, bf16, volumes";
    struct heed_deform_desc *volume = &trials[6].desc.deform;
    volume->axes = 3, volume->levels[0].depth = 3, volume->levels[1].depth = 2, volume->levels[1].points = 2;
    volume->len_value = 3 * 16 * 12 + 2 * 7 * 5, volume->dim = 30, volume->align_corners = true;
    volume->value.dtype = volume->o.dtype = HEED_BF16;
    trials[6].bound = deform_bound(6, 16, 3);
}

/* ---- running one */

static double random_unit(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) * 0x1p-53;
}

/* The same numbers for every device and kernel. */
static void fill(const struct heed_arg_info *arg, void *data, uint64_t count)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    for (const char *c = arg->name; *c; c++)
        state = (state ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    bool places = strcmp(arg->name, "locations") == 0 || strcmp(arg->name, "reference") == 0;
    for (uint64_t i = 0; i < count; i++) {
        double x = random_unit(&state);
        double value = places ? 1.4 * x - 0.2 : 2.0 * x - 1.0;
        if (arg->dtype == HEED_BOOL)
            value = x < 0.75;
        else if (arg->dtype == HEED_I32)
            value = 1.0 + 100.0 * x;
        else if (strcmp(arg->name, "weights") == 0)
            value = x / 8.0;
        else if (strcmp(arg->name, "alibi") == 0)
            value = 0.01 * x;
        heed_dtype_store(data, arg->dtype, i, value);
    }
}

struct outputs {
    double *values;
    enum heed_dtype *dtypes; /* of each value */
    uint64_t count;
};

static void free_outputs(struct outputs *outputs)
{
    free(outputs->values);
    free(outputs->dtypes);
    *outputs = (struct outputs){NULL, NULL, 0};
}

static bool collect(const struct session *session, const struct heed_arg_info *arg, heed_buffer *buffer,
                    struct outputs *outputs, struct fault *fault)
{
    uint64_t count = arg->bytes / heed_dtype_size(arg->dtype), total = outputs->count + count;
    double *values = realloc(outputs->values, total * sizeof *values);
    if (values)
        outputs->values = values;
    enum heed_dtype *dtypes = realloc(outputs->dtypes, total * sizeof *dtypes);
    if (dtypes)
        outputs->dtypes = dtypes;
    void *data = malloc(arg->bytes);
    bool done = values && dtypes && data;
    if (!done)
        fault_failed(fault, "out of host memory");
    done = done && session_ok(session, heed_buffer_read(buffer, 0, data, arg->bytes), arg->name, fault);
    for (uint64_t i = 0; done && i < count; i++) {
        values[outputs->count] = heed_dtype_load(data, arg->dtype, i);
        dtypes[outputs->count++] = arg->dtype;
    }
    free(data);
    return done;
}

static bool run_filled(const struct session *session, heed_plan *plan, struct outputs *outputs, struct fault *fault)
{
    struct heed_arg args[HEED_ARG_COUNT];
    struct heed_arg_info infos[HEED_ARG_COUNT];
    heed_buffer *buffers[HEED_ARG_COUNT] = {NULL};
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    bool done = true;
    for (uint32_t i = 0; done && i < info.args; i++) {
        done = session_ok(session, heed_plan_get_arg(plan, i, &infos[i]), "arguments", fault) &&
               session_ok(session, heed_buffer_create(session->device, (infos[i].bytes + 3) / 4 * 4, &buffers[i]),
                          infos[i].name, fault);
        if (!done)
            break;
        args[i] = (struct heed_arg){infos[i].name, buffers[i], 0};
        if (infos[i].output)
            continue;
        void *data = malloc(infos[i].bytes);
        if (!data) {
            done = fault_failed(fault, "out of host memory");
            break;
        }
        fill(&infos[i], data, infos[i].bytes / heed_dtype_size(infos[i].dtype));
        done = session_ok(session, heed_buffer_write(buffers[i], 0, data, infos[i].bytes), infos[i].name, fault);
        free(data);
    }
    done = done && session_ok(session, heed_run(plan, args, info.args, NULL), "run", fault);
    for (uint32_t i = 0; done && i < info.args; i++)
        if (infos[i].output)
            done = collect(session, &infos[i], buffers[i], outputs, fault);
    for (uint32_t i = 0; i < HEED_ARG_COUNT; i++)
        heed_buffer_destroy(&buffers[i]);
    return done;
}

/* *unsupported: the device has no such kernel, for the reason in the fault. */
static bool evaluate(struct session *session, const struct trial *trial, const char *kernel, bool *unsupported,
                     struct outputs *outputs, struct fault *fault)
{
    struct trial forced = *trial;
    heed_plan *plan = NULL;
    enum heed_status status;
    session->message[0] = '\0';
    if (trial->is_deform) {
        forced.desc.deform.kernel = kernel;
        status = heed_plan_create_deform(session->device, &forced.desc.deform, &plan);
    } else {
        forced.desc.attention.kernel = kernel;
        status = heed_plan_create_attention(session->device, &forced.desc.attention, &plan);
    }
    *unsupported = status == HEED_ERR_UNSUPPORTED;
    bool done = session_ok(session, status, "plan", fault) && run_filled(session, plan, outputs, fault);
    heed_plan_destroy(&plan);
    return done;
}

/* ---- comparing */

struct tally {
    uint32_t ok, skipped, failed;
};

static double unit_roundoff(enum heed_dtype dtype)
{
    return dtype == HEED_F32 ? 0x1p-24 : dtype == HEED_F16 ? 0x1p-11 : 0x1p-8;
}

/* The first element that is off by more than the bound. The reference was rounded to the type, too: hence twice. */
static bool compare(const struct outputs *got, const struct outputs *wanted, double bound, char *text, size_t size)
{
    for (uint64_t i = 0; i < wanted->count; i++) {
        double limit = bound + 2.0 * unit_roundoff(wanted->dtypes[i]) * fabs(wanted->values[i]);
        if (!(fabs(got->values[i] - wanted->values[i]) <= limit) && got->values[i] != wanted->values[i]) {
            snprintf(text, size, "output %" PRIu64 " is %g, the reference has %g, and at most %.2g may lie between", i,
                     got->values[i], wanted->values[i], limit);
            return false;
        }
    }
    return true;
}

static void test_kernel(struct session *session, const struct trial *trial, const char *kernel,
                        const struct outputs *wanted, struct tally *tally)
{
    struct outputs got = {NULL, NULL, 0};
    struct fault fault;
    char why[256];
    bool unsupported;
    const char *verdict = "ok", *detail = "";
    if (!evaluate(session, trial, kernel, &unsupported, &got, &fault)) {
        verdict = unsupported ? "skip" : "FAILED";
        detail = fault.text;
    } else if (!compare(&got, wanted, trial->bound, why, sizeof why)) {
        verdict = "FAILED";
        detail = why;
    }
    tally->ok += strcmp(verdict, "ok") == 0;
    tally->skipped += strcmp(verdict, "skip") == 0;
    tally->failed += strcmp(verdict, "FAILED") == 0;
    printf("  %-6s  %-28s  %s%s%s\n", verdict, kernel, trial->name, *detail ? ": " : "", detail);
    fflush(stdout);
    free_outputs(&got);
}

static bool test_device(const struct heed_device_info *info, const struct trial *trials, const struct outputs *wanted,
                        struct tally *tally, struct fault *fault)
{
    struct session session = {0};
    printf("%s (%s)\n", info->name, info->driver);
    bool done = session_open_context(&session, cli_selftest.name, false, false, fault);
    if (done && !session_open_device(&session, info, fault)) {
        printf("  FAILED  %s\n", fault->text);
        tally->failed++;
    } else if (done) {
        for (int i = 0; i < TRIAL_COUNT; i++) {
            uint32_t count;
            const struct heed_candidate *list = trials[i].is_deform
                                                    ? heed_deform_candidates(&count)
                                                    : heed_attention_candidates(HEED_OP_ATTENTION, &count);
            for (uint32_t k = 0; k < count; k++)
                test_kernel(&session, &trials[i], list[k].name, &wanted[i], tally);
        }
    }
    session_close(&session);
    return done;
}

static bool run_reference(const struct trial *trials, struct outputs *wanted, struct fault *fault)
{
    struct session session = {0};
    const struct device_options reference = {.backend = HEED_BACKEND_REFERENCE};
    bool unsupported, done = session_open(&session, cli_selftest.name, &reference, fault);
    for (int i = 0; done && i < TRIAL_COUNT; i++)
        done = evaluate(&session, &trials[i], NULL, &unsupported, &wanted[i], fault);
    session_close(&session);
    return done;
}

static bool test_devices(const struct heed_device_info *infos, uint32_t count, struct fault *fault)
{
    struct trial trials[TRIAL_COUNT];
    struct outputs wanted[TRIAL_COUNT] = {{NULL, NULL, 0}};
    struct tally tally = {0, 0, 0};
    make_trials(trials);
    bool done = run_reference(trials, wanted, fault);
    for (uint32_t i = 0; done && i < count; i++)
        done = test_device(&infos[i], trials, wanted, &tally, fault);
    for (int i = 0; i < TRIAL_COUNT; i++)
        free_outputs(&wanted[i]);
    if (!done)
        return false;
    printf("%" PRIu32 " ok, %" PRIu32 " failed, %" PRIu32 " skipped\n", tally.ok, tally.failed, tally.skipped);
    if (tally.failed > 0 || tally.ok == 0)
        return fault_failed(fault, "%s",
                            tally.failed > 0 ? "results are wrong on this machine" : "every kernel refused");
    return true;
}

bool cli_run_selftest(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {NULL};
    bool help;
    if (!options_parse(&cli_selftest, argc, argv, &values, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_selftest);
        return true;
    }
    struct session session = {0};
    struct heed_device_info *infos = NULL;
    uint32_t count = 0, chosen = 0, kept = 0;
    bool done = session_open_context(&session, cli_selftest.name, false, false, fault) &&
                session_list(&session, HEED_BACKEND_AUTO, &infos, &count, fault) &&
                (!values.device || session_choose(infos, count, values.device, &chosen, fault));
    session_close(&session);
    for (uint32_t i = 0; done && i < count; i++)
        if ((!values.device || i == chosen) && infos[i].backend != HEED_BACKEND_REFERENCE)
            infos[kept++] = infos[i];
    if (done && kept == 0) {
        done = fault_failed(fault, "nothing to test: %s",
                            values.device ? "the reference is what others are compared with"
                                          : session_no_device(HEED_BACKEND_AUTO));
        fault->status = EXIT_NOTHING;
    }
    done = done && test_devices(infos, kept, fault);
    free(infos);
    return done;
}
