/* SPDX-License-Identifier: MIT
 * Upload, run, read back, compare. */
#include "run_case.h"

#include "dtype.h"
#include "plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NaN as f32, as two f16 and as two bf16; no legal bool, a huge integer. */
static const uint32_t canary = 0x7fd37fd3;
enum { GUARD = 96 };

static bool fail(struct test_run *run, const char *what, enum heed_status status)
{
    snprintf(run->error, sizeof run->error, "%s: %s", what, heed_status_name(status));
    return false;
}

bool test_run_init(struct test_run *run, heed_device *device, const struct test_case *test, uint32_t alignment)
{
    *run = (struct test_run){0};
    uint64_t at = 0;
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        const struct test_tensor *t = &test->tensor[id];
        if (!t->present)
            continue;
        if (test->in_place && id == HEED_ARG_WEIGHTS) {
            run->offset[id] = run->offset[HEED_ARG_SCORES];
            continue;
        }
        uint64_t step = alignment > heed_dtype_size(t->dtype) ? alignment : heed_dtype_size(t->dtype);
        run->offset[id] = ((at + GUARD) / step + 1) * step;
        if (run->offset[id] / step % 2 == 0)
            run->offset[id] += step;
        at = run->offset[id] + t->bytes;
    }
    run->bytes = (at + 2 * GUARD) / 4 * 4;
    run->before = malloc((size_t)run->bytes);
    run->after = malloc((size_t)run->bytes);
    if (!run->before || !run->after)
        return fail(run, "test buffers", HEED_ERR_HOST_MEMORY);
    for (uint64_t i = 0; i < run->bytes; i += 4)
        memcpy(run->before + i, &canary, 4);
    for (int id = 0; id < HEED_ARG_COUNT; id++)
        if (test->tensor[id].present && !test->tensor[id].output)
            memcpy(run->before + run->offset[id], test->tensor[id].data, (size_t)test->tensor[id].bytes);
    enum heed_status status = heed_buffer_create(device, run->bytes, &run->buffer);
    return status == HEED_OK || fail(run, "heed_buffer_create", status);
}

bool test_run_once(struct test_run *run, const struct test_case *test, heed_plan *plan)
{
    struct heed_arg args[HEED_ARG_COUNT];
    uint32_t count = 0;
    for (int id = 0; id < HEED_ARG_COUNT; id++)
        if (test->tensor[id].present)
            args[count++] = (struct heed_arg){heed_arg_name((enum heed_arg_id)id), run->buffer, run->offset[id]};
    enum heed_status status = heed_buffer_write(run->buffer, 0, run->before, run->bytes);
    if (status != HEED_OK)
        return fail(run, "heed_buffer_write", status);
    for (uint32_t i = 0; i < plan->step_count; i++)
        run->weights16 |=
            plan->steps[i].kernel >= HEED_KERNEL_ATTN_MATRIX && plan->steps[i].kernel <= HEED_KERNEL_ATTN_HELD_NV_BF16;
    status = heed_run(plan, args, count, NULL);
    if (status != HEED_OK)
        return fail(run, "heed_run", status);
    status = heed_buffer_read(run->buffer, 0, run->after, run->bytes);
    return status == HEED_OK || fail(run, "heed_buffer_read", status);
}

static bool check_output(struct test_run *run, const struct test_tensor *t, enum heed_arg_id id, unsigned char *foreign)
{
    size_t size = heed_dtype_size(t->dtype);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < t->count; i++) {
        uint64_t at = run->offset[id] + i * size;
        if (test_is_unwritten(t->expected[i]))
            continue;
        memset(foreign + at, 0, size);
        double got = heed_dtype_load(run->after + run->offset[id], t->dtype, i);
        double bound = run->weights16 && t->bound16 ? t->bound16[i] : t->bound[i];
        if (test_value_ok(t->dtype, got, t->expected[i], bound)) {
            if (bound > 0 && isfinite(got))
                run->worst = fmax(run->worst, fabs(got - t->expected[i]) / bound);
            continue;
        }
        if (wrong++ == 0)
            snprintf(run->error, sizeof run->error, "%s[%" PRIu64 "] expected %.9g, got %.9g%s, bound %.3g",
                     heed_arg_name(id), i, t->expected[i], got,
                     memcmp(run->before + at, run->after + at, size) == 0 ? " (never written)" : "", bound);
    }
    if (wrong > 0) {
        size_t used = strlen(run->error);
        snprintf(run->error + used, sizeof run->error - used, "; %" PRIu64 " of %" PRIu64 " elements are wrong", wrong,
                 t->count);
    }
    return wrong == 0;
}

bool test_run_check(struct test_run *run, const struct test_case *test)
{
    unsigned char *foreign = malloc((size_t)run->bytes); /* 1: must be as it was before the run */
    if (!foreign)
        return fail(run, "test buffers", HEED_ERR_HOST_MEMORY);
    memset(foreign, 1, (size_t)run->bytes);
    bool ok = true;
    for (int id = 0; ok && id < HEED_ARG_COUNT; id++)
        if (test->tensor[id].present && test->tensor[id].output)
            ok = check_output(run, &test->tensor[id], (enum heed_arg_id)id, foreign);
    for (uint64_t i = 0; ok && i < run->bytes; i++) {
        if (!foreign[i] || run->before[i] == run->after[i])
            continue;
        ok = false;
        snprintf(run->error, sizeof run->error, "byte %" PRIu64 " of the buffer is no result and was overwritten;", i);
        for (int id = 0; id < HEED_ARG_COUNT; id++) {
            size_t used = strlen(run->error);
            if (test->tensor[id].present && i + GUARD >= run->offset[id] &&
                i < run->offset[id] + test->tensor[id].bytes + GUARD)
                snprintf(run->error + used, sizeof run->error - used, " %s is %" PRIu64 " .. %" PRIu64,
                         heed_arg_name((enum heed_arg_id)id), run->offset[id],
                         run->offset[id] + test->tensor[id].bytes);
        }
    }
    free(foreign);
    return ok;
}

void test_run_free(struct test_run *run)
{
    heed_buffer_destroy(&run->buffer);
    free(run->before);
    free(run->after);
    run->before = run->after = NULL;
}
