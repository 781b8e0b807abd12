/* SPDX-License-Identifier: MIT
 * Files of safetensors: a strict reader, and what a file begins with. */
#include "safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "problem.h"

enum { LENGTH_BYTES = 8 };

static const struct safetensors_type types[] = {
    {"F32", 32, HEED_F32}, {"F16", 16, HEED_F16}, {"BF16", 16, HEED_BF16}, {"BOOL", 8, HEED_BOOL},
    {"I32", 32, HEED_I32}, {"F64", 64, -1},       {"I64", 64, -1},         {"U64", 64, -1},
    {"C64", 64, -1},       {"U32", 32, -1},       {"I16", 16, -1},         {"U16", 16, -1},
    {"I8", 8, -1},         {"U8", 8, -1},         {"F8_E5M2", 8, -1},      {"F8_E4M3", 8, -1},
    {"F8_E8M0", 8, -1},    {"F6_E3M2", 6, -1},    {"F6_E2M3", 6, -1},      {"F4", 4, -1},
};

const struct safetensors_type *safetensors_type_of(enum heed_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == (int)dtype)
            return &types[i];
    return NULL;
}

void safetensors_shape_text(const uint64_t *shape, uint32_t rank, char text[SAFETENSORS_SHAPE_TEXT])
{
    size_t length = 0, size = SAFETENSORS_SHAPE_TEXT;
    text[length++] = '[';
    for (uint32_t i = 0; i < rank; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%" PRIu64, i > 0 ? ", " : "", shape[i]);
    snprintf(text + length, size - length, "]");
}

/* ---- the header */

bool safetensors_header_bytes(const void *start, size_t bytes, uint64_t file_bytes, const char *name, size_t *header,
                              struct fault *fault)
{
    const unsigned char *b = start;
    if (bytes < LENGTH_BYTES || file_bytes < LENGTH_BYTES)
        return fault_failed(fault, "%s: not a safetensors file: %zu bytes, less than the 8 that it begins with", name,
                            bytes);
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)b[i] << 8 * i;
    if (length > SAFETENSORS_MAX_HEADER)
        return fault_failed(fault, "%s: not a safetensors file: its header would have %" PRIu64 " bytes, more than %d",
                            name, length, SAFETENSORS_MAX_HEADER);
    if (length > file_bytes - LENGTH_BYTES)
        return fault_failed(fault,
                            "%s: the header of %" PRIu64 " bytes is longer than what the file of %" PRIu64 " has left",
                            name, length, file_bytes);
    *header = (size_t)length;
    return true;
}

static bool parse_type(const json_t *value, const char *tensor, const char *name, const struct safetensors_type **type,
                       struct fault *fault)
{
    const char *text = json_string_value(value);
    if (!text)
        return fault_failed(fault, "%s: tensor '%.80s': dtype is not a string", name, tensor);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(text, types[i].name) == 0) {
            *type = &types[i];
            return true;
        }
    }
    return fault_failed(fault, "%s: tensor '%.80s': dtype \"%.20s\" is none that safetensors has", name, tensor, text);
}

