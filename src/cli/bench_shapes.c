/* SPDX-License-Identifier: MIT
 * Shapes from text: a name, then the arguments of heed explain. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "shape.h"

enum { MAX_WORDS = 64, MAX_SHAPES = 4096, MAX_LINE = 512 };

static const struct {
    const char *model;
    int line;
    const char *text;
} built_in[] = {
#include "bench_shapes.h"
};

/* ---- a line */

struct attention_line {
    struct attention_shape shape;
    bool quick;
};

struct deform_line {
    struct deform_shape shape;
    int sampling;
    bool quick;
};

#define QUICK_HELP "also in the reduced set of --quick"

static const struct option attention_options[] = {
    ATTENTION_SHAPE_OPTIONS(struct attention_line, shape),
    {OPTION_FLAG, "quick", NULL, QUICK_HELP, offsetof(struct attention_line, quick)},
};

static const struct option deform_options[] = {
    DEFORM_SHAPE_OPTIONS(struct deform_line, shape),
    {OPTION_CHOICE, "sampling", "near|anywhere",
     "where samples fall: near the place of their query, as those of a trained encoder do, or anywhere",
     offsetof(struct deform_line, sampling)},
    {OPTION_FLAG, "quick", NULL, QUICK_HELP, offsetof(struct deform_line, quick)},
};

static const struct command attention_command = {
    .name = "explain attention",
    .options = attention_options,
    .option_count = sizeof attention_options / sizeof *attention_options,
};

static const struct command deform_command = {
    .name = "explain deform",
    .options = deform_options,
    .option_count = sizeof deform_options / sizeof *deform_options,
};

static bool parse(struct bench_shape *shape, const char *op, int argc, char *const *argv, struct fault *fault)
{
    bool help = false;
    if (strcmp(op, "attention") == 0) {
        struct attention_line line = {.shape = ATTENTION_SHAPE_INIT};
        shape->desc.attention = (struct heed_attention_desc)HEED_ATTENTION_DESC_INIT;
        if (!options_parse(&attention_command, argc, argv, &line, &help, fault) ||
            !attention_shape_apply(&line.shape, &shape->desc.attention, fault))
            return false;
        shape->quick = line.quick;
    } else if (strcmp(op, "deform") == 0) {
        struct deform_line line = {.shape = DEFORM_SHAPE_INIT};
        shape->is_deform = true;
        shape->desc.deform = (struct heed_deform_desc)HEED_DEFORM_DESC_INIT;
        if (!options_parse(&deform_command, argc, argv, &line, &help, fault) ||
            (!help && !deform_shape_apply(&line.shape, &shape->desc.deform, fault)))
            return false;
        shape->quick = line.quick;
        shape->anywhere = line.sampling == 1;
    } else {
        return fault_usage(fault, "\"%s\" is neither attention nor deform", op);
    }
    return !help || fault_usage(fault, "--help says nothing about a shape");
}

/* "NAME attention|deform OPTIONS", '#' begins a comment. *found: there was one. */
static bool parse_line(const char *text, struct bench_shape *shape, bool *found, struct fault *fault)
{
    char line[MAX_LINE];
    char *words[MAX_WORDS];
    int count = 0;
    memset(shape, 0, sizeof *shape);
    size_t length = strcspn(text, "#\r\n");
    if (length >= sizeof line)
        return fault_usage(fault, "the line is longer than %d characters", MAX_LINE - 1);
    snprintf(line, sizeof line, "%.*s", (int)length, text);
    for (char *at = line; *(at += strspn(at, " \t"));) {
        if (count == MAX_WORDS)
            return fault_usage(fault, "the line has more than %d words", MAX_WORDS);
        words[count++] = at;
        at += strcspn(at, " \t");
        if (*at)
            *at++ = '\0';
    }
    *found = count > 0;
    if (count == 0)
        return true;
    if (count == 1)
        return fault_usage(fault, "after the name \"%s\" comes attention or deform", words[0]);
    if (strlen(words[0]) >= sizeof shape->name || strchr(words[0], ','))
        return fault_usage(fault, "the name \"%s\" has more than %zu characters, or a comma", words[0],
                           sizeof shape->name - 1);
    snprintf(shape->name, sizeof shape->name, "%s", words[0]);
    size_t used = 0;
    for (int i = 1; i < count; i++) {
        size_t room = sizeof shape->text - used;
        size_t needed = (size_t)snprintf(shape->text + used, room, "%s%s", i > 1 ? " " : "", words[i]);
        if (needed >= room)
            return fault_usage(fault, "the line is longer than %zu characters", sizeof shape->text - 1);
        used += needed;
    }
    return parse(shape, words[1], count - 2, words + 2, fault);
}

