/* SPDX-License-Identifier: MIT
 * Attention problems from text lines. The words, all optional but len and dim:
 *
 *   batch=2 heads=8/2 len=64x77 dim=40/64      heads_q/heads_kv, len_q x len_kv, dim_qk/dim_v
 *   dtype=f16,f16,bf16,f32 (q, k, v, o, or one for all)   layout=bhsd|bshd|qkv|gaps|shared|shared_heads alignment=BYTES
 *   scale=X softcap=X softcap_order=before|after
 *   mask=bool|f32|f16 mask_broadcast=batch,head,row mask_layout=gaps keep=SHARE empty_rows
 *   causal window=L,R (a side may be "none") diagonal=bottom_right|top_left
 *   key_lengths packed=q,kv wild_lengths
 *   key_bias=batch,head (broadcast axes) alibi distance=DIMS pos_broadcast=q,k sinks
 *   out=lse,weights,entropy path=auto|fused|staged stage=scores|softmax|aggregate
 *   logits=normal|heavy|equal|rising|halves poison=masked|some|values */
#include "attention_naive.h"
#include "test_case.h"

#include "dtype.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOGITS_NORMAL, LOGITS_HEAVY, LOGITS_EQUAL, LOGITS_RISING, LOGITS_HALVES };
/* masked: NaN and Inf in keys that no row attends to; some: NaN in a few keys and values that may be attended;
 * values: NaN and Inf in values whose weight is 0 in f32 because of a finite mask (for stored weights). */
enum { POISON_NONE, POISON_MASKED, POISON_SOME, POISON_VALUES };
enum { LAYOUT_BHSD, LAYOUT_BSHD, LAYOUT_QKV, LAYOUT_GAPS, LAYOUT_SHARED, LAYOUT_SHARED_HEADS };

static const char *const axis_names[] = {"batch", "head", "row", NULL};

static void parse_dtypes(struct test_words *words, struct heed_attention_desc *d)
{
    static const char *const names[] = {"f32", "f16", "bf16"};
    struct heed_view *const views[] = {&d->q, &d->k, &d->v, &d->o};
    const char *text = test_words_get(words, "dtype");
    for (int i = 0; text && i < 4; i++) {
        size_t length = strcspn(text, ",");
        int type = 0;
        while (type < 3 && (strlen(names[type]) != length || memcmp(text, names[type], length) != 0))
            type++;
        if (type == 3) {
            test_words_fail(words, "dtype", "needs one or four of f32, f16, bf16");
            return;
        }
        views[i]->dtype = (enum heed_dtype)type;
        if (text[length])
            text += length + 1;
    }
}

static void parse_window(struct test_words *words, struct heed_attention_desc *d)
{
    const char *text = test_words_get(words, "window");
    if (!text)
        return;
    int32_t *const sides[] = {&d->window_left, &d->window_right};
    d->window = true;
    for (int i = 0; i < 2; i++) {
        char *end = (char *)text + 4;
        *sides[i] = HEED_WINDOW_NONE;
        if (strncmp(text, "none", 4) != 0)
            *sides[i] = (int32_t)strtol(text, &end, 10);
        if (end == text || *end != (i == 0 ? ',' : 0)) {
            test_words_fail(words, "window", "needs LEFT,RIGHT, each a number or \"none\"");
            return;
        }
        text = end + 1;
    }
}

