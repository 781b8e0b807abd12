/* SPDX-License-Identifier: MIT
 * Whisper models in whisper.cpp's ggml file format: a strict reader. */
#include "ggml.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

enum {
    MAGIC = 0x67676d6c,
    LAYERS_MAX = 64,         /* the largest Whisper has 32 */
    STATE_MAX = 4096,        /* 1280 */
    TEXT_CONTEXT_MAX = 2048, /* 448 */
    TOKEN_MAX = 1024,        /* bytes; 128 */
    BINS = 201,              /* of a transform over 400 samples */
};

struct reader {
    struct cursor cursor;
    const char *name;
    struct trouble *trouble;
};

static bool ends(struct reader *reader, const char *where)
{
    return trouble_set(reader->trouble, "%s: the file ends inside %s", reader->name, where);
}

/* ---- what a model of these hyper-parameters holds */

/* Lengths of axes: a number, or a letter for a hyper-parameter. */
enum axis { END, ONE = 1, THREE = 3, STATE, STATE_4, MELS, AUDIO, TEXT, VOCABULARY };
/* f32; f32 or f16; any */
enum kind { PLAIN, CONVOLUTION, MATRIX };

struct row {
    const char *name;
    enum kind kind;
    enum axis axes[GGML_RANK_MAX];
};

static const struct row encoder[] = {
    {"encoder.positional_embedding", PLAIN, {STATE, AUDIO}},
    {"encoder.conv1.weight", CONVOLUTION, {THREE, MELS, STATE}},
    {"encoder.conv1.bias", PLAIN, {ONE, STATE}},
    {"encoder.conv2.weight", CONVOLUTION, {THREE, STATE, STATE}},
    {"encoder.conv2.bias", PLAIN, {ONE, STATE}},
    {"encoder.ln_post.weight", PLAIN, {STATE}},
    {"encoder.ln_post.bias", PLAIN, {STATE}},
};

static const struct row decoder[] = {
    {"decoder.positional_embedding", PLAIN, {STATE, TEXT}},
    {"decoder.token_embedding.weight", MATRIX, {STATE, VOCABULARY}},
    {"decoder.ln.weight", PLAIN, {STATE}},
    {"decoder.ln.bias", PLAIN, {STATE}},
};

/* Of each layer of both; Whisper's keys have no bias. */
static const struct row layer[] = {
    {"%s.blocks.%u.attn_ln.weight", PLAIN, {STATE}},
    {"%s.blocks.%u.attn_ln.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.attn.query.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.attn.query.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.attn.key.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.attn.value.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.attn.value.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.attn.out.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.attn.out.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.mlp_ln.weight", PLAIN, {STATE}},
    {"%s.blocks.%u.mlp_ln.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.mlp.0.weight", MATRIX, {STATE, STATE_4}},
    {"%s.blocks.%u.mlp.0.bias", PLAIN, {STATE_4}},
    {"%s.blocks.%u.mlp.2.weight", MATRIX, {STATE_4, STATE}},
    {"%s.blocks.%u.mlp.2.bias", PLAIN, {STATE}},
};

static const struct row cross[] = {
    {"%s.blocks.%u.cross_attn_ln.weight", PLAIN, {STATE}},
    {"%s.blocks.%u.cross_attn_ln.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.cross_attn.query.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.cross_attn.query.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.cross_attn.key.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.cross_attn.value.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.cross_attn.value.bias", PLAIN, {STATE}},
    {"%s.blocks.%u.cross_attn.out.weight", MATRIX, {STATE, STATE}},
    {"%s.blocks.%u.cross_attn.out.bias", PLAIN, {STATE}},
};

enum {
    ENCODER = sizeof encoder / sizeof *encoder,
    DECODER = sizeof decoder / sizeof *decoder,
    LAYER = sizeof layer / sizeof *layer,
    CROSS = sizeof cross / sizeof *cross,
};

