/* SPDX-License-Identifier: MIT
 * heed deform: .npy files in, multi-scale deformable attention, a .npy file out. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "levels.h"
#include "run.h"

enum file_id { VALUE, LOCATIONS, WEIGHTS, REFERENCE, OFFSETS, LOGITS, STARTS, FILE_COUNT };

static const char *const option_names[FILE_COUNT] = {
    "value", "locations", "weights", "reference", "offsets", "logits", "starts",
};

struct values {
    const char *path[FILE_COUNT];
    const char *out;
    struct levels levels;
    struct device_options device;
    bool time;
};

#define AT(member) offsetof(struct values, member)

static const struct option options[] = {
    {OPTION_HEADING, "tensors", NULL, NULL, 0},
    {OPTION_REQUIRED, "value", "FILE", "pixels of all levels, level after level, float [batch][row][head][feature]",
     AT(path[VALUE])},
    {OPTION_REQUIRED, "out", "FILE", "the result [batch][query][head * feature]: f2 when computed in f16, else f4",
     AT(out)},
    {OPTION_TEXT, "starts", "FILE",
     "[level] integers: first row of each level, if they do not simply follow one another", AT(path[STARTS])},
    {OPTION_HEADING, "where to look: either", NULL, NULL, 0},
    {OPTION_TEXT, "locations", "FILE",
     "[batch][query][head][level][point][n], or [...][head][all points][n]: x, y (, z) from 0 "
     "to 1 over each level",
     AT(path[LOCATIONS])},
    {OPTION_TEXT, "weights", "FILE", "[batch][query][head][level][point], or [...][head][all points]",
     AT(path[WEIGHTS])},
    {OPTION_HEADING, "or", NULL, NULL, 0},
    {OPTION_TEXT, "reference", "FILE",
     "[batch][query][level][n] or [batch][query][n] points, or boxes of 2 n numbers: centre, "
     "then size",
     AT(path[REFERENCE])},
    {OPTION_TEXT, "offsets", "FILE", "shaped like locations; in pixels, or box sizes", AT(path[OFFSETS])},
    {OPTION_TEXT, "logits", "FILE", "shaped like weights, which become their softmax over all levels and points",
     AT(path[LOGITS])},
    {OPTION_HEADING, "how", NULL, NULL, 0},
    LEVELS_OPTIONS(struct values, levels),
    {OPTION_FLAG, "time", NULL, "print the time that the device took", AT(time)},
    DEVICE_OPTIONS(struct values, device),
};

const struct command cli_deform = {
    .name = "deform",
    .summary = "multi-scale deformable attention of .npy files",
    .about =
        "Multi-scale deformable attention of .npy files: each query takes a weighted sum of values sampled at its own "
        "few locations on every level.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .notes = "Files are little endian in C order: f2, f4, f8 and integers. n is 2 for HxW levels and 3 for DxHxW.\n"
             "Example: heed deform --value v.npy --shapes 64x64,32x32 --locations l.npy --weights w.npy --out o.npy",
};

struct work {
    const struct values *values;
    struct npy_file files[FILE_COUNT];
    struct heed_deform_desc desc;
    struct run_job job;
};

static bool wrong_shape(const struct work *w, enum file_id id, const char *wanted, struct fault *fault)
{
    const struct npy *npy = &w->files[id].npy;
    char shape[24 * NPY_MAX_RANK];
    npy_shape_text(npy->shape, npy->rank, shape);
    return fault_failed(fault, "%s: --%s has shape %s; it wants %s", w->files[id].name, option_names[id], shape,
                        wanted);
}

static bool check_form(const struct values *o, struct fault *fault)
{
    const char *const *p = o->path;
    bool locations = p[LOCATIONS] || p[WEIGHTS], offsets = p[REFERENCE] || p[OFFSETS] || p[LOGITS];
    if (locations == offsets)
        return fault_usage(fault, "%s: either --locations and --weights, or --reference, --offsets and --logits",
                           locations ? "both forms are given" : "no locations are given");
    for (int i = LOCATIONS; i <= LOGITS; i++)
        if (!p[i] && locations == (i <= WEIGHTS))
            return fault_usage(fault, "--%s is missing: %s", option_names[i],
                               locations ? "--locations and --weights belong together"
                                         : "--reference, --offsets and --logits belong together");
    return true;
}

static bool read_value(struct work *w, struct fault *fault)
{
    const struct npy_file *file = &w->files[VALUE];
    struct heed_deform_desc *d = &w->desc;
    if (file->npy.rank != 4)
        return wrong_shape(w, VALUE, "[batch][row][head][feature]", fault);
    return expect_axis(file, 0, &d->batch, fault) && expect_axis(file, 1, &d->len_value, fault) &&
           expect_axis(file, 2, &d->heads, fault) && expect_axis(file, 3, &d->dim, fault);
}

/* Points on each level as the weights' or logits' last axes tell; 0: they do not. */
static uint32_t points_of(const struct npy *npy, uint32_t levels)
{
    uint64_t last = npy->rank > 0 ? npy->shape[npy->rank - 1] : 0;
    uint64_t points = npy->rank == 5 ? last : npy->rank == 4 && last % levels == 0 ? last / levels : 0;
    return points <= HEED_MAX_POINTS ? (uint32_t)points : 0;
}

