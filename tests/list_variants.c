/* SPDX-License-Identifier: MIT
 * Lists the specialised shaders that plans are made of, without a device, and checks that each step of each plan stays
 * within the limits that it was planned for and gives its shader what that reads.
 *
 *     list_variants [--write FOLDER] FILE.spv... SHAPES.txt...
 *
 * Every line of the shape files is lowered for every device of a list, from the floor up, by every kernel that accepts
 * it. A line of output is one variant, its fields parted by tabs: shader, the size of its full subgroups or 0,
 * specialisation constants, bindings, push bytes, kernel, shape, device. Variants that differ only in the last three
 * are listed once. --write puts each, as the driver would get it, into a numbered file. Exit status 1: a plan breaks a
 * rule, or no plan at all. */
#include "op_case.h"
#include "plan.h"
#include "rate.h"
#include "spirv.h"
#include "test_case.h"
#include "vulkan/specialise.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DEVICES = 64, MAX_VARIANTS = 8192 };

struct variant {
    enum heed_kernel kernel;
    uint32_t subgroup_size;
    uint32_t spec_count, spec[HEED_MAX_SPEC];
};

struct lister {
    heed_context *context;
    struct spirv_module modules[HEED_KERNEL_COUNT]; /* name "" where no file was given */
    heed_device devices[MAX_DEVICES];
    uint32_t device_count;
    const char *paths[HEED_KERNEL_COUNT]; /* of the modules */
    const char *folder;                   /* --write */
    struct variant variants[MAX_VARIANTS];
    uint32_t variant_count;
    const char *name, *line; /* of what is being lowered */
    uint64_t plans;
    char log[512];
    int failures;
};

/* ops get a plan, not a user pointer; a test program may have this one. */
static struct lister lister;

/* A refusal is no news; what was logged last is printed where it is. */
static void keep_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(lister.log, sizeof lister.log, "%s", text);
}

static void fail(const heed_plan *plan, const struct heed_step *step, const char *rule, uint64_t value, uint64_t limit)
{
    fprintf(stderr, "FAILED %s of %s on %s, step %u (%s): %s: %llu against %llu\n  %s\n", plan->kernel, lister.name,
            plan->device->info.name, (unsigned)(step - plan->steps), heed_kernel_name(step->kernel), rule,
            (unsigned long long)value, (unsigned long long)limit, lister.line);
    lister.failures++;
}

static void check_at_most(const heed_plan *plan, const struct heed_step *step, const char *rule, uint64_t value,
                          uint64_t limit)
{
    if (value > limit)
        fail(plan, step, rule, value, limit);
}

static void check_bindings(const heed_plan *plan, const struct heed_step *step)
{
    const struct heed_limits *limits = &plan->device->info.limits;
    for (uint32_t i = 0; i < step->binding_count; i++) {
        const struct heed_step_binding *b = &step->bindings[i];
        const bool scratch = b->arg + 1 == plan->arg_count;
        const uint64_t bytes = (heed_plan_arg_bytes(plan, b->arg) + 3) / 4 * 4;
        if (!scratch && !plan->args[b->arg].present)
            fail(plan, step, "a binding is an argument that the plan has not", i, b->arg);
        check_at_most(plan, step, "the end of a binding is in its argument", b->offset + b->bytes, bytes);
        /* The caller's offset can be any multiple of offset_alignment, and this part may begin anywhere. */
        const uint64_t ahead = limits->min_offset_alignment - 1;
        check_at_most(plan, step, "bytes of a binding, aligned, are within max_storage_range", b->bytes + ahead,
                      limits->max_storage_range);
        check_at_most(plan, step, "elements ahead of a tensor fit 8 bits", ahead / b->element_bytes, 255);
    }
}

