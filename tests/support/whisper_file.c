/* SPDX-License-Identifier: MIT
 * Files for the tests of the demos that run Whisper. */
#include "whisper_file.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes file;
size_t at_tensors;
struct ggml_model weights;
struct trouble trouble;

static size_t room;

void file_put(const void *data, size_t size)
{
    if (file.size + size > room) {
        room = 2 * (file.size + size);
        file.data = realloc(file.data, room);
        ck_assert_ptr_nonnull(file.data);
    }
    if (data)
        memcpy(file.data + file.size, data, size);
    else
        memset(file.data + file.size, 0, size);
    file.size += size;
}

void file_put_u16(uint32_t value)
{
    file_put((uint8_t[]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
}

void file_put_u32(uint32_t value)
{
    file_put_u16(value & 0xffff);
    file_put_u16(value >> 16);
}

void file_set_u32(size_t at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        file.data[at + (size_t)i] = (uint8_t)(value >> 8 * i);
}

uint8_t *file_cut(size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, file.data, size);
    return copy;
}

void file_put_tensor(const char *name, uint32_t type, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t rank = c > 0 ? 3 : b > 0 ? 2 : 1;
    size_t count = (size_t)a * (b > 0 ? b : 1) * (c > 0 ? c : 1);
    file_put_u32(rank);
    file_put_u32((uint32_t)strlen(name));
    file_put_u32(type);
    file_put_u32(a);
    if (rank > 1)
        file_put_u32(b);
    if (rank > 2)
        file_put_u32(c);
    file_put(name, strlen(name));
    file_put(NULL, type == GGML_F32 ? 4 * count : type == GGML_F16 ? 2 * count : count / 32 * 34);
}

static void put_layer(const char *part, bool cross)
{
    static const struct {
        const char *name;
        uint32_t type, a, b;
    } all[] = {
        {"attn_ln.weight", 0, STATE, 0},  {"attn_ln.bias", 0, STATE, 0},         {"attn.query.weight", 8, STATE, STATE},
        {"attn.query.bias", 0, STATE, 0}, {"attn.key.weight", 1, STATE, STATE},  {"attn.value.weight", 0, STATE, STATE},
        {"attn.value.bias", 0, STATE, 0}, {"attn.out.weight", 8, STATE, STATE},  {"attn.out.bias", 0, STATE, 0},
        {"mlp_ln.weight", 0, STATE, 0},   {"mlp_ln.bias", 0, STATE, 0},          {"mlp.0.weight", 8, STATE, 4 * STATE},
        {"mlp.0.bias", 0, 4 * STATE, 0},  {"mlp.2.weight", 8, 4 * STATE, STATE}, {"mlp.2.bias", 0, STATE, 0},
    };
    char name[64];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        snprintf(name, sizeof name, "%s.blocks.0.%s", part, all[i].name);
        file_put_tensor(name, all[i].type, all[i].a, all[i].b, 0);
    }
    for (size_t i = 0; cross && i < 9; i++) {
        snprintf(name, sizeof name, "%s.blocks.0.cross_%s", part, all[i].name);
        file_put_tensor(name, all[i].type, all[i].a, all[i].b, 0);
    }
}

void file_make_model(void)
{
    const uint32_t parameters[] = {VOCABULARY, 1500, STATE, 2, 1, TEXT, STATE, 2, 1, MELS, 2007};
    file.size = 0;
    file_put("lmgg", 4);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        file_put_u32(parameters[i]);
    file_put_u32(MELS);
    file_put_u32(BINS);
    for (int m = 0; m < MELS; m++)
        for (int bin = 0; bin < BINS; bin++) {
            float value = bin / 2 == m ? 0.25f + 0.01f * (float)m : 0;
            file_put(&value, 4);
        }
    file_put_u32(TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) {
        char text[16];
        snprintf(text, sizeof text, i == 220 ? " " : i == 13 ? "." : " w%u", i);
        file_put_u32((uint32_t)strlen(text));
        file_put(text, strlen(text));
    }
    at_tensors = file.size;
    file_put_tensor("encoder.positional_embedding", 0, STATE, 1500, 0);
    file_put_tensor("encoder.conv1.weight", 1, 3, MELS, STATE);
    file_put_tensor("encoder.conv1.bias", 0, 1, STATE, 0);
    file_put_tensor("encoder.conv2.weight", 1, 3, STATE, STATE);
    file_put_tensor("encoder.conv2.bias", 0, 1, STATE, 0);
    file_put_tensor("encoder.ln_post.weight", 0, STATE, 0, 0);
    file_put_tensor("encoder.ln_post.bias", 0, STATE, 0, 0);
    put_layer("encoder", false);
    file_put_tensor("decoder.positional_embedding", 0, STATE, TEXT, 0);
    file_put_tensor("decoder.token_embedding.weight", 8, STATE, VOCABULARY, 0);
    file_put_tensor("decoder.ln.weight", 0, STATE, 0, 0);
    put_layer("decoder", true);
    file_put_tensor("decoder.ln.bias", 0, STATE, 0, 0);
}

void file_read_model(void)
{
    file_make_model();
    ck_assert_msg(ggml_parse(file.data, file.size, "x.bin", &weights, &trouble), "%s", trouble.text);
}
