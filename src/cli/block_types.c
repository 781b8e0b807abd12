/* SPDX-License-Identifier: MIT
 * The types of heed block: which tensors each takes, by what name, and which block of heed_blocks.h it is. */
#include "block_keys.h"

#include <string.h>

static const heed_value none = {0};
static const struct block_when always = {true, NULL, NULL};

/* ---- parts */

static struct heed_norm norm(struct block_build *b, const char *prefix, const char *dim, struct block_when when)
{
    const heed_value gain = block_tensor(b, BLOCK_F32, prefix, "weight", dim, when);
    return (struct heed_norm){gain, block_tensor(b, BLOCK_F32, prefix, "bias", dim, when), b->config->epsilon};
}

/* Sets the one that the configuration wants. */
static void norm_by_config(struct block_build *b, const char *prefix, const char *dim, struct heed_norm *pre,
                           struct heed_norm *post)
{
    const struct block_when when = {b->config->norm != BLOCK_NORM_NONE, "norm", "unless \"norm\" is \"none\""};
    *(b->config->norm == BLOCK_NORM_PRE ? pre : post) = norm(b, prefix, dim, when);
}

/* A matrix [out][in] and its bias. */
static void linear(struct block_build *b, const char *prefix, const char *name, const char *out, const char *in,
                   struct block_when there, heed_value *weight, heed_value *bias)
{
    char full[64], shape[64];
    snprintf(full, sizeof full, "%s.weight", name);
    snprintf(shape, sizeof shape, "%s %s", out, in);
    *weight = block_tensor(b, BLOCK_FLOATS, prefix, full, shape, there);
    snprintf(full, sizeof full, "%s.bias", name);
    const struct block_when when = {there.holds && b->config->bias, "bias", "with \"bias\": true"};
    *bias = block_tensor(b, BLOCK_F32, prefix, full, out, when);
}

/* One attention: names before its tensors and those of its norm, and the symbols of its shapes. */
struct attention_names {
    const char *prefix, *norm; /* norm NULL: there is none */
    const char *rows, *dim, *keys, *memory;
    bool bare; /* as in SAM: no mask, and each projection has its own matrix */
};

/* queries, keys and values in one matrix, as torch.nn.MultiheadAttention keeps them. */
static void fused_projections(struct block_build *b, const struct attention_names *n, struct heed_projections *w)
{
    heed_value *const weights[] = {&w->wq, &w->wk, &w->wv}, *const biases[] = {&w->bq, &w->bk, &w->bv};
    char shape[64];
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(shape, sizeof shape, ".inner %s", i == 0 ? n->dim : n->memory);
        *weights[i] = block_part(b, n->prefix, "in_proj_weight", shape, i, 3);
        if (b->config->bias)
            *biases[i] = block_part(b, n->prefix, "in_proj_bias", ".inner", i, 3);
    }
}

static struct heed_block_attention_desc attention(struct block_build *b, const struct attention_names *n)
{
    const struct block_config *c = b->config;
    struct heed_block_attention_desc d = {
        .struct_size = sizeof d, .heads = c->heads, .no_residual = !c->residual, .dtype = (enum heed_dtype)c->dtype};
    struct heed_projections *w = &d.weights;
    const bool fused = !n->bare && block_has(b, n->prefix, "in_proj_weight");
    char shape[160];
    if (!fused) {
        linear(b, n->prefix, "q_proj", ".inner", n->dim, always, &w->wq, &w->bq);
        linear(b, n->prefix, "k_proj", ".inner", n->memory, always, &w->wk, &w->bk);
        linear(b, n->prefix, "v_proj", ".inner_v", n->memory, always, &w->wv, &w->bv);
    }
    if (fused || (!b->file && !n->bare))
        fused_projections(b, n, w);
    linear(b, n->prefix, "out_proj", n->dim, fused ? ".inner" : ".inner_v", always, &w->wo, &w->bo);
    block_expect_multiple(b, n->prefix, ".inner", "heads");
    block_expect_multiple(b, n->prefix, ".inner_v", "heads");
    if (n->norm)
        norm_by_config(b, n->norm, n->dim, &d.pre, &d.post);
    snprintf(shape, sizeof shape, "batch|1 heads|1 %s|1 %s", n->rows, n->keys);
    if (!n->bare)
        d.attend.mask = block_optional(b, BLOCK_MASK, n->prefix, "mask", shape,
                                       "optional: true may attend, numbers are added to the scores");
    return d;
}

