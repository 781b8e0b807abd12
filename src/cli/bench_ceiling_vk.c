/* SPDX-License-Identifier: MIT
 * Ceilings by Vulkan: shaders of the command's own, and the matrix units where there are any. */
#include "bench_ceiling.h"
#include "vulkan/vk.h"

#include <stdlib.h>

#include "ceiling_fma.spv.h"
#include "ceiling_copy.spv.h"
#include "ceiling_read.spv.h"
#ifdef HEED_HAVE_CEILING_MATRIX
#include "ceiling_matrix.spv.h"
#endif

enum { VECTORS_EACH = 16, FMA_OF_A_STEP = 3 * 4 * 32 }; /* those of ceiling.comp */
enum { SUMS = 4, PRODUCTS_OF_A_STEP = 4 * SUMS };      /* those of ceiling_matrix.comp */

struct vk_programs {
    VkPipeline pipeline[BENCH_CEILINGS]; /* of the matrix units: perhaps none */
    VkDescriptorPool pool;
    VkDescriptorSet set;
    VkQueryPool queries;
};

static struct heed_vk_device *vk_device(const struct ceiling_programs *p)
{
    return (struct heed_vk_device *)p->device;
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

static enum heed_status create_set(struct ceiling_programs *p)
{
    struct heed_vk_device *device = vk_device(p);
    struct vk_programs *own = p->own;
    const struct heed_vk_functions *vk = &device->vk;
    const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, .descriptorCount = 2};
    const VkDescriptorPoolCreateInfo pool_info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
    VkDescriptorPool pool;
    enum heed_status status = heed_vk_check(device, vk->CreateDescriptorPool(device->device, &pool_info, NULL, &pool),
                                            "vkCreateDescriptorPool");
    if (status)
        return status;
    own->pool = pool;
    const VkDescriptorSetAllocateInfo set_info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = pool,
                                                  .descriptorSetCount = 1,
                                                  .pSetLayouts = &device->set_layouts[1]};
    status = heed_vk_check(device, vk->AllocateDescriptorSets(device->device, &set_info, &own->set),
                           "vkAllocateDescriptorSets");
    if (status)
        return status;
    VkDescriptorBufferInfo buffers[2];
    VkWriteDescriptorSet writes[2];
    for (uint32_t i = 0; i < 2; i++) {
        buffers[i] = (VkDescriptorBufferInfo){.buffer = ((const struct heed_vk_buffer *)p->buffers[i])->memory.buffer,
                                              .range = p->bytes};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = own->set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[i]};
    }
    vk->UpdateDescriptorSets(device->device, 2, writes, 0, NULL);
    return HEED_OK;
}

struct pass {
    const struct ceiling_programs *p;
    enum bench_ceiling_id id;
};

static void record(struct heed_vk_device *device, VkCommandBuffer commands, void *user)
{
    const struct pass *pass = user;
    const struct vk_programs *own = pass->p->own;
    const struct heed_vk_functions *vk = &device->vk;
    const uint32_t push[3] = {0, 0, pass->p->steps[pass->id]};
    const VkPipelineLayout layout = device->pipeline_layouts[1];
    if (own->queries)
        vk->CmdResetQueryPool(commands, own->queries, 0, 2);
    vk->CmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, own->pipeline[pass->id]);
    vk->CmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &own->set, 0, NULL);
    vk->CmdPushConstants(commands, layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof push, push);
    if (own->queries)
        vk->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, own->queries, 0);
    vk->CmdDispatch(commands, pass->p->groups[pass->id], 1, 1);
    if (own->queries)
        vk->CmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, own->queries, 1);
}

static enum heed_status run_pass(struct ceiling_programs *p, enum bench_ceiling_id id, double *ns)
{
    struct heed_vk_device *device = vk_device(p);
    const struct vk_programs *own = p->own;
    struct pass pass = {p, id};
    heed_mutex_lock(&device->mutex);
    uint64_t start = bench_now_ns();
    enum heed_status status = heed_vk_submit_wait(device, record, &pass);
    *ns = (double)(bench_now_ns() - start);
    heed_mutex_unlock(&device->mutex);
    if (!status && own->queries) {
        uint64_t ticks[2];
        status = heed_vk_check(device,
                               device->vk.GetQueryPoolResults(device->device, own->queries, 0, 2, sizeof ticks, ticks,
                                                              sizeof *ticks, VK_QUERY_RESULT_64_BIT),
                               "vkGetQueryPoolResults");
        const uint32_t bits = device->physical.timestamp_bits;
        const uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        if (!status)
            *ns = (double)((ticks[1] - ticks[0]) & mask) * device->physical.timestamp_period_ns;
    }
    return status;
}