/* A whole number from 0 up; jansson has refused what is over 2^63 - 1. */
static bool parse_whole(const json_t *value, uint64_t *number)
{
    *number = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool parse_shape(const json_t *value, const char *name, struct safetensors_tensor *t, struct fault *fault)
{
    if (!json_is_array(value))
        return fault_failed(fault, "%s: tensor '%.80s': shape is not an array", name, t->name);
    if (json_array_size(value) > SAFETENSORS_MAX_RANK)
        return fault_failed(fault, "%s: tensor '%.80s': shape has %zu axes, more than %d", name, t->name,
                            json_array_size(value), SAFETENSORS_MAX_RANK);
    t->rank = (uint32_t)json_array_size(value);
    for (uint32_t i = 0; i < t->rank; i++)
        if (!parse_whole(json_array_get(value, i), &t->shape[i]))
            return fault_failed(fault, "%s: tensor '%.80s': axis %" PRIu32 " of shape is not a length from 0 up", name,
                                t->name, i);
    return true;
}

static bool parse_offsets(const json_t *value, uint64_t data_bytes, const char *name, struct safetensors_tensor *t,
                          struct fault *fault)
{
    uint64_t end = 0;
    if (!json_is_array(value) || json_array_size(value) != 2 || !parse_whole(json_array_get(value, 0), &t->begin) ||
        !parse_whole(json_array_get(value, 1), &end))
        return fault_failed(fault, "%s: tensor '%.80s': data_offsets are not two whole numbers from 0 up", name,
                            t->name);
    if (end < t->begin || end > data_bytes)
        return fault_failed(fault,
                            "%s: tensor '%.80s': data_offsets [%" PRIu64 ", %" PRIu64 "] are no range of the %" PRIu64
                            " bytes that follow the header",
                            name, t->name, t->begin, end, data_bytes);
    t->bytes = end - t->begin;
    return true;
}

/* dtype times shape is the range of bytes. */
static bool check_bytes(const char *name, struct safetensors_tensor *t, struct fault *fault)
{
    char shape[SAFETENSORS_SHAPE_TEXT];
    struct heed_checked count = heed_checked(1);
    for (uint32_t i = 0; i < t->rank; i++)
        count = heed_checked_mul(count, t->shape[i]);
    const struct heed_checked bits = heed_checked_mul(count, t->type->bits);
    t->count = count.value;
    safetensors_shape_text(t->shape, t->rank, shape);
    if (bits.overflow)
        return fault_failed(fault, "%s: tensor '%.80s': shape %s of %s does not fit 64 bits", name, t->name, shape,
                            t->type->name);
    if (bits.value % 8 != 0 || bits.value / 8 != t->bytes)
        return fault_failed(
            fault, "%s: tensor '%.80s': data_offsets are %" PRIu64 " bytes, but shape %s of %s takes %" PRIu64 " bits",
            name, t->name, t->bytes, shape, t->type->name, bits.value);
    return true;
}

static bool parse_tensor(const json_t *value, uint64_t data_bytes, const char *name, struct safetensors_tensor *t,
                         struct fault *fault)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    enum { KEYS = sizeof keys / sizeof *keys };
    if (!json_is_object(value))
        return fault_failed(fault, "%s: tensor '%.80s' is not an object", name, t->name);
    for (int i = 0; i < KEYS; i++)
        if (!json_object_get(value, keys[i]))
            return fault_failed(fault, "%s: tensor '%.80s' has no %s", name, t->name, keys[i]);
    if (json_object_size(value) != KEYS)
        return fault_failed(fault, "%s: tensor '%.80s' has more than dtype, shape and data_offsets", name, t->name);
    return parse_type(json_object_get(value, keys[0]), t->name, name, &t->type, fault) &&
           parse_shape(json_object_get(value, keys[1]), name, t, fault) &&
           parse_offsets(json_object_get(value, keys[2]), data_bytes, name, t, fault) && check_bytes(name, t, fault);
}

static bool check_metadata(json_t *metadata, const char *name, struct fault *fault)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return fault_failed(fault, "%s: __metadata__ is not an object", name);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return fault_failed(fault, "%s: __metadata__: the value of '%.80s' is not a string", name, key);
    }
    return true;
}

static int in_file(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    /* Those without a byte first: the next one begins there, too. */
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Every byte belongs to one tensor. */
static bool check_order(const struct safetensors *s, uint64_t data_bytes, const char *name, struct fault *fault)
{
    uint64_t end = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct safetensors_tensor *t = &s->tensors[i];
        if (t->begin < end)
            return fault_failed(fault,
                                "%s: tensor '%.80s' begins at byte %" PRIu64 " of the data, inside '%.80s', which ends "
                                "at %" PRIu64,
                                name, t->name, t->begin, s->tensors[i - 1].name, end);
        if (t->begin > end)
            return fault_failed(fault, "%s: bytes %" PRIu64 " to %" PRIu64 " of the data are of no tensor", name, end,
                                t->begin - 1);
        end += t->bytes;
    }
    return end == data_bytes ||
           fault_failed(fault, "%s: the data have %" PRIu64 " bytes, but the tensors end at %" PRIu64, name, data_bytes,
                        end);
}

static bool parse_tensors(uint64_t data_bytes, const char *name, struct safetensors *s, struct fault *fault)
{
    const char *key;
    json_t *value;
    s->tensors = calloc(json_object_size(s->header) + 1, sizeof *s->tensors);
    if (!s->tensors)
        return fault_failed(fault, "out of host memory");
    json_object_foreach(s->header, key, value)
    {
        if (strcmp(key, "__metadata__") == 0) {
            if (!check_metadata(value, name, fault))
                return false;
            continue;
        }
        struct safetensors_tensor *t = &s->tensors[s->count++];
        t->name = key;
        if (!parse_tensor(value, data_bytes, name, t, fault))
            return false;
    }
    qsort(s->tensors, s->count, sizeof *s->tensors, in_file);
    return check_order(s, data_bytes, name, fault);
}

bool safetensors_parse(const char *header, size_t header_bytes, uint64_t data_bytes, const char *name,
                       struct safetensors *s, struct fault *fault)
{
    json_error_t error;
    memset(s, 0, sizeof *s);
    if (header_bytes == 0 || header[0] != '{')
        return fault_failed(fault, "%s: the header does not begin with {", name);
    s->header = json_loadb(header, header_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!s->header)
        return fault_failed(fault, "%s: the header is not JSON as safetensors has it: %s", name, error.text);
    if (parse_tensors(data_bytes, name, s, fault))
        return true;
    safetensors_clear(s);
    return false;
}

