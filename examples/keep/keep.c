/* SPDX-License-Identifier: MIT
 * Compiled pipelines kept in a folder, so that the next start of an app compiles nothing:
 *
 *     keep FOLDER     tells what it finds there, makes a plan, and how long that took; run it twice
 *
 * On drivers that keep nothing themselves the second run is the fast one. Software drivers give nothing to keep. */
#include <heed/heed.h>

#include <inttypes.h>
#include <stdio.h>

struct folder {
    const char *path;
};

static FILE *open_key(const struct folder *folder, const char *key, const char *ending, const char *mode)
{
    char path[1024];
    int length = snprintf(path, sizeof path, "%s/%s%s", folder->path, key, ending);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, mode) : NULL;
}

/* Asked twice: for the size, with data NULL, and for the bytes. */
static size_t get(void *user, const char *key, void *data, size_t capacity)
{
    FILE *file = open_key(user, key, "", "rb");
    size_t bytes = 0;
    if (!file)
        return 0;
    if (data)
        bytes = fread(data, 1, capacity, file);
    else if (fseek(file, 0, SEEK_END) == 0 && ftell(file) > 0)
        bytes = (size_t)ftell(file);
    fclose(file);
    return bytes;
}

/* Under another name first: nobody may find half a file. heed would notice, but all would have to be compiled again. */
static void put(void *user, const char *key, const void *data, size_t bytes)
{
    const struct folder *folder = user;
    FILE *file = open_key(folder, key, ".part", "wb");
    if (!file) {
        fprintf(stderr, "keep: cannot write to %s\n", folder->path);
        return;
    }
    bool whole = fwrite(data, 1, bytes, file) == bytes;
    whole &= fclose(file) == 0;
    char from[1024], to[1024];
    snprintf(from, sizeof from, "%s/%s.part", folder->path, key);
    snprintf(to, sizeof to, "%s/%s", folder->path, key);
    if (!whole || rename(from, to) != 0)
        remove(from);
    else
        printf("kept     %zu bytes as %s\n", bytes, to);
}

static void print_log(void *user, enum heed_log_level level, const char *text)
{
    (void)user;
    (void)level;
    printf("log      %s\n", text);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: keep FOLDER\n", stderr);
        return 2;
    }
    struct folder folder = {argv[1]};
    const struct heed_context_desc desc = {
        .struct_size = sizeof desc, .log = print_log, .log_level = HEED_LOG_INFO, .cache = {get, put, &folder}};
    heed_context *context = NULL;
    heed_device *device = NULL;
    heed_plan *plan = NULL;
    struct heed_attention_desc attention = HEED_ATTENTION_DESC_INIT;
    attention.batch = 1;
    attention.heads_q = attention.heads_kv = 8;
    attention.len_q = attention.len_kv = 1024;
    attention.dim_qk = attention.dim_v = 64;
    bool done = heed_context_create(&desc, &context) == HEED_OK &&
                heed_device_create(context, NULL, &device) == HEED_OK &&
                heed_plan_create_attention(device, &attention, &plan) == HEED_OK;
    if (done) {
        struct heed_plan_info info;
        heed_plan_get_info(plan, &info);
        printf("plan     %s: %" PRIu32 " pipelines in %.1f ms, %" PRIu32 " from the cache\n", info.kernel,
               info.pipelines, 1e-6 * (double)info.compile_ns, info.pipelines_cached);
    }
    heed_plan_destroy(&plan);
    heed_device_destroy(&device); /* calls put, if there is something new */
    heed_context_destroy(&context);
    return done ? 0 : 1;
}
