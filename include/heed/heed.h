/* SPDX-License-Identifier: MIT
 *
 * heed: attention for every GPU.
 *
 *     O = softmax(scale * Q K^T + bias) V                                  attention (cross or self)
 *     O = sum over levels and points of weight * sample(value, location)   multi-scale deformable attention
 *
 * The flow is always the same:
 *
 *     context  ->  device  ->  descriptor  ->  plan  ->  run (heed submits)
 *                                                    ->  record (the app submits; heed_vulkan.h)
 *                                                    ->  enqueue (on the app's queue; heed_opencl.h)
 *
 * A descriptor is a struct of plain values. A plan is the descriptor checked, a kernel chosen and its pipelines
 * compiled; it holds no tensor and can be used any number of times.
 *
 * Words used everywhere, here, in the shaders and in the messages:
 *     q k v o        queries, keys, values, output
 *     batch, head    b, h: independent problems; heads_kv divides heads_q (MHA, GQA, MQA)
 *     row            i: a query (len_q of them); j: a key (len_kv of them)
 *     feature        d: dim_qk of them in q and k, dim_v of them in v and o
 *     stride         distance between neighbours of an axis, in ELEMENTS; features are always adjacent
 *     offset, bytes  always in BYTES;  times end in _ns
 *
 * Threads: every function may be called from any thread. Objects (context, device, plan, buffer) may be used from
 * several threads at once, except that an object must not be destroyed while another thread uses it.
 * There is no global state.
 *
 * Forked processes: a device must not be used in a child after fork(); calls on it return HEED_ERR_BACKEND.
 */
#ifndef HEED_HEED_H
#define HEED_HEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEED_VERSION_MAJOR 0
#define HEED_VERSION_MINOR 1
#define HEED_VERSION_PATCH 0

#if defined(_WIN32) && defined(HEED_BUILD)
#define HEED_API __declspec(dllexport)
#elif defined(_WIN32) && defined(HEED_SHARED)
#define HEED_API __declspec(dllimport)
#elif defined(__GNUC__)
#define HEED_API __attribute__((visibility("default")))
#else
#define HEED_API
#endif

/* The version of the library that runs, "0.1.0"; the macros above are those of this header. */
HEED_API const char *heed_version(void);

/* ------------------------------------------------------------------------------------------------ status */

enum heed_status {
    HEED_OK = 0,
    HEED_NOT_READY = 1,           /* heed_fence_wait: the time ran out first */
    HEED_ERR_ARGUMENT = -1,       /* the caller broke a rule written here; the log names the value and the rule */
    HEED_ERR_UNSUPPORTED = -2,    /* the problem is legal, but this device has no kernel for it; the log says why */
    HEED_ERR_HOST_MEMORY = -3,
    HEED_ERR_DEVICE_MEMORY = -4,
    HEED_ERR_DEVICE_LOST = -5,    /* sticky: every later call on the device returns it; destroy still works */
    HEED_ERR_BACKEND = -6,        /* the driver failed in a way it should not; the log has its code */
    HEED_ERR_NO_DEVICE = -7,      /* no device matches */
};

/* A short fixed text for a status, never NULL: "HEED_ERR_ARGUMENT". */
HEED_API const char *heed_status_name(enum heed_status status);

/* ------------------------------------------------------------------------------------------------ context */

typedef struct heed_context heed_context;

enum heed_log_level {
    HEED_LOG_NONE = 0,
    HEED_LOG_ERROR = 1, /* why a call failed: one line, value + rule + value */
    HEED_LOG_WARN = 2,
    HEED_LOG_INFO = 3,
    HEED_LOG_DEBUG = 4,
};

/* `text` has no newline and lives until the callback returns. Called from the thread that called heed. */
typedef void (*heed_log_fn)(void *user, enum heed_log_level level, const char *text);

/* Host memory. Both functions or none. */
struct heed_allocator {
    void *(*alloc)(void *user, size_t bytes); /* aligned for any type; NULL = out of memory */
    void (*free)(void *user, void *memory);   /* NULL is allowed */
    void *user;
};

