/* SPDX-License-Identifier: MIT
 * Attention in f32, one row at a time, with first-order bounds of the rounding errors beside every number. */
#include "attention_naive.h"

#include "dtype.h"
#include "reference/reference.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUND 0x1p-24 /* one correctly rounded f32 operation, relative */
#define ULP 0x1p-23
#define LOG_NEAR_ONE 0x1p-21 /* log, log2: absolute, for arguments in 0.5..2 */

struct naive {
    struct test_case *test;
    const struct heed_attention_desc *d;
    uint32_t group;

    /* The sequence. */
    int64_t q_batch, q_first, rows, k_batch, k_first, keys, diagonal;
    /* The row. */
    int64_t b, h, i;

    /* One entry a key. */
    float *t, *p;
    double *slack; /* absolute error of t */
    bool *attended;
    /* One entry a feature of the output. */
    float *o;
    double *noise;
};

static float at(const struct naive *n, enum heed_arg_id id, int64_t index)
{
    const struct test_tensor *t = &n->test->tensor[id];
    return (float)heed_dtype_load(t->data, t->dtype, (uint64_t)index);
}

static int64_t integer(const struct naive *n, enum heed_arg_id id, int64_t index)
{
    return ((const int32_t *)n->test->tensor[id].data)[index];
}

static int64_t between(int64_t low, int64_t value, int64_t high)
{
    return value > high ? high : value < low ? low : value;
}

static void sequence(struct naive *n, int64_t b)
{
    const struct heed_attention_desc *d = n->d;
    n->b = b;
    n->q_batch = n->k_batch = b;
    n->q_first = n->k_first = 0;
    n->rows = d->len_q;
    n->keys = d->len_kv;
    if (d->total_q) {
        n->q_batch = 0;
        n->q_first = between(0, integer(n, HEED_ARG_CU_SEQLENS_Q, b), d->total_q);
        n->rows = between(0, integer(n, HEED_ARG_CU_SEQLENS_Q, b + 1), d->total_q) - n->q_first;
        n->rows = between(0, n->rows, d->len_q);
    }
    if (d->total_kv) {
        n->k_batch = 0;
        n->k_first = between(0, integer(n, HEED_ARG_CU_SEQLENS_KV, b), d->total_kv);
        n->keys = between(0, integer(n, HEED_ARG_CU_SEQLENS_KV, b + 1), d->total_kv) - n->k_first;
        n->keys = between(0, n->keys, d->len_kv);
    }
    if (n->test->tensor[HEED_ARG_KEY_LENGTHS].present)
        n->keys = between(0, integer(n, HEED_ARG_KEY_LENGTHS, b), n->keys);
    n->diagonal = d->diagonal == HEED_DIAGONAL_BOTTOM_RIGHT ? n->keys - n->rows : 0;
}

static int64_t row_index(const struct naive *n)
{
    return (n->q_batch * n->d->heads_q + n->h) * (n->d->total_q ? n->d->total_q : n->d->len_q) + n->q_first + n->i;
}

static int64_t start(const struct heed_view *v, int64_t batch, int64_t head, int64_t row)
{
    return batch * (int64_t)v->stride_batch + head * (int64_t)v->stride_head + row * (int64_t)v->stride_row;
}

/* Sums of n rounded terms: sqrt(n) roundings of the sum of their sizes (Higham and Mary 2019), and the terms' own. */
static double sum_slack(uint32_t terms, double size)
{
    return (sqrt((double)terms) + 2) * ROUND * size;
}

static float score(const struct naive *n, int64_t j, double *slack)
{
    if (n->test->tensor[HEED_ARG_SCORES].present && !n->test->tensor[HEED_ARG_SCORES].output) {
        *slack = 0;
        return at(n, HEED_ARG_SCORES, row_index(n) * n->d->len_kv + j);
    }
    int64_t q = start(&n->d->q, n->q_batch, n->h, n->q_first + n->i);
    int64_t k = start(&n->d->k, n->k_batch, n->h / n->group, n->k_first + j);
    float dot = 0;
    double size = 0;
    for (uint32_t c = 0; c < n->d->dim_qk; c++) {
        float product = at(n, HEED_ARG_Q, q + c) * at(n, HEED_ARG_K, k + c);
        dot += product;
        size += fabs((double)product);
    }
    *slack = sum_slack(n->d->dim_qk, size * fabs((double)n->d->scale));
    return dot * n->d->scale;
}

