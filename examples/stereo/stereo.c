/* SPDX-License-Identifier: MIT
 * Two views: the left photograph of a pair asks the right one "where are you in there?", and attention answers.
 *
 *   match    Cross-attention, one batch entry per row of pixels: left pixels are the queries, right pixels the keys,
 *            positions the values. The answer is an expected position, finer than a pixel; how far it is from the asker
 *            is the disparity, large for what is near. The entropy of the attention tells how many places looked alike.
 *   check    The right picture asks the left one. Only what both views agree on is trusted.
 *   vote     Self-attention: each pixel asks the trusted ones around it that look like it, along its row and then along
 *            its column, but not itself. Who is contradicted is trusted no longer.
 *   fill     Beside an edge there are pixels that only one camera saw. They take what the trusted pixels of their row
 *            say, by the same self-attention.
 *   rebuild  Deformable attention takes the disparities as offsets and fetches the right picture's pixels, from three
 *            sizes of it, to make the left picture again.
 *
 * Nothing is learned. Each of these is an op of heed; the host describes pixels (describe.c) and compares answers. */
#include "ask.h"
#include "describe.h"
#include "options.h"
#include "picture.h"
#include "show.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const picture_program = "stereo";

enum { LEVELS = 3, WIDTH_MAX = 1000, SIDE_MIN = 64 };

static const float match_scale = 100;   /* 1 / temperature: a correlation that is better by 0.01 weighs e times more */
static const float agree_within = 1;    /* pixels between a question and the answer to its answer */
static const float contradicted = 2;    /* pixels between a disparity and that of the pixels around */
static const float behind = 0.1f;       /* fill: what hides is behind, so a pixel of disparity less weighs e^0.1 more */
static const float not_trusted = -1000; /* log of the weight of an answer that is not trusted; finite: where no pixel is
                                           trusted, the others are better than nothing */
static const float sharpness = 4;       /* rebuild: log of how much more a trusted pixel takes from the finer level */

struct scene {
    struct picture left, right, truth; /* truth.data NULL: none */
    uint32_t width, height, max_disparity;
};

/* What one view says about where its pixels are in the other: x, and how unsure, in nats. */
struct answer {
    struct picture place, entropy;
};

/* ------------------------------------------------------------------------------------------------ the steps */

/* Every pixel of `from` asks the same row of `to`, from `left` pixels to its left to `right` pixels to its right. */
static bool match(struct asker *asker, const char *step, const struct picture *from, const struct picture *to,
                  uint32_t left, uint32_t right, struct answer *answer)
{
    uint32_t width = from->width, height = from->height;
    struct picture positions = {0};
    if (!picture_create(width, 1, 1, &positions) || !picture_create(width, height, 1, &answer->place) ||
        !picture_create(width, height, 1, &answer->entropy)) {
        picture_destroy(&positions);
        return false;
    }
    for (uint32_t x = 0; x < width; x++)
        positions.data[x] = (float)x;

    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = height;
    desc.heads_q = desc.heads_kv = 1;
    desc.len_q = desc.len_kv = width;
    desc.dim_qk = DESCRIPTOR_DIM;
    desc.dim_v = 1;
    desc.v.stride_row = 1;
    desc.v.stride_head = width;
    desc.v.stride_batch = 0; /* the same positions in every row */
    desc.scale = match_scale;
    desc.window = true;
    desc.window_left = (int32_t)left;
    desc.window_right = (int32_t)right;
    desc.entropy = true;
    heed_plan *plan;
    enum heed_status created = heed_plan_create_attention(asker->device, &desc, &plan);

    char shape[64];
    snprintf(shape, sizeof shape, "%u x (%u asking %u), dims %d|1", height, width, left + right + 1, DESCRIPTOR_DIM);
    const struct tensor tensors[] = {
        {"q", from->data},         {"k", to->data},
        {"v", positions.data},     {"o", answer->place.data},
        {"entropy", answer->entropy.data},
    };
    bool ok = ask(asker, step, shape, created, plan, tensors, 5);
    picture_destroy(&positions);
    return ok;
}

/* disparity = how far the answer is from the asker. confidence = 1 / (how many places looked alike), the exponential of
 * minus the entropy; 0 where the right picture, asked back, points elsewhere. */
