/* SPDX-License-Identifier: MIT
 * Headers of safetensors that are accepted and refused, files that are cut or damaged, and that what is written is
 * read. */
#define _XOPEN_SOURCE 700 /* mkstemp */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "safetensors.h"

static struct safetensors parsed;
static struct fault fault;

static bool parse(const char *header, uint64_t data_bytes)
{
    fault = (struct fault){.status = EXIT_DONE};
    return safetensors_parse(header, strlen(header), data_bytes, "x.safetensors", &parsed, &fault);
}

#define T(name, dtype, shape, begin, end)                                                                              \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

/* ---- headers */

static const struct {
    const char *header;
    uint64_t data_bytes, tensors;
} accepted[] = {
    {"{}", 0, 0},
    {"{}   ", 0, 0},
    {"{\"__metadata__\":{}}", 0, 0},
    {"{\"__metadata__\":{\"format\":\"pt\",\"\":\"\"}}", 0, 0},
    {"{" T("a", "F32", "2,3", 0, 24) "}", 24, 1},
    {"{" T("a", "F32", "", 0, 4) "}", 4, 1},
    {"{" T("", "F32", "1", 0, 4) "}", 4, 1},
    {"{" T("a", "F32", "0,3", 0, 0) "}", 0, 1},
    {"{" T("b", "F16", "2", 4, 8) "," T("a", "BF16", "2", 0, 4) "}", 8, 2},
    {"{" T("a", "F16", "2", 0, 4) "," T("none", "F16", "0", 4, 4) "," T("b", "F16", "2", 4, 8) "}", 8, 3},
    {"{" T("none", "F16", "0", 0, 0) "," T("b", "F16", "2", 0, 4) "}", 4, 2},
    {"{" T("a", "BOOL", "3", 0, 3) "," T("b", "I64", "1", 3, 11) "," T("c", "U8", "1", 11, 12) "}", 12, 3},
    {"{" T("a", "F4", "2,3", 0, 3) "," T("b", "F6_E2M3", "4", 3, 6) "," T("c", "F8_E4M3", "1", 6, 7) "}", 7, 3},
    {"{" T("a", "C64", "1", 0, 8) "," T("b", "F64", "1", 8, 16) "}", 16, 2},
    {"{\"a\" : {\"data_offsets\" : [ 0 , 4 ] ,\n \"shape\" : [ 1 ] , \"dtype\" : \"F32\" } }", 4, 1},
    {"{" T("a", "F32", "1,1,1,1,1,1,1,1", 0, 4) "}", 4, 1},
    {"{" T("\\u00e9\\n", "F32", "1", 0, 4) "}", 4, 1},
};

START_TEST(accepts)
{
    ck_assert_msg(parse(accepted[_i].header, accepted[_i].data_bytes), "%s: %s", accepted[_i].header, fault.text);
    ck_assert_uint_eq(parsed.count, accepted[_i].tensors);
    uint64_t end = 0;
    for (size_t i = 0; i < parsed.count; i++) {
        const struct safetensors_tensor *t = &parsed.tensors[i];
        ck_assert_uint_eq(t->begin, end);
        ck_assert_uint_eq(t->bytes, t->count * t->type->bits / 8);
        ck_assert_ptr_eq(safetensors_find(&parsed, t->name), t);
        end += t->bytes;
    }
    ck_assert_uint_eq(end, accepted[_i].data_bytes);
    ck_assert_ptr_null(safetensors_find(&parsed, "no such"));
    safetensors_clear(&parsed);
    /* A byte less or more is another file. */
    ck_assert(!parse(accepted[_i].header, accepted[_i].data_bytes + 1));
    if (accepted[_i].data_bytes > 0)
        ck_assert(!parse(accepted[_i].header, accepted[_i].data_bytes - 1));
}
END_TEST

