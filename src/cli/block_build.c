/* SPDX-License-Identifier: MIT
 * Tensors of a safetensors file as values of a pipeline: by name, with shapes in symbols that must agree. */
#include "block.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

static const heed_value none = {0};

void block_fail(struct block_build *b, const char *format, ...)
{
    char text[900];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (!b->failed)
        fault_failed(b->fault, "%s: %s", b->file->name, text);
    b->failed = true;
}

/* ---- lengths */

/* A word of a shape: "dim", "heads|1", ".inner"; *next is where the next one begins. */
struct word {
    char symbol[48], other[48]; /* other empty: there is no | */
};

static struct word next_word(const char *prefix, const char **shape)
{
    struct word w = {"", ""};
    const size_t length = strcspn(*shape, " "), first = strcspn(*shape, " |");
    const char *symbol = *shape;
    if (*symbol == '.')
        snprintf(w.symbol, sizeof w.symbol, "%s%.*s", prefix, (int)first - 1, symbol + 1);
    else
        snprintf(w.symbol, sizeof w.symbol, "%.*s", (int)first, symbol);
    if (first < length)
        snprintf(w.other, sizeof w.other, "%.*s", (int)(length - first - 1), symbol + first + 1);
    *shape += length + ((*shape)[length] == ' ');
    return w;
}

static struct block_length *find_length(struct block_build *b, const char *symbol)
{
    for (uint32_t i = 0; i < b->length_count; i++)
        if (strcmp(b->lengths[i].symbol, symbol) == 0)
            return &b->lengths[i];
    return NULL;
}

static void add_length(struct block_build *b, const char *symbol, uint64_t length, const char *tensor)
{
    if (b->length_count == BLOCK_MAX_LENGTHS) {
        block_fail(b, "block %s has more than %d lengths", b->type->name, BLOCK_MAX_LENGTHS);
        return;
    }
    struct block_length *l = &b->lengths[b->length_count++];
    l->length = length;
    snprintf(l->symbol, sizeof l->symbol, "%s", symbol);
    snprintf(l->tensor, sizeof l->tensor, "%s", tensor);
}

static bool is_number(const char *symbol)
{
    return symbol[0] >= '0' && symbol[0] <= '9';
}

static bool fits_symbol(struct block_build *b, const char *symbol, uint64_t length, const char *tensor)
{
    if (is_number(symbol))
        return length == strtoull(symbol, NULL, 10);
    const struct block_length *l = find_length(b, symbol);
    if (!l)
        add_length(b, symbol, length, tensor);
    return !l || l->length == length;
}

static bool fits(struct block_build *b, const struct word *w, uint64_t length, const char *tensor)
{
    return (w->other[0] && fits_symbol(b, w->other, length, tensor)) || fits_symbol(b, w->symbol, length, tensor);
}

void block_set_length(struct block_build *b, const char *symbol, uint64_t length)
{
    if (b->file && !find_length(b, symbol))
        add_length(b, symbol, length, "");
}

uint64_t block_get_length(const struct block_build *b, const char *prefix, const char *symbol)
{
    struct word w = next_word(prefix, &symbol);
    const struct block_length *l = find_length((struct block_build *)b, w.symbol);
    return l ? l->length : 0;
}

void block_expect_multiple(struct block_build *b, const char *prefix, const char *symbol, const char *of)
{
    if (!b->file || b->failed)
        return;
    struct word w = next_word(prefix, &symbol);
    const struct block_length *l = find_length(b, w.symbol);
    const uint64_t divisor = block_get_length(b, prefix, of);
    if (l && (divisor == 0 || l->length % divisor != 0))
        block_fail(b, "%s %" PRIu64 " does not divide %s, which is %" PRIu64 "%s%s%s", of, divisor, l->symbol,
                   l->length, l->tensor[0] ? " in '" : " by the configuration", l->tensor, l->tensor[0] ? "'" : "");
}

/* ---- shapes */

enum { SHAPE_TEXT = 400 };

/* "[batch, rows, dim]"; with `known`, symbols that have a length are shown as that. */
static void wanted_text(struct block_build *b, const char *prefix, const char *shape, uint32_t parts, bool known,
                        char text[SHAPE_TEXT])
{
    size_t length = 0;
    for (bool first = true; *shape && length < SHAPE_TEXT; first = false) {
        const struct word w = next_word(prefix, &shape);
        const struct block_length *l = known ? find_length(b, w.symbol) : NULL;
        length += (size_t)snprintf(text + length, SHAPE_TEXT - length, first ? "[" : ", ");
        if (l && length < SHAPE_TEXT)
            length += (size_t)snprintf(text + length, SHAPE_TEXT - length, "%" PRIu64, l->length * parts);
        else if (length < SHAPE_TEXT && parts > 1)
            length += (size_t)snprintf(text + length, SHAPE_TEXT - length, "%" PRIu32 " %s", parts, w.symbol);
        else if (length < SHAPE_TEXT)
            length += (size_t)snprintf(text + length, SHAPE_TEXT - length, "%s", w.symbol);
        if (w.other[0] && length < SHAPE_TEXT)
            length += (size_t)snprintf(text + length, SHAPE_TEXT - length, " or %s", w.other);
        parts = 1;
    }
    if (length < SHAPE_TEXT)
        snprintf(text + length, SHAPE_TEXT - length, "]");
}

