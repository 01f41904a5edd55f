/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keys - the table of everything that can be configured
 *
 * Section, name, parser, destination, bounds and default of each key; what is
 * in ksmd-plus.conf(5) and in the shipped file is what stands here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct config;
struct targets;

#define KEYS_N 21

/*
 * A value becomes a number first: as the index of one of @words, or by @parse
 * and then within bounds ("auto", "yes" and "10%" are all numbers). The keys
 * of a target are taken by @set_target and have no value here.
 */
struct key {
	const char *section;
	const char *name;
	const char *const *words; /* up to a NULL */
	int (*parse)(const char *text, uint64_t whole, uint64_t *ret);
	const char *least, *most; /* as they would be written, or NULL */
	size_t offset; /* of the destination in struct config */
	size_t size; /* and its size */
	const char *value; /* the default */
	const char *what; /* is expected: "a percentage of one CPU" */
	int (*set_target)(struct targets *targets, unsigned int line,
			  const char *key, const char *value, int rule_key);
	int rule_key;
};

extern const struct key keys[KEYS_N];

/* Set every value of @config to its default. */
void keys_set_defaults(struct config *config, uint64_t ram_bytes);

/*
 * Set the value of @key in @config to @text. 0, -EINVAL where that is no such
 * value or -ERANGE where it is out of bounds; then @config is untouched.
 */
int keys_set(const struct key *key, const char *text, uint64_t ram_bytes,
	     struct config *config);

/* @name as a string that lasts, or NULL if there is no such section. */
const char *keys_section(const char *name);

const struct key *keys_find(const char *section, const char *name);

/* The names of the keys of @section for a sentence. Returns @buf. */
const char *keys_list(const char *section, char *buf, size_t size);
