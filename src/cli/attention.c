/* SPDX-License-Identifier: MIT
 * heed attention: .npy files in, attention, .npy files out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "run.h"
#include "terms.h"

enum file_id {
    Q,
    K,
    V,
    MASK,
    KEY_LENGTHS,
    KEY_BIAS,
    ALIBI,
    Q_POS,
    K_POS,
    DISTANCE,
    SINKS,
    CU_SEQLENS_Q,
    CU_SEQLENS_KV,
    FILE_COUNT
};

static const char *const option_names[FILE_COUNT] = {
    "q",     "k",     "v",        "mask",  "key-lengths",  "key-bias",      "alibi",
    "q-pos", "k-pos", "distance", "sinks", "cu-seqlens-q", "cu-seqlens-kv",
};

/* What their elements may be: floats, integers, booleans. */
static const char *const option_kinds[FILE_COUNT] = {
    "f", "f", "f", "fb", "iu", "fiu", "fiu", "fiu", "fiu", "fiu", "fiu", "iu", "iu",
};

struct values {
    const char *path[FILE_COUNT];
    const char *out, *lse, *entropy, *weights;
    uint32_t heads_q, heads_kv;
    struct terms terms;
    struct device_options device;
    bool time;
};

#define AT(member) offsetof(struct values, member)

/* The library's own bound, needed before it sees the problem: tables per head are made here. */
enum { MAX_HEADS = 65535 };

static const struct option options[] = {
    {OPTION_HEADING, "tensors", NULL, NULL, 0},
    {OPTION_REQUIRED, "q", "FILE", "queries, float", AT(path[Q])},
    {OPTION_REQUIRED, "k", "FILE", "keys, float", AT(path[K])},
    {OPTION_REQUIRED, "v", "FILE", "values, float; their feature count may differ from that of the keys", AT(path[V])},
    {OPTION_REQUIRED, "out", "FILE", "the result, in the shape of Q: f2 when computed in f16, else f4", AT(out)},
    {OPTION_COUNT, "heads-q", "N", "heads of Q; needed when Q has 3 axes", AT(heads_q)},
    {OPTION_COUNT, "heads-kv", "N", "heads of K and V, a divisor of that of Q; default: as many", AT(heads_kv)},
    {OPTION_TEXT, "cu-seqlens-q", "FILE",
     "[batch + 1] integers: Q holds sequences end to end, [rows][head][feature], "
     "and sequence b has rows cu[b] to cu[b + 1] - 1",
     AT(path[CU_SEQLENS_Q])},
    {OPTION_TEXT, "cu-seqlens-kv", "FILE", "the same for K and V", AT(path[CU_SEQLENS_KV])},
    {OPTION_HEADING, "who sees whom", NULL, NULL, 0},
    {OPTION_TEXT, "mask", "FILE",
     "boolean (true = may attend) or float (added to the scores), of 1 to 4 axes, broadcast "
     "from the right against [batch][head][row][key]",
     AT(path[MASK])},
    {OPTION_TEXT, "key-lengths", "FILE", "[batch] integers: only so many keys count", AT(path[KEY_LENGTHS])},
    {OPTION_HEADING, "terms of the scores", NULL, NULL, 0},
    {OPTION_TEXT, "key-bias", "FILE", "[key], [batch][key] or [batch][head][key]: added", AT(path[KEY_BIAS])},
    {OPTION_TEXT, "alibi", "FILE", "[head] slopes: minus slope times |i + diagonal - j|", AT(path[ALIBI])},
    {OPTION_TEXT, "q-pos", "FILE", "coordinates of the rows: [row], [row][c] or [batch][row][c]", AT(path[Q_POS])},
    {OPTION_TEXT, "k-pos", "FILE", "coordinates of the keys", AT(path[K_POS])},
    {OPTION_TEXT, "distance", "FILE",
     "[head][2]: minus strength times distance to the power of exponent; or [head] or one "
     "number: strengths, exponent 1",
     AT(path[DISTANCE])},
    {OPTION_TEXT, "sinks", "FILE", "[head]: one more score that takes weight and gives no value", AT(path[SINKS])},
    {OPTION_HEADING, "how", NULL, NULL, 0},
    TERMS_OPTIONS(struct values, terms),
    {OPTION_HEADING, "more results", NULL, NULL, 0},
    {OPTION_TEXT, "lse", "FILE", "[batch][head][row], f4: the log of the sum of exp(score)", AT(lse)},
    {OPTION_TEXT, "entropy", "FILE", "[batch][head][row], f4: of the weights, in nats", AT(entropy)},
    {OPTION_TEXT, "weights", "FILE", "[batch][head][row][key], f4", AT(weights)},
    {OPTION_FLAG, "time", NULL, "print the time that the device took", AT(time)},
    DEVICE_OPTIONS(struct values, device),
};

