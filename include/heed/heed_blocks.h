/* SPDX-License-Identifier: MIT
 *
 * heed blocks: what models are made of, each a short function over the builder of heed_pipeline.h. They add ops and
 * nothing else: a block can be read, copied and changed. All values are [batch][row][features]; weights are as
 * heed_linear takes them, [out][in], f32, f16, bf16 or q8_0; biases, gains and gates are f32. A value that is left out
 * (id 0) is not there: no bias, no norm, no position.
 *
 * Every descriptor begins with struct_size; HEED_DESC(block_attention, .heads = 8, ...) fills it in.
 */
#ifndef HEED_HEED_BLOCKS_H
#define HEED_HEED_BLOCKS_H

#include <heed/heed_pipeline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The four projections of attention. */
struct heed_projections {
    heed_value wq, wk, wv, wo; /* wv none: values are the keys, one product for both */
    heed_value bq, bk, bv, bo;
    /* Instead of wq, wk, wv and their biases, for attention of x to itself without positions: one product for the three,
     * whose rows lie one below the other, [3 * inner][features of x] and [3 * inner] (PyTorch's in_proj_weight). */
    heed_value wqkv, bqkv;
};

struct heed_norm {
    heed_value gain, bias; /* gain none: no norm */
    float epsilon;         /* 0 = 1e-5 */
};

/* Multi-head attention with its residual (Vaswani et al. 2017):
 *
 *     y = x + gate * (attention(norm(x) + x_pos, memory + memory_pos, memory) Wo + bo)       pre-norm, or no norm
 *     y = norm(x + ...)                                                                      post-norm
 *
 * memory is x itself (normed, where x is) when it is none: self-attention. Positions are added to what queries and keys
 * are made of and not to values (Carion et al. 2020, DETR). gate: f32 [1], as tanh(gate) (Alayrac et al. 2022,
 * Flamingo). `keys`, `values`: made before, [batch][heads][row][dim]: wk, wv and memory are not used then. */
struct heed_block_attention_desc {
    size_t struct_size;
    uint32_t heads;
    struct heed_projections weights;
    heed_value x_pos, memory_pos;
    heed_value keys, values;
    struct heed_norm pre, post;
    heed_value gate;
    bool no_residual;
    struct heed_attend_desc attend; /* masks, key lengths, results beside o; its struct_size may be 0 */
    enum heed_dtype dtype;          /* of what lies between the ops */
};
HEED_API heed_value heed_block_attention(heed_pipeline *pipeline, heed_value x, heed_value memory,
                                         const struct heed_block_attention_desc *desc);

/* y = x + W2 activation(W1 norm(x) + b1) + b2, or with `post` norm(x + ...). Gated, with w_gate: W2 (activation(Wg x) *
 * (W1 x)) (Shazeer 2020). */
struct heed_block_feed_forward_desc {
    size_t struct_size;
    heed_value w1, b1, w2, b2, w_gate;
    enum heed_activation activation;
    struct heed_norm pre, post;
    enum heed_dtype dtype; /* of what lies between the ops */
};
HEED_API heed_value heed_block_feed_forward(heed_pipeline *pipeline, heed_value x,
                                            const struct heed_block_feed_forward_desc *desc);

/* A decoder layer (Vaswani et al. 2017): attention of x to itself, to memory, feed-forward. Each part's residual and
 * norms are its own descriptor's. */
struct heed_block_decoder_layer_desc {
    size_t struct_size;
    struct heed_block_attention_desc self, cross;
    struct heed_block_feed_forward_desc feed_forward;
};
HEED_API heed_value heed_block_decoder_layer(heed_pipeline *pipeline, heed_value x, heed_value memory,
                                             const struct heed_block_decoder_layer_desc *desc);

/* Two streams that query each other (Lu et al. 2019, ViLBERT): both from what they were before. *y_out is y's. */
struct heed_block_co_attention_desc {
    size_t struct_size;
    struct heed_block_attention_desc x_to_y, y_to_x;
};
HEED_API heed_value heed_block_co_attention(heed_pipeline *pipeline, heed_value x, heed_value y,
                                            const struct heed_block_co_attention_desc *desc, heed_value *y_out);

/* Two streams over one matrix of scores (Lu et al. 2016; bidirectional as in Grounding DINO's fusion, Liu et al. 2023):
 *
 *     S = scale * (x Wx)(y Wy)^T,   x' = softmax over y (S) (y Vy) Ox,   y' = softmax over x (S^T) (x Vx) Oy
 *
 * with residuals. The matrix is never in memory: what is shared are the projections. */
struct heed_block_shared_attention_desc {
    size_t struct_size;
    uint32_t heads;
    heed_value wx, bx, wy, by;   /* to scores */
    heed_value vx, bvx, vy, bvy; /* to values */
    heed_value ox, box, oy, boy; /* back: [features of x][...], [features of y][...] */
    float scale;                 /* 0 = 1 / sqrt(dim of a head) */
};
HEED_API heed_value heed_block_shared_attention(heed_pipeline *pipeline, heed_value x, heed_value y,
                                                const struct heed_block_shared_attention_desc *desc, heed_value *y_out);

/* Learned queries over any number of tokens (Lee et al. 2019, PMA; Jaegle et al. 2021, Perceiver): attention of `seeds`
 * [batch][n][features] to x, then feed-forward where it has weights. */
struct heed_block_pooling_desc {
    size_t struct_size;
    struct heed_block_attention_desc attention;
    struct heed_block_feed_forward_desc feed_forward;
};
HEED_API heed_value heed_block_pooling(heed_pipeline *pipeline, heed_value seeds, heed_value x,
                                       const struct heed_block_pooling_desc *desc);

