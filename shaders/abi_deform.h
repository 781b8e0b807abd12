/* SPDX-License-Identifier: MIT
 * The deformable kernel's part of abi.h. */
#ifndef HEED_ABI_DEFORM_H
#define HEED_ABI_DEFORM_H
#endif
