// SPDX-License-Identifier: MIT
// What a C++ app writes with heed's headers: handles and descriptors with their defaults.
#include <heed/heed.h>
#include <heed/heed_vulkan.h>

int main()
{
    heed_context *context = nullptr;
    if (heed_context_create(nullptr, &context) != HEED_OK)
        return 1;
    heed_attention_desc attention = HEED_ATTENTION_DESC_INIT;
    heed_deform_desc deform = HEED_DEFORM_DESC_INIT;
    const bool defaults = attention.struct_size == sizeof attention && attention.scale == HEED_SCALE_DEFAULT &&
                          deform.struct_size == sizeof deform;
    heed_context_destroy(&context);
    return defaults && context == nullptr ? 0 : 1;
}