static bool add_line(struct bench_shapes *shapes, const char *model, const char *file, int number, const char *text,
                     struct fault *fault)
{
    struct bench_shape shape;
    bool found = false;
    if (!parse_line(text, &shape, &found, fault)) {
        char why[sizeof fault->text];
        snprintf(why, sizeof why, "%s", fault->text);
        return fault_usage(fault, "%s:%d: %.800s", file, number, why);
    }
    if (!found)
        return true;
    for (uint32_t i = 0; i < shapes->count; i++)
        if (strcmp(shapes->shape[i].name, shape.name) == 0)
            return fault_usage(fault, "%s:%d: the name \"%s\" is there twice", file, number, shape.name);
    snprintf(shape.model, sizeof shape.model, "%s", model);
    if (shapes->count == MAX_SHAPES)
        return fault_usage(fault, "%s:%d: more than %d shapes", file, number, MAX_SHAPES);
    struct bench_shape *grown = realloc(shapes->shape, (shapes->count + 1) * sizeof *grown);
    if (!grown)
        return fault_failed(fault, "out of host memory");
    shapes->shape = grown;
    grown[shapes->count++] = shape;
    return true;
}

/* ---- files */

/* "shapes/whisper.txt" -> "whisper" */
static void model_name(const char *path, char model[48])
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".txt") == 0)
        length -= 4;
    snprintf(model, 48, "%.*s", (int)(length < 47 ? length : 47), base);
}

static bool read_file(struct bench_shapes *shapes, const char *path, struct fault *fault)
{
    char model[48], text[MAX_LINE + 2];
    model_name(path, model);
    FILE *file = fopen(path, "r");
    if (!file)
        return fault_failed(fault, "%s: %s", path, strerror(errno));
    bool done = true;
    for (int line = 1; done && fgets(text, sizeof text, file); line++) {
        bool whole = strchr(text, '\n') || feof(file);
        done = whole ? add_line(shapes, model, path, line, text, fault)
                     : fault_usage(fault, "%s:%d: the line is longer than %d characters", path, line, MAX_LINE - 1);
    }
    if (done && ferror(file))
        done = fault_failed(fault, "%s: %s", path, strerror(errno));
    fclose(file);
    if (done && shapes->count == 0)
        done = fault_failed(fault, "%s: there is no shape in it", path);
    return done;
}

bool bench_shapes_read(struct bench_shapes *shapes, const char *path, struct fault *fault)
{
    if (path)
        return read_file(shapes, path, fault);
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++)
        if (!add_line(shapes, built_in[i].model, built_in[i].model, built_in[i].line, built_in[i].text, fault))
            return false;
    return true;
}

/* ---- --only */

static bool is_word(const char *name, const char *word, size_t length)
{
    return strlen(name) == length && memcmp(name, word, length) == 0;
}

static bool unknown_shape(const struct bench_shapes *shapes, const char *word, size_t length, struct fault *fault)
{
    const char **names = malloc(2 * shapes->count * sizeof *names);
    char text[64];
    const char *nearest = NULL;
    snprintf(text, sizeof text, "%.*s", (int)length, word);
    if (names) {
        for (uint32_t i = 0; i < shapes->count; i++) {
            names[2 * i] = shapes->shape[i].name;
            names[2 * i + 1] = shapes->shape[i].model;
        }
        nearest = options_nearest(text, names, 2 * shapes->count);
    }
    fault_usage(fault,
                nearest ? "--only: no shape or model is called \"%s\"; did you mean %s?"
                        : "--only: no shape or model is called \"%s\"; --list prints them%s",
                text, nearest ? nearest : "");
    free(names);
    return false;
}

bool bench_shapes_keep(struct bench_shapes *shapes, const char *only, struct fault *fault)
{
    bool *keep = calloc(shapes->count + 1, sizeof *keep);
    if (!keep)
        return fault_failed(fault, "out of host memory");
    bool done = true;
    for (const char *word = only; done && word; word = strchr(word, ',') ? strchr(word, ',') + 1 : NULL) {
        size_t length = strcspn(word, ",");
        bool found = false;
        for (uint32_t i = 0; i < shapes->count; i++) {
            if (is_word(shapes->shape[i].name, word, length) || is_word(shapes->shape[i].model, word, length))
                keep[i] = found = true;
        }
        done = found || unknown_shape(shapes, word, length, fault);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; done && i < shapes->count; i++)
        if (keep[i])
            shapes->shape[kept++] = shapes->shape[i];
    if (done)
        shapes->count = kept;
    free(keep);
    return done;
}

bool bench_shapes_add(struct bench_shapes *shapes, const char *model, const char *line, struct fault *fault)
{
    return add_line(shapes, model, model, 1, line, fault);
}

void bench_shapes_free(struct bench_shapes *shapes)
{
    free(shapes->shape);
    *shapes = (struct bench_shapes){NULL, 0};
}