static struct heed_block_feed_forward_desc feed_forward(struct block_build *b, const char *prefix, const char *first,
                                                        const char *second, const char *norm_prefix,
                                                        struct block_when when)
{
    const struct block_config *c = b->config;
    struct heed_block_feed_forward_desc d = {.struct_size = sizeof d,
                                             .activation = (enum heed_activation)(HEED_RELU + c->activation),
                                             .dtype = (enum heed_dtype)c->dtype};
    linear(b, prefix, first, ".hidden", "dim", when, &d.w1, &d.b1);
    linear(b, prefix, second, "dim", ".hidden", when, &d.w2, &d.b2);
    if (when.holds)
        norm_by_config(b, norm_prefix, "dim", &d.pre, &d.post);
    return d;
}

static heed_value gate_matrix(struct block_build *b)
{
    return block_tensor(b, BLOCK_FLOATS, "", "linear_gate.weight", "hidden dim",
                        (struct block_when){b->config->gated, "gated", "with \"gated\": true"});
}

static heed_value input(struct block_build *b, const char *name, const char *shape)
{
    return block_tensor(b, BLOCK_FLOATS, "", name, shape, always);
}

static heed_value position(struct block_build *b, const char *name, const char *shape)
{
    return block_optional(b, BLOCK_FLOATS, "", name, shape, "optional: added to what queries and keys are made of");
}

/* ---- one attention */

static void set_terms(const struct block_build *b, struct heed_block_attention_desc *d)
{
    d->attend.scale = b->config->scale;
    d->attend.causal = b->config->causal > 0;
    if (d->attend.causal)
        d->attend.diagonal = (enum heed_diagonal)(b->config->causal - 1);
}

static void build_attention(struct block_build *b, bool self)
{
    const struct attention_names names = {
        "", "norm.", "rows", "dim", self ? "rows" : "keys", self ? "dim" : "memory_dim", false};
    block_set_length(b, "heads", b->config->heads);
    const heed_value x = input(b, "x", "batch rows dim");
    const heed_value memory = self ? none : input(b, "memory", "batch keys memory_dim");
    const heed_value x_pos = position(b, "x_pos", "batch|1 rows dim");
    const heed_value memory_pos = self ? none : position(b, "memory_pos", "batch|1 keys memory_dim");
    struct heed_block_attention_desc d = attention(b, &names);
    d.x_pos = x_pos;
    d.memory_pos = memory_pos;
    d.gate = block_tensor(b, BLOCK_F32, "", "gate", "1",
                          (struct block_when){b->config->gate, "gate", "with \"gate\": true"});
    set_terms(b, &d);
    block_output(b, "y", heed_block_attention(b->pipeline, x, memory, &d), "batch rows dim");
}

static const struct config_key attention_keys[] = {
    KEY_HEADS, KEY_BIAS, KEY_NORM("\"none\""), KEY_EPSILON, KEY_RESIDUAL, KEY_GATE, KEY_CAUSAL, KEY_SCALE, KEY_DTYPE};

static void build_cross_attention(struct block_build *b)
{
    build_attention(b, false);
}

static void build_self_attention(struct block_build *b)
{
    build_attention(b, true);
}

/* ---- feed-forward, decoder layer, pooling */

static const struct config_key feed_forward_keys[] = {
    KEY_BIAS, KEY_NORM("\"none\""), KEY_EPSILON, KEY_ACTIVATION, KEY_GATED, KEY_DTYPE};

