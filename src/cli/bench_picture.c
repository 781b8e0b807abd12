/* SPDX-License-Identifier: MIT
 * Benchmark results as a picture: the roofline of the device (Williams et al. 2009) with a point for each row. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { WIDTH = 1080, HEIGHT = 720, LEFT = 70, RIGHT = 30, TOP = 76, BOTTOM = 60, FONT = 12, ROOF_BOXES = 48 };

struct box {
    double x0, y0, x1, y1;
};

struct axes {
    double x_low, x_high, y_low, y_high; /* log10 */
};

static double to_x(const struct axes *a, double value)
{
    return LEFT + (log10(value) - a->x_low) / (a->x_high - a->x_low) * (WIDTH - LEFT - RIGHT);
}

static double to_y(const struct axes *a, double value)
{
    return HEIGHT - BOTTOM - (log10(value) - a->y_low) / (a->y_high - a->y_low) * (HEIGHT - TOP - BOTTOM);
}

static double intensity(const struct bench_row *row)
{
    return (double)row->flops / (double)(row->input_bytes + row->output_bytes);
}

static double gflops(const struct bench_row *row)
{
    return (double)row->flops / bench_row_time(row)->median;
}

static bool has_point(const struct bench_row *row)
{
    return !row->dropped && !row->skipped[0] && row->flops > 0;
}

/* The next of 1, 2, 5, 10, ... below or above, as log10. */
static double rounded(double value, bool up)
{
    static const double steps[] = {1, 2, 5, 10};
    double decade = pow(10, floor(log10(value))), found = up ? 10 : 1;
    for (int i = 0; i < 4; i++) {
        if (up ? steps[3 - i] * decade >= value : steps[i] * decade <= value)
            found = up ? steps[3 - i] : steps[i];
    }
    return log10(found * decade);
}

/* Round numbers around every point and the ridge of the roof. */
static struct axes find_axes(const struct bench_result *result)
{
    const struct bench_ceilings *c = &result->ceilings;
    double x0 = 1e30, x1 = 0, y0 = 1e30, y1 = 0;
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        if (!has_point(row))
            continue;
        x0 = fmin(x0, intensity(row)), x1 = fmax(x1, intensity(row));
        y0 = fmin(y0, gflops(row)), y1 = fmax(y1, gflops(row));
    }
    if (c->known) {
        double ridge = c->rate[BENCH_FMA].median / c->rate[BENCH_READ].median;
        x0 = fmin(x0, ridge), x1 = fmax(x1, ridge);
        y1 = fmax(y1, fmax(c->rate[BENCH_FMA].median, c->rate[BENCH_MATRIX].median));
    }
    return (struct axes){rounded(x0 / 1.5, false), rounded(x1 * 2, true), rounded(y0 / 1.5, false),
                         rounded(y1 * 1.5, true)};
}

static void write_text(FILE *out, const char *text)
{
    for (const char *c = text; *c; c++)
        switch (*c) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        default:
            putc((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c, out);
        }
}

static bool on_axis(double value, double low, double high)
{
    return log10(value) > low - 1e-9 && log10(value) < high + 1e-9;
}

static void write_grid(FILE *out, const struct axes *a)
{
    for (int decade = -9; decade <= 9; decade++) {
        for (int i = 1; i < 10; i++) {
            double value = i * pow(10, decade), x = to_x(a, value), y = to_y(a, value);
            bool numbered = i == 1 || i == 2 || i == 5;
            if (on_axis(value, a->x_low, a->x_high)) {
                fprintf(out, "<path class=\"%s\" d=\"M%.1f %dV%d\"/>\n", i == 1 ? "decade" : "grid", x, TOP,
                        HEIGHT - BOTTOM);
                if (numbered)
                    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n", x,
                            HEIGHT - BOTTOM + 18, value);
            }
            if (on_axis(value, a->y_low, a->y_high)) {
                fprintf(out, "<path class=\"%s\" d=\"M%d %.1fH%d\"/>\n", i == 1 ? "decade" : "grid", LEFT, y,
                        WIDTH - RIGHT);
                if (numbered)
                    fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, y + 4, value);
            }
        }
    }
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">operations per byte that must move (FLOP/B)</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
    fprintf(out, "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2);
}

