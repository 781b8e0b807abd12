/* SPDX-License-Identifier: MIT
 * Every op of heed_pipeline.h, each of its kernels forced by name, over the lines of tests/ops, against the oracle:
 * values within their bounds, nothing else overwritten, the same bits again. */
#include "support/op_case.h"

#include "backend.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] = "check_ops [options]: every op of pipelines against the oracle\n"
                            "  --device D      index, UUID or part of a name\n"
                            "  --kernel NAME   only this kernel\n"
                            "  --shapes FILE   lines from this file instead of all of tests/ops\n"
                            "  --line TEXT     this line only\n"
                            "  --seed N        other random numbers\n"
                            "  --quick         only the lines with the word \"quick\"\n"
                            "  --verbose       a line for every run\n"
                            "Exit status 0, 1 (something failed), 2 (usage), 77 (no such device).\n";

enum { LIMITED = 2, AS_GPU = LIMITED };

struct suite {
    heed_context *context;
    heed_device *device, *limited[LIMITED + 1];
    const char *select, *kernel, *file, *line;
    uint64_t seed;
    bool quick, verbose;
    char message[512];
    unsigned passed, failed, refused;
};

static void keep_message(void *user, enum heed_log_level level, const char *text)
{
    struct suite *suite = user;
    if (level == HEED_LOG_ERROR)
        snprintf(suite->message, sizeof suite->message, "%s", text);
}

static void fail(struct suite *suite, const struct op_case *c, const char *how)
{
    suite->failed++;
    printf("FAILED  %s %s, %s%s%s: %s%s%s\n", c->row ? c->row->word : "", c->name, c->kernel ? c->kernel : "the best",
           *how ? ", " : "", how, c->error, *c->error && *suite->message ? ": " : "", suite->message);
    printf("        check_ops%s%s --seed %llu --line '%s'\n", c->kernel ? " --kernel " : "", c->kernel ? c->kernel : "",
           (unsigned long long)c->seed, c->line);
}

/* Processor time of all threads, drivers' included: compiling is most of a first run. */
static double now_ms(void)
{
    return 1e3 * (double)clock() / CLOCKS_PER_SEC;
}

static void check_on(struct suite *suite, struct op_case *c, heed_device *device, const char *how)
{
    heed_plan *plan;
    suite->message[0] = 0;
    enum heed_status status = op_case_plan(c, device, &plan);
    if (status == HEED_ERR_UNSUPPORTED) {
        suite->refused++;
        if (suite->verbose)
            printf("refused %-10s %-28s %-22s %s\n", c->row->word, c->name, c->kernel ? c->kernel : "", suite->message);
        return;
    }
    unsigned char *first = NULL, *second = NULL;
    uint64_t bytes;
    double worst = 0, ms[2] = {now_ms(), 0};
    bool ok = status == HEED_OK && op_case_run(c, plan, &worst, &first, &bytes);
    ms[1] = now_ms();
    ok = ok && op_case_run(c, plan, &worst, &second, &bytes);
    if (!ok) {
        fail(suite, c, how);
    } else if (memcmp(first, second, (size_t)bytes) != 0) {
        snprintf(c->error, sizeof c->error, "other bits in the second run");
        fail(suite, c, how);
    } else {
        suite->passed++;
        if (suite->verbose)
            printf("ok      %-10s %-20s %-20s first %6.0f, second %7.2f ms, error %3.0f %% of the bound %s\n",
                   c->row->word, c->name, c->kernel ? c->kernel : "", ms[1] - ms[0], 1e-6 * (double)c->device_ns,
                   100 * worst, how);
    }
    free(first);
    free(second);
    heed_plan_destroy(&plan);
}

static void check_all(struct suite *suite, struct op_case *c)
{
    check_on(suite, c, suite->device, "");
    for (int i = 0; i < LIMITED && c->split && suite->limited[i]; i++)
        check_on(suite, c, suite->limited[i], i ? "bindings limited" : "work and groups limited");
    const enum heed_node_kind kind = c->row->kind; /* attention's kernels for GPUs have check_kernels */
    if (suite->limited[AS_GPU] && kind != HEED_NODE_ATTEND && kind != HEED_NODE_SAMPLE && kind < HEED_NODE_KIND_COUNT)
        check_on(suite, c, suite->limited[AS_GPU], "planned as for a GPU");
}