/* 1 - 2 / (exp(2 a) + 1), and what exp, the division and the subtraction may be off by. */
static float capped(float s, float cap, double *slack)
{
    double a = fabs((double)s) / cap, e = exp(2 * a), slope = 1 / (cosh(a) * cosh(a));
    double error = slope * a * 3 * ULP + ROUND + 2 / (e + 1) * 3 * ULP;
    if (a < 40)
        error += 2 * e / ((e + 1) * (e + 1)) * (3 + 4 * a) * ULP;
    *slack = *slack * slope + cap * error;
    return cap * tanhf(s / cap);
}

static float distance_term(const struct naive *n, int64_t j, double *slack)
{
    uint32_t dims = n->d->distance_dims;
    int64_t q_rows = n->d->total_q ? n->d->total_q : n->d->len_q,
            k_rows = n->d->total_kv ? n->d->total_kv : n->d->len_kv;
    int64_t q = n->d->q_pos_broadcast ? 0 : n->q_batch * q_rows, k = n->d->k_pos_broadcast ? 0 : n->k_batch * k_rows;
    float squares = 0;
    for (uint32_t c = 0; c < dims; c++) {
        float difference = at(n, HEED_ARG_Q_POS, (q + n->q_first + n->i) * dims + c) -
                           at(n, HEED_ARG_K_POS, (k + n->k_first + j) * dims + c);
        squares += difference * difference;
    }
    float strength = at(n, HEED_ARG_DISTANCE, 2 * n->h), exponent = at(n, HEED_ARG_DISTANCE, 2 * n->h + 1);
    float term = strength * powf(squares, exponent / 2);
    /* A power is 2^whole 2^rest with rest = exponent / 2 log2(mantissa), |rest| below 1 or so. */
    double power = exponent / 2 * (dims + 2) * ROUND + exponent / 2 * LOG_NEAR_ONE * 0.6931 + 2 * (3 + 2) * ULP;
    *slack += fabs((double)term) * power;
    return term;
}

static bool rules_out(const struct naive *n, int64_t j, int64_t mask)
{
    const struct heed_attention_desc *d = n->d;
    int64_t center = n->i + n->diagonal;
    if (j >= n->keys || (d->causal && j > center))
        return true;
    if (d->window && d->window_left >= 0 && j < center - d->window_left)
        return true;
    if (d->window && d->window_right >= 0 && j > center + d->window_right)
        return true;
    return (d->mask == HEED_MASK_BOOL && at(n, HEED_ARG_MASK, mask) == 0) ||
           (d->mask == HEED_MASK_ADD && at(n, HEED_ARG_MASK, mask) == -INFINITY);
}

static void make_logit(struct naive *n, int64_t j)
{
    const struct heed_attention_desc *d = n->d;
    int64_t mask = (d->mask_broadcast & HEED_BROADCAST_BATCH ? 0 : n->b * (int64_t)d->mask_stride_batch) +
                   (d->mask_broadcast & HEED_BROADCAST_HEAD ? 0 : n->h * (int64_t)d->mask_stride_head) +
                   (d->mask_broadcast & HEED_BROADCAST_ROW ? 0 : n->i * (int64_t)d->mask_stride_row) + j;
    n->attended[j] = !rules_out(n, j, mask);
    n->t[j] = -INFINITY;
    n->slack[j] = 0;
    if (!n->attended[j])
        return;

    double slack, size = 0;
    float s = score(n, j, &slack), bias = 0;
    int terms = 0;
    if (d->mask == HEED_MASK_ADD) {
        float term = at(n, HEED_ARG_MASK, mask);
        bias += term;
        size += fabs((double)term);
        terms++;
    }
    if (d->key_bias) {
        int64_t keys = d->total_kv ? d->total_kv : d->len_kv;
        int64_t heads = d->key_bias_broadcast & HEED_BROADCAST_HEAD ? 1 : d->heads_q;
        int64_t batch = d->key_bias_broadcast & HEED_BROADCAST_BATCH ? 0 : n->k_batch;
        float term = at(n, HEED_ARG_KEY_BIAS, (batch * heads + (heads > 1 ? n->h : 0)) * keys + n->k_first + j);
        bias += term;
        size += fabs((double)term);
        terms++;
    }
    if (d->alibi) {
        float term = at(n, HEED_ARG_ALIBI, n->h) * fabsf((float)(n->i + n->diagonal - j));
        bias -= term;
        size += fabs((double)term);
        terms++;
    }
    if (d->distance_dims) {
        float term = distance_term(n, j, &slack);
        bias -= term;
        size += fabs((double)term);
        terms++;
    }
    if ((double)s + (double)bias == -INFINITY) {
        n->attended[j] = false;
        return;
    }
    if (d->softcap > 0 && d->softcap_order == HEED_SOFTCAP_BEFORE_BIAS)
        s = capped(s, d->softcap, &slack);
    n->t[j] = s + bias;
    slack += (terms + 2) * ROUND * (size + fabs((double)s));
    if (size > 3.2e38) /* where f32 ends, what is lower counts as that */
        slack += size;
    if (d->softcap > 0 && d->softcap_order == HEED_SOFTCAP_AFTER_BIAS)
        n->t[j] = capped(n->t[j], d->softcap, &slack);
    n->slack[j] = slack;
}