static enum heed_status create_loops(struct ceiling_programs *p)
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
    const struct heed_device_info *info = &p->device->info;
    struct vk_programs *own = p->own;
    const uint32_t group_size = info->limits.max_group_size < 64 ? info->limits.max_group_size : 64;
    const bool cpu = info->type == HEED_DEVICE_CPU;
    const uint32_t values[] = {group_size, cpu};
    const uint64_t group_bytes = UINT64_C(16) * VECTORS_EACH * group_size;
    enum heed_status status = bench_ceiling_buffers(p, group_bytes);
    for (uint32_t i = 0; i < 3 && !status; i++) {
        enum bench_ceiling_id id = codes[i].id;
        status = create_pipeline(vk_device(p), codes[i].words, codes[i].bytes, values, 2, false, &own->pipeline[id]);
        p->groups[id] = (uint32_t)(p->bytes / group_bytes);
        p->steps[id] = 1;
    }
    p->work[BENCH_COPY] = 2.0 * (double)p->bytes;
    p->work[BENCH_READ] = (double)p->bytes * (1.0 + 1.0 / VECTORS_EACH);
    if (p->groups[BENCH_FMA] > (cpu ? 256u : 4096u))
        p->groups[BENCH_FMA] = cpu ? 256 : 4096;
    p->work[BENCH_FMA] = 2.0 * FMA_OF_A_STEP * group_size * p->groups[BENCH_FMA];
    return status;
}

#ifdef HEED_HAVE_CEILING_MATRIX
static enum heed_status create_matrix(struct ceiling_programs *p)
{
    const struct heed_device_info *info = &p->device->info;
    struct vk_programs *own = p->own;
    for (uint32_t i = 0; i < info->matrix_shape_count; i++) {
        const struct heed_matrix_shape *s = &info->matrix_shapes[i];
        const uint32_t values[] = {info->limits.subgroup_size_max, s->m, s->n, s->k};
        uint64_t fitting = p->bytes / (UINT64_C(4) * SUMS * s->m * s->n);
        if (s->input != HEED_F16)
            continue;
        p->groups[BENCH_MATRIX] = fitting < p->groups[BENCH_FMA] ? (uint32_t)fitting : p->groups[BENCH_FMA];
        p->work[BENCH_MATRIX] = 2.0 * PRODUCTS_OF_A_STEP * s->m * s->n * s->k * p->groups[BENCH_MATRIX];
        enum heed_status status = create_pipeline(vk_device(p), ceiling_matrix, sizeof ceiling_matrix, values, 4, true,
                                                  &own->pipeline[BENCH_MATRIX]);
        return status ? status : bench_ceiling_calibrate(p, BENCH_MATRIX);
    }
    return HEED_OK;
}
#else
static enum heed_status create_matrix(struct ceiling_programs *p)
{
    (void)p;
    return HEED_OK;
}
#endif

static enum heed_status create(struct ceiling_programs *p)
{
    struct vk_programs *own = p->own = calloc(1, sizeof *own);
    if (!own)
        return HEED_ERR_HOST_MEMORY;
    struct heed_vk_device *device = vk_device(p);
    enum heed_status status = create_loops(p);
    if (!status)
        status = create_set(p);
    if (!status && p->device->info.has_timestamps) {
        const VkQueryPoolCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
        VkQueryPool queries;
        status = heed_vk_check(device, device->vk.CreateQueryPool(device->device, &info, NULL, &queries),
                               "vkCreateQueryPool");
        if (!status)
            own->queries = queries;
    }
    if (!status)
        status = bench_ceiling_calibrate(p, BENCH_FMA);
    return status ? status : create_matrix(p);
}

static void destroy(struct ceiling_programs *p)
{
    struct heed_vk_device *device = vk_device(p);
    const struct heed_vk_functions *vk = &device->vk;
    struct vk_programs *own = p->own;
    if (!own)
        return;
    for (uint32_t i = 0; i < BENCH_CEILINGS; i++)
        if (own->pipeline[i])
            vk->DestroyPipeline(device->device, own->pipeline[i], NULL);
    if (own->pool)
        vk->DestroyDescriptorPool(device->device, own->pool, NULL);
    if (own->queries)
        vk->DestroyQueryPool(device->device, own->queries, NULL);
    free(own);
}

const struct ceiling_backend bench_ceiling_vk = {create, run_pass, destroy};