static uint32_t axis_length(const struct ggml_model *model, enum axis axis)
{
    switch (axis) {
    case STATE:
        return model->audio_state;
    case STATE_4:
        return 4 * model->audio_state;
    case MELS:
        return model->mels;
    case AUDIO:
        return model->audio_context;
    case TEXT:
        return model->text_context;
    case VOCABULARY:
        return model->vocabulary;
    default:
        return (uint32_t)axis;
    }
}

/* data stays NULL until the file brings the tensor; `type` is the most that it may be. */
static void expect(struct ggml_model *model, const struct row *rows, uint32_t count, const char *part, uint32_t number)
{
    static const enum ggml_type most[] = {[PLAIN] = GGML_F32, [CONVOLUTION] = GGML_F16, [MATRIX] = GGML_Q8_0};
    for (uint32_t i = 0; i < count; i++) {
        struct ggml_tensor *tensor = &model->tensors[model->tensor_count++];
        if (part != NULL)
            snprintf(tensor->name, sizeof tensor->name, rows[i].name, part, number);
        else
            snprintf(tensor->name, sizeof tensor->name, "%s", rows[i].name);
        tensor->type = most[rows[i].kind];
        for (uint32_t a = 0; a < GGML_RANK_MAX; a++) {
            enum axis axis = rows[i].axes[a];
            tensor->rank += axis != END;
            tensor->shape[a] = axis != END ? axis_length(model, axis) : 1;
        }
    }
}

static bool expect_all(struct reader *reader, struct ggml_model *model)
{
    uint32_t count = ENCODER + LAYER * model->audio_layers + DECODER + (LAYER + CROSS) * model->text_layers;
    model->tensors = calloc(count, sizeof *model->tensors);
    if (model->tensors == NULL)
        return trouble_set(reader->trouble, "%s: no memory for a list of %u tensors", reader->name, count);
    expect(model, encoder, ENCODER, NULL, 0);
    for (uint32_t i = 0; i < model->audio_layers; i++)
        expect(model, layer, LAYER, "encoder", i);
    expect(model, decoder, DECODER, NULL, 0);
    for (uint32_t i = 0; i < model->text_layers; i++) {
        expect(model, layer, LAYER, "decoder", i);
        expect(model, cross, CROSS, "decoder", i);
    }
    return true;
}

/* ---- the parts of the file, in their order */

static bool read_parameters(struct reader *reader, struct ggml_model *model)
{
    uint32_t magic = 0, type = 0;
    uint32_t *const all[] = {
        &model->vocabulary,
        &model->audio_context,
        &model->audio_state,
        &model->audio_heads,
        &model->audio_layers,
        &model->text_context,
        &model->text_state,
        &model->text_heads,
        &model->text_layers,
        &model->mels,
        &type,
    };
    if (!cursor_u32(&reader->cursor, &magic) || magic != MAGIC)
        return trouble_set(reader->trouble, "%s: not a whisper.cpp model: it does not begin with \"lmgg\"",
                           reader->name);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!cursor_u32(&reader->cursor, all[i]))
            return ends(reader, "its hyper-parameters");

    const struct {
        const char *name;
        uint32_t value, least, most;
    } limits[] = {
        {"n_vocab", model->vocabulary, 51864, 51866},
        {"n_audio_ctx", model->audio_context, 1500, 1500},
        {"n_audio_state", model->audio_state, GGML_Q8_0_BLOCK, STATE_MAX},
        {"n_audio_head", model->audio_heads, 1, model->audio_state},
        {"n_audio_layer", model->audio_layers, 1, LAYERS_MAX},
        {"n_text_ctx", model->text_context, 64, TEXT_CONTEXT_MAX},
        {"n_text_state", model->text_state, model->audio_state, model->audio_state},
        {"n_text_head", model->text_heads, 1, model->text_state},
        {"n_text_layer", model->text_layers, 1, LAYERS_MAX},
        {"n_mels", model->mels, 80, 128},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most)
            return trouble_set(reader->trouble, "%s: %s %u is not from %u to %u", reader->name, limits[i].name,
                               limits[i].value, limits[i].least, limits[i].most);
    if (model->audio_state % model->audio_heads != 0 || model->text_state % model->text_heads != 0)
        return trouble_set(reader->trouble, "%s: a state of %u does not divide into %u and %u heads", reader->name,
                           model->audio_state, model->audio_heads, model->text_heads);
    if (type % 1000 != 0 && type % 1000 != 1 && type % 1000 != 7) /* the thousands count the versions of q8_0 */
        return trouble_set(reader->trouble, "%s: ftype %u is none of 0 (f32), 1 (f16), 7 (q8_0)", reader->name,
                           type % 1000);
    return true;
}