/* What is known of a row when its weights are there: relative error of the sum, and of each weight without it. */
struct row_slack {
    float max, sum;
    double sum_error;      /* relative */
    double exp_error_base; /* of one exp(t - max), relative: base + 2|x| ULP + slack */
};

static double weight_error(const struct naive *n, const struct row_slack *r, int64_t j)
{
    return r->exp_error_base + (2 * ULP + 2 * ROUND) * fabs((double)n->t[j] - (double)r->max) + n->slack[j];
}

static struct row_slack make_weights(struct naive *n)
{
    struct row_slack r = {.max = -INFINITY};
    float sink = n->d->sinks ? at(n, HEED_ARG_SINKS, n->h) : -INFINITY;
    int rises = 0;
    for (int64_t j = 0; j < n->d->len_kv; j++)
        if (n->attended[j] && n->t[j] > r.max) {
            r.max = n->t[j];
            rises++;
        }
    if (sink > r.max)
        r.max = sink;
    if (r.max == -INFINITY)
        r.max = 0;
    /* An online softmax takes exp(t - max) as a product of exponentials, a factor more each time that the maximum
     * rises, and two more where parts of a row and a sink are merged; their arguments add up to the same x. */
    r.exp_error_base = (rises + 3) * (3 * ULP + ROUND);

    r.sum = expf(sink - r.max);
    for (int64_t j = 0; j < n->d->len_kv; j++) {
        n->p[j] = n->attended[j] ? expf(n->t[j] - r.max) : 0;
        r.sum += n->p[j];
    }
    if (sink > -INFINITY)
        r.sum_error = exp((double)sink - r.max) * (r.exp_error_base + 2 * ULP * fabs((double)sink - r.max));
    for (int64_t j = 0; j < n->d->len_kv; j++)
        if (n->p[j] != 0)
            r.sum_error += n->p[j] * weight_error(n, &r, j);
    if (r.sum > 0)
        r.sum_error = r.sum_error / r.sum + sum_slack((uint32_t)n->keys, 1);
    for (int64_t j = 0; j < n->d->len_kv && r.sum != 0; j++)
        n->p[j] /= n->attended[j] ? r.sum : 1;
    return r;
}

/* As the argument would store it. */
static double stored(enum heed_dtype dtype, float naive)
{
    return dtype == HEED_F16    ? heed_f16_to_f32(heed_f64_to_f16(naive))
           : dtype == HEED_BF16 ? heed_bf16_to_f32(heed_f64_to_bf16(naive))
                                : naive;
}

/* Sets the bound of one element, and looks whether the two host evaluations agree. `worst` is the naive error that
 * counts: the largest of the row. */
static void set_bound(struct naive *n, enum heed_arg_id id, int64_t index, float naive, double noise, double worst)
{
    struct test_tensor *t = &n->test->tensor[id];
    double expected = t->expected[index], rounded = stored(t->dtype, naive);
    noise += test_half_ulp(t->dtype, fabs(expected) + noise);
    if (!isfinite(expected))
        noise = worst = 0;
    t->bound[index] = 2 * worst + noise;
    if (!test_value_ok(t->dtype, rounded, expected, 2 * noise) && !n->test->error[0])
        snprintf(n->test->error, sizeof n->test->error,
                 "the oracle and a plain f32 evaluation disagree: %s[%" PRId64 "] is %.9g and %.9g, noise %.3g",
                 heed_arg_name(id), index, expected, rounded, noise);
}

static double naive_error(const struct naive *n, enum heed_arg_id id, int64_t index, float naive)
{
    const struct test_tensor *t = &n->test->tensor[id];
    double error = fabs(stored(t->dtype, naive) - t->expected[index]);
    return isfinite(error) ? error : 0;
}