static void build_feed_forward(struct block_build *b)
{
    const heed_value x = input(b, "x", "batch rows dim");
    struct heed_block_feed_forward_desc d = feed_forward(b, "", "linear1", "linear2", "norm.", always);
    d.w_gate = gate_matrix(b);
    block_output(b, "y", heed_block_feed_forward(b->pipeline, x, &d), "batch rows dim");
}

static const struct config_key decoder_keys[] = {
    KEY_HEADS, KEY_BIAS, KEY_NORM("\"post\""), KEY_EPSILON, KEY_CAUSAL, KEY_ACTIVATION, KEY_GATED, KEY_DTYPE};

static void build_decoder_layer(struct block_build *b)
{
    const struct attention_names self = {"self_attn.", "norm1.", "rows", "dim", "rows", "dim", false},
                                 cross = {"multihead_attn.", "norm2.", "rows", "dim", "keys", "memory_dim", false};
    block_set_length(b, "heads", b->config->heads);
    const heed_value x = input(b, "x", "batch rows dim"), memory = input(b, "memory", "batch keys memory_dim");
    const heed_value x_pos = position(b, "x_pos", "batch|1 rows dim");
    const heed_value memory_pos = position(b, "memory_pos", "batch|1 keys memory_dim");
    struct heed_block_decoder_layer_desc d = {.struct_size = sizeof d};
    d.self = attention(b, &self);
    set_terms(b, &d.self);
    d.cross = attention(b, &cross);
    d.self.x_pos = d.cross.x_pos = x_pos;
    d.cross.memory_pos = memory_pos;
    d.feed_forward = feed_forward(b, "", "linear1", "linear2", "norm3.", always);
    d.feed_forward.w_gate = gate_matrix(b);
    block_output(b, "y", heed_block_decoder_layer(b->pipeline, x, memory, &d), "batch rows dim");
}

#define KEY_FEED_FORWARD                                                                                               \
    {                                                                                                                  \
        CONFIG_FLAG, "feed_forward", "true", "a feed-forward part follows", AT(feed_forward), 0, 0, 0, NULL            \
    }
static const struct config_key pooling_keys[] = {KEY_HEADS,    KEY_BIAS,         KEY_NORM("\"post\""), KEY_EPSILON,
                                                 KEY_RESIDUAL, KEY_FEED_FORWARD, KEY_ACTIVATION,       KEY_DTYPE};

static void build_pooling(struct block_build *b)
{
    const struct attention_names names = {"attn.", "norm1.", "seeds", "dim", "rows", "x_dim", false};
    block_set_length(b, "heads", b->config->heads);
    const heed_value x = input(b, "x", "batch rows x_dim"), seeds = input(b, "seeds", "batch seeds dim");
    const struct block_when when = {b->config->feed_forward, "feed_forward", "with \"feed_forward\": true"};
    struct heed_block_pooling_desc d = {.struct_size = sizeof d, .attention = attention(b, &names)};
    d.feed_forward = feed_forward(b, "", "linear1", "linear2", "norm2.", when);
    block_output(b, "y", heed_block_pooling(b->pipeline, seeds, x, &d), "batch seeds dim");
}

/* ---- two streams */

static const struct config_key co_attention_keys[] = {KEY_HEADS, KEY_BIAS, KEY_NORM("\"post\""), KEY_EPSILON,
                                                      KEY_DTYPE};

static void build_co_attention(struct block_build *b)
{
    const struct attention_names x_to_y = {"x_to_y.", "x_to_y.norm.", "rows_x", "dim_x", "rows_y", "dim_y", false},
                                 y_to_x = {"y_to_x.", "y_to_x.norm.", "rows_y", "dim_y", "rows_x", "dim_x", false};
    block_set_length(b, "heads", b->config->heads);
    const heed_value x = input(b, "x", "batch rows_x dim_x"), y = input(b, "y", "batch rows_y dim_y");
    struct heed_block_co_attention_desc d = {.struct_size = sizeof d};
    d.x_to_y = attention(b, &x_to_y);
    d.y_to_x = attention(b, &y_to_x);
    heed_value y_out = none;
    const heed_value x_out = heed_block_co_attention(b->pipeline, x, y, &d, &y_out);
    block_output(b, "x_out", x_out, "batch rows_x dim_x");
    block_output(b, "y_out", y_out, "batch rows_y dim_y");
}