const struct command cli_attention = {
    .name = "attention",
    .summary = "softmax(scale Q K^T + bias) V of .npy files",
    .about = "Attention of .npy files: O = softmax(scale Q K^T + bias) V.\n"
             "Arrays of 4 axes are [batch][head][row][feature]; of 3 axes [batch][row][head * feature]; of 2 axes "
             "[row][head * feature]. O has as many axes as Q.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .notes =
        "Files are little endian in C order: f2, f4, f8, b1 and integers. A row that may attend to nothing gives 0.\n"
        "Example: heed attention --q q.npy --k k.npy --v v.npy --causal top-left --out o.npy",
};

/* Q, K or V as the file has it. */
struct tensor {
    const char *name;
    uint32_t batch, heads, rows, dim;
    bool packed; /* sequences end to end: batch is not in the file */
    struct heed_view view;
};

struct work {
    const struct values *values;
    struct npy_file files[FILE_COUNT];
    struct tensor q, k, v;
    struct heed_attention_desc desc;
    struct run_job job;
    int32_t *cu_seqlens[2], *key_lengths;
    float *distance;
};

/* `heads` is what the options say, 0 = nothing. */
static bool read_layout(const struct npy_file *file, const char *heads_option, uint32_t heads, struct tensor *t,
                        struct fault *fault)
{
    const struct npy *npy = &file->npy;
    uint32_t axis[4] = {0};
    if (t->packed ? npy->rank != 3 : npy->rank < 2 || npy->rank > 4)
        return fault_failed(fault, "%s: %s has %" PRIu32 " axes; %s", file->name, t->name, npy->rank,
                            t->packed ? "with --cu-seqlens it has 3, [rows][head][feature]"
                                      : "it has 4, [batch][head][row][feature], or 3, or 2");
    for (uint32_t i = 0; i < npy->rank; i++)
        if (!expect_axis(file, i, &axis[i], fault))
            return false;
    if (npy->rank == 4 || t->packed) {
        const uint32_t *a = t->packed ? axis : axis + 1;
        t->batch = axis[0];
        t->heads = t->packed ? a[1] : a[0];
        t->rows = t->packed ? a[0] : a[1];
        t->dim = a[2];
        if (heads != 0 && heads != t->heads)
            return fault_failed(fault, "%s: %s has %" PRIu32 " heads, but --%s is %" PRIu32, file->name, t->name,
                                t->heads, heads_option, heads);
        return true;
    }
    if (npy->rank == 3 && heads == 0)
        return fault_usage(fault, "--%s is missing: %s has 3 axes, [batch][row][head * feature]", heads_option,
                           t->name);
    uint32_t width = axis[npy->rank - 1];
    t->batch = npy->rank == 3 ? axis[0] : 1;
    t->heads = heads != 0 ? heads : 1;
    t->rows = axis[npy->rank - 2];
    if (width % t->heads != 0)
        return fault_failed(fault, "%s: the %" PRIu32 " features of %s are not a multiple of --%s %" PRIu32, file->name,
                            width, t->name, heads_option, t->heads);
    t->dim = width / t->heads;
    t->view.stride_head = t->dim;
    t->view.stride_row = width;
    t->view.stride_batch = (uint64_t)width * (t->rows > 0 ? t->rows : 1);
    return true;
}

/* One number that two tensors share. */
static bool same(const char *what, const struct tensor *a, uint32_t value_a, const struct tensor *b, uint32_t value_b,
                 struct fault *fault)
{
    return value_a == value_b ||
           fault_failed(fault, "%s has %s %" PRIu32 ", but %s has %" PRIu32, a->name, what, value_a, b->name, value_b);
}

