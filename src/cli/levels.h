/* SPDX-License-Identifier: MIT
 * Options of deformable attention that need no file: shared by `heed deform` and `heed explain deform`. */
#ifndef HEED_CLI_LEVELS_H
#define HEED_CLI_LEVELS_H

#include <math.h>

#include <heed/heed.h>

#include "options.h"

struct levels {
    const char *shapes, *points;
    int interpolation, padding, dtype; /* dtype -1: not given */
    bool align_corners;
    float offset_scale; /* NAN: not given */
};

#define LEVELS_INIT                                                                                                    \
    {                                                                                                                  \
        .dtype = -1, .offset_scale = NAN                                                                               \
    }

/* The choices follow enum heed_padding and heed_dtype; the linear ones are the same thing by 1, 2 and 3 axes. */
/* clang-format off */
#define LEVELS_OPTIONS(type, member) \
    {OPTION_REQUIRED, "shapes", "HxW,...", "of the levels, height x width or depth x height x width: 100x100,50x50", \
     offsetof(type, member.shapes)}, \
    {OPTION_TEXT, "points", "N,...", "sampling points, one number for all levels or one for each: 4,2", \
     offsetof(type, member.points)}, \
    {OPTION_CHOICE, "interpolation", "linear|bilinear|trilinear|nearest", \
     "default linear, which is what bilinear and trilinear are called with 2 and 3 axes", \
     offsetof(type, member.interpolation)}, \
    {OPTION_CHOICE, "padding", "zeros|border", "what lies outside a level; default zeros", \
     offsetof(type, member.padding)}, \
    {OPTION_FLAG, "align-corners", NULL, "0 and 1 are the centres of the outer pixels, not their outer edges", \
     offsetof(type, member.align_corners)}, \
    {OPTION_NUMBER, "offset-scale", "X", "boxes: offsets are in units of X box sizes / points; default 0.5", \
     offsetof(type, member.offset_scale)}, \
    {OPTION_CHOICE, "dtype", "f32|f16|bf16", \
     "of the values and the result on the device; default f32, or f16 when the values are f2", \
     offsetof(type, member.dtype)}
/* clang-format on */

/* Levels, points, interpolation, padding: everything but the views and the form of the input. Without --points every
 * level gets default_points; 0: they must be given. */
bool levels_apply(const struct levels *levels, uint32_t default_points, struct heed_deform_desc *desc,
                  struct fault *fault);
uint32_t levels_points(const struct heed_deform_desc *desc); /* of all levels together */

#endif
