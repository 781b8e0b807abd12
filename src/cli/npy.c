/* SPDX-License-Identifier: MIT
 * NumPy's .npy files: a strict reader of the header, and plain input and output of the data. */
#include "npy.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "problem.h"

/* ---- the header's dictionary: a Python literal, of which only what NumPy writes is understood */

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    skip_space(c);
    size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0)
        return false;
    c->at += length;
    return true;
}

/* A quoted string without escapes, of less than `size` bytes. */
static bool take_string(struct cursor *c, char *text, size_t size)
{
    skip_space(c);
    if (c->at == c->end || (*c->at != '\'' && *c->at != '"'))
        return false;
    char quote = *c->at++;
    size_t length = 0;
    while (c->at < c->end && *c->at != quote) {
        if (*c->at == '\\' || *c->at == '\0' || length + 1 >= size)
            return false;
        text[length++] = *c->at++;
    }
    text[length] = '\0';
    return take(c, quote);
}

static bool take_number(struct cursor *c, uint64_t *number)
{
    skip_space(c);
    const char *first = c->at;
    struct heed_checked value = heed_checked(0);
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        value = heed_checked_add(heed_checked_mul(value, 10), (uint64_t)(*c->at++ - '0'));
    *number = value.value;
    return c->at > first && !(*first == '0' && c->at - first > 1) && !value.overflow;
}

/* What is left, for messages. */
static const char *rest(const struct cursor *c, char text[32])
{
    size_t length = (size_t)(c->end - c->at);
    if (length > 24)
        length = 24;
    memcpy(text, c->at, length);
    text[length] = '\0';
    return text;
}

static bool parse_descr(struct cursor *c, const char *name, struct npy *npy, struct fault *fault)
{
    char near[32], descr[32];
    skip_space(c);
    if (c->at < c->end && *c->at == '[')
        return fault_failed(fault, "%s: records (%s...) are not read; an array has one element type", name,
                            rest(c, near));
    if (!take_string(c, descr, sizeof descr))
        return fault_failed(fault, "%s: descr is not a string, near \"%s\"", name, rest(c, near));
    char order = descr[0], kind = order ? descr[1] : '\0';
    if (order == '|' && kind == 'O')
        return fault_failed(fault, "%s: descr '%s' is Python objects (pickled), not numbers", name, descr);
    if (order == '>' && strcmp(descr + 1, "b1") != 0 && strcmp(descr + 1, "i1") != 0 && strcmp(descr + 1, "u1") != 0)
        return fault_failed(fault,
                            "%s: descr '%s' is big endian; save little endian: a.astype(a.dtype.newbyteorder('<'))",
                            name, descr);
    static const char *const known[] = {"f2", "f4", "f8", "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t bytes = (uint32_t)(known[i][1] - '0');
        if ((order == '<' || (order == '|' && bytes == 1)) && strcmp(descr + 1, known[i]) == 0) {
            npy->kind = known[i][0];
            npy->item_bytes = bytes;
            return true;
        }
    }
    return fault_failed(fault, "%s: descr '%s' is none of <f2 <f4 <f8 |b1 and integers |i1 <i2 <i4 <i8 |u1 <u2 <u4 <u8",
                        name, descr);
}

static bool parse_shape(struct cursor *c, const char *name, struct npy *npy, struct fault *fault)
{
    char near[32];
    bool comma = false;
    if (!take(c, '('))
        return fault_failed(fault, "%s: shape is not a tuple, near \"%s\"", name, rest(c, near));
    npy->rank = 0;
    while (!take(c, ')')) {
        if (npy->rank > 0 && !comma)
            return fault_failed(fault, "%s: shape has no , or ) near \"%s\"", name, rest(c, near));
        if (npy->rank == NPY_MAX_RANK)
            return fault_failed(fault, "%s: shape has more than %d axes", name, NPY_MAX_RANK);
        skip_space(c);
        struct cursor before = *c;
        if (!take_number(c, &npy->shape[npy->rank]) || npy->shape[npy->rank] > INT64_MAX)
            return fault_failed(fault, "%s: axis %" PRIu32 " of shape is not a length from 0 to 2^63 - 1, near \"%s\"",
                                name, npy->rank, rest(&before, near));
        npy->rank++;
        comma = take(c, ',');
    }
    if (npy->rank == 1 && !comma)
        return fault_failed(fault, "%s: shape (%" PRIu64 ") is not a tuple: a , is missing", name, npy->shape[0]);
    return true;
}

