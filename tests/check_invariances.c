/* SPDX-License-Identifier: MIT
 * What must not change the oracle's results, on random problems: the order of keys, other batches, a constant added to
 * all scores, heads written out, layouts, the path, another way to say the same mask. And the reference backend: its
 * results are the oracle's, rounded once. */
#include "support/test_case.h"

#include "dtype.h"
#include "reference/reference.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIGHT 1e-12 /* the same f64 sums in another order */

static heed_context *context;

static struct heed_attention_desc *desc_of(struct test_case *test)
{
    return &test->problem.attention.desc;
}

/* Inputs from a line of words; its outputs when solve has run. */
static void start(struct test_case *test, const char *line)
{
    ck_assert_msg(test_case_init(context, test, line, 7, false), "%s: %s", line, test->error);
}

static void solve(struct test_case *test)
{
    const void *in[HEED_ARG_COUNT];
    void *out[HEED_ARG_COUNT];
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        in[id] = test->tensor[id].data;
        out[id] = test->tensor[id].expected;
        for (uint64_t i = 0; test->tensor[id].expected && i < test->tensor[id].count; i++)
            test->tensor[id].expected[i] = test_unwritten();
    }
    ck_assert_int_eq(heed_reference_attention(context, &test->problem.attention, in, out, HEED_REFERENCE_F64), HEED_OK);
}

static double get(const struct test_case *test, enum heed_arg_id id, uint64_t index)
{
    const struct test_tensor *t = &test->tensor[id];
    ck_assert_uint_lt(index, t->count);
    return t->output ? t->expected[index] : heed_dtype_load(t->data, t->dtype, index);
}

static void set(struct test_case *test, enum heed_arg_id id, uint64_t index, double value)
{
    ck_assert_uint_lt(index, test->tensor[id].count);
    heed_dtype_store(test->tensor[id].data, test->tensor[id].dtype, index, value);
}

static const struct heed_view *view_of(const struct test_case *test, enum heed_arg_id id)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    return id == HEED_ARG_Q ? &d->q : id == HEED_ARG_K ? &d->k : id == HEED_ARG_V ? &d->v : &d->o;
}

static uint64_t element(const struct test_case *test, enum heed_arg_id id, uint64_t b, uint64_t h, uint64_t i)
{
    const struct heed_view *v = view_of(test, id);
    return b * v->stride_batch + h * v->stride_head + i * v->stride_row;
}

/* Rows of q, k, v from one problem to another, whatever the layouts and types. */
static void copy_row(struct test_case *to, uint64_t to_element, const struct test_case *from, uint64_t from_element,
                     enum heed_arg_id id, uint32_t dim)
{
    for (uint32_t d = 0; d < dim; d++)
        set(to, id, to_element + d, get(from, id, from_element + d));
}

static void copy_qkv(struct test_case *to, const struct test_case *from)
{
    const struct heed_attention_desc *d = &from->problem.attention.desc;
    for (uint32_t b = 0; b < d->batch; b++) {
        for (uint32_t h = 0; h < d->heads_q; h++)
            for (uint32_t i = 0; i < d->len_q; i++)
                copy_row(to, element(to, HEED_ARG_Q, b, h, i), from, element(from, HEED_ARG_Q, b, h, i), HEED_ARG_Q,
                         d->dim_qk);
        for (uint32_t h = 0; h < d->heads_kv; h++)
            for (uint32_t j = 0; j < d->len_kv; j++) {
                copy_row(to, element(to, HEED_ARG_K, b, h, j), from, element(from, HEED_ARG_K, b, h, j), HEED_ARG_K,
                         d->dim_qk);
                copy_row(to, element(to, HEED_ARG_V, b, h, j), from, element(from, HEED_ARG_V, b, h, j), HEED_ARG_V,
                         d->dim_v);
            }
    }
}

