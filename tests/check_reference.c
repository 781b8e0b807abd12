/* SPDX-License-Identifier: MIT
 * The oracle against arithmetic done by hand, and every edge case that heed.h defines. The cases have one batch, one
 * head and dims of 1 unless they say otherwise, so that the numbers can be followed; scores are q * k, outputs mixes of
 * v. */
#include "reference/reference.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Natural logarithms as f32 holds them: a score of LN3 is a weight of 3, to 1e-7. */
#define LN2 0.693147182f
#define LN3 1.09861231f
#define TOLERANCE 1e-6

enum { MAX_ELEMENTS = 64 };

struct hand {
    struct heed_attention_desc desc;
    const void *in[HEED_ARG_COUNT];
    double o[MAX_ELEMENTS], lse[MAX_ELEMENTS], entropy[MAX_ELEMENTS], weights[MAX_ELEMENTS], scores[MAX_ELEMENTS];
};

static const float zeros[MAX_ELEMENTS];
static heed_context *context;

/* All scores 0 until the case says otherwise; every output is asked for. */
static struct hand hand(uint32_t len_q, uint32_t len_kv, const float *v)
{
    struct hand h = {.desc = HEED_ATTENTION_DESC_INIT};
    h.desc.scale = 1;
    h.desc.batch = h.desc.heads_q = h.desc.heads_kv = h.desc.dim_qk = h.desc.dim_v = 1;
    h.desc.len_q = len_q;
    h.desc.len_kv = len_kv;
    h.desc.lse = h.desc.entropy = h.desc.weights = true;
    h.in[HEED_ARG_Q] = h.in[HEED_ARG_K] = zeros;
    h.in[HEED_ARG_V] = v;
    return h;
}

static void solve(struct hand *h)
{
    struct heed_attention_problem problem;
    void *out[HEED_ARG_COUNT] = {NULL};
    double *const outputs[] = {h->o, h->lse, h->entropy, h->weights, h->scores};
    out[HEED_ARG_O] = h->o;
    out[HEED_ARG_LSE] = h->lse;
    out[HEED_ARG_ENTROPY] = h->entropy;
    out[HEED_ARG_WEIGHTS] = h->weights;
    out[HEED_ARG_SCORES] = h->scores;
    for (int i = 0; i < 5; i++)
        for (int e = 0; e < MAX_ELEMENTS; e++)
            outputs[i][e] = -777; /* what nobody writes stays that */
    ck_assert_int_eq(heed_attention_problem_init(context, &h->desc, &problem), HEED_OK);
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        ck_assert_msg(!problem.args.arg[id].present || problem.args.arg[id].output || h->in[id], "no %s given",
                      heed_arg_name((enum heed_arg_id)id));
        ck_assert_uint_le(problem.args.arg[id].bytes, 4 * MAX_ELEMENTS);
    }
    ck_assert_int_eq(heed_reference_attention(context, &problem, h->in, out, HEED_REFERENCE_F64), HEED_OK);
}

static void check_near(const char *what, const double *got, const double *expected, int count)
{
    for (int i = 0; i < count; i++) {
        bool same = isnan(expected[i])   ? isnan(got[i])
                    : isinf(expected[i]) ? got[i] == expected[i]
                                         : fabs(got[i] - expected[i]) <= TOLERANCE * fmax(1, fabs(expected[i]));
        ck_assert_msg(same, "%s[%d] is %.9g, not %.9g", what, i, got[i], expected[i]);
    }
}