static void check(const struct answer *ours, const struct answer *theirs, struct picture *disparity,
                  struct picture *confidence)
{
    for (uint32_t y = 0; y < disparity->height; y++) {
        for (uint32_t x = 0; x < disparity->width; x++) {
            float there = fminf(fmaxf(*picture_at(&ours->place, x, y), 0), (float)(disparity->width - 1));
            float back = *picture_at(&theirs->place, (uint32_t)(there + 0.5f), y);
            float clear = expf(-*picture_at(&ours->entropy, x, y));
            *picture_at(disparity, x, y) = (float)x - there;
            *picture_at(confidence, x, y) = fabsf(back - (float)x) <= agree_within ? clear : 0;
        }
    }
}

/* Whom a pixel asks. */
struct neighbours {
    const char *step;
    bool column;    /* else row */
    bool but_me;    /* all but itself */
    uint32_t reach; /* pixels to either side */
    float behind;   /* how much those that are further away are preferred */
};

/* Each pixel asks the trusted pixels of its row or column for their disparity: near ones of a similar colour count. */
static bool ask_neighbours(struct asker *asker, struct neighbours how, const struct picture *guide,
                           const struct picture *confidence, const struct picture *disparity, struct picture *answer)
{
    uint32_t width = disparity->width, height = disparity->height;
    uint32_t length = how.column ? height : width, lines = how.column ? width : height;
    struct picture bias = {0};
    uint8_t *others = malloc((size_t)length * length);
    bool ok = others != NULL && picture_create(length, lines, 1, &bias);
    for (uint32_t y = 0; ok && y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            const float *feature = picture_at(guide, x, y);
            float square = 0;
            for (int d = 0; d < GUIDE_DIM; d++)
                square += feature[d] * feature[d];
            *(how.column ? picture_at(&bias, y, x) : picture_at(&bias, x, y)) =
                (*picture_at(confidence, x, y) > 0 ? 0 : not_trusted) - square -
                how.behind * *picture_at(disparity, x, y);
        }
    }
    for (size_t i = 0; ok && i < (size_t)length * length; i++)
        others[i] = i % length != i / length;

    struct heed_attention_desc desc = HEED_ATTENTION_DESC_INIT;
    desc.batch = lines;
    desc.heads_q = desc.heads_kv = 1;
    desc.len_q = desc.len_kv = length;
    desc.dim_qk = GUIDE_DIM;
    desc.dim_v = 1;
    desc.scale = 2; /* see describe_guide */
    desc.window = true;
    desc.window_left = desc.window_right = (int32_t)how.reach;
    desc.key_bias = true;
    if (how.but_me) {
        desc.mask = HEED_MASK_BOOL;
        desc.mask_broadcast = HEED_BROADCAST_BATCH | HEED_BROADCAST_HEAD;
    }
    if (how.column) { /* the pictures stay as they are: from row to row of a batch entry is a row of pixels */
        uint64_t pixels = (uint64_t)width * height;
        desc.q.stride_batch = desc.k.stride_batch = GUIDE_DIM;
        desc.q.stride_row = desc.k.stride_row = (uint64_t)width * GUIDE_DIM;
        desc.q.stride_head = desc.k.stride_head = pixels * GUIDE_DIM;
        desc.v.stride_batch = desc.o.stride_batch = 1;
        desc.v.stride_row = desc.o.stride_row = width;
        desc.v.stride_head = desc.o.stride_head = pixels;
    }
    heed_plan *plan = NULL;
    enum heed_status created = HEED_ERR_HOST_MEMORY;
    if (ok)
        created = heed_plan_create_attention(asker->device, &desc, &plan);

    char shape[64];
    snprintf(shape, sizeof shape, "%u x (%u asking %u), dims %d|1", lines, length, 2 * how.reach + 1, GUIDE_DIM);
    const struct tensor tensors[] = {
        {"q", guide->data}, {"k", guide->data}, {"v", disparity->data},
        {"key_bias", bias.data}, {"o", answer->data}, {"mask", others},
    };
    ok = ok && ask(asker, how.step, shape, created, plan, tensors, how.but_me ? 6 : 5);
    picture_destroy(&bias);
    free(others);
    return ok;
}