static const struct config_key shared_keys[] = {KEY_HEADS, KEY_BIAS, KEY_SCALE};

static void build_shared_attention(struct block_build *b)
{
    block_set_length(b, "heads", b->config->heads);
    const heed_value x = input(b, "x", "batch rows_x dim_x"), y = input(b, "y", "batch rows_y dim_y");
    struct heed_block_shared_attention_desc d = {
        .struct_size = sizeof d, .heads = b->config->heads, .scale = b->config->scale};
    linear(b, "", "x_proj", "inner", "dim_x", always, &d.wx, &d.bx);
    linear(b, "", "y_proj", "inner", "dim_y", always, &d.wy, &d.by);
    linear(b, "", "x_values", "inner_v", "dim_x", always, &d.vx, &d.bvx);
    linear(b, "", "y_values", "inner_v", "dim_y", always, &d.vy, &d.bvy);
    linear(b, "", "x_out_proj", "dim_x", "inner_v", always, &d.ox, &d.box);
    linear(b, "", "y_out_proj", "dim_y", "inner_v", always, &d.oy, &d.boy);
    block_expect_multiple(b, "", "inner", "heads");
    block_expect_multiple(b, "", "inner_v", "heads");
    heed_value y_out = none;
    const heed_value x_out = heed_block_shared_attention(b->pipeline, x, y, &d, &y_out);
    block_output(b, "x_out", x_out, "batch rows_x dim_x");
    block_output(b, "y_out", y_out, "batch rows_y dim_y");
}

/* ---- the two-way transformer */

static struct heed_block_two_way_desc two_way_layer(struct block_build *b, const char *layer)
{
    char self[64], to_image[64], to_tokens[64], mlp[64], norms[4][32];
    snprintf(self, sizeof self, "%sself_attn.", layer);
    snprintf(to_image, sizeof to_image, "%scross_attn_token_to_image.", layer);
    snprintf(to_tokens, sizeof to_tokens, "%scross_attn_image_to_token.", layer);
    snprintf(mlp, sizeof mlp, "%smlp.", layer);
    for (int i = 0; i < 4; i++)
        snprintf(norms[i], sizeof norms[i], "%snorm%d.", layer, i + 1);
    const struct attention_names of_self = {self, norms[0], "tokens", "dim", "tokens", "dim", true},
                                 of_image = {to_image, norms[1], "tokens", "dim", "pixels", "dim", true},
                                 of_tokens = {to_tokens, norms[3], "pixels", "dim", "tokens", "dim", true};
    struct heed_block_two_way_desc d = {.struct_size = sizeof d};
    d.self = attention(b, &of_self);
    d.token_to_image = attention(b, &of_image);
    d.feed_forward = feed_forward(b, mlp, "lin1", "lin2", norms[2], always);
    d.image_to_token = attention(b, &of_tokens);
    return d;
}

#define KEY_FIRST                                                                                                      \
    {                                                                                                                  \
        CONFIG_FLAG, "first", "false", "it is the first layer: self attention without positions and residual",         \
            AT(first), 0, 0, 0, NULL                                                                                   \
    }
static const struct config_key two_way_keys[] = {KEY_HEADS, KEY_FIRST, KEY_EPSILON, KEY_ACTIVATION, KEY_DTYPE};
static const struct config_key transformer_keys[] = {KEY_HEADS, KEY_DEPTH, KEY_EPSILON, KEY_ACTIVATION, KEY_DTYPE};

static const char tokens_shape[] = "batch tokens dim", image_shape[] = "batch pixels dim",
                  image_pos_shape[] = "batch|1 pixels dim";

