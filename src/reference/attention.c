/* SPDX-License-Identifier: MIT
 * Attention and its three stages as heed.h defines them: double precision, two passes over a row, one function per
 * concept. It is what kernels are measured against, so it favours being obviously right over being fast. */
#include "reference.h"

#include "../dtype.h"

#include <math.h>

struct call {
    const struct heed_attention_problem *problem;
    const struct heed_attention_desc *desc;
    const void *const *in;
    void *const *out;
    enum heed_reference_store store;
};

/* The rows, or the keys, of one batch: where they begin in their tensor and how many there are. */
struct span {
    uint64_t batch; /* the tensor's own batch number: 0 when sequences are packed */
    uint64_t first;
    uint32_t count;
};

/* One query row of one head, with its keys. */
struct row {
    uint32_t b, h, i;
    struct span rows, keys;
    int64_t diagonal;
    double *query;  /* dim_qk features */
    double *value;  /* len_kv numbers, one a key: the scores, then the logits t, then the weights p */
    bool *attended; /* len_kv flags */
    double lse, entropy;
};

static bool has(const struct call *c, enum heed_arg_id id)
{
    return c->problem->args.arg[id].present;
}

static double load(const struct call *c, enum heed_arg_id id, uint64_t index)
{
    return heed_dtype_load(c->in[id], c->problem->args.arg[id].dtype, index);
}

static void put(const struct call *c, enum heed_arg_id id, uint64_t index, double value)
{
    heed_reference_put(c->out[id], c->problem->args.arg[id].dtype, c->store, index, value);
}

void heed_reference_put(void *tensor, enum heed_dtype dtype, enum heed_reference_store store, uint64_t index,
                        double value)
{
    if (store == HEED_REFERENCE_F64)
        ((double *)tensor)[index] = value;
    else
        heed_dtype_store(tensor, dtype, index, value);
}

static uint32_t clamp_length(int64_t value, int64_t low, int64_t high)
{
    return (uint32_t)(value < low ? low : value > high ? high : value);
}

static struct span packed_span(const int32_t *cu_seqlens, uint32_t b, uint32_t total, uint32_t longest)
{
    uint32_t first = clamp_length(cu_seqlens[b], 0, total);
    uint32_t end = clamp_length(cu_seqlens[b + 1], first, total);
    return (struct span){.first = first, .count = end - first < longest ? end - first : longest};
}

static struct span rows_of_batch(const struct call *c, uint32_t b)
{
    if (has(c, HEED_ARG_CU_SEQLENS_Q))
        return packed_span(c->in[HEED_ARG_CU_SEQLENS_Q], b, c->desc->total_q, c->desc->len_q);
    return (struct span){.batch = b, .count = c->desc->len_q};
}

static struct span keys_of_batch(const struct call *c, uint32_t b)
{
    struct span keys = {.batch = b, .count = c->desc->len_kv};
    if (has(c, HEED_ARG_CU_SEQLENS_KV))
        keys = packed_span(c->in[HEED_ARG_CU_SEQLENS_KV], b, c->desc->total_kv, c->desc->len_kv);
    if (has(c, HEED_ARG_KEY_LENGTHS))
        keys.count = clamp_length(((const int32_t *)c->in[HEED_ARG_KEY_LENGTHS])[b], 0, keys.count);
    return keys;
}

/* Position of this row in lse and entropy; times len_kv in weights and scores. */
static uint64_t row_number(const struct call *c, const struct row *r)
{
    uint64_t rows = c->desc->total_q > 0 ? c->desc->total_q : c->desc->len_q;
    return (r->rows.batch * c->desc->heads_q + r->h) * rows + r->rows.first + r->i;
}

/* First element of row `index` of q, k, v or o. */
static uint64_t row_start(const struct heed_view *view, const struct span *span, uint32_t head, uint32_t index)
{
    return span->batch * view->stride_batch + head * view->stride_head + (span->first + index) * view->stride_row;
}

static uint64_t mask_index(const struct call *c, const struct row *r, uint32_t j)
{
    return r->b * c->desc->mask_stride_batch + r->h * c->desc->mask_stride_head + r->i * c->desc->mask_stride_row + j;
}

static bool is_attended(const struct call *c, const struct row *r, uint32_t j)
{
    const struct heed_attention_desc *desc = c->desc;
    int64_t ahead = (int64_t)j - (r->i + r->diagonal); /* keys after the diagonal */
    if (j >= r->keys.count)
        return false;
    if (desc->causal && ahead > 0)
        return false;
    if (desc->window && desc->window_left != HEED_WINDOW_NONE && -ahead > desc->window_left)
        return false;
    if (desc->window && desc->window_right != HEED_WINDOW_NONE && ahead > desc->window_right)
        return false;
    if (desc->mask == HEED_MASK_BOOL)
        return load(c, HEED_ARG_MASK, mask_index(c, r, j)) != 0;
    if (desc->mask == HEED_MASK_ADD)
        return load(c, HEED_ARG_MASK, mask_index(c, r, j)) != -INFINITY;
    return true;
}

