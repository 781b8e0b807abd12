/* SPDX-License-Identifier: MIT
 * heed devices: what heed can run on, as a table or as JSON. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "run.h"

struct values {
    bool json;
};

static const struct option options[] = {
    {OPTION_FLAG, "json", NULL, "as JSON, with everything that is known", offsetof(struct values, json)},
};

const struct command cli_devices = {
    .name = "devices",
    .summary = "what heed can run on",
    .about = "Lists the devices that --device chooses from.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
};

static const char *type_name(enum heed_device_type type)
{
    static const char *const names[] = {"other", "integrated", "discrete", "virtual", "cpu"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "other";
}

static const char *backend_name(enum heed_backend backend)
{
    return backend == HEED_BACKEND_VULKAN ? "vulkan" : backend == HEED_BACKEND_OPENCL ? "opencl" : "reference";
}

/* Packed as VK_MAKE_API_VERSION does it, which only the backend may include the header of. */
static void api_text(uint32_t version, char text[32])
{
    if (version == 0)
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, version >> 22 & 127, version >> 12 & 1023,
                 version & 4095);
}

/* ---- the table */

enum { COLUMNS = 8, CELL = 256 };

static void fill_row(const struct heed_device_info *d, uint32_t index, char cells[COLUMNS][CELL])
{
    const struct heed_limits *l = &d->limits;
    snprintf(cells[0], CELL, "%" PRIu32, index);
    snprintf(cells[1], CELL, "%s", d->name);
    snprintf(cells[2], CELL, "%s", type_name(d->type));
    snprintf(cells[3], CELL, "%s", d->driver);
    char version[32];
    api_text(d->api_version, version);
    snprintf(cells[4], CELL, "%s%s",
             d->backend == HEED_BACKEND_VULKAN   ? "Vulkan "
             : d->backend == HEED_BACKEND_OPENCL ? "OpenCL "
                                                 : "",
             version);
    if (!d->has_subgroups)
        snprintf(cells[5], CELL, "-");
    else if (l->subgroup_size_min == l->subgroup_size_max)
        snprintf(cells[5], CELL, "%" PRIu32, l->subgroup_size_max);
    else
        snprintf(cells[5], CELL, "%" PRIu32 "-%" PRIu32, l->subgroup_size_min, l->subgroup_size_max);
    bool limited = d->backend != HEED_BACKEND_REFERENCE;
    snprintf(cells[6], CELL, limited ? "%" PRIu32 " KiB" : "-", l->max_shared_bytes / 1024);
    snprintf(cells[7], CELL, limited ? "%" PRIu64 " MiB" : "-", l->max_storage_range >> 20);
}

static bool print_table(const struct heed_device_info *infos, uint32_t count, struct fault *fault)
{
    static const char *const titles[COLUMNS] = {"index", "name",     "type",   "driver",
                                                "API",   "subgroup", "shared", "binding"};
    char(*rows)[COLUMNS][CELL] = calloc(count + 1, sizeof *rows);
    if (!rows)
        return fault_failed(fault, "out of host memory");
    int width[COLUMNS] = {0};
    for (uint32_t i = 0; i <= count; i++) {
        for (int c = 0; c < COLUMNS && i == 0; c++)
            snprintf(rows[0][c], CELL, "%s", titles[c]);
        if (i > 0)
            fill_row(&infos[i - 1], i - 1, rows[i]);
        for (int c = 0; c < COLUMNS; c++)
            if ((int)strlen(rows[i][c]) > width[c])
                width[c] = (int)strlen(rows[i][c]);
    }
    for (uint32_t i = 0; i <= count; i++)
        for (int c = 0; c < COLUMNS; c++)
            printf(c + 1 < COLUMNS ? "%-*s  " : "%.*s\n", c + 1 < COLUMNS ? width[c] : CELL, rows[i][c]);
    free(rows);
    return true;
}

/* ---- JSON */

static const char *boolean(bool value)
{
    return value ? "true" : "false";
}