static void set_strides(struct heed_attention_desc *d, int layout)
{
    struct {
        struct heed_view *view;
        uint64_t heads, rows, dim;
        bool packed;
    } const tensors[] = {
        {&d->q, d->heads_q, d->total_q ? d->total_q : d->len_q, d->dim_qk, d->total_q > 0},
        {&d->k, d->heads_kv, d->total_kv ? d->total_kv : d->len_kv, d->dim_qk, d->total_kv > 0},
        {&d->v, d->heads_kv, d->total_kv ? d->total_kv : d->len_kv, d->dim_v, d->total_kv > 0},
        {&d->o, d->heads_q, d->total_q ? d->total_q : d->len_q, d->dim_v, d->total_q > 0},
    };
    uint64_t qkv = d->heads_q * d->dim_qk + d->heads_kv * d->dim_qk + d->heads_kv * d->dim_v;
    for (int i = 0; i < 4; i++) {
        struct heed_view *v = tensors[i].view;
        uint64_t heads = tensors[i].heads, rows = tensors[i].rows, dim = tensors[i].dim;
        switch (layout) {
        case LAYOUT_BHSD: /* the library's own default: no strides given */
            break;
        case LAYOUT_QKV:
        case LAYOUT_BSHD:
            v->stride_head = dim;
            v->stride_row = layout == LAYOUT_QKV && i < 3 ? qkv : heads * dim;
            v->stride_batch = rows * v->stride_row;
            break;
        case LAYOUT_GAPS: /* odd strides, and room after rows, heads and batches */
            v->stride_row = dim + 3;
            v->stride_head = rows * v->stride_row + 5;
            v->stride_batch = heads * v->stride_head + 7;
            break;
        case LAYOUT_SHARED:       /* all batches have the same keys and values */
        case LAYOUT_SHARED_HEADS: /* and all heads */
            v->stride_row = dim;
            v->stride_head = layout == LAYOUT_SHARED_HEADS && (i == 1 || i == 2) ? 0 : rows * dim;
            v->stride_batch = i == 1 || i == 2 ? 0 : heads * rows * dim;
            break;
        }
    }
}

static void parse(struct test_case *test, struct test_words *words)
{
    static const char *const layouts[] = {"bhsd", "bshd", "qkv", "gaps", "shared", "shared_heads", NULL};
    static const char *const orders[] = {"before", "after", NULL};
    static const char *const masks[] = {"none", "bool", "f32", "f16", NULL};
    static const char *const mask_layouts[] = {"packed", "gaps", NULL};
    static const char *const diagonals[] = {"bottom_right", "top_left", NULL};
    static const char *const sides[] = {"q", "kv", NULL};
    static const char *const pos_sides[] = {"q", "k", NULL};
    static const char *const outputs[] = {"lse", "weights", "entropy", NULL};
    static const char *const paths[] = {"auto", "fused", "staged", NULL};
    static const char *const stages[] = {"attention", "scores", "softmax", "aggregate", NULL};
    static const char *const logits[] = {"normal", "heavy", "equal", "rising", "halves", NULL};
    static const char *const poisons[] = {"none", "masked", "some", "values", NULL};

    struct heed_attention_desc *d = &test->desc.attention;
    *d = (struct heed_attention_desc)HEED_ATTENTION_DESC_INIT;
    d->op = (enum heed_op)test_words_choice(words, "stage", stages, 0);
    d->path = (enum heed_path)test_words_choice(words, "path", paths, 0);
    d->batch = test_words_number(words, "batch", 1);
    d->heads_q = d->heads_kv = 1;
    test_words_pair(words, "heads", '/', &d->heads_q, &d->heads_kv);
    if (!test_words_has(words, "len") || !test_words_has(words, "dim"))
        test_words_fail(words, "len, dim", "must be there");
    test_words_pair(words, "len", 'x', &d->len_q, &d->len_kv);
    test_words_pair(words, "dim", '/', &d->dim_qk, &d->dim_v);
    parse_dtypes(words, d);
    d->offset_alignment = test_words_number(words, "alignment", 0);
    d->scale = (float)test_words_real(words, "scale", (double)HEED_SCALE_DEFAULT);
    d->softcap = (float)test_words_real(words, "softcap", 0);
    d->softcap_order = (enum heed_softcap_order)test_words_choice(words, "softcap_order", orders, 0);

    int mask = test_words_choice(words, "mask", masks, 0);
    d->mask = mask == 0 ? HEED_MASK_NONE : mask == 1 ? HEED_MASK_BOOL : HEED_MASK_ADD;
    d->mask_dtype = mask == 3 ? HEED_F16 : HEED_F32;
    d->mask_broadcast = test_words_set(words, "mask_broadcast", axis_names);
    if (test_words_choice(words, "mask_layout", mask_layouts, 0) == 1) {
        d->mask_stride_row = d->len_kv + 3;
        d->mask_stride_head = (d->len_q + 1) * d->mask_stride_row + 2;
        d->mask_stride_batch = d->heads_q * d->mask_stride_head + 1;
    }
    d->causal = test_words_has(words, "causal");
    parse_window(words, d);
    d->diagonal = (enum heed_diagonal)test_words_choice(words, "diagonal", diagonals, 0);
    d->key_lengths = test_words_has(words, "key_lengths");
    uint32_t packed = test_words_set(words, "packed", sides);
    /* Less than batch * len: sequences are shorter than the longest. */
    d->total_q = packed & 1 ? d->len_q + (d->batch - 1) * d->len_q / 2 + 3 : 0;
    d->total_kv = packed & 2 ? d->len_kv + (d->batch - 1) * d->len_kv / 2 + 3 : 0;

    d->key_bias = test_words_has(words, "key_bias");
    d->key_bias_broadcast = test_words_set(words, "key_bias", axis_names);
    d->alibi = test_words_has(words, "alibi");
    d->distance_dims = test_words_number(words, "distance", 0);
    uint32_t repeated = test_words_set(words, "pos_broadcast", pos_sides);
    d->q_pos_broadcast = repeated & 1 ? HEED_BROADCAST_BATCH : 0;
    d->k_pos_broadcast = repeated & 2 ? HEED_BROADCAST_BATCH : 0;
    d->sinks = test_words_has(words, "sinks");
    uint32_t wanted = test_words_set(words, "out", outputs);
    d->lse = wanted & 1;
    d->weights = wanted >> 1 & 1;
    d->entropy = wanted >> 2 & 1;

    struct attention_inputs *inputs = &test->inputs;
    inputs->keep = test_words_real(words, "keep", 0.7);
    inputs->empty_rows = test_words_has(words, "empty_rows");
    inputs->wild_lengths = test_words_has(words, "wild_lengths");
    inputs->logits = test_words_choice(words, "logits", logits, LOGITS_NORMAL);
    inputs->poison = test_words_choice(words, "poison", poisons, POISON_NONE);
    set_strides(d, test_words_choice(words, "layout", layouts, LAYOUT_BHSD));
}

