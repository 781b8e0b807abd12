/* SPDX-License-Identifier: MIT
 * A pipeline evaluated plainly in f32: written from heed_pipeline.h and heed.h, apart from the reference. */
#include "naive_pipeline.h"
#include "naive_call.h"

#include "dtype.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float rounded(enum heed_dtype dtype, float x)
{
    if (dtype == HEED_F16)
        return heed_f16_to_f32(heed_f64_to_f16((double)x));
    return dtype == HEED_BF16 ? heed_bf16_to_f32(heed_f64_to_bf16((double)x)) : x;
}

void naive_set(const struct naive *t, uint64_t a, uint64_t b, uint64_t c, uint64_t d, float x)
{
    *naive_at(t, a, b, c, d) = rounded(t->dtype, x);
}

float naive_activate(enum heed_activation activation, float x)
{
    switch (activation) {
    case HEED_RELU:
        return x > 0.0f || isnan(x) ? x : 0.0f;
    case HEED_GELU:
        return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case HEED_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case HEED_SILU:
        return x / (1.0f + expf(-x));
    case HEED_SIGMOID:
        return 1.0f / (1.0f + expf(-x));
    case HEED_TANH:
        return tanhf(x);
    default:
        return x;
    }
}

static void linear(struct naive_call *call)
{
    const struct heed_linear_desc *d = heed_node_desc(call->node);
    const struct naive *x = &call->in[0], *w = &call->in[1], *bias = &call->in[2], *residual = &call->in[3];
    const struct naive *y = &call->out[0];
    NAIVE_FOR_ROWS(y, a, b, c)
    for (uint64_t n = 0; n < y->length[3]; n++) {
        float sum = 0;
        for (uint64_t k = 0; k < x->length[3]; k++)
            sum += *naive_at(x, a, b, c, k) * (d->transposed ? *naive_at(w, 0, 0, k, n) : *naive_at(w, 0, 0, n, k));
        sum = naive_activate(d->activation, sum + (bias->data ? bias->data[n * bias->stride[3]] : 0));
        naive_set(y, a, b, c, n, sum + (residual->data ? *naive_at(residual, a, b, c, n) : 0));
    }
}

static void norm(struct naive_call *call, bool centred, float epsilon)
{
    const struct naive *x = &call->in[0], *gain = &call->in[1], *bias = &call->in[2];
    const uint64_t count = x->length[3];
    NAIVE_FOR_ROWS(x, a, b, c)
    {
        float mean = 0, square = 0;
        for (uint64_t k = 0; centred && k < count; k++)
            mean += *naive_at(x, a, b, c, k);
        mean /= (float)count;
        for (uint64_t k = 0; k < count; k++)
            square += (*naive_at(x, a, b, c, k) - mean) * (*naive_at(x, a, b, c, k) - mean);
        const float factor = 1.0f / sqrtf(square / (float)count + epsilon);
        for (uint64_t k = 0; k < count; k++)
            naive_set(&call->out[0], a, b, c, k,
                      (*naive_at(x, a, b, c, k) - mean) * factor * (gain->data ? gain->data[k] : 1) +
                          (bias->data ? bias->data[k] : 0));
    }
}

static void layer_norm(struct naive_call *call)
{
    const struct heed_layer_norm_desc *d = heed_node_desc(call->node);
    norm(call, true, d->epsilon == 0 ? 1e-5f : d->epsilon);
}

static void rms_norm(struct naive_call *call)
{
    const struct heed_rms_norm_desc *d = heed_node_desc(call->node);
    norm(call, false, d->epsilon == 0 ? 1e-6f : d->epsilon);
}

static float repeated(const struct naive *t, const uint64_t i[4])
{
    return *naive_at(t, t->length[0] == 1 ? 0 : i[0], t->length[1] == 1 ? 0 : i[1], t->length[2] == 1 ? 0 : i[2],
                     t->length[3] == 1 ? 0 : i[3]);
}

