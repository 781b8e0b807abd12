/* SPDX-License-Identifier: MIT
 * Makes heed's plans for the problems of a file on the first Vulkan device, as an app would that owns the device, and
 * prints what the driver's compiler says of each pipeline. Nothing is executed. A line of output is a JSON object.
 *
 *     plan_stats [--kernel NAME] [--from N] SHAPES.txt
 *
 * NAME: a kernel forced by name, or "all", every one that accepts; else the selected one. N: problems skipped at the
 * start, for the next run after one in which the driver crashed. Exit status 0, or 1 when there is no device that heed
 * takes; a plan that fails is told in its line. */
#include "support/test_case.h"

#include "vulkan/vk.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct app {
    heed_context *context;
    PFN_vkGetInstanceProcAddr loader;
    PFN_vkCreateComputePipelines create_pipelines;
    PFN_vkGetPipelineExecutablePropertiesKHR get_executables;
    PFN_vkGetPipelineExecutableStatisticsKHR get_statistics;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
    struct heed_vk_requirements needs;
    heed_device *heed;
    char message[512]; /* the last that heed logged */
};
/* vkGetInstanceProcAddr has no user pointer. */
static struct app app;

static void keep_message(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    if (level == HEED_LOG_ERROR)
        snprintf(app.message, sizeof app.message, "%s", text);
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            putchar(' ');
        else
            putchar(*text);
    }
    putchar('"');
}

/* Drivers are left alone with what they hold: some crash when their device goes, and nothing is lost. */
static void leave(int status)
{
    fflush(stdout);
    _exit(status);
}

static void give_up(const char *why)
{
    printf("{\"unusable\": ");
    print_text(why);
    printf("}\n");
    leave(1);
}

/* ---- the app: a device as heed asks for it, which also tells about its pipelines */

static VKAPI_ATTR VkResult VKAPI_CALL create_telling_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
                                                               const VkComputePipelineCreateInfo *infos,
                                                               const VkAllocationCallbacks *allocator,
                                                               VkPipeline *pipelines)
{
    if (count != 1 || !app.get_statistics)
        return app.create_pipelines(device, cache, count, infos, allocator, pipelines);
    VkComputePipelineCreateInfo info = *infos;
    info.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    return app.create_pipelines(device, cache, 1, &info, allocator, pipelines);
}

static PFN_vkVoidFunction VKAPI_CALL give_function(VkInstance instance, const char *name)
{
    const PFN_vkVoidFunction function = app.loader(instance, name);
    return function && strcmp(name, "vkCreateComputePipelines") == 0 ? (PFN_vkVoidFunction)create_telling_pipelines
                                                                     : function;
}

static bool has_statistics(const struct heed_vk_functions *vk)
{
    uint32_t count = 0;
    bool found = false;
    vk->EnumerateDeviceExtensionProperties(app.physical, NULL, &count, NULL);
    VkExtensionProperties *list = calloc(count + 1, sizeof *list);
    if (list && vk->EnumerateDeviceExtensionProperties(app.physical, NULL, &count, list) == VK_SUCCESS)
        found = heed_vk_has_extension(list, count, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
    free(list);
    return found;
}

static uint32_t compute_family(const struct heed_vk_functions *vk)
{
    VkQueueFamilyProperties families[16];
    uint32_t count = 16, i = 0;
    vk->GetPhysicalDeviceQueueFamilyProperties(app.physical, &count, families);
    while (i < count && !(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT))
        i++;
    return i;
}

static void create_device(const struct heed_vk_functions *vk)
{
    if (heed_vk_get_requirements(app.context, app.instance, app.physical, app.loader, &app.needs) != HEED_OK)
        give_up(app.message);
    const char *extensions[9];
    uint32_t count = app.needs.extension_count;
    memcpy(extensions, app.needs.extensions, count * sizeof *extensions);
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR telling = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = &app.needs.features,
        .pipelineExecutableInfo = VK_TRUE};
    const bool tells = has_statistics(vk);
    if (tells)
        extensions[count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = compute_family(vk),
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = tells ? (const void *)&telling : &app.needs.features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = count,
                                     .ppEnabledExtensionNames = extensions};
    if (vk->CreateDevice(app.physical, &info, NULL, &app.device) != VK_SUCCESS)
        give_up("vkCreateDevice fails");
    app.create_pipelines = (PFN_vkCreateComputePipelines)app.loader(app.instance, "vkCreateComputePipelines");
    if (tells) {
        app.get_executables =
            (PFN_vkGetPipelineExecutablePropertiesKHR)app.loader(app.instance, "vkGetPipelineExecutablePropertiesKHR");
        app.get_statistics =
            (PFN_vkGetPipelineExecutableStatisticsKHR)app.loader(app.instance, "vkGetPipelineExecutableStatisticsKHR");
    }
}