/* Where compiled pipelines are kept between runs of the app, so that the second start is faster where the driver can
 * do that (software drivers cannot, or keep them by themselves). Both functions or none. A store by key, of one blob for
 * each GPU and driver; a file for each is enough
 * (examples/keep is a page of C that does it).
 *
 * `key` is of a-z, 0-9 and -, at most 47 of them, and lives until the function returns. heed calls `get` in
 * heed_device_create (and in heed_vk_import of an app without a VkPipelineCache): once with data NULL for the size, then
 * with memory for all of it. It calls `put` in heed_device_save_cache and heed_device_destroy, when there is something
 * new. Always from the thread that called heed; devices of several threads may call at the same time. The functions must
 * not call heed.
 *
 * A blob begins with heed's header: magic, heed's version, vendor, device, driver and its version, pipelineCacheUUID,
 * length, hash. One that differs in any of them is not used, with a warning, and the driver never sees it. The hash finds
 * damage, it is no signature: keep the store where only the user can write. */
struct heed_cache {
    size_t (*get)(void *user, const char *key, void *data, size_t capacity); /* bytes kept; 0 = nothing */
    void (*put)(void *user, const char *key, const void *data, size_t bytes); /* replaces what was kept */
    void *user;
};

struct heed_context_desc {
    size_t struct_size;             /* sizeof(struct heed_context_desc) */
    heed_log_fn log;                /* NULL: messages up to log_level go nowhere */
    void *log_user;
    enum heed_log_level log_level;  /* what reaches `log`; 0 = HEED_LOG_ERROR when `log` is set */
    struct heed_allocator allocator; /* zero: malloc and free */
    struct heed_cache cache;         /* zero: nothing is kept */
};

/* `desc` may be NULL: no log, malloc. HEED_ERR_ARGUMENT, HEED_ERR_HOST_MEMORY. */
HEED_API enum heed_status heed_context_create(const struct heed_context_desc *desc, heed_context **context);
/* Sets *context to NULL; NULL is allowed. Devices of the context must be gone. */
HEED_API void heed_context_destroy(heed_context **context);

/* ------------------------------------------------------------------------------------------------ device */

typedef struct heed_device heed_device;

enum heed_backend {
    HEED_BACKEND_AUTO = 0,      /* see heed_device_create */
    HEED_BACKEND_REFERENCE = 1, /* plain C in double precision; complete, always there, slow */
    HEED_BACKEND_VULKAN = 2,
    HEED_BACKEND_OPENCL = 3,    /* kernels are compiled by the driver when plans are made */
};

enum heed_device_type {
    HEED_DEVICE_OTHER = 0,
    HEED_DEVICE_INTEGRATED = 1,
    HEED_DEVICE_DISCRETE = 2,
    HEED_DEVICE_VIRTUAL = 3,
    HEED_DEVICE_CPU = 4, /* a software driver, or the reference */
};

/* What kernels and plans are chosen from. In heed_device_desc.limits each non-zero value LOWERS the device's own:
 * for tests, and for an app that wants to keep shared memory or time for itself. */
struct heed_limits {
    uint64_t max_storage_range;     /* bytes that one binding can span */
    uint32_t max_group_count;       /* work groups on each axis of a dispatch */
    uint32_t max_group_size;        /* invocations in a work group */
    uint32_t max_shared_bytes;      /* shared memory of a work group */
    uint32_t max_storage_buffers;   /* storage buffers of one kernel */
    uint32_t min_offset_alignment;  /* bytes; here a LARGER value is the stricter one */
    uint32_t subgroup_size_min, subgroup_size_max; /* in heed_device_desc: ignored. OpenCL: what runs in step, where a
                                                      vendor's extension tells; floats of a vector on a CPU; else 1 */
    uint64_t max_dispatch_ns;       /* what a dispatch may take, by a careful estimate from the device's type and
                                       size: longer work is split by batches, heads, rows and keys. The device's own:
                                       100 ms, because systems reset a GPU after 2 s; on the reference and on software
                                       drivers, which no watchdog looks at, UINT64_MAX (any value lowers it). Own mode
                                       submits 10 times as much at once; for imported devices see heed_vk_record_range */
    bool no_subgroups;              /* use no kernel with subgroup operations */
    bool no_matrix;                 /* use no matrix units: for drivers that get them wrong */
};

enum heed_dtype {
    HEED_F32 = 0,
    HEED_F16 = 1,  /* IEEE binary16 */
    HEED_BF16 = 2, /* the upper half of a binary32 */
    HEED_BOOL = 3, /* one byte: 0 = false, 1 = true */
    HEED_I32 = 4,
    HEED_Q8_0 = 5, /* weights of heed_linear only: ggml's blocks of 32 numbers, an f16 scale and 32 int8, 34 bytes */
};

/* A multiplication that the device's matrix units do, by one subgroup: m x k times k x n elements of type `input`,
 * added to m x n elements of f32. */