#define NEAR(got, ...)                                                                                                 \
    check_near(#got, got, (const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

/* ---- the formula */

START_TEST(two_keys)
{
    /* Scores 1 * 0 and 1 * ln 3: weights 1 / (1 + 3) and 3 / 4; o = 8 / 4 + 4 * 3 / 4 = 5; lse = ln 4;
     * entropy = 1/4 ln 4 + 3/4 ln(4/3) = 0.562335. */
    struct hand h = hand(1, 2, (const float[]){8, 4});
    h.in[HEED_ARG_Q] = (const float[]){1};
    h.in[HEED_ARG_K] = (const float[]){0, LN3};
    solve(&h);
    NEAR(h.weights, 0.25, 0.75);
    NEAR(h.o, 5, -777);
    NEAR(h.lse, log(4), -777);
    NEAR(h.entropy, 0.25 * log(4) + 0.75 * log(4.0 / 3), -777);
}
END_TEST

START_TEST(one_key_and_many_equal_keys)
{
    /* One key has all the weight, whatever its score: lse is the score 2 * 3, entropy 0. */
    struct hand one = hand(1, 1, (const float[]){7});
    one.in[HEED_ARG_Q] = (const float[]){2};
    one.in[HEED_ARG_K] = (const float[]){3};
    solve(&one);
    NEAR(one.o, 7);
    NEAR(one.lse, 6);
    NEAR(one.entropy, 0);
    /* Four equal keys: the mean of the values, lse ln 4, entropy ln 4. */
    struct hand four = hand(1, 4, (const float[]){1, 2, 3, 10});
    solve(&four);
    NEAR(four.o, 4);
    NEAR(four.lse, log(4));
    NEAR(four.entropy, log(4));
}
END_TEST

START_TEST(scale_and_dot_product)
{
    /* q = (1, 2, 3, 4), k = (4, 3, 2, 1): 4 + 6 + 6 + 4 = 20. Default scale 1 / sqrt(4): 10. */
    struct hand h = hand(1, 1, (const float[]){1});
    h.desc.dim_qk = 4;
    h.desc.scale = HEED_SCALE_DEFAULT;
    h.in[HEED_ARG_Q] = (const float[]){1, 2, 3, 4};
    h.in[HEED_ARG_K] = (const float[]){4, 3, 2, 1};
    solve(&h);
    NEAR(h.lse, 10);
    h.desc.scale = -0.25f;
    solve(&h);
    NEAR(h.lse, -5);
    h.desc.scale = 0;
    solve(&h);
    NEAR(h.lse, 0);
    h.desc.op = HEED_OP_SCORES;
    h.desc.scale = 0.5f;
    solve(&h);
    NEAR(h.scores, 10, -777);
}
END_TEST

START_TEST(scores_that_overflow_exp)
{
    /* 1000 and 1000 + ln 3: without the maximum subtracted exp is infinite. f32 keeps 1000 + ln 3 to 3e-5. */
    struct hand h = hand(1, 2, (const float[]){8, 4});
    h.in[HEED_ARG_Q] = (const float[]){1};
    h.in[HEED_ARG_K] = (const float[]){1000, 1000 + LN3};
    solve(&h);
    ck_assert_double_eq_tol(h.o[0], 5, 1e-4);
    ck_assert_double_eq_tol(h.lse[0], 1000 + log(4), 1e-4);
    /* And far below: -1000 has no weight beside 0, none of it in the entropy either. */
    h.in[HEED_ARG_K] = (const float[]){-1000, 0};
    solve(&h);
    NEAR(h.o, 4);
    NEAR(h.weights, 0, 1);
    NEAR(h.entropy, 0);
}
END_TEST

START_TEST(heads_share_keys)
{
    /* heads_q 4, heads_kv 2: heads 0, 1 see v[0] = 5 and heads 2, 3 see v[1] = 9. */
    struct hand h = hand(1, 1, (const float[]){5, 9});
    h.desc.heads_q = 4;
    h.desc.heads_kv = 2;
    solve(&h);
    NEAR(h.o, 5, 5, 9, 9, -777);
}
END_TEST

START_TEST(strides_in_elements)
{
    /* v rows 3 apart, heads 1 apart; o rows 2 apart; batches repeat the same v (stride 0). */
    struct hand h = hand(2, 1, (const float[]){5, 6});
    h.desc.batch = 2;
    h.desc.heads_q = h.desc.heads_kv = 2;
    h.desc.v = (struct heed_view){HEED_F32, 0, 1, 3};
    h.desc.o = (struct heed_view){HEED_F32, 8, 4, 2};
    solve(&h);
    NEAR(h.o, 5, -777, 5, -777, 6, -777, 6, -777, 5, -777, 5, -777, 6, -777, 6, -777);
}
END_TEST

START_TEST(element_types)
{
    /* f16 0x3800 = 0.5, bf16 0x4040 = 3, in memory as they are. */
    struct hand h = hand(1, 1, NULL);
    h.desc.q.dtype = HEED_F16;
    h.desc.k.dtype = HEED_BF16;
    h.desc.v.dtype = HEED_F16;
    h.in[HEED_ARG_Q] = (const uint16_t[]){0x3800};
    h.in[HEED_ARG_K] = (const uint16_t[]){0x4040};
    h.in[HEED_ARG_V] = (const uint16_t[]){0xc000};
    solve(&h);
    NEAR(h.lse, 1.5);
    NEAR(h.o, -2);
}
END_TEST

/* ---- what rules keys out */

START_TEST(causal)
{
    static const float v[] = {1, 2, 3, 4};
    struct hand h = hand(2, 4, v);
    h.desc.causal = true;
    /* Bottom right: diagonal 4 - 2, rows see keys 0..2 and 0..3: means 2 and 2.5. */
    solve(&h);
    NEAR(h.o, 2, 2.5);
    /* Top left: keys 0..0 and 0..1. */
    h.desc.diagonal = HEED_DIAGONAL_TOP_LEFT;
    solve(&h);
    NEAR(h.o, 1, 1.5);
    NEAR(h.weights, 1, 0, 0, 0, 0.5, 0.5, 0, 0);
    /* More rows than keys: diagonal 2 - 4, rows 0 and 1 are empty. */
    struct hand tall = hand(4, 2, v);
    tall.desc.causal = true;
    solve(&tall);
    NEAR(tall.o, 0, 0, 1, 1.5);
    NEAR(tall.lse, -INFINITY, -INFINITY, 0, log(2));
    NEAR(tall.entropy, 0, 0, 0, log(2));
    NEAR(tall.weights, 0, 0, 0, 0, 1, 0, 0.5, 0.5);
}
END_TEST

START_TEST(window)
{
    /* One key to the left, none to the right, top left: {0}, {0, 1}, {1, 2}, {2, 3}. */
    struct hand h = hand(4, 4, (const float[]){1, 2, 4, 8});
    h.desc.window = true;
    h.desc.window_left = 1;
    h.desc.window_right = 0;
    h.desc.diagonal = HEED_DIAGONAL_TOP_LEFT;
    solve(&h);
    NEAR(h.o, 1, 1.5, 3, 6);
    /* No bound to the left, one to the right: {0, 1}, {0..2}, {0..3}, {0..3}. */
    h.desc.window_left = HEED_WINDOW_NONE;
    h.desc.window_right = 1;
    solve(&h);
    NEAR(h.o, 1.5, 7.0 / 3, 15.0 / 4, 15.0 / 4);
    /* No bound to the right. */
    h.desc.window_left = 0;
    h.desc.window_right = HEED_WINDOW_NONE;
    solve(&h);
    NEAR(h.o, 15.0 / 4, 14.0 / 3, 6, 8);
    /* Bottom right with 2 rows over 4 keys: centred on keys 2 and 3. */
    h.desc.len_q = 2;
    h.desc.diagonal = HEED_DIAGONAL_BOTTOM_RIGHT;
    h.desc.window_left = h.desc.window_right = 0;
    solve(&h);
    NEAR(h.o, 4, 8, -777);
}
END_TEST

START_TEST(key_lengths)
{
    static const float v[] = {1, 2, 4, 8, 10, 20, 40, 80, 3, 3, 3, 3, 5, 6, 7, 8};
    struct hand h = hand(1, 4, v);
    h.desc.batch = 4;
    h.desc.key_lengths = true;
    h.in[HEED_ARG_KEY_LENGTHS] = (const int32_t[]){3, 1, 0, 4};
    solve(&h);
    NEAR(h.o, 7.0 / 3, 10, 0, 6.5);
    NEAR(h.lse, log(3), 0, -INFINITY, log(4));
    /* Lengths outside 0..len_kv are clamped. */
    h.in[HEED_ARG_KEY_LENGTHS] = (const int32_t[]){-1, 5, INT32_MAX, INT32_MIN};
    solve(&h);
    NEAR(h.o, 0, 37.5, 3, 0);
    /* The diagonal follows the batch's own length: 2 rows over 3 of 4 keys, rows see keys 0..1 and 0..2. */
    struct hand two = hand(2, 4, v);
    two.desc.causal = two.desc.key_lengths = true;
    two.in[HEED_ARG_KEY_LENGTHS] = (const int32_t[]){3};
    solve(&two);
    NEAR(two.o, 1.5, 7.0 / 3);
}
END_TEST

START_TEST(boolean_mask)
{
    struct hand h = hand(2, 3, (const float[]){1, 2, 4});
    h.desc.mask = HEED_MASK_BOOL;
    h.in[HEED_ARG_MASK] = (const uint8_t[]){1, 0, 1, 0, 0, 0};
    solve(&h);
    NEAR(h.o, 2.5, 0);
    NEAR(h.lse, log(2), -INFINITY);
    NEAR(h.entropy, log(2), 0);
    /* The same row for both: broadcast. */
    h.desc.mask_broadcast = HEED_BROADCAST_ROW;
    solve(&h);
    NEAR(h.o, 2.5, 2.5);
    /* Strides of its own: rows 2 elements apart. */
    h.desc.mask_broadcast = 0;
    h.desc.mask_stride_row = 2;
    solve(&h); /* rows 1 0 1 and 1 0 0 */
    NEAR(h.o, 2.5, 1);
}
END_TEST

START_TEST(mask_broadcast_axes)
{
    /* batch 2, heads 2, one row, two keys, v the same everywhere. */
    static const float v[] = {1, 3, 1, 3, 1, 3, 1, 3};
    static const uint8_t mask[] = {1, 0, 0, 1, 1, 1, 0, 0};
    struct hand h = hand(1, 2, v);
    h.desc.batch = h.desc.heads_q = h.desc.heads_kv = 2;
    h.desc.mask = HEED_MASK_BOOL;
    h.in[HEED_ARG_MASK] = mask;
    solve(&h);
    NEAR(h.o, 1, 3, 2, 0);
    h.desc.mask_broadcast = HEED_BROADCAST_BATCH; /* [1][2][1][2] */
    solve(&h);
    NEAR(h.o, 1, 3, 1, 3);
    h.desc.mask_broadcast = HEED_BROADCAST_HEAD; /* [2][1][1][2] */
    solve(&h);
    NEAR(h.o, 1, 1, 3, 3);
}
END_TEST

START_TEST(additive_mask)
{
    /* ln 3 on the second key: 3/4 of the weight. -inf on the third rules it out. */
    struct hand h = hand(1, 3, (const float[]){8, 4, 1000});
    h.desc.mask = HEED_MASK_ADD;
    h.in[HEED_ARG_MASK] = (const float[]){0, LN3, -INFINITY};
    solve(&h);
    NEAR(h.o, 5);
    NEAR(h.weights, 0.25, 0.75, 0);
    /* As f16: 0x4000 = 2, 0xfc00 = -inf; weights 1 and e^2. */
    h.desc.mask_dtype = HEED_F16;
    h.in[HEED_ARG_MASK] = (const uint16_t[]){0, 0x4000, 0xfc00};
    solve(&h);
    NEAR(h.lse, log(1 + exp(2)));
}
END_TEST

START_TEST(finite_masks_are_added)
{
    /* All keys at -1e9, or at the lowest f32: none is ruled out, all weigh the same. */
    struct hand h = hand(2, 2, (const float[]){2, 4});
    h.desc.mask = HEED_MASK_ADD;
    h.in[HEED_ARG_MASK] = (const float[]){-1e9f, -1e9f, -FLT_MAX, -FLT_MAX};
    solve(&h);
    NEAR(h.o, 3, 3);
    NEAR(h.lse, -1e9, -FLT_MAX);
    NEAR(h.entropy, log(2), log(2));
    /* -100 leaves exp(-100) of the weight: next to nothing, and still there. */
    h.in[HEED_ARG_MASK] = (const float[]){-100, 0, -INFINITY, -INFINITY};
    solve(&h);
    NEAR(h.o, 4, 0);
    ck_assert(fabs(h.weights[0] / exp(-100) - 1) < 1e-9);
}
END_TEST

/* ---- what is added to scores */

START_TEST(key_bias)
{
    static const float v[] = {8, 4, 8, 4, 8, 4, 8, 4};
    static const float bias[] = {0, LN3, LN3, 0, 0, 0, 0, -INFINITY};
    struct hand h = hand(1, 2, v);
    h.desc.batch = h.desc.heads_q = h.desc.heads_kv = 2;
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = bias;
    solve(&h);
    NEAR(h.o, 5, 7, 6, 8);
    h.desc.key_bias_broadcast = HEED_BROADCAST_BATCH; /* [1][2][2] */
    solve(&h);
    NEAR(h.o, 5, 7, 5, 7);
    h.desc.key_bias_broadcast = HEED_BROADCAST_HEAD; /* [2][1][2] */
    solve(&h);
    NEAR(h.o, 5, 5, 7, 7);
    h.desc.key_bias_broadcast = HEED_BROADCAST_BATCH | HEED_BROADCAST_HEAD;
    solve(&h);
    NEAR(h.o, 5, 5, 5, 5);
    /* A bias of -inf on every key leaves nothing, as if nothing were attended. */
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){-INFINITY, -INFINITY};
    solve(&h);
    NEAR(h.o, 0, 0, 0, 0);
    NEAR(h.lse, -INFINITY, -INFINITY, -INFINITY, -INFINITY);
}
END_TEST