static enum heed_status init(heed_context *context, struct test_case *test)
{
    test->args = &test->problem.attention.args;
    test->problem_op = test->desc.attention.op;
    return heed_attention_problem_init(context, &test->desc.attention, &test->problem.attention);
}

/* Sets an input's element; nothing when the problem does not have the argument. */
static void set(struct test_case *test, enum heed_arg_id id, uint64_t index, double value)
{
    struct test_tensor *t = &test->tensor[id];
    if (t->present && !t->output)
        heed_dtype_store(t->data, t->dtype, index, value);
}

/* One of q, k, v: features of a row by kind of logits. */
static double feature(struct test_case *test, enum heed_arg_id id, uint64_t row, uint64_t rows)
{
    double x = test_random_normal(&test->random);
    switch (test->inputs.logits) {
    case LOGITS_HEAVY: /* scores around +-100: exp overflows unless the maximum is subtracted first */
        return id == HEED_ARG_Q ? 60 * x : x;
    case LOGITS_EQUAL:
        return id == HEED_ARG_Q ? 0 : x;
    case LOGITS_RISING: /* nearly every key is a new maximum */
        return id == HEED_ARG_V ? x : id == HEED_ARG_Q ? 1 + 0.01 * x : 4 * ((double)row + 0.1 * x) / (double)rows;
    case LOGITS_HALVES: /* with dim 1 and scale ln 2: powers of 2 whose exponents end in .0 and .5 */
        return id == HEED_ARG_V ? x : id == HEED_ARG_Q ? 1 : -0.5 * (double)row;
    }
    return x;
}

static void fill_rows(struct test_case *test, enum heed_arg_id id, const struct heed_view *view, bool packed,
                      uint32_t heads, uint64_t rows, uint32_t dim)
{
    uint64_t batches = packed ? 1 : test->problem.attention.desc.batch;
    if (!test->tensor[id].present)
        return;
    for (uint64_t b = 0; b < batches; b++)
        for (uint64_t h = 0; h < heads; h++)
            for (uint64_t i = 0; i < rows; i++)
                for (uint64_t d = 0; d < dim; d++)
                    set(test, id, b * view->stride_batch + h * view->stride_head + i * view->stride_row + d,
                        feature(test, id, i, rows));
}