/* A layer of the two-way transformer (Kirillov et al. 2023, SAM): tokens attend to themselves, to the image;
 * feed-forward; the image attends to the tokens. Positions are added to queries and keys of every attention but, with
 * `first`, the self attention, which then also replaces its input. Norms are the descriptors' post norms. *image_out is
 * the image's. */
struct heed_block_two_way_desc {
    size_t struct_size;
    bool first;
    heed_value token_pos, image_pos;
    struct heed_block_attention_desc self, token_to_image, image_to_token;
    struct heed_block_feed_forward_desc feed_forward;
};
HEED_API heed_value heed_block_two_way(heed_pipeline *pipeline, heed_value tokens, heed_value image,
                                       const struct heed_block_two_way_desc *desc, heed_value *image_out);

/* The whole two-way transformer: `depth` layers, of which the first is `first`, then once more attention of the tokens
 * to the image, with its residual and post norm. *image_out is what the last layer made of the image. */
struct heed_block_two_way_transformer_desc {
    size_t struct_size;
    uint32_t depth;                               /* 0..64 */
    const struct heed_block_two_way_desc *layers; /* `depth` of them; their first, token_pos and image_pos do not count */
    heed_value token_pos, image_pos;              /* of every layer; token_pos none: the tokens themselves, as in SAM */
    struct heed_block_attention_desc final;       /* of tokens to the image */
};
HEED_API heed_value heed_block_two_way_transformer(heed_pipeline *pipeline, heed_value tokens, heed_value image,
                                                   const struct heed_block_two_way_transformer_desc *desc,
                                                   heed_value *image_out);

/* The multi-scale deformable attention module (Zhu et al. 2021): value projection of memory
 * [batch][len_value][features], offset and weight heads on x + x_pos, sampling around `reference` [batch][len_q][levels
 * or 1][2, or 4 for boxes], output projection, residual, norm. `deform`: levels and points; input is
 * HEED_DEFORM_OFFSETS. value_scale: f32 [batch or 1][len_value][1], times the projected values: 0 where memory is
 * padding. */
struct heed_block_deform_desc {
    size_t struct_size;
    uint32_t heads;
    heed_value w_value, b_value, w_offset, b_offset, w_weight, b_weight, wo, bo;
    heed_value x_pos, reference, value_scale;
    const struct heed_deform_desc *deform;
    struct heed_norm post;
    bool no_residual;
    enum heed_dtype dtype; /* of value and o */
};
HEED_API heed_value heed_block_deform(heed_pipeline *pipeline, heed_value x, heed_value memory,
                                      const struct heed_block_deform_desc *desc);

/* A decoder layer of the DETR family (Zhu et al. 2021): self-attention, deformable attention, feed-forward. */
struct heed_block_deform_decoder_desc {
    size_t struct_size;
    struct heed_block_attention_desc self;
    struct heed_block_deform_desc cross;
    struct heed_block_feed_forward_desc feed_forward;
};
HEED_API heed_value heed_block_deform_decoder(heed_pipeline *pipeline, heed_value x, heed_value memory,
                                              const struct heed_block_deform_decoder_desc *desc);

/* Attention to deformed points (Xia et al. 2022, DAT: Vision Transformer with Deformable Attention). x is an image,
 * [batch][height * width][features], and each of `groups` equal parts of its features moves a grid of points of its own:
 *
 *     q       = x Wq + bq
 *     offset  = range * tanh(w_offset GELU(norm(depth-wise convolution of the group's part of q)))
 *     p       = reference + offset                       the group's points: as many as the convolution has positions
 *     z       = the group's part of x, sampled at p      bilinear, 0 outside
 *     k, v    = z Wk + bk, z Wv + bv
 *     y       = x + (softmax(q k^T / sqrt(dim of a head) + B) v) Wo + bo
 *     B       = table[head] sampled at (place of the query - p) / 2 + 1/2
 *
 * Places are 0..1, from the centre of the first pixel to that of the last along each axis, x before y: PyTorch's -1..1
 * with align_corners. Heads are of groups in their order, heads / groups each. DAT's own code has reference
 * (i + 1/2) / (n - 1) and range factor / (n - 1) / 2 for n points along an axis, no biases of w_offset, and
 * the rows of w_offset for y and x; epsilon is 1e-5. DAT without no_off, dwc_pe, fixed_pe and log_cpb, and in evaluation.
 *
 *   conv        f32, f16, bf16 [features / groups][1][kernel][kernel], and conv_bias f32 [features / groups]
 *   w_offset    [2][features / groups]: x, y
 *   range       f32 [2]: x, y
 *   reference   f32 [points][2], rows of points one after the other
 *   query_place f32 [height * width][2]: 1/2 + half the place of each query; without a table: none
 *   table       f32 [heads][2 height - 1][2 width - 1], as PyTorch keeps it; none: no B
 *
 * The result is f32, like those of the other blocks. */
struct heed_block_dat_desc {
    size_t struct_size;
    uint32_t height, width, heads, groups; /* groups 0 = 1 */
    uint32_t stride, padding;              /* of the convolution, along both axes; stride 0 = 1. DAT: kernel / 2 */
    struct heed_projections weights;       /* wv none: values are the keys */
    heed_value conv, conv_bias, w_offset, range, reference;
    struct heed_norm norm; /* of the convolution's result */
    heed_value table, query_place;
    struct heed_norm pre; /* of x; the residual is x itself */
    bool no_residual;
    enum heed_dtype dtype; /* of what lies between the ops, but places and B */
};
HEED_API heed_value heed_block_dat(heed_pipeline *pipeline, heed_value x, const struct heed_block_dat_desc *desc);

#ifdef __cplusplus
}
#endif
#endif
