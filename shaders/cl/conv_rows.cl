// SPDX-License-Identifier: MIT
#define HEED_CONV
#include "rows.clh"

HEED_KERNEL conv_rows(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    multiply_rows(HEED_ARGS_ONLY);
}