static void check_step(const heed_plan *plan, const struct heed_step *step)
{
    const struct heed_limits *limits = &plan->device->info.limits;
    const struct spirv_module *module = &lister.modules[step->kernel];
    check_at_most(plan, step, "the work group is within max_group_size", step->spec[0], limits->max_group_size);
    for (int axis = 0; axis < 3; axis++) {
        check_at_most(plan, step, "work groups are within max_group_count", step->groups[axis],
                      limits->max_group_count);
        check_at_most(plan, step, "there is at least one work group", 1, step->groups[axis]);
    }
    check_at_most(plan, step, "bindings are within max_storage_buffers", step->binding_count,
                  limits->max_storage_buffers);
    if (step->subgroup_size > 0) {
        check_at_most(plan, step, "full subgroups only where the device has them", 1,
                      plan->device->info.has_subgroups && !limits->no_subgroups);
        check_at_most(plan, step, "subgroup_size_min is at most the subgroup's size", limits->subgroup_size_min,
                      step->subgroup_size);
        check_at_most(plan, step, "the subgroup's size is at most subgroup_size_max", step->subgroup_size,
                      limits->subgroup_size_max);
        check_at_most(plan, step, "subgroups fill the work group", step->spec[0] % step->subgroup_size, 0);
    }
    check_bindings(plan, step);
    if (!module->name[0])
        return;
    for (uint32_t i = 0; i < module->spec_count; i++)
        check_at_most(plan, step, "every constant of the shader gets a value: its id", module->specs[i].id + 1,
                      step->spec_count);
    for (uint32_t i = 0; i < module->binding_count; i++)
        check_at_most(plan, step, "every block of the shader is bound: its number", module->bindings[i].binding + 1,
                      step->binding_count);
    if (module->member_count > 0) {
        const struct spirv_member *last = &module->members[module->member_count - 1];
        check_at_most(plan, step, "the shader's push block is in what the step pushes",
                      last->offset + 4 * last->elements, 4 * heed_step_push_words(step));
    }
}

/* What vulkan/pipeline.c would make of the file. */
static bool write_module(const struct variant *v)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%u.spv", lister.folder, (unsigned)lister.variant_count);
    FILE *in = lister.paths[v->kernel] ? fopen(lister.paths[v->kernel], "rb") : NULL, *out = fopen(path, "wb");
    enum { MAX_WORDS = 1 << 18 };
    static uint32_t code[MAX_WORDS], folded[MAX_WORDS];
    const size_t words = in ? fread(code, 4, MAX_WORDS, in) : 0;
    const size_t count =
        words > 0 ? heed_spirv_specialise(lister.context, code, words, v->spec, v->spec_count, folded) : 0;
    bool good = out && count > 0 && words < MAX_WORDS && fwrite(folded, 4, count, out) == count;
    if (in)
        fclose(in);
    if (out)
        good = fclose(out) == 0 && good;
    return good;
}

static void list_step(const heed_plan *plan, const struct heed_step *step)
{
    struct variant v = {.kernel = step->kernel, .subgroup_size = step->subgroup_size, .spec_count = step->spec_count};
    memcpy(v.spec, step->spec, step->spec_count * sizeof *v.spec);
    for (uint32_t i = 0; i < lister.variant_count; i++) {
        const struct variant *old = &lister.variants[i];
        if (old->kernel == v.kernel && old->subgroup_size == v.subgroup_size && old->spec_count == v.spec_count &&
            memcmp(old->spec, v.spec, sizeof v.spec) == 0)
            return;
    }
    if (lister.variant_count == MAX_VARIANTS) {
        fprintf(stderr, "list_variants: more than %d variants\n", MAX_VARIANTS);
        exit(1);
    }
    lister.variants[lister.variant_count++] = v;
    if (lister.folder && !write_module(&v)) {
        fprintf(stderr, "list_variants: cannot write a module of %s to %s\n", heed_kernel_name(v.kernel),
                lister.folder);
        lister.failures++;
    }
    printf("%s\t%u\t", heed_kernel_name(v.kernel), v.subgroup_size);
    for (uint32_t i = 0; i < v.spec_count; i++)
        printf("%s%u", i ? "," : "", v.spec[i]);
    printf("\t%u\t%u\t%s\t%s\t%s\n", step->binding_count, 4 * heed_step_push_words(step), plan->kernel, lister.name,
           plan->device->info.name);
}