START_TEST(alibi)
{
    /* Slope ln 2: weights 2^-distance. 2 rows, 3 keys, bottom right: row 0 is at key 1, row 1 at key 2.
     * Row 0: 1/2, 1, 1/2 over 2: (4 / 2 + 8 + 16 / 2) / 2 = 9. Row 1: 1/4, 1/2, 1 over 7/4: (1 + 4 + 16) 4 / 7 = 12. */
    struct hand h = hand(2, 3, (const float[]){4, 8, 16});
    h.desc.alibi = true;
    h.in[HEED_ARG_ALIBI] = (const float[]){LN2};
    solve(&h);
    NEAR(h.o, 9, 12);
    /* Top left: rows at keys 0 and 1. Row 0: 1, 1/2, 1/4 over 7/4: (4 + 4 + 4) 4 / 7. */
    h.desc.diagonal = HEED_DIAGONAL_TOP_LEFT;
    solve(&h);
    NEAR(h.o, 48.0 / 7, 9);
}
END_TEST

START_TEST(distance_penalty)
{
    /* From (0, 0) to (3, 4) is 5. Strength ln 2, exponent 1: weight 2^-5 beside the key at distance 0;
     * o = (1 * 33 + 66 / 32) / (33 / 32) = 34. Exponent 2: 2^-25. */
    struct hand h = hand(1, 2, (const float[]){33, 66});
    h.desc.distance_dims = 2;
    h.in[HEED_ARG_Q_POS] = (const float[]){0, 0};
    h.in[HEED_ARG_K_POS] = (const float[]){0, 0, 3, 4};
    h.in[HEED_ARG_DISTANCE] = (const float[]){LN2, 1};
    solve(&h);
    NEAR(h.o, 34);
    h.in[HEED_ARG_DISTANCE] = (const float[]){LN2, 2};
    solve(&h);
    ck_assert_double_eq_tol(h.weights[1], 0x1p-25, 1e-12);
    /* Exponent 1/2 of distance 4 is 2. */
    h.in[HEED_ARG_K_POS] = (const float[]){0, 0, 0, -4};
    h.in[HEED_ARG_DISTANCE] = (const float[]){LN3, 0.5f};
    solve(&h);
    NEAR(h.weights, 0.9, 0.1);
}
END_TEST

