/* SPDX-License-Identifier: MIT
 * .npy headers that are accepted and refused, conversions of elements, and the option parser. */
#include <check.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "dtype.h"
#include "options.h"

/* ---- headers */

static unsigned char file[70000];
static struct npy npy;
static struct fault fault;

/* A file with that dictionary and `data` bytes after it. */
static bool parse(int version, const char *dictionary, uint64_t data)
{
    size_t before = version == 1 ? 10 : 12, length = strlen(dictionary);
    memset(file, 0, sizeof file);
    memcpy(file, "\x93NUMPY", 6);
    file[6] = (unsigned char)version;
    file[8] = (unsigned char)(length & 255);
    file[9] = (unsigned char)(length >> 8);
    memcpy(file + before, dictionary, length);
    uint64_t size = before + length + data;
    return npy_parse(file, size < sizeof file ? (size_t)size : sizeof file, size, "x.npy", &npy, &fault);
}

struct accepted {
    const char *dictionary;
    char kind;
    uint32_t item_bytes, rank;
    uint64_t shape[4], count;
};

static const struct accepted accepted[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", 'f', 4, 2, {2, 3}, 6},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 'f', 4, 2, {2, 3}, 6},
    {"{\"shape\":(2,3,),\"descr\":\"<f8\",\"fortran_order\":False}\n", 'f', 8, 2, {2, 3}, 6},
    {" {\n'descr' : '<f2' ,\t'fortran_order' : False , 'shape' : ( 5 , ) , } \n", 'f', 2, 1, {5}, 5},
    {"{'descr': '|b1', 'fortran_order': False, 'shape': (), }\n", 'b', 1, 0, {0}, 1},
    {"{'descr': '<b1', 'fortran_order': False, 'shape': (1,), }\n", 'b', 1, 1, {1}, 1},
    {"{'descr': '|i1', 'fortran_order': False, 'shape': (7,), }\n", 'i', 1, 1, {7}, 7},
    {"{'descr': '<i2', 'fortran_order': False, 'shape': (7,), }\n", 'i', 2, 1, {7}, 7},
    {"{'descr': '<i4', 'fortran_order': False, 'shape': (7,), }\n", 'i', 4, 1, {7}, 7},
    {"{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }\n", 'i', 8, 1, {7}, 7},
    {"{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }\n", 'u', 1, 1, {7}, 7},
    {"{'descr': '<u2', 'fortran_order': False, 'shape': (7,), }\n", 'u', 2, 1, {7}, 7},
    {"{'descr': '<u4', 'fortran_order': False, 'shape': (7,), }\n", 'u', 4, 1, {7}, 7},
    {"{'descr': '<u8', 'fortran_order': False, 'shape': (7,), }\n", 'u', 8, 1, {7}, 7},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }\n", 'f', 4, 2, {0, 3}, 0},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4, 0), }\n",
     'f',
     4,
     3,
     {INT64_MAX, 4, 0},
     0},
};

START_TEST(accepts)
{
    const struct accepted *a = &accepted[_i];
    for (int version = 1; version <= 3; version++) {
        ck_assert_msg(parse(version, a->dictionary, a->count * a->item_bytes), "%s: %s", a->dictionary, fault.text);
        ck_assert_int_eq(npy.kind, a->kind);
        ck_assert_uint_eq(npy.item_bytes, a->item_bytes);
        ck_assert_uint_eq(npy.rank, a->rank);
        ck_assert_uint_eq(npy.count, a->count);
        ck_assert_uint_eq(npy.data_offset, (version == 1 ? 10 : 12) + strlen(a->dictionary));
        for (uint32_t i = 0; i < a->rank; i++)
            ck_assert_uint_eq(npy.shape[i], a->shape[i]);
        /* A byte less or more is another file. */
        ck_assert(!parse(version, a->dictionary, a->count * a->item_bytes + 1));
        if (a->count > 0)
            ck_assert(!parse(version, a->dictionary, a->count * a->item_bytes - 1));
    }
}
END_TEST

