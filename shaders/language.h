/* SPDX-License-Identifier: MIT
 * What differs between GLSL and OpenCL C in headers that are written for both.
 *
 * GLSL has the push block and the bindings as globals. In OpenCL C functions are given them: those that need them are
 * declared  f(HEED_PARAMS uint i)  or  f(HEED_PARAMS_ONLY), and called  f(HEED_ARGS i)  or  f(HEED_ARGS_ONLY). */
#ifndef HEED_LANGUAGE_H
#define HEED_LANGUAGE_H

#ifdef VULKAN
#define HEED_BITS(x) floatBitsToUint(x)
#define HEED_FLOAT(x) uintBitsToFloat(x)
#define HEED_CAST(type, x) type(x)
#define HEED_VEC(type) type
#define HEED_INT(x) int(x)
#define HEED_UINT(x) uint(x)
#define HEED_STRUCT(name)
#define HEED_ABS(x) abs(x)
#define HEED_ROUND_EVEN(x) roundEven(x) /* some of lavapipe's round halves otherwise: see nearest() in deform.h */
#define HEED_PARAMS
#define HEED_PARAMS_ONLY
#define HEED_ARGS
#define HEED_ARGS_ONLY
#define HEED_GROUPS_Y gl_NumWorkGroups.y
#else
#define HEED_BITS(x) as_uint(x)
#define HEED_FLOAT(x) as_float(x)
#define HEED_CAST(type, x) ((type)(x))
#define HEED_VEC(type) (type)
#define vec2 float2
#define vec3 float3
#define uvec2 uint2
#define uvec3 uint3
#define HEED_INT(x) ((int)(x))
#define HEED_UINT(x) ((uint)(x))
#define HEED_STRUCT(name) typedef struct name name; /* before the struct */
#define HEED_ABS(x) fabs(x)
#define HEED_ROUND_EVEN(x) rint(x)
#define HEED_PARAMS const HEED_PUSH_BLOCK push, const struct buffers buffers,
#define HEED_PARAMS_ONLY const HEED_PUSH_BLOCK push, const struct buffers buffers
#define HEED_ARGS push, buffers,
#define HEED_ARGS_ONLY push, buffers
#define HEED_GROUPS_Y (uint)get_num_groups(1)
#endif

#define flag(bit) ((FLAGS & (bit)) != 0u)

#endif