static bool read_filters(struct reader *reader, struct ggml_model *model)
{
    uint32_t mels = 0;
    if (!cursor_u32(&reader->cursor, &mels) || !cursor_u32(&reader->cursor, &model->bins))
        return ends(reader, "its mel filters");
    if (mels != model->mels || model->bins != BINS)
        return trouble_set(reader->trouble, "%s: mel filters of %u x %u are not n_mels %u x %d", reader->name, mels,
                           model->bins, model->mels, BINS);
    size_t count = (size_t)mels * BINS;
    const uint8_t *at = cursor_take(&reader->cursor, count * 4);
    if (at == NULL)
        return ends(reader, "its mel filters");
    model->filters = malloc(count * sizeof *model->filters);
    if (model->filters == NULL)
        return trouble_set(reader->trouble, "%s: no memory for %zu mel filters", reader->name, count);
    for (size_t i = 0; i < count; i++) {
        model->filters[i] = bytes_f32(at + 4 * i);
        if (!isfinite(model->filters[i]))
            return trouble_set(reader->trouble, "%s: mel filter %zu has no finite number in bin %zu", reader->name,
                               i / BINS, i % BINS);
    }
    return true;
}

static bool read_vocabulary(struct reader *reader, struct ggml_model *model)
{
    uint32_t count = 0;
    if (!cursor_u32(&reader->cursor, &count))
        return ends(reader, "its vocabulary");
    if (count < 50256 || count > model->vocabulary)
        return trouble_set(reader->trouble, "%s: a vocabulary of %u tokens is not from 50256 to n_vocab %u",
                           reader->name, count, model->vocabulary);
    if (count > reader->cursor.left / 4)
        return ends(reader, "its vocabulary");
    model->tokens = calloc(count, sizeof *model->tokens);
    if (model->tokens == NULL)
        return trouble_set(reader->trouble, "%s: no memory for %u tokens", reader->name, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ggml_token *token = &model->tokens[i];
        if (!cursor_u32(&reader->cursor, &token->length))
            return ends(reader, "its vocabulary");
        if (token->length > TOKEN_MAX)
            return trouble_set(reader->trouble, "%s: token %u of %u bytes is longer than %d", reader->name, i,
                               token->length, TOKEN_MAX);
        token->text = (const char *)cursor_take(&reader->cursor, token->length);
        if (token->text == NULL)
            return ends(reader, "its vocabulary");
    }
    model->token_count = count;
    return true;
}

static void shape_text(const uint32_t *shape, uint32_t rank, char text[48])
{
    int length = 0;
    for (uint32_t i = 0; i < rank; i++)
        length += snprintf(text + length, 48 - (size_t)length, "%s%u", i > 0 ? " x " : "", shape[i]);
}

