/* SPDX-License-Identifier: MIT
 * Options of deformable attention that need no file, put into a descriptor. */
#include "levels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INTERPOLATION_NEAREST_CHOICE = 3, MAX_SIZE = 65535 };

static bool apply_shapes(const char *text, struct heed_deform_desc *desc, struct fault *fault)
{
    char one[64];
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        int64_t size[3];
        uint32_t count;
        snprintf(one, sizeof one, "%.*s", (int)strcspn(at, ","), at);
        if (desc->level_count == HEED_MAX_LEVELS)
            return fault_usage(fault, "--shapes has more than %d levels", HEED_MAX_LEVELS);
        if (!options_numbers("shapes", one, 'x', 1, MAX_SIZE, size, 3, &count, fault))
            return false;
        if (count < 2 || (desc->level_count > 0 && count != desc->axes))
            return fault_usage(fault, "--shapes \"%s\": level \"%s\" is neither HxW nor DxHxW like the others", text,
                               one);
        desc->axes = count;
        desc->levels[desc->level_count++] = (struct heed_level){
            .depth = count == 3 ? (uint32_t)size[0] : 1,
            .height = (uint32_t)size[count - 2],
            .width = (uint32_t)size[count - 1],
        };
    }
    return true;
}

bool levels_apply(const struct levels *levels, uint32_t default_points, struct heed_deform_desc *desc,
                  struct fault *fault)
{
    if (!apply_shapes(levels->shapes, desc, fault))
        return false;
    int64_t points[HEED_MAX_LEVELS] = {default_points};
    uint32_t count = 1;
    if (levels->points &&
        !options_numbers("points", levels->points, ',', 1, HEED_MAX_POINTS, points, HEED_MAX_LEVELS, &count, fault))
        return false;
    if (count != 1 && count != desc->level_count)
        return fault_usage(fault, "--points has %" PRIu32 " numbers, but --shapes has %" PRIu32 " levels", count,
                           desc->level_count);
    if (!levels->points && default_points == 0)
        return fault_usage(fault, "--points is missing");
    for (uint32_t l = 0; l < desc->level_count; l++)
        desc->levels[l].points = (uint32_t)points[count == 1 ? 0 : l];
    desc->interpolation =
        levels->interpolation == INTERPOLATION_NEAREST_CHOICE ? HEED_INTERPOLATION_NEAREST : HEED_INTERPOLATION_LINEAR;
    desc->padding = (enum heed_padding)levels->padding;
    desc->align_corners = levels->align_corners;
    if (!isnan(levels->offset_scale)) {
        if (levels->offset_scale == 0.0f)
            return fault_usage(fault, "--offset-scale 0 would ignore the offsets");
        desc->offset_scale = levels->offset_scale;
    }
    return true;
}

uint32_t levels_points(const struct heed_deform_desc *desc)
{
    uint32_t points = 0;
    for (uint32_t l = 0; l < desc->level_count; l++)
        points += desc->levels[l].points;
    return points;
}
