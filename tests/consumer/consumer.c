/* SPDX-License-Identifier: MIT
 * An app that knows heed from its installed headers and heed.pc alone: attention over two keys, checked by hand. */
#include <heed/heed.h>
#include <heed/heed_vulkan.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    fprintf(stderr, "consumer: %s\n", text);
}

int main(void)
{
    /* One query that scores 0 and log 3: weights 1/4 and 3/4 of the values 8 and 16. */
    const float q = 1, k[2] = {0, 1.0986123f}, v[2] = {8, 16};
    const float *const inputs[3] = {&q, k, v};
    float o = 0;

    const struct heed_context_desc context_desc = {.struct_size = sizeof context_desc, .log = print};
    struct heed_device_desc device_desc = {.struct_size = sizeof device_desc, .backend = HEED_BACKEND_REFERENCE};
    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = desc.heads_q = desc.heads_kv = desc.len_q = desc.dim_qk = desc.dim_v = 1;
    desc.len_kv = 2;
    desc.scale = 1;

    heed_context *context = NULL;
    heed_device *device = NULL;
    heed_plan *plan = NULL;
    if (heed_context_create(&context_desc, &context) != HEED_OK ||
        heed_device_create(context, &device_desc, &device) != HEED_OK ||
        heed_plan_create_attention(device, &desc, &plan) != HEED_OK)
        return 1;

    struct heed_arg args[4] = {{.name = "q"}, {.name = "k"}, {.name = "v"}, {.name = "o"}};
    const uint64_t bytes[4] = {sizeof q, sizeof k, sizeof v, sizeof o};
    for (int i = 0; i < 4; i++) {
        if (heed_buffer_create(device, bytes[i], &args[i].buffer) != HEED_OK ||
            (i < 3 && heed_buffer_write(args[i].buffer, 0, inputs[i], bytes[i]) != HEED_OK))
            return 1;
    }
    if (heed_run(plan, args, 4, NULL) != HEED_OK || heed_buffer_read(args[3].buffer, 0, &o, sizeof o) != HEED_OK)
        return 1;

    for (int i = 0; i < 4; i++)
        heed_buffer_destroy(&args[i].buffer);
    heed_plan_destroy(&plan);
    heed_device_destroy(&device);
    heed_context_destroy(&context);

    printf("heed %s: %g\n", heed_version(), o);
    return fabsf(o - 14) < 1e-5f && strcmp(heed_status_name(HEED_OK), "HEED_OK") == 0 ? 0 : 1;
}