struct heed_matrix_shape {
    enum heed_dtype input; /* HEED_F16 or HEED_BF16 */
    uint32_t m, n, k;
};

enum { HEED_MAX_MATRIX_SHAPES = 16 };

struct heed_device_info {
    enum heed_backend backend;
    enum heed_device_type type;
    uint32_t index;             /* within its backend, as heed_device_list counts */
    uint32_t vendor_id;         /* PCI */
    uint32_t api_version;       /* Vulkan, OpenCL: VK_MAKE_API_VERSION form; 0 otherwise */
    uint32_t driver_id;         /* VkDriverId; OpenCL, which has no such number: one of heed's; 0 = unknown */
    uint32_t driver_version;    /* as the driver reports it; OpenCL: in VK_MAKE_API_VERSION form */
    uint8_t uuid[16];           /* OpenCL without cl_khr_device_uuid: a hash of the names of platform and device */
    char name[256];
    char driver[256];           /* name and version of the driver */
    struct heed_limits limits;  /* in force: the device's, lowered by the descriptor */
    uint32_t compute_units;     /* multiprocessors, compute units or cores, where the driver tells; 0 = unknown */
    bool has_subgroups;         /* subgroup arithmetic in full subgroups */
    bool has_subgroup_broadcast; /* has_subgroups, and all lanes can read any lane's value: Vulkan 1.2 */
    bool has_buffer_addresses;  /* buffers have addresses, on a device where they make a kernel faster */
    bool has_int64;             /* 64-bit integers in shaders, on a device where they make a kernel faster */
    bool has_timestamps;        /* heed_fence_get_device_ns works */
    bool has_pipeline_feedback; /* the driver tells which pipelines came out of a cache */
    bool has_matrix_reductions; /* rows of matrices are added up, and sums become factors, in registers */
    uint32_t matrix_shape_count; /* 0: no matrix units, or none that heed may use */
    struct heed_matrix_shape matrix_shapes[HEED_MAX_MATRIX_SHAPES];
};

struct heed_device_desc {
    size_t struct_size;        /* sizeof(struct heed_device_desc) */
    enum heed_backend backend;
    const char *select;        /* NULL: the best; "0": an index; a UUID in hex, dashes or not; else part of a name,
                                  letter case ignored */
    struct heed_limits limits; /* zero: the device's own */
};

/* What is there. Writes at most *count entries and sets *count to how many there are; `infos` may be NULL.
 * HEED_BACKEND_AUTO lists Vulkan's devices, then OpenCL's, then the reference. A GPU with drivers for both is there
 * twice. A machine without Vulkan or OpenCL has none of theirs: HEED_OK. */
HEED_API enum heed_status heed_device_list(heed_context *context, enum heed_backend backend,
                                           struct heed_device_info *infos, uint32_t *count);
/* Own mode: heed makes the instance or context, device and queue (the loader of Vulkan or OpenCL is opened at run time).
 * `desc` may be NULL. To use the app's own VkDevice or cl_context, see heed_vk_import and heed_cl_import.
 *
 * Of the devices that `select` matches the best is taken: discrete before integrated, virtual, other, CPU. Of two that are
 * equal in that the first listed is taken, so that HEED_BACKEND_AUTO takes a GPU through Vulkan where it has a driver for
 * it, through OpenCL only where Vulkan has no GPU as good, and a CPU through OpenCL only where Vulkan has no device at
 * all; the reference comes last. OpenCL's drivers are not looked at once Vulkan has a discrete or an integrated GPU.
 * HEED_ERR_NO_DEVICE names what was looked for. */
HEED_API enum heed_status heed_device_create(heed_context *context, const struct heed_device_desc *desc,
                                             heed_device **device);
/* Waits for what was run, then frees. Plans, buffers and fences of the device must be gone. */
HEED_API void heed_device_destroy(heed_device **device);
HEED_API void heed_device_get_info(const heed_device *device, struct heed_device_info *info);
/* Gives what was compiled to heed_cache.put now; heed_device_destroy does it as well. For apps that run for long, or end
 * without destroying. HEED_OK also when there is nothing new or no heed_cache. HEED_ERR_HOST_MEMORY,
 * HEED_ERR_DEVICE_LOST, HEED_ERR_BACKEND. */
HEED_API enum heed_status heed_device_save_cache(heed_device *device);

/* ------------------------------------------------------------------------------------------------ tensors */

