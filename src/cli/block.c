/* SPDX-License-Identifier: MIT
 * heed block: a safetensors file in, a block of a model, a safetensors file out. */
#include "cli.h"
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct values {
    const char *type, *config, *tensors, *out;
    struct device_options device;
    bool explain, time;
};

#define AT(member) offsetof(struct values, member)

static const struct option options[] = {
    {OPTION_HEADING, "the block", NULL, NULL, 0},
    {OPTION_TEXT, "type", "T", "one of those below; --type T --help tells its keys and tensors", AT(type)},
    {OPTION_TEXT, "config", "JSON", "{\"heads\": 8} in quotes of the shell, or a file that holds it", AT(config)},
    {OPTION_TEXT, "tensors", "FILE", "safetensors: weights and inputs together, F32, F16 or BF16", AT(tensors)},
    {OPTION_TEXT, "out", "FILE", "safetensors: the results, F32", AT(out)},
    {OPTION_HEADING, "how", NULL, NULL, 0},
    {OPTION_FLAG, "explain", NULL, "print how it would be done, dispatch by dispatch, instead of doing it",
     AT(explain)},
    {OPTION_FLAG, "time", NULL, "print the time that the device took", AT(time)},
    WHERE_OPTIONS(struct values, device),
    CACHE_OPTION(struct values, device),
};