static void open_app(void)
{
    void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        give_up("there is no Vulkan loader");
    *(void **)&app.loader = dlsym(library, "vkGetInstanceProcAddr");
    struct heed_vk_functions vk;
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    if (heed_vk_load_global(&vk, app.loader) || vk.CreateInstance(&info, NULL, &app.instance) != VK_SUCCESS)
        give_up("vkCreateInstance fails: no driver");
    uint32_t count = 1;
    if (heed_vk_load_physical(&vk, app.instance) || heed_vk_load_device(&vk, app.instance) ||
        heed_vk_load_own(&vk, app.instance) ||
        vk.EnumeratePhysicalDevices(app.instance, &count, &app.physical) < VK_SUCCESS || count == 0)
        give_up("there is no Vulkan device");
    create_device(&vk);
    const struct heed_vk_import_desc desc = {.struct_size = sizeof desc,
                                             .instance = app.instance,
                                             .physical_device = app.physical,
                                             .device = app.device,
                                             .get_instance_proc_addr = give_function,
                                             .api_version = VK_API_VERSION_1_1,
                                             .extensions = app.needs.extensions,
                                             .extension_count = app.needs.extension_count,
                                             .features = &app.needs.features,
                                             .buffers_have_addresses = true};
    if (heed_vk_import(app.context, &desc, &app.heed) != HEED_OK)
        give_up(app.message);
}

static void print_device(void)
{
    struct heed_device_info info;
    heed_device_get_info(app.heed, &info);
    printf("{\"device\": ");
    print_text(info.name);
    printf(", \"driver\": ");
    print_text(info.driver);
    printf(", \"group\": %" PRIu32 ", \"shared\": %" PRIu32 ", \"subgroups\": [%" PRIu32 ", %" PRIu32 "]",
           info.limits.max_group_size, info.limits.max_shared_bytes, info.limits.subgroup_size_min,
           info.limits.subgroup_size_max);
    printf(", \"matrix\": [");
    for (uint32_t i = 0; i < info.matrix_shape_count; i++) {
        const struct heed_matrix_shape *s = &info.matrix_shapes[i];
        printf("%s\"%" PRIu32 "x%" PRIu32 "x%" PRIu32 " %s\"", i ? ", " : "", s->m, s->n, s->k,
               heed_dtype_name(s->input));
    }
    printf("], \"statistics\": %s}\n", app.get_statistics ? "true" : "false");
}

/* ---- a pipeline */

/* Useful FLOPs of one work group in one walk of the shader's main loop, over a tile of keys or over one sampling point;
 * 0 for kernels whose work is not FLOPs. */
static double flops_of_walk(const struct test_case *test, const heed_plan *plan, const struct heed_step *step)
{
    double groups = 0; /* of all the steps that share the work */
    for (uint32_t i = 0; i < plan->step_count; i++)
        if (plan->steps[i].kernel == step->kernel)
            groups += (double)plan->steps[i].groups[0] * plan->steps[i].groups[1] * plan->steps[i].groups[2];
    if (step->kernel == HEED_KERNEL_PACK || step->kernel == HEED_KERNEL_ATTN_MERGE ||
        step->kernel == HEED_KERNEL_ATTN_SOFTMAX)
        return 0;
    if (plan->op == HEED_OP_DEFORM) {
        const struct heed_deform_desc *d = &test->problem.deform.desc;
        /* a multiplication and an addition for each corner */
        const double corners = d->interpolation == HEED_INTERPOLATION_NEAREST ? 1 : 1u << d->axes;
        return 2 * corners * d->batch * d->len_q * d->heads * d->dim / groups;
    }
    const struct heed_attention_desc *d = &test->problem.attention.desc;
    const double pairs = (double)test->problem.attention.rows * d->len_kv;
    if (step->kernel == HEED_KERNEL_ATTN_SCORES) /* no loop over keys */
        return 2 * pairs * d->dim_qk / groups;
    const bool aggregate = step->kernel == HEED_KERNEL_ATTN_AGGREGATE;
    const struct heed_attn_push *push = (const void *)step->push;
    const double keys = push->key_chunk > 0 && push->key_chunk < d->len_kv ? push->key_chunk : d->len_kv;
    const double tile = step->spec[HEED_SPEC_BC], walked = tile < keys ? tile : keys;
    return 2 * pairs * (aggregate ? d->dim_v : d->dim_qk + d->dim_v) / groups * walked / keys;
}

static void print_statistic(const VkPipelineExecutableStatisticKHR *s)
{
    print_text(s->name);
    switch (s->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        printf(": %d", s->value.b32 != 0);
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        printf(": %" PRId64, s->value.i64);
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        printf(": %" PRIu64, s->value.u64);
        break;
    default:
        printf(": %g", s->value.f64);
    }
}

