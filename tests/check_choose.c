/* SPDX-License-Identifier: MIT
 * The host side of the demo choose: byte-pair encoding with a vocabulary that is made here, texts that are none, and
 * scores with a model that answers what it is told to.
 *     check_choose [MODEL.bin]     with Whisper's own multilingual vocabulary as well */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "score.h"
#include "whisper_file.h"

const char *const picture_program = "check_choose";

static const char *whisper;

/* ---- GPT-2's vocabulary as far as it goes here */

/* What follows the 256 bytes; the first 45 are GPT-2's, id by id from 256 on. */
static const char *const merged[] = {
    " t", " a", "he",   "in", "re", "on", " the", "er",  " s", "at",  " w",  " o", "en",  " c", "it",       "is",
    "an", "or", "es",   " b", "ed", " f", "ing",  " p",  "ou", " an", "al",  "ar", " to", " m", " of",      " in",
    " d", " h", " and", "ic", "as", "le", " th",  "ion", "om", "ll",  "ent", " n", " l",  "aa", "\xc3\xa9",
};
enum { MERGED = sizeof merged / sizeof *merged, AA = 256 + MERGED - 2, E_ACUTE };

static char bytes[256];
static struct ggml_token vocabulary[256 + MERGED];
static struct ggml_model model_of_words = {
    .vocabulary = VOCABULARY, .tokens = vocabulary, .token_count = 256 + MERGED, .text_context = 448};