static void wrong_shape(struct block_build *b, const struct safetensors_tensor *t, const char *prefix,
                        const char *shape, uint32_t parts, const char *blame)
{
    char is[SAFETENSORS_SHAPE_TEXT], symbols[SHAPE_TEXT], numbers[SHAPE_TEXT], why[200] = "";
    const struct block_length *l = blame ? find_length(b, blame) : NULL;
    safetensors_shape_text(t->shape, t->rank, is);
    wanted_text(b, prefix, shape, parts, false, symbols);
    wanted_text(b, prefix, shape, parts, true, numbers);
    if (l && l->tensor[0])
        snprintf(why, sizeof why, "; %s is %" PRIu64 " in '%s'", l->symbol, l->length, l->tensor);
    else if (l)
        snprintf(why, sizeof why, "; %s is %" PRIu64 " by the configuration", l->symbol, l->length);
    if (strcmp(symbols, numbers) == 0)
        block_fail(b, "tensor '%.80s' is %s; block %s wants %s", t->name, is, b->type->name, symbols);
    else
        block_fail(b, "tensor '%.80s' is %s; block %s wants %s = %s%s", t->name, is, b->type->name, symbols, numbers,
                   why);
}

static bool check_shape(struct block_build *b, const struct safetensors_tensor *t, const char *prefix,
                        const char *shape, uint32_t parts)
{
    const char *at = shape;
    uint32_t axes = 0;
    while (*at) {
        next_word(prefix, &at);
        axes++;
    }
    at = shape;
    if (axes != t->rank)
        wrong_shape(b, t, prefix, shape, parts, NULL);
    for (uint32_t i = 0; !b->failed && i < axes; i++) {
        const struct word w = next_word(prefix, &at);
        const uint32_t divisor = i == 0 ? parts : 1;
        if (t->shape[i] > INT32_MAX)
            block_fail(b, "tensor '%.80s': axis %" PRIu32 " has length %" PRIu64 ", more than 2^31 - 1", t->name, i,
                       t->shape[i]);
        else if (t->shape[i] % divisor != 0 || !fits(b, &w, t->shape[i] / divisor, t->name))
            wrong_shape(b, t, prefix, shape, parts, w.symbol);
    }
    return !b->failed;
}

/* ---- types */

static enum heed_dtype wanted_dtype(enum block_take take, int stored)
{
    if (take == BLOCK_F32 || (take == BLOCK_MASK && stored == HEED_BF16))
        return HEED_F32;
    return (enum heed_dtype)stored;
}

static bool check_type(struct block_build *b, const struct safetensors_tensor *t, enum block_take take)
{
    const int dtype = t->type->dtype;
    const bool is_float = dtype == HEED_F32 || dtype == HEED_F16 || dtype == HEED_BF16;
    if (!is_float && !(take == BLOCK_MASK && dtype == HEED_BOOL))
        block_fail(b, "tensor '%.80s' is of %s; block %s wants %sF32, F16 or BF16", t->name, t->type->name,
                   b->type->name, take == BLOCK_MASK ? "BOOL, " : "");
    return !b->failed;
}

/* ---- taking */