static void fill_numbers(struct test_case *test, enum heed_arg_id id, double low, double high)
{
    for (uint64_t i = 0; i < test->tensor[id].count; i++)
        set(test, id, i, test_random_uniform(&test->random, low, high));
}

static void fill_lengths(struct test_case *test)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    static const int32_t wild[] = {INT32_MIN, -1, INT32_MAX};
    for (uint32_t b = 0; b < d->batch; b++) {
        uint32_t choice = test_random_below(&test->random, 8);
        int32_t length = (int32_t)test_random_below(&test->random, d->len_kv + 1);
        if (choice == 0)
            length = 0;
        if (choice == 1)
            length = (int32_t)d->len_kv;
        if (test->inputs.wild_lengths && choice >= 5)
            length = wild[choice - 5];
        set(test, HEED_ARG_KEY_LENGTHS, b, length);
    }
}

/* Sequences one after the other, some of them empty, with unused rows before the first and after the last. */
static void fill_cu_seqlens(struct test_case *test, enum heed_arg_id id, uint32_t total, uint32_t longest)
{
    uint32_t batch = test->problem.attention.desc.batch, at = total > 2 ? 1 : 0;
    set(test, id, 0, at);
    for (uint32_t b = 0; b < batch; b++) {
        uint32_t most = total - at < longest ? total - at : longest;
        uint32_t length = test_random_below(&test->random, most + 1);
        if (b == 0)
            length = most; /* "len is the longest" is so */
        if (b + 1 < batch && test_random_chance(&test->random, 0.2))
            length = 0;
        at += length;
        set(test, id, b + 1, at);
    }
    if (test->inputs.wild_lengths) {
        set(test, id, 0, -5);
        set(test, id, batch, INT32_MAX);
    }
}

static double mask_value(struct test_case *test)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    bool kept = test_random_chance(&test->random, test->inputs.keep);
    if (d->mask == HEED_MASK_BOOL)
        return kept;
    if (kept)
        return test_random_normal(&test->random);
    switch (test_random_below(&test->random, 4)) {
    case 0:
        return -100;
    case 1:
        return d->mask_dtype == HEED_F16 ? -65504 : -1e9;
    case 2:
        return d->mask_dtype == HEED_F16 ? -65504 : -FLT_MAX;
    }
    return -INFINITY;
}

static void fill_mask(struct test_case *test)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    if (!test->tensor[HEED_ARG_MASK].present)
        return;
    uint32_t batches = d->mask_broadcast & HEED_BROADCAST_BATCH ? 1 : d->batch;
    uint32_t heads = d->mask_broadcast & HEED_BROADCAST_HEAD ? 1 : d->heads_q;
    uint32_t rows = d->mask_broadcast & HEED_BROADCAST_ROW ? 1 : d->len_q;
    for (uint32_t b = 0; b < batches; b++)
        for (uint32_t h = 0; h < heads; h++)
            for (uint32_t i = 0; i < rows; i++) {
                bool empty = test->inputs.empty_rows && (i == 0 || test_random_chance(&test->random, 0.2));
                for (uint32_t j = 0; j < d->len_kv; j++) {
                    double value = mask_value(test);
                    if (empty)
                        value = d->mask == HEED_MASK_BOOL ? 0 : -INFINITY;
                    /* Every row can attend to something that is not poisoned, and to nothing of what is. */
                    if (test->inputs.poison == POISON_MASKED && j % 5 == 3)
                        value = d->mask == HEED_MASK_BOOL ? 0 : -INFINITY;
                    if (test->inputs.poison == POISON_VALUES)
                        value = j % 5 == 3 ? -60000 : 0;
                    set(test, HEED_ARG_MASK,
                        b * d->mask_stride_batch + h * d->mask_stride_head + i * d->mask_stride_row + j, value);
                }
            }
}