static void load_query(const struct call *c, struct row *r)
{
    uint64_t start = row_start(&c->desc->q, &r->rows, r->h, r->i);
    for (uint32_t d = 0; d < c->desc->dim_qk; d++)
        r->query[d] = load(c, HEED_ARG_Q, start + d);
}

static double score(const struct call *c, const struct row *r, uint32_t j)
{
    uint64_t start = row_start(&c->desc->k, &r->keys, r->h / c->problem->group, j);
    double dot = 0;
    for (uint32_t d = 0; d < c->desc->dim_qk; d++)
        dot += r->query[d] * load(c, HEED_ARG_K, start + d);
    return c->desc->scale * dot;
}

static double distance_penalty(const struct call *c, const struct row *r, uint32_t j)
{
    uint32_t dims = c->desc->distance_dims;
    uint64_t q_pos = r->rows.batch * c->problem->q_pos_stride_batch + (r->rows.first + r->i) * dims;
    uint64_t k_pos = r->keys.batch * c->problem->k_pos_stride_batch + (r->keys.first + j) * dims;
    double squares = 0;
    for (uint32_t d = 0; d < dims; d++) {
        double delta = load(c, HEED_ARG_Q_POS, q_pos + d) - load(c, HEED_ARG_K_POS, k_pos + d);
        squares += delta * delta;
    }
    double strength = load(c, HEED_ARG_DISTANCE, 2 * (uint64_t)r->h);
    double exponent = load(c, HEED_ARG_DISTANCE, 2 * (uint64_t)r->h + 1);
    return strength * pow(sqrt(squares), exponent);
}

static double bias(const struct call *c, const struct row *r, uint32_t j)
{
    double sum = 0;
    if (c->desc->mask == HEED_MASK_ADD)
        sum += load(c, HEED_ARG_MASK, mask_index(c, r, j));
    if (c->desc->key_bias)
        sum += load(c, HEED_ARG_KEY_BIAS,
                    r->keys.batch * c->problem->key_bias_stride_batch + r->h * c->problem->key_bias_stride_head +
                        r->keys.first + j);
    if (c->desc->alibi)
        sum -= load(c, HEED_ARG_ALIBI, r->h) * fabs((double)(r->i + r->diagonal - (int64_t)j));
    if (c->desc->distance_dims > 0)
        sum -= distance_penalty(c, r, j);
    return sum;
}

static double logit(const struct call *c, double s, double b)
{
    double cap = c->desc->softcap;
    if (cap == 0 || s + b == -INFINITY) /* softcap does not bring back what a bias has ruled out */
        return s + b;
    return c->desc->softcap_order == HEED_SOFTCAP_AFTER_BIAS ? cap * tanh((s + b) / cap) : cap * tanh(s / cap) + b;
}

/* Scores become logits where the row attends; nothing of a pair that is ruled out before is read. */
static void make_logits(const struct call *c, struct row *r,
                        double (*get_score)(const struct call *, const struct row *, uint32_t))
{
    for (uint32_t j = 0; j < c->desc->len_kv; j++) {
        r->value[j] = -INFINITY;
        r->attended[j] = is_attended(c, r, j);
        if (!r->attended[j])
            continue;
        double s = get_score(c, r, j), b = bias(c, r, j);
        r->attended[j] = s + b != -INFINITY;
        r->value[j] = r->attended[j] ? logit(c, s, b) : -INFINITY;
    }
}

/* Logits become weights. A row that attends to nothing has a sum of exponentials of 0 and is empty. NaN and +inf logits
 * make the sum NaN, and so everything attended in the row. */
static void softmax(const struct call *c, struct row *r)
{
    double sink = c->desc->sinks ? load(c, HEED_ARG_SINKS, r->h) : -INFINITY;
    double max = sink;
    for (uint32_t j = 0; j < c->desc->len_kv; j++)
        if (r->attended[j])
            max = fmax(max, r->value[j]);
    if (max == -INFINITY)
        max = 0;

    double sum = exp(sink - max);
    for (uint32_t j = 0; j < c->desc->len_kv; j++)
        if (r->attended[j])
            sum += exp(r->value[j] - max);

    r->lse = max + log(sum);
    r->entropy = 0;
    for (uint32_t j = 0; j < c->desc->len_kv; j++) {
        if (!r->attended[j] || sum == 0) {
            r->value[j] = 0;
            continue;
        }
        double p = exp(r->value[j] - max) / sum;
        if (p != 0) /* 0 log 0 is 0 */
            r->entropy += p * (log(sum) - (r->value[j] - max));
        r->value[j] = p;
    }
}