static void ck_near(double a, double b, double tolerance)
{
    bool same = (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tolerance * fmax(1, fabs(b));
    ck_assert_msg(same, "%.17g is not %.17g", a, b);
}

/* o, and lse and entropy where both have them; o may lie differently. */
static void compare(const struct test_case *a, const struct test_case *b, double tolerance)
{
    const struct heed_attention_desc *d = &a->problem.attention.desc;
    for (uint32_t batch = 0; batch < d->batch; batch++)
        for (uint32_t h = 0; h < d->heads_q; h++)
            for (uint32_t i = 0; i < d->len_q; i++)
                for (uint32_t c = 0; c < d->dim_v; c++)
                    ck_near(get(a, HEED_ARG_O, element(a, HEED_ARG_O, batch, h, i) + c),
                            get(b, HEED_ARG_O, element(b, HEED_ARG_O, batch, h, i) + c), tolerance);
    static const enum heed_arg_id rest[] = {HEED_ARG_LSE, HEED_ARG_ENTROPY, HEED_ARG_WEIGHTS};
    for (int n = 0; n < 3; n++)
        if (a->tensor[rest[n]].present && b->tensor[rest[n]].present)
            for (uint64_t i = 0; i < a->tensor[rest[n]].count; i++)
                ck_near(get(a, rest[n], i), get(b, rest[n], i), tolerance);
}

START_TEST(the_order_of_keys)
{
    struct test_case a, b;
    const char *line =
        "attention t batch=2 heads=4/2 len=9x17 dim=8/5 mask=bool key_bias distance=2 sinks out=lse,entropy";
    start(&a, line);
    start(&b, line);
    const struct heed_attention_desc *d = desc_of(&a);
    for (uint64_t batch = 0; batch < d->batch; batch++)
        for (uint64_t j = 0; j < d->len_kv; j++) {
            uint64_t other = d->len_kv - 1 - j;
            for (uint64_t h = 0; h < d->heads_kv; h++) {
                copy_row(&b, element(&b, HEED_ARG_K, batch, h, other), &a, element(&a, HEED_ARG_K, batch, h, j),
                         HEED_ARG_K, d->dim_qk);
                copy_row(&b, element(&b, HEED_ARG_V, batch, h, other), &a, element(&a, HEED_ARG_V, batch, h, j),
                         HEED_ARG_V, d->dim_v);
            }
            for (uint64_t h = 0; h < d->heads_q; h++) {
                uint64_t row = (batch * d->heads_q + h) * d->len_kv;
                set(&b, HEED_ARG_KEY_BIAS, row + other, get(&a, HEED_ARG_KEY_BIAS, row + j));
                for (uint64_t i = 0; i < d->len_q; i++) {
                    uint64_t mask = ((batch * d->heads_q + h) * d->len_q + i) * d->len_kv;
                    set(&b, HEED_ARG_MASK, mask + other, get(&a, HEED_ARG_MASK, mask + j));
                }
            }
            for (uint64_t c = 0; c < 2; c++)
                set(&b, HEED_ARG_K_POS, (batch * d->len_kv + other) * 2 + c,
                    get(&a, HEED_ARG_K_POS, (batch * d->len_kv + j) * 2 + c));
        }
    solve(&a);
    solve(&b);
    compare(&a, &b, TIGHT);
    test_case_free(&a);
    test_case_free(&b);
}
END_TEST

START_TEST(other_batches)
{
    struct test_case a, b;
    const char *line = "attention t batch=3 heads=2 len=6x11 dim=8 causal key_lengths mask=f32 out=lse,entropy";
    start(&a, line);
    start(&b, line);
    const struct heed_attention_desc *d = desc_of(&a);
    for (uint64_t i = 0; i < d->v.stride_batch; i++) /* batch 0 of b is something else altogether */
        set(&b, HEED_ARG_V, i, NAN);
    set(&b, HEED_ARG_KEY_LENGTHS, 0, 2);
    solve(&a);
    solve(&b);
    for (uint64_t i = d->o.stride_batch; i < a.tensor[HEED_ARG_O].count; i++)
        ck_assert(memcmp(&a.tensor[HEED_ARG_O].expected[i], &b.tensor[HEED_ARG_O].expected[i], sizeof(double)) == 0);
    test_case_free(&a);
    test_case_free(&b);
}
END_TEST

START_TEST(a_constant_added_to_all_scores)
{
    struct test_case a, b;
    const char *line = "attention t heads=2 len=7x13 dim=8 mask=f32 out=lse,entropy";
    start(&a, line);
    start(&b, line);
    for (uint64_t i = 0; i < a.tensor[HEED_ARG_MASK].count; i++) {
        double eighths = rint(8 * fmax(get(&a, HEED_ARG_MASK, i), -100)) / 8; /* so that adding is exact */
        set(&a, HEED_ARG_MASK, i, eighths);
        set(&b, HEED_ARG_MASK, i, eighths + 40);
    }
    solve(&a);
    solve(&b);
    for (uint64_t i = 0; i < b.tensor[HEED_ARG_LSE].count; i++)
        b.tensor[HEED_ARG_LSE].expected[i] -= 40;
    compare(&a, &b, TIGHT);
    test_case_free(&a);
    test_case_free(&b);
}
END_TEST

START_TEST(grouped_heads_are_repeated_heads)
{
    struct test_case a, b;
    start(&a, "attention t batch=2 heads=6/2 len=5x9 dim=8/4 causal out=lse");
    start(&b, "attention t batch=2 heads=6/6 len=5x9 dim=8/4 causal out=lse");
    const struct heed_attention_desc *d = desc_of(&b);
    for (uint64_t batch = 0; batch < d->batch; batch++)
        for (uint64_t h = 0; h < 6; h++) {
            for (uint64_t i = 0; i < d->len_q; i++)
                copy_row(&b, element(&b, HEED_ARG_Q, batch, h, i), &a, element(&a, HEED_ARG_Q, batch, h, i), HEED_ARG_Q,
                         8);
            for (uint64_t j = 0; j < d->len_kv; j++) {
                copy_row(&b, element(&b, HEED_ARG_K, batch, h, j), &a, element(&a, HEED_ARG_K, batch, h / 3, j),
                         HEED_ARG_K, 8);
                copy_row(&b, element(&b, HEED_ARG_V, batch, h, j), &a, element(&a, HEED_ARG_V, batch, h / 3, j),
                         HEED_ARG_V, 4);
            }
        }
    solve(&a);
    solve(&b);
    compare(&a, &b, 0);
    test_case_free(&a);
    test_case_free(&b);
}
END_TEST

static const char *const layouts[] = {"bshd", "qkv", "gaps"};

START_TEST(the_layout)
{
    struct test_case a, b;
    char line[256];
    snprintf(line, sizeof line, "attention t batch=2 heads=4/2 len=7x7 dim=8/12 window=3,2 out=lse layout=%s",
             layouts[_i]);
    start(&a, "attention t batch=2 heads=4/2 len=7x7 dim=8/12 window=3,2 out=lse");
    start(&b, line);
    copy_qkv(&b, &a);
    solve(&a);
    solve(&b);
    compare(&a, &b, 0);
    test_case_free(&a);
    test_case_free(&b);
}
END_TEST

START_TEST(stored_types)
{
    /* The same numbers as f16 and bf16, and widened to f32. */
    struct test_case narrow, wide;
    start(&narrow, "attention t heads=2 len=7x13 dim=8 dtype=f16,bf16,f16,f32 mask=f16 out=lse");
    start(&wide, "attention t heads=2 len=7x13 dim=8 mask=f32 out=lse");
    copy_qkv(&wide, &narrow);
    for (uint64_t i = 0; i < wide.tensor[HEED_ARG_MASK].count; i++)
        set(&wide, HEED_ARG_MASK, i, get(&narrow, HEED_ARG_MASK, i));
    solve(&narrow);
    solve(&wide);
    compare(&narrow, &wide, 0);
    test_case_free(&narrow);
    test_case_free(&wide);
}
END_TEST

/* Rules that a boolean mask can say too, and terms that an additive mask can. */
static const char *const ruled[] = {
    "causal",      "causal diagonal=top_left", "window=2,3", "window=4,none diagonal=top_left", "window=none,0",
    "key_lengths", "key_lengths wild_lengths", "alibi",      "alibi diagonal=top_left",
};

START_TEST(the_same_said_by_a_mask)
{
    struct test_case rule, mask;
    char line[256];
    bool additive = strstr(ruled[_i], "alibi") != NULL;
    snprintf(line, sizeof line, "attention t batch=4 heads=2 len=8x11 dim=4 out=lse,weights,entropy %s", ruled[_i]);
    start(&rule, line);
    start(&mask, additive ? "attention t batch=4 heads=2 len=8x11 dim=4 out=lse,weights,entropy mask=f32"
                          : "attention t batch=4 heads=2 len=8x11 dim=4 out=lse,weights,entropy mask=bool");
    copy_qkv(&mask, &rule);
    const struct heed_attention_desc *d = desc_of(&rule);
    for (int64_t b = 0; b < 4; b++)
        for (int64_t h = 0; h < 2; h++)
            for (int64_t i = 0; i < 8; i++)
                for (int64_t j = 0; j < 11; j++) {
                    double keys = d->key_lengths ? get(&rule, HEED_ARG_KEY_LENGTHS, (uint64_t)b) : 11;
                    keys = fmin(fmax(keys, 0), 11);
                    double ahead = (double)(j - i) - (d->diagonal == HEED_DIAGONAL_TOP_LEFT ? 0 : keys - 8);
                    bool attended = j < keys && !(d->causal && ahead > 0) &&
                                    !(d->window && d->window_left >= 0 && ahead < -d->window_left) &&
                                    !(d->window && d->window_right >= 0 && ahead > d->window_right);
                    double value = attended;
                    if (additive) {
                        set(&rule, HEED_ARG_ALIBI, (uint64_t)h, 0.25 * (double)(h + 1)); /* exact products */
                        value = -0.25 * (double)(h + 1) * fabs(ahead);
                    }
                    set(&mask, HEED_ARG_MASK, (uint64_t)(((b * 2 + h) * 8 + i) * 11 + j), value);
                }
    solve(&rule);
    solve(&mask);
    compare(&rule, &mask, TIGHT);
    test_case_free(&rule);
    test_case_free(&mask);
}
END_TEST

START_TEST(halves_merge_by_their_lse)
{
    /* o = (o1 e^lse1 + o2 e^lse2) / (e^lse1 + e^lse2), from keys 0..7 and 8..12. */
    struct test_case whole, part[2];
    const char *line = "attention t heads=2 len=6x13 dim=8 mask=bool out=lse";
    start(&whole, line);
    solve(&whole);
    for (int n = 0; n < 2; n++) {
        start(&part[n], line);
        for (uint64_t e = 0; e < part[n].tensor[HEED_ARG_MASK].count; e++)
            if ((e % 13 < 8) == (n == 1))
                set(&part[n], HEED_ARG_MASK, e, 0);
        solve(&part[n]);
    }
    const struct heed_attention_desc *d = desc_of(&whole);
    for (uint64_t row = 0; row < whole.tensor[HEED_ARG_LSE].count; row++) {
        double w[2], sum = 0;
        for (int n = 0; n < 2; n++)
            sum += w[n] = exp(get(&part[n], HEED_ARG_LSE, row));
        ck_near(log(sum), get(&whole, HEED_ARG_LSE, row), TIGHT);
        for (uint64_t c = 0; c < d->dim_v; c++) {
            uint64_t e = row * d->dim_v + c;
            ck_near((w[0] * get(&part[0], HEED_ARG_O, e) + w[1] * get(&part[1], HEED_ARG_O, e)) / sum,
                    get(&whole, HEED_ARG_O, e), TIGHT);
        }
    }
    test_case_free(&whole);
    test_case_free(&part[0]);
    test_case_free(&part[1]);
}
END_TEST

START_TEST(packed_sequences_are_separate_ones)
{
    struct test_case packed, alone;
    start(&packed, "attention t batch=4 heads=2 len=9x12 dim=8 packed=q,kv causal alibi out=lse,entropy");
    solve(&packed);
    uint32_t total_q = desc_of(&packed)->total_q;
    uint64_t rows_seen = 0;
    for (uint64_t b = 0; b < 4; b++) {
        uint64_t q0 = (uint64_t)get(&packed, HEED_ARG_CU_SEQLENS_Q, b),
                 q1 = (uint64_t)get(&packed, HEED_ARG_CU_SEQLENS_Q, b + 1);
        uint64_t k0 = (uint64_t)get(&packed, HEED_ARG_CU_SEQLENS_KV, b),
                 k1 = (uint64_t)get(&packed, HEED_ARG_CU_SEQLENS_KV, b + 1);
        char line[128];
        snprintf(line, sizeof line, "attention t heads=2 len=%ux%u dim=8 causal alibi out=lse,entropy",
                 (unsigned)(q1 - q0), (unsigned)(k1 - k0));
        start(&alone, line);
        for (uint64_t h = 0; h < 2; h++) {
            set(&alone, HEED_ARG_ALIBI, h, get(&packed, HEED_ARG_ALIBI, h));
            for (uint64_t i = q0; i < q1; i++)
                copy_row(&alone, element(&alone, HEED_ARG_Q, 0, h, i - q0), &packed,
                         element(&packed, HEED_ARG_Q, 0, h, i), HEED_ARG_Q, 8);
            for (uint64_t j = k0; j < k1; j++) {
                copy_row(&alone, element(&alone, HEED_ARG_K, 0, h, j - k0), &packed,
                         element(&packed, HEED_ARG_K, 0, h, j), HEED_ARG_K, 8);
                copy_row(&alone, element(&alone, HEED_ARG_V, 0, h, j - k0), &packed,
                         element(&packed, HEED_ARG_V, 0, h, j), HEED_ARG_V, 8);
            }
        }
        solve(&alone);
        for (uint64_t h = 0; h < 2; h++)
            for (uint64_t i = q0; i < q1; i++, rows_seen++) {
                ck_near(get(&packed, HEED_ARG_LSE, h * total_q + i), get(&alone, HEED_ARG_LSE, h * (q1 - q0) + i - q0),
                        0);
                for (uint64_t c = 0; c < 8; c++)
                    ck_near(get(&packed, HEED_ARG_O, element(&packed, HEED_ARG_O, 0, h, i) + c),
                            get(&alone, HEED_ARG_O, element(&alone, HEED_ARG_O, 0, h, i - q0) + c), 0);
            }
        test_case_free(&alone);
    }
    ck_assert_uint_gt(rows_seen, 0);
    test_case_free(&packed);
}
END_TEST

START_TEST(entropy_is_that_of_the_weights)
{
    struct test_case test;
    start(&test, "attention t batch=2 heads=3 len=7x19 dim=8 mask=f32 sinks softcap=4 out=lse,weights,entropy");
    solve(&test);
    for (uint64_t row = 0; row < test.tensor[HEED_ARG_LSE].count; row++) {
        double entropy = 0, sum = 0;
        for (uint64_t j = 0; j < 19; j++) {
            double p = get(&test, HEED_ARG_WEIGHTS, row * 19 + j);
            sum += p;
            entropy -= p > 0 ? p * log(p) : 0;
        }
        double sink = exp(get(&test, HEED_ARG_SINKS, row / 7 % 3) - get(&test, HEED_ARG_LSE, row));
        ck_near(sum + sink, 1, TIGHT);
        ck_near(get(&test, HEED_ARG_ENTROPY, row), entropy, TIGHT);
    }
    test_case_free(&test);
}
END_TEST

/* ---- the backend */

/* One plan on the reference device: arguments from the case, outputs as they are stored. */
static void run_stored(struct test_case *test, void *stored[HEED_ARG_COUNT])
{
    const struct heed_device_desc device_desc = {.struct_size = sizeof device_desc, .backend = HEED_BACKEND_REFERENCE};
    heed_device *device;
    heed_plan *plan;
    heed_fence *fence;
    heed_buffer *buffers[HEED_ARG_COUNT];
    struct heed_arg args[HEED_ARG_COUNT];
    uint32_t count = 0;
    ck_assert_int_eq(heed_device_create(context, &device_desc, &device), HEED_OK);
    ck_assert_int_eq(test->op->plan(device, test, "reference_f64", &plan), HEED_OK);
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        const struct test_tensor *t = &test->tensor[id];
        if (!t->present)
            continue;
        ck_assert_int_eq(heed_buffer_create(device, t->bytes + 16, &buffers[count]), HEED_OK);
        if (!t->output)
            ck_assert_int_eq(heed_buffer_write(buffers[count], 16, t->data, t->bytes), HEED_OK);
        args[count] = (struct heed_arg){heed_arg_name((enum heed_arg_id)id), buffers[count], 16};
        count++;
    }
    ck_assert_int_eq(heed_run(plan, args, count, &fence), HEED_OK);
    uint64_t ns = UINT64_MAX;
    ck_assert_int_eq(heed_fence_wait(fence, 0), HEED_OK);
    ck_assert_int_eq(heed_fence_get_device_ns(fence, &ns), HEED_OK);
    ck_assert_uint_lt(ns, UINT64_MAX);
    heed_fence_destroy(&fence);
    for (uint32_t i = 0; i < count; i++) {
        enum heed_arg_id id = heed_arg_find(args[i].name);
        if (test->tensor[id].output)
            ck_assert_int_eq(heed_buffer_read(buffers[i], 16, stored[id], test->tensor[id].bytes), HEED_OK);
        heed_buffer_destroy(&buffers[i]);
    }
    heed_plan_destroy(&plan);
    heed_device_destroy(&device);
}

