/* SPDX-License-Identifier: MIT
 * Every kernel, forced by name, over the problems of the shape files, against the oracle: values within their bounds,
 * nothing else overwritten, the same bits again. See usage below; tests/shapes has the problems. */
#include "support/run_case.h"
#include "support/test_case.h"

#include "backend.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "check_kernels [options]: every kernel against the oracle\n"
    "  --device D        index, UUID or part of a name\n"
    "  --backend B       auto, vulkan, reference\n"
    "  --kernel NAME     only this kernel\n"
    "  --shapes FILE     problems from this file instead of all of tests/shapes (may be repeated)\n"
    "  --line TEXT       this problem only\n"
    "  --seed N          other random numbers\n"
    "  --matrix MxNxK    as if the device listed this shape of f16 matrices and no other: lavapipe takes any multiple "
    "of 8\n"
    "  --quick           only the lines with the word \"quick\", and one kernel for each\n"
    "  --limits LIST     as on a smaller device: shared=BYTES, group=INVOCATIONS, buffers=N, range=BYTES, "
    "alignment=BYTES,\n"
    "                    no_subgroups, no_matrix; parted by commas\n"
    "  --all             every kernel for every line: many minutes on a software driver. Without it each line has the "
    "two\n"
    "                    that ran least before (other ones with another seed), or all with the word \"all\"\n"
    "  --verbose         a line for every run, and for every refusal\n"
    "  --list            print kernels and problems, run nothing\n"
    "Exit status 0, 1 (something failed), 2 (usage), 77 (no such device).\n";

static const char chain_name[] = "scores, softmax, aggregate";

enum { KERNELS_MAX = 64, FILES_MAX = 16 };

struct kernel_count {
    char name[64];
    enum heed_op op;
    unsigned ran, refused;
    char why[512]; /* it refused: for want of something on the device, else the last time */
};

struct options {
    const char *device, *kernel, *line;
    enum heed_backend backend;
    const char *files[FILES_MAX];
    int file_count;
    struct heed_limits limits;
    struct heed_matrix_shape matrix; /* m 0: those of the device */
    uint64_t seed;
    bool quick, all, verbose, list;
};

struct suite {
    struct options options;
    heed_context *context;
    heed_device *device;
    heed_device *limited[2]; /* the same device, with limits so low that plans must split the work */
    char message[512];       /* the last error that heed logged */
    struct kernel_count kernels[KERNELS_MAX];
    uint32_t kernel_count;
    unsigned passed, failed, skipped;
    double last_ms; /* when the last result was printed */
};

static void keep_message(void *user, enum heed_log_level level, const char *text)
{
    struct suite *suite = user;
    if (level == HEED_LOG_ERROR)
        snprintf(suite->message, sizeof suite->message, "%s", text);
}

static struct kernel_count *find_kernel(struct suite *suite, const char *name, enum heed_op op)
{
    for (uint32_t i = 0; i < suite->kernel_count; i++)
        if (strcmp(suite->kernels[i].name, name) == 0 && suite->kernels[i].op == op)
            return &suite->kernels[i];
    if (suite->kernel_count == KERNELS_MAX)
        abort();
    struct kernel_count *kernel = &suite->kernels[suite->kernel_count++];
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    kernel->op = op;
    return kernel;
}

/* The names of an op's kernels on this device. */
static uint32_t list_kernels(const struct suite *suite, const struct test_case *test, const char *names[KERNELS_MAX])
{
    if (suite->device->ops->direct_kernel) {
        names[0] = suite->device->ops->direct_kernel;
        return 1;
    }
    uint32_t count;
    const struct heed_candidate *list = test->op->candidates(test, &count);
    if (count > KERNELS_MAX)
        abort();
    for (uint32_t i = 0; i < count; i++)
        names[i] = list[i].name;
    return count;
}

/* Processor time of all threads, drivers' included: on a busy machine it says more than a clock. */
static double now_ms(void)
{
    return 1e3 * (double)clock() / CLOCKS_PER_SEC;
}

static void pass(struct suite *suite, const struct test_case *test, const char *kernel, const char *how, double worst)
{
    suite->passed++;
    if (suite->options.verbose)
        printf("ok      %-28s %-26s %6.0f ms, error %3.0f %% of the bound %s\n", test->name, kernel,
               now_ms() - suite->last_ms, 100 * worst, how);
    suite->last_ms = now_ms();
}

