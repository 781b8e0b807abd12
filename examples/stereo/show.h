/* SPDX-License-Identifier: MIT
 * For the eye: heat maps, one picture out of several, a preview in the terminal. */
#ifndef SHOW_H
#define SHOW_H

#include "picture.h"

/* One channel, 0..largest, as colours from dark blue to yellow (viridis: even steps of lightness, safe for the colour
 * blind). */
bool show_heat(const struct picture *numbers, float largest, struct picture *colours);
/* `count` colour pictures of one size side by side, each `width` wide. */
bool show_row(const struct picture *const *pictures, uint32_t count, uint32_t width, struct picture *row);
/* Two pictures side by side as coloured half blocks, if stdout is a terminal and NO_COLOR is not set. */
void show_preview(const struct picture *left, const struct picture *right);

#endif
