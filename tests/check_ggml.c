/* SPDX-License-Identifier: MIT
 * The reader of Whisper models of the demos transcribe and choose, against files that are made here and broken here. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ggml.h"
#include "whisper_file.h"

START_TEST(a_model)
{
    file_read_model();
    ck_assert_uint_eq(weights.tensor_count, 7 + 15 + 4 + 24);
    ck_assert_uint_eq(weights.token_count, TOKENS);
    const struct ggml_tensor *query = ggml_find(&weights, "decoder.blocks.%u.cross_attn.query.weight", 0);
    ck_assert(query && query->type == GGML_Q8_0 && query->rank == 2 && query->bytes == STATE * STATE / 32 * 34);
    ck_assert_ptr_null(ggml_find(&weights, "decoder.blocks.%u.cross_attn.query.weight", 1));
    ck_assert_float_eq(weights.filters[3 * BINS + 7], 0.28f);
    ggml_destroy(&weights);
}
END_TEST

static void refuses(size_t size, const char *why)
{
    uint8_t *copy = file_cut(size);
    ck_assert_msg(!ggml_parse(copy, size, "x.bin", &weights, &trouble), "accepted, not \"%s\"", why);
    ck_assert_msg(strncmp(trouble.text, "x.bin: ", 7) == 0 && strstr(trouble.text, why), "\"%s\" is not in: %s", why,
                  trouble.text);
    ck_assert(!weights.filters && !weights.tokens && !weights.tensors);
    free(copy);
}

START_TEST(models_that_end)
{
    file_make_model();
    refuses(0, "does not begin with");
    refuses(3, "does not begin with");
    refuses(AT_FILTERS - 1, "ends inside its hyper-parameters");
    refuses(AT_FILTERS + 7, "ends inside its mel filters");
    refuses(AT_VOCABULARY - 1, "ends inside its mel filters");
    refuses(AT_VOCABULARY + 3, "ends inside its vocabulary");
    refuses(at_tensors - 1, "ends inside its vocabulary");
    refuses(at_tensors, "ends before tensor encoder.positional_embedding");
    for (size_t size = at_tensors + 1; size < at_tensors + 60; size++)
        refuses(size,
                size < at_tensors + 48 ? "ends inside the head of a tensor" : "takes 192000 bytes, but the file has");
    refuses(file.size - 1, "tensor decoder.ln.bias takes 128 bytes, but the file has 127 left");
    refuses(file.size - 128 - 15 - 16, "ends before tensor decoder.ln.bias");
    file_put("more", 4);
    refuses(file.size, "ends inside the head of a tensor");
}
END_TEST

static const struct {
    size_t number; /* of the hyper-parameter */
    uint32_t value;
    const char *why;
} lying[] = {
    {0, 50257, "n_vocab 50257 is not from 51864 to 51866"},
    {0, UINT32_MAX, "n_vocab 4294967295"},
    {1, 3000, "n_audio_ctx 3000 is not from 1500 to 1500"},
    {2, 0, "n_audio_state 0 is not from 32 to 4096"},
    {2, 64, "n_text_state 32 is not from 64 to 64"},
    {3, 0, "n_audio_head 0 is not from 1 to 32"},
    {3, 5, "a state of 32 does not divide into 5 and 2 heads"},
    {4, 1u << 31, "n_audio_layer 2147483648 is not from 1 to 64"},
    {4, 2, "ends before tensor encoder.blocks.1.attn_ln.weight"},
    {5, 65, "tensor decoder.positional_embedding is 32 x 64, but the hyper-parameters make it 32 x 65"},
    {8, 0, "n_text_layer 0 is not from 1 to 64"},
    {9, 128, "mel filters of 80 x 201 are not n_mels 128 x 201"},
    {10, 2, "ftype 2 is none of 0 (f32), 1 (f16), 7 (q8_0)"},
    {10, 2008, "ftype 8 is none of"},
};

START_TEST(models_that_lie)
{
    file_make_model();
    file_set_u32(AT_PARAMETERS + 4 * lying[_i].number, lying[_i].value);
    refuses(file.size, lying[_i].why);
}
END_TEST

START_TEST(parts_that_lie)
{
    file_make_model();
    memcpy(file.data, "GGUF", 4);
    refuses(file.size, "not a whisper.cpp model");
    memcpy(file.data, "lmgg", 4);

    file_set_u32(AT_FILTERS + 4, 200);
    refuses(file.size, "mel filters of 80 x 200");
    file_set_u32(AT_FILTERS + 4, BINS);
    file_set_u32(AT_FILTERS + 8 + 4 * (BINS + 2), 0x7fc00000);
    refuses(file.size, "mel filter 1 has no finite number in bin 2");
    file_set_u32(AT_FILTERS + 8 + 4 * (BINS + 2), 0);

    file_set_u32(AT_VOCABULARY, 100);
    refuses(file.size, "a vocabulary of 100 tokens is not from 50256 to n_vocab 51865");
    file_set_u32(AT_VOCABULARY, UINT32_MAX);
    refuses(file.size, "a vocabulary of 4294967295 tokens");
    file_set_u32(AT_VOCABULARY, TOKENS);
    file_set_u32(AT_VOCABULARY + 4, 5000);
    refuses(file.size, "token 0 of 5000 bytes is longer than 1024");
    file_set_u32(AT_VOCABULARY + 4, 3);

    static const struct {
        uint32_t place, value;
        const char *why;
    } heads[] = {
        {0, 0, "a tensor of 0 axes has not from 1 to 3"},
        {0, UINT32_MAX, "a tensor of 4294967295 axes"},
        {1, 0, "a tensor's name of 0 bytes has not from 1 to 47"},
        {1, UINT32_MAX, "a tensor's name of 4294967295 bytes"},
        {1, 27, "\"encoder.positional_embeddin\" is no tensor of a Whisper model with 1 and 1 layers"},
        {2, 1, "type 1, which is not 0 (f32)"},
        {2, 2, "type 2, which is not 0 (f32)"},
        {3, 33, "tensor encoder.positional_embedding is 33 x 1500, but the hyper-parameters make it 32 x 1500"},
        {4, UINT32_MAX, "is 32 x 4294967295"},
    };
    uint32_t before[] = {2, 28, 0, STATE, 1500};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        file_set_u32(at_tensors + 4 * heads[i].place, heads[i].value);
        refuses(file.size, heads[i].why);
        file_set_u32(at_tensors + 4 * heads[i].place, before[heads[i].place]);
    }
    file.data[at_tensors + 25] = '\n';
    refuses(file.size, "?");
    ck_assert_ptr_null(strchr(trouble.text, '\n'));
    file.data[at_tensors + 25] = '\0'; /* a name may not end before its length */
    refuses(file.size, "is no tensor");

    file_make_model();
    file_put_tensor("decoder.ln.bias", 0, STATE, 0, 0);
    refuses(file.size, "tensor decoder.ln.bias is there twice");
}
END_TEST

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

int main(void)
{
    Suite *suite = suite_create("ggml");
    TCase *tests = tcase_create("ggml");
    tcase_add_test(tests, a_model);
    tcase_add_test(tests, models_that_end);
    tcase_add_loop_test(tests, models_that_lie, 0, LENGTH(lying));
    tcase_add_test(tests, parts_that_lie);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file.data);
    return failed > 0;
}
