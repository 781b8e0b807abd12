/* SPDX-License-Identifier: MIT
 * heed explain: how heed would solve a problem of that shape, without any file. */
#include <stdlib.h>

#include "cli.h"
#include "levels.h"
#include "run.h"
#include "terms.h"

/* heed_explain_attention or heed_explain_deform, told twice: how long, and what. */
typedef enum heed_status (*explain_fn)(heed_device *device, const void *desc, char *text, size_t capacity,
                                       size_t *length);

static bool print_text(const char *command, const struct device_options *device, explain_fn explain, const void *desc,
                       struct fault *fault)
{
    struct session session = {0};
    char *text = NULL;
    size_t length = 0;
    bool done = session_open(&session, command, device, fault) &&
                session_ok(&session, explain(session.device, desc, NULL, 0, &length), "explain", fault);
    if (done) {
        text = malloc(length + 1);
        done = text ? session_ok(&session, explain(session.device, desc, text, length + 1, &length), "explain", fault)
                    : fault_failed(fault, "out of host memory");
    }
    session_close(&session);
    if (done)
        fputs(text, stdout);
    free(text);
    return done;
}

/* ---- attention */

struct attention_values {
    uint32_t batch, heads_q, heads_kv, len_q, len_kv, dim, dim_v, total_q, total_kv, distance;
    int mask, op;
    bool key_lengths, key_bias, alibi, sinks, lse, entropy, weights;
    struct terms terms;
    struct device_options device;
};

#define AT(member) offsetof(struct attention_values, member)

static const struct option attention_options[] = {
    {OPTION_HEADING, "shape", NULL, NULL, 0},
    {OPTION_LENGTH, "batch", "N", "default 1", AT(batch)},
    {OPTION_COUNT, "heads-q", "N", "default 1", AT(heads_q)},
    {OPTION_COUNT, "heads-kv", "N", "default: as many as --heads-q", AT(heads_kv)},
    {OPTION_LENGTH, "len-q", "N", "rows, or of the longest sequence; default 1024", AT(len_q)},
    {OPTION_LENGTH, "len-kv", "N", "keys; default 1024", AT(len_kv)},
    {OPTION_COUNT, "dim", "N", "features of queries and keys; default 64", AT(dim)},
    {OPTION_COUNT, "dim-v", "N", "features of values; default: as --dim", AT(dim_v)},
    {OPTION_COUNT, "total-q", "N", "rows of all sequences, end to end", AT(total_q)},
    {OPTION_COUNT, "total-kv", "N", "keys of all sequences, end to end", AT(total_kv)},
    {OPTION_HEADING, "terms", NULL, NULL, 0},
    {OPTION_CHOICE, "mask", "none|bool|f32|f16", "of every batch, head, row and key", AT(mask)},
    {OPTION_FLAG, "key-lengths", NULL, "only so many keys of each batch count", AT(key_lengths)},
    {OPTION_FLAG, "key-bias", NULL, "one per batch, head and key", AT(key_bias)},
    {OPTION_FLAG, "alibi", NULL, "slopes per head", AT(alibi)},
    {OPTION_COUNT, "distance", "C", "penalty by coordinates, C of them", AT(distance)},
    {OPTION_FLAG, "sinks", NULL, "one more score per head", AT(sinks)},
    {OPTION_HEADING, "how", NULL, NULL, 0},
    {OPTION_CHOICE, "op", "attention|scores|softmax|aggregate", "the whole, or a stage of it", AT(op)},
    TERMS_OPTIONS(struct attention_values, terms),
    {OPTION_HEADING, "more results", NULL, NULL, 0},
    {OPTION_FLAG, "lse", NULL, "log-sum-exp of each row", AT(lse)},
    {OPTION_FLAG, "entropy", NULL, "of each row", AT(entropy)},
    {OPTION_FLAG, "weights", NULL, "the whole matrix", AT(weights)},
    DEVICE_OPTIONS(struct attention_values, device),
};

const struct command cli_explain_attention = {
    .name = "explain attention",
    .summary = "which kernels would do an attention, and how",
    .about =
        "Tells how heed would do an attention of that shape: each kernel with yes or the reason why not, then the plan "
        "dispatch by dispatch.",
    .options = attention_options,
    .option_count = sizeof attention_options / sizeof *attention_options,
};

#undef AT

static enum heed_status explain_attention(heed_device *device, const void *desc, char *text, size_t capacity,
                                          size_t *length)
{
    return heed_explain_attention(device, desc, text, capacity, length);
}

