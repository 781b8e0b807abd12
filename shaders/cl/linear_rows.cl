// SPDX-License-Identifier: MIT
#include "rows.clh"

HEED_KERNEL linear_rows(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    multiply_rows(HEED_ARGS_ONLY);
}