static void combine(struct naive_call *call)
{
    const struct heed_combine_desc *d = heed_node_desc(call->node);
    const struct naive *b = &call->in[1], *o = &call->out[0];
    NAIVE_FOR_ROWS(o, i0, i1, i2)
    for (uint64_t i3 = 0; i3 < o->length[3]; i3++) {
        const uint64_t i[4] = {i0, i1, i2, i3};
        float y = naive_activate(d->activation, (d->scale == 0 ? 1 : d->scale) * repeated(&call->in[0], i));
        if (b->data)
            y = d->combination == HEED_ADD ? y + repeated(b, i) : y * repeated(b, i);
        naive_set(o, i0, i1, i2, i3, y);
    }
}

static void append(struct naive_call *call)
{
    const struct naive *x = &call->in[1], *state = &call->out[0];
    const uint32_t axis = 5 - call->graph->tensors[call->node->input[0]].axes;
    const uint64_t most = state->length[axis] - x->length[axis];
    const float asked = call->in[2].data ? call->in[2].data[0] : 0;
    const uint64_t first = asked < 0 ? 0 : asked > (float)most ? most : (uint64_t)asked;
    NAIVE_FOR_ROWS(x, a, b, c)
    for (uint64_t d = 0; d < x->length[3]; d++)
        naive_set(state, a, b + (axis == 1 ? first : 0), c + (axis == 2 ? first : 0), d, *naive_at(x, a, b, c, d));
}

enum { Q, K, V, MASK, KEY_LENGTHS, KEY_BIAS, ALIBI, Q_POS };

static bool attends(const struct heed_attention_desc *d, int64_t i, int64_t j, int64_t keys)
{
    const int64_t diagonal = d->diagonal == HEED_DIAGONAL_TOP_LEFT ? 0 : keys - d->len_q;
    return j < keys && (!d->causal || j <= i + diagonal);
}

static void attend_row(struct naive_call *call, const struct heed_attention_desc *d, const uint64_t i[3], float *t)
{
    const uint64_t hk = i[1] / (d->heads_q / d->heads_kv);
    const struct naive *mask = &call->in[MASK], *lengths = &call->in[KEY_LENGTHS], *bias = &call->in[KEY_BIAS];
    const int64_t keys = lengths->data ? (int64_t)fminf(fmaxf(lengths->data[i[0]], 0), (float)d->len_kv) : d->len_kv;
    float top = -INFINITY, sum = 0;
    for (uint64_t j = 0; j < d->len_kv; j++) {
        const uint64_t pair[4] = {i[0], i[1], i[2], j}, key[4] = {0, i[0], i[1], j};
        float s = 0;
        for (uint64_t f = 0; f < d->dim_qk; f++)
            s += *naive_at(&call->in[Q], i[0], i[1], i[2], f) * *naive_at(&call->in[K], i[0], hk, j, f);
        s *= d->scale;
        if (mask->data)
            s = d->mask == HEED_MASK_ADD ? s + repeated(mask, pair) : repeated(mask, pair) != 0 ? s : -INFINITY;
        if (bias->data)
            s += repeated(bias, key);
        t[j] = attends(d, (int64_t)i[2], (int64_t)j, keys) ? s : -INFINITY;
        top = fmaxf(top, t[j]);
    }
    for (uint64_t j = 0; j < d->len_kv; j++)
        sum += t[j] = top == -INFINITY ? 0 : expf(t[j] - top);
    for (uint64_t f = 0; f < d->dim_v; f++) {
        float o = 0;
        for (uint64_t j = 0; j < d->len_kv; j++)
            o += t[j] == 0 ? 0 : t[j] * *naive_at(&call->in[V], i[0], hk, j, f);
        naive_set(&call->out[0], i[0], i[1], i[2], f, sum == 0 ? 0 : o / sum);
    }
    if (call->out[1].data)
        naive_set(&call->out[1], 0, i[0], i[1], i[2], logf(sum) + top);
    for (uint64_t j = 0; call->out[3].data && j < d->len_kv; j++)
        naive_set(&call->out[3], i[0], i[1], i[2], j, sum == 0 ? 0 : t[j] / sum);
}