static void fail(struct suite *suite, const struct test_case *test, const char *kernel, const char *how,
                 const char *error)
{
    const struct options *options = &suite->options;
    suite->failed++;
    printf("FAILED  %s, %s%s%s: %s\n", test->name, kernel, *how ? ", " : "", how, error);
    printf("        check_kernels%s%s%s%s",
           options->backend == HEED_BACKEND_REFERENCE ? " --backend reference"
           : options->backend == HEED_BACKEND_OPENCL  ? " --backend opencl"
                                                      : "",
           options->device ? " --device '" : "", options->device ? options->device : "", options->device ? "'" : "");
    if (kernel != chain_name)
        printf(" --kernel %s", kernel);
    printf(" --seed %llu --line '%s'\n", (unsigned long long)test->seed, test->line);
    fflush(stdout);
    suite->last_ms = now_ms();
}

static bool splits_keys(const heed_plan *plan)
{
    for (uint32_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kernel == HEED_KERNEL_ATTN_MERGE)
            return true;
    return false;
}

/* Bytes of `run` after its last run; the caller frees. */
static unsigned char *copy_result(const struct test_run *run)
{
    unsigned char *copy = malloc((size_t)run->bytes);
    if (!copy)
        abort();
    return memcpy(copy, run->after, (size_t)run->bytes);
}

/* The same kernel where limits make the plan split the work: values within the bound, and where no row's keys were
 * split the same bits. */
static void check_split(struct suite *suite, const struct test_case *test, const char *kernel, bool keys_split,
                        const unsigned char *result)
{
    static const char *const how[] = {"work and groups limited", "bindings limited"};
    for (int i = 0; i < 2; i++) {
        heed_plan *plan = NULL;
        enum heed_status status = test->op->plan(suite->limited[i], test, kernel, &plan);
        if (status == HEED_ERR_UNSUPPORTED) {
            suite->skipped++;
            if (suite->options.verbose)
                printf("refused %-28s %-26s %s: %s\n", test->name, kernel, how[i], suite->message);
            continue;
        }
        if (status != HEED_OK) {
            fail(suite, test, kernel, how[i], suite->message);
            continue;
        }
        struct test_run run;
        char steps[64];
        snprintf(steps, sizeof steps, "%s, %u dispatches", how[i], plan->step_count);
        if (!test_run_init(&run, suite->limited[i], test, plan->offset_alignment) || !test_run_once(&run, test, plan) ||
            !test_run_check(&run, test))
            fail(suite, test, kernel, steps, run.error);
        else if (!keys_split && !splits_keys(plan) && memcmp(result, run.after, (size_t)run.bytes) != 0)
            fail(suite, test, kernel, steps, "other bits than unsplit, although no row's keys were split");
        else
            pass(suite, test, kernel, steps, run.worst);
        test_run_free(&run);
        heed_plan_destroy(&plan);
    }
}

/* Is it for want of something on the device that a kernel refused, or for what this problem is? */
static bool is_lack(const char *why)
{
    static const char *const words[] = {"the device",    "this driver",      "subgroup arithmetic",
                                        "subgroups are", "matrix units are", "left out of this build",
                                        "are more than"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(why, words[i]))
            return true;
    return false;
}

/* True when it ran; false when it was refused. */
static bool check_kernel(struct suite *suite, const struct test_case *test, const char *kernel)
{
    struct kernel_count *count = find_kernel(suite, kernel, test->problem_op);
    heed_plan *plan = NULL;
    suite->message[0] = 0;
    enum heed_status status = test->op->plan(suite->device, test, kernel, &plan);
    if (status == HEED_ERR_UNSUPPORTED) {
        suite->skipped++;
        count->refused++;
        if (!is_lack(count->why))
            snprintf(count->why, sizeof count->why, "%s", suite->message);
        if (suite->options.verbose)
            printf("refused %-28s %-26s %s\n", test->name, kernel, suite->message);
        return false;
    }
    if (status != HEED_OK) {
        fail(suite, test, kernel, "", suite->message);
        return true;
    }
    count->ran++;
    struct test_run run;
    unsigned char *first = NULL;
    if (!test_run_init(&run, suite->device, test, plan->offset_alignment) || !test_run_once(&run, test, plan) ||
        !test_run_check(&run, test)) {
        fail(suite, test, kernel, "", run.error);
    } else {
        first = copy_result(&run);
        if (!test_run_once(&run, test, plan))
            fail(suite, test, kernel, "second run", run.error);
        else if (memcmp(first, run.after, (size_t)run.bytes) != 0)
            fail(suite, test, kernel, "second run", "other bits than the first");
        else
            pass(suite, test, kernel, "", run.worst);
    }
    if (first && test->split && suite->limited[0])
        check_split(suite, test, kernel, splits_keys(plan), first);
    free(first);
    test_run_free(&run);
    heed_plan_destroy(&plan);
    return true;
}