/* Bytes of an element; 0 for an unknown type, and for q8_0, where only blocks have bytes. */
HEED_API size_t heed_dtype_size(enum heed_dtype dtype);
/* "f32", "f16", "bf16", "bool", "i32", "q8_0". */
HEED_API const char *heed_dtype_name(enum heed_dtype dtype);

/* How a tensor lies in its buffer. All strides zero: packed, in the order that the op names.
 * A single zero stride repeats the same data along that axis (inputs only). */
struct heed_view {
    enum heed_dtype dtype; /* HEED_F32, HEED_F16 or HEED_BF16 */
    uint64_t stride_batch, stride_head, stride_row;
};

/* An axis of a small tensor that has length 1 and is repeated. */
enum heed_broadcast {
    HEED_BROADCAST_NONE = 0,
    HEED_BROADCAST_BATCH = 1,
    HEED_BROADCAST_HEAD = 2,
    HEED_BROADCAST_ROW = 4,
};

/* ------------------------------------------------------------------------------------------------ attention */

/* For batch b, query head h, row i and key j, with hk = h / (heads_q / heads_kv):
 *
 *     s      = scale * dot(q[b,h,i,:], k[b,hk,j,:])
 *     bias   = mask[b,h,i,j] (additive) + key_bias[b,h,j] - alibi[h] * |i + diagonal - j|
 *              - strength[h] * |q_pos[b,i,:] - k_pos[b,j,:]|^exponent[h]
 *     t      = softcap * tanh(s / softcap) + bias                (HEED_SOFTCAP_BEFORE_BIAS: FlashAttention, Gemma)
 *            = softcap * tanh((s + bias) / softcap)              (HEED_SOFTCAP_AFTER_BIAS: ONNX Attention)
 *     p      = exp(t - m) / (sum over attended j of exp(t - m) + exp(sink[h] - m)),   m = max of all t and the sink
 *     o[b,h,i,:]     = sum over attended j of p * v[b,hk,j,:]
 *     lse[b,h,i]     = log of the sum of exp(t) over attended j (and exp of the sink), natural logarithm
 *     entropy[b,h,i] = -sum over attended j of p * log(p), nats
 *     weights[b,h,i,j] = p; 0 where j is not attended
 *
 * Sources: Vaswani et al. 2017; ALiBi, Press et al. 2022, with the distance as FlashAttention takes it; softcap, Gemma 2
 * and ONNX Attention; sinks, Xiao et al. 2024 as in gpt-oss; online softmax, Milakov and Gimelshein 2018.
 *
 * Key j is attended by row i when nothing rules it out: j < key length; boolean mask true; causal: j <= i + diagonal;
 * window: i + diagonal - left <= j <= i + diagonal + right; s + bias is not -inf. The diagonal is 0
 * (HEED_DIAGONAL_TOP_LEFT) or (keys of this batch) - (rows of this batch) (HEED_DIAGONAL_BOTTOM_RIGHT).
 *
 * Edge cases, the same on every backend:
 *   - a row that attends to nothing gives o = 0, weights 0, entropy 0 and lse -inf (with a sink: lse = the sink);
 *   - NaN or Inf in a key, value, mask or bias of a pair that is ruled out by length, mask, causality or window never
 *     reaches the output;
 *   - NaN in an attended pair reaches the outputs of its own row only; +Inf as a score makes its row NaN;
 *   - HEED_OP_AGGREGATE and the staged path skip a weight that is exactly zero, even when its value is NaN or Inf; on
 *     the fused path such a value may count if its pair is attended;
 *   - finite masks (-100, -1e9, the lowest f32) are added, not taken for "ruled out"; a mask stored as f16 cannot hold
 *     -1e9: it became -inf when it was stored;
 *   - len_q, len_kv, batch of 0 are legal: no rows, or rows that attend to nothing.
 *
 * Scores, maxima, sums and accumulators are f32 (f64 in the reference), whatever the stored types are. Forward
 * results are deterministic: the same plan on the same device gives the same bits. */

enum heed_op {
    HEED_OP_ATTENTION = 0,
    HEED_OP_SCORES = 1,    /* args q, k -> scores: s as above, no bias, no mask; 0 behind the keys of a packed
                              sequence. The three stages on their own: */
    HEED_OP_SOFTMAX = 2,   /* args scores, mask, ... -> weights: everything between s and p, and lse, entropy */
    HEED_OP_AGGREGATE = 3, /* args weights, v -> o */
    HEED_OP_DEFORM = 4,
    HEED_OP_PIPELINE = 5,  /* heed_pipeline.h */
};