/* The backend of the devices here: plans are made for it, and looked at. */
static enum heed_status plan_compile(heed_plan *plan)
{
    lister.plans++;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        check_step(plan, &plan->steps[i]);
        list_step(plan, &plan->steps[i]);
    }
    return HEED_OK;
}

static void plan_release(heed_plan *plan)
{
    (void)plan;
}

/* Those whose module was given; any, if none was. */
static bool has_kernel(unsigned kernel)
{
    bool none = true;
    for (int i = 0; i < HEED_KERNEL_COUNT; i++)
        none &= lister.paths[i] == NULL;
    return none || lister.paths[kernel];
}

static const struct heed_backend_ops ops = {.backend = HEED_BACKEND_VULKAN,
                                            .has_kernel = has_kernel,
                                            .plan_compile = plan_compile,
                                            .plan_release = plan_release};

/* "16x16x16" */
static bool add_shape(struct heed_device_info *info, enum heed_dtype input, const char *text)
{
    struct heed_matrix_shape *s = &info->matrix_shapes[info->matrix_shape_count];
    s->input = input;
    return info->matrix_shape_count++ < HEED_MAX_MATRIX_SHAPES && sscanf(text, "%ux%ux%u", &s->m, &s->n, &s->k) == 3;
}

/* "key=value,key=value" over a device of the floor. */
static bool add_device(const char *words)
{
    if (lister.device_count == MAX_DEVICES)
        return false;
    heed_device *device = &lister.devices[lister.device_count++];
    struct heed_limits *l = &device->info.limits;
    *device = (heed_device){.context = lister.context, .ops = &ops, .process = (long)getpid()};
    device->info.backend = HEED_BACKEND_VULKAN;
    device->info.type = HEED_DEVICE_DISCRETE;
    *l = (struct heed_limits){.max_storage_range = 1u << 27,
                              .max_group_count = 65535,
                              .max_group_size = 128,
                              .max_shared_bytes = 16384,
                              .max_storage_buffers = 8,
                              .min_offset_alignment = 256,
                              .subgroup_size_min = 1,
                              .subgroup_size_max = 1,
                              .max_dispatch_ns = HEED_DISPATCH_NS,
                              .no_subgroups = false};
    char text[512];
    snprintf(text, sizeof text, "%s", words);
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        char *value = strchr(word, '=');
        if (!value)
            return false;
        *value++ = 0;
        const unsigned long long number = strtoull(value, NULL, 10);
        if (!strcmp(word, "range_mib"))
            l->max_storage_range = number << 20;
        else if (!strcmp(word, "name"))
            snprintf(device->info.name, sizeof device->info.name, "%s", value);
        else if (!strcmp(word, "range"))
            l->max_storage_range = number;
        else if (!strcmp(word, "group_count"))
            l->max_group_count = (uint32_t)number;
        else if (!strcmp(word, "group_size"))
            l->max_group_size = (uint32_t)number;
        else if (!strcmp(word, "shared"))
            l->max_shared_bytes = (uint32_t)number;
        else if (!strcmp(word, "buffers"))
            l->max_storage_buffers = (uint32_t)number;
        else if (!strcmp(word, "alignment"))
            l->min_offset_alignment = (uint32_t)number;
        else if (!strcmp(word, "subgroup_min"))
            l->subgroup_size_min = (uint32_t)number;
        else if (!strcmp(word, "subgroup_max"))
            l->subgroup_size_max = (uint32_t)number;
        else if (!strcmp(word, "units"))
            device->info.compute_units = (uint32_t)number;
        else if (!strcmp(word, "subgroups"))
            device->info.has_subgroups = number != 0;
        else if (!strcmp(word, "broadcast"))
            device->info.has_subgroup_broadcast = number != 0;
        else if (!strcmp(word, "addresses"))
            device->info.has_buffer_addresses = number != 0;
        else if (!strcmp(word, "int64"))
            device->info.has_int64 = number != 0;
        else if (!strcmp(word, "f16_matrix")) {
            if (!add_shape(&device->info, HEED_F16, value))
                return false;
        } else if (!strcmp(word, "bf16_matrix")) {
            if (!add_shape(&device->info, HEED_BF16, value))
                return false;
        } else if (!strcmp(word, "cpu"))
            device->info.type = number ? HEED_DEVICE_CPU : HEED_DEVICE_DISCRETE;
        else if (!strcmp(word, "reductions"))
            device->info.has_matrix_reductions = number != 0;
        else if (!strcmp(word, "driver_id"))
            device->info.driver_id = (uint32_t)number;
        else if (!strcmp(word, "driver_version"))
            device->info.driver_version = (uint32_t)number;
        else if (!strcmp(word, "dispatch_ns"))
            l->max_dispatch_ns = number;
        else
            return false;
    }
    return device->info.name[0] != 0;
}