static void attend(struct naive_call *call)
{
    struct heed_attention_problem *problem = malloc(sizeof *problem);
    if (!problem || heed_attend_problem(call->graph, call->node, problem) != HEED_OK)
        abort();
    const struct heed_attention_desc *d = &problem->desc;
    if (d->softcap != 0 || d->window || d->alibi || d->distance_dims || d->sinks || d->entropy)
        call->why = "attend with softcap, window, alibi, distance, sinks or entropy";
    float *t = malloc((d->len_kv + 1) * sizeof *t);
    if (!t)
        abort();
    uint64_t i[3];
    for (i[0] = 0; i[0] < d->batch; i[0]++)
        for (i[1] = 0; i[1] < d->heads_q; i[1]++)
            for (i[2] = 0; i[2] < d->len_q; i[2]++)
                attend_row(call, d, i, t);
    free(t);
    free(problem);
}

/* One neighbour of a bilinear sample. */
static float pixel(const struct naive *value, const struct heed_level *level, uint64_t b, uint64_t h, uint64_t f,
                   float x, float y)
{
    if (!(x >= 0 && y >= 0 && x < (float)level->width && y < (float)level->height))
        return 0;
    return *naive_at(value, b, level->start + (uint64_t)y * level->width + (uint64_t)x, h, f);
}

static void sample_head(struct naive_call *call, const struct heed_deform_problem *p, uint64_t b, uint64_t q,
                        uint64_t h)
{
    const struct heed_deform_desc *d = &p->desc;
    const uint64_t row = b * d->len_q + q, slot = row * d->heads + h;
    const float *places = call->in[1].data + slot * p->points * 2;
    const float *logits = d->unweighted ? NULL : call->in[2].data + slot * p->points;
    const bool offsets = d->input == HEED_DEFORM_OFFSETS;
    float top = -INFINITY, sum = 0;
    for (uint32_t i = 0; offsets && i < p->points; i++)
        top = fmaxf(top, logits[i]);
    for (uint32_t i = 0; offsets && i < p->points; i++)
        sum += expf(logits[i] - top);
    for (uint64_t f = 0; f < d->dim; f++) {
        float o = 0;
        for (uint32_t l = 0, i = 0; l < d->level_count; l++) {
            const struct heed_level *level = &d->levels[l];
            const float size[2] = {(float)level->width, (float)level->height};
            const float *reference =
                offsets ? call->in[3].data +
                              (row * p->reference_levels + (d->reference_per_level ? l : 0)) * p->reference_width
                        : NULL;
            for (uint32_t point = 0; point < level->points; point++, i++) {
                float x[2], low[2];
                for (int a = 0; a < 2; a++) {
                    x[a] = places[2 * i + a];
                    if (offsets)
                        x[a] = reference[a] + (d->reference_boxes
                                                   ? x[a] / (float)level->points * reference[2 + a] * d->offset_scale
                                                   : x[a] / size[a]);
                    x[a] = d->align_corners ? x[a] * (size[a] - 1) : x[a] * size[a] - 0.5f;
                    low[a] = floorf(x[a]);
                    x[a] -= low[a];
                }
                const struct naive *v = &call->in[0];
                const float s = pixel(v, level, b, h, f, low[0], low[1]) * (1 - x[0]) * (1 - x[1]) +
                                pixel(v, level, b, h, f, low[0] + 1, low[1]) * x[0] * (1 - x[1]) +
                                pixel(v, level, b, h, f, low[0], low[1] + 1) * (1 - x[0]) * x[1] +
                                pixel(v, level, b, h, f, low[0] + 1, low[1] + 1) * x[0] * x[1];
                o += (offsets ? expf(logits[i] - top) / sum : logits ? logits[i] : 1) * s;
            }
        }
        naive_set(&call->out[0], 0, b, q, h * d->dim + f, o);
    }
}