/* What is refused, and a part of the sentence that says why. */
static const struct {
    const char *dictionary, *why;
} refused[] = {
    {"", "not a dictionary"},
    {"[]", "not a dictionary"},
    {"{", "'key'"},
    {"{}", "no key 'descr'"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", "goes on"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }{", "goes on"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)", "no , or }"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': (1,)}", "no , or }"},
    {"{'descr': '<f4', 'fortran_order': False}", "no key 'shape'"},
    {"{'descr': '<f4', 'shape': (1,)}", "no key 'fortran_order'"},
    {"{'fortran_order': False, 'shape': (1,)}", "no key 'descr'"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "'descr' twice"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}", "key 'more'"},
    {"{descr: '<f4', 'fortran_order': False, 'shape': (1,)}", "'key'"},
    {"{'descr: '<f4', 'fortran_order': False, 'shape': (1,)}", "'key'"},
    {"{'de\\x73cr': '<f4', 'fortran_order': False, 'shape': (1,)}", "'key'"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", "big endian"},
    {"{'descr': '=f4', 'fortran_order': False, 'shape': (1,)}", "'=f4' is none of"},
    {"{'descr': '|f4', 'fortran_order': False, 'shape': (1,)}", "'|f4' is none of"},
    {"{'descr': 'f4', 'fortran_order': False, 'shape': (1,)}", "'f4' is none of"},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "'<f16' is none of"},
    {"{'descr': '<f', 'fortran_order': False, 'shape': (1,)}", "'<f' is none of"},
    {"{'descr': '', 'fortran_order': False, 'shape': (1,)}", "'' is none of"},
    {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "'<c8' is none of"},
    {"{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (1,)}", "is none of"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "Python objects"},
    {"{'descr': '|V2', 'fortran_order': False, 'shape': (1,)}", "'|V2' is none of"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "records"},
    {"{'descr': 4, 'fortran_order': False, 'shape': (1,)}", "not a string"},
    {"{'descr': '<f4444444444444444444444444444444444444', 'fortran_order': False, 'shape': (1,)}", "not a string"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", "fortran_order True"},
    {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}", "neither True nor False"},
    {"{'descr': '<f4', 'fortran_order': Falsely, 'shape': (1,)}", "no , or }"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': 1}", "not a tuple"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", "a , is missing"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}", "no , or )"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,,2)}", "axis 1"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (+1,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (01,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (0x1,)}", "no , or )"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1L,)}", "no , or )"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1.0,)}", "no , or )"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551617,)}", "axis 0"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1)}", "more than 8 axes"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "63 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}", "63 bits"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976,)}", "63 bits"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,", "axis 1"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "no , or )"},
    {"{'descr': '<f", "not a string"},
};

START_TEST(refuses)
{
    for (int version = 1; version <= 3; version++) {
        ck_assert_msg(!parse(version, refused[_i].dictionary, 4), "%s is accepted", refused[_i].dictionary);
        ck_assert_msg(strstr(fault.text, refused[_i].why), "%s: \"%s\" is not in: %s", refused[_i].dictionary,
                      refused[_i].why, fault.text);
        ck_assert_msg(strncmp(fault.text, "x.npy: ", 7) == 0, "%s", fault.text);
        ck_assert_int_eq(fault.status, EXIT_FAILED);
    }
}
END_TEST

/* Every prefix of a good file is refused, and reads nothing behind its end (the sanitizers watch the copy). */
START_TEST(prefixes)
{
    ck_assert(parse(1, accepted[0].dictionary, 24));
    size_t length = npy.data_offset;
    for (size_t n = 0; n < length; n++) {
        unsigned char *copy = malloc(n + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, file, n);
        copy = realloc(copy, n > 0 ? n : 1);
        ck_assert_ptr_nonnull(copy);
        ck_assert(!npy_parse(copy, n, n, "x.npy", &npy, &fault));
        free(copy);
    }
}
END_TEST

START_TEST(header_limits)
{
    /* The length field may say anything; only what is in the file counts, and no more than NPY_MAX_HEADER. */
    ck_assert(parse(2, accepted[0].dictionary, 24));
    file[10] = 255;
    file[11] = 255;
    ck_assert(!npy_parse(file, 200, 200, "x.npy", &npy, &fault));
    ck_assert_msg(strstr(fault.text, "longer than the file"), "%s", fault.text);
    file[6] = 1;
    file[8] = 0xff;
    file[9] = 0xff;
    ck_assert(!npy_parse(file, NPY_MAX_HEADER, sizeof file, "x.npy", &npy, &fault));
    ck_assert_msg(strstr(fault.text, "longer than 16384"), "%s", fault.text);
    file[6] = 4;
    ck_assert(!npy_parse(file, NPY_MAX_HEADER, sizeof file, "x.npy", &npy, &fault));
    ck_assert_msg(strstr(fault.text, "version 4.0"), "%s", fault.text);
}
END_TEST

START_TEST(own_headers)
{
    const uint64_t shapes[][8] = {{0}, {3}, {1, 2}, {1, 2, 3, UINT32_MAX}, {1, 1, 1, 1, 1, 1, 1, INT32_MAX}};
    const uint32_t ranks[] = {0, 1, 2, 4, 8};
    for (int i = 0; i < 5; i++) {
        char header[384];
        uint64_t count = 1;
        for (uint32_t a = 0; a < ranks[i]; a++)
            count *= shapes[i][a];
        size_t length = npy_header(4, shapes[i], ranks[i], header);
        ck_assert_uint_eq(length % 64, 0);
        ck_assert_msg(npy_parse(header, length, length + 4 * count, "x.npy", &npy, &fault), "%s", fault.text);
        ck_assert_uint_eq(npy.rank, ranks[i]);
        ck_assert_uint_eq(npy.data_offset, length);
        ck_assert_int_eq(npy.kind, 'f');
        for (uint32_t a = 0; a < ranks[i]; a++)
            ck_assert_uint_eq(npy.shape[a], shapes[i][a]);
    }
}
END_TEST

START_TEST(messages_are_one_line)
{
    ck_assert(!npy_parse("", 0, 0, "a\nb\x1b[2Jc\x7f", &npy, &fault));
    ck_assert_msg(strncmp(fault.text, "a?b?[2Jc?: ", 11) == 0, "%s", fault.text);
    char *name = malloc(5000);
    ck_assert_ptr_nonnull(name);
    memset(name, 'n', 4999);
    name[4999] = 0;
    ck_assert(!npy_parse("", 0, 0, name, &npy, &fault));
    ck_assert_uint_eq(strlen(fault.text), sizeof fault.text - 1);
    free(name);
}
END_TEST

/* ---- elements */

static bool convert(char kind, uint32_t bytes, const void *from, size_t count, enum heed_dtype to,
                    enum convert_overflow overflow, void *elements)
{
    struct npy_file source = {.name = "x.npy", .npy = {.kind = kind, .item_bytes = bytes}};
    return convert_elements(&source, 10, from, count, to, overflow, elements, &fault);
}

START_TEST(floats)
{
    /* 1.5, -inf, NaN, 0.1, the lowest double; little endian whatever the host is. */
    const unsigned char f8[] = {0,    0,    0,    0,    0,    0,    0xf8, 0x3f, 0,    0,    0,    0,    0,    0,
                                0xf0, 0xff, 0,    0,    0,    0,    0,    0,    0xf8, 0x7f, 0x9a, 0x99, 0x99, 0x99,
                                0x99, 0x99, 0xb9, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff};
    float f32[5];
    ck_assert(convert('f', 8, f8, 4, HEED_F32, CONVERT_REFUSE, f32));
    ck_assert(f32[0] == 1.5f && f32[1] == -INFINITY && isnan(f32[2]) && f32[3] == 0.1f);
    ck_assert(!convert('f', 8, f8, 5, HEED_F32, CONVERT_REFUSE, f32));
    ck_assert_msg(strstr(fault.text, "element 14") && strstr(fault.text, "f32"), "%s", fault.text);
    ck_assert(convert('f', 8, f8, 5, HEED_F32, CONVERT_SATURATE, f32));
    ck_assert(f32[1] == -INFINITY && f32[4] == -FLT_MAX);

    /* 65504 + 15.99 rounds down to what f16 holds; 65520 is the first number that does not. */
    const unsigned char f4[] = {0xfd, 0xef, 0x7f, 0x47, 0x00, 0xf0, 0x7f, 0x47};
    uint16_t f16[2];
    ck_assert(convert('f', 4, f4, 1, HEED_F16, CONVERT_REFUSE, f16));
    ck_assert_uint_eq(f16[0], 0x7bff);
    ck_assert(!convert('f', 4, f4 + 4, 1, HEED_F16, CONVERT_REFUSE, f16));
    ck_assert_msg(strstr(fault.text, "65520"), "%s", fault.text);

    /* Once, to nearest even: 1 + 2^-11 + 2^-40 would become 1 by way of f32. */
    const double twice = 1.0 + 0x1p-11 + 0x1p-40;
    uint64_t bits;
    unsigned char bytes[8];
    memcpy(&bits, &twice, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(bits >> 8 * i);
    ck_assert(convert('f', 8, bytes, 1, HEED_F16, CONVERT_REFUSE, f16));
    ck_assert_uint_eq(f16[0], 0x3c01);

    const unsigned char f2[] = {0x01, 0x00, 0xff, 0xfb};
    ck_assert(convert('f', 2, f2, 2, HEED_F32, CONVERT_REFUSE, f32));
    ck_assert(f32[0] == 0x1p-24f && f32[1] == -65504.0f);
}
END_TEST

START_TEST(integers_and_booleans)
{
    const unsigned char bytes[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    int32_t i32[8];
    for (uint32_t width = 1; width <= 8; width *= 2) {
        ck_assert(convert('i', width, bytes, 1, HEED_I32, CONVERT_REFUSE, i32));
        ck_assert_int_eq(i32[0], -1);
        bool fits = width < 4;
        ck_assert(convert('u', width, bytes, 1, HEED_I32, CONVERT_REFUSE, i32) == fits);
        if (fits)
            ck_assert_int_eq(i32[0], width == 1 ? 255 : 65535);
    }
    ck_assert_msg(strstr(fault.text, "18446744073709551615"), "%s", fault.text);

    const unsigned char i8_min[] = {0, 0, 0, 0, 0, 0, 0, 0x80};
    ck_assert(!convert('i', 8, i8_min, 1, HEED_I32, CONVERT_REFUSE, i32));
    ck_assert_msg(strstr(fault.text, "-9223372036854775808"), "%s", fault.text);
    const unsigned char i4_min[] = {0, 0, 0, 0x80};
    ck_assert(convert('i', 4, i4_min, 1, HEED_I32, CONVERT_REFUSE, i32));
    ck_assert_int_eq(i32[0], INT32_MIN);

    float f32;
    const unsigned char odd[] = {1, 0, 0, 1, 0, 0, 0, 1}; /* 2^24 + 1, 2^24 */
    ck_assert(!convert('u', 4, odd, 1, HEED_F32, CONVERT_REFUSE, &f32));
    ck_assert_msg(strstr(fault.text, "16777217"), "%s", fault.text);
    ck_assert(convert('u', 4, odd + 4, 1, HEED_F32, CONVERT_REFUSE, &f32));
    ck_assert(f32 == 16777216.0f);

    unsigned char truth[3];
    ck_assert(convert('b', 1, "\0\1\1", 3, HEED_BOOL, CONVERT_REFUSE, truth));
    ck_assert(truth[0] == 0 && truth[1] == 1 && truth[2] == 1);
    ck_assert(!convert('b', 1, "\0\2", 2, HEED_BOOL, CONVERT_REFUSE, truth));
    ck_assert_msg(strstr(fault.text, "element 11") && strstr(fault.text, "byte 2"), "%s", fault.text);
}
END_TEST

START_TEST(back_to_npy)
{
    unsigned char bytes[8];
    const uint16_t bf16[] = {0x3fc0, 0xff80}; /* 1.5, -inf */
    convert_to_npy(HEED_BF16, bf16, 2, bytes);
    ck_assert(memcmp(bytes, "\x00\x00\xc0\x3f\x00\x00\x80\xff", 8) == 0);
    convert_to_npy(HEED_F16, bf16, 2, bytes);
    ck_assert(memcmp(bytes, "\xc0\x3f\x80\xff", 4) == 0);
    const float f32 = -0.0f;
    convert_to_npy(HEED_F32, &f32, 1, bytes);
    ck_assert(memcmp(bytes, "\x00\x00\x00\x80", 4) == 0);
    ck_assert_uint_eq(convert_npy_bytes(HEED_BF16), 4);
    ck_assert_uint_eq(convert_npy_bytes(HEED_F16), 2);
}
END_TEST

/* ---- options */

struct words {
    const char *in, *out;
    uint32_t count, length;
    float number;
    int choice;
    bool flag;
};

static const struct option word_options[] = {
    {OPTION_HEADING, "words", NULL, NULL, 0},
    {OPTION_REQUIRED, "in", "FILE", "what to read", offsetof(struct words, in)},
    {OPTION_TEXT, "out", "FILE", "what to write", offsetof(struct words, out)},
    {OPTION_COUNT, "count", "N", "how many", offsetof(struct words, count)},
    {OPTION_LENGTH, "length", "N", "how long", offsetof(struct words, length)},
    {OPTION_NUMBER, "number", "X", "how much", offsetof(struct words, number)},
    {OPTION_CHOICE, "choice", "one|two|twofold", "which", offsetof(struct words, choice)},
    {OPTION_FLAG, "flag", NULL, "whether", offsetof(struct words, flag)},
};

static const struct command word_command = {
    .name = "words", .options = word_options, .option_count = sizeof word_options / sizeof *word_options};

static bool parse_words(struct words *words, bool *help, const char *line)
{
    char *argv[16];
    static char copy[256];
    int argc = 0;
    *words = (struct words){.choice = -1};
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return options_parse(&word_command, argc, argv, words, help, &fault);
}

START_TEST(good_options)
{
    struct words w;
    bool help;
    ck_assert_msg(
        parse_words(&w, &help, "--in a --out=b --count 4294967295 --length=0 --number -1.5e-3 --choice two --flag"),
        "%s", fault.text);
    ck_assert(!help && w.flag && w.count == UINT32_MAX && w.length == 0 && w.choice == 1);
    ck_assert_str_eq(w.in, "a");
    ck_assert_str_eq(w.out, "b");
    ck_assert_float_eq(w.number, -1.5e-3f);
    ck_assert(parse_words(&w, &help, "--in=--out --choice=twofold"));
    ck_assert_str_eq(w.in, "--out");
    ck_assert_int_eq(w.choice, 2);
    ck_assert(parse_words(&w, &help, "--in -"));
    ck_assert(parse_words(&w, &help, "--nonsense --help") && help);
}
END_TEST

static const struct {
    const char *line, *why;
} bad_lines[] = {
    {"", "--in is missing: what to read"},
    {"a", "\"a\" is not an option"},
    {"-in a", "\"-in\" is not an option"},
    {"--", "\"--\" is not an option"},
    {"--in", "--in needs a value: FILE"},
    {"--in --flag", "--in needs a value"},
    {"--in=", "--in is empty"},
    {"--in a --in b", "--in is given twice"},
    {"--in a --flag --flag", "--flag is given twice"},
    {"--in a --flag=1", "--flag takes no value"},
    {"--in a --cuont 3", "did you mean --count?"},
    {"--in a --counts 3", "did you mean --count?"},
    {"--in a --xyzzy", "unknown option --xyzzy; heed words --help"},
    {"--in a --words", "unknown option --words"},
    {"--in a --coun=3", "unknown option --coun; did you mean --count?"},
    {"--in a --count 0", "\"0\" is not a whole number from 1 to 4294967295"},
    {"--in a --count 4294967296", "\"4294967296\""},
    {"--in a --count 99999999999999999999999", "\"99999999999999999999999\""},
    {"--in a --count -1", "\"-1\""},
    {"--in a --count 1.0", "\"1.0\""},
    {"--in a --count 0x10", "\"0x10\""},
    {"--in a --length -", "\"-\""},
    {"--in a --number inf", "not a finite number"},
    {"--in a --number 1e39", "not a finite number"},
    {"--in a --number 1,5", "not a finite number"},
    {"--in a --choice tw", "\"tw\" is not one of one|two|twofold"},
    {"--in a --choice one|two", "is not one of"},
};

START_TEST(bad_options)
{
    struct words w;
    bool help;
    ck_assert_msg(!parse_words(&w, &help, bad_lines[_i].line), "%s is accepted", bad_lines[_i].line);
    ck_assert_msg(strstr(fault.text, bad_lines[_i].why), "\"%s\" is not in: %s", bad_lines[_i].why, fault.text);
    ck_assert_int_eq(fault.status, EXIT_USAGE);
}
END_TEST

START_TEST(number_lists)
{
    int64_t n[3];
    uint32_t count;
    ck_assert(options_numbers("x", "-1,0,2147483647", ',', -1, INT32_MAX, n, 3, &count, &fault));
    ck_assert(count == 3 && n[0] == -1 && n[1] == 0 && n[2] == INT32_MAX);
    ck_assert(options_numbers("x", "12x34", 'x', 1, 65535, n, 3, &count, &fault));
    ck_assert(count == 2 && n[0] == 12 && n[1] == 34);
    const char *bad[] = {"", ",", "1,", ",1", "1,,2", "1,2,3,4", "1;2", " 1", "1 ", "--1", "1-", "9223372036854775808"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!options_numbers("x", bad[i], ',', -1, INT64_MAX, n, 3, &count, &fault), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *headers = tcase_create("headers"), *elements = tcase_create("elements"), *words = tcase_create("options");
    tcase_add_loop_test(headers, accepts, 0, sizeof accepted / sizeof *accepted);
    tcase_add_loop_test(headers, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_test(headers, prefixes);
    tcase_add_test(headers, header_limits);
    tcase_add_test(headers, own_headers);
    tcase_add_test(headers, messages_are_one_line);
    tcase_add_test(elements, floats);
    tcase_add_test(elements, integers_and_booleans);
    tcase_add_test(elements, back_to_npy);
    tcase_add_test(words, good_options);
    tcase_add_loop_test(words, bad_options, 0, sizeof bad_lines / sizeof *bad_lines);
    tcase_add_test(words, number_lists);
    suite_add_tcase(suite, headers);
    suite_add_tcase(suite, elements);
    suite_add_tcase(suite, words);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