static void bound_one(struct naive *n, enum heed_arg_id id, int64_t index, float naive, double noise)
{
    if (n->test->tensor[id].present)
        set_bound(n, id, index, naive, noise, naive_error(n, id, index, naive));
}

static void bound_scores(struct naive *n)
{
    for (int64_t j = 0; j < n->d->len_kv; j++) {
        double slack = 0;
        float s = j < n->keys ? score(n, j, &slack) : 0;
        bound_one(n, HEED_ARG_SCORES, row_index(n) * n->d->len_kv + j, s, slack);
    }
}

static void bound_statistics(struct naive *n, const struct row_slack *r)
{
    bool empty = r->sum == 0;
    double log_sum = empty ? 0 : log((double)r->sum);
    double log_error = r->sum_error + fmax(LOG_NEAR_ONE, 3 * ULP * fabs(log_sum));
    double lse = empty ? -INFINITY : (double)r->max + log_sum;
    bound_one(n, HEED_ARG_LSE, row_index(n), empty ? -INFINITY : r->max + logf(r->sum),
              log_error + 2 * ROUND * (fabs(lse) + fabs((double)r->max)));

    /* entropy = log(sum) - sum of p x, with x = t - max: first order in the errors of p and of the sums. */
    float weighted = 0;
    double size = 0, moved = 0, worst = 0;
    for (int64_t j = 0; j < n->d->len_kv; j++) {
        if (!n->attended[j] || n->p[j] == 0)
            continue;
        double x = (double)n->t[j] - r->max, p = n->p[j], error = weight_error(n, r, j);
        weighted += n->p[j] * ((float)(n->t[j] - r->max) - logf(r->sum));
        size += p * fabs(x);
        moved += p * (fabs(x) + fabs(log_sum) + 1) * error;
        worst = fmax(worst, error);
    }
    double noise = moved + (fabs(log_sum) + size + 1) * r->sum_error + log_error + sum_slack((uint32_t)n->keys, size) +
                   (2.5 * ULP + 4 * ROUND) * (fabs(log_sum) + size);
    if (worst > 0.1) /* errors are no longer of first order: what remains is that there are that many keys */
        noise = fmin(noise, log((double)n->keys) + 1);
    bound_one(n, HEED_ARG_ENTROPY, row_index(n), empty ? 0 : -weighted, empty ? 0 : noise);
    if (!n->test->tensor[HEED_ARG_WEIGHTS].present)
        return;

    int64_t first = row_index(n) * n->d->len_kv;
    double naive_worst = 0;
    for (int64_t j = 0; j < n->d->len_kv; j++)
        naive_worst = fmax(naive_worst, naive_error(n, HEED_ARG_WEIGHTS, first + j, n->p[j]));
    for (int64_t j = 0; j < n->d->len_kv; j++) {
        double error = n->attended[j] ? weight_error(n, r, j) + r->sum_error + 2.5 * ULP : 0;
        double p = n->p[j];
        /* Below the smallest normal number a device may flush to zero. */
        set_bound(n, HEED_ARG_WEIGHTS, first + j, n->p[j], error == 0 ? 0 : fmin(1, p * error + FLT_MIN),
                  n->attended[j] ? naive_worst : 0);
    }
}

/* o from n->p; `r` NULL when the weights are inputs and exact. The rule is FlashAttention's, an error of at most twice
 * that of a naive evaluation in the same precision, and what is the same differs: most kernels keep weights in f32,
 * those on matrix units have them in the type of the values. */