/* From the floor up. "tiny" is below it: everything that can be split is. */
static const char *const devices[] = {
    "name=tiny,range_mib=1,group_count=64,dispatch_ns=5000",
    "name=floor",
    "name=floor256,group_size=256",
    "name=pi,driver_id=19,group_size=256,alignment=32,range_mib=1024,subgroup_min=16,subgroup_max=16",
    "name=swiftshader,cpu=1,group_size=256,shared=32768,range_mib=1024,subgroup_min=4,subgroup_max=4,subgroups=1",
    "name=llvmpipe,cpu=1,group_size=1024,shared=32768,alignment=16,subgroup_min=8,subgroup_max=8,subgroups=1,int64=1"
    ",broadcast=1,addresses=1",
    "name=mali,group_size=1024,shared=32768,alignment=16,range_mib=2048,subgroup_min=16,subgroup_max=16,subgroups=1",
    "name=adreno,group_size=1024,shared=32768,alignment=4,subgroup_min=64,subgroup_max=128,subgroups=1",
    "name=intel,group_size=1024,shared=49152,alignment=4,range_mib=2048,subgroup_min=8,subgroup_max=32,subgroups=1"
    ",f16_matrix=8x8x16,bf16_matrix=8x8x16",
    "name=nvidia,group_size=1024,shared=49152,alignment=16,range_mib=2048,subgroup_min=32,subgroup_max=32,subgroups=1"
    ",f16_matrix=16x8x8,f16_matrix=16x16x16",
    "name=nvidia2,driver_id=4,units=132,group_size=1024,shared=49152,alignment=16,range_mib=2048,subgroup_min=32"
    ",subgroup_max=32,subgroups=1,f16_matrix=16x16x16,bf16_matrix=16x16x16,reductions=1",
    /* Wide, so that keys are split as often as goes, into more parts than a dispatch may have work groups. */
    "name=wide,units=132,group_count=5,group_size=1024,shared=49152,alignment=16,range_mib=2048",
    "name=amd,group_size=1024,shared=65536,alignment=4,range_mib=2048,subgroup_min=32,subgroup_max=64,subgroups=1"
    ",f16_matrix=16x16x16,bf16_matrix=16x16x16",
    "name=amd64,group_size=1024,shared=65536,alignment=4,range_mib=2048,subgroup_min=64,subgroup_max=64,subgroups=1",
};