static void check_line(struct suite *suite, const char *line)
{
    struct op_case c;
    suite->message[0] = 0;
    if (!op_case_init(&c, suite->device, line, suite->seed)) {
        fail(suite, &c, "");
    } else if (!suite->quick || c.quick) {
        uint32_t count = 0;
        const struct heed_pipeline_op *op = c.row->kind < HEED_NODE_KIND_COUNT ? &heed_pipeline_ops[c.row->kind] : NULL;
        const struct heed_node_candidate *list =
            op && op->candidates && !suite->device->ops->direct_kernel ? op->candidates(&count) : NULL;
        for (uint32_t i = 0; i < count; i++) {
            c.kernel = list[i].name;
            if (!suite->kernel || strcmp(suite->kernel, c.kernel) == 0)
                check_all(suite, &c);
        }
        if (count == 0)
            check_all(suite, &c);
    }
    op_case_free(&c);
}

static bool check_file(struct suite *suite, const char *path)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "check_ops: cannot open %s\n", path);
        return false;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\r\n")] = 0;
        if (line[strspn(line, " \t")])
            check_line(suite, line);
    }
    fclose(file);
    return true;
}

static bool check_folder(struct suite *suite, const char *folder)
{
    DIR *directory = opendir(folder);
    bool ok = directory != NULL;
    for (struct dirent *entry; ok && (entry = readdir(directory));) {
        const size_t length = strlen(entry->d_name);
        char path[4096];
        if (length < 4 || strcmp(entry->d_name + length - 4, ".txt") != 0)
            continue;
        ok = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path && check_file(suite, path);
    }
    if (directory)
        closedir(directory);
    return ok;
}

static bool parse(struct suite *suite, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            suite->quick = true;
            continue;
        }
        if (strcmp(argv[i], "--verbose") == 0) {
            suite->verbose = true;
            continue;
        }
        if (i + 1 == argc)
            return false;
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--device") == 0)
            suite->select = value;
        else if (strcmp(argv[i], "--kernel") == 0)
            suite->kernel = value;
        else if (strcmp(argv[i], "--shapes") == 0)
            suite->file = value;
        else if (strcmp(argv[i], "--line") == 0)
            suite->line = value;
        else if (strcmp(argv[i], "--seed") == 0)
            suite->seed = strtoull(value, NULL, 0);
        else
            return false;
        i++;
    }
    return true;
}

static enum heed_status open_devices(struct suite *suite)
{
    struct heed_device_desc desc = {.struct_size = sizeof desc, .select = suite->select};
    enum heed_status status = heed_device_create(suite->context, &desc, &suite->device);
    if (status != HEED_OK || suite->device->ops->direct_kernel)
        return status;
    static const struct heed_limits limits[LIMITED] = {
        {.max_dispatch_ns = 100000, .max_group_count = 5},
        {.max_storage_range = 16384, .min_offset_alignment = 64},
    };
    for (int i = 0; i < LIMITED && status == HEED_OK; i++) {
        desc.limits = limits[i];
        desc.backend = suite->device->info.backend;
        status = heed_device_create(suite->context, &desc, &suite->limited[i]);
    }
    /* OpenCL's kernels have a work-item of a processor do what a work group of a GPU does. */
    if (status == HEED_OK && desc.backend == HEED_BACKEND_OPENCL) {
        desc.limits = (struct heed_limits){0};
        status = heed_device_create(suite->context, &desc, &suite->limited[AS_GPU]);
        if (status == HEED_OK)
            suite->limited[AS_GPU]->info.type = HEED_DEVICE_OTHER;
    }
    return status;
}

int main(int argc, char **argv)
{
    struct suite suite = {0};
    if (!parse(&suite, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_message, .log_user = &suite};
    if (heed_context_create(&desc, &suite.context) != HEED_OK)
        return 1;
    enum heed_status status = open_devices(&suite);
    if (status == HEED_ERR_NO_DEVICE) {
        printf("skipped: %s\n", suite.message);
        heed_context_destroy(&suite.context);
        return 77;
    }
    bool ok = status == HEED_OK;
    if (ok) {
        printf("%s, %s; seed %llu\n", suite.device->info.name, suite.device->info.driver,
               (unsigned long long)suite.seed);
        if (suite.line)
            check_line(&suite, suite.line);
        else
            ok = suite.file ? check_file(&suite, suite.file) : check_folder(&suite, HEED_OPS_FOLDER);
    } else {
        printf("FAILED  no device: %s\n", suite.message);
    }
    heed_device_destroy(&suite.device);
    for (int i = 0; i <= AS_GPU; i++)
        heed_device_destroy(&suite.limited[i]);
    heed_context_destroy(&suite.context);
    printf("%u passed, %u failed, %u refused\n", suite.passed, suite.failed, suite.refused);
    return ok && suite.failed == 0 && suite.passed > 0 ? 0 : 1;
}