/* min(FMA, read bandwidth * intensity), with what is written on it; labels keep away from both. */
static void write_roof(FILE *out, const struct axes *a, const struct bench_ceilings *c, struct box *boxes,
                       uint32_t *box_count)
{
    double fma = c->rate[BENCH_FMA].median, read = c->rate[BENCH_READ].median, ridge = fma / read;
    double first = fmax(pow(10, a->x_low), pow(10, a->y_low) / read);
    fprintf(out, "<path class=\"roof\" d=\"M%.1f %.1fL%.1f %.1fH%d\"/>\n", to_x(a, first), to_y(a, first * read),
            to_x(a, ridge), to_y(a, fma), WIDTH - RIGHT);
    double x = WIDTH - RIGHT - 6, y = to_y(a, fma) - 7;
    fprintf(out, "<text class=\"on-roof\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">FMA loop %.1f GFLOP/s</text>\n", x,
            y, fma);
    boxes[(*box_count)++] = (struct box){x - 170, y - FONT, x, y + 10};
    double matrix = c->rate[BENCH_MATRIX].median;
    if (matrix > fma) {
        fprintf(out, "<path class=\"roof matrix\" d=\"M%.1f %.1fL%.1f %.1fH%d\"/>\n", to_x(a, ridge), to_y(a, fma),
                to_x(a, matrix / read), to_y(a, matrix), WIDTH - RIGHT);
        fprintf(out,
                "<text class=\"on-roof\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">matrix units, f16 in f32 out, %.1f "
                "GFLOP/s</text>\n",
                x, to_y(a, matrix) - 7, matrix);
        boxes[(*box_count)++] = (struct box){x - 320, to_y(a, matrix) - 7 - FONT, x, to_y(a, matrix) + 3};
    }
    for (int i = 0; i < ROOF_BOXES; i++) {
        double at = first * pow(ridge / first, (i + 0.5) / ROOF_BOXES), bx = to_x(a, at), by = to_y(a, at * read);
        /* Above it there is text. */
        boxes[(*box_count)++] = (struct box){bx - 8, by - (i < ROOF_BOXES / 2 ? 22 : 6), bx + 8, by + 6};
    }
    double slope = atan2(to_y(a, 1) - to_y(a, 10), to_x(a, 10) - to_x(a, 1)) * 180 / 3.14159265358979323846;
    double place = first * pow(ridge / first, 0.25);
    fprintf(out,
            "<text class=\"on-roof\" transform=\"translate(%.1f %.1f) rotate(%.1f)\" text-anchor=\"middle\" "
            "dy=\"-7\">read %.1f GB/s</text>\n",
            to_x(a, place), to_y(a, place * read), -slope, read);
}

static bool overlaps(const struct box *a, const struct box *b)
{
    return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1;
}

/* A place for a label near its point that touches nothing: rings around the point, the right side first. */
static struct box place_label(double x, double y, double width, const struct box *boxes, uint32_t count)
{
    static const double directions[][2] = {{1, 0}, {-1, 0}, {1, -1}, {1, 1}, {-1, 1}, {-1, -1}, {0, -1}, {0, 1}};
    struct box best = {x + 8, y - 7, x + 8 + width, y + 7};
    for (int ring = 0; ring < 14; ring++) {
        for (size_t d = 0; d < sizeof directions / sizeof *directions; d++) {
            double dx = directions[d][0], dy = directions[d][1], far = 8 + 12.0 * ring;
            double x0 = dx > 0   ? x + (dy == 0 ? far : 8 + 6.0 * ring)
                        : dx < 0 ? x - (dy == 0 ? far : 8 + 6.0 * ring) - width
                                 : x - width / 2;
            double y0 = y - 7 + dy * far;
            struct box box = {x0, y0, x0 + width, y0 + 14};
            bool free = box.x0 > LEFT && box.x1 < WIDTH - RIGHT && box.y0 > TOP && box.y1 < HEIGHT - BOTTOM;
            for (uint32_t i = 0; free && i < count; i++)
                free = !overlaps(&box, &boxes[i]);
            if (free)
                return box;
        }
    }
    return best;
}

static const char *point_class(const struct bench_row *row)
{
    return row->shape->is_deform                                ? "deform"
           : row->shape->desc.attention.op == HEED_OP_ATTENTION ? "attention"
                                                                : "stage";
}

