/* SPDX-License-Identifier: MIT
 * The host side of the demo transcribe: tokens, decoding rules, alignment, the picture, and the loop over windows with
 * a model that says what it is told to. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "align.h"
#include "figure.h"
#include "listen.h"
#include "rules.h"
#include "whisper_file.h"

const char *const picture_program = "check_transcribe";

/* ---- tokens: whisper.cpp's numbers */

static const struct tokens special[] = {
    {50256, 50257, 50258, 99, 50357, 50358, 50359, 50360, 50361, 50362, 50363, 51864, 51864},
    {50257, 50258, 50259, 99, 50358, 50359, 50360, 50361, 50362, 50363, 50364, 51865, 51865},
    {50257, 50258, 50259, 100, 50359, 50360, 50361, 50362, 50363, 50364, 50365, 51866, 51866},
};

START_TEST(special_tokens)
{
    struct ggml_model model = {.vocabulary = 51864 + (uint32_t)_i};
    struct tokens tokens = tokens_of(&model);
    ck_assert_mem_eq(&tokens, &special[_i], sizeof tokens);
    ck_assert_uint_eq(tokens_language(&tokens, "en"), tokens.language);
    ck_assert_uint_eq(tokens_language(&tokens, "su"), _i > 0 ? tokens.language + 98 : tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, "yue"), _i > 1 ? tokens.language + 99 : tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, "tlh"), tokens.count);
    ck_assert_uint_eq(tokens_language(&tokens, ""), tokens.count);
}
END_TEST

/* ---- rules */

static struct rules rules;
static float logits[VOCABULARY];

static void flat(void)
{
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = 0;
}

static uint32_t choose(void)
{
    ck_assert_msg(rules_choose(&rules, logits, &trouble), "%s", trouble.text);
    return rules.sequence[rules.count - 1];
}

/* Text, or a time, that is by far the likeliest, and wished for. */
static uint32_t wish(uint32_t token)
{
    flat();
    logits[token] = 50;
    return choose();
}

static void begin(void)
{
    uint32_t prompt[8];
    file_read_model();
    rules = rules_of(&weights);
    ck_assert_uint_eq(rules.limit, TEXT / 2 - 4);
    ck_assert_uint_eq(rules_begin(&rules, NULL, 0, EN, prompt), 3);
    ck_assert(prompt[0] == START && prompt[1] == EN && prompt[2] == TRANSCRIBE);
}

START_TEST(first_token)
{
    for (uint32_t token = END; token < VOCABULARY; token++) {
        if (token < TIMES || token > TIMES + 50) { /* special, or later than a second */
            begin();
            flat();
            logits[token] = 50;
            logits[TIMES + 7] = 40;
            ck_assert_uint_eq(choose(), TIMES + 7);
            ggml_destroy(&weights);
            token += token > TIMES + 50 ? 500 : 20; /* a sample of them */
        }
    }
    begin();
    flat();
    logits[220] = 50; /* a blank */
    logits[7] = 40;
    ck_assert_uint_eq(choose(), 7);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(times_come_in_pairs)
{
    begin();
    ck_assert_uint_eq(wish(TIMES), TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    flat(); /* after the first time: text, though a time is wished for */
    logits[TIMES + 10] = 50;
    logits[11] = 40;
    ck_assert_uint_eq(choose(), 11);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(TIMES + 100), TIMES + 100);
    ck_assert(rules_go_on(&rules, 3000) && rules.shift == 200 && rules.kept == 3);
    flat(); /* after the time that ends a sentence: no text, and no earlier time */
    logits[11] = 50;
    logits[TIMES + 99] = 45;
    logits[TIMES + 101] = 40;
    ck_assert_uint_eq(choose(), TIMES + 101);
    ck_assert(rules_go_on(&rules, 3000));
    flat(); /* after the pair: no time */
    logits[TIMES + 120] = 50;
    logits[12] = 40;
    ck_assert_uint_eq(choose(), 12);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(END), END);
    ck_assert(!rules_go_on(&rules, 3000) && !rules.failed);
    rules_end(&rules, 3000); /* the words after the last time are for the next window */
    ck_assert(rules.count == 4 && rules.shift == 202);
    ggml_destroy(&weights);
}
END_TEST