START_TEST(positions_of_batches)
{
    /* Two batches, positions of keys shared: k_pos 0 and 1; q_pos 0 in batch 0 and 1 in batch 1. Strength ln 3. */
    struct hand h = hand(1, 2, (const float[]){8, 4, 8, 4});
    h.desc.batch = 2;
    h.desc.distance_dims = 1;
    h.desc.k_pos_broadcast = HEED_BROADCAST_BATCH;
    h.in[HEED_ARG_Q_POS] = (const float[]){0, 1};
    h.in[HEED_ARG_K_POS] = (const float[]){0, 1};
    h.in[HEED_ARG_DISTANCE] = (const float[]){LN3, 1};
    solve(&h);
    NEAR(h.o, 7, 5);
}
END_TEST

START_TEST(softcap_orders)
{
    /* s = bias = ln 3, cap 2. tanh(ln 3 / 2) = (3 - 1) / (3 + 1) = 1/2, tanh(ln 3) = (9 - 1) / (9 + 1) = 4/5.
     * Before the bias: 2 / 2 + ln 3. After: 2 * 4/5. A single key's lse is its t. */
    struct hand h = hand(1, 1, (const float[]){1});
    h.in[HEED_ARG_Q] = (const float[]){1};
    h.in[HEED_ARG_K] = (const float[]){LN3};
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){LN3};
    h.desc.softcap = 2;
    solve(&h);
    NEAR(h.lse, 1 + log(3));
    h.desc.softcap_order = HEED_SOFTCAP_AFTER_BIAS;
    solve(&h);
    NEAR(h.lse, 1.6);
    /* After the bias a mask of -inf still rules out, rather than to be capped to -2. */
    h.desc.mask = HEED_MASK_ADD;
    h.in[HEED_ARG_MASK] = (const float[]){-INFINITY};
    solve(&h);
    NEAR(h.lse, -INFINITY);
    NEAR(h.o, 0);
}
END_TEST