/* The three public stages one after the other, each on what the one before has made. */
static bool run_chain(struct suite *suite, const struct test_case *test, struct test_run *run, heed_buffer *matrix)
{
    static const enum heed_op stages[] = {HEED_OP_SCORES, HEED_OP_SOFTMAX, HEED_OP_AGGREGATE};
    struct heed_attention_desc desc = test->desc.attention;
    desc.path = HEED_PATH_AUTO;
    enum heed_status status = heed_buffer_write(run->buffer, 0, run->before, run->bytes);
    for (int i = 0; i < 3 && status == HEED_OK; i++) {
        heed_plan *plan = NULL;
        struct heed_arg args[HEED_ARG_COUNT];
        struct heed_plan_info info;
        desc.op = stages[i];
        status = heed_plan_create_attention(suite->device, &desc, &plan);
        if (status != HEED_OK)
            break;
        heed_plan_get_info(plan, &info);
        for (uint32_t a = 0; a < info.args; a++) {
            struct heed_arg_info arg;
            heed_plan_get_arg(plan, a, &arg);
            enum heed_arg_id id = heed_arg_find(arg.name);
            args[a] = test->tensor[id].present ? (struct heed_arg){arg.name, run->buffer, run->offset[id]}
                                               : (struct heed_arg){arg.name, matrix, 0};
        }
        status = heed_run(plan, args, info.args, NULL);
        heed_plan_destroy(&plan);
    }
    if (status == HEED_OK)
        status = heed_buffer_read(run->buffer, 0, run->after, run->bytes);
    if (status != HEED_OK)
        snprintf(run->error, sizeof run->error, "%s", suite->message);
    return status == HEED_OK;
}

static void check_chain(struct suite *suite, const struct test_case *test)
{
    const struct heed_attention_problem *problem = &test->problem.attention;
    heed_buffer *matrix = NULL;
    struct test_run run;
    if (!test_run_init(&run, suite->device, test, problem->desc.offset_alignment) ||
        heed_buffer_create(suite->device, 4 * problem->rows * problem->desc.len_kv + 4, &matrix) != HEED_OK ||
        !run_chain(suite, test, &run, matrix) || !test_run_check(&run, test))
        fail(suite, test, chain_name, "", run.error[0] ? run.error : suite->message);
    else
        pass(suite, test, chain_name, "", run.worst);
    heed_buffer_destroy(&matrix);
    test_run_free(&run);
}

/* Of those not tried at this line, the one that ran least; the seed says where to begin among equals. */
static uint32_t next_kernel(struct suite *suite, const struct test_case *test, const char *const *names,
                            const bool *tried, uint32_t count)
{
    uint32_t next = count, least = UINT32_MAX, first = (uint32_t)(suite->options.seed % KERNELS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (first + i) % count, ran = find_kernel(suite, names[at], test->problem_op)->ran;
        if (tried[at] || ran >= least)
            continue;
        next = at;
        least = ran;
    }
    return next;
}

/* All the kernels, or so many that do not refuse: with those that ran least, so that a kernel that few lines suit has
 * them. */