enum heed_mask {
    HEED_MASK_NONE = 0,
    HEED_MASK_BOOL = 1, /* arg "mask", HEED_BOOL: 1 = may attend */
    HEED_MASK_ADD = 2,  /* arg "mask", HEED_F32 or HEED_F16: added to the scores */
};

enum heed_diagonal {
    HEED_DIAGONAL_BOTTOM_RIGHT = 0, /* the last row meets the last key: FlashAttention 2.1 and later, decoding */
    HEED_DIAGONAL_TOP_LEFT = 1,     /* the first row meets the first key: PyTorch is_causal, ONNX */
};

enum heed_softcap_order {
    HEED_SOFTCAP_BEFORE_BIAS = 0,
    HEED_SOFTCAP_AFTER_BIAS = 1,
};

enum heed_path {
    HEED_PATH_AUTO = 0,   /* fused, unless "weights" is asked for, which staged gives at no extra cost */
    HEED_PATH_FUSED = 1,  /* online softmax: no len_q x len_kv tensor in memory (but weights, if asked for) */
    HEED_PATH_STAGED = 2, /* scores, softmax, aggregate, with the matrix in scratch or in "weights" */
};

#define HEED_SCALE_DEFAULT (-1e38f) /* 1 / sqrt(dim_qk) */
#define HEED_WINDOW_NONE (-1)       /* no bound on that side */

/* Start from HEED_ATTENTION_DESC_INIT: a zeroed struct is refused because its struct_size is 0. Any field left alone
 * keeps its default. Tensors that a flag or kind switches on become arguments of the plan, by the name given here:
 *
 *   name           type, shape ("1 if broadcast")
 *   q              q.dtype   [batch][heads_q][len_q][dim_qk]
 *   k              k.dtype   [batch][heads_kv][len_kv][dim_qk]
 *   v              v.dtype   [batch][heads_kv][len_kv][dim_v]
 *   o              o.dtype   [batch][heads_q][len_q][dim_v]
 *   mask           [batch or 1][heads_q or 1][len_q or 1][len_kv]
 *   key_lengths    i32 [batch]: keys of each batch, clamped to 0..len_kv
 *   cu_seqlens_q   i32 [batch + 1]: with total_q > 0, the rows of batch b are cu[b] .. cu[b+1]-1 of total_q
 *   cu_seqlens_kv  i32 [batch + 1]: with total_kv > 0, the same for keys
 *   key_bias       f32 [batch or 1][heads_q or 1][len_kv]
 *   alibi          f32 [heads_q], slopes
 *   q_pos, k_pos   f32 [batch or 1][len_q][distance_dims], f32 [batch or 1][len_kv][distance_dims]
 *   distance       f32 [heads_q][2]: strength, exponent (> 0)
 *   sinks          f32 [heads_q]
 *   lse, entropy   f32 [batch][heads_q][len_q]
 *   weights        f32 [batch][heads_q][len_q][len_kv] (also "scores"), packed
 *   scratch        what heed_plan_info.scratch_bytes says; own mode brings its own
 *
 * Packed sequences (total_q, total_kv > 0): len_q and len_kv are the longest sequences; q, o are
 * [total_q][heads_q][dim], k, v are [total_kv][heads_kv][dim] unless strides say otherwise (stride_batch is unused);
 * lse, entropy are [heads_q][total_q], weights [heads_q][total_q][len_kv], key_bias [heads_q or 1][total_kv], q_pos
 * [total_q][dims], k_pos [total_kv][dims]; mask stays [batch][heads_q][len_q][len_kv], counted from each sequence's
 * start. Entries of cu_seqlens are clamped to the tensor; rows of no sequence are not written. */
struct heed_attention_desc {
    size_t struct_size;
    float scale;        /* any finite value; HEED_SCALE_DEFAULT = 1 / sqrt(dim_qk) */
    enum heed_op op;    /* HEED_OP_ATTENTION, or one of the three stages */

    uint32_t batch, heads_q, heads_kv;    /* heads 1..65535 */
    uint32_t len_q, len_kv;               /* batch, len_q, len_kv 0..2^31 - 1 */
    uint32_t dim_qk, dim_v;               /* 1..65535 */
    struct heed_view q, k, v, o; /* packed: [batch][head][row][feature] */

    float softcap;                        /* 0: none; else > 0 */
    enum heed_softcap_order softcap_order;