/* GPT-2 numbers bytes that print first, in their order, then the others. */
static void make_vocabulary(void)
{
    uint32_t count = 0;
    for (int others = 0; others < 2; others++) {
        for (int c = 0; c < 256; c++) {
            bool prints = (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || c >= 0xae;
            bytes[c] = (char)c;
            if (prints == (others == 0))
                vocabulary[count++] = (struct ggml_token){&bytes[c], 1};
        }
    }
    for (int i = 0; i < MERGED; i++)
        vocabulary[count++] = (struct ggml_token){merged[i], (uint32_t)strlen(merged[i])};
}

static struct encoder *encoder;
static uint32_t tokens[ENCODE_BYTES_MAX + 1], token_count;

static void becomes(const char *text, const uint32_t *expected, uint32_t count)
{
    ck_assert_msg(encoder_encode(encoder, text, tokens, &token_count, &trouble), "%s", trouble.text);
    ck_assert_msg(token_count == count, "\"%s\" has %u tokens, not %u", text, token_count, count);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_msg(tokens[i] == expected[i], "\"%s\": token %u is %u, not %u", text, i, tokens[i], expected[i]);
}

#define BECOMES(text, ...)                                                                                             \
    becomes(text, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* Ids of bytes: '!' is 0, "a" 64, " " 220. */
START_TEST(encoding)
{
    make_vocabulary();
    ck_assert(encoder_create(&model_of_words, &encoder, &trouble));
    ck_assert(encoder_encode(encoder, "", tokens, &token_count, &trouble) && token_count == 0);
    BECOMES("!", 0);
    BECOMES(" ", 220);
    BECOMES(" the", 262);
    BECOMES(" there", 262, 260);     /* "re" before "er", though "er" ends the longer beginning of it */
    BECOMES("theing", 83, 258, 278); /* "he" before "in", "in" before "ing"; no " th" without its space */
    BECOMES("aaa", AA, 64);          /* the first of two */
    BECOMES("aaaaaa", AA, AA, AA);
    BECOMES(" and", 290);
    BECOMES("an d", 272, 288); /* a space belongs to what follows it: " d" */
    BECOMES("a  b", 64, 220, 275);
    BECOMES("a \n", 64, 220, 198);
    BECOMES("an's", 272, 6, 82);
    BECOMES("a1a", 64, 16, 64); /* letters and digits are never one piece */
    BECOMES("a!an", 64, 0, 272);
    BECOMES("\xc3\xa9 \xc3\xa9", E_ACUTE, 220, E_ACUTE);
    BECOMES("<|endoftext|>", 27, 91, 268, 67, 78, 69, 83, 68, 87, 83, 91, 29); /* no special token */
    encoder_destroy(&encoder);
    ck_assert_ptr_null(encoder);
}
END_TEST

static void is_refused(const char *text, const char *why)
{
    ck_assert_msg(!encoder_encode(encoder, text, tokens, &token_count, &trouble), "accepted, not \"%s\"", why);
    ck_assert_msg(strstr(trouble.text, why), "\"%s\" is not in: %s", why, trouble.text);
}

START_TEST(bytes_that_are_no_text)
{
    static char text[ENCODE_BYTES_MAX + 2];
    make_vocabulary();
    ck_assert(encoder_create(&model_of_words, &encoder, &trouble));
    is_refused("\xff", "the byte 0xff after 0 others is not UTF-8");
    is_refused("abc\xc3", "the byte 0xc3 after 3 others is not UTF-8");
    is_refused("ab \xc0\xaf", "the byte 0xc0 after 3 others");      /* two bytes for what takes one */
    is_refused("ab\xed\xa0\x80", "the byte 0xed after 2 others");   /* half of a surrogate pair */
    is_refused("\xf4\x90\x80\x80", "the byte 0xf4 after 0 others"); /* beyond the last character */
    is_refused("a\xa9", "the byte 0xa9 after 1 others");
    memset(text, 'a', sizeof text - 1);
    is_refused(text, "4097 bytes are more than 4096");
    text[ENCODE_BYTES_MAX] = '\0';
    ck_assert_msg(encoder_encode(encoder, text, tokens, &token_count, &trouble), "%s", trouble.text);
    ck_assert_uint_eq(token_count, ENCODE_BYTES_MAX / 2);
    encoder_destroy(&encoder);
    /* A vocabulary that lacks a byte. */
    vocabulary[64] = (struct ggml_token){"", 0};
    ck_assert(encoder_create(&model_of_words, &encoder, &trouble));
    is_refused("ba", "no token of the byte 0x61");
    BECOMES("b", 65);
    encoder_destroy(&encoder);
}
END_TEST

/* Whisper's numbers, as the tests of openai/whisper and of Hugging Face's transformers have them. */
START_TEST(whispers_vocabulary)
{
    struct speech speech = {0};
    ck_assert_msg(speech_open(whisper, "en", &speech, &trouble), "%s", trouble.text);
    ck_assert(encoder_create(&speech.weights, &encoder, &trouble));
    BECOMES(" Mr. Quilter is the apostle of the middle classes, and we are glad to welcome his gospel.", 2221, 13, 2326,
            388, 391, 307, 264, 50244, 295, 264, 2808, 5359, 11, 293, 321, 366, 5404, 281, 2928, 702, 14943, 13);
    BECOMES(" Nor is Mr. Quilter's manner less interesting than his matter.", 6966, 307, 2221, 13, 2326, 388, 391, 311,
            9060, 1570, 1880, 813, 702, 1871, 13);
    BECOMES(" He tells us that at this festive season of the year, with Christmas and roast beef", 634, 5112, 505, 300,
            412, 341, 42729, 3196, 295, 264, 1064, 11, 365, 5272, 293, 12904, 9256);
    BECOMES(" On the general principles of art, Mr. Quilter writes with equal lucidity.", 1282, 264, 2674, 9156, 295,
            1523, 11, 2221, 13, 2326, 388, 391, 13657, 365, 2681, 21296, 17711, 13);
    encoder_destroy(&encoder);
    speech_close(&speech);
}
END_TEST

/* ---- texts */

static struct speech speech;
static struct candidate candidates[3];

static void open_speech(void)
{
    make_vocabulary();
    speech = (struct speech){.weights = model_of_words};
    speech.weights.text_layers = 2;
    speech.weights.text_heads = 2; /* alignment heads: both of layer 1 */
    speech.weights.audio_context = 1500;
    speech.weights.mels = MELS;
    speech.tokens = tokens_of(&speech.weights);
    speech.language = EN;
}

static void are_refused(uint32_t count, const char **texts, const char *why)
{
    ck_assert_msg(!candidates_create(&speech, texts, count, candidates, &trouble), "accepted, not \"%s\"", why);
    ck_assert_msg(strstr(trouble.text, why), "\"%s\" is not in: %s", why, trouble.text);
    candidates_destroy(candidates, count);
}

#define ARE_REFUSED(why, ...)                                                                                          \
    are_refused(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__}, why)

START_TEST(texts_that_cannot_be)
{
    static char longest[1024], text[5000];
    open_speech();
    ARE_REFUSED("candidate 1: there is no text in it", "");
    ARE_REFUSED("candidate 2: there is no text in it", "a", " \t\n ");
    ARE_REFUSED("candidate 2: the byte 0xff after 1 others is not UTF-8", "a", "\xff");
    ARE_REFUSED("candidates 1 and 3 are the same text", "a", "b", " a ");
    memset(text, 'b', sizeof text - 1);
    ARE_REFUSED("candidate 1: 4999 bytes are more than 4095", text);

    /* 448 places: four of the prompt, one for the end. */
    for (int i = 0; i < 444; i++)
        memcpy(longest + 2 * i, " b", 3);
    ARE_REFUSED("candidate 2: 445 tokens with the end are more than the decoder's 448 leave after its prompt, 444", "a",
                longest);
    longest[2 * 443] = '\0';
    const char *fit[] = {longest, longest + 2};
    ck_assert_msg(candidates_create(&speech, fit, 2, candidates, &trouble), "%s", trouble.text);
    ck_assert(candidates[0].count == 444 && candidates[0].tokens[442] == 275 && candidates[0].tokens[443] == END);
    ck_assert(candidates[1].count == 443);
    candidates_destroy(candidates, 2);

    /* A space before the text, but where words have none. */
    const char *one[] = {"  the\n"};
    ck_assert(candidates_create(&speech, one, 1, candidates, &trouble));
    ck_assert(candidates[0].count == 2 && candidates[0].tokens[0] == 262);
    candidates_destroy(candidates, 1);
    speech.spaceless = true;
    ck_assert(candidates_create(&speech, one, 1, candidates, &trouble));
    ck_assert(candidates[0].count == 3 && candidates[0].tokens[0] == 83 && candidates[0].tokens[1] == 258);
    candidates_destroy(candidates, 1);
}
END_TEST

/* ---- scores, with a model that answers what it is told to */

enum { NO_TIMES = 50363, FRAMES = 50 };

struct model {
    uint32_t fed[16], places[16], count;
    uint32_t windows;
    float favour; /* the logit of the favourite, token 64 + position; the others have 0 */
    bool breaks;  /* at the 7th token */
    float spread; /* how much of a step's weight lies outside of its 10 frames */
};

bool model_encode(struct model *model, const float *window)
{
    (void)window;
    model->windows++;
    return true;
}

bool model_decode(struct model *model, uint32_t token, uint32_t position, float *logits, float *attention)
{
    model->fed[model->count] = token;
    model->places[model->count++] = position;
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = isnan(model->favour) ? NAN : 0;
    logits[64 + position] = model->favour;
    uint32_t step = position >= 3 ? position - 3 : 0;
    for (uint32_t i = 0; i < 4 * 1500; i++) {
        uint32_t frame = i % 1500;
        bool looks = frame >= 10 * step && frame < 10 * step + 10;
        /* Layer 0 has no alignment head; frames beyond the sound do not count. */
        attention[i] = i < 2 * 1500 || frame >= FRAMES ? 7
                       : looks                         ? 0.1f * (1 - model->spread)
                                                       : model->spread / (FRAMES - 10);
    }
    return !(model->breaks && model->count == 7);
}

static void hear(double seconds)
{
    static float silence[16000 * 31];
    ck_assert(mel_create(&weights, silence, (size_t)(16000 * seconds), &speech.mel, &trouble));
    speech.seconds = seconds;
}

START_TEST(scores)
{
    struct model model = {.favour = 3, .spread = 0.2f};
    const char *texts[] = {"\xc3\xa9!", "aa", "an d in a"};
    file_read_model(); /* for its mel filters */
    open_speech();
    hear(1);
    ck_assert_msg(candidates_create(&speech, texts, 3, candidates, &trouble), "%s", trouble.text);
    /* " an d in a": five tokens with the end, of which the model favours none; then one that it favours. */
    ck_assert_uint_eq(candidates[2].count, 5);
    candidates[2].tokens[1] = 64 + 4;
    ck_assert_msg(candidates_score(&speech, &model, candidates, 3, &trouble), "%s", trouble.text);
    ck_assert_uint_eq(model.windows, 1);
    /* The prompt but for its last token once; from there on each candidate, never its end. */
    uint32_t count = candidates[0].count + candidates[1].count + 5;
    ck_assert_uint_eq(model.count, 3 + count);
    ck_assert(model.fed[0] == START && model.fed[1] == EN && model.fed[2] == TRANSCRIBE);
    for (uint32_t c = 0, at = 3; c < 3; c++)
        for (uint32_t i = 0; i < candidates[c].count; i++, at++) {
            ck_assert_uint_eq(model.fed[at], i == 0 ? NO_TIMES : candidates[c].tokens[i - 1]);
            ck_assert_uint_eq(model.places[at], 3 + i);
        }
    double others = -log(VOCABULARY - 1 + exp(3));
    for (uint32_t i = 0; i < 5; i++)
        ck_assert_double_eq_tol(candidates[2].log_probability[i], i == 1 ? 3 + others : others, 1e-9);
    ck_assert_double_eq_tol(candidates[2].total, 3 + 5 * others, 1e-9);
    ck_assert_double_eq_tol(candidates[1].total, candidates[1].count * others, 1e-9);
    /* Each of five steps gives 0.8 of its weight to its own fifth of the sound. */
    for (uint32_t i = 0; i <= 5; i++)
        ck_assert_uint_eq(candidates[2].path[i], 10 * i);
    ck_assert_double_eq_tol(candidates[2].alignment, 0.8, 1e-6);
    /* Of three steps, the last has half of the frames where it need not look, too. */
    ck_assert_uint_eq(candidates[1].count, 3);
    ck_assert_double_eq_tol(candidates[1].alignment, (0.8 + 0.8 + 0.9) / 3, 1e-6);
    const struct candidate all[] = {
        {.total = -3, .alignment = 0.2}, {.total = -2, .alignment = 0.5}, {.total = -2, .alignment = 0.7}};
    ck_assert_uint_eq(candidates_likeliest(all, 3), 1); /* the first of two */
    ck_assert_uint_eq(candidates_best_aligned(all, 3), 2);

    /* All the weight where it belongs; then less of it. */
    static const float spreads[] = {0, 0.4f};
    for (int i = 0; i < 2; i++) {
        model = (struct model){.spread = spreads[i]};
        ck_assert(candidates_score(&speech, &model, candidates + 2, 1, &trouble));
        ck_assert_double_eq_tol(candidates[2].alignment, i == 0 ? 1.0 : 0.6, 1e-5);
        ck_assert_double_eq_tol(candidates[2].total, -5 * log(VOCABULARY), 1e-9);
    }
    candidates_destroy(candidates, 3);
    mel_destroy(&speech.mel);
    ggml_destroy(&weights);
}
END_TEST

START_TEST(scores_that_cannot_be)
{
    struct model model = {.favour = NAN};
    const char *texts[] = {"aa", "an"};
    file_read_model();
    open_speech();
    ck_assert(candidates_create(&speech, texts, 2, candidates, &trouble));
    hear(1);
    ck_assert(!candidates_score(&speech, &model, candidates, 2, &trouble));
    ck_assert_ptr_nonnull(strstr(trouble.text, "token 1 of \"aa\" has no finite logit"));
    model = (struct model){.breaks = true}; /* the library has said why */
    ck_assert(!candidates_score(&speech, &model, candidates, 2, &trouble));
    ck_assert_str_eq(trouble.text, "");
    mel_destroy(&speech.mel);
    hear(30.5);
    model = (struct model){0};
    ck_assert(!candidates_score(&speech, &model, candidates, 2, &trouble));
    ck_assert_ptr_nonnull(strstr(trouble.text, "30.50 s of sound are more than the 30"));
    ck_assert_uint_eq(model.windows, 0);
    candidates_destroy(candidates, 2);
    mel_destroy(&speech.mel);
    ggml_destroy(&weights);
}
END_TEST

int main(int count, char **words)
{
    Suite *suite = suite_create("choose");
    TCase *tests = tcase_create("choose");
    whisper = count > 1 ? words[1] : NULL;
    tcase_add_test(tests, encoding);
    tcase_add_test(tests, bytes_that_are_no_text);
    if (whisper != NULL)
        tcase_add_test(tests, whispers_vocabulary);
    tcase_add_test(tests, texts_that_cannot_be);
    tcase_add_test(tests, scores);
    tcase_add_test(tests, scores_that_cannot_be);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    free(file.data);
    return failed > 0;
}
