// SPDX-License-Identifier: MIT
#define HEED_CONV
#include "plain.clh"

HEED_KERNEL conv(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    multiply_plain(HEED_ARGS_ONLY);
}