static void build_two_way(struct block_build *b)
{
    block_set_length(b, "heads", b->config->heads);
    const heed_value tokens = input(b, "tokens", tokens_shape), image = input(b, "image", image_shape);
    const heed_value token_pos = input(b, "token_pos", "batch|1 tokens dim");
    const heed_value image_pos = input(b, "image_pos", image_pos_shape);
    struct heed_block_two_way_desc d = two_way_layer(b, "");
    d.first = b->config->first;
    d.token_pos = token_pos;
    d.image_pos = image_pos;
    heed_value image_out = none;
    const heed_value tokens_out = heed_block_two_way(b->pipeline, tokens, image, &d, &image_out);
    block_output(b, "tokens_out", tokens_out, tokens_shape);
    block_output(b, "image_out", image_out, image_shape);
}

static void build_two_way_transformer(struct block_build *b)
{
    const struct attention_names final = {
        "final_attn_token_to_image.", "norm_final_attn.", "tokens", "dim", "pixels", "dim", false};
    struct heed_block_two_way_desc layers[64];
    block_set_length(b, "heads", b->config->heads);
    const heed_value tokens = input(b, "tokens", tokens_shape), image = input(b, "image", image_shape);
    struct heed_block_two_way_transformer_desc d = {
        .struct_size = sizeof d, .depth = b->config->depth, .layers = layers};
    d.image_pos = input(b, "image_pos", image_pos_shape);
    for (uint32_t i = 0; i < b->config->depth; i++) {
        char prefix[32] = "layers.N.";
        if (b->file)
            snprintf(prefix, sizeof prefix, "layers.%u.", (unsigned)i);
        layers[i] = two_way_layer(b, prefix);
    }
    d.final = attention(b, &final);
    heed_value image_out = none;
    const heed_value tokens_out = heed_block_two_way_transformer(b->pipeline, tokens, image, &d, &image_out);
    block_output(b, "tokens_out", tokens_out, tokens_shape);
    block_output(b, "image_out", image_out, image_shape);
}

/* ---- deformable attention */

/* Levels and points as the configuration has them. */
static void set_levels(struct block_build *b, struct heed_deform_desc *deform)
{
    const struct block_config *c = b->config;
    uint64_t pixels = 0, points = 0;
    *deform = (struct heed_deform_desc)HEED_DEFORM_DESC_INIT;
    deform->input = HEED_DEFORM_OFFSETS;
    deform->level_count = c->level_count;
    for (uint32_t l = 0; l < c->level_count; l++) {
        deform->levels[l] = c->levels[l];
        deform->levels[l].points = c->points[c->point_count > 0 ? l : 0];
        pixels += (uint64_t)c->levels[l].height * c->levels[l].width;
        points += deform->levels[l].points;
    }
    block_set_length(b, "heads", c->heads);
    block_set_length(b, "levels", c->level_count);
    block_set_length(b, "pixels", pixels);
    block_set_length(b, "weights", c->heads * points);
    block_set_length(b, "offsets", 2 * c->heads * points);
}

/* `deform` must live until the block is made. */
static struct heed_block_deform_desc deform_part(struct block_build *b, const char *prefix, const char *norm_prefix,
                                                 struct heed_deform_desc *deform)
{
    const struct block_config *c = b->config;
    struct heed_block_deform_desc d = {.struct_size = sizeof d,
                                       .heads = c->heads,
                                       .deform = deform,
                                       .no_residual = !c->residual,
                                       .dtype = (enum heed_dtype)c->dtype};
    linear(b, prefix, "value_proj", ".inner", "memory_dim", always, &d.w_value, &d.b_value);
    linear(b, prefix, "sampling_offsets", "offsets", "dim", always, &d.w_offset, &d.b_offset);
    linear(b, prefix, "attention_weights", "weights", "dim", always, &d.w_weight, &d.b_weight);
    linear(b, prefix, "output_proj", "dim", ".inner", always, &d.wo, &d.bo);
    block_expect_multiple(b, prefix, ".inner", "heads");
    struct heed_norm no_pre;
    norm_by_config(b, norm_prefix, "dim", &no_pre, &d.post);
    return d;
}