static void print_row(const char *name, const char *prefix, const char *shape, uint32_t parts, enum block_take take,
                      const char *when)
{
    enum { NAME_COLUMN = 2, SHAPE_COLUMN = 44 };
    char text[SHAPE_TEXT], line[SHAPE_TEXT + 120];
    wanted_text(NULL, prefix, shape, parts, false, text);
    snprintf(line, sizeof line, "%s%s%s%s", text, take == BLOCK_MASK ? ", BOOL or numbers" : "", when ? "; " : "",
             when ? when : "");
    int column = printf("%*s%s", NAME_COLUMN, "", name);
    if (column >= SHAPE_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", SHAPE_COLUMN - column, "");
    options_print_words(line, SHAPE_COLUMN, SHAPE_COLUMN);
}

static heed_value add_source(struct block_build *b, const struct safetensors_tensor *t, enum block_take take,
                             const char *arg, uint32_t part, uint32_t parts)
{
    struct heed_shape shape = {.axes = t->rank};
    if (t->rank < 1 || t->rank > HEED_MAX_AXES || b->source_count == BLOCK_MAX_TENSORS) {
        block_fail(b, "tensor '%.80s' is one more than %d", t->name, BLOCK_MAX_TENSORS);
        return none;
    }
    for (uint32_t i = 0; i < t->rank; i++)
        shape.length[i] = (uint32_t)t->shape[i];
    shape.length[0] /= parts;
    struct block_source *s = &b->sources[b->source_count++];
    *s = (struct block_source){.tensor = t,
                               .count = t->count / parts,
                               .part = part,
                               .parts = parts,
                               .dtype = wanted_dtype(take, t->type->dtype)};
    snprintf(s->arg, sizeof s->arg, "%s", arg);
    return heed_pipeline_input(b->pipeline, s->arg, s->dtype, shape);
}

static heed_value take_tensor(struct block_build *b, enum block_take take, const char *prefix, const char *name,
                              const char *shape)
{
    char full[64], wanted[SHAPE_TEXT];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const struct safetensors_tensor *t = safetensors_find(&b->file->content, full);
    if (!t) {
        wanted_text(b, prefix, shape, 1, false, wanted);
        block_fail(b, "tensor '%s' is missing; block %s wants it, %s", full, b->type->name, wanted);
        return none;
    }
    if (!check_type(b, t, take) || !check_shape(b, t, prefix, shape, 1))
        return none;
    return add_source(b, t, take, full, 0, 1);
}

static bool has_key(const struct block_type *type, const char *name)
{
    for (size_t i = 0; i < type->key_count; i++)
        if (strcmp(type->keys[i].name, name) == 0)
            return true;
    return false;
}

heed_value block_tensor(struct block_build *b, enum block_take take, const char *prefix, const char *name,
                        const char *shape, struct block_when when)
{
    char full[64];
    if (b->failed)
        return none;
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (!b->file) {
        print_row(full, prefix, shape, 1, take, when.key && has_key(b->type, when.key) ? when.text : NULL);
        return none;
    }
    if (when.holds)
        return take_tensor(b, take, prefix, name, shape);
    if (block_has(b, prefix, name))
        block_fail(b, "tensor '%s' is there, but block %s takes it only %s", full, b->type->name, when.text);
    return none;
}

heed_value block_optional(struct block_build *b, enum block_take take, const char *prefix, const char *name,
                          const char *shape, const char *meaning)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (!b->file && !b->failed)
        print_row(full, prefix, shape, 1, take, meaning);
    return b->failed || !block_has(b, prefix, name) ? none : take_tensor(b, take, prefix, name, shape);
}

heed_value block_part(struct block_build *b, const char *prefix, const char *name, const char *shape, uint32_t part,
                      uint32_t parts)
{
    char full[64], arg[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    if (!b->file && part == 0)
        print_row(full, prefix, shape, parts, BLOCK_FLOATS,
                  "in place of those of q_proj, k_proj and v_proj, one behind the other");
    const struct safetensors_tensor *t = b->failed || !b->file ? NULL : safetensors_find(&b->file->content, full);
    if (!t || !check_type(b, t, BLOCK_FLOATS) || !check_shape(b, t, prefix, shape, parts))
        return none;
    snprintf(arg, sizeof arg, "%.50s.%" PRIu32, full, part);
    return add_source(b, t, t->rank == 1 ? BLOCK_F32 : BLOCK_FLOATS, arg, part, parts);
}

heed_value block_made(struct block_build *b, const char *name, struct heed_shape shape, float *data)
{
    if (!data && b->file)
        block_fail(b, "out of host memory");
    if (b->failed || !b->file || b->source_count == BLOCK_MAX_TENSORS) {
        free(data);
        return none;
    }
    struct block_source *s = &b->sources[b->source_count++];
    *s = (struct block_source){.data = data, .count = 1, .dtype = HEED_F32};
    for (uint32_t a = 0; a < shape.axes; a++)
        s->count *= shape.length[a];
    snprintf(s->arg, sizeof s->arg, "%s", name);
    return heed_pipeline_input(b->pipeline, s->arg, s->dtype, shape);
}

bool block_has(const struct block_build *b, const char *prefix, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return b->file && safetensors_find(&b->file->content, full);
}

/* ---- the end */

void block_output(struct block_build *b, const char *name, heed_value value, const char *shape)
{
    if (!b->file) {
        if (b->output_count++ == 0)
            puts("\nresults");
        print_row(name, "", shape, 1, BLOCK_FLOATS, NULL);
        return;
    }
    struct block_output *o = &b->outputs[b->output_count++];
    o->name = name;
    heed_pipeline_output(b->pipeline, name, value);
    heed_pipeline_get_shape(b->pipeline, value, &o->shape, &o->dtype);
}

void block_finish(struct block_build *b)
{
    for (size_t i = 0; !b->failed && i < b->file->content.count; i++) {
        const struct safetensors_tensor *t = &b->file->content.tensors[i];
        const char *names[BLOCK_MAX_TENSORS];
        bool taken = false;
        for (uint32_t j = 0; j < b->source_count; j++) {
            names[j] = b->sources[j].arg;
            taken |= b->sources[j].tensor == t;
        }
        if (taken)
            continue;
        const char *nearest = options_nearest(t->name, names, b->source_count);
        if (nearest)
            block_fail(b, "tensor '%.80s' is none that block %s takes; is '%s' meant?", t->name, b->type->name,
                       nearest);
        else
            block_fail(
                b,
                "tensor '%.80s' is none that block %s takes with this configuration; heed block --type %s --help "
                "lists them",
                t->name, b->type->name, b->type->name);
    }
}

void block_clear(struct block_build *b)
{
    for (uint32_t i = 0; i < b->source_count; i++)
        free(b->sources[i].data);
}