/* Takes trust from the contradicted, then gives everyone who is not trusted the disparity of those around. */
static bool vote_and_fill(struct asker *asker, const struct picture *photo, struct picture *confidence,
                          struct picture *disparity)
{
    const struct neighbours in_row = {.step = "vote in rows", .but_me = true, .reach = 32};
    const struct neighbours in_column = {.step = "vote in columns", .column = true, .but_me = true, .reach = 32};
    const struct neighbours around = {.step = "fill in rows", .reach = 100, .behind = behind};
    size_t count = (size_t)photo->width * photo->height;
    struct picture guide = {0}, row = {0}, column = {0};
    bool ok = describe_guide(photo, &guide) && picture_create(photo->width, photo->height, 1, &row) &&
              picture_create(photo->width, photo->height, 1, &column) &&
              ask_neighbours(asker, in_row, &guide, confidence, disparity, &row) &&
              ask_neighbours(asker, in_column, &guide, confidence, disparity, &column);
    for (size_t i = 0; ok && i < count; i++)
        if (fabsf(row.data[i] - disparity->data[i]) > contradicted ||
            fabsf(column.data[i] - disparity->data[i]) > contradicted)
            confidence->data[i] = 0;
    ok = ok && ask_neighbours(asker, around, &guide, confidence, disparity, &row);
    for (size_t i = 0; ok && i < count; i++)
        if (!(confidence->data[i] > 0))
            disparity->data[i] = row.data[i];
    picture_destroy(&guide);
    picture_destroy(&row);
    picture_destroy(&column);
    return ok;
}

/* The right photograph in three sizes, one after another. */
static bool make_pyramid(const struct picture *photo, struct heed_deform_desc *desc, struct picture *pyramid)
{
    if (!picture_create(photo->width * photo->height * 2, 1, photo->channels, pyramid))
        return false;
    for (uint32_t level = 0; level < LEVELS; level++) {
        struct picture small;
        if (!picture_shrink(photo, photo->width >> level, photo->height >> level, &small))
            return false;
        memcpy(picture_at(pyramid, desc->len_value, 0), small.data,
               (size_t)small.width * small.height * small.channels * sizeof(float));
        desc->levels[level] = (struct heed_level){.height = small.height, .width = small.width, .points = 1};
        desc->len_value += small.width * small.height;
        picture_destroy(&small);
    }
    return true;
}

/* Each left pixel looks at the right picture where its disparity says, in three sizes: the sure ones in the finest, the
 * others as much in the coarse ones, where being a little wrong matters less. */
static bool rebuild(struct asker *asker, const struct scene *scene, const struct picture *disparity,
                    const struct picture *confidence, struct picture *rebuilt)
{
    uint32_t width = scene->width, height = scene->height, count = width * height;
    struct heed_deform_desc desc = HEED_DEFORM_DESC_INIT;
    struct picture pyramid = {0}, reference = {0}, offsets = {0}, logits = {0};
    bool ok = make_pyramid(&scene->right, &desc, &pyramid) && picture_create(width, height, 2, &reference) &&
              picture_create(width, height, 2 * LEVELS, &offsets) && picture_create(width, height, LEVELS, &logits) &&
              picture_create(width, height, scene->right.channels, rebuilt);
    for (uint32_t i = 0; ok && i < count; i++) {
        reference.data[2 * i] = ((float)(i % width) + 0.5f) / (float)width;
        reference.data[2 * i + 1] = ((float)(i / width) + 0.5f) / (float)height;
        for (uint32_t level = 0; level < LEVELS; level++) {
            offsets.data[2 * (LEVELS * i + level)] = -disparity->data[i] / (float)(1u << level);
            logits.data[LEVELS * i + level] = -sharpness * (float)level * confidence->data[i];
        }
    }

    desc.batch = desc.heads = 1;
    desc.dim = scene->right.channels;
    desc.len_q = count;
    desc.level_count = LEVELS;
    desc.input = HEED_DEFORM_OFFSETS;
    desc.padding = HEED_PADDING_BORDER;
    heed_plan *plan = NULL;
    enum heed_status created = HEED_ERR_HOST_MEMORY;
    if (ok)
        created = heed_plan_create_deform(asker->device, &desc, &plan);

    char shape[64];
    snprintf(shape, sizeof shape, "%u asking %d levels, dim %u", count, LEVELS, desc.dim);
    const struct tensor tensors[] = {
        {"value", pyramid.data}, {"reference", reference.data}, {"offsets", offsets.data},
        {"logits", logits.data}, {"o", rebuilt->data},
    };
    ok = ok && ask(asker, "rebuild", shape, created, plan, tensors, 5);
    picture_destroy(&pyramid);
    picture_destroy(&reference);
    picture_destroy(&offsets);
    picture_destroy(&logits);
    return ok;
}