struct deform_inputs {
    heed_value x, memory, x_pos, reference, memory_scale;
};

static struct deform_inputs deform_inputs(struct block_build *b, struct heed_deform_desc *deform)
{
    set_levels(b, deform);
    struct deform_inputs in = {
        .x = input(b, "x", "batch rows dim"),
        .memory = input(b, "memory", "batch pixels memory_dim"),
        .x_pos = position(b, "x_pos", "batch|1 rows dim"),
        .reference = block_tensor(b, BLOCK_F32, "", "reference", "batch rows levels|1 2|4", always),
        .memory_scale = block_optional(b, BLOCK_F32, "", "memory_scale", "batch|1 pixels 1",
                                       "optional: times the projected values; 0 where memory is padding"),
    };
    struct heed_shape shape = {.axes = 0};
    enum heed_dtype dtype;
    if (in.reference.id && heed_pipeline_get_shape(b->pipeline, in.reference, &shape, &dtype) == HEED_OK) {
        deform->reference_per_level = shape.length[2] == deform->level_count;
        deform->reference_boxes = shape.length[3] == 4;
        deform->offset_scale = deform->reference_boxes ? b->config->offset_scale : 0;
    }
    return in;
}

static const struct config_key deform_keys[] = {KEY_HEADS,        KEY_LEVELS,   KEY_POINTS,
                                                KEY_OFFSET_SCALE, KEY_BIAS,     KEY_POST_NORM("\"none\""),
                                                KEY_EPSILON,      KEY_RESIDUAL, KEY_DTYPE};

static void build_deform_attention(struct block_build *b)
{
    struct heed_deform_desc deform;
    const struct deform_inputs in = deform_inputs(b, &deform);
    struct heed_block_deform_desc d = deform_part(b, "", "norm.", &deform);
    d.x_pos = in.x_pos;
    d.reference = in.reference;
    d.value_scale = in.memory_scale;
    block_output(b, "y", heed_block_deform(b->pipeline, in.x, in.memory, &d), "batch rows dim");
}

static const struct config_key deform_decoder_keys[] = {
    KEY_HEADS,   KEY_LEVELS,     KEY_POINTS, KEY_OFFSET_SCALE, KEY_BIAS, KEY_POST_NORM("\"post\""),
    KEY_EPSILON, KEY_ACTIVATION, KEY_GATED,  KEY_DTYPE};

static void build_deform_decoder(struct block_build *b)
{
    const struct attention_names self = {"self_attn.", "self_attn_norm.", "rows", "dim", "rows", "dim", false};
    struct heed_deform_desc deform;
    const struct deform_inputs in = deform_inputs(b, &deform);
    struct heed_block_deform_decoder_desc d = {.struct_size = sizeof d};
    d.self = attention(b, &self);
    d.cross = deform_part(b, "cross_attn.", "cross_attn_norm.", &deform);
    d.feed_forward = feed_forward(b, "", "linear1", "linear2", "ffn_norm.", always);
    d.feed_forward.w_gate = gate_matrix(b);
    d.self.x_pos = d.cross.x_pos = in.x_pos;
    d.cross.reference = in.reference;
    d.cross.value_scale = in.memory_scale;
    block_output(b, "y", heed_block_deform_decoder(b->pipeline, in.x, in.memory, &d), "batch rows dim");
}

/* ---- all of them */

#define KEYS(keys) keys, sizeof(keys) / sizeof *(keys)