/* What is refused, with a part of the sentence that says why. */
static const struct {
    const char *header;
    uint64_t data_bytes;
    const char *why;
} refused[] = {
    {"", 0, "does not begin with {"},
    {" {}", 0, "does not begin with {"},
    {"[]", 0, "does not begin with {"},
    {"{", 0, "not JSON"},
    {"{}{}", 0, "not JSON"},
    {"{} x", 0, "not JSON"},
    {"{\"a\":1", 0, "not JSON"},
    {"{'a':{}}", 0, "not JSON"},
    {"{\"a\":{},}", 0, "not JSON"},
    {"{\"a\xff\":{}}", 0, "not JSON"},
    {"{\"a\\u0000\":{}}", 0, "not JSON"},
    {"{" T("a", "F32", "1", 0, 4) "," T("a", "F32", "1", 0, 4) "}", 4, "duplicate"},
    {"{" T("a", "F32", "1", 0, 4) "," T("\\u0061", "F32", "1", 4, 8) "}", 8, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "duplicate"},
    {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}", 0, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not an object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "the value of 'a' is not a string"},
    {"{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", 0, "the value of 'a' is not a string"},
    {"{\"a\":1}", 0, "'a' is not an object"},
    {"{\"a\":[]}", 0, "'a' is not an object"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "has no data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, "more than dtype"},
    {"{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype is not a string"},
    {"{" T("a", "f32", "1", 0, 4) "}", 4, "\"f32\" is none"},
    {"{" T("a", "F128", "1", 0, 16) "}", 16, "\"F128\" is none"},
    {"{" T("a", "", "1", 0, 4) "}", 4, "\"\" is none"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, "shape is not an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":{},\"data_offsets\":[0,4]}}", 4, "shape is not an array"},
    {"{" T("a", "F32", "1.0", 0, 4) "}", 4, "axis 0 of shape"},
    {"{" T("a", "F32", "1,-1", 0, 4) "}", 4, "axis 1 of shape"},
    {"{" T("a", "F32", "\"1\"", 0, 4) "}", 4, "axis 0 of shape"},
    {"{" T("a", "F32", "true", 0, 4) "}", 4, "axis 0 of shape"},
    {"{" T("a", "F32", "null", 0, 4) "}", 4, "axis 0 of shape"},
    {"{" T("a", "F32", "1e0", 0, 4) "}", 4, "axis 0 of shape"},
    {"{" T("a", "F32", "1,1,1,1,1,1,1,1,1", 0, 4) "}", 4, "9 axes"},
    {"{" T("a", "F32", "9223372036854775808", 0, 4) "}", 4, "too big integer"},
    {"{" T("a", "F32", "4294967296,4294967296", 0, 4) "}", 4, "does not fit 64 bits"},
    {"{" T("a", "F32", "2305843009213693952,2", 0, 4) "}", 4, "does not fit 64 bits"},
    /* 2^62 elements of 32 bits are 2^67 bits, which 64 bits have as 0. */
    {"{" T("a", "F32", "4611686018427387904", 0, 0) "}", 0, "does not fit 64 bits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "not two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, "not two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 4, "not two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "not two whole numbers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":{}}}", 4, "not two whole numbers"},
    {"{" T("a", "F32", "1", 4, 0) "}", 4, "[4, 0] are no range of the 4 bytes"},
    {"{" T("a", "F32", "1", 0, 8) "}", 4, "[0, 8] are no range of the 4 bytes"},
    {"{" T("a", "F32", "1", 9223372036854775800, 9223372036854775804) "}", 4, "are no range of the 4 bytes"},
    {"{" T("a", "F32", "2", 0, 4) "}", 4, "are 4 bytes, but shape [2] of F32 takes 64 bits"},
    {"{" T("a", "F16", "1", 0, 4) "}", 4, "are 4 bytes, but shape [1] of F16 takes 16 bits"},
    {"{" T("a", "F4", "3", 0, 2) "}", 2, "takes 12 bits"},
    {"{" T("a", "F4", "3", 0, 1) "}", 1, "takes 12 bits"},
    {"{" T("a", "F32", "1", 0, 4) "," T("b", "F32", "1", 0, 4) "}", 4, "inside"},
    {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "1", 4, 8) "}", 8, "'b' begins at byte 4 of the data, inside 'a'"},
    {"{" T("a", "F32", "2", 0, 8) "," T("b", "F32", "0", 4, 4) "}", 8, "inside 'a'"},
    {"{" T("a", "F32", "1", 4, 8) "}", 8, "bytes 0 to 3 of the data are of no tensor"},
    {"{" T("a", "F32", "1", 0, 4) "," T("b", "F32", "1", 8, 12) "}", 12, "bytes 4 to 7 of the data are of no tensor"},
    {"{" T("a", "F32", "1", 0, 4) "}", 8, "the data have 8 bytes, but the tensors end at 4"},
    {"{}", 1, "the data have 1 bytes, but the tensors end at 0"},
};