bool cli_run_explain_attention(int argc, char *const *argv, struct fault *fault)
{
    struct attention_values o = {
        .batch = 1,
        .heads_q = 1,
        .len_q = 1024,
        .len_kv = 1024,
        .dim = 64,
        .terms = TERMS_INIT,
    };
    bool help;
    if (!options_parse(&cli_explain_attention, argc, argv, &o, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_explain_attention);
        return true;
    }
    static const enum heed_mask masks[] = {HEED_MASK_NONE, HEED_MASK_BOOL, HEED_MASK_ADD, HEED_MASK_ADD};
    static const enum heed_dtype mask_dtypes[] = {HEED_F32, HEED_BOOL, HEED_F32, HEED_F16};
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.op = (enum heed_op)o.op;
    desc.batch = o.batch;
    desc.heads_q = o.heads_q;
    desc.heads_kv = o.heads_kv ? o.heads_kv : o.heads_q;
    desc.len_q = o.len_q;
    desc.len_kv = o.len_kv;
    desc.dim_qk = o.dim;
    desc.dim_v = o.dim_v ? o.dim_v : o.dim;
    desc.total_q = o.total_q;
    desc.total_kv = o.total_kv;
    desc.mask = masks[o.mask];
    desc.mask_dtype = mask_dtypes[o.mask];
    desc.key_lengths = o.key_lengths;
    desc.key_bias = o.key_bias;
    desc.alibi = o.alibi;
    desc.distance_dims = o.distance;
    desc.sinks = o.sinks;
    desc.lse = o.lse;
    desc.entropy = o.entropy;
    desc.weights = o.weights;
    desc.kernel = o.device.kernel;
    if (o.terms.dtype >= 0)
        desc.q.dtype = desc.k.dtype = desc.v.dtype = desc.o.dtype = (enum heed_dtype)o.terms.dtype;
    return terms_apply(&o.terms, o.alibi, &desc, fault) &&
           print_text(cli_explain_attention.name, &o.device, explain_attention, &desc, fault);
}

/* ---- deform */

struct deform_values {
    uint32_t batch, heads, dim, len_q;
    int form;
    struct levels levels;
    struct device_options device;
};

#define AT(member) offsetof(struct deform_values, member)

static const struct option deform_options[] = {
    {OPTION_HEADING, "shape", NULL, NULL, 0},
    {OPTION_LENGTH, "batch", "N", "default 1", AT(batch)},
    {OPTION_COUNT, "heads", "N", "default 8", AT(heads)},
    {OPTION_COUNT, "dim", "N", "features of a head; default 32", AT(dim)},
    {OPTION_LENGTH, "len-q", "N", "queries; default 900", AT(len_q)},
    {OPTION_CHOICE, "form", "locations|points|boxes",
     "locations and weights as they are, or reference points or boxes with offsets and logits", AT(form)},
    {OPTION_HEADING, "how", NULL, NULL, 0},
    LEVELS_OPTIONS(struct deform_values, levels),
    DEVICE_OPTIONS(struct deform_values, device),
};

const struct command cli_explain_deform = {
    .name = "explain deform",
    .summary = "the same for deformable attention",
    .about = "Tells how heed would do a deformable attention of that shape.",
    .options = deform_options,
    .option_count = sizeof deform_options / sizeof *deform_options,
};

static enum heed_status explain_deform(heed_device *device, const void *desc, char *text, size_t capacity,
                                       size_t *length)
{
    return heed_explain_deform(device, desc, text, capacity, length);
}

bool cli_run_explain_deform(int argc, char *const *argv, struct fault *fault)
{
    enum { LOCATIONS, POINTS, BOXES };
    struct deform_values o = {.batch = 1, .heads = 8, .dim = 32, .len_q = 900, .levels = LEVELS_INIT};
    bool help;
    if (!options_parse(&cli_explain_deform, argc, argv, &o, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_explain_deform);
        return true;
    }
    struct heed_deform_desc desc = HEED_DEFORM_DESC_INIT;
    if (!levels_apply(&o.levels, 4, &desc, fault))
        return false;
    desc.batch = o.batch;
    desc.heads = o.heads;
    desc.dim = o.dim;
    desc.len_q = o.len_q;
    uint64_t rows = 0;
    for (uint32_t l = 0; l < desc.level_count; l++)
        rows += (uint64_t)desc.levels[l].depth * desc.levels[l].height * desc.levels[l].width;
    if (rows > UINT32_MAX)
        return fault_failed(fault, "--shapes \"%s\" has more than 2^32 - 1 pixels", o.levels.shapes);
    desc.len_value = (uint32_t)rows;
    desc.input = o.form == LOCATIONS ? HEED_DEFORM_LOCATIONS : HEED_DEFORM_OFFSETS;
    desc.reference_boxes = o.form == BOXES;
    desc.reference_per_level = o.form != LOCATIONS;
    if (o.levels.dtype >= 0)
        desc.value.dtype = desc.o.dtype = (enum heed_dtype)o.levels.dtype;
    desc.kernel = o.device.kernel;
    return print_text(cli_explain_deform.name, &o.device, explain_deform, &desc, fault);
}