const struct block_type block_types[] = {
    {"cross-attention", "attention of x to memory, with its projections", KEYS(attention_keys), build_cross_attention,
     "A state_dict of torch.nn.MultiheadAttention (kdim and vdim as embed_dim) fits as it is, with \"residual\": "
     "false."},
    {"self-attention", "attention of x to itself, with its projections", KEYS(attention_keys), build_self_attention,
     "A state_dict of torch.nn.MultiheadAttention fits as it is, with \"residual\": false."},
    {"feed-forward", "two linear layers with an activation between them", KEYS(feed_forward_keys), build_feed_forward,
     NULL},
    {"decoder-layer", "self-attention, attention to memory, feed-forward", KEYS(decoder_keys), build_decoder_layer,
     "A state_dict of torch.nn.TransformerDecoderLayer fits as it is; its norm_first=True is \"norm\": \"pre\"."},
    {"co-attention", "two streams that attend to each other (ViLBERT)", KEYS(co_attention_keys), build_co_attention,
     NULL},
    {"co-attention-shared", "two streams over one matrix of scores (Grounding DINO's fusion)", KEYS(shared_keys),
     build_shared_attention,
     "Of Grounding DINO's BiMultiHeadAttention, x being the image: v_proj is x_proj, l_proj y_proj, values_v_proj "
     "x_values, values_l_proj y_values, out_v_proj x_out_proj, out_l_proj y_out_proj. Its norms and gammas are around "
     "it."},
    {"learned-query-pooling", "attention of learned seeds to x (PMA, Perceiver)", KEYS(pooling_keys), build_pooling,
     NULL},
    {"two-way", "a layer of SAM's two-way transformer", KEYS(two_way_keys), build_two_way,
     "Names are those of segment-anything: a state_dict of TwoWayAttentionBlock fits as it is. In SAM 2 mlp.layers.0 "
     "is "
     "mlp.lin1, and mlp.layers.1 is mlp.lin2; in transformers layer_normI is normI, and epsilon is 1e-6. image and "
     "image_pos are features.flatten(2).transpose(1, 2).contiguous()."},
    {"two-way-transformer", "SAM's whole two-way transformer", KEYS(transformer_keys), build_two_way_transformer,
     "Names are those of segment-anything: a state_dict of TwoWayTransformer fits as it is; tokens are their own "
     "positions, as there. For SAM 2, transformers and image see heed block --type two-way --help; in transformers "
     "layer_norm_final_attn is norm_final_attn."},
    {"deform-attention", "multi-scale deformable attention with its projections", KEYS(deform_keys),
     build_deform_attention,
     "offsets is 2 heads points, weights heads points, counting the points of all levels. A state_dict of MSDeformAttn "
     "(Deformable DETR, DINO, Mask2Former) fits as it is, with \"residual\": false. reference holds points x, y or "
     "boxes "
     "x, y, width, height from 0 to 1."},
    {"deform-decoder", "a decoder layer of the DETR family with deformable attention", KEYS(deform_decoder_keys),
     build_deform_decoder,
     "offsets is 2 heads points, weights heads points, counting the points of all levels. reference holds points x, y "
     "or "
     "boxes x, y, width, height from 0 to 1. Names are those of Deformable DETR but for the norms, which models number "
     "differently: norm2 is self_attn_norm, norm1 cross_attn_norm, norm3 ffn_norm in Deformable DETR and DINO; norm1 "
     "is "
     "self_attn_norm, norm2 cross_attn_norm, norm3 ffn_norm in RT-DETR, whose num_points list is points and whose "
     "num_points_scale is left out."},
    {"dat", "DAT's attention to deformed points", block_dat_keys, BLOCK_DAT_KEYS, block_build_dat,
     "part is dim / groups; table_height is 2 height - 1, table_width 2 width - 1. A state_dict of DAttentionBaseline "
     "with "
     "use_pe, and without no_off, dwc_pe, fixed_pe and log_cpb, fits as it is, with \"residual\": false; x is the "
     "image's "
     "flatten(2).transpose(1, 2).contiguous(). Newer code pads by 0 where kernel and stride are equal."},
};
const size_t block_type_count = sizeof block_types / sizeof *block_types;