/* ------------------------------------------------------------------------------------------------ in and out */

/* Replaces a picture by its half. */
static bool halve(struct picture *picture, bool numbers)
{
    struct picture half;
    if (!(numbers ? picture_halve_numbers(picture, &half)
                  : picture_shrink(picture, picture->width / 2, picture->height / 2, &half)))
        return false;
    picture_destroy(picture);
    *picture = half;
    return true;
}

static bool same_size(const char *name_a, const struct picture *a, const char *name_b, const struct picture *b)
{
    if (a->width == b->width && a->height == b->height)
        return true;
    fprintf(stderr, "stereo: %s has %u x %u pixels, %s %u x %u: they must be the same\n", name_a, a->width, a->height,
            name_b, b->width, b->height);
    return false;
}

/* Reads the pair, halves it at least once and until it is at most WIDTH_MAX wide, and cuts what does not fill a pixel
 * of the smallest level of the pyramid. */
static bool read_scene(const struct options *options, struct scene *scene)
{
    bool have_truth = options->truth != NULL;
    if (!picture_read(options->left, &scene->left) || !picture_read(options->right, &scene->right) ||
        !same_size(options->left, &scene->left, options->right, &scene->right) ||
        (have_truth && (!picture_read_numbers(options->truth, &scene->truth) ||
                        !same_size(options->left, &scene->left, options->truth, &scene->truth))))
        return false;
    if (scene->left.width < 2 * SIDE_MIN || scene->left.height < 2 * SIDE_MIN) {
        fprintf(stderr, "stereo: %u x %u pixels is less than %d x %d\n", scene->left.width, scene->left.height,
                2 * SIDE_MIN, 2 * SIDE_MIN);
        return false;
    }
    do {
        if (!halve(&scene->left, false) || !halve(&scene->right, false) || (have_truth && !halve(&scene->truth, true)))
            return false;
    } while (scene->left.width > WIDTH_MAX && scene->left.height >= 2 * SIDE_MIN);

    scene->width = scene->left.width >> (LEVELS - 1) << (LEVELS - 1);
    scene->height = scene->left.height >> (LEVELS - 1) << (LEVELS - 1);
    picture_crop(&scene->left, scene->width, scene->height);
    picture_crop(&scene->right, scene->width, scene->height);
    if (have_truth)
        picture_crop(&scene->truth, scene->width, scene->height);
    scene->max_disparity = options->max_disparity != 0 ? options->max_disparity : (scene->width + 5) / 6;
    if (scene->max_disparity >= scene->width) {
        fprintf(stderr, "stereo: a disparity of %u is not less than %u, the width of the halved pictures\n",
                scene->max_disparity, scene->width);
        return false;
    }
    return true;
}

/* Shares of the pixels with a truth (and, if asked, with confidence) whose disparity is off by at most 1, 2, 4. */
static void print_errors(const char *name, const struct picture *truth, const struct picture *disparity,
                         const struct picture *confidence)
{
    uint32_t known = 0, counted = 0, within[3] = {0};
    for (size_t i = 0; i < (size_t)truth->width * truth->height; i++) {
        if (!(truth->data[i] > 0))
            continue;
        known++;
        if (confidence != NULL && !(confidence->data[i] > 0))
            continue;
        counted++;
        for (int n = 0; n < 3; n++)
            within[n] += fabsf(disparity->data[i] - truth->data[i]) <= (float)(1 << n);
    }
    double percent = 100.0 / (counted > 0 ? counted : 1);
    printf("%-42s%8.1f %%%8.1f %%%8.1f %%%12.1f %%\n", name, percent * within[0], percent * within[1],
           percent * within[2], known > 0 ? 100.0 * counted / known : 0);
}

/* Before the work, so that it is not done for nothing. */
static bool make_folder(const char *folder)
{
    struct stat status;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "stereo: %s: %s\n", folder, strerror(errno));
        return false;
    }
    if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode))
        return true;
    fprintf(stderr, "stereo: %s is not a folder\n", folder);
    return false;
}

