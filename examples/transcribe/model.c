/* SPDX-License-Identifier: MIT
 * Whisper as pipelines: the encoder in one recording, and each step of the decoder in one. Radford et al. 2022, with
 * GELU by its tanh formula as whisper.cpp has it. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <heed/heed_pipeline.h>

#include "../stereo/picture.h"
#include "mel.h"

enum { NAME = 64 };

static const heed_value none = {0};

/* A plan and its arguments, the weights among them, which lie in device memory from the start. */
struct block {
    heed_pipeline *pipeline;
    heed_plan *plan;
    struct heed_arg *args;
    char (*names)[NAME];
    uint32_t count, room;
};

struct model {
    heed_context *context;
    heed_device *device;
    uint32_t vocabulary, state, mels, audio_context, layers, heads;
    struct block encoder, decoder;
};

/* ---- arguments */

/* NULL, and the pipeline fails, where there is no memory. */
static struct heed_arg *add_arg(struct block *block, const char *name, heed_buffer *buffer)
{
    if (block->count == block->room) {
        uint32_t room = 2 * block->room + 64;
        struct heed_arg *args = realloc(block->args, room * sizeof *args);
        char(*names)[NAME] = args != NULL ? realloc(block->names, room * sizeof *names) : NULL;
        block->args = args != NULL ? args : block->args;
        if (names == NULL)
            return NULL;
        block->names = names;
        block->room = room;
    }
    snprintf(block->names[block->count], NAME, "%s", name);
    block->args[block->count] = (struct heed_arg){.buffer = buffer};
    return &block->args[block->count++];
}

static heed_buffer *find_buffer(const struct block *block, const char *name)
{
    for (uint32_t i = 0; i < block->count; i++)
        if (strcmp(block->names[i], name) == 0)
            return block->args[i].buffer;
    return NULL;
}

static bool add_buffer(struct model *model, struct block *block, const char *name, const void *data, uint64_t bytes)
{
    heed_buffer *buffer = NULL;
    if (heed_buffer_create(model->device, (bytes + 3) / 4 * 4, &buffer) != HEED_OK)
        return false;
    if ((data != NULL && heed_buffer_write(buffer, 0, data, bytes) != HEED_OK) ||
        add_arg(block, name, buffer) == NULL) {
        heed_buffer_destroy(&buffer);
        return false;
    }
    return true;
}

/* ---- weights */

static enum heed_dtype dtype_of(const struct ggml_tensor *tensor)
{
    return tensor->type == GGML_F32 ? HEED_F32 : tensor->type == GGML_F16 ? HEED_F16 : HEED_Q8_0;
}

/* A tensor of the file as it lies there: its axes are those of heed in the other order. */
static heed_value weight(struct model *model, struct block *block, const struct ggml_model *file, const char *name,
                         uint32_t layer)
{
    const struct ggml_tensor *tensor = ggml_find(file, name, layer);
    if (!add_buffer(model, block, tensor->name, tensor->data, tensor->bytes))
        return none;
    const uint32_t *length = tensor->shape;
    struct heed_shape shape = tensor->rank == 3   ? heed_shape_3(length[2], length[1], length[0])
                              : length[0] == 1    ? heed_shape_1(length[1]) /* a bias of a convolution */
                              : tensor->rank == 2 ? heed_shape_2(length[1], length[0])
                                                  : heed_shape_1(length[0]);
    return heed_pipeline_input(block->pipeline, tensor->name, dtype_of(tensor), shape);
}

/* ---- layers, each before its norm: x + f(norm(x)) */

struct layer {
    struct model *model;
    struct block *block;
    const struct ggml_model *file;
    const char *part;
    uint32_t number;
};

static heed_value of_layer(const struct layer *layer, const char *name)
{
    char format[2 * NAME];
    snprintf(format, sizeof format, "%s.blocks.%%u.%s", layer->part, name);
    return weight(layer->model, layer->block, layer->file, format, layer->number);
}