static bool read_tensor(struct reader *reader, struct ggml_model *model)
{
    uint32_t rank, length, type, shape[GGML_RANK_MAX];
    char name[sizeof model->tensors->name], got[48], wanted[48];
    if (!cursor_u32(&reader->cursor, &rank) || !cursor_u32(&reader->cursor, &length) ||
        !cursor_u32(&reader->cursor, &type))
        return ends(reader, "the head of a tensor");
    if (rank < 1 || rank > GGML_RANK_MAX)
        return trouble_set(reader->trouble, "%s: a tensor of %u axes has not from 1 to %d", reader->name, rank,
                           GGML_RANK_MAX);
    for (uint32_t i = 0; i < rank; i++)
        if (!cursor_u32(&reader->cursor, &shape[i]))
            return ends(reader, "the head of a tensor");
    if (length < 1 || length >= sizeof name)
        return trouble_set(reader->trouble, "%s: a tensor's name of %u bytes has not from 1 to %zu", reader->name,
                           length, sizeof name - 1);
    const uint8_t *text = cursor_take(&reader->cursor, length);
    if (text == NULL)
        return ends(reader, "the head of a tensor");
    memcpy(name, text, length);
    name[length] = '\0';

    struct ggml_tensor *tensor = model->tensors;
    while (tensor < model->tensors + model->tensor_count && strcmp(tensor->name, name) != 0)
        tensor++;
    if (tensor == model->tensors + model->tensor_count || strlen(name) != length)
        return trouble_set(reader->trouble, "%s: \"%s\" is no tensor of a Whisper model with %u and %u layers",
                           reader->name, name, model->audio_layers, model->text_layers);
    if (tensor->data != NULL)
        return trouble_set(reader->trouble, "%s: tensor %s is there twice", reader->name, name);
    if (rank != tensor->rank || memcmp(shape, tensor->shape, rank * sizeof *shape) != 0) {
        shape_text(shape, rank, got);
        shape_text(tensor->shape, tensor->rank, wanted);
        return trouble_set(reader->trouble, "%s: tensor %s is %s, but the hyper-parameters make it %s", reader->name,
                           name, got, wanted);
    }
    if (type > (uint32_t)tensor->type || (type != GGML_F32 && type != GGML_F16 && type != GGML_Q8_0))
        return trouble_set(reader->trouble, "%s: tensor %s has type %u, which is not 0 (f32)%s%s", reader->name, name,
                           type, tensor->type != GGML_F32 ? ", 1 (f16)" : "",
                           tensor->type == GGML_Q8_0 ? ", 8 (q8_0)" : "");
    if (type == GGML_Q8_0 && shape[0] % GGML_Q8_0_BLOCK != 0)
        return trouble_set(reader->trouble, "%s: tensor %s has rows of %u, which is no multiple of q8_0's %d",
                           reader->name, name, shape[0], GGML_Q8_0_BLOCK);

    uint64_t count = (uint64_t)tensor->shape[0] * tensor->shape[1] * tensor->shape[2];
    uint64_t bytes = type == GGML_F32   ? count * 4
                     : type == GGML_F16 ? count * 2
                                        : count / GGML_Q8_0_BLOCK * GGML_Q8_0_BYTES;
    const uint8_t *data = cursor_take(&reader->cursor, bytes);
    if (data == NULL)
        return trouble_set(reader->trouble, "%s: tensor %s takes %" PRIu64 " bytes, but the file has %zu left",
                           reader->name, name, bytes, reader->cursor.left);
    tensor->type = (enum ggml_type)type;
    tensor->data = data;
    tensor->bytes = (size_t)bytes;
    return true;
}

bool ggml_parse(const uint8_t *bytes, size_t size, const char *name, struct ggml_model *model, struct trouble *trouble)
{
    struct reader reader = {{bytes, size}, name, trouble};
    memset(model, 0, sizeof *model);
    bool ok = read_parameters(&reader, model) && read_filters(&reader, model) && read_vocabulary(&reader, model) &&
              expect_all(&reader, model);
    while (ok && reader.cursor.left > 0)
        ok = read_tensor(&reader, model);
    for (uint32_t i = 0; ok && i < model->tensor_count; i++)
        if (model->tensors[i].data == NULL)
            ok = trouble_set(trouble, "%s: the file ends before tensor %s", name, model->tensors[i].name);
    if (!ok)
        ggml_destroy(model);
    return ok;
}

void ggml_destroy(struct ggml_model *model)
{
    free(model->filters);
    free(model->tokens);
    free(model->tensors);
    memset(model, 0, sizeof *model);
}

const struct ggml_tensor *ggml_find(const struct ggml_model *model, const char *name, uint32_t layer_number)
{
    char wanted[sizeof model->tensors->name];
    snprintf(wanted, sizeof wanted, name, layer_number);
    for (uint32_t i = 0; i < model->tensor_count; i++)
        if (strcmp(model->tensors[i].name, wanted) == 0)
            return &model->tensors[i];
    return NULL;
}
