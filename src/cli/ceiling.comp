/* SPDX-License-Identifier: MIT
 * What a device can do at all: -DFMA fused multiply-adds in registers, -DCOPY and -DREAD large buffers. */
#version 460
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
/* An invocation moves a run of its own: on CPUs. On lavapipe 26.1, reading 18.4 against 13.3 GB/s side by side (a Xeon),
 * copying 6.4 against 3.2 with 8 lanes, 7.6 against 4.6 with 16 (an EPYC). GPUs want neighbours together. */
layout(constant_id = 1) const bool RUNS = false;
layout(binding = 0) restrict readonly buffer Source { vec4 source[]; };
layout(binding = 1) restrict writeonly buffer Target { vec4 target[]; };
layout(push_constant) uniform Push { uint unused[2], count; };

/* Vectors that an invocation moves, in flight at once: a loop of one at a time gives half of it on lavapipe. */
const uint EACH = 16;

void main()
{
    uint lane = gl_LocalInvocationIndex, group = gl_WorkGroupID.x, lanes = gl_WorkGroupSize.x;
#if defined(FMA)
    /* Twelve numbers, each of which becomes itself times its neighbour: registers suffice on every GPU and on AVX2, and
     * the latency of an FMA (4 cycles, two a cycle) is covered. Of twelve chains without neighbours, compilers put one
     * behind the other, and a processor sees too few of them at once: lavapipe 26.1 on a Zen 3, 8 lanes, 36 against 94
     * GFLOP/s (C: 200). By 32 steps, 8 lanes spend little on the loop: by 16 73, by 8 49. None leaves [0, 0.32]. */
    vec4 c = vec4(0.2 * source[0].x), a0 = 0.25 * source[1] + 1e-3 * float(lane), a1 = 0.9 * a0, a2 = 0.8 * a0;
    for (uint i = 0; i < count; i++) {
        [[unroll]] for (int j = 0; j < 32; j++) {
            vec4 first = a0;
            a0 = fma(a0, a1, c);
            a1 = fma(a1, a2, c);
            a2 = fma(a2, first.yzwx, c);
        }
    }
    target[group * lanes + lane] = a0 + a1 + a2;
#elif defined(COPY)
    uint first = group * lanes * EACH + (RUNS ? lane * EACH : lane);
    [[unroll]] for (uint i = 0; i < EACH; i++) {
        uint at = first + (RUNS ? i : i * lanes);
        target[at] = source[at];
    }
#else
    vec4 sum = vec4(0);
    uint first = group * lanes * EACH + (RUNS ? lane * EACH : lane);
    [[unroll]] for (uint i = 0; i < EACH; i++)
        sum += source[first + (RUNS ? i : i * lanes)];
    target[group * lanes + lane] = sum;
#endif
}