/* Where sequences begin and end; *longest becomes the length of the longest. */
static bool read_cu_seqlens(struct npy_file *file, const struct tensor *t, int32_t **cu, uint32_t *batch,
                            uint32_t *longest, struct fault *fault)
{
    if (file->npy.rank != 1 || file->npy.count < 2 || file->npy.count > UINT32_MAX)
        return fault_failed(fault, "%s: cumulative lengths are [batch + 1], at least 2 numbers", file->name);
    *cu = load_whole(file, HEED_I32, fault);
    if (!*cu)
        return false;
    *batch = (uint32_t)file->npy.count - 1;
    *longest = 0;
    if ((*cu)[0] != 0)
        return fault_failed(fault, "%s: cumulative lengths begin with %" PRId32 ", not 0", file->name, (*cu)[0]);
    for (uint32_t b = 0; b < *batch; b++) {
        if ((*cu)[b + 1] < (*cu)[b])
            return fault_failed(fault, "%s: cumulative lengths fall from %" PRId32 " to %" PRId32 " at %" PRIu32,
                                file->name, (*cu)[b], (*cu)[b + 1], b + 1);
        uint32_t length = (uint32_t)((*cu)[b + 1] - (*cu)[b]);
        *longest = length > *longest ? length : *longest;
    }
    if ((uint32_t)(*cu)[*batch] != t->rows)
        return fault_failed(fault, "%s: cumulative lengths end with %" PRId32 ", but %s has %" PRIu32 " rows",
                            file->name, (*cu)[*batch], t->name, t->rows);
    return true;
}

static bool read_tensors(struct work *w, struct fault *fault)
{
    const struct values *o = w->values;
    w->q = (struct tensor){.name = "Q", .packed = o->path[CU_SEQLENS_Q] != NULL};
    w->k = (struct tensor){.name = "K", .packed = o->path[CU_SEQLENS_KV] != NULL};
    w->v = (struct tensor){.name = "V", .packed = w->k.packed};
    if (!read_layout(&w->files[Q], "heads-q", o->heads_q, &w->q, fault))
        return false;
    uint32_t heads_kv = o->heads_kv;
    if (heads_kv == 0 && !w->k.packed && w->files[K].npy.rank < 4)
        heads_kv = w->q.heads;
    if (!read_layout(&w->files[K], "heads-kv", heads_kv, &w->k, fault) ||
        !read_layout(&w->files[V], "heads-kv", heads_kv, &w->v, fault) ||
        !same("heads", &w->k, w->k.heads, &w->v, w->v.heads, fault) ||
        !same("rows", &w->k, w->k.rows, &w->v, w->v.rows, fault) ||
        !same("features", &w->q, w->q.dim, &w->k, w->k.dim, fault) ||
        (!w->k.packed && !same("batch", &w->k, w->k.batch, &w->v, w->v.batch, fault)))
        return false;

    if (w->q.heads > MAX_HEADS)
        return fault_failed(fault, "Q has %" PRIu32 " heads, more than %d", w->q.heads, MAX_HEADS);

    struct heed_attention_desc *d = &w->desc;
    d->heads_q = w->q.heads;
    d->heads_kv = w->k.heads;
    d->dim_qk = w->q.dim;
    d->dim_v = w->v.dim;
    d->len_q = w->q.rows;
    d->len_kv = w->k.rows;
    if (w->q.packed) {
        /* Without rows there is nothing to pack, and total_q 0 means "not packed". */
        d->total_q = w->q.rows;
        if (!read_cu_seqlens(&w->files[CU_SEQLENS_Q], &w->q, &w->cu_seqlens[0], &w->q.batch, &d->len_q, fault))
            return false;
    }
    if (w->k.packed) {
        d->total_kv = w->k.rows;
        if (!read_cu_seqlens(&w->files[CU_SEQLENS_KV], &w->k, &w->cu_seqlens[1], &w->k.batch, &d->len_kv, fault))
            return false;
    }
    d->batch = w->q.batch;
    return same("batch", &w->q, w->q.batch, &w->k, w->k.batch, fault);
}

static bool wrong_shape(const struct npy_file *file, enum file_id id, const char *wanted, struct fault *fault)
{
    char shape[24 * NPY_MAX_RANK];
    npy_shape_text(file->npy.shape, file->npy.rank, shape);
    return fault_failed(fault, "%s: --%s has shape %s; it wants %s", file->name, option_names[id], shape, wanted);
}