/* Where weights are there as f32 before values are looked at, one that is zero keeps its value out, whatever that is.
 */
static bool has_stored_weights(const struct heed_attention_desc *desc)
{
    return desc->op == HEED_OP_AGGREGATE || desc->path == HEED_PATH_STAGED ||
           (desc->path == HEED_PATH_AUTO && desc->weights);
}

static void aggregate(const struct call *c, const struct row *r)
{
    uint32_t head_kv = r->h / c->problem->group;
    uint64_t start = row_start(&c->desc->o, &r->rows, r->h, r->i);
    bool stored = has_stored_weights(c->desc);
    for (uint32_t d = 0; d < c->desc->dim_v; d++) {
        double sum = 0;
        for (uint32_t j = 0; j < r->keys.count; j++)
            if (stored ? (float)r->value[j] != 0 : r->attended[j])
                sum += r->value[j] * load(c, HEED_ARG_V, row_start(&c->desc->v, &r->keys, head_kv, j) + d);
        put(c, HEED_ARG_O, start + d, sum);
    }
}

static double load_score(const struct call *c, const struct row *r, uint32_t j)
{
    return load(c, HEED_ARG_SCORES, row_number(c, r) * c->desc->len_kv + j);
}

static void put_statistics(const struct call *c, const struct row *r)
{
    if (has(c, HEED_ARG_LSE))
        put(c, HEED_ARG_LSE, row_number(c, r), r->lse);
    if (has(c, HEED_ARG_ENTROPY))
        put(c, HEED_ARG_ENTROPY, row_number(c, r), r->entropy);
    if (has(c, HEED_ARG_WEIGHTS))
        for (uint32_t j = 0; j < c->desc->len_kv; j++)
            put(c, HEED_ARG_WEIGHTS, row_number(c, r) * c->desc->len_kv + j, r->value[j]);
}

static void solve_row(const struct call *c, struct row *r)
{
    switch (c->desc->op) {
    case HEED_OP_ATTENTION:
        load_query(c, r);
        make_logits(c, r, score);
        softmax(c, r);
        put_statistics(c, r);
        aggregate(c, r);
        break;
    case HEED_OP_SCORES:
        load_query(c, r);
        for (uint32_t j = 0; j < c->desc->len_kv; j++) /* 0 behind the keys of a packed sequence */
            put(c, HEED_ARG_SCORES, row_number(c, r) * c->desc->len_kv + j, j < r->keys.count ? score(c, r, j) : 0);
        break;
    case HEED_OP_SOFTMAX:
        make_logits(c, r, load_score);
        softmax(c, r);
        put_statistics(c, r);
        break;
    case HEED_OP_AGGREGATE:
        for (uint32_t j = 0; j < r->keys.count; j++)
            r->value[j] = load(c, HEED_ARG_WEIGHTS, row_number(c, r) * c->desc->len_kv + j);
        aggregate(c, r);
        break;
    case HEED_OP_DEFORM:
    case HEED_OP_PIPELINE:
        break; /* not attention problems: heed_reference_deform, heed_reference_pipeline */
    }
}

enum heed_status heed_reference_attention(heed_context *context, const struct heed_attention_problem *problem,
                                          const void *const in[HEED_ARG_COUNT], void *const out[HEED_ARG_COUNT],
                                          enum heed_reference_store store)
{
    const struct call c = {.problem = problem, .desc = &problem->desc, .in = in, .out = out, .store = store};
    struct row r = {
        .query = heed_alloc(context, c.desc->dim_qk, sizeof *r.query),
        .value = heed_alloc(context, c.desc->len_kv, sizeof *r.value),
        .attended = heed_alloc(context, c.desc->len_kv, sizeof *r.attended),
    };
    bool enough = r.query && r.value && r.attended;
    for (r.b = 0; enough && r.b < c.desc->batch; r.b++) {
        r.rows = rows_of_batch(&c, r.b);
        r.keys = keys_of_batch(&c, r.b);
        r.diagonal = c.desc->diagonal == HEED_DIAGONAL_TOP_LEFT ? 0 : (int64_t)r.keys.count - r.rows.count;
        for (r.h = 0; r.h < c.desc->heads_q; r.h++)
            for (r.i = 0; r.i < r.rows.count; r.i++)
                solve_row(&c, &r);
    }
    heed_free(context, r.query);
    heed_free(context, r.value);
    heed_free(context, r.attended);
    return enough ? HEED_OK : heed_fail_memory(context);
}
