/* SPDX-License-Identifier: MIT
 * Ceilings of the device: an FMA loop, a copy and a read, in shaders of the command's own. They run on the VkDevice and
 * queue that the kernels run on, by the backend's own memory and submit functions, and are timed by the same clock; but
 * they are no kernels of the library. */
#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

double bench_bound_ns(const struct bench_ceilings *c, const struct bench_row *row, enum bench_bound *by)
{
    *by = BENCH_BY_FMA;
    if (!c->known)
        return 0;
    double flops = c->rate[BENCH_FMA].median, matrix = c->rate[BENCH_MATRIX].median;
    double read = c->rate[BENCH_READ].median, copy = c->rate[BENCH_COPY].median;
    if (row->dtype != HEED_F32 && matrix > flops) {
        flops = matrix;
        *by = BENCH_BY_MATRIX;
    }
    /* A written byte costs what a copied one does less what reading it does. */
    double write_ns = 2.0 / copy - 1.0 / read;
    if (write_ns < 0.5 / copy)
        write_ns = 0.5 / copy;
    double compute = (double)row->flops / flops;
    double move = (double)row->input_bytes / read + (double)row->output_bytes * write_ns;
    if (move <= compute)
        return compute;
    *by = BENCH_BY_MEMORY;
    return move;
}

#ifndef HEED_HAVE_VULKAN

bool bench_ceilings_begin(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    (void)session, (void)fault;
    ceilings->known = false;
    return true;
}

bool bench_ceilings_measure(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    (void)session, (void)ceilings, (void)fault;
    return true;
}

void bench_ceilings_end(struct session *session, struct bench_ceilings *ceilings)
{
    (void)session, (void)ceilings;
}

#else

#include "vulkan/vk.h"

#include "ceiling_fma.spv.h"
#include "ceiling_copy.spv.h"
#include "ceiling_read.spv.h"
#ifdef HEED_HAVE_CEILING_MATRIX
#include "ceiling_matrix.spv.h"
#endif

enum { MAX_VALUES = 64, PASSES = 3 };
enum { VECTORS_EACH = 16, FMA_OF_A_STEP = 3 * 4 * 8 }; /* those of ceiling.comp */
enum { SUMS = 4, PRODUCTS_OF_A_STEP = 4 * SUMS };      /* those of ceiling_matrix.comp */

struct ceiling_programs {
    VkPipeline pipeline[BENCH_CEILINGS]; /* of the matrix units: perhaps none */
    VkDescriptorPool pool;
    VkDescriptorSet set;
    VkQueryPool queries;
    heed_buffer *buffers[2];
    uint32_t groups[BENCH_CEILINGS], steps[BENCH_CEILINGS];
    double work[BENCH_CEILINGS];   /* of a step, or of a pass without steps: FLOP, bytes */
    enum bench_ceiling_id current; /* what record() records */
};

static struct heed_vk_device *vk_device(const struct session *session)
{
    return (struct heed_vk_device *)session->device;
}

/* constants: 0, 1, ..; the first is the work-group size. */
static enum heed_status create_pipeline(struct heed_vk_device *device, const uint32_t *code, size_t bytes,
                                        const uint32_t *values, uint32_t value_count, bool full_subgroups,
                                        VkPipeline *pipeline)
{
    const struct heed_vk_functions *vk = &device->vk;
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = bytes, .pCode = code};
    VkShaderModule module;
    enum heed_status status = heed_vk_check(device, vk->CreateShaderModule(device->device, &module_info, NULL, &module),
                                            "vkCreateShaderModule");
    if (status)
        return status;
    const VkSpecializationMapEntry entries[] = {{0, 0, 4}, {1, 4, 4}, {2, 8, 4}, {3, 12, 4}};
    const VkSpecializationInfo constants = {
        .mapEntryCount = value_count, .pMapEntries = entries, .dataSize = 4 * value_count, .pData = values};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .flags =
                      full_subgroups
                          ? (VkPipelineShaderStageCreateFlags)VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                          : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = device->pipeline_layouts[1]};
    VkPipeline handle;
    status = heed_vk_check(device, vk->CreateComputePipelines(device->device, VK_NULL_HANDLE, 1, &info, NULL, &handle),
                           "vkCreateComputePipelines");
    if (!status)
        *pipeline = handle;
    vk->DestroyShaderModule(device->device, module, NULL);
    return status;
}