START_TEST(sinks)
{
    /* Scores 0 and 0, sink 0: three equal parts, one of them nobody's. o = (3 + 6) / 3; lse = ln 3;
     * entropy of the two parts = 2/3 ln 3. */
    struct hand h = hand(1, 2, (const float[]){3, 6});
    h.desc.sinks = true;
    h.in[HEED_ARG_SINKS] = (const float[]){0};
    solve(&h);
    NEAR(h.o, 3);
    NEAR(h.weights, 1.0 / 3, 1.0 / 3);
    NEAR(h.lse, log(3));
    NEAR(h.entropy, 2.0 / 3 * log(3));
    /* A sink far above takes everything; one of -inf nothing. */
    h.in[HEED_ARG_SINKS] = (const float[]){500};
    solve(&h);
    NEAR(h.o, 0);
    NEAR(h.lse, 500);
    h.in[HEED_ARG_SINKS] = (const float[]){-INFINITY};
    solve(&h);
    NEAR(h.o, 4.5);
    /* Nothing attended: lse is the sink. */
    h.desc.key_lengths = true;
    h.in[HEED_ARG_KEY_LENGTHS] = (const int32_t[]){0};
    h.in[HEED_ARG_SINKS] = (const float[]){2.5f};
    solve(&h);
    NEAR(h.o, 0);
    NEAR(h.lse, 2.5);
    NEAR(h.entropy, 0);
    NEAR(h.weights, 0, 0);
}
END_TEST

