/* SPDX-License-Identifier: MIT
 * Strings in JSON. */
#ifndef HEED_CLI_JSON_H
#define HEED_CLI_JSON_H

#include <stdio.h>

/* With its quotes; bytes that are no UTF-8 become U+FFFD. */
void json_string(FILE *stream, const char *text);

#endif