enum { STATISTICS_MAX = 64 };

/* Of the first executable: compute pipelines have one, or one for each width that the driver may choose, the best
 * first. */
static void print_statistics(VkPipeline pipeline)
{
    const VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    VkPipelineExecutablePropertiesKHR executable = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    uint32_t count = 1;
    if (!app.get_statistics || app.get_executables(app.device, &info, &count, &executable) < VK_SUCCESS || count == 0)
        return;
    printf(", \"subgroup\": %" PRIu32 ", \"statistics\": {", executable.subgroupSize);
    const VkPipelineExecutableInfoKHR which = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                               .pipeline = pipeline};
    static VkPipelineExecutableStatisticKHR list[STATISTICS_MAX];
    for (uint32_t i = 0; i < STATISTICS_MAX; i++)
        list[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    count = STATISTICS_MAX;
    if (app.get_statistics(app.device, &which, &count, list) < VK_SUCCESS)
        count = 0;
    for (uint32_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", stdout);
        print_statistic(&list[i]);
    }
    putchar('}');
}

static void print_pipelines(const struct test_case *test, const heed_plan *plan)
{
    const struct heed_plan_pipelines *compiled = &((const struct heed_vk_plan *)plan->backend)->pipelines;
    for (uint32_t p = 0; p < compiled->count; p++) {
        uint32_t first = 0;
        while (compiled->of_step[first] != p)
            first++;
        const struct heed_step *step = &plan->steps[first];
        printf("{\"shape\": \"%s\", \"plan\": \"%s\", \"shader\": \"%s\", \"constants\": [", test->name, plan->kernel,
               heed_kernel_name(step->kernel));
        for (uint32_t i = 0; i < step->spec_count; i++)
            printf("%s%" PRIu32, i ? ", " : "", step->spec[i]);
        printf("], \"flops\": %.0f", flops_of_walk(test, plan, step));
        print_statistics(((const struct heed_vk_pipeline *)compiled->pipelines[p])->handle);
        printf("}\n");
    }
}

/* ---- the problems */

static void make_plan(const struct test_case *test, const char *kernel, bool refusal_counts)
{
    heed_plan *plan = NULL;
    app.message[0] = 0;
    const enum heed_status status = test->op->plan(app.heed, test, kernel, &plan);
    if (status == HEED_OK) {
        print_pipelines(test, plan);
    } else if (status != HEED_ERR_UNSUPPORTED || refusal_counts) {
        printf("{\"shape\": \"%s\", \"%s\": ", test->name, status == HEED_ERR_UNSUPPORTED ? "refused" : "failed");
        print_text(app.message);
        printf("}\n");
    }
    heed_plan_destroy(&plan);
}

static void make_plans(const struct test_case *test, const char *kernel)
{
    uint32_t count = 0;
    const struct heed_candidate *list = test->op->candidates(test, &count);
    if (!kernel)
        make_plan(test, NULL, true);
    for (uint32_t i = 0; kernel && i < count; i++)
        if (strcmp(kernel, "all") == 0 || strcmp(kernel, list[i].name) == 0)
            make_plan(test, list[i].name, strcmp(kernel, "all") != 0);
}

static void read_problems(FILE *file, const char *kernel, unsigned long from)
{
    char line[1024];
    static struct test_case test;
    unsigned long number = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\r\n")] = 0;
        if (!line[strspn(line, " ")] || number++ < from)
            continue;
        /* What was being done, should the driver crash. */
        printf("{\"begin\": %lu}\n", number - 1);
        fflush(stdout);
        if (!test_case_parse(app.context, &test, line, 1)) {
            fprintf(stderr, "plan_stats: %s: %s %s\n", line, test.error, app.message);
            leave(2);
        }
        make_plans(&test, kernel);
    }
}

int main(int argc, char **argv)
{
    const char *kernel = NULL;
    unsigned long from = 0;
    int i = 1;
    for (; i + 2 < argc; i += 2) {
        if (strcmp(argv[i], "--kernel") == 0)
            kernel = argv[i + 1];
        else if (strcmp(argv[i], "--from") == 0)
            from = strtoul(argv[i + 1], NULL, 10);
        else
            break;
    }
    FILE *file = i + 1 == argc ? fopen(argv[i], "r") : NULL;
    if (!file) {
        fprintf(stderr, "plan_stats [--kernel NAME] [--from N] SHAPES.txt\n");
        return 2;
    }
    const struct heed_context_desc desc = {.struct_size = sizeof desc, .log = keep_message};
    if (heed_context_create(&desc, &app.context) != HEED_OK)
        return 1;
    open_app();
    print_device();
    read_problems(file, kernel, from);
    fclose(file);
    leave(0);
}
