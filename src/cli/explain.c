/* SPDX-License-Identifier: MIT
 * heed explain: how heed would solve a problem of that shape, without any file. */
#include <stdlib.h>

#include "cli.h"
#include "run.h"
#include "shape.h"

/* heed_explain_attention or heed_explain_deform, told twice: how long, and what. */
typedef enum heed_status (*explain_fn)(heed_device *device, const void *desc, char *text, size_t capacity,
                                       size_t *length);

typedef enum heed_status (*plan_fn)(heed_device *device, const void *desc, heed_plan **plan);

static bool compile(const struct session *session, plan_fn make_plan, const void *desc, char text[96],
                    struct fault *fault)
{
    heed_plan *plan;
    if (!session_ok(session, make_plan(session->device, desc, &plan), "plan", fault))
        return false;
    struct heed_plan_info info;
    heed_plan_get_info(plan, &info);
    run_pipelines_text(session, &info, text);
    heed_plan_destroy(&plan);
    return true;
}

/* NULL: it failed. */
static char *explain_text(const struct session *session, explain_fn explain, const void *desc, struct fault *fault)
{
    size_t length = 0;
    if (!session_ok(session, explain(session->device, desc, NULL, 0, &length), "explain", fault))
        return NULL;
    char *text = malloc(length + 1);
    if (!text) {
        fault_failed(fault, "out of host memory");
    } else if (!session_ok(session, explain(session->device, desc, text, length + 1, &length), "explain", fault)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* `make_plan` may be NULL: nothing is compiled. */
static bool print_text(const char *command, const struct device_options *device, explain_fn explain, plan_fn make_plan,
                       const void *desc, struct fault *fault)
{
    struct session session = {0};
    struct fault unexplained = {0};
    char *text = NULL, compiled[96];
    const bool opened = session_open(&session, command, device, fault);
    /* First, so that there is something left to compile: on OpenCL explaining does it, too. */
    const bool planned = opened && (!make_plan || compile(&session, make_plan, desc, compiled, fault));
    if (opened)
        text = explain_text(&session, explain, desc, planned ? fault : &unexplained);
    session_close(&session);
    if (text)
        fputs(text, stdout);
    if (text && planned && make_plan)
        printf("  compiled: %s\n", compiled);
    const bool done = text && planned;
    free(text);
    return done;
}

/* ---- attention */

struct attention_values {
    struct attention_shape shape;
    struct device_options device;
    bool compile;
};

static const struct option attention_options[] = {
    ATTENTION_SHAPE_OPTIONS(struct attention_values, shape),
    DEVICE_OPTIONS(struct attention_values, device),
    {OPTION_FLAG, "compile", NULL, "also compile it, and say how long that takes",
     offsetof(struct attention_values, compile)},
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

static enum heed_status explain_attention(heed_device *device, const void *desc, char *text, size_t capacity,
                                          size_t *length)
{
    return heed_explain_attention(device, desc, text, capacity, length);
}

static enum heed_status plan_attention(heed_device *device, const void *desc, heed_plan **plan)
{
    return heed_plan_create_attention(device, desc, plan);
}

bool cli_run_explain_attention(int argc, char *const *argv, struct fault *fault)
{
    struct attention_values o = {.shape = ATTENTION_SHAPE_INIT};
    bool help;
    if (!options_parse(&cli_explain_attention, argc, argv, &o, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_explain_attention);
        return true;
    }
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.kernel = o.device.kernel;
    return attention_shape_apply(&o.shape, &desc, fault) &&
           print_text(cli_explain_attention.name, &o.device, explain_attention, o.compile ? plan_attention : NULL,
                      &desc, fault);
}

/* ---- deform */

struct deform_values {
    struct deform_shape shape;
    struct device_options device;
    bool compile;
};

static const struct option deform_options[] = {
    DEFORM_SHAPE_OPTIONS(struct deform_values, shape),
    DEVICE_OPTIONS(struct deform_values, device),
    {OPTION_FLAG, "compile", NULL, "also compile it, and say how long that takes",
     offsetof(struct deform_values, compile)},
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

static enum heed_status plan_deform(heed_device *device, const void *desc, heed_plan **plan)
{
    return heed_plan_create_deform(device, desc, plan);
}

bool cli_run_explain_deform(int argc, char *const *argv, struct fault *fault)
{
    struct deform_values o = {.shape = DEFORM_SHAPE_INIT};
    bool help;
    if (!options_parse(&cli_explain_deform, argc, argv, &o, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_explain_deform);
        return true;
    }
    struct heed_deform_desc desc = HEED_DEFORM_DESC_INIT;
    desc.kernel = o.device.kernel;
    return deform_shape_apply(&o.shape, &desc, fault) &&
           print_text(cli_explain_deform.name, &o.device, explain_deform, o.compile ? plan_deform : NULL, &desc, fault);
}
