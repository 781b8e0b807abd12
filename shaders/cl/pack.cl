// SPDX-License-Identifier: MIT
// Copies words of a small tensor, and words of the push block, into a table.
#include "cl.clh"

HEED_KERNEL pack(HEED_PUSH(heed_pack_push), HEED_IN(src), HEED_OUT(dst))
{
    global const uint *from = HEED_AT(src, const uint);
    global uint *to = HEED_AT(dst, uint);
    // A stride loop, so that no tensor needs more groups than a device has.
    for (uint i = get_global_id(0); i < push.count; i += get_global_size(0))
        to[push.dst_word + i] = from[i];
    for (uint i = get_global_id(0); i < push.inline_count; i += get_global_size(0))
        to[i] = push.inline_words[i];
}