void device_json(FILE *stream, const struct heed_device_info *d, uint32_t index)
{
    const struct heed_limits *l = &d->limits;
    char api[32];
    api_text(d->api_version, api);
    fprintf(stream, "  {\n    \"index\": %" PRIu32 ",\n    \"name\": ", index);
    json_string(stream, d->name);
    fprintf(stream, ",\n    \"driver\": ");
    json_string(stream, d->driver);
    fprintf(stream, ",\n    \"backend\": \"%s\",\n    \"type\": \"%s\",\n    \"uuid\": \"", backend_name(d->backend),
            type_name(d->type));
    for (int b = 0; b < 16; b++)
        fprintf(stream, "%s%02x", b == 4 || b == 6 || b == 8 || b == 10 ? "-" : "", d->uuid[b]);
    fprintf(stream, "\",\n    \"vendor_id\": %" PRIu32 ",\n", d->vendor_id);
    if (d->api_version != 0)
        fprintf(stream, "    \"api_version\": \"%s\",\n", api);
    fprintf(stream, "    \"compute_units\": %" PRIu32 ",\n", d->compute_units);
    fprintf(stream,
            "    \"has_subgroups\": %s,\n    \"has_subgroup_broadcast\": %s,\n    \"has_buffer_addresses\": %s,\n    "
            "\"has_int64\": %s,\n    \"has_timestamps\": %s,\n",
            boolean(d->has_subgroups), boolean(d->has_subgroup_broadcast), boolean(d->has_buffer_addresses),
            boolean(d->has_int64), boolean(d->has_timestamps));
    fprintf(stream, "    \"has_pipeline_feedback\": %s,\n    \"has_matrix_reductions\": %s,\n    \"matrix_shapes\": [",
            boolean(d->has_pipeline_feedback), boolean(d->has_matrix_reductions));
    for (uint32_t m = 0; m < d->matrix_shape_count; m++) {
        const struct heed_matrix_shape *s = &d->matrix_shapes[m];
        fprintf(stream, "%s{\"input\": \"%s\", \"m\": %" PRIu32 ", \"n\": %" PRIu32 ", \"k\": %" PRIu32 "}",
                m ? ", " : "", heed_dtype_name(s->input), s->m, s->n, s->k);
    }
    fprintf(stream, "],\n    \"limits\": {\n");
    fprintf(stream,
            "      \"max_storage_range\": %" PRIu64 ",\n      \"max_group_count\": %" PRIu32
            ",\n      \"max_group_size\": %" PRIu32 ",\n      \"max_shared_bytes\": %" PRIu32
            ",\n      \"max_storage_buffers\": %" PRIu32 ",\n      \"min_offset_alignment\": %" PRIu32
            ",\n      \"subgroup_size_min\": %" PRIu32 ",\n      \"subgroup_size_max\": %" PRIu32
            ",\n      \"max_dispatch_ns\": %" PRIu64 "\n    }\n  }",
            l->max_storage_range, l->max_group_count, l->max_group_size, l->max_shared_bytes, l->max_storage_buffers,
            l->min_offset_alignment, l->subgroup_size_min, l->subgroup_size_max, l->max_dispatch_ns);
}

static void print_json(const struct heed_device_info *infos, uint32_t count)
{
    puts("[");
    for (uint32_t i = 0; i < count; i++) {
        device_json(stdout, &infos[i], i);
        puts(i + 1 < count ? "," : "");
    }
    puts("]");
}

bool cli_run_devices(int argc, char *const *argv, struct fault *fault)
{
    struct values values = {false};
    bool help;
    if (!options_parse(&cli_devices, argc, argv, &values, &help, fault))
        return false;
    if (help) {
        options_print_help(&cli_devices);
        return true;
    }
    struct session session = {0};
    struct heed_device_info *infos = NULL;
    uint32_t count;
    bool done = session_open_context(&session, cli_devices.name, false, false, fault) &&
                session_list(&session, HEED_BACKEND_AUTO, &infos, &count, fault);
    if (done && values.json)
        print_json(infos, count);
    else if (done)
        done = print_table(infos, count, fault);
    bool found = false;
    for (uint32_t i = 0; done && i < count; i++)
        found |= infos[i].backend != HEED_BACKEND_REFERENCE;
    if (done && !found && !values.json)
        printf("\n%s\n", session_no_device(HEED_BACKEND_AUTO));
    free(infos);
    session_close(&session);
    return done;
}