START_TEST(refuses)
{
    ck_assert_msg(!parse(refused[_i].header, refused[_i].data_bytes), "%s: was accepted", refused[_i].header);
    ck_assert_int_eq(fault.status, EXIT_FAILED);
    ck_assert_msg(strstr(fault.text, refused[_i].why), "%s: \"%s\" has no \"%s\"", refused[_i].header, fault.text,
                  refused[_i].why);
    ck_assert_int_eq(strncmp(fault.text, "x.safetensors: ", 15), 0);
}
END_TEST

/* Brackets without an end use up neither the stack nor the time. */
START_TEST(refuses_deep_nesting)
{
    enum { DEEP = 1000000 };
    char *header = malloc(DEEP + 6);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEEP);
    header[DEEP + 5] = '\0';
    ck_assert(!parse(header, 0));
    ck_assert_msg(strstr(fault.text, "not JSON") && strstr(fault.text, "depth"), "%s", fault.text);
    free(header);
}
END_TEST

START_TEST(refuses_lengths)
{
    static const struct {
        const char *start;
        size_t bytes;
        uint64_t file_bytes;
        const char *why;
    } cases[] = {
        {"", 0, 0, "0 bytes, less than the 8"},
        {"\2\0\0\0\0\0\0", 7, 7, "7 bytes, less than the 8"},
        {"\2\0\0\0\0\0\0\0", 8, 9, "header of 2 bytes is longer than what the file of 9 has left"},
        {"\0\xe1\xf5\5\0\0\0\0", 8, 50, "header of 100000000 bytes is longer"},
        {"\1\xe1\xf5\5\0\0\0\0", 8, 1000000000, "100000001 bytes, more than 100000000"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, 1000000000, "18446744073709551615 bytes, more than 100000000"},
        {"\0\0\0\0\0\0\0\x80", 8, 1000000000, "more than 100000000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t header = 0;
        ck_assert(!safetensors_header_bytes(cases[i].start, cases[i].bytes, cases[i].file_bytes, "x", &header, &fault));
        ck_assert_msg(strstr(fault.text, cases[i].why), "\"%s\" has no \"%s\"", fault.text, cases[i].why);
    }
    size_t header = 0;
    ck_assert(safetensors_header_bytes("\2\0\0\0\0\0\0\0", 8, 10, "x", &header, &fault));
    ck_assert_uint_eq(header, 2);
    ck_assert(safetensors_header_bytes("\0\xe1\xf5\5\0\0\0\0", 8, 100000008, "x", &header, &fault));
    ck_assert_uint_eq(header, 100000000);
}
END_TEST

/* ---- files */

static char path[32];

static void write_file(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    memcpy(path, "/tmp/check_safetensors.XXXXXX", 30);
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, a, a_bytes), (ssize_t)a_bytes);
    ck_assert_int_eq(write(file, b, b_bytes), (ssize_t)b_bytes);
    close(file);
}

static char *three_tensors(size_t *bytes)
{
    struct safetensors_tensor tensors[] = {
        {.name = "first \"one\"", .type = safetensors_type_of(HEED_F32), .rank = 2, .shape = {1, 2}},
        {.name = "zwei", .type = safetensors_type_of(HEED_F16), .rank = 1, .shape = {3}},
        {.name = "none", .type = safetensors_type_of(HEED_BF16), .rank = 3, .shape = {0, 4, 5}},
    };
    char *header = safetensors_header(tensors, 3, bytes, &fault);
    ck_assert_ptr_nonnull(header);
    ck_assert_uint_eq(*bytes % 8, 0);
    ck_assert_uint_eq(tensors[1].begin, 8);
    return header;
}

static const unsigned char data[] = {0, 0, 128, 63, 0, 0, 0, 192, 0, 60, 1, 2, 3, 4};