static bool parse_dictionary(struct cursor *c, const char *name, struct npy *npy, struct fault *fault)
{
    char key[32], near[32];
    bool descr = false, order = false, shape = false;
    if (!take(c, '{'))
        return fault_failed(fault, "%s: the header is not a dictionary, near \"%s\"", name, rest(c, near));
    while (!take(c, '}')) {
        if (!take_string(c, key, sizeof key) || !take(c, ':'))
            return fault_failed(fault, "%s: the header has no 'key': near \"%s\"", name, rest(c, near));
        bool *seen = strcmp(key, "descr") == 0           ? &descr
                     : strcmp(key, "fortran_order") == 0 ? &order
                     : strcmp(key, "shape") == 0         ? &shape
                                                         : NULL;
        if (!seen)
            return fault_failed(fault, "%s: key '%s' of the header is none of descr, fortran_order, shape", name, key);
        if (*seen)
            return fault_failed(fault, "%s: the header has key '%s' twice", name, key);
        *seen = true;
        if (seen == &descr && !parse_descr(c, name, npy, fault))
            return false;
        if (seen == &shape && !parse_shape(c, name, npy, fault))
            return false;
        if (seen == &order && take_word(c, "True"))
            return fault_failed(fault, "%s: fortran_order True; save in C order: numpy.ascontiguousarray(a)", name);
        if (seen == &order && !take_word(c, "False"))
            return fault_failed(fault, "%s: fortran_order is neither True nor False, near \"%s\"", name, rest(c, near));
        if (!take(c, ',')) {
            if (take(c, '}'))
                break;
            return fault_failed(fault, "%s: the header has no , or } near \"%s\"", name, rest(c, near));
        }
    }
    skip_space(c);
    if (c->at < c->end)
        return fault_failed(fault, "%s: the header goes on after its dictionary: \"%s\"", name, rest(c, near));
    if (!descr || !order || !shape)
        return fault_failed(fault, "%s: the header has no key '%s'", name,
                            !descr   ? "descr"
                            : !order ? "fortran_order"
                                     : "shape");
    return true;
}

bool npy_parse(const void *start, size_t bytes, uint64_t file_bytes, const char *name, struct npy *npy,
               struct fault *fault)
{
    const unsigned char *b = start;
    memset(npy, 0, sizeof *npy);
    if (bytes < 6 || memcmp(b, "\x93NUMPY", 6) != 0)
        return fault_failed(fault, "%s: not a .npy file: it does not begin with \\x93NUMPY", name);
    if (bytes < 12)
        return fault_failed(fault, "%s: %" PRIu64 " bytes end inside the header", name, file_bytes);
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        return fault_failed(fault, "%s: version %d.%d is not 1.0, 2.0 or 3.0", name, b[6], b[7]);
    uint32_t before = b[6] == 1 ? 10 : 12;
    uint64_t length = (uint64_t)b[8] | (uint64_t)b[9] << 8;
    if (b[6] > 1)
        length |= (uint64_t)b[10] << 16 | (uint64_t)b[11] << 24;
    if (before + length > file_bytes)
        return fault_failed(fault, "%s: the header of %" PRIu64 " bytes is longer than the file of %" PRIu64, name,
                            before + length, file_bytes);
    if (before + length > NPY_MAX_HEADER || before + length > bytes)
        return fault_failed(fault, "%s: the header of %" PRIu64 " bytes is longer than %d", name, before + length,
                            NPY_MAX_HEADER);
    npy->data_offset = before + (uint32_t)length;

    struct cursor c = {(const char *)b + before, (const char *)b + npy->data_offset};
    if (!parse_dictionary(&c, name, npy, fault))
        return false;