static void check_kernels(struct suite *suite, const struct test_case *test)
{
    const struct options *options = &suite->options;
    const char *names[KERNELS_MAX];
    bool tried[KERNELS_MAX] = {false};
    uint32_t count = list_kernels(suite, test, names);
    uint32_t wanted = options->all || options->line || test->all ? count : options->quick ? 1 : 2;
    if (options->kernel) {
        for (uint32_t i = 0; i < count; i++)
            if (strcmp(options->kernel, names[i]) == 0)
                check_kernel(suite, test, names[i]);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        find_kernel(suite, names[i], test->problem_op); /* the report has the order of the list */
    for (uint32_t next; wanted > 0 && (next = next_kernel(suite, test, names, tried, count)) < count;) {
        tried[next] = true;
        if (check_kernel(suite, test, names[next]))
            wanted--;
    }
}

static void check_line(struct suite *suite, const char *line)
{
    struct test_case test;
    suite->last_ms = now_ms();
    if (!test_case_init(suite->context, &test, line, suite->options.seed, !suite->options.list)) {
        suite->failed++;
        printf("FAILED  %s: %s (%s)\n        --line '%s'\n", test.name, test.error, suite->message, line);
    } else if (suite->options.list) {
        const char *names[KERNELS_MAX];
        for (uint32_t i = list_kernels(suite, &test, names); i > 0; i--)
            find_kernel(suite, names[i - 1], test.problem_op);
        printf("%s\n", line);
    } else if (!suite->options.quick || test.quick) {
        check_kernels(suite, &test);
        if (test.chain && !suite->options.kernel)
            check_chain(suite, &test);
    }
    test_case_free(&test);
}

static bool check_file(struct suite *suite, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "check_kernels: cannot open %s\n", path);
        return false;
    }
    char line[1024];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\r\n")] = 0;
        if (line[strspn(line, " \t")])
            check_line(suite, line);
    }
    fclose(file);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool check_folder(struct suite *suite, const char *folder)
{
    char *paths[FILES_MAX];
    int count = 0;
    DIR *directory = opendir(folder);
    if (!directory) {
        fprintf(stderr, "check_kernels: cannot open %s\n", folder);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(directory)) && count < FILES_MAX;) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".txt") != 0)
            continue;
        paths[count] = malloc(strlen(folder) + length + 2);
        if (!paths[count])
            abort();
        sprintf(paths[count++], "%s/%s", folder, entry->d_name);
    }
    closedir(directory);
    qsort(paths, (size_t)count, sizeof *paths, by_name);
    bool ok = count > 0;
    for (int i = 0; i < count; i++) {
        ok &= check_file(suite, paths[i]);
        free(paths[i]);
    }
    return ok;
}

/* Every kernel must have run, unless it is the device that lacks what it needs. */
static void report(struct suite *suite, bool complete)
{
    static const char *const ops[] = {"attention", "scores", "softmax", "aggregate", "deform"};
    printf("%-10s %-26s %6s %8s\n", "op", "kernel", "ran", "refused");
    for (uint32_t i = 0; i < suite->kernel_count; i++) {
        const struct kernel_count *kernel = &suite->kernels[i];
        printf("%-10s %-26s %6u %8u  %s\n", ops[kernel->op], kernel->name, kernel->ran, kernel->refused, kernel->why);
        if (!complete || kernel->ran > 0)
            continue;
        if (is_lack(kernel->why)) {
            printf("skipped: %s never ran\n", kernel->name);
        } else {
            suite->failed++;
            printf("FAILED  %s never ran, and not because of the device: %s\n", kernel->name, kernel->why);
        }
    }
}

/* "shared=16384,no_subgroups": the value of a word counts from 1 up. */
static bool parse_limits(struct heed_limits *limits, const char *list)
{
    const struct {
        const char *key;
        uint32_t *number;
    } keys[] = {{"shared=", &limits->max_shared_bytes},
                {"group=", &limits->max_group_size},
                {"buffers=", &limits->max_storage_buffers},
                {"alignment=", &limits->min_offset_alignment}};
    char text[256];
    if (strlen(list) >= sizeof text)
        return false;
    strcpy(text, list);
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ",")) {
        const char *value = strchr(word, '=');
        char *end = NULL;
        const unsigned long long number = value ? strtoull(value + 1, &end, 10) : 0;
        if (value && (*end || number == 0 || number > UINT32_MAX))
            return false;
        size_t k = 0;
        while (k < sizeof keys / sizeof *keys && strncmp(word, keys[k].key, strlen(keys[k].key)) != 0)
            k++;
        if (k < sizeof keys / sizeof *keys)
            *keys[k].number = (uint32_t)number;
        else if (strncmp(word, "range=", 6) == 0)
            limits->max_storage_range = number;
        else if (strcmp(word, "no_subgroups") == 0)
            limits->no_subgroups = true;
        else if (strcmp(word, "no_matrix") == 0)
            limits->no_matrix = true;
        else
            return false;
    }
    return true;
}