START_TEST(reads_what_it_writes)
{
    size_t bytes = 0;
    char *header = three_tensors(&bytes);
    struct safetensors_file file;
    write_file(header, bytes, data, sizeof data);
    ck_assert_msg(safetensors_open(path, &file, &fault), "%s", fault.text);
    ck_assert_uint_eq(file.content.count, 3);
    float floats[2];
    uint16_t halves[3];
    const struct safetensors_tensor *a = safetensors_find(&file.content, "first \"one\""),
                                    *b = safetensors_find(&file.content, "zwei"),
                                    *c = safetensors_find(&file.content, "none");
    ck_assert(a && b && c);
    ck_assert(a->type->dtype == HEED_F32 && a->rank == 2 && a->shape[0] == 1 && a->shape[1] == 2);
    ck_assert(c->type->dtype == HEED_BF16 && c->rank == 3 && c->count == 0);
    ck_assert(safetensors_read(&file, b, 0, 3, halves, &fault));
    ck_assert(halves[0] == 0x3c00 && halves[1] == 0x0201 && halves[2] == 0x0403);
    ck_assert(safetensors_read(&file, a, 0, 2, floats, &fault));
    ck_assert(floats[0] == 1.0f && floats[1] == -2.0f);
    ck_assert(safetensors_read(&file, b, 2, 1, halves, &fault));
    ck_assert(halves[0] == 0x0403);
    safetensors_close(&file);
    unlink(path);
    free(header);
}
END_TEST

START_TEST(notices_a_file_that_is_cut_meanwhile)
{
    enum { COUNT = 1 << 17 }; /* more than a stream reads ahead */
    struct safetensors_tensor tensor = {
        .name = "a", .type = safetensors_type_of(HEED_F32), .rank = 1, .shape = {COUNT}};
    size_t bytes = 0;
    char *header = safetensors_header(&tensor, 1, &bytes, &fault);
    float *elements = calloc(COUNT, sizeof *elements);
    struct safetensors_file file;
    write_file(header, bytes, elements, COUNT * sizeof *elements);
    ck_assert_msg(safetensors_open(path, &file, &fault), "%s", fault.text);
    ck_assert(safetensors_read(&file, file.content.tensors, 0, COUNT, elements, &fault));
    ck_assert_int_eq(truncate(path, (off_t)bytes + 4 * (COUNT - 1)), 0);
    ck_assert(!safetensors_read(&file, file.content.tensors, 0, COUNT, elements, &fault));
    ck_assert_ptr_nonnull(strstr(fault.text, "became shorter"));
    safetensors_close(&file);
    unlink(path);
    free(elements);
    free(header);
}
END_TEST

/* Cut anywhere, or with a byte too many, it is refused in one line. */
START_TEST(refuses_every_length_but_one)
{
    size_t bytes = 0;
    char *header = three_tensors(&bytes);
    char *whole = malloc(bytes + sizeof data + 1);
    memcpy(whole, header, bytes);
    memcpy(whole + bytes, data, sizeof data);
    whole[bytes + sizeof data] = 0;
    for (size_t length = 0; length <= bytes + sizeof data + 1; length++) {
        struct safetensors_file file;
        write_file(whole, length, NULL, 0);
        const bool opened = safetensors_open(path, &file, &fault);
        ck_assert_msg(opened == (length == bytes + sizeof data), "%zu bytes: %s", length, fault.text);
        ck_assert_ptr_null(strchr(fault.text, '\n'));
        safetensors_close(&file);
        unlink(path);
    }
    free(whole);
    free(header);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    struct safetensors_file file;
    ck_assert(!safetensors_open("/nowhere/x", &file, &fault));
    ck_assert_ptr_nonnull(strstr(fault.text, "/nowhere/x: "));
    ck_assert(!safetensors_open("/", &file, &fault));
    ck_assert(!safetensors_open("/dev/null", &file, &fault));
    ck_assert_ptr_nonnull(strstr(fault.text, "not a regular file"));
    safetensors_close(&file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *headers = tcase_create("headers"), *files = tcase_create("files");
    tcase_add_loop_test(headers, accepts, 0, sizeof accepted / sizeof *accepted);
    tcase_add_loop_test(headers, refuses, 0, sizeof refused / sizeof *refused);
    tcase_add_test(headers, refuses_deep_nesting);
    tcase_add_test(headers, refuses_lengths);
    tcase_add_test(files, reads_what_it_writes);
    tcase_add_test(files, notices_a_file_that_is_cut_meanwhile);
    tcase_add_test(files, refuses_every_length_but_one);
    tcase_add_test(files, refuses_what_is_no_file);
    suite_add_tcase(suite, headers);
    suite_add_tcase(suite, files);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