    char shape[24 * NPY_MAX_RANK], type[8];
    npy_shape_text(npy->shape, npy->rank, shape);
    npy_type_name(npy, type);
    struct heed_checked count = heed_checked(1);
    for (uint32_t i = 0; i < npy->rank; i++) {
        if (npy->shape[i] == 0) {
            count = heed_checked(0);
            break;
        }
        count = heed_checked_mul(count, npy->shape[i]);
    }
    npy->count = count.value;
    struct heed_checked data = heed_checked_mul(count, npy->item_bytes);
    if (data.overflow || data.value > INT64_MAX)
        return fault_failed(fault, "%s: shape %s of %s does not fit 63 bits of bytes", name, shape, type);
    uint64_t there = file_bytes - npy->data_offset;
    if (there != data.value)
        return fault_failed(fault,
                            "%s: shape %s of %s takes %" PRIu64 " bytes, but the file has %" PRIu64 " after its header",
                            name, shape, type, data.value, there);
    return true;
}

/* ---- files */

bool npy_open(const char *name, struct npy_file *file, struct fault *fault)
{
    unsigned char start[NPY_MAX_HEADER];
    struct stat about;
    memset(file, 0, sizeof *file);
    FILE *stream = fopen(name, "rb");
    if (!stream)
        return fault_failed(fault, "%s: %s", name, strerror(errno));
    if (fstat(fileno(stream), &about) != 0 || !S_ISREG(about.st_mode)) {
        fclose(stream);
        return fault_failed(fault, "%s: not a regular file", name);
    }
    size_t got = fread(start, 1, sizeof start, stream);
    if (ferror(stream)) {
        fclose(stream);
        return fault_failed(fault, "%s: %s", name, strerror(errno));
    }
    /* A file that shrinks meanwhile must not make the parser read beyond what was read. */
    uint64_t file_bytes = got < sizeof start ? got : (uint64_t)about.st_size;
    if (!npy_parse(start, got, file_bytes, name, &file->npy, fault) ||
        (fseek(stream, (long)file->npy.data_offset, SEEK_SET) != 0 && !fault_failed(fault, "%s: cannot seek", name))) {
        fclose(stream);
        return false;
    }
    file->name = name;
    file->stream = stream;
    return true;
}

void npy_close(struct npy_file *file)
{
    if (file->stream)
        fclose(file->stream);
    file->stream = NULL;
}

bool npy_read(struct npy_file *file, void *elements, size_t count, struct fault *fault)
{
    if (fread(elements, file->npy.item_bytes, count, file->stream) != count)
        return fault_failed(fault, "%s: %s", file->name,
                            ferror(file->stream) ? strerror(errno) : "the file became shorter while it was read");
    file->next += count;
    return true;
}

void npy_type_name(const struct npy *npy, char text[8])
{
    snprintf(text, 8, "%c%u", npy->kind, (unsigned)npy->item_bytes % 10);
}

void npy_shape_text(const uint64_t *shape, uint32_t rank, char text[24 * NPY_MAX_RANK])
{
    size_t length = 0, size = 24 * NPY_MAX_RANK;
    text[length++] = '(';
    for (uint32_t i = 0; i < rank; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%" PRIu64, i > 0 ? ", " : "", shape[i]);
    snprintf(text + length, size - length, rank == 1 ? ",)" : ")");
}

size_t npy_header(uint32_t item_bytes, const uint64_t *shape, uint32_t rank, char header[384])
{
    char tuple[24 * NPY_MAX_RANK];
    npy_shape_text(shape, rank, tuple);
    int length = snprintf(header + 10, 384 - 10, "{'descr': '<f%u', 'fortran_order': False, 'shape': %s, }",
                          (unsigned)item_bytes, tuple);
    size_t total = (10 + (size_t)length + 1 + 63) / 64 * 64;
    memset(header + 10 + length, ' ', total - 10 - (size_t)length);
    header[total - 1] = '\n';
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = (char)((total - 10) & 255);
    header[9] = (char)((total - 10) >> 8);
    return total;
}
