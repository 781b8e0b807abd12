/* SPDX-License-Identifier: MIT
 * What a pixel says about itself, computed from the photograph alone: nothing here is learned. */
#ifndef DESCRIBE_H
#define DESCRIBE_H

#include "picture.h"

enum { DESCRIPTOR_DIM = 48, GUIDE_DIM = 5 };

/* Looks of the surroundings: two descriptors' dot product is a correlation between -1 and 1.
 *
 * 24 neighbours in a 5 x 5 grid of pixels and 24 in one three times as wide, so that 15 x 15 pixels count. The mean is
 * taken off and the length made 1, which leaves brightness and contrast of the two cameras out. Each neighbour weighs
 * as much as it resembles the pixel in colour (Yoon and Kweon, 2006): at the edge of a leaf only the leaf speaks, not
 * what happens to be behind it, which differs between the views. */
bool describe_surroundings(const struct picture *photo, struct picture *descriptors);

/* Which pixels belong together: smoothed colour, x and y, in units where a distance of 1 is "a little different".
 * Gaussian weights exp(-|a - b|^2) are softmax(2 a.b - |b|^2): the missing |a|^2 is the same for every key. */
bool describe_guide(const struct picture *photo, struct picture *guide);

#endif
