/* SPDX-License-Identifier: MIT
 * The blocks of heed_blocks.h: each is the formula of its paper, written with the builder. */
#include <heed/heed_blocks.h>

#include "pipeline.h"

#include <string.h>

static const heed_value none = {0};

/* Fails the pipeline for a descriptor that is missing or of another size. */
static bool has_desc(heed_pipeline *p, const void *desc, size_t bytes, const char *block)
{
    size_t said = 0;
    if (!p || p->status != HEED_OK)
        return false;
    if (desc)
        memcpy(&said, desc, sizeof said);
    if (said == bytes)
        return true;
    p->status = heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                          "pipeline: block %s: struct_size %zu is not that of its descriptor, %zu", block, said, bytes);
    return false;
}

/* Parts of a descriptor need not say their size. */
#define PART(type, name, part)                                                                                         \
    type name = (part);                                                                                                \
    (name).struct_size = sizeof(name)

static heed_value plus(heed_pipeline *p, heed_value x, heed_value pos, enum heed_dtype dtype)
{
    const struct heed_combine_desc d = {.struct_size = sizeof d, .combination = HEED_ADD, .dtype = dtype};
    return pos.id ? heed_combine(p, x, pos, &d) : x;
}

static heed_value project(heed_pipeline *p, heed_value x, heed_value weight, heed_value bias, enum heed_dtype dtype)
{
    const struct heed_linear_desc d = {.struct_size = sizeof d, .bias = bias, .dtype = dtype};
    return heed_linear(p, x, weight, &d);
}

static heed_value normed(heed_pipeline *p, heed_value x, const struct heed_norm *norm, enum heed_dtype dtype)
{
    const struct heed_layer_norm_desc d = {
        .struct_size = sizeof d, .gain = norm->gain, .bias = norm->bias, .epsilon = norm->epsilon, .dtype = dtype};
    return norm->gain.id ? heed_layer_norm(p, x, &d) : x;
}

/* The last projection and the residual; one op where there is no gate. */
static heed_value joined(heed_pipeline *p, heed_value o, heed_value weight, heed_value bias, heed_value residual,
                         heed_value gate, enum heed_dtype dtype)
{
    struct heed_linear_desc d = {.struct_size = sizeof d, .bias = bias, .residual = residual};
    if (!gate.id)
        return heed_linear(p, o, weight, &d);
    d.residual = none;
    d.dtype = dtype;
    const struct heed_combine_desc gated = {
        .struct_size = sizeof gated, .activation = HEED_TANH, .combination = HEED_MULTIPLY, .dtype = dtype};
    o = heed_combine(p, gate, heed_linear(p, o, weight, &d), &gated);
    return residual.id ? plus(p, residual, o, HEED_F32) : o;
}

/* What attention is of, [batch][heads][row][dim]. */
struct parts {
    heed_value q, k, v;
};

static struct parts project_apart(heed_pipeline *p, heed_value from, heed_value memory,
                                  const struct heed_block_attention_desc *d)
{
    const struct heed_projections *w = &d->weights;
    const heed_value to = memory.id ? memory : from, asking = plus(p, from, d->x_pos, d->dtype);
    struct parts parts = {heed_split_heads(p, project(p, asking, w->wq, w->bq, d->dtype), d->heads), d->keys,
                          d->values};
    if (d->keys.id)
        return parts;
    /* Self-attention has one position for queries and keys. */
    const heed_value asked = memory.id                              ? plus(p, to, d->memory_pos, d->dtype)
                             : d->memory_pos.id == 0 || d->x_pos.id ? asking
                                                                    : plus(p, to, d->memory_pos, d->dtype);
    parts.k = heed_split_heads(p, project(p, asked, w->wk, w->bk, d->dtype), d->heads);
    parts.v = w->wv.id ? heed_split_heads(p, project(p, to, w->wv, w->bv, d->dtype), d->heads) : parts.k;
    return parts;
}

/* Three views of one product. */
static struct parts project_at_once(heed_pipeline *p, heed_value x, heed_value memory,
                                    const struct heed_block_attention_desc *d)
{
    const struct heed_projections *w = &d->weights;
    struct parts parts = {none, none, none};
    struct heed_shape shape;
    enum heed_dtype dtype;
    if (memory.id || d->x_pos.id || d->memory_pos.id || d->keys.id || w->wq.id || w->wk.id || w->wv.id) {
        p->status = heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                              "pipeline: block attention: wqkv is for attention of x to itself without positions, and "
                              "takes the place of wq, wk and wv: there is one of these, or a memory, or a position");
        return parts;
    }
    const heed_value all = project(p, x, w->wqkv, w->bqkv, d->dtype);
    if (heed_pipeline_get_shape(p, all, &shape, &dtype) != HEED_OK)
        return parts;
    const uint32_t inner = shape.length[shape.axes - 1] / 3;
    if (shape.axes != 3 || shape.length[2] != 3 * inner) {
        p->status =
            heed_fail(p->graph.context, HEED_ERR_ARGUMENT,
                      "pipeline: block attention: wqkv makes %u axes with %u features: not [batch][row][3 * inner]",
                      shape.axes, shape.length[shape.axes - 1]);
        return parts;
    }
    heed_value *const of[] = {&parts.q, &parts.k, &parts.v};
    for (uint32_t i = 0; i < 3; i++)
        *of[i] = heed_split_heads(p, heed_slice(p, all, 2, i * inner, inner), d->heads);
    return parts;
}