static void lower_line(heed_device *device, const struct test_case *test)
{
    uint32_t count = 0;
    const struct heed_candidate *list = test->op->candidates(test, &count);
    for (uint32_t i = 0; i < count; i++) {
        heed_plan *plan = NULL;
        const enum heed_status status = test->op->plan(device, test, list[i].name, &plan);
        if (status == HEED_OK) {
            heed_plan_destroy(&plan);
        } else if (status != HEED_ERR_UNSUPPORTED) {
            fprintf(stderr, "FAILED %s on %s: %s\n  %s\n", test->name, device->info.name, lister.log, test->line);
            lister.failures++;
        }
    }
}

static bool lower_pipelines(const char *line)
{
    static struct op_case c;
    bool good = op_case_parse(&c, line, 1);
    lister.name = c.name;
    lister.line = line;
    if (!good)
        fprintf(stderr, "list_variants: %s: %s\n", line, c.error);
    for (uint32_t d = 0; good && d < lister.device_count; d++) {
        const struct heed_pipeline_op *op = c.row->kind < HEED_NODE_KIND_COUNT ? &heed_pipeline_ops[c.row->kind] : NULL;
        uint32_t count = 0;
        const struct heed_node_candidate *list = op && op->candidates ? op->candidates(&count) : NULL;
        for (uint32_t i = 0; i == 0 || i < count; i++) {
            heed_plan *plan = NULL;
            c.kernel = list ? list[i].name : NULL;
            const enum heed_status status = op_case_plan(&c, &lister.devices[d], &plan);
            heed_plan_destroy(&plan);
            if (status != HEED_OK && status != HEED_ERR_UNSUPPORTED) {
                fprintf(stderr, "FAILED %s on %s: %s %s\n  %s\n", c.name, lister.devices[d].info.name, c.error,
                        lister.log, line);
                lister.failures++;
            }
        }
    }
    op_case_free(&c);
    return good;
}

static bool lower_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "list_variants: cannot read %s\n", path);
        return false;
    }
    char line[1024];
    bool good = true;
    while (good && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (line[strspn(line, " ")] == 0 || line[strspn(line, " ")] == '#')
            continue;
        static struct test_case test;
        if (op_case_knows(line)) {
            line[strcspn(line, "#")] = 0;
            good = lower_pipelines(line);
            continue;
        }
        good = test_case_parse(lister.context, &test, line, 1);
        if (good) {
            lister.name = test.name;
            lister.line = test.line;
            for (uint32_t i = 0; i < lister.device_count; i++)
                lower_line(&lister.devices[i], &test);
        } else {
            fprintf(stderr, "list_variants: %s: %s: %s %s\n", path, line, test.error, lister.log);
        }
        test_case_free(&test);
    }
    fclose(file);
    return good;
}

static bool read_module(const char *path)
{
    struct spirv_module module;
    if (!spirv_read(path, &module))
        return false;
    for (int i = 0; i < HEED_KERNEL_COUNT; i++) {
        if (!strcmp(module.name, heed_kernel_name((enum heed_kernel)i))) {
            lister.modules[i] = module;
            lister.paths[i] = path;
            return true;
        }
    }
    fprintf(stderr, "list_variants: %s is not one of heed's kernels\n", path);
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

int main(int argc, char **argv)
{
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_log};
    if (heed_context_create(&desc, &lister.context) != HEED_OK)
        return 1;
    bool good = true;
    int i = 1;
    if (argc > 2 && !strcmp(argv[1], "--write")) {
        lister.folder = argv[2];
        i = 3;
    }
    for (size_t d = 0; d < sizeof devices / sizeof *devices; d++)
        good = good && add_device(devices[d]);
    for (; good && i < argc; i++)
        good = ends_with(argv[i], ".spv") ? read_module(argv[i]) : lower_file(argv[i]);
    fprintf(stderr, "list_variants: %llu plans, %u variants, %d failures\n", (unsigned long long)lister.plans,
            lister.variant_count, lister.failures);
    heed_context_destroy(&lister.context);
    return good && lister.failures == 0 && lister.variant_count > 0 ? 0 : 1;
}