static void poison_row(struct test_case *test, enum heed_arg_id id, const struct heed_view *view, uint64_t b,
                       uint64_t h, uint64_t j, uint32_t dim)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    for (uint64_t d = 0; d < dim; d++)
        set(test, id, b * view->stride_batch + h * view->stride_head + j * view->stride_row + d,
            bad[test_random_below(&test->random, 3)]);
}

static void poison(struct test_case *test)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    uint64_t batches = d->total_kv ? 1 : d->batch, keys = d->total_kv ? d->total_kv : d->len_kv;
    if (test->inputs.poison == POISON_NONE)
        return;
    if (test->inputs.poison == POISON_SOME) { /* one head of one batch, one key */
        uint64_t j = test_random_below(&test->random, (uint32_t)keys);
        set(test, HEED_ARG_K, (batches - 1) * d->k.stride_batch + j * d->k.stride_row, NAN);
        set(test, HEED_ARG_V, (d->heads_kv - 1) * d->v.stride_head + j / 2 * d->v.stride_row, NAN);
        return;
    }
    for (uint64_t b = 0; b < batches; b++)
        for (uint64_t h = 0; h < d->heads_kv; h++)
            for (uint64_t j = 3; j < keys; j += 5) {
                if (test->inputs.poison == POISON_MASKED) {
                    poison_row(test, HEED_ARG_K, &d->k, b, h, j, d->dim_qk);
                    set(test, HEED_ARG_KEY_BIAS, b * test->problem.attention.key_bias_stride_batch + j, NAN);
                }
                poison_row(test, HEED_ARG_V, &d->v, b, h, j, d->dim_v);
            }
}

static void fill(struct test_case *test)
{
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    bool packed_q = d->total_q > 0, packed_kv = d->total_kv > 0;
    fill_rows(test, HEED_ARG_Q, &d->q, packed_q, d->heads_q, packed_q ? d->total_q : d->len_q, d->dim_qk);
    fill_rows(test, HEED_ARG_K, &d->k, packed_kv, d->heads_kv, packed_kv ? d->total_kv : d->len_kv, d->dim_qk);
    fill_rows(test, HEED_ARG_V, &d->v, packed_kv, d->heads_kv, packed_kv ? d->total_kv : d->len_kv, d->dim_v);
    fill_lengths(test);
    fill_cu_seqlens(test, HEED_ARG_CU_SEQLENS_Q, d->total_q, d->len_q);
    fill_cu_seqlens(test, HEED_ARG_CU_SEQLENS_KV, d->total_kv, d->len_kv);
    fill_mask(test);
    fill_numbers(test, HEED_ARG_KEY_BIAS, -2, 2);
    fill_numbers(test, HEED_ARG_ALIBI, 0, 0.5);
    fill_numbers(test, HEED_ARG_Q_POS, -3, 3);
    fill_numbers(test, HEED_ARG_K_POS, -3, 3);
    /* Strength and exponent: 1 and 2 are what people use. */
    fill_numbers(test, HEED_ARG_DISTANCE, 0.25, 2.5);
    for (uint64_t h = 0; h < d->heads_q && h < 2; h++)
        set(test, HEED_ARG_DISTANCE, 2 * h + 1, (double)(h + 1));
    fill_numbers(test, HEED_ARG_SINKS, -1, 3);
    for (uint64_t i = 0; i < test->tensor[HEED_ARG_SCORES].count; i++)
        set(test, HEED_ARG_SCORES, i,
            (test->inputs.logits == LOGITS_HEAVY ? 100 : 1) * test_random_normal(&test->random));
    fill_numbers(test, HEED_ARG_WEIGHTS, -0.5, 1);
    poison(test);
}

static const struct heed_candidate *candidates(const struct test_case *test, uint32_t *count)
{
    return heed_attention_candidates(test->problem.attention.desc.op, count);
}

static enum heed_status plan(heed_device *device, const struct test_case *test, const char *kernel, heed_plan **result)
{
    struct heed_attention_desc desc = test->desc.attention;
    desc.kernel = kernel;
    return heed_plan_create_attention(device, &desc, result);
}

const struct test_op test_op_attention = {
    .word = "attention",
    .parse = parse,
    .init = init,
    .fill = fill,
    .expect = test_attention_expect,
    .candidates = candidates,
    .plan = plan,
};