static const struct heed_vk_memory *memory_of(const struct ceiling_programs *p, uint32_t i)
{
    return &((const struct heed_vk_buffer *)p->buffers[i])->memory;
}

static enum heed_status create_set(struct heed_vk_device *device, struct ceiling_programs *p)
{
    const struct heed_vk_functions *vk = &device->vk;
    const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 2};
    const VkDescriptorPoolCreateInfo pool_info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
    VkDescriptorPool pool;
    enum heed_status status = heed_vk_check(device, vk->CreateDescriptorPool(device->device, &pool_info, NULL, &pool),
                                            "vkCreateDescriptorPool");
    if (status)
        return status;
    p->pool = pool;
    const VkDescriptorSetAllocateInfo set_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = pool,
                                                  .descriptorSetCount = 1,
                                                  .pSetLayouts = &device->set_layouts[1]};
    status = heed_vk_check(device, vk->AllocateDescriptorSets(device->device, &set_info, &p->set),
                           "vkAllocateDescriptorSets");
    if (status)
        return status;
    VkDescriptorBufferInfo buffers[2];
    VkWriteDescriptorSet writes[2];
    for (uint32_t i = 0; i < 2; i++) {
        buffers[i] = (VkDescriptorBufferInfo){.buffer = memory_of(p, i)->buffer, .range = memory_of(p, i)->bytes};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = p->set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[i]};
    }
    vk->UpdateDescriptorSets(device->device, 2, writes, 0, NULL);
    return HEED_OK;
}

static void record(struct heed_vk_device *device, VkCommandBuffer commands, void *user)
{
    const struct ceiling_programs *p = user;
    const struct heed_vk_functions *vk = &device->vk;
    const uint32_t push[3] = {0, 0, p->steps[p->current]};
    const VkPipelineLayout layout = device->pipeline_layouts[1];
    if (p->queries)
        vk->CmdResetQueryPool(commands, p->queries, 0, 2);
    vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, p->pipeline[p->current]);
    vk->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &p->set, 0, NULL);
    vk->CmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
    if (p->queries)
        vk->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, p->queries, 0);
    vk->CmdDispatch(commands, p->groups[p->current], 1, 1);
    if (p->queries)
        vk->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, p->queries, 1);
}

/* GFLOP/s or GB/s of one pass. */
static enum heed_status pass(struct heed_vk_device *device, struct ceiling_programs *p, double *rate, double *ns)
{
    heed_mutex_lock(&device->mutex);
    uint64_t start = bench_now_ns();
    enum heed_status status = heed_vk_submit_wait(device, record, p);
    *ns = (double)(bench_now_ns() - start);
    heed_mutex_unlock(&device->mutex);
    if (!status && p->queries) {
        uint64_t ticks[2];
        status = heed_vk_check(device,
                               device->vk.GetQueryPoolResults(device->device, p->queries, 0, 2, sizeof ticks, ticks,
                                                              sizeof *ticks, VK_QUERY_RESULT_64_BIT),
                               "vkGetQueryPoolResults");
        const uint32_t bits = device->physical.timestamp_bits;
        const uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        if (!status)
            *ns = (double)((ticks[1] - ticks[0]) & mask) * device->physical.timestamp_period_ns;
    }
    *rate = *ns > 0 ? p->work[p->current] * p->steps[p->current] / *ns : 0;
    return status;
}

/* As many steps as take about 20 ms. */
static enum heed_status calibrate(struct heed_vk_device *device, struct ceiling_programs *p, enum bench_ceiling_id id)
{
    double rate, ns = 0;
    enum heed_status status = HEED_OK;
    p->current = id;
    for (p->steps[id] = 8; !status && ns < 10e6 && p->steps[id] < 1u << 24;) {
        p->steps[id] *= 2;
        status = pass(device, p, &rate, &ns);
    }
    return status;
}