static const char *const stored_lines[] = {
    "attention t batch=2 heads=2 len=5x9 dim=8 dtype=f32 out=lse,weights,entropy",
    "attention t batch=2 heads=2 len=5x9 dim=8 dtype=f16 causal diagonal=top_left out=lse",
    "attention t batch=2 heads=2 len=5x9 dim=8 dtype=bf16 mask=bool out=weights",
    "attention t heads=2 len=5x9 dim=8 stage=scores dtype=f16",
    "attention t heads=2 len=5x9 dim=8 stage=aggregate dtype=bf16",
};

START_TEST(the_backend_rounds_the_oracle_once)
{
    struct test_case test;
    void *stored[HEED_ARG_COUNT] = {NULL};
    start(&test, stored_lines[_i]);
    solve(&test);
    for (int id = 0; id < HEED_ARG_COUNT; id++)
        if (test.tensor[id].output)
            stored[id] = malloc((size_t)test.tensor[id].bytes);
    run_stored(&test, stored);
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        const struct test_tensor *t = &test.tensor[id];
        for (uint64_t i = 0; t->output && i < t->count; i++) {
            uint32_t rounded = 0, got = 0;
            heed_dtype_store(&rounded, t->dtype, 0, t->expected[i]);
            memcpy(&got, (unsigned char *)stored[id] + i * heed_dtype_size(t->dtype), heed_dtype_size(t->dtype));
            ck_assert_msg(got == rounded, "%s[%d] is 0x%x, not 0x%x", heed_arg_name((enum heed_arg_id)id), (int)i, got,
                          rounded);
        }
        free(stored[id]);
    }
    test_case_free(&test);
}
END_TEST

int main(void)
{
    if (heed_context_create(NULL, &context) != HEED_OK)
        return EXIT_FAILURE;
    Suite *suite = suite_create("invariances");
    TCase *cases = tcase_create("invariances");
    tcase_add_test(cases, the_order_of_keys);
    tcase_add_test(cases, other_batches);
    tcase_add_test(cases, a_constant_added_to_all_scores);
    tcase_add_test(cases, grouped_heads_are_repeated_heads);
    tcase_add_loop_test(cases, the_layout, 0, sizeof layouts / sizeof *layouts);
    tcase_add_test(cases, stored_types);
    tcase_add_loop_test(cases, the_same_said_by_a_mask, 0, sizeof ruled / sizeof *ruled);
    tcase_add_test(cases, halves_merge_by_their_lse);
    tcase_add_test(cases, packed_sequences_are_separate_ones);
    tcase_add_test(cases, entropy_is_that_of_the_weights);
    tcase_add_loop_test(cases, the_backend_rounds_the_oracle_once, 0, sizeof stored_lines / sizeof *stored_lines);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_context_destroy(&context);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