/* ---- packed sequences */

START_TEST(packed_sequences)
{
    /* Queries 1..2 and 3..3 of 5, keys 0..1 and 2..4 of 6; rows 0 and 4 belong to nobody. Keys weigh the same. */
    struct hand h = hand(2, 3, (const float[]){1, 3, 10, 20, 30, 99});
    h.desc.batch = 2;
    h.desc.total_q = 5;
    h.desc.total_kv = 6;
    h.in[HEED_ARG_CU_SEQLENS_Q] = (const int32_t[]){1, 3, 4};
    h.in[HEED_ARG_CU_SEQLENS_KV] = (const int32_t[]){0, 2, 5};
    solve(&h);
    NEAR(h.o, -777, 2, 2, 20, -777);
    NEAR(h.lse, -777, log(2), log(2), log(3), -777);
    NEAR(h.weights, -777, -777, -777, 0.5, 0.5, 0, 0.5, 0.5, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3, -777);
    /* Causal: each sequence has its own diagonal. 2 rows over 2 keys, 1 row over 3. */
    h.desc.causal = true;
    solve(&h);
    NEAR(h.o, -777, 1, 2, 20, -777);
    /* Entries out of the tensor are clamped: queries -3..2 and 2..99, of which a sequence has at most len_q = 2. */
    h.desc.causal = false;
    h.in[HEED_ARG_CU_SEQLENS_Q] = (const int32_t[]){-3, 2, 99};
    h.in[HEED_ARG_CU_SEQLENS_KV] = (const int32_t[]){5, 4, 1000}; /* none, and 4..5 */
    solve(&h);
    NEAR(h.o, 0, 0, 64.5, 64.5, -777);
}
END_TEST

START_TEST(packed_terms)
{
    /* Positions, key bias count from the tensor's start; masks from the sequence's start. One row each at tensor rows
     * 0 and 1, keys 0..1 and 2..3. */
    struct hand h = hand(1, 2, (const float[]){8, 4, 8, 4});
    h.desc.batch = 2;
    h.desc.total_q = 2;
    h.desc.total_kv = 4;
    h.in[HEED_ARG_CU_SEQLENS_Q] = (const int32_t[]){0, 1, 2};
    h.in[HEED_ARG_CU_SEQLENS_KV] = (const int32_t[]){0, 2, 4};
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){0, LN3, LN3, 0};
    solve(&h);
    NEAR(h.o, 5, 7);
    h.desc.key_bias = false;
    h.desc.distance_dims = 1;
    h.in[HEED_ARG_Q_POS] = (const float[]){0, 10};
    h.in[HEED_ARG_K_POS] = (const float[]){0, 1, 10, 11};
    h.in[HEED_ARG_DISTANCE] = (const float[]){LN3, 1};
    solve(&h);
    NEAR(h.o, 7, 7);
    h.desc.distance_dims = 0;
    h.desc.mask = HEED_MASK_BOOL;
    h.in[HEED_ARG_MASK] = (const uint8_t[]){1, 0, 0, 1};
    solve(&h);
    NEAR(h.o, 8, 4);
}
END_TEST