static heed_value norm(const struct layer *layer, heed_value x, const char *name)
{
    char gain[NAME], bias[NAME];
    snprintf(gain, sizeof gain, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    return heed_layer_norm(layer->block->pipeline, x,
                           HEED_DESC(layer_norm, .gain = of_layer(layer, gain), .bias = of_layer(layer, bias)));
}

static heed_value linear(const struct layer *layer, heed_value x, const char *name, bool biased,
                         enum heed_activation activation, heed_value residual)
{
    char matrix[NAME], bias[NAME];
    snprintf(matrix, sizeof matrix, "%s.weight", name);
    snprintf(bias, sizeof bias, "%s.bias", name);
    return heed_linear(layer->block->pipeline, x, of_layer(layer, matrix),
                       HEED_DESC(linear, .bias = biased ? of_layer(layer, bias) : none, .activation = activation,
                                 .residual = residual));
}

static heed_value heads(const struct layer *layer, heed_value x)
{
    return heed_split_heads(layer->block->pipeline, x, layer->model->heads);
}

static heed_value feed_forward(const struct layer *layer, heed_value x)
{
    heed_value h = linear(layer, norm(layer, x, "mlp_ln"), "mlp.0", true, HEED_GELU_TANH, none);
    return linear(layer, h, "mlp.2", true, HEED_ACTIVATION_NONE, x);
}

static heed_value encoder_layer(const struct layer *layer, heed_value x)
{
    heed_pipeline *p = layer->block->pipeline;
    heed_value h = norm(layer, x, "attn_ln");
    heed_value q = linear(layer, h, "attn.query", true, HEED_ACTIVATION_NONE, none);
    heed_value k = linear(layer, h, "attn.key", false, HEED_ACTIVATION_NONE, none);
    heed_value v = linear(layer, h, "attn.value", true, HEED_ACTIVATION_NONE, none);
    heed_value o = heed_attend(p, heads(layer, q), heads(layer, k), heads(layer, v), NULL);
    x = linear(layer, heed_merge_heads(p, o), "attn.out", true, HEED_ACTIVATION_NONE, x);
    return feed_forward(layer, x);
}

/* at: where the token's key and value go in the caches; length: how many there are then. */
static heed_value decoder_layer(const struct layer *layer, heed_value x, heed_value at, heed_value length)
{
    heed_pipeline *p = layer->block->pipeline;
    const struct model *model = layer->model;
    uint32_t n = layer->number;
    char name[NAME];
    heed_value cache[2], cross[2], look = none;
    for (int i = 0; i < 2; i++) {
        struct heed_shape shape = heed_shape_3(1, layer->file->text_context, model->state);
        snprintf(name, sizeof name, "cache %u %c", n, "kv"[i]);
        cache[i] = heed_pipeline_state(p, name, HEED_F32, shape);
        snprintf(name, sizeof name, "sound %u %c", n, "kv"[i]);
        cross[i] = heed_pipeline_input(p, name, HEED_F32, heed_shape_3(1, model->audio_context, model->state));
    }
    heed_value h = norm(layer, x, "attn_ln");
    heed_value q = linear(layer, h, "attn.query", true, HEED_ACTIVATION_NONE, none);
    heed_value k = heed_append(p, cache[0], linear(layer, h, "attn.key", false, HEED_ACTIVATION_NONE, none), at);
    heed_value v = heed_append(p, cache[1], linear(layer, h, "attn.value", true, HEED_ACTIVATION_NONE, none), at);
    heed_value o =
        heed_attend(p, heads(layer, q), heads(layer, k), heads(layer, v), HEED_DESC(attend, .key_lengths = length));
    x = linear(layer, heed_merge_heads(p, o), "attn.out", true, HEED_ACTIVATION_NONE, x);

    h = norm(layer, x, "cross_attn_ln");
    q = linear(layer, h, "cross_attn.query", true, HEED_ACTIVATION_NONE, none);
    o = heed_attend(p, heads(layer, q), heads(layer, cross[0]), heads(layer, cross[1]),
                    HEED_DESC(attend, .weights = &look));
    x = linear(layer, heed_merge_heads(p, o), "cross_attn.out", true, HEED_ACTIVATION_NONE, x);
    snprintf(name, sizeof name, "look %u", n);
    heed_pipeline_output(p, name, look);
    return feed_forward(layer, x);
}

/* ---- the two pipelines */

/* The second halves the frames. */
static heed_value convolutions(struct model *model, const struct ggml_model *file)
{
    struct block *block = &model->encoder;
    heed_pipeline *p = block->pipeline;
    const uint32_t frames_first[HEED_MAX_AXES] = {0, 2, 1, 3};
    heed_value x = heed_pipeline_input(p, "mel", HEED_F32, heed_shape_3(1, model->mels, MEL_FRAMES));
    x = heed_conv(p, heed_permute(p, x, frames_first), weight(model, block, file, "encoder.conv1.weight", 0),
                  HEED_DESC(conv, .bias = weight(model, block, file, "encoder.conv1.bias", 0), .padding = {1},
                            .activation = HEED_GELU_TANH));
    heed_value places = weight(model, block, file, "encoder.positional_embedding", 0);
    places = heed_reshape(p, places, heed_shape_3(1, model->audio_context, model->state));
    return heed_conv(p, x, weight(model, block, file, "encoder.conv2.weight", 0),
                     HEED_DESC(conv, .bias = weight(model, block, file, "encoder.conv2.bias", 0), .padding = {1},
                               .stride = {2}, .activation = HEED_GELU_TANH, .residual = places));
}

static heed_value end_norm(struct model *model, struct block *block, const struct ggml_model *file, heed_value x,
                           const char *gain, const char *bias)
{
    return heed_layer_norm(block->pipeline, x,
                           HEED_DESC(layer_norm, .gain = weight(model, block, file, gain, 0),
                                     .bias = weight(model, block, file, bias, 0)));
}

static void build_encoder(struct model *model, const struct ggml_model *file)
{
    struct block *block = &model->encoder;
    struct layer layer = {model, block, file, "encoder", 0};
    heed_value x = convolutions(model, file);
    for (; layer.number < file->audio_layers; layer.number++)
        x = encoder_layer(&layer, x);
    x = end_norm(model, block, file, x, "encoder.ln_post.weight", "encoder.ln_post.bias");
    /* What the decoder's layers ask again and again: computed here, once. */
    layer.part = "decoder";
    for (layer.number = 0; layer.number < file->text_layers; layer.number++) {
        static const char *const names[] = {"cross_attn.key", "cross_attn.value"};
        for (int i = 0; i < 2; i++) {
            char name[NAME];
            snprintf(name, sizeof name, "sound %u %c", layer.number, "kv"[i]);
            heed_pipeline_output(block->pipeline, name,
                                 linear(&layer, x, names[i], i == 1, HEED_ACTIVATION_NONE, none));
        }
    }
}

static void build_decoder(struct model *model, const struct ggml_model *file)
{
    struct block *block = &model->decoder;
    heed_pipeline *p = block->pipeline;
    struct layer layer = {model, block, file, "decoder", 0};
    heed_value token = heed_pipeline_input(p, "token", HEED_I32, heed_shape_2(1, 1));
    heed_value at = heed_pipeline_input(p, "at", HEED_I32, heed_shape_1(1));
    heed_value length = heed_pipeline_input(p, "length", HEED_I32, heed_shape_1(1));
    heed_value words = weight(model, block, file, "decoder.token_embedding.weight", 0);
    heed_value places = weight(model, block, file, "decoder.positional_embedding", 0);
    heed_value x = heed_combine(p, heed_embed(p, words, token, NULL), heed_embed(p, places, at, NULL), NULL);
    for (; layer.number < file->text_layers; layer.number++)
        x = decoder_layer(&layer, x, at, length);
    x = end_norm(model, block, file, x, "decoder.ln.weight", "decoder.ln.bias");
    heed_pipeline_output(p, "logits", heed_linear(p, x, words, NULL));
}

/* Compiles, and makes a buffer for each argument that is no weight; of those that `from` has too, the same. */
static bool finish(struct model *model, struct block *block, const struct block *from, const char *name)
{
    struct heed_arg_info arg;
    struct heed_plan_info info;
    if (heed_pipeline_compile(block->pipeline, &block->plan) != HEED_OK)
        return false;
    heed_pipeline_destroy(&block->pipeline);
    heed_plan_get_info(block->plan, &info);
    for (uint32_t i = 0; i < info.args; i++) {
        if (heed_plan_get_arg(block->plan, i, &arg) != HEED_OK)
            return false;
        heed_buffer *shared = from != NULL ? find_buffer(from, arg.name) : NULL;
        if (find_buffer(block, arg.name) == NULL && strcmp(arg.name, "scratch") != 0 &&
            (shared != NULL ? add_arg(block, arg.name, shared) == NULL
                            : !add_buffer(model, block, arg.name, NULL, arg.bytes)))
            return false;
    }
    for (uint32_t i = 0; i < block->count; i++)
        block->args[i].name = block->names[i];
    printf("%s  %u dispatches, %u barriers, %.1f GFLOP; arena of %.1f MB for %.1f MB of values between them\n", name,
           info.dispatches, info.barriers, 1e-9 * (double)info.flops, 1e-6 * (double)info.scratch_bytes,
           1e-6 * (double)info.scratch_sum);
    fflush(stdout);
    return true;
}

/* ---- the model */

static void print_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "%s: %s\n", picture_program, text);
}

