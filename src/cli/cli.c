/* SPDX-License-Identifier: MIT
 * The heed command: which subcommand, its exit status, the one line of an error. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include <heed/heed.h>

struct entry {
    const struct command *command;
    bool (*run)(int argc, char *const *argv, struct fault *fault);
};

static const struct entry entries[] = {
    {&cli_attention, cli_run_attention},
    {&cli_deform, cli_run_deform},
    {&cli_block, cli_run_block},
    {&cli_explain_attention, cli_run_explain_attention},
    {&cli_explain_deform, cli_run_explain_deform},
    {&cli_bench, cli_run_bench},
    {&cli_devices, cli_run_devices},
    {&cli_selftest, cli_run_selftest},
};
enum { ENTRY_COUNT = sizeof entries / sizeof *entries };

static void print_help(FILE *stream)
{
    fputs("usage: heed COMMAND [options]\n\nAttention on any GPU, for .npy and safetensors files.\n\n", stream);
    for (int i = 0; i < ENTRY_COUNT; i++)
        fprintf(stream, "  heed %-18s  %s\n", entries[i].command->name, entries[i].command->summary);
    fputs("\nheed COMMAND --help tells its options; heed --version the version.\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage, 77 no device to run on.\n",
          stream);
}

/* "explain attention" is two arguments. 0: they do not name this command. */
static int words_matched(const char *name, int argc, char *const *argv)
{
    for (int i = 0; i < argc; i++) {
        size_t length = strlen(argv[i]);
        if (strncmp(name, argv[i], length) != 0 || (name[length] && name[length] != ' '))
            return 0;
        if (!name[length])
            return i + 1;
        name += length + 1;
    }
    return 0;
}

static bool unknown_command(int argc, char *const *argv, struct fault *fault)
{
    if (strcmp(argv[0], "explain") == 0)
        return argc > 1 ? fault_usage(fault, "explain \"%s\": it is explain attention or explain deform", argv[1])
                        : fault_usage(fault, "explain what: attention or deform?");
    const char *names[ENTRY_COUNT];
    for (int i = 0; i < ENTRY_COUNT; i++)
        names[i] = entries[i].command->name;
    const char *nearest = options_nearest(argv[0], names, ENTRY_COUNT);
    if (nearest)
        return fault_usage(fault, "unknown command \"%s\"; did you mean %s?", argv[0], nearest);
    return fault_usage(fault, "unknown command \"%s\"; heed --help lists the commands", argv[0]);
}

int cli_main(int argc, char *const *argv)
{
    struct fault fault = {.status = EXIT_DONE};
    const char *name = NULL;
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(stdout);
    } else if (strcmp(argv[1], "explain") == 0 && argc > 2 && strcmp(argv[2], "--help") == 0) {
        options_print_help(&cli_explain_attention);
        putchar('\n');
        options_print_help(&cli_explain_deform);
    } else if (strcmp(argv[1], "--version") == 0) {
        printf("heed %s\n", heed_version());
    } else {
        int words = 0, i = 0;
        while (i < ENTRY_COUNT && (words = words_matched(entries[i].command->name, argc - 1, argv + 1)) == 0)
            i++;
        if (words > 0) {
            name = entries[i].command->name;
            entries[i].run(argc - 1 - words, argv + 1 + words, &fault);
        } else {
            unknown_command(argc - 1, argv + 1, &fault);
        }
    }
    /* Output that could not be written, to a full disk or a closed pipe, is a failure too. */
    if (fault.status == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout)))
        fault_failed(&fault, "standard output cannot be written");
    if (fault.status != EXIT_DONE)
        fprintf(stderr, "heed%s%s: %s\n", name ? " " : "", name ? name : "", fault.text);
    return (int)fault.status;
}