/* ---- edges */

START_TEST(nothing_there)
{
    struct hand no_keys = hand(2, 0, zeros);
    solve(&no_keys);
    NEAR(no_keys.o, 0, 0, -777);
    NEAR(no_keys.lse, -INFINITY, -INFINITY, -777);
    NEAR(no_keys.entropy, 0, 0, -777);
    struct hand no_rows = hand(0, 3, zeros);
    solve(&no_rows);
    NEAR(no_rows.o, -777);
    struct hand no_batch = hand(2, 3, zeros);
    no_batch.desc.batch = 0;
    solve(&no_batch);
    NEAR(no_batch.o, -777);
}
END_TEST

START_TEST(ruled_out_pairs_are_not_read)
{
    /* Key 1 is NaN in k, v, mask-free terms and bias, and nothing of it shows; key 2 is infinite. */
    struct hand h = hand(1, 3, (const float[]){7, NAN, INFINITY});
    h.in[HEED_ARG_Q] = (const float[]){1};
    h.in[HEED_ARG_K] = (const float[]){2, NAN, -INFINITY};
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){0, NAN, INFINITY};
    h.desc.distance_dims = 1;
    h.in[HEED_ARG_Q_POS] = (const float[]){0};
    h.in[HEED_ARG_K_POS] = (const float[]){0, NAN, INFINITY};
    h.in[HEED_ARG_DISTANCE] = (const float[]){1, 1};
    h.desc.mask = HEED_MASK_BOOL;
    h.in[HEED_ARG_MASK] = (const uint8_t[]){1, 0, 0};
    solve(&h);
    NEAR(h.o, 7);
    NEAR(h.lse, 2);
    NEAR(h.entropy, 0);
    NEAR(h.weights, 1, 0, 0);
    /* A NaN in an additive mask beyond the key length does not show either. */
    h.desc.mask = HEED_MASK_ADD;
    h.in[HEED_ARG_MASK] = (const float[]){0, NAN, NAN};
    h.desc.key_lengths = true;
    h.in[HEED_ARG_KEY_LENGTHS] = (const int32_t[]){1};
    solve(&h);
    NEAR(h.o, 7);
}
END_TEST

START_TEST(nan_stays_in_its_row)
{
    /* Row 0 may attend to key 1, which is NaN; row 1 may not. */
    struct hand h = hand(2, 2, (const float[]){5, 6});
    h.in[HEED_ARG_Q] = (const float[]){1, 1};
    h.in[HEED_ARG_K] = (const float[]){0, NAN};
    h.desc.mask = HEED_MASK_BOOL;
    h.in[HEED_ARG_MASK] = (const uint8_t[]){1, 1, 1, 0};
    solve(&h);
    NEAR(h.o, NAN, 5);
    NEAR(h.lse, NAN, 0);
    NEAR(h.entropy, NAN, 0);
    NEAR(h.weights, NAN, NAN, 1, 0);
    /* A NaN query makes its own row NaN only. */
    h.desc.mask = HEED_MASK_NONE;
    h.in[HEED_ARG_Q] = (const float[]){1, NAN};
    h.in[HEED_ARG_K] = (const float[]){0, 0};
    solve(&h);
    NEAR(h.o, 5.5, NAN);
    /* NaN in a value that is attended. */
    struct hand value = hand(2, 2, (const float[]){5, NAN});
    value.desc.causal = true;
    value.desc.diagonal = HEED_DIAGONAL_TOP_LEFT;
    solve(&value);
    NEAR(value.o, 5, NAN);
    NEAR(value.lse, 0, log(2));
}
END_TEST

START_TEST(infinite_scores)
{
    /* +inf makes its row NaN; -inf has no weight; all of them -inf is an empty row. */
    struct hand h = hand(3, 2, (const float[]){5, 6});
    h.in[HEED_ARG_Q] = (const float[]){1, -1, 1};
    h.in[HEED_ARG_K] = (const float[]){INFINITY, 1};
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){0, 0};
    solve(&h);
    NEAR(h.o, NAN, 6, NAN);
    NEAR(h.lse, NAN, -1, NAN);
    NEAR(h.weights, NAN, NAN, 0, 1);
    h.in[HEED_ARG_K] = (const float[]){-INFINITY, -INFINITY};
    solve(&h);
    NEAR(h.o, 0, NAN, 0);
    NEAR(h.lse, -INFINITY, NAN, -INFINITY);
}
END_TEST