static bool open_device(struct model *model, enum heed_backend backend, const char *device)
{
    struct heed_context_desc context = {.struct_size = sizeof context, .log = print_log};
    struct heed_device_desc desc = {.struct_size = sizeof desc, .backend = backend, .select = device};
    struct heed_device_info info;
    if (heed_context_create(&context, &model->context) != HEED_OK ||
        heed_device_create(model->context, &desc, &model->device) != HEED_OK)
        return false;
    heed_device_get_info(model->device, &info);
    printf("device   %s (%s)\n", info.name, info.driver);
    fflush(stdout);
    return true;
}

bool model_create(const struct ggml_model *file, enum heed_backend backend, const char *device, struct model **out)
{
    struct model *model = *out = calloc(1, sizeof *model);
    if (model == NULL)
        return false;
    model->vocabulary = file->vocabulary;
    model->state = file->audio_state;
    model->mels = file->mels;
    model->audio_context = file->audio_context;
    model->layers = file->text_layers;
    model->heads = file->text_heads;
    bool ok = open_device(model, backend, device) &&
              heed_pipeline_create(model->device, NULL, &model->encoder.pipeline) == HEED_OK &&
              heed_pipeline_create(model->device, NULL, &model->decoder.pipeline) == HEED_OK;
    if (ok) {
        build_encoder(model, file);
        build_decoder(model, file);
        ok = finish(model, &model->encoder, NULL, "encoder") &&
             finish(model, &model->decoder, &model->encoder, "decoder");
    }
    if (!ok)
        model_destroy(out);
    return ok;
}