static bool use_mask(struct work *w, struct fault *fault)
{
    struct npy_file *file = &w->files[MASK];
    struct heed_attention_desc *d = &w->desc;
    const uint64_t wanted[4] = {d->batch, d->heads_q, d->len_q, d->len_kv};
    static const uint32_t flags[3] = {HEED_BROADCAST_BATCH, HEED_BROADCAST_HEAD, HEED_BROADCAST_ROW};
    char text[24 * NPY_MAX_RANK + 80], shape[24 * NPY_MAX_RANK];
    npy_shape_text(wanted, 4, shape);
    snprintf(text, sizeof text, "axes that broadcast from the right against [batch][head][row][key] = %s", shape);
    uint32_t rank = file->npy.rank;
    if (rank < 1 || rank > 4)
        return wrong_shape(file, MASK, text, fault);
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t length = i + rank < 4 ? 1 : file->npy.shape[i + rank - 4];
        if (length != 1 && length != wanted[i])
            return wrong_shape(file, MASK, text, fault);
        if (i < 3 && length == 1)
            d->mask_broadcast |= flags[i];
    }
    bool boolean = file->npy.kind == 'b';
    d->mask = boolean ? HEED_MASK_BOOL : HEED_MASK_ADD;
    d->mask_dtype = boolean ? HEED_BOOL : file->npy.item_bytes == 2 ? HEED_F16 : HEED_F32;
    run_add_file(&w->job, "mask", file, d->mask_dtype);
    struct run_input *input = &w->job.inputs[w->job.input_count - 1];
    input->overflow = CONVERT_SATURATE;
    /* heed has no broadcast over keys: such a mask is written out. */
    if (file->npy.shape[rank - 1] == 1)
        input->repeat = d->len_kv;
    return true;
}

static bool use_key_lengths(struct work *w, struct fault *fault)
{
    struct npy_file *file = &w->files[KEY_LENGTHS];
    struct heed_attention_desc *d = &w->desc;
    if (file->npy.rank != 1 || file->npy.count != d->batch)
        return wrong_shape(file, KEY_LENGTHS, "[batch]: one length for each batch of Q", fault);
    w->key_lengths = load_whole(file, HEED_I32, fault);
    if (!w->key_lengths)
        return false;
    for (uint32_t b = 0; b < d->batch; b++) {
        const int32_t *cu = w->cu_seqlens[1];
        uint32_t keys = cu ? (uint32_t)(cu[b + 1] - cu[b]) : d->len_kv;
        if (w->key_lengths[b] < 0 || (uint32_t)w->key_lengths[b] > keys)
            return fault_failed(fault,
                                "%s: key length %" PRId32 " of batch %" PRIu32 " is not in 0..%" PRIu32 ", its keys",
                                file->name, w->key_lengths[b], b, keys);
    }
    d->key_lengths = true;
    run_add_data(&w->job, "key_lengths", w->key_lengths, d->batch, HEED_I32);
    return true;
}

static bool use_key_bias(struct work *w, struct fault *fault)
{
    struct npy_file *file = &w->files[KEY_BIAS];
    struct heed_attention_desc *d = &w->desc;
    const uint64_t *shape = file->npy.shape;
    uint32_t rank = file->npy.rank;
    uint64_t keys = d->total_kv > 0 ? d->total_kv : d->len_kv;
    bool fits = rank >= 1 && rank <= (d->total_kv > 0 ? 2u : 3u) && shape[rank - 1] == keys;
    uint64_t batches = d->total_kv == 0 && rank >= 2 ? shape[0] : 1;
    uint64_t heads = d->total_kv > 0 && rank == 2 ? shape[0] : rank == 3 ? shape[1] : 1;
    fits = fits && (batches == 1 || batches == d->batch) && (heads == 1 || heads == d->heads_q);
    if (!fits)
        return wrong_shape(file, KEY_BIAS,
                           d->total_kv > 0 ? "[key] or [head][key], with all keys end to end"
                                           : "[key], [batch][key] or [batch][head][key]",
                           fault);
    d->key_bias = true;
    if (batches == 1 && d->total_kv == 0)
        d->key_bias_broadcast |= HEED_BROADCAST_BATCH;
    if (heads == 1)
        d->key_bias_broadcast |= HEED_BROADCAST_HEAD;
    run_add_file(&w->job, "key_bias", file, HEED_F32);
    w->job.inputs[w->job.input_count - 1].overflow = CONVERT_SATURATE;
    return true;
}