    enum heed_mask mask;
    enum heed_dtype mask_dtype;           /* of an additive mask; HEED_BOOL is implied by HEED_MASK_BOOL */
    uint32_t mask_broadcast;              /* heed_broadcast flags: BATCH, HEAD, ROW */
    uint64_t mask_stride_batch, mask_stride_head, mask_stride_row; /* all zero: packed over the axes not broadcast */

    bool causal;
    bool window;                          /* keys from row + diagonal - left to row + diagonal + right */
    int32_t window_left, window_right;    /* >= 0, or HEED_WINDOW_NONE */
    enum heed_diagonal diagonal;          /* for causal, window and ALiBi */

    bool key_lengths;
    uint32_t total_q, total_kv;           /* > 0: packed sequences */

    bool key_bias;
    uint32_t key_bias_broadcast;          /* heed_broadcast flags: BATCH, HEAD */
    bool alibi;
    uint32_t distance_dims;               /* > 0: q_pos, k_pos, distance; at most 16 */
    uint32_t q_pos_broadcast, k_pos_broadcast; /* heed_broadcast flags: BATCH */
    bool sinks;

    bool lse, weights, entropy;           /* outputs beside o */

    enum heed_path path;
    uint32_t offset_alignment;            /* bytes, a power of two: every argument's offset will be a multiple of it and
                                             of its element's size; 0 = 16, the best for speed */
    const char *kernel;                   /* NULL: the best; else exactly this kernel, or HEED_ERR_UNSUPPORTED with
                                             the reason. heed_explain_attention lists the names */
};

#ifdef __cplusplus
static inline heed_attention_desc heed_attention_desc_init()
{
    heed_attention_desc desc = {};
    desc.struct_size = sizeof desc;
    desc.scale = HEED_SCALE_DEFAULT;
    return desc;
}
#define HEED_ATTENTION_DESC_INIT heed_attention_desc_init()
#else
#define HEED_ATTENTION_DESC_INIT { .struct_size = sizeof(struct heed_attention_desc), .scale = HEED_SCALE_DEFAULT }
#endif

/* ------------------------------------------------------------------------------------------------ deformable */

/* Multi-scale deformable attention (Zhu et al. 2021, Deformable DETR), 2-D or 3-D.
 *
 *     o[b,q,h*dim + d] = sum over levels l, points p of w[b,q,h,l,p] * sample(value_l[b,:,h,d], x[b,q,h,l,p])
 *
 * Locations are in level units: 0 is the outer edge of the first pixel and 1 that of the last (align_corners false:
 * pixel = x * W - 0.5), or their centres (align_corners true: pixel = x * (W - 1)). Coordinates come as x, y (, z),
 * the reverse of a level's height, width order. Linear interpolation takes 4 (8) neighbours; nearest rounds half to
 * even. Outside the level a neighbour counts as zero (HEED_PADDING_ZEROS: its weight is not given to the others) or
 * the coordinate is first moved to the edge (HEED_PADDING_BORDER). A NaN location contributes nothing; an infinite or
 * far one is simply outside. This equals PyTorch's grid_sample at 2 x - 1. A neighbour whose weight is zero in f32
 * contributes nothing, even where the value is NaN or infinite.
 *
 * Locations, weights and accumulation are f32 always. */

enum heed_interpolation {
    HEED_INTERPOLATION_LINEAR = 0,
    HEED_INTERPOLATION_NEAREST = 1,
};

enum heed_padding {
    HEED_PADDING_ZEROS = 0,
    HEED_PADDING_BORDER = 1,
};

enum heed_deform_input {
    HEED_DEFORM_LOCATIONS = 0, /* args locations, weights: as they are; unweighted: locations, every weight 1 */
    HEED_DEFORM_OFFSETS = 1,   /* args reference, offsets, logits:
                                    weights  = softmax of the logits over all levels and points of a (query, head);
                                               -inf is weight 0, also where all are; +inf or NaN: the outputs are NaN
                                    location = reference + offset / level size                  (points: x, y (, z))
                                    location = reference centre + offset / points of the level
                                               * reference size * offset_scale      (boxes: centre and size, cx, cy, w, h) */
};

enum { HEED_MAX_LEVELS = 16, HEED_MAX_POINTS = 64 };

/* One level of the value tensor: depth x height x width pixels, x fastest. */
struct heed_level {
    uint32_t depth, height, width; /* 1..65535; depth 0 or 1 in 2-D */
    uint32_t points;               /* sampling points on this level, 1..HEED_MAX_POINTS */
    uint64_t start;                /* first row of the level in value; see heed_deform_desc.explicit_starts */
};

