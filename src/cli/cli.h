/* SPDX-License-Identifier: MIT
 * The commands. Each gets the arguments after its name, fills in the fault and returns whether it has succeeded. */
#ifndef HEED_CLI_CLI_H
#define HEED_CLI_CLI_H

#include "options.h"

extern const struct command cli_attention, cli_bench, cli_block, cli_deform, cli_devices,
    cli_explain_attention, cli_explain_deform, cli_selftest;

bool cli_run_attention(int argc, char *const *argv, struct fault *fault);
bool cli_run_bench(int argc, char *const *argv, struct fault *fault);
bool cli_run_block(int argc, char *const *argv, struct fault *fault);
bool cli_run_deform(int argc, char *const *argv, struct fault *fault);
bool cli_run_devices(int argc, char *const *argv, struct fault *fault);
bool cli_run_explain_attention(int argc, char *const *argv, struct fault *fault);
bool cli_run_explain_deform(int argc, char *const *argv, struct fault *fault);
bool cli_run_selftest(int argc, char *const *argv, struct fault *fault);

/* The whole program: argv[0] is its name. Gives the exit status. */
int cli_main(int argc, char *const *argv);

#endif
