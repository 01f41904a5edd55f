/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "json.h"

#include <json-c/json.h>

void json_add_string(struct json_object *object, const char *key,
		     const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

void json_add_u64(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

void json_print(struct json_object *value, FILE *out)
{
	fputs(json_object_to_json_string_ext(
		      value, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
				     JSON_C_TO_STRING_NOSLASHESCAPE),
	      out);
	fputc('\n', out);
	json_object_put(value);
}