void safetensors_clear(struct safetensors *s)
{
    free(s->tensors);
    json_decref(s->header);
    memset(s, 0, sizeof *s);
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->tensors[i].name, name) == 0)
            return &s->tensors[i];
    return NULL;
}

/* ---- files */

static bool read_header(FILE *stream, uint64_t file_bytes, struct safetensors_file *file, struct fault *fault)
{
    unsigned char start[LENGTH_BYTES];
    size_t length = 0, got = fread(start, 1, sizeof start, stream);
    if (ferror(stream))
        return fault_failed(fault, "%s: %s", file->name, strerror(errno));
    if (!safetensors_header_bytes(start, got, file_bytes, file->name, &length, fault))
        return false;
    char *header = malloc(length + 1);
    if (!header)
        return fault_failed(fault, "out of host memory");
    file->data_offset = LENGTH_BYTES + length;
    bool done = fread(header, 1, length, stream) == length ||
                fault_failed(fault, "%s: %s", file->name,
                             ferror(stream) ? strerror(errno) : "the file became shorter while it was read");
    done = done && safetensors_parse(header, length, file_bytes - file->data_offset, file->name, &file->content, fault);
    free(header);
    return done;
}

bool safetensors_open(const char *name, struct safetensors_file *file, struct fault *fault)
{
    struct stat about;
    memset(file, 0, sizeof *file);
    file->name = name;
    FILE *stream = fopen(name, "rb");
    if (!stream)
        return fault_failed(fault, "%s: %s", name, strerror(errno));
    bool done = (fstat(fileno(stream), &about) == 0 && S_ISREG(about.st_mode)) ||
                fault_failed(fault, "%s: not a regular file", name);
    done = done && read_header(stream, (uint64_t)about.st_size, file, fault);
    if (done)
        file->stream = stream;
    else
        fclose(stream);
    return done;
}

void safetensors_close(struct safetensors_file *file)
{
    if (!file->stream)
        return;
    fclose(file->stream);
    file->stream = NULL;
    safetensors_clear(&file->content);
}

bool safetensors_read(struct safetensors_file *file, const struct safetensors_tensor *tensor, uint64_t first,
                      size_t count, void *elements, struct fault *fault)
{
    const size_t size = tensor->type->bits / 8;
    const uint64_t at = file->data_offset + tensor->begin + first * size;
    if (fseeko(file->stream, (off_t)at, SEEK_SET) != 0 || fread(elements, size, count, file->stream) != count)
        return fault_failed(fault, "%s: %s", file->name,
                            ferror(file->stream) ? strerror(errno) : "the file became shorter while it was read");
    const unsigned char *b = elements;
    for (size_t i = 0; size == 2 && i < count; i++)
        ((uint16_t *)elements)[i] = (uint16_t)(b[2 * i] | b[2 * i + 1] << 8);
    for (size_t i = 0; size == 4 && i < count; i++)
        ((uint32_t *)elements)[i] = (uint32_t)b[4 * i] | (uint32_t)b[4 * i + 1] << 8 | (uint32_t)b[4 * i + 2] << 16 |
                                    (uint32_t)b[4 * i + 3] << 24;
    return true;
}

/* ---- writing */

static json_t *header_json(struct safetensors_tensor *tensors, size_t count)
{
    json_t *header = json_object();
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        struct safetensors_tensor *t = &tensors[i];
        json_t *shape = json_array();
        t->count = 1;
        for (uint32_t a = 0; a < t->rank; a++) {
            t->count *= t->shape[a];
            json_array_append_new(shape, json_integer((json_int_t)t->shape[a]));
        }
        t->begin = end;
        t->bytes = t->count * t->type->bits / 8;
        end += t->bytes;
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->type->name, "shape", shape, "data_offsets",
                                      (json_int_t)t->begin, (json_int_t)end));
    }
    return header;
}

char *safetensors_header(struct safetensors_tensor *tensors, size_t count, size_t *bytes, struct fault *fault)
{
    enum { ALIGNMENT = 8 };
    json_t *json = header_json(tensors, count);
    const size_t length = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
    const size_t padded = (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *header = length > 0 && json_object_size(json) == count ? malloc(LENGTH_BYTES + padded) : NULL;
    if (header) {
        for (int i = 0; i < LENGTH_BYTES; i++)
            header[i] = (char)(padded >> 8 * i & 255);
        json_dumpb(json, header + LENGTH_BYTES, length, JSON_COMPACT);
        memset(header + LENGTH_BYTES + length, ' ', padded - length);
        *bytes = LENGTH_BYTES + padded;
    } else {
        fault_failed(fault, "out of host memory");
    }
    json_decref(json);
    return header;
}