const struct command cli_block = {
    .name = "block",
    .summary = "a block of a model: a safetensors file in, one out",
    .about = "A block of a model, such as a layer of SAM's or DETR's decoder, in one recording: its weights and inputs "
             "come from a safetensors file.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .notes = "In PyTorch: t = dict(layer.state_dict(), x=x, memory=memory), then safetensors.torch.save_file({k: "
             "v.contiguous() for k, v in t.items()}, \"in.safetensors\").\n"
             "Example: heed block --type cross-attention --config '{\"heads\": 8}' --tensors in.safetensors --out "
             "out.safetensors",
};

#ifndef HEED_HAVE_JANSSON

bool cli_run_block(int argc, char *const *argv, struct fault *fault)
{
    (void)argc, (void)argv;
    return fault_failed(fault, "this heed was built without jansson, which block reads safetensors with");
}

#else

#include "block.h"
#include "dtype.h"

enum { CHUNK = 1 << 16 /* elements */ };

struct work {
    const struct values *values;
    struct block_config config;
    struct safetensors_file file;
    struct block_build build;
};

/* ---- help */

static void print_types(void)
{
    puts("\ntypes");
    for (size_t i = 0; i < block_type_count; i++)
        printf("  %-28s%s\n", block_types[i].name, block_types[i].summary);
}

static const struct block_type *find_type(const char *name)
{
    for (size_t i = 0; name && i < block_type_count; i++)
        if (strcmp(block_types[i].name, name) == 0)
            return &block_types[i];
    return NULL;
}

static bool print_type_help(const struct block_type *type, struct fault *fault)
{
    const struct block_config config = {.depth = 1};
    struct block_build *b = calloc(1, sizeof *b);
    if (!b)
        return fault_failed(fault, "out of host memory");
    b->type = type;
    b->config = &config;
    printf("usage: heed block --type %s [options]\n\nThe block: %s.\n\nkeys of --config\n", type->name, type->summary);
    config_print_help(type->keys, type->key_count);
    puts("\ntensors: a word stands for any length, the same one everywhere");
    type->build(b);
    if (type->notes) {
        putchar('\n');
        options_print_words(type->notes, 0, 0);
    }
    free(b);
    return true;
}

/* --help stands before anything else: the type is looked for in the words as they are. */
static bool print_help(int argc, char *const *argv, struct fault *fault)
{
    const struct block_type *type = NULL;
    for (int i = 0; i < argc && !type; i++) {
        if (strncmp(argv[i], "--type=", 7) == 0)
            type = find_type(argv[i] + 7);
        else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc)
            type = find_type(argv[i + 1]);
    }
    if (type)
        return print_type_help(type, fault);
    options_print_help(&cli_block);
    print_types();
    return true;
}

static bool unknown_type(const char *name, struct fault *fault)
{
    const char *names[64];
    char all[512] = "";
    size_t length = 0;
    for (size_t i = 0; i < block_type_count && length < sizeof all; i++) {
        names[i] = block_types[i].name;
        length += (size_t)snprintf(all + length, sizeof all - length, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *nearest = name ? options_nearest(name, names, block_type_count) : NULL;
    if (!name)
        return fault_usage(fault, "--type is missing: one of %s", all);
    if (nearest)
        return fault_usage(fault, "--type \"%s\" is no block; did you mean %s?", name, nearest);
    return fault_usage(fault, "--type \"%s\" is none of %s", name, all);
}

/* ---- tensors in and out */

/* f16 and bf16 as f32; `from` and `to` may be the same memory. */
static void widen(const uint16_t *from, enum heed_dtype dtype, size_t count, float *to)
{
    for (size_t i = count; i-- > 0;)
        to[i] = (float)heed_dtype_load(from, dtype, i);
}

static bool upload_chunk(const struct session *session, struct safetensors_file *file, const struct block_source *s,
                         uint64_t first, uint64_t done, size_t count, heed_buffer *buffer, void *elements,
                         struct fault *fault)
{
    const enum heed_dtype stored = (enum heed_dtype)s->tensor->type->dtype;
    if (!safetensors_read(file, s->tensor, first + done, count, elements, fault))
        return false;
    if (stored != s->dtype)
        widen(elements, stored, count, elements);
    for (size_t i = 0; stored == HEED_BOOL && i < count; i++)
        if (((const unsigned char *)elements)[i] > 1)
            return fault_failed(fault, "%s: tensor '%.80s' has a byte %u; BOOL is 0 or 1", file->name, s->tensor->name,
                                ((const unsigned char *)elements)[i]);
    const size_t size = heed_dtype_size(s->dtype);
    return session_ok(session, heed_buffer_write(buffer, done * size, elements, count * size), s->arg, fault);
}

static bool upload(const struct session *session, void *user, const struct heed_arg_info *arg, heed_buffer *buffer,
                   struct fault *fault)
{
    struct work *w = user;
    const struct block_source *s = w->build.sources;
    while (strcmp(s->arg, arg->name) != 0) /* the plan's inputs were made from these */
        s++;
    if (s->count * heed_dtype_size(s->dtype) != arg->bytes)
        return fault_failed(fault, "%s has %" PRIu64 " elements of %s, but the plan wants %" PRIu64 " bytes", s->arg,
                            s->count, heed_dtype_name(s->dtype), arg->bytes);
    if (s->data)
        return session_ok(session, heed_buffer_write(buffer, 0, s->data, s->count * sizeof *s->data), s->arg, fault);
    const uint64_t count = s->count, first = count * s->part;
    void *elements = malloc(CHUNK * sizeof(float));
    bool done = elements || fault_failed(fault, "out of host memory");
    for (uint64_t at = 0; done && at < count; at += CHUNK)
        done = upload_chunk(session, &w->file, s, first, at, count - at < CHUNK ? (size_t)(count - at) : CHUNK, buffer,
                            elements, fault);
    free(elements);
    return done;
}

static bool open_output(void *user, struct output_set *files, struct fault *fault)
{
    struct work *w = user;
    struct safetensors_tensor tensors[BLOCK_MAX_OUTPUTS] = {{0}};
    size_t bytes = 0;
    for (uint32_t i = 0; i < w->build.output_count; i++) {
        const struct block_output *o = &w->build.outputs[i];
        tensors[i] =
            (struct safetensors_tensor){.name = o->name, .type = safetensors_type_of(o->dtype), .rank = o->shape.axes};
        for (uint32_t a = 0; a < o->shape.axes; a++)
            tensors[i].shape[a] = o->shape.length[a];
    }
    char *header = safetensors_header(tensors, w->build.output_count, &bytes, fault);
    bool done =
        header && output_open(files, w->values->out, fault) && output_write(&files->files[0], header, bytes, fault);
    free(header);
    return done;
}

/* The plan's outputs are those of the header, in its order. */
static bool save(const struct session *session, void *user, const struct heed_arg_info *arg, heed_buffer *buffer,
                 struct output_set *files, struct fault *fault)
{
    (void)user;
    const size_t size = heed_dtype_size(arg->dtype);
    const uint64_t count = arg->bytes / size;
    unsigned char *elements = malloc(CHUNK * sizeof(float)), *bytes = malloc(CHUNK * sizeof(float));
    bool done = (elements && bytes) || fault_failed(fault, "out of host memory");
    for (uint64_t at = 0; done && at < count; at += CHUNK) {
        const size_t now = count - at < CHUNK ? (size_t)(count - at) : CHUNK;
        done = session_ok(session, heed_buffer_read(buffer, at * size, elements, now * size), arg->name, fault);
        if (done) {
            convert_to_npy(arg->dtype, elements, now, bytes);
            done = output_write(&files->files[0], bytes, now * convert_npy_bytes(arg->dtype), fault);
        }
    }
    free(elements);
    free(bytes);
    return done;
}

/* ---- the plan */

static bool print_explanation(const struct session *session, const heed_plan *plan, struct fault *fault)
{
    size_t length = 0;
    if (!session_ok(session, heed_explain_plan(plan, NULL, 0, &length), "explain", fault))
        return false;
    char *text = malloc(length + 1);
    bool done = text ? session_ok(session, heed_explain_plan(plan, text, length + 1, &length), "explain", fault)
                     : fault_failed(fault, "out of host memory");
    if (done)
        fputs(text, stdout);
    free(text);
    return done;
}

static bool make_plan(struct session *session, struct work *w, const struct block_type *type, heed_plan **plan,
                      struct fault *fault)
{
    struct block_build *b = &w->build;
    if (!session_ok(session, heed_pipeline_create(session->device, NULL, &b->pipeline), "pipeline", fault))
        return false;
    b->type = type;
    b->config = &w->config;
    b->file = &w->file;
    b->fault = fault;
    type->build(b);
    block_finish(b);
    bool done = !b->failed && session_ok(session, heed_pipeline_compile(b->pipeline, plan), "plan", fault);
    heed_pipeline_destroy(&b->pipeline);
    return done;
}

static bool run(struct work *w, const struct block_type *type, struct fault *fault)
{
    const struct values *o = w->values;
    struct session session = {0};
    heed_plan *plan = NULL;
    const struct run_io io = {w, open_output, upload, save};
    bool done = session_open(&session, cli_block.name, &o->device, fault) &&
                make_plan(&session, w, type, &plan, fault) &&
                (o->explain ? print_explanation(&session, plan, fault) : run_plan(&session, plan, &io, o->time, fault));
    heed_plan_destroy(&plan);
    session_close(&session);
    return done;
}

static bool check_points(const struct block_config *c, struct fault *fault)
{
    return c->point_count == 0 || c->point_count == c->level_count ||
           fault_usage(fault, "--config: \"points\" has %u numbers, but \"spatial_shapes\" has %u levels",
                       c->point_count, c->level_count);
}

bool cli_run_block(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {0};
    bool help;
    if (!options_parse(&cli_block, argc, argv, &values, &help, fault))
        return false;
    if (help)
        return print_help(argc, argv, fault);
    const struct block_type *type = find_type(values.type);
    if (!type)
        return unknown_type(values.type, fault);
    if (!values.tensors || (!values.out && !values.explain))
        return fault_usage(fault, "--%s is missing: a safetensors file", values.tensors ? "out" : "tensors");
    char what[64];
    snprintf(what, sizeof what, "block %s", type->name);
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return fault_failed(fault, "out of host memory");
    w->values = &values;
    /* What a type has no key for. */
    w->config = (struct block_config){.bias = true, .residual = true, .norm = BLOCK_NORM_POST, .padding = UINT32_MAX};
    bool done = config_read(values.config, type->keys, type->key_count, what, &w->config, fault) &&
                check_points(&w->config, fault) && safetensors_open(values.tensors, &w->file, fault) &&
                run(w, type, fault);
    block_clear(&w->build);
    safetensors_close(&w->file);
    free(w);
    return done;
}

#endif
