/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config - /etc/ksmd-plus.conf and its drop-ins
 *
 * INI, read with inih. One table describes every key: section, name, parser,
 * destination, bounds, default (style rule 22). A bad value or an unknown key
 * warns with file and line and leaves the default; nothing in a file can make
 * loading fail but an unreadable file and lack of memory.
 *
 * A target is never half in force, because half its conditions would name
 * other processes: with a fault in its section it is ignored, unless it says
 * (or may have meant to say) "exclude"; then it excludes what it still names.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hints.h"
#include "rules.h"

enum config_engine { ENGINE_AUTO, ENGINE_CPU, ENGINE_DSA };
enum config_numa { NUMA_FAIR, NUMA_PRIORITY, NUMA_OFF };
enum config_on_exit { ON_EXIT_WITHDRAW, ON_EXIT_KEEP };

struct config {
	/* [scan] */
	enum config_engine engine;
	unsigned int threads; /* 0: auto */
	unsigned int cpu_limit_permyriad; /* of one CPU */
	uint64_t memory_limit; /* bytes; 0 never */
	/* [merge] */
	unsigned int ksmd_cpu_limit_permyriad; /* of one CPU, in a pulse */
	uint64_t target_scan_time_usec;
	unsigned int max_ranges; /* per process */
	bool zero_pages;
	enum config_on_exit on_exit;
	/* [hints] */
	bool hints_enabled;
	unsigned int hints_buffer; /* in hints */
	enum hints_want hints_hook;
	/* [numa] */
	enum config_numa numa_policy;
	uint64_t numa_rest_usec;

	struct rules rules;
};

/* Called for each thing wrong; @line is 0 where the file as a whole is. */
typedef void (*config_complain_fn)(void *userdata, const char *file,
				   unsigned int line, const char *sentence);

/*
 * Read @path, then @path.d/?*.conf in the order of their names. With @path
 * missing the defaults are returned and nobody complains when
 * @must_exist is false. @ram_bytes resolves a percentage in memory_limit.
 * The caller clears *ret_config with config_clear().
 *
 * Return: the number of complaints, or negative errno with *ret_config
 * untouched. A file that cannot be read has then been complained about.
 */
int config_load(const char *path, bool must_exist, uint64_t ram_bytes,
		config_complain_fn complain, void *userdata,
		struct config *ret_config);

/*
 * The same from the @len bytes at @text, as if they stood in one file @name:
 * what the tests and the fuzzer use.
 */
int config_parse(const char *name, const char *text, size_t len,
		 uint64_t ram_bytes, config_complain_fn complain,
		 void *userdata, struct config *ret_config);

void config_clear(struct config *config);