heed_value heed_block_attention(heed_pipeline *p, heed_value x, heed_value memory,
                                const struct heed_block_attention_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "attention"))
        return none;
    const struct heed_projections *w = &d->weights;
    const heed_value from = normed(p, x, &d->pre, d->dtype);
    const struct parts parts = w->wqkv.id ? project_at_once(p, from, memory, d) : project_apart(p, from, memory, d);
    PART(struct heed_attend_desc, attend, d->attend);
    attend.dtype = d->dtype;
    heed_value o = heed_merge_heads(p, heed_attend(p, parts.q, parts.k, parts.v, &attend));
    o = joined(p, o, w->wo, w->bo, d->no_residual ? none : x, d->gate, d->dtype);
    return normed(p, o, &d->post, HEED_F32);
}

heed_value heed_block_feed_forward(heed_pipeline *p, heed_value x, const struct heed_block_feed_forward_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "feed_forward"))
        return none;
    const heed_value from = normed(p, x, &d->pre, d->dtype);
    struct heed_linear_desc first = {.struct_size = sizeof first, .bias = d->b1, .dtype = d->dtype};
    if (!d->w_gate.id)
        first.activation = d->activation;
    heed_value h = heed_linear(p, from, d->w1, &first);
    if (d->w_gate.id) {
        const struct heed_combine_desc gate = {
            .struct_size = sizeof gate, .activation = d->activation, .combination = HEED_MULTIPLY, .dtype = d->dtype};
        h = heed_combine(p, project(p, from, d->w_gate, none, d->dtype), h, &gate);
    }
    return normed(p, joined(p, h, d->w2, d->b2, x, none, d->dtype), &d->post, HEED_F32);
}

heed_value heed_block_decoder_layer(heed_pipeline *p, heed_value x, heed_value memory,
                                    const struct heed_block_decoder_layer_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "decoder_layer"))
        return none;
    PART(struct heed_block_attention_desc, self, d->self);
    PART(struct heed_block_attention_desc, cross, d->cross);
    PART(struct heed_block_feed_forward_desc, feed_forward, d->feed_forward);
    x = heed_block_attention(p, x, none, &self);
    x = heed_block_attention(p, x, memory, &cross);
    return heed_block_feed_forward(p, x, &feed_forward);
}

heed_value heed_block_co_attention(heed_pipeline *p, heed_value x, heed_value y,
                                   const struct heed_block_co_attention_desc *d, heed_value *y_out)
{
    if (!has_desc(p, d, sizeof *d, "co_attention"))
        return none;
    PART(struct heed_block_attention_desc, x_to_y, d->x_to_y);
    PART(struct heed_block_attention_desc, y_to_x, d->y_to_x);
    const heed_value result = heed_block_attention(p, x, y, &x_to_y), other = heed_block_attention(p, y, x, &y_to_x);
    if (y_out)
        *y_out = other;
    return result;
}

heed_value heed_block_shared_attention(heed_pipeline *p, heed_value x, heed_value y,
                                       const struct heed_block_shared_attention_desc *d, heed_value *y_out)
{
    if (!has_desc(p, d, sizeof *d, "shared_attention"))
        return none;
    const struct heed_attend_desc attend = {.struct_size = sizeof attend, .scale = d->scale};
    const heed_value qx = heed_split_heads(p, project(p, x, d->wx, d->bx, HEED_F32), d->heads);
    const heed_value qy = heed_split_heads(p, project(p, y, d->wy, d->by, HEED_F32), d->heads);
    const heed_value vx = heed_split_heads(p, project(p, x, d->vx, d->bvx, HEED_F32), d->heads);
    const heed_value vy = heed_split_heads(p, project(p, y, d->vy, d->bvy, HEED_F32), d->heads);
    const heed_value to_x = heed_merge_heads(p, heed_attend(p, qx, qy, vy, &attend));
    const heed_value to_y = heed_merge_heads(p, heed_attend(p, qy, qx, vx, &attend));
    if (y_out)
        *y_out = joined(p, to_y, d->oy, d->boy, y, none, HEED_F32);
    return joined(p, to_x, d->ox, d->box, x, none, HEED_F32);
}