/* [head] */
static bool use_per_head(struct work *w, enum file_id id, const char *arg, bool *flag, struct fault *fault)
{
    struct npy_file *file = &w->files[id];
    if (file->npy.rank != 1 || file->npy.count != w->desc.heads_q)
        return wrong_shape(file, id, "[head]: a number for each head of Q", fault);
    *flag = true;
    run_add_file(&w->job, arg, file, HEED_F32);
    return true;
}

static bool use_positions(struct work *w, enum file_id id, const char *arg, bool packed, uint64_t rows,
                          uint32_t *broadcast, struct fault *fault)
{
    struct npy_file *file = &w->files[id];
    const uint64_t *shape = file->npy.shape;
    uint32_t rank = file->npy.rank;
    bool batched = rank == 3 && !packed;
    bool fits = rank == 1 || rank == 2 || batched;
    fits = fits && shape[batched ? 1 : 0] == rows && (!batched || shape[0] == w->desc.batch || shape[0] == 1);
    uint64_t dims = rank == 1 ? 1 : shape[rank - 1];
    if (!fits || dims < 1 || dims > 16)
        return wrong_shape(file, id, "[row], [row][c] or [batch][row][c] with c of 1 to 16", fault);
    if (w->desc.distance_dims != 0 && w->desc.distance_dims != dims)
        return fault_failed(fault, "--q-pos has %" PRIu32 " coordinates, but --k-pos has %" PRIu64,
                            w->desc.distance_dims, dims);
    w->desc.distance_dims = (uint32_t)dims;
    if (!packed && (!batched || shape[0] == 1))
        *broadcast = HEED_BROADCAST_BATCH;
    run_add_file(&w->job, arg, file, HEED_F32);
    return true;
}

static bool use_distance(struct work *w, struct fault *fault)
{
    const char *const *path = w->values->path;
    struct heed_attention_desc *d = &w->desc;
    if (!path[Q_POS] && !path[K_POS] && !path[DISTANCE])
        return true;
    if (!path[Q_POS] || !path[K_POS] || !path[DISTANCE])
        return fault_usage(fault, "--q-pos, --k-pos and --distance belong together: --%s is missing",
                           !path[Q_POS]   ? "q-pos"
                           : !path[K_POS] ? "k-pos"
                                          : "distance");
    if (!use_positions(w, Q_POS, "q_pos", d->total_q > 0, d->total_q > 0 ? d->total_q : d->len_q, &d->q_pos_broadcast,
                       fault) ||
        !use_positions(w, K_POS, "k_pos", d->total_kv > 0, d->total_kv > 0 ? d->total_kv : d->len_kv,
                       &d->k_pos_broadcast, fault))
        return false;

    struct npy_file *file = &w->files[DISTANCE];
    const struct npy *npy = &file->npy;
    bool pairs = npy->rank == 2 && npy->shape[0] == d->heads_q && npy->shape[1] == 2;
    bool one = npy->count == 1 && npy->rank <= 1;
    if (!pairs && !one && !(npy->rank == 1 && npy->count == d->heads_q))
        return wrong_shape(file, DISTANCE, "[head][2], [head] or one number", fault);
    float *given = load_whole(file, HEED_F32, fault);
    if (!given)
        return false;
    w->distance = malloc(sizeof(float) * 2 * d->heads_q + 1);
    for (uint32_t h = 0; w->distance && h < d->heads_q; h++) {
        w->distance[2 * h] = pairs ? given[2 * h] : one ? given[0] : given[h];
        w->distance[2 * h + 1] = pairs ? given[2 * h + 1] : 1.0f;
    }
    free(given);
    if (!w->distance)
        return fault_failed(fault, "out of host memory");
    for (uint32_t h = 0; h < d->heads_q; h++)
        if (!(w->distance[2 * h + 1] > 0.0f))
            return fault_failed(fault, "%s: exponent %g of head %" PRIu32 " is not above 0", file->name,
                                (double)w->distance[2 * h + 1], h);
    run_add_data(&w->job, "distance", w->distance, 2 * (uint64_t)d->heads_q, HEED_F32);
    return true;
}