/* Shaped [batch][query][head] and then [level][point] or [all points], and then [n] where there are coordinates. */
static bool check_points(const struct work *w, enum file_id id, bool coordinates, struct fault *fault)
{
    const struct heed_deform_desc *d = &w->desc;
    const struct npy *npy = &w->files[id].npy;
    uint32_t points = levels_points(d), equal = d->levels[0].points, axes = npy->rank - coordinates;
    for (uint32_t l = 1; l < d->level_count; l++)
        equal = d->levels[l].points == equal ? equal : 0;
    bool fits = npy->rank >= 4 && npy->shape[0] == d->batch && npy->shape[1] == d->len_q && npy->shape[2] == d->heads;
    fits = fits && (!coordinates || npy->shape[npy->rank - 1] == d->axes);
    fits = fits && ((axes == 4 && npy->shape[3] == points) ||
                    (axes == 5 && equal > 0 && npy->shape[3] == d->level_count && npy->shape[4] == equal));
    if (fits)
        return true;
    char wanted[160], n[24] = "", split[64] = "";
    if (coordinates)
        snprintf(n, sizeof n, ", %" PRIu32, d->axes);
    if (equal > 0)
        snprintf(split, sizeof split, ", or %" PRIu32 ", %" PRIu32 " in place of %" PRIu32, d->level_count, equal,
                 points);
    snprintf(wanted, sizeof wanted, "(%" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32 "%s)%s", d->batch, d->len_q,
             d->heads, points, n, split);
    return wrong_shape(w, id, wanted, fault);
}

static bool read_reference(struct work *w, struct fault *fault)
{
    struct heed_deform_desc *d = &w->desc;
    const struct npy *npy = &w->files[REFERENCE].npy;
    const uint64_t *shape = npy->shape;
    bool fits = (npy->rank == 3 || npy->rank == 4) && shape[0] == d->batch && shape[1] == d->len_q;
    fits = fits && (npy->rank == 3 || shape[2] == d->level_count || shape[2] == 1);
    uint64_t width = fits ? shape[npy->rank - 1] : 0;
    if (width != d->axes && width != 2 * d->axes)
        return wrong_shape(w, REFERENCE,
                           "[batch][query][level][n] or [batch][query][n], n the axes of a level or twice "
                           "that for boxes",
                           fault);
    d->reference_boxes = width != d->axes;
    d->reference_per_level = npy->rank == 4 && shape[2] == d->level_count;
    return true;
}

static bool use_starts(struct work *w, struct fault *fault)
{
    struct heed_deform_desc *d = &w->desc;
    struct npy_file *file = &w->files[STARTS];
    if (file->npy.rank != 1 || file->npy.count != d->level_count)
        return wrong_shape(w, STARTS, "[level]: a row for each of --shapes", fault);
    int32_t *starts = load_whole(file, HEED_I32, fault);
    if (!starts)
        return false;
    bool done = true;
    for (uint32_t l = 0; done && l < d->level_count; l++) {
        if (starts[l] < 0)
            done =
                fault_failed(fault, "%s: start %" PRId32 " of level %" PRIu32 " is below 0", file->name, starts[l], l);
        else
            d->levels[l].start = (uint64_t)starts[l];
    }
    free(starts);
    d->explicit_starts = true;
    return done;
}