/* Numbers from 0 to 1: memory full of zeros is compressed by some GPUs, and multiplying zeros takes less power. */
static enum heed_status create_buffers(struct heed_vk_device *device, struct ceiling_programs *p, uint64_t bytes)
{
    enum { CHUNK = 1 << 20 };
    float *chunk = malloc(CHUNK);
    enum heed_status status = chunk ? HEED_OK : HEED_ERR_HOST_MEMORY;
    uint32_t state = 1;
    for (uint32_t i = 0; chunk && i < CHUNK / sizeof *chunk; i++) {
        state = state * 1664525u + 1013904223u;
        chunk[i] = (float)(state >> 8) * 0x1p-24f;
    }
    for (uint32_t i = 0; i < 2 && !status; i++)
        status = heed_buffer_create(&device->base, bytes, &p->buffers[i]);
    for (uint64_t at = 0; at < bytes && !status; at += CHUNK)
        status = heed_buffer_write(p->buffers[0], at, chunk, bytes - at < CHUNK ? bytes - at : CHUNK);
    free(chunk);
    return status;
}

static enum heed_status create_loops(struct heed_vk_device *device, struct ceiling_programs *p)
{
    static const struct {
        enum bench_ceiling_id id;
        const uint32_t *words;
        size_t bytes;
    } codes[] = {
        {BENCH_FMA, ceiling_fma, sizeof ceiling_fma},
        {BENCH_COPY, ceiling_copy, sizeof ceiling_copy},
        {BENCH_READ, ceiling_read, sizeof ceiling_read},
    };
    const struct heed_limits *limits = &device->base.info.limits;
    const uint32_t group_size = limits->max_group_size < 64 ? limits->max_group_size : 64;
    const bool cpu = device->base.info.type == HEED_DEVICE_CPU;
    const uint32_t values[] = {group_size, cpu};
    /* More than the last cache of most: 96 MB of "infinity cache" have been sold. */
    uint64_t bytes = UINT64_C(64) << 20, group_bytes = UINT64_C(16) * VECTORS_EACH * group_size;
    if (device->base.info.type == HEED_DEVICE_DISCRETE)
        bytes = UINT64_C(256) << 20;
    if (bytes > limits->max_storage_range)
        bytes = limits->max_storage_range;
    uint32_t groups = (uint32_t)(bytes / group_bytes);
    if (groups > limits->max_group_count)
        groups = limits->max_group_count;
    enum heed_status status = create_buffers(device, p, groups * group_bytes);
    for (uint32_t i = 0; i < 3 && !status; i++) {
        enum bench_ceiling_id id = codes[i].id;
        status = create_pipeline(device, codes[i].words, codes[i].bytes, values, 2, false, &p->pipeline[id]);
        p->groups[id] = groups;
        p->steps[id] = 1;
    }
    p->work[BENCH_COPY] = 2.0 * (double)(groups * group_bytes);
    p->work[BENCH_READ] = (double)(groups * group_bytes) * (1.0 + 1.0 / VECTORS_EACH);
    if (p->groups[BENCH_FMA] > (cpu ? 256u : 4096u))
        p->groups[BENCH_FMA] = cpu ? 256 : 4096;
    p->work[BENCH_FMA] = 2.0 * FMA_OF_A_STEP * group_size * p->groups[BENCH_FMA];
    return status;
}

#ifdef HEED_HAVE_CEILING_MATRIX
static enum heed_status create_matrix(struct heed_vk_device *device, struct ceiling_programs *p)
{
    const struct heed_device_info *info = &device->base.info;
    for (uint32_t i = 0; i < info->matrix_shape_count; i++) {
        const struct heed_matrix_shape *s = &info->matrix_shapes[i];
        const uint32_t values[] = {info->limits.subgroup_size_max, s->m, s->n, s->k};
        uint64_t fitting = memory_of(p, 1)->bytes / (UINT64_C(4) * SUMS * s->m * s->n);
        if (s->input != HEED_F16)
            continue;
        p->groups[BENCH_MATRIX] = fitting < p->groups[BENCH_FMA] ? (uint32_t)fitting : p->groups[BENCH_FMA];
        p->work[BENCH_MATRIX] = 2.0 * PRODUCTS_OF_A_STEP * s->m * s->n * s->k * p->groups[BENCH_MATRIX];
        enum heed_status status =
            create_pipeline(device, ceiling_matrix, sizeof ceiling_matrix, values, 4, true, &p->pipeline[BENCH_MATRIX]);
        return status ? status : calibrate(device, p, BENCH_MATRIX);
    }
    return HEED_OK;
}
#else
static enum heed_status create_matrix(struct heed_vk_device *device, struct ceiling_programs *p)
{
    (void)device, (void)p;
    return HEED_OK;
}
#endif