static void write_points(FILE *out, const struct axes *a, const struct bench_result *result, struct box *boxes,
                         uint32_t *box_count)
{
    bool several_types = false;
    const struct bench_row *first = NULL;
    /* Points before labels, so that no label lies on a later point. */
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        if (!has_point(row))
            continue;
        first = first ? first : row;
        several_types |= row->dtype != first->dtype;
        double x = to_x(a, intensity(row)), y = to_y(a, gflops(row));
        boxes[(*box_count)++] = (struct box){x - 5, y - 5, x + 5, y + 5};
    }
    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct bench_row *row = &result->rows[i];
        if (!has_point(row))
            continue;
        char label[80];
        snprintf(label, sizeof label, "%s%s%s", row->shape->name, several_types ? " " : "",
                 several_types ? heed_dtype_name(row->dtype) : "");
        double x = to_x(a, intensity(row)), y = to_y(a, gflops(row)), width = 6.3 * (double)strlen(label);
        struct box box = place_label(x, y, width, boxes, *box_count);
        boxes[(*box_count)++] = box;
        double near_x = fmin(fmax(x, box.x0), box.x1), near_y = fmin(fmax(y, box.y0), box.y1);
        if (hypot(near_x - x, near_y - y) > 14)
            fprintf(out, "<path class=\"leader\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x, y, near_x, near_y);
        fprintf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>", point_class(row), x, y);
        fprintf(out, "%s %s: ", row->shape->name, heed_dtype_name(row->dtype));
        write_text(out, row->kernel);
        fprintf(out, ", %.1f GFLOP/s</title></circle>\n<text class=\"label\" x=\"%.1f\" y=\"%.1f\">", gflops(row),
                box.x0, box.y1 - 3);
        write_text(out, label);
        fputs("</text>\n", out);
    }
}

static void write_legend(FILE *out, const struct bench_result *result)
{
    static const char *const classes[] = {"attention", "deform", "stage"};
    static const char *const names[] = {"attention", "deformable attention", "a stage alone"};
    double x = LEFT;
    for (int i = 0; i < 3; i++) {
        bool used = false;
        for (uint32_t r = 0; r < result->row_count; r++)
            used |= has_point(&result->rows[r]) && strcmp(point_class(&result->rows[r]), classes[i]) == 0;
        if (!used)
            continue;
        fprintf(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"60\" r=\"4\"/><text x=\"%.1f\" y=\"64\">%s</text>\n",
                classes[i], x + 4, x + 14, names[i]);
        x += 40 + 6.3 * (double)strlen(names[i]);
    }
}

bool bench_write_picture(const struct bench_result *result, FILE *out, struct fault *fault)
{
    uint32_t points = 0, box_count = 0;
    for (uint32_t i = 0; i < result->row_count; i++)
        points += has_point(&result->rows[i]);
    if (points == 0)
        return fault_failed(fault, "--picture: nothing was timed, there is nothing to draw");
    struct box *boxes = calloc(2 * points + ROOF_BOXES + 2, sizeof *boxes);
    if (!boxes)
        return fault_failed(fault, "out of host memory");
    struct axes axes = find_axes(result);
    fprintf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"%d\">\n"
        "<style>\n"
        ".grid{stroke:#eee}.decade{stroke:#ccc}.grid,.decade,.roof,.leader{fill:none}\n"
        ".roof{stroke:#222;stroke-width:2}.matrix{stroke-dasharray:7 "
        "4}.leader{stroke:#aaa}.on-roof{fill:#222}.label{fill:#333;font-size:11px;paint-"
        "order:stroke;stroke:#fff;stroke-width:2px}\n"
        ".attention{fill:#1667b7}.deform{fill:#d2691e}.stage{fill:#3a8f4d}\n"
        "</style>\n"
        "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"26\" font-size=\"16\">heed %s on ",
        WIDTH, HEIGHT, FONT, WIDTH, HEIGHT, LEFT, heed_version());
    write_text(out, result->session->info.name);
    fprintf(out, "</text>\n<text x=\"%d\" y=\"44\" fill=\"#555\">", LEFT);
    write_text(out, result->session->info.driver);
    fputs("; the roof was measured in the same run; above it: tensors in a cache</text>\n", out);
    write_legend(out, result);
    write_grid(out, &axes);
    if (result->ceilings.known)
        write_roof(out, &axes, &result->ceilings, boxes, &box_count);
    write_points(out, &axes, result, boxes, &box_count);
    fputs("</svg>\n", out);
    free(boxes);
    return true;
}