static bool write_to(const char *folder, const char *name, const struct picture *picture)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        fprintf(stderr, "stereo: %s is too long a name\n", folder);
        return false;
    }
    return picture_write(path, picture);
}

static bool write_pictures(const char *folder, const struct scene *scene, const struct picture *disparity,
                           const struct picture *confidence, const struct picture *rebuilt)
{
    struct picture heat = {0}, sure = {0}, row = {0};
    bool ok = show_heat(disparity, (float)scene->max_disparity, &heat) && show_heat(confidence, 1, &sure) &&
              show_row((const struct picture *[]){&scene->left, &heat, &sure, rebuilt}, 4, 200, &row) &&
              write_to(folder, "left.png", &scene->left) && write_to(folder, "disparity.png", &heat) &&
              write_to(folder, "confidence.png", &sure) && write_to(folder, "rebuilt.png", rebuilt) &&
              write_to(folder, "stereo.png", &row);
    if (ok) {
        show_preview(&scene->left, &heat);
        printf("\npictures in %s/: left, disparity (yellow = near), confidence, rebuilt; all in one: stereo\n", folder);
    }
    picture_destroy(&heat);
    picture_destroy(&sure);
    picture_destroy(&row);
    return ok;
}

/* ------------------------------------------------------------------------------------------------ all together */

static bool demo(const struct options *options, struct scene *scene, struct asker *asker)
{
    struct picture left = {0}, right = {0}, matched = {0}, disparity = {0}, confidence = {0}, rebuilt = {0};
    struct answer ours = {{0}, {0}}, theirs = {{0}, {0}};

    if (!read_scene(options, scene) || !make_folder(options->out))
        return false;
    printf("pair     %s, %s: %u x %u pixels after halving, disparities up to %u\n", options->left, options->right,
           scene->width, scene->height, scene->max_disparity);
    bool ok = asker_open(asker, options->backend, options->device) && describe_surroundings(&scene->left, &left) &&
              describe_surroundings(&scene->right, &right) &&
              picture_create(scene->width, scene->height, 1, &matched) &&
              picture_create(scene->width, scene->height, 1, &disparity) &&
              picture_create(scene->width, scene->height, 1, &confidence) &&
              match(asker, "match left in right", &left, &right, scene->max_disparity, 0, &ours) &&
              match(asker, "match right in left", &right, &left, 0, scene->max_disparity, &theirs);
    if (ok) {
        check(&ours, &theirs, &matched, &confidence);
        memcpy(disparity.data, matched.data, (size_t)scene->width * scene->height * sizeof(float));
        ok = vote_and_fill(asker, &scene->left, &confidence, &disparity) &&
             rebuild(asker, scene, &disparity, &confidence, &rebuilt);
    }
    if (ok) {
        printf("%-88s%6.0f ms\n", "all", 1e3 * asker->seconds);
        if (scene->truth.data != NULL) {
            printf("\n%-42s%10s%10s%10s%14s\n", "disparity against the truth, within", "1 px", "2 px", "4 px",
                   "of pixels");
            print_errors("matched", &scene->truth, &matched, NULL);
            print_errors("matched, trusted", &scene->truth, &matched, &confidence);
            print_errors("filled: the result", &scene->truth, &disparity, NULL);
        }
        printf("\nleft picture rebuilt from the right one: PSNR %.1f dB, on trusted pixels %.1f dB\n",
               picture_psnr(&scene->left, &rebuilt, NULL), picture_psnr(&scene->left, &rebuilt, confidence.data));
        ok = write_pictures(options->out, scene, &disparity, &confidence, &rebuilt);
    }
    struct picture *all[] = {&left,    &right,      &matched,      &disparity,    &confidence,
                             &rebuilt, &ours.place, &ours.entropy, &theirs.place, &theirs.entropy};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        picture_destroy(all[i]);
    return ok;
}

int main(int count, char **words)
{
    struct options options = options_parse(count, words);
    struct scene scene = {0};
    struct asker asker = {0};
    bool ok = demo(&options, &scene, &asker);
    asker_close(&asker);
    picture_destroy(&scene.left);
    picture_destroy(&scene.right);
    picture_destroy(&scene.truth);
    return ok ? 0 : 1;
}