/* Arguments, with P = the points of all levels together and n = 2 or 3:
 *
 *   value       value.dtype [batch][len_value][heads][dim]
 *   locations   f32 [batch][len_q][heads][P][n]      (HEED_DEFORM_LOCATIONS)
 *   weights     f32 [batch][len_q][heads][P]         (not where unweighted)
 *   reference   f32 [batch][len_q][levels or 1][n, or 2 n for boxes]      (HEED_DEFORM_OFFSETS)
 *   offsets     f32 [batch][len_q][heads][P][n]
 *   logits      f32 [batch][len_q][heads][P]
 *   o           o.dtype [batch][len_q][heads][dim] */
struct heed_deform_desc {
    size_t struct_size;
    uint32_t batch, len_q;         /* 0..2^31 - 1 */
    uint32_t heads, dim;           /* 1..65535 */
    uint32_t len_value;            /* 1..2^31 - 1 */
    uint32_t axes;                 /* 2 or 3; 0 = 2 */
    uint32_t level_count;          /* 1..HEED_MAX_LEVELS */
    struct heed_level levels[HEED_MAX_LEVELS];
    bool explicit_starts;          /* false: levels follow one another and must fill len_value exactly;
                                      true: levels[].start counts; levels must lie inside len_value and not overlap */
    struct heed_view value, o;     /* packed: [batch][row][head][feature] */

    enum heed_deform_input input;
    bool reference_boxes;
    bool reference_per_level;      /* reference has an axis of level_count, else one entry serves all levels */
    float offset_scale;            /* boxes only, finite; 0 = 0.5 */

    enum heed_interpolation interpolation;
    enum heed_padding padding;
    bool align_corners;
    bool unweighted;               /* HEED_DEFORM_LOCATIONS only: with one point, samples alone, as grid_sample */

    uint32_t offset_alignment;     /* as in heed_attention_desc */
    const char *kernel;
};

#ifdef __cplusplus
static inline heed_deform_desc heed_deform_desc_init()
{
    heed_deform_desc desc = {};
    desc.struct_size = sizeof desc;
    return desc;
}
#define HEED_DEFORM_DESC_INIT heed_deform_desc_init()
#else
#define HEED_DEFORM_DESC_INIT { .struct_size = sizeof(struct heed_deform_desc) }
#endif

/* ------------------------------------------------------------------------------------------------ plan */

typedef struct heed_plan heed_plan;

/* Check the descriptor, choose a kernel, compile its pipelines. Nothing is allocated on the device, nothing submitted.
 * HEED_ERR_ARGUMENT: the descriptor breaks a rule; HEED_ERR_UNSUPPORTED: no kernel of this device can;
 * either way the log says which value and which rule. *plan is NULL on failure. */
HEED_API enum heed_status heed_plan_create_attention(heed_device *device, const struct heed_attention_desc *desc,
                                                     heed_plan **plan);
HEED_API enum heed_status heed_plan_create_deform(heed_device *device, const struct heed_deform_desc *desc,
                                                  heed_plan **plan);
/* What was run or recorded with the plan must have finished. */
HEED_API void heed_plan_destroy(heed_plan **plan);

struct heed_plan_info {
    const char *kernel;         /* lives as long as the plan */
    uint64_t scratch_bytes;     /* 0: none needed. Contents need not survive between uses */
    uint64_t scratch_alignment; /* of the scratch argument's offset */
    uint64_t flops;             /* useful multiplications and additions, of the dense problem */
    uint64_t bytes;             /* of all arguments once: what must move at least */
    uint32_t dispatches;
    uint32_t args;              /* see heed_plan_get_arg */
    uint64_t compile_ns;        /* what making the pipelines took. lavapipe compiles them when they run first */
    uint32_t pipelines;         /* that the dispatches use */
    uint32_t pipelines_shared;  /* of them, those that an earlier plan of the device had made */
    uint32_t pipelines_cached;  /* of them, those that the driver took out of a pipeline cache, as far as it tells */
    uint64_t longest_dispatch_ns; /* of one dispatch, as estimated for max_dispatch_ns; above it only where the work
                                     cannot be cut further: a block of rows of one head in the staged path, one query of
                                     one head in deformable attention; a warning says so. 0 on the reference */
    uint64_t scratch_sum;       /* of a pipeline: what scratch_bytes would be if no two values shared a place */
    uint32_t barriers;          /* between the dispatches */
};
HEED_API void heed_plan_get_info(const heed_plan *plan, struct heed_plan_info *info);