static bool describe(struct work *w, struct fault *fault)
{
    const struct values *o = w->values;
    struct heed_deform_desc *d = &w->desc;
    *d = (struct heed_deform_desc)HEED_DEFORM_DESC_INIT;
    bool offsets = o->path[OFFSETS] != NULL;
    enum file_id where = offsets ? OFFSETS : LOCATIONS, weights = offsets ? LOGITS : WEIGHTS;
    /* How many levels there are is known only from --shapes, which wants to know the points. */
    struct heed_deform_desc shapes = HEED_DEFORM_DESC_INIT;
    if (!read_value(w, fault) || !levels_apply(&o->levels, 1, &shapes, fault))
        return false;
    uint32_t points = points_of(&w->files[weights].npy, shapes.level_count);
    if (!o->levels.points && points == 0)
        return fault_usage(fault,
                           "--points is missing: --%s does not tell how many points each of the %" PRIu32 " levels has",
                           option_names[weights], shapes.level_count);
    if (!levels_apply(&o->levels, points, d, fault))
        return false;
    if (w->files[where].npy.rank < 2)
        return wrong_shape(w, where, "[batch][query][head][level][point][n]", fault);
    if (!expect_axis(&w->files[where], 1, &d->len_q, fault) || !check_points(w, where, true, fault) ||
        !check_points(w, weights, false, fault) || (offsets && !read_reference(w, fault)) ||
        (o->path[STARTS] && !use_starts(w, fault)))
        return false;
    if (!isnan(o->levels.offset_scale) && !d->reference_boxes)
        return fault_usage(fault, "--offset-scale needs boxes as --reference");

    d->input = offsets ? HEED_DEFORM_OFFSETS : HEED_DEFORM_LOCATIONS;
    d->value.dtype = o->levels.dtype >= 0                  ? (enum heed_dtype)o->levels.dtype
                     : w->files[VALUE].npy.item_bytes == 2 ? HEED_F16
                                                           : HEED_F32;
    d->o.dtype = d->value.dtype;
    d->kernel = o->device.kernel;
    run_add_file(&w->job, "value", &w->files[VALUE], d->value.dtype);
    for (int i = LOCATIONS; i <= LOGITS; i++)
        if (o->path[i])
            run_add_file(&w->job, option_names[i], &w->files[i], HEED_F32);
    run_add_output(&w->job, "o", o->out, 3, d->batch, d->len_q, (uint64_t)d->heads * d->dim, 0);
    w->job.time = o->time;
    return true;
}

static bool run(struct work *w, struct fault *fault)
{
    struct session session = {0};
    heed_plan *plan = NULL;
    bool done = session_open(&session, cli_deform.name, &w->values->device, fault) &&
                session_ok(&session, heed_plan_create_deform(session.device, &w->desc, &plan), "plan", fault) &&
                run_job(&session, plan, &w->job, fault);
    heed_plan_destroy(&plan);
    session_close(&session);
    return done;
}

bool cli_run_deform(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {.levels = LEVELS_INIT};
    bool help;
    if (!options_parse(&cli_deform, argc, argv, &values, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_deform);
        return true;
    }
    struct work *w = calloc(1, sizeof *w);
    if (!w)
        return fault_failed(fault, "out of host memory");
    w->values = &values;
    bool done = check_form(&values, fault);
    for (int i = 0; done && i < FILE_COUNT; i++)
        if (values.path[i])
            done = npy_open(values.path[i], &w->files[i], fault) && expect_kind(&w->files[i], option_names[i],
                                                                                i == VALUE    ? "f"
                                                                                : i == STARTS ? "iu"
                                                                                              : "fiu",
                                                                                fault);
    done = done && describe(w, fault) && run(w, fault);
    for (int i = 0; i < FILE_COUNT; i++)
        npy_close(&w->files[i]);
    free(w);
    return done;
}