static enum heed_status create(struct heed_vk_device *device, struct ceiling_programs *p)
{
    enum heed_status status = create_loops(device, p);
    if (!status)
        status = create_set(device, p);
    if (!status && device->base.info.has_timestamps) {
        const VkQueryPoolCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
        VkQueryPool queries;
        status = heed_vk_check(device, device->vk.CreateQueryPool(device->device, &info, NULL, &queries),
                               "vkCreateQueryPool");
        if (!status)
            p->queries = queries;
    }
    if (!status)
        status = calibrate(device, p, BENCH_FMA);
    return status ? status : create_matrix(device, p);
}

bool bench_ceilings_begin(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    memset(ceilings, 0, sizeof *ceilings);
    if (session->info.backend != HEED_BACKEND_VULKAN)
        return true;
    ceilings->programs = calloc(1, sizeof *ceilings->programs);
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        ceilings->values[i] = calloc(MAX_VALUES, sizeof *ceilings->values[i]);
    bool made = ceilings->programs != NULL;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        made &= ceilings->values[i] != NULL;
    if (!made)
        return fault_failed(fault, "out of host memory");
    session->message[0] = '\0';
    if (!session_ok(session, create(vk_device(session), ceilings->programs), "ceilings", fault))
        return false;
    ceilings->known = true;
    return true;
}

bool bench_ceilings_measure(struct session *session, struct bench_ceilings *ceilings, struct fault *fault)
{
    if (!ceilings->known)
        return true;
    struct ceiling_programs *p = ceilings->programs;
    uint32_t slot = ceilings->count % MAX_VALUES;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++) {
        /* The best of a few: a ceiling is what can be reached, and the first pass touches cold memory. */
        double best = 0;
        if (!p->pipeline[i])
            continue;
        for (uint32_t k = 0; k < PASSES; k++) {
            double rate, ns;
            p->current = (enum bench_ceiling_id)i;
            if (!session_ok(session, pass(vk_device(session), p, &rate, &ns), "ceilings", fault))
                return false;
            best = rate > best ? rate : best;
        }
        if (best <= 0)
            return fault_failed(fault, "%s: its clock stood still while it should have worked", session->info.name);
        ceilings->values[i][slot] = best;
    }
    ceilings->count++;
    uint32_t count = ceilings->count < MAX_VALUES ? ceilings->count : MAX_VALUES;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++) {
        double sorted[MAX_VALUES];
        memcpy(sorted, ceilings->values[i], count * sizeof *sorted);
        ceilings->rate[i] = bench_stat(sorted, count);
    }
    return true;
}

void bench_ceilings_end(struct session *session, struct bench_ceilings *ceilings)
{
    struct ceiling_programs *p = ceilings->programs;
    if (p) {
        struct heed_vk_device *device = vk_device(session);
        const struct heed_vk_functions *vk = &device->vk;
        for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
            if (p->pipeline[i])
                vk->DestroyPipeline(device->device, p->pipeline[i], NULL);
        if (p->pool)
            vk->DestroyDescriptorPool(device->device, p->pool, NULL);
        if (p->queries)
            vk->DestroyQueryPool(device->device, p->queries, NULL);
        for (uint32_t i = 0; i < 2; i++)
            heed_buffer_destroy(&p->buffers[i]);
    }
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        free(ceilings->values[i]);
    free(p);
    ceilings->programs = NULL;
}

#endif