static bool parse_options(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = true;
        if (strcmp(argv[i], "--quick") == 0) {
            options->quick = true;
            used = false;
        } else if (strcmp(argv[i], "--all") == 0) {
            options->all = true;
            used = false;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
            used = false;
        } else if (strcmp(argv[i], "--list") == 0) {
            options->list = true;
            used = false;
        } else if (!value) {
            return false;
        } else if (strcmp(argv[i], "--device") == 0) {
            options->device = value;
        } else if (strcmp(argv[i], "--kernel") == 0) {
            options->kernel = value;
        } else if (strcmp(argv[i], "--line") == 0) {
            options->line = value;
        } else if (strcmp(argv[i], "--shapes") == 0 && options->file_count < FILES_MAX) {
            options->files[options->file_count++] = value;
        } else if (strcmp(argv[i], "--limits") == 0) {
            if (!parse_limits(&options->limits, value))
                return false;
        } else if (strcmp(argv[i], "--matrix") == 0) {
            struct heed_matrix_shape *s = &options->matrix;
            s->input = HEED_F16;
            if (sscanf(value, "%" SCNu32 "x%" SCNu32 "x%" SCNu32, &s->m, &s->n, &s->k) != 3 || s->m == 0)
                return false;
        } else if (strcmp(argv[i], "--seed") == 0) {
            char *end;
            options->seed = strtoull(value, &end, 0);
            if (end == value || *end)
                return false;
        } else if (strcmp(argv[i], "--backend") == 0) {
            static const char *const names[] = {"auto", "reference", "vulkan", "opencl"};
            int n = 0;
            while (n < 4 && strcmp(names[n], value) != 0)
                n++;
            if (n == 4)
                return false;
            options->backend = (enum heed_backend)n;
        } else {
            return false;
        }
        i += used;
    }
    return true;
}

/* Only a device that lists some has the features that they need. */
static void set_matrix(heed_device *device, const struct heed_matrix_shape *shape)
{
    if (!device || shape->m == 0 || device->info.matrix_shape_count == 0)
        return;
    device->info.matrix_shape_count = 1;
    device->info.matrix_shapes[0] = *shape;
}

static enum heed_status open_devices(struct suite *suite)
{
    struct heed_device_desc desc = {
        .struct_size = sizeof desc,
        .backend = suite->options.backend,
        .select = suite->options.device,
        .limits = suite->options.limits,
    };
    enum heed_status status = heed_device_create(suite->context, &desc, &suite->device);
    if (status != HEED_OK || suite->device->ops->direct_kernel)
        return status;
    struct heed_device_info info;
    heed_device_get_info(suite->device, &info);
    desc.backend = info.backend;
    static const struct heed_limits limits[] = {
        {.max_dispatch_ns = 200000, .max_group_count = 5},
        {.max_storage_range = 16384, .min_offset_alignment = 64},
    };
    for (int i = 0; i < 2 && status == HEED_OK; i++) {
        desc.limits = info.limits;
        heed_limits_lower(&desc.limits, &limits[i]);
        status = heed_device_create(suite->context, &desc, &suite->limited[i]);
    }
    set_matrix(suite->device, &suite->options.matrix);
    for (int i = 0; i < 2; i++)
        set_matrix(suite->limited[i], &suite->options.matrix);
    return status;
}

int main(int argc, char **argv)
{
    struct suite suite = {0};
    if (!parse_options(&suite.options, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_message, .log_user = &suite};
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
        struct heed_device_info info;
        heed_device_get_info(suite.device, &info);
        printf("%s, %s; seed %llu\n", info.name, info.driver, (unsigned long long)suite.options.seed);
        bool all = !suite.options.line && suite.options.file_count == 0;
        if (suite.options.line)
            check_line(&suite, suite.options.line);
        for (int i = 0; i < suite.options.file_count; i++)
            ok &= check_file(&suite, suite.options.files[i]);
        if (all)
            ok = check_folder(&suite, HEED_SHAPES_FOLDER);
        report(&suite, all && !suite.options.kernel && !suite.options.list);
    } else {
        printf("FAILED  no device: %s\n", suite.message);
    }
    heed_device_destroy(&suite.device);
    heed_device_destroy(&suite.limited[0]);
    heed_device_destroy(&suite.limited[1]);
    heed_context_destroy(&suite.context);
    if (!suite.options.list)
        printf("%u passed, %u failed, %u skipped\n", suite.passed, suite.failed, suite.skipped);
    bool nothing = suite.passed == 0 && !suite.options.list;
    return ok && suite.failed == 0 && !nothing ? 0 : 1;
}
