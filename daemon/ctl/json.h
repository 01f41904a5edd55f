/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json - the few things that --json needs of json-c
 *
 * json-c fails only for lack of memory, and then with NULL, which it accepts
 * everywhere: a value that could not be made is left out.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct json_object;

void json_add_string(struct json_object *object, const char *key,
		     const char *value);
void json_add_u64(struct json_object *object, const char *key, uint64_t value);

/* Print @value and a newline, and free it. */
void json_print(struct json_object *value, FILE *out);
