/* SPDX-License-Identifier: MIT
 * heed inside an app that owns its VkInstance, VkDevice, memory and command buffer.
 *
 * The app has 1000 things, each known by a code of 32 signs and with a number of four digits. A shader of the app makes
 * 300 codes with one sign wrong (the queries), attention finds whose they are (the keys) and brings the digits (the
 * values), a second shader makes numbers of them: three steps, one command buffer, one submit, the app's own. */
#include "app.h"
#include "code.h"
#include "counting.h"
#include "embed_answer.spv.h"
#include "embed_ask.spv.h"

#include <heed/heed_vulkan.h>

#include <stdio.h>
#include <stdlib.h>

static void print_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "embed: %s\n", text);
}

static void heed_must(enum heed_status status, const char *what)
{
    if (status == HEED_OK)
        return;
    fprintf(stderr, "embed: %s: %s\n", what, heed_status_name(status));
    exit(1);
}

int main(void)
{
    struct app app = {0};
    if (!app_create_instance(&app)) {
        fprintf(stderr, "embed: there is no device with Vulkan 1.1 and a compute queue\n");
        app_destroy(&app);
        return 77;
    }
    counting_install();

    /* 1. Before the device: ask heed what is worth enabling, and enable it. */
    const struct heed_context_desc context_desc = {.struct_size = sizeof context_desc, .log = print_log};
    heed_context *context;
    struct heed_vk_requirements needs;
    counting_caller = CALLER_PREPARE;
    heed_must(heed_context_create(&context_desc, &context), "heed_context_create");
    heed_must(heed_vk_get_requirements(context, app.instance, app.physical_device, counting_get_instance_proc_addr,
                                       &needs), "heed_vk_get_requirements");
    counting_caller = CALLER_APP;

    const float priority = 1;
    const VkDeviceQueueCreateInfo queue_info = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                                .queueFamilyIndex = app.queue_family,
                                                .queueCount = 1,
                                                .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device_info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                            .pNext = &needs.features,
                                            .queueCreateInfoCount = 1,
                                            .pQueueCreateInfos = &queue_info,
                                            .enabledExtensionCount = needs.extension_count,
                                            .ppEnabledExtensionNames = needs.extensions};
    app_must(vkCreateDevice(app.physical_device, &device_info, NULL, &app.device), "vkCreateDevice");
    app_create_commands(&app);

    /* 2. Import the device, plan the problem. */
    const struct heed_vk_import_desc import = {.struct_size = sizeof import,
                                               .instance = app.instance,
                                               .physical_device = app.physical_device,
                                               .device = app.device,
                                               .get_instance_proc_addr = counting_get_instance_proc_addr,
                                               .api_version = VK_API_VERSION_1_1,
                                               .extensions = needs.extensions,
                                               .extension_count = needs.extension_count,
                                               .features = &needs.features};
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = desc.heads_q = desc.heads_kv = 1;
    desc.len_q = QUESTIONS;
    desc.len_kv = THINGS;
    desc.dim_qk = CODE_DIM;
    desc.dim_v = DIGITS;
    desc.scale = 8; /* sharp: each sign that agrees more weighs e^16 times more */
    heed_device *device;
    heed_plan *plan;
    struct heed_plan_info info;
    counting_caller = CALLER_PREPARE;
    heed_must(heed_vk_import(context, &import, &device), "heed_vk_import");
    heed_must(heed_plan_create_attention(device, &desc, &plan), "heed_plan_create_attention");
    heed_plan_get_info(plan, &info);
    counting_caller = CALLER_APP;
    printf("%s: %s, %u dispatches, %llu bytes of scratch\n\n", app.device_name, info.kernel, info.dispatches,
           (unsigned long long)info.scratch_bytes);

    /* 3. The app's own memory, with what it knows in it, and its own shaders. */
    struct app_buffer q = app_create_buffer(&app, QUESTIONS * CODE_DIM * sizeof(float));
    struct app_buffer k = app_create_buffer(&app, THINGS * CODE_DIM * sizeof(float));
    struct app_buffer v = app_create_buffer(&app, THINGS * DIGITS * sizeof(float));
    struct app_buffer o = app_create_buffer(&app, QUESTIONS * DIGITS * sizeof(float));
    struct app_buffer answers = app_create_buffer(&app, QUESTIONS * sizeof(uint32_t));
    struct app_buffer scratch = app_create_buffer(&app, info.scratch_bytes > 0 ? info.scratch_bytes : 4);
    for (uint32_t thing = 0; thing < THINGS; thing++) {
        for (uint32_t d = 0; d < CODE_DIM; d++)
            ((float *)k.data)[thing * CODE_DIM + d] = CODE_SIGN(code_bits(thing), d);
        for (uint32_t d = 0, rest = NUMBER(thing); d < DIGITS; d++, rest /= 10)
            ((float *)v.data)[thing * DIGITS + DIGITS - 1 - d] = (float)(rest % 10);
    }
    struct app_shader ask = app_create_shader(&app, embed_spv_ask, sizeof embed_spv_ask,
                                              (const struct app_buffer *[]){&q}, 1);
    struct app_shader answer = app_create_shader(&app, embed_spv_answer, sizeof embed_spv_answer,
                                                 (const struct app_buffer *[]){&o, &answers}, 2);

    /* 4. Tie buffers to the plan. */
    const struct heed_vk_arg args[] = {
        {"q", q.buffer, 0, q.bytes}, {"k", k.buffer, 0, k.bytes}, {"v", v.buffer, 0, v.bytes},
        {"o", o.buffer, 0, o.bytes}, {"scratch", scratch.buffer, 0, scratch.bytes},
    };
    heed_vk_binding *binding;
    counting_caller = CALLER_PREPARE;
    heed_must(heed_vk_bind(plan, args, info.scratch_bytes > 0 ? 5 : 4, &binding), "heed_vk_bind");
    counting_caller = CALLER_APP;

    /* 5. Record: the app, heed, the app. Submit once. */
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    app_must(vkBeginCommandBuffer(app.commands, &begin), "vkBeginCommandBuffer");
    app_dispatch(&app, &ask, (QUESTIONS + 63) / 64);
    app_barrier(&app, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    counting_caller = CALLER_RECORD;
    heed_must(heed_vk_record(binding, app.commands), "heed_vk_record");
    counting_caller = CALLER_APP;
    app_barrier(&app, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT);
    app_dispatch(&app, &answer, (QUESTIONS + 63) / 64);
    app_barrier(&app, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
    app_must(vkEndCommandBuffer(app.commands), "vkEndCommandBuffer");

    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &app.commands};
    app_must(vkQueueSubmit(app.queue, 1, &submit, app.fence), "vkQueueSubmit");
    app_must(vkWaitForFences(app.device, 1, &app.fence, VK_TRUE, UINT64_MAX), "vkWaitForFences");

    /* 6. Is it right, and did heed keep its word? */
    uint32_t right = 0;
    for (uint32_t i = 0; i < QUESTIONS; i++)
        right += ((const uint32_t *)answers.data)[i] == NUMBER(ASKED(i));

    counting_caller = CALLER_PREPARE;
    heed_vk_binding_destroy(&binding);
    heed_plan_destroy(&plan);
    heed_device_destroy(&device);
    heed_context_destroy(&context);
    counting_caller = CALLER_APP;

    bool kept = counting_report();
    printf("\n%u of %u answers are right\n", right, QUESTIONS);
    printf("heed %s\n", kept ? "allocated no memory, submitted nothing, waited for nothing" : "did what it must not");

    struct app_buffer *buffers[] = {&q, &k, &v, &o, &answers, &scratch};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        app_destroy_buffer(&app, buffers[i]);
    app_destroy_shader(&app, &ask);
    app_destroy_shader(&app, &answer);
    app_destroy(&app);
    return right == QUESTIONS && kept ? 0 : 1;
}