static void add_outputs(struct work *w)
{
    const struct values *o = w->values;
    struct heed_attention_desc *d = &w->desc;
    uint64_t B = d->batch, H = d->heads_q, L = d->len_q, rows = w->q.rows, width = H * d->dim_v;
    struct run_job *job = &w->job;
    d->lse = o->lse != NULL;
    d->entropy = o->entropy != NULL;
    d->weights = o->weights != NULL;
    d->o.dtype = d->q.dtype;
    if (w->q.packed) {
        run_add_output(job, "o", o->out, 3, rows, H, d->dim_v, 0);
        run_add_output(job, "lse", o->lse, 2, H, rows, 0, 0);
        run_add_output(job, "entropy", o->entropy, 2, H, rows, 0, 0);
        run_add_output(job, "weights", o->weights, 3, H, rows, d->len_kv, 0);
        return;
    }
    uint32_t rank = w->files[Q].npy.rank;
    if (rank == 4) {
        run_add_output(job, "o", o->out, 4, B, H, L, d->dim_v);
    } else {
        d->o.stride_head = d->dim_v;
        d->o.stride_row = width;
        d->o.stride_batch = width * (L > 0 ? L : 1);
        run_add_output(job, "o", o->out, rank, rank == 3 ? B : L, rank == 3 ? L : width, width, 0);
    }
    run_add_output(job, "lse", o->lse, 3, B, H, L, 0);
    run_add_output(job, "entropy", o->entropy, 3, B, H, L, 0);
    run_add_output(job, "weights", o->weights, 4, B, H, L, d->len_kv);
}

static bool describe(struct work *w, struct fault *fault)
{
    const struct values *o = w->values;
    struct heed_attention_desc *d = &w->desc;
    *d = (struct heed_attention_desc)HEED_ATTENTION_DESC_INIT;
    if (!terms_apply(&o->terms, o->path[ALIBI] != NULL, d, fault) || !read_tensors(w, fault))
        return false;
    enum heed_dtype dtype = o->terms.dtype >= 0               ? (enum heed_dtype)o->terms.dtype
                            : w->files[Q].npy.item_bytes == 2 ? HEED_F16
                                                              : HEED_F32;
    d->q = w->q.view;
    d->k = w->k.view;
    d->v = w->v.view;
    d->q.dtype = d->k.dtype = d->v.dtype = dtype;
    d->kernel = o->device.kernel;
    run_add_file(&w->job, "q", &w->files[Q], dtype);
    run_add_file(&w->job, "k", &w->files[K], dtype);
    run_add_file(&w->job, "v", &w->files[V], dtype);
    if (d->total_q > 0)
        run_add_data(&w->job, "cu_seqlens_q", w->cu_seqlens[0], (uint64_t)d->batch + 1, HEED_I32);
    if (d->total_kv > 0)
        run_add_data(&w->job, "cu_seqlens_kv", w->cu_seqlens[1], (uint64_t)d->batch + 1, HEED_I32);
    if ((o->path[MASK] && !use_mask(w, fault)) || (o->path[KEY_LENGTHS] && !use_key_lengths(w, fault)) ||
        (o->path[KEY_BIAS] && !use_key_bias(w, fault)) ||
        (o->path[ALIBI] && !use_per_head(w, ALIBI, "alibi", &d->alibi, fault)) ||
        (o->path[SINKS] && !use_per_head(w, SINKS, "sinks", &d->sinks, fault)) || !use_distance(w, fault))
        return false;
    add_outputs(w);
    w->job.time = o->time;
    return true;
}

static bool run(struct work *w, struct fault *fault)
{
    struct session session = {0};
    heed_plan *plan = NULL;
    bool done = session_open(&session, cli_attention.name, &w->values->device, fault) &&
                session_ok(&session, heed_plan_create_attention(session.device, &w->desc, &plan), "plan", fault) &&
                run_job(&session, plan, &w->job, fault);
    heed_plan_destroy(&plan);
    session_close(&session);
    return done;
}

bool cli_run_attention(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {.terms = TERMS_INIT};
    bool help;
    if (!options_parse(&cli_attention, argc, argv, &values, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_attention);
        return true;
    }
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return fault_failed(fault, "out of host memory");
    w->values = &values;
    bool done = true;
    for (int i = 0; done && i < FILE_COUNT; i++)
        if (values.path[i])
            done = npy_open(values.path[i], &w->files[i], fault) &&
                   expect_kind(&w->files[i], option_names[i], option_kinds[i], fault);
    done = done && describe(w, fault) && run(w, fault);
    for (int i = 0; i < FILE_COUNT; i++)
        npy_close(&w->files[i]);
    free(w->cu_seqlens[0]);
    free(w->cu_seqlens[1]);
    free(w->key_lengths);
    free(w->distance);
    free(w);
    return done;
}