heed_value heed_block_pooling(heed_pipeline *p, heed_value seeds, heed_value x, const struct heed_block_pooling_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "pooling"))
        return none;
    PART(struct heed_block_attention_desc, attention, d->attention);
    PART(struct heed_block_feed_forward_desc, feed_forward, d->feed_forward);
    const heed_value pooled = heed_block_attention(p, seeds, x, &attention);
    return feed_forward.w1.id ? heed_block_feed_forward(p, pooled, &feed_forward) : pooled;
}

heed_value heed_block_two_way(heed_pipeline *p, heed_value tokens, heed_value image,
                              const struct heed_block_two_way_desc *d, heed_value *image_out)
{
    if (!has_desc(p, d, sizeof *d, "two_way"))
        return none;
    PART(struct heed_block_attention_desc, self, d->self);
    PART(struct heed_block_attention_desc, to_image, d->token_to_image);
    PART(struct heed_block_attention_desc, to_token, d->image_to_token);
    PART(struct heed_block_feed_forward_desc, feed_forward, d->feed_forward);
    self.no_residual = d->first;
    self.x_pos = d->first ? none : d->token_pos;
    to_image.x_pos = to_token.memory_pos = d->token_pos;
    to_image.memory_pos = to_token.x_pos = d->image_pos;
    tokens = heed_block_attention(p, tokens, none, &self);
    tokens = heed_block_attention(p, tokens, image, &to_image);
    tokens = heed_block_feed_forward(p, tokens, &feed_forward);
    const heed_value seen = heed_block_attention(p, image, tokens, &to_token);
    if (image_out)
        *image_out = seen;
    return tokens;
}

heed_value heed_block_two_way_transformer(heed_pipeline *p, heed_value tokens, heed_value image,
                                          const struct heed_block_two_way_transformer_desc *d, heed_value *image_out)
{
    enum { MOST_LAYERS = 64 };
    if (!has_desc(p, d, sizeof *d, "two_way_transformer"))
        return none;
    if (d->depth > MOST_LAYERS || (d->depth > 0 && !d->layers)) {
        p->status = heed_fail(p->graph.context, HEED_ERR_ARGUMENT, "pipeline: block two_way_transformer: depth %u %s",
                              d->depth, d->depth > MOST_LAYERS ? "is over 64" : "without layers");
        return none;
    }
    const heed_value token_pos = d->token_pos.id ? d->token_pos : tokens;
    for (uint32_t i = 0; i < d->depth; i++) {
        PART(struct heed_block_two_way_desc, layer, d->layers[i]);
        layer.first = i == 0;
        layer.token_pos = token_pos;
        layer.image_pos = d->image_pos;
        tokens = heed_block_two_way(p, tokens, image, &layer, &image);
    }
    PART(struct heed_block_attention_desc, final, d->final);
    final.x_pos = token_pos;
    final.memory_pos = d->image_pos;
    if (image_out)
        *image_out = image;
    return heed_block_attention(p, tokens, image, &final);
}

heed_value heed_block_deform(heed_pipeline *p, heed_value x, heed_value memory, const struct heed_block_deform_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "deform"))
        return none;
    const heed_value asking = plus(p, x, d->x_pos, HEED_F32);
    heed_value value = project(p, memory, d->w_value, d->b_value, d->dtype);
    const heed_value offsets = project(p, asking, d->w_offset, d->b_offset, HEED_F32);
    const heed_value logits = project(p, asking, d->w_weight, d->b_weight, HEED_F32);
    if (d->value_scale.id)
        value = heed_combine(p, d->value_scale, value,
                             &(struct heed_combine_desc){.struct_size = sizeof(struct heed_combine_desc),
                                                         .combination = HEED_MULTIPLY,
                                                         .dtype = d->dtype});
    static const uint32_t rows_first[HEED_MAX_AXES] = {0, 2, 1, 3};
    value = heed_permute(p, heed_split_heads(p, value, d->heads), rows_first);
    const struct heed_sample_desc sample = {.struct_size = sizeof sample, .reference = d->reference, .dtype = d->dtype};
    const heed_value o = heed_sample(p, value, offsets, logits, d->deform, &sample);
    return normed(p, joined(p, o, d->wo, d->bo, d->no_residual ? none : x, none, d->dtype), &d->post, HEED_F32);
}

heed_value heed_block_deform_decoder(heed_pipeline *p, heed_value x, heed_value memory,
                                     const struct heed_block_deform_decoder_desc *d)
{
    if (!has_desc(p, d, sizeof *d, "deform_decoder"))
        return none;
    PART(struct heed_block_attention_desc, self, d->self);
    PART(struct heed_block_deform_desc, cross, d->cross);
    PART(struct heed_block_feed_forward_desc, feed_forward, d->feed_forward);
    x = heed_block_attention(p, x, none, &self);
    x = heed_block_deform(p, x, memory, &cross);
    return heed_block_feed_forward(p, x, &feed_forward);
}