static void bound_output(struct naive *n, const struct row_slack *r)
{
    uint32_t dim = n->d->dim_v;
    int64_t o = start(&n->d->o, n->q_batch, n->h, n->q_first + n->i);
    double naive_worst = 0, worst16 = 0;
    struct test_tensor *out = &n->test->tensor[HEED_ARG_O];
    bool keeps_zeros_out = !r || n->d->path == HEED_PATH_STAGED || (n->d->path == HEED_PATH_AUTO && n->d->weights);
    for (uint32_t c = 0; c < dim; c++) {
        double size = 0, moved = 0, largest = 0, tiny = 0, squares = 0;
        float o16 = 0;
        n->o[c] = 0;
        for (int64_t j = 0; j < n->keys; j++) {
            if (keeps_zeros_out ? n->p[j] == 0 : !n->attended[j])
                continue;
            float v = at(n, HEED_ARG_V, start(&n->d->v, n->k_batch, n->h / n->group, n->k_first + j) + c);
            n->o[c] += n->p[j] * v;
            o16 += (float)stored(n->d->v.dtype, n->p[j]) * v;
            size += fabs((double)n->p[j] * v);
            squares += (double)n->p[j] * v * n->p[j] * v;
            moved += fabs((double)n->p[j] * v) * (r ? weight_error(n, r, j) : 0);
            largest = fmax(largest, fabs((double)v));
            tiny += FLT_MIN * fabs((double)v);
        }
        n->noise[c] = sum_slack((uint32_t)n->keys, size) + moved + tiny;
        if (r) {
            n->noise[c] += fabs((double)n->o[c]) * (r->sum_error + 3 * ULP);
            n->noise[c] = fmin(n->noise[c], 2 * largest); /* an average of values */
        }
        naive_worst = fmax(naive_worst, naive_error(n, HEED_ARG_O, o + c, n->o[c]));
        /* The naive sum may be lucky in a row of few features: no less than roundings come to at random. */
        double random16 = sqrt(squares) * test_half_ulp(n->d->v.dtype, 1);
        worst16 = fmax(worst16, fmax(random16, naive_error(n, HEED_ARG_O, o + c, o16)));
    }
    for (uint32_t c = 0; c < dim; c++) {
        set_bound(n, HEED_ARG_O, o + c, n->o[c], n->noise[c], naive_worst);
        if (out->bound16)
            out->bound16[o + c] = out->bound[o + c] + 2 * fmax(worst16 - naive_worst, 0);
    }
}

static void bound_row(struct naive *n)
{
    if (n->d->op == HEED_OP_SCORES) {
        bound_scores(n);
    } else if (n->d->op == HEED_OP_AGGREGATE) {
        for (int64_t j = 0; j < n->keys; j++)
            n->p[j] = at(n, HEED_ARG_WEIGHTS, row_index(n) * n->d->len_kv + j);
        bound_output(n, NULL);
    } else {
        for (int64_t j = 0; j < n->d->len_kv; j++)
            make_logit(n, j);
        struct row_slack r = make_weights(n);
        bound_statistics(n, &r);
        if (n->d->op == HEED_OP_ATTENTION)
            bound_output(n, &r);
    }
}

enum heed_status test_attention_expect(heed_context *context, struct test_case *test)
{
    const struct heed_attention_problem *problem = &test->problem.attention;
    const void *in[HEED_ARG_COUNT];
    void *out[HEED_ARG_COUNT];
    for (int id = 0; id < HEED_ARG_COUNT; id++) {
        in[id] = test->tensor[id].data;
        out[id] = test->tensor[id].expected;
    }
    enum heed_status status = heed_reference_attention(context, problem, in, out, HEED_REFERENCE_F64);
    if (status != HEED_OK)
        return status;

    const struct heed_attention_desc *d = &problem->desc;
    struct test_tensor *o = &test->tensor[HEED_ARG_O];
    if (o->present && d->op == HEED_OP_ATTENTION && d->v.dtype != HEED_F32) {
        o->bound16 = calloc((size_t)o->count + 1, sizeof *o->bound16);
        if (!o->bound16)
            return HEED_ERR_HOST_MEMORY;
    }
    size_t keys = (size_t)problem->desc.len_kv + 1, dim = problem->desc.dim_v;
    struct naive n = {
        .test = test,
        .d = &problem->desc,
        .group = problem->group,
        .t = calloc(keys, sizeof *n.t),
        .p = calloc(keys, sizeof *n.p),
        .slack = calloc(keys, sizeof *n.slack),
        .attended = calloc(keys, sizeof *n.attended),
        .o = calloc(dim, sizeof *n.o),
        .noise = calloc(dim, sizeof *n.noise),
    };
    if (!n.t || !n.p || !n.slack || !n.attended || !n.o || !n.noise)
        status = HEED_ERR_HOST_MEMORY;
    for (uint32_t b = 0; status == HEED_OK && b < n.d->batch; b++) {
        sequence(&n, b);
        for (n.h = 0; n.h < n.d->heads_q; n.h++)
            for (n.i = 0; n.i < n.rows; n.i++)
                bound_row(&n);
    }
    free(n.t);
    free(n.p);
    free(n.slack);
    free(n.attended);
    free(n.o);
    free(n.noise);
    return status;
}