static void destroy_block(struct block *block, const struct block *from)
{
    heed_pipeline_destroy(&block->pipeline);
    heed_plan_destroy(&block->plan);
    for (uint32_t i = 0; i < block->count; i++)
        if (from == NULL || find_buffer(from, block->names[i]) != block->args[i].buffer)
            heed_buffer_destroy(&block->args[i].buffer);
    free(block->args);
    free(block->names);
}

void model_destroy(struct model **out)
{
    struct model *model = *out;
    if (model == NULL)
        return;
    destroy_block(&model->decoder, &model->encoder);
    destroy_block(&model->encoder, NULL);
    heed_device_destroy(&model->device);
    heed_context_destroy(&model->context);
    free(model);
    *out = NULL;
}

static bool write_to(const struct block *block, const char *name, const void *data, size_t bytes)
{
    return heed_buffer_write(find_buffer(block, name), 0, data, bytes) == HEED_OK;
}

static bool read_from(const struct block *block, const char *name, void *data, size_t bytes)
{
    return heed_buffer_read(find_buffer(block, name), 0, data, bytes) == HEED_OK;
}

bool model_encode(struct model *model, const float *window)
{
    const struct block *block = &model->encoder;
    return write_to(block, "mel", window, (size_t)model->mels * MEL_FRAMES * sizeof *window) &&
           heed_run(block->plan, block->args, block->count, NULL) == HEED_OK;
}

bool model_decode(struct model *model, uint32_t token, uint32_t position, float *logits, float *attention)
{
    const struct block *block = &model->decoder;
    const int32_t number = (int32_t)token, at = (int32_t)position, length = at + 1;
    size_t look = (size_t)model->heads * model->audio_context;
    bool ok = write_to(block, "token", &number, sizeof number) && write_to(block, "at", &at, sizeof at) &&
              write_to(block, "length", &length, sizeof length) &&
              heed_run(block->plan, block->args, block->count, NULL) == HEED_OK &&
              read_from(block, "logits", logits, model->vocabulary * sizeof *logits);
    for (uint32_t i = 0; ok && i < model->layers; i++) {
        char name[NAME];
        snprintf(name, sizeof name, "look %u", i);
        ok = read_from(block, name, attention + i * look, look * sizeof *attention);
    }
    return ok;
}

bool model_profile(struct model *model, enum model_part part, struct heed_op_time *times, uint32_t capacity,
                   uint32_t *count)
{
    const struct block *block = part == MODEL_ENCODER ? &model->encoder : &model->decoder;
    return heed_profile(block->plan, block->args, block->count, times, capacity, count) == HEED_OK;
}

bool model_can_profile(const struct model *model)
{
    struct heed_device_info info;
    heed_device_get_info(model->device, &info);
    return info.backend != HEED_BACKEND_REFERENCE && info.has_timestamps;
}