/* A time is taken when all times together are likelier than each text, though each time is not. */
START_TEST(times_together)
{
    begin();
    ck_assert_uint_eq(wish(TIMES), TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    ck_assert_uint_eq(wish(11), 11);
    ck_assert(rules_go_on(&rules, 3000));
    for (int together = 0; together < 2; together++) {
        for (int i = 0; i < VOCABULARY; i++)
            logits[i] = -100;
        logits[12] = 1;
        for (int i = 0; i < (together ? 4 : 2); i++)
            logits[TIMES + 40 + i] = i == 1 ? 0.01f : 0; /* e < 4 */
        ck_assert_uint_eq(choose(), together ? TIMES + 41 : 12);
        double total = exp(1) + (together ? 3 : 1) + exp(0.01f);
        ck_assert_double_eq_tol(rules.log_probability[rules.count - 1], (together ? 0.01f : 1) - log(total), 1e-6);
        ck_assert(rules_go_on(&rules, 3000));
    }
    ggml_destroy(&weights);
}
END_TEST

START_TEST(windows_end)
{
    begin(); /* all that was heard is said: a time near its end is enough */
    wish(TIMES);
    ck_assert(rules_go_on(&rules, 300));
    wish(11);
    ck_assert(rules_go_on(&rules, 300));
    wish(TIMES + 145);
    ck_assert(!rules_go_on(&rules, 300));
    rules_end(&rules, 300); /* a single time at the end: the next window begins where this one ends */
    ck_assert(rules.count == 3 && rules.shift == 300 && !rules.failed);
    ggml_destroy(&weights);

    begin(); /* no time at all, and more sound than the window: whisper.cpp would try again */
    wish(11);
    ck_assert(rules_go_on(&rules, 5000));
    wish(END);
    ck_assert(!rules_go_on(&rules, 5000) && rules.failed);
    rules_end(&rules, 5000);
    ck_assert(rules.count == 2 && rules.shift == 3000);
    ggml_destroy(&weights);

    begin(); /* the same, but there is no more sound */
    wish(11);
    ck_assert(rules_go_on(&rules, 2000));
    wish(END);
    ck_assert(!rules_go_on(&rules, 2000) && !rules.failed && rules.kept == 2);
    ggml_destroy(&weights);

    begin(); /* the same word for ever */
    wish(TIMES);
    ck_assert(rules_go_on(&rules, 3000));
    while (rules.count < rules.limit - 1) {
        wish(11);
        ck_assert(rules_go_on(&rules, 3000));
    }
    wish(11);
    ck_assert(!rules_go_on(&rules, 3000) && rules.failed);
    rules_end(&rules, 3000);
    ck_assert_uint_eq(rules.count, rules.limit);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(no_numbers)
{
    begin();
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = NAN;
    ck_assert(!rules_choose(&rules, logits, &trouble));
    ck_assert_ptr_nonnull(strstr(trouble.text, "no token has a finite logit after 0"));
    flat();
    logits[300] = NAN; /* one of many is never taken */
    logits[7] = 1;
    choose();
    ck_assert_uint_ne(rules.sequence[0], 300);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(silence)
{
    begin();
    flat();
    logits[50362] = 20;
    rules_hear(&rules, logits);
    ck_assert_double_gt(rules.no_speech, 0.99);
    flat();
    choose();
    ck_assert(rules_silent(&rules)); /* none of 51865 is sure */
    rules.count = 0;
    wish(11);
    ck_assert(!rules_silent(&rules)); /* sure of what was said */
    ggml_destroy(&weights);
}
END_TEST

START_TEST(text_before)
{
    uint32_t before[100], prompt[128];
    begin();
    for (uint32_t i = 0; i < 100; i++)
        before[i] = i;
    ck_assert_uint_eq(rules_begin(&rules, before, 5, EN, prompt), 1 + 5 + 3);
    ck_assert(prompt[0] == PREVIOUS && prompt[1] == 0 && prompt[5] == 4 && prompt[6] == START);
    ck_assert_uint_eq(rules_begin(&rules, before, 100, EN, prompt), 1 + TEXT / 2 + 3);
    ck_assert(prompt[1] == 100 - TEXT / 2 && prompt[TEXT / 2] == 99);
    ggml_destroy(&weights);
}
END_TEST

/* ---- alignment */

START_TEST(a_path)
{
    enum { ROWS = 6, HEADS = 3, STRIDE = 90, FRAMES = 80 };
    static const uint32_t begins[ROWS + 1] = {0, 12, 20, 41, 60, 71, FRAMES};
    static float looks[ROWS * HEADS * STRIDE], mean[ROWS * FRAMES];
    for (int r = 0; r < ROWS; r++)
        for (int h = 0; h < HEADS; h++)
            for (uint32_t f = 0; f < STRIDE; f++) /* frames beyond the sound do not count */
                looks[(r * HEADS + h) * STRIDE + (int)f] = f >= FRAMES ? 9.0f * (float)r
                                                           : f >= begins[r] && f < begins[r + 1]
                                                               ? 0.05f * (float)(h + 1)
                                                               : 0.001f;
    struct align_rows rows = {looks, ROWS, HEADS, STRIDE, FRAMES};
    uint32_t first[ROWS + 1];
    ck_assert(align_path(&rows, first, &trouble));
    for (int r = 0; r <= ROWS; r++)
        ck_assert_uint_eq(first[r], begins[r]);
    align_mean(&rows, mean);
    ck_assert_float_eq_tol(mean[1 * FRAMES + 15], 0.1f, 1e-6f);
    ck_assert_float_eq_tol(mean[1 * FRAMES + 25], 0.001f, 1e-6f);

    /* One row, one frame; rows that are all the same; more rows than frames. */
    static const struct align_rows odd[] = {{looks, 1, 1, STRIDE, 1}, {mean, 3, 1, 0, 5}, {looks, 6, 1, STRIDE, 2}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        ck_assert(align_path(&odd[i], first, &trouble));
        ck_assert(first[0] == 0 && first[odd[i].rows] == odd[i].frames);
        for (uint32_t r = 0; r < odd[i].rows; r++)
            ck_assert_uint_le(first[r], first[r + 1]);
    }
}
END_TEST

START_TEST(alignment_heads)
{
    struct align_head heads[64];
    struct ggml_model model = {.vocabulary = 51865, .text_layers = 4, .text_heads = 6};
    ck_assert_uint_eq(align_heads(&model, heads), 6);
    ck_assert(heads[0].layer == 2 && heads[0].head == 2 && heads[5].layer == 3 && heads[5].head == 5);
    model.vocabulary = 51864;
    ck_assert_uint_eq(align_heads(&model, heads), 8);
    model.text_layers = 5;
    ck_assert_uint_eq(align_heads(&model, NULL), 3 * 6);
    ck_assert_uint_eq(align_heads(&model, heads), 3 * 6);
    ck_assert(heads[0].layer == 2 && heads[17].layer == 4 && heads[17].head == 5);
}
END_TEST

START_TEST(words)
{
    struct align_word found[8];
    file_read_model();
    struct tokens tokens = tokens_of(&weights);
    const uint32_t sequence[] = {TIMES, 11, 12, 13, TIMES + 9, TIMES + 9, 13, END};
    ck_assert_uint_eq(align_words(&tokens, &weights, sequence, 8, false, found), 3);
    ck_assert(found[0].first == 1 && found[0].count == 1);
    ck_assert(found[1].first == 2 && found[1].count == 2); /* with its full stop */
    ck_assert(found[2].first == 6 && found[2].count == 1); /* a sentence of a full stop */
    /* Without spaces: whole characters, here of three bytes in two tokens, and of one. */
    weights.tokens[11] = (struct ggml_token){"\xe4\xbd", 2};
    weights.tokens[12] = (struct ggml_token){"\xa0", 1};
    ck_assert_uint_eq(align_words(&tokens, &weights, sequence, 8, true, found), 3);
    ck_assert(found[0].first == 1 && found[0].count == 2 && found[1].first == 3 && found[1].count == 1);
    ggml_destroy(&weights);
}
END_TEST

/* ---- windows, with a model that says what it is told to */

struct model {
    const uint32_t *script; /* tokens, END ends a window */
    uint32_t at, position, windows;
    uint32_t fed[256], fed_count;
};

bool model_encode(struct model *model, const float *window)
{
    (void)window;
    model->windows++;
    model->position = 0;
    return model->windows < 9;
}

/* The prompt ends with the task; whatever comes after it is answered by the next token of the script. */
bool model_decode(struct model *model, uint32_t token, uint32_t position, float *answer, float *attention)
{
    ck_assert_uint_eq(position, model->position++);
    ck_assert_uint_lt(position, TEXT);
    model->fed[model->fed_count++] = token;
    bool prompt = token == START || token == EN || token == PREVIOUS || position < model->fed[255];
    for (int i = 0; i < VOCABULARY; i++)
        answer[i] = 0;
    if (!prompt)
        answer[model->script[model->at++]] = 50;
    for (uint32_t i = 0; i < 2 * 1500; i++)
        attention[i] = (float)(i % 1500 == 10 * model->at);
    return true;
}

static uint32_t heard_count;

static void count_heard(void *user, const struct listener *listener)
{
    ck_assert_ptr_eq(user, &heard_count);
    heard_count++;
    ck_assert_uint_gt(listener->rules.count, 0);
}

START_TEST(two_windows)
{
    static const uint32_t script[] = {TIMES, 11, 12, TIMES + 1000, TIMES + 1000, 13, END, TIMES, 14, TIMES + 1049};
    static float samples[16000 * 41];
    struct model model = {.script = script};
    struct listener listener;
    struct mel mel;
    file_read_model();
    ck_assert(mel_create(&weights, samples, 16000 * 41, &mel, &trouble));
    ck_assert_msg(listener_create(&weights, &model, EN, &listener, &trouble), "%s", trouble.text);
    ck_assert_msg(listen(&listener, &mel, 0, count_heard, &heard_count, &trouble), "%s", trouble.text);
    ck_assert_uint_eq(heard_count, 7);
    ck_assert(listener.rules.count == 5 && listener.rules.shift == 2000 && model.fed_count == 3 + 6);
    struct align_rows rows = listener_rows(&listener, &mel, 0);
    ck_assert(rows.rows == 5 && rows.frames == 1500 && rows.heads == 2);
    ck_assert_float_eq(rows.weights[(1 * 2 + 0) * 1500 + 20], 1); /* of the step that chose token 11 */

    model.fed_count = 0;
    model.fed[255] = 1 + 5;
    ck_assert_msg(listen(&listener, &mel, 2000, count_heard, &heard_count, &trouble), "%s", trouble.text);
    static const uint32_t fed[] = {PREVIOUS, TIMES,      11,    12, TIMES + 1000, TIMES + 1000, START,
                                   EN,       TRANSCRIBE, TIMES, 14};
    ck_assert_uint_eq(model.fed_count, sizeof fed / sizeof *fed);
    ck_assert_mem_eq(model.fed, fed, sizeof fed);
    ck_assert(listener.rules.count == 3 && listener.rules.shift == mel.sound - 2000);
    rows = listener_rows(&listener, &mel, 2000);
    ck_assert_uint_eq(rows.frames, (mel.sound - 2000 + 1) / 2);
    ck_assert_uint_eq(listener.steps, 9 + 11);
    listener_destroy(&listener);
    mel_destroy(&mel);
    ggml_destroy(&weights);
}
END_TEST

/* ---- the picture */

START_TEST(a_picture)
{
    static float samples[16000 * 3], looks[3 * 150];
    static char labels[3][FIGURE_LABEL] = {"<0.00>", "na\xc3\xafve", "\xe4\xbd\xa0\xff a long label, cut"};
    static const struct figure_word said[] = {{"na\xc3\xafve", 0, 50}, {"\xe4\xbd\xa0", 51, 149}, {"", 149, 149}};
    static const uint32_t path[] = {0, 10, 60, 149};
    struct mel mel;
    struct picture picture;
    file_read_model();
    for (int i = 0; i < 3 * 150; i++)
        looks[i] = (float)(i % 7);
    ck_assert(mel_create(&weights, samples, 16000 * 3, &mel, &trouble));
    struct figure figure = {&mel, 0, 149, 3, looks, path, labels, said, 3};
    ck_assert(figure_draw(&figure, &picture));
    ck_assert_uint_gt(picture.width, 4 * 149);
    ck_assert_uint_gt(picture.height, 2 * MELS + 3 * 15);
    /* Each row's largest is yellow, and its zeros are the darkest colour. */
    float yellow = 0;
    for (size_t i = 0; i < (size_t)picture.width * picture.height; i++)
        yellow += picture.data[3 * i] > 0.98f && picture.data[3 * i + 2] < 0.2f;
    ck_assert_float_gt(yellow, 1000);
    picture_destroy(&picture);
    mel_destroy(&mel);
    ggml_destroy(&weights);
}
END_TEST

#define LENGTH(array) (int)(sizeof(array) / sizeof *(array))

int main(void)
{
    Suite *suite = suite_create("transcribe");
    TCase *tests = tcase_create("transcribe");
    tcase_add_loop_test(tests, special_tokens, 0, LENGTH(special));
    tcase_add_test(tests, first_token);
    tcase_add_test(tests, times_come_in_pairs);
    tcase_add_test(tests, times_together);
    tcase_add_test(tests, windows_end);
    tcase_add_test(tests, no_numbers);
    tcase_add_test(tests, silence);
    tcase_add_test(tests, text_before);
    tcase_add_test(tests, a_path);
    tcase_add_test(tests, alignment_heads);
    tcase_add_test(tests, words);
    tcase_add_test(tests, two_windows);
    tcase_add_test(tests, a_picture);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file.data);
    return failed > 0;
}
