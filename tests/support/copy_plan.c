/* SPDX-License-Identifier: MIT
 * The plan that copies, step by step. */
#include "copy_plan.h"

#include <stdlib.h>
#include <string.h>

#include "select.h"

uint32_t part_begin(uint32_t part)
{
    return part * part * WORDS / (PARTS * PARTS);
}

static void add_copy(heed_plan *plan, enum heed_arg_id from, enum heed_arg_id to, uint32_t part, uint32_t group)
{
    const uint32_t begin = part_begin(part), count = part_begin(part + 1) - begin;
    struct heed_step *step = heed_plan_add_step(plan);
    if (!step)
        abort();
    step->kernel = HEED_KERNEL_PACK;
    step->spec_count = 1;
    step->spec[0] = group;
    step->groups[0] = step->groups[1] = step->groups[2] = 1;
    const struct heed_pack_push push = {.count = count};
    step->push_words = sizeof push / 4;
    memcpy(step->push, &push, sizeof push);
    step->binding_count = 2;
    step->bindings[HEED_PACK_SRC] = (struct heed_step_binding){from, 4, 4 * begin, 4 * count};
    step->bindings[HEED_PACK_DST] = (struct heed_step_binding){to, 4, 4 * begin, 4 * count};
}

void plan_init(heed_plan *plan, heed_device *device)
{
    *plan = (heed_plan){.device = device, .op = HEED_OP_ATTENTION, .offset_alignment = 4};
    struct heed_args *args = &plan->problem.attention.args;
    heed_args_add(args, HEED_ARG_Q, HEED_I32, false, 4 * WORDS);
    heed_args_add(args, HEED_ARG_O, HEED_I32, true, 4 * WORDS);
    plan->args = args->arg;
    plan->arg_count = HEED_ARG_COUNT;
    heed_plan_add_scratch(plan, 4 * WORDS);
    for (uint32_t i = 0; i < PARTS; i++)
        add_copy(plan, HEED_ARG_Q, HEED_ARG_SCRATCH, i, 64);
    for (uint32_t i = 0; i < PARTS; i++)
        add_copy(plan, HEED_ARG_SCRATCH, HEED_ARG_O, i, 32);
    plan->steps[PARTS].barrier = true;
}

void plan_clear(heed_plan *plan)
{
    if (!plan->device)
        return;
    plan->device->ops->plan_release(plan);
    heed_plan_clear(plan);
    plan->device = NULL;
}

void fill(uint32_t *words, uint32_t count, uint32_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        words[i] = (i + seed) * 2654435761u;
}