struct heed_arg_info {
    const char *name;      /* "q" */
    enum heed_dtype dtype;
    bool output;
    uint64_t bytes;        /* the buffer must reach this far from the argument's offset, rounded up to 4 */
};
/* index < heed_plan_info.args; HEED_ERR_ARGUMENT otherwise. */
HEED_API enum heed_status heed_plan_get_arg(const heed_plan *plan, uint32_t index, struct heed_arg_info *info);

/* How heed would do it, as text for people: each kernel in the order of preference with yes or the reason why not, then
 * the chosen plan dispatch by dispatch. Writes at most `capacity` bytes with the final 0 and sets *length to what it
 * takes (without the 0). Works, and returns HEED_OK, also where no kernel fits. On OpenCL the plan's kernels are compiled:
 * it takes the driver's compiler to know whether they fit. */
HEED_API enum heed_status heed_explain_attention(heed_device *device, const struct heed_attention_desc *desc, char *text,
                                                 size_t capacity, size_t *length);
HEED_API enum heed_status heed_explain_deform(heed_device *device, const struct heed_deform_desc *desc, char *text,
                                              size_t capacity, size_t *length);

/* ------------------------------------------------------------------------------------------------ own mode: run */

typedef struct heed_buffer heed_buffer;
typedef struct heed_fence heed_fence;

/* Device memory, zeroed. bytes > 0. HEED_ERR_DEVICE_MEMORY. Not for imported devices: the app has its own memory. */
HEED_API enum heed_status heed_buffer_create(heed_device *device, uint64_t bytes, heed_buffer **buffer);
HEED_API void heed_buffer_destroy(heed_buffer **buffer);
/* Copies between host and device memory; waits for the runs that were submitted before. */
HEED_API enum heed_status heed_buffer_write(heed_buffer *buffer, uint64_t offset, const void *data, uint64_t bytes);
HEED_API enum heed_status heed_buffer_read(heed_buffer *buffer, uint64_t offset, void *data, uint64_t bytes);

/* A tensor for a plan's argument of that name; the tensor starts at `offset` bytes. */
struct heed_arg {
    const char *name;
    heed_buffer *buffer;
    uint64_t offset;
};

/* Runs the plan. Every argument of the plan must be there, once; outputs must not overlap anything ("scores" and
 * "weights" of HEED_OP_SOFTMAX may be the same tensor). Runs of one device happen one after another.
 * `fence` NULL: returns when it is done; else returns at once and *fence is the caller's to wait for and destroy;
 * arguments and plan must live until then. */
HEED_API enum heed_status heed_run(heed_plan *plan, const struct heed_arg *args, uint32_t arg_count, heed_fence **fence);

/* Where the time of a run goes. */
struct heed_op_time {
    const char *op;     /* "linear", "attend", ... as heed_explain_plan says; of a plan of one op its name */
    const char *kernel; /* that was chosen for it, "" where nothing is to do; lives as long as the plan */
    uint64_t ns;        /* from when the ops before it were done until it was done too; on OpenCL: of its kernels */
};
/* Runs the plan like heed_run without a fence, and measures its ops, in the order in which they run: by timestamps of
 * the device between them, on OpenCL by the events of their kernels, or on the reference by the host's clock. The times
 * add up to the device's time of the run; what runs side by side with the op before it is only told the rest. Fills at
 * most `capacity` entries, and sets *count to how many there are: one of a plan of one op, of a pipeline one for each op
 * that is no view; capacity 0 runs nothing. Drivers that compile late (lavapipe) do so in the first run: run once before.
 * HEED_ERR_UNSUPPORTED: an imported device, a device without timestamps. */
HEED_API enum heed_status heed_profile(heed_plan *plan, const struct heed_arg *args, uint32_t arg_count,
                                       struct heed_op_time *times, uint32_t capacity, uint32_t *count);

/* HEED_OK when done, HEED_NOT_READY when timeout_ns passed first (0 = just look, UINT64_MAX = no limit),
 * HEED_ERR_DEVICE_LOST. */
HEED_API enum heed_status heed_fence_wait(heed_fence *fence, uint64_t timeout_ns);
/* Time between start and end of a finished run on the device's own clock.
 * HEED_ERR_UNSUPPORTED without timestamps, HEED_NOT_READY before the end. */
HEED_API enum heed_status heed_fence_get_device_ns(heed_fence *fence, uint64_t *ns);
/* Waits first. */
HEED_API void heed_fence_destroy(heed_fence **fence);

#ifdef __cplusplus
}
#endif
#endif