static void sample(struct naive_call *call)
{
    struct heed_deform_problem *p = malloc(sizeof *p);
    if (!p || heed_sample_problem(call->graph, call->node, p) != HEED_OK)
        abort();
    if (p->desc.axes != 2 || p->desc.interpolation != HEED_INTERPOLATION_LINEAR ||
        p->desc.padding != HEED_PADDING_ZEROS)
        call->why = "sample in 3-D, nearest or with border";
    for (uint64_t b = 0; !call->why && b < p->desc.batch; b++)
        for (uint64_t q = 0; q < p->desc.len_q; q++)
            for (uint64_t h = 0; h < p->desc.heads; h++)
                sample_head(call, p, b, q, h);
    free(p);
}

/* An op joins by a row here. */
static void (*const ops[HEED_NODE_KIND_COUNT])(struct naive_call *call) = {
    [HEED_NODE_LINEAR] = linear,       [HEED_NODE_LAYER_NORM] = layer_norm, [HEED_NODE_RMS_NORM] = rms_norm,
    [HEED_NODE_COMBINE] = combine,     [HEED_NODE_APPEND] = append,         [HEED_NODE_ATTEND] = attend,
    [HEED_NODE_SAMPLE] = sample,       [HEED_NODE_CONV] = naive_conv,       [HEED_NODE_EMBED] = naive_embed,
    [HEED_NODE_CONCAT] = naive_concat, [HEED_NODE_ROPE] = naive_rope,       [HEED_NODE_SINUSOID] = naive_sinusoid,
    [HEED_NODE_POOL] = naive_pool,     [HEED_NODE_RESIZE] = naive_resize,   [HEED_NODE_TOP_K] = naive_top_k,
};

static struct naive operand(const struct heed_graph *g, float *const *memory, uint32_t value)
{
    struct naive t = {.length = {1, 1, 1, 1}};
    if (value == 0)
        return t;
    const struct heed_tensor *tensor = &g->tensors[value];
    t.data = memory[tensor->storage] + tensor->offset;
    t.dtype = tensor->dtype;
    for (uint32_t a = 0, shift = 4 - tensor->axes; a < tensor->axes; a++) {
        t.length[a + shift] = tensor->length[a];
        t.stride[a + shift] = tensor->stride[a];
    }
    return t;
}

bool test_naive_pipeline(const struct heed_graph *g, void *const *args, float **results, const char **why)
{
    float **memory = calloc(g->storage_count + 1, sizeof *memory);
    if (!memory)
        abort();
    *why = NULL;
    for (uint32_t i = 0; i < g->storage_count; i++) {
        const struct heed_storage *s = &g->storages[i];
        const uint64_t count = s->dtype == HEED_Q8_0 ? s->bytes / HEED_Q8_0_BYTES * HEED_Q8_0_NUMBERS
                                                     : s->bytes / heed_dtype_size(s->dtype);
        memory[i] = malloc((size_t)(count + 1) * sizeof **memory);
        if (!memory[i])
            abort();
        for (uint64_t e = 0; s->arg != UINT32_MAX && s->input && e < count; e++)
            memory[i][e] = (float)heed_dtype_load(args[s->arg], s->dtype, e);
    }
    for (uint32_t n = 0; n < g->node_count && !*why; n++) {
        const struct heed_node *node = &g->nodes[n];
        if (heed_pipeline_ops[node->kind].view)
            continue;
        struct naive_call call = {.graph = g, .node = node};
        for (uint32_t i = 0; i < HEED_NODE_INPUTS; i++)
            call.in[i] = operand(g, memory, node->input[i]);
        for (uint32_t i = 0; i < HEED_NODE_OUTPUTS; i++)
            call.out[i] = operand(g, memory, node->output[i]);
        if (ops[node->kind])
            ops[node->kind](&call);
        *why = ops[node->kind] ? call.why : heed_pipeline_ops[node->kind].name;
    }
    for (uint32_t i = 0; i < g->storage_count; i++) {
        if (!*why && g->storages[i].arg != UINT32_MAX)
            results[g->storages[i].arg] = g->storages[i].output ? memory[i] : NULL;
        if (*why || g->storages[i].arg == UINT32_MAX || !g->storages[i].output)
            free(memory[i]);
    }
    free(memory);
    return !*why;
}
