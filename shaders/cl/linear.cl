// SPDX-License-Identifier: MIT
#include "plain.clh"

HEED_KERNEL linear(LINEAR_BINDINGS)
{
    const struct buffers buffers = LINEAR_BUFFERS;
    multiply_plain(HEED_ARGS_ONLY);
}