START_TEST(weights_of_zero)
{
    /* exp(-200) is 0 in f32 (and 1e-87 in f64): where weights are stored its NaN stays out. exp(-80) is not. */
    struct hand h = hand(2, 2, (const float[]){5, NAN});
    h.desc.mask = HEED_MASK_ADD;
    h.in[HEED_ARG_MASK] = (const float[]){0, -200, 0, -80};
    h.desc.path = HEED_PATH_STAGED;
    solve(&h);
    NEAR(h.o, 5, NAN);
    ck_assert_double_gt(h.weights[1], 0);
    /* The fused path looks at the values of every attended pair. */
    h.desc.path = HEED_PATH_FUSED;
    solve(&h);
    NEAR(h.o, NAN, NAN);
}
END_TEST

START_TEST(minus_infinity_rules_out)
{
    /* s + bias = -inf from a key bias: its NaN value stays out, and a cap does not bring it back. */
    struct hand h = hand(1, 2, (const float[]){5, NAN});
    h.desc.key_bias = true;
    h.in[HEED_ARG_KEY_BIAS] = (const float[]){0, -INFINITY};
    h.desc.softcap = 2;
    h.desc.softcap_order = HEED_SOFTCAP_AFTER_BIAS;
    solve(&h);
    NEAR(h.o, 5);
    NEAR(h.weights, 1, 0);
}
END_TEST

START_TEST(stages_by_hand)
{
    /* softmax of (0, ln 3): 1/4, 3/4. aggregate of weights (2, -1) over v (5, 3), dim_v 2: (10 - 3, 12 - 4). */
    struct hand h = hand(1, 2, NULL);
    h.desc.op = HEED_OP_SOFTMAX;
    h.in[HEED_ARG_SCORES] = (const float[]){0, LN3};
    solve(&h);
    NEAR(h.weights, 0.25, 0.75, -777);
    NEAR(h.lse, log(4));
    NEAR(h.o, -777);
    struct hand a = hand(1, 2, (const float[]){5, 6, 3, 4});
    a.desc.op = HEED_OP_AGGREGATE;
    a.desc.dim_v = 2;
    a.in[HEED_ARG_WEIGHTS] = (const float[]){2, -1};
    solve(&a);
    NEAR(a.o, 7, 8, -777);
    a.in[HEED_ARG_V] = (const float[]){5, NAN, 3, 4};
    a.in[HEED_ARG_WEIGHTS] = (const float[]){0, 2};
    solve(&a);
    NEAR(a.o, 6, 8);
    /* scores behind the keys of a packed sequence are 0. */
    struct hand s = hand(1, 2, NULL);
    s.desc.op = HEED_OP_SCORES;
    s.desc.total_kv = 2;
    s.in[HEED_ARG_Q] = (const float[]){3};
    s.in[HEED_ARG_K] = (const float[]){5, 7};
    s.in[HEED_ARG_CU_SEQLENS_KV] = (const int32_t[]){0, 1};
    solve(&s);
    NEAR(s.scores, 15, 0, -777);
}
END_TEST

int main(void)
{
    if (heed_context_create(NULL, &context) != HEED_OK)
        return EXIT_FAILURE;
    const TTest *const tests[] = {
        two_keys,
        one_key_and_many_equal_keys,
        scale_and_dot_product,
        scores_that_overflow_exp,
        heads_share_keys,
        strides_in_elements,
        element_types,
        causal,
        window,
        key_lengths,
        boolean_mask,
        mask_broadcast_axes,
        additive_mask,
        finite_masks_are_added,
        key_bias,
        alibi,
        distance_penalty,
        positions_of_batches,
        softcap_orders,
        sinks,
        packed_sequences,
        packed_terms,
        nothing_there,
        ruled_out_pairs_are_not_read,
        nan_stays_in_its_row,
        infinite_scores,
        weights_of_zero,
        minus_infinity_rules_out,
        stages_by_hand,
    };
    Suite *suite = suite_create("reference");
    TCase *cases = tcase_create("by hand");
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    heed_context_destroy(&context);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
