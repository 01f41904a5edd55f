/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keys.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "parse.h"
#include "targets.h"

static int parse_plain(const char *text, uint64_t whole, uint64_t *ret)
{
	(void)whole;
	return parse_u64(text, ret);
}

static int parse_switch(const char *text, uint64_t whole, uint64_t *ret)
{
	bool on;
	int r = parse_bool(text, &on);

	(void)whole;
	if (r == 0)
		*ret = on;
	return r;
}

static int parse_percent(const char *text, uint64_t whole, uint64_t *ret)
{
	(void)whole;
	return parse_permyriad(text, ret);
}

static int parse_time(const char *text, uint64_t whole, uint64_t *ret)
{
	(void)whole;
	return parse_usec(text, ret);
}

static const char *const automatic[] = { "auto", NULL };
static const char *const engines[] = {
	[ENGINE_AUTO] = "auto", [ENGINE_CPU] = "cpu", [ENGINE_DSA] = "dsa", NULL
};
static const char *const policies[] = { [NUMA_FAIR] = "fair",
					[NUMA_PRIORITY] = "priority",
					[NUMA_OFF] = "off",
					NULL };
static const char *const hooks[] = { [HINTS_AUTO] = "auto",
				     [HINTS_FENTRY] = "fentry",
				     [HINTS_TRACEPOINT] = "tracepoint",
				     [HINTS_OFF] = "off",
				     NULL };
static const char *const exits[] = {
	[ON_EXIT_WITHDRAW] = "withdraw", [ON_EXIT_KEEP] = "keep", NULL
};

#define DEST(field)                                                            \
	.offset = offsetof(struct config, field),                              \
	.size = sizeof(((struct config *)NULL)->field)

/*
 * The bounds keep a slip of the pen from becoming a denial of service; within
 * them every value works. ksmd is one thread, hence 100%. The kernel counts
 * its scan time in whole seconds.
 */
/* clang-format off */
const struct key keys[KEYS_N] = {
	{ .section = "scan", .name = "engine", DEST(engine), .words = engines,
	  .value = "auto", .what = "auto, cpu or dsa" },
	{ .section = "scan", .name = "threads", DEST(threads),
	  .words = automatic, .parse = parse_plain, .least = "1", .most = "256",
	  .value = "auto", .what = "auto or a number of threads" },
	{ .section = "scan", .name = "cpu_limit", DEST(cpu_limit_permyriad),
	  .parse = parse_percent, .least = "0.1%", .most = "6400%",
	  .value = "10%", .what = "a percentage of one CPU" },
	{ .section = "scan", .name = "memory_limit", DEST(memory_limit),
	  .parse = parse_bytes, .least = "1M", .most = "50%",
	  .value = "1%", .what = "a size or a percentage of RAM" },
	{ .section = "merge", .name = "ksmd_cpu_limit",
	  DEST(ksmd_cpu_limit_permyriad), .parse = parse_percent,
	  .least = "1%", .most = "100%", .value = "70%",
	  .what = "a percentage of one CPU" },
	{ .section = "merge", .name = "target_scan_time",
	  DEST(target_scan_time_usec), .parse = parse_time, .least = "1s",
	  .most = "1d", .value = "200s", .what = "a time" },
	{ .section = "merge", .name = "max_ranges", DEST(max_ranges),
	  .parse = parse_plain, .least = "1", .most = "1000000",
	  .value = "1024", .what = "a number" },
	{ .section = "merge", .name = "zero_pages", DEST(zero_pages),
	  .parse = parse_switch, .value = "yes", .what = "yes or no" },
	{ .section = "merge", .name = "on_exit", DEST(on_exit),
	  .words = exits, .value = "withdraw", .what = "withdraw or keep" },
	{ .section = "hints", .name = "enabled", DEST(hints_enabled),
	  .parse = parse_switch, .value = "yes", .what = "yes or no" },
	{ .section = "hints", .name = "buffer", DEST(hints_buffer),
	  .parse = parse_plain, .least = "256", .most = "65536",
	  .value = "4096", .what = "a number" },
	{ .section = "hints", .name = "hook", DEST(hints_hook),
	  .words = hooks, .value = "auto",
	  .what = "auto, fentry, tracepoint or off" },
	{ .section = "numa", .name = "policy", DEST(numa_policy),
	  .words = policies, .value = "fair",
	  .what = "fair, priority or off" },
	{ .section = "numa", .name = "rest", DEST(numa_rest_usec),
	  .parse = parse_time, .least = "1s", .most = "1d", .value = "10s",
	  .what = "a time" },
	{ .section = "target", .name = "unit",
	  .set_target = targets_add_glob, .rule_key = RULE_UNIT },
	{ .section = "target", .name = "cgroup",
	  .set_target = targets_add_glob, .rule_key = RULE_CGROUP },
	{ .section = "target", .name = "exe",
	  .set_target = targets_add_glob, .rule_key = RULE_EXE },
	{ .section = "target", .name = "comm",
	  .set_target = targets_add_glob, .rule_key = RULE_COMM },
	{ .section = "target", .name = "user",
	  .set_target = targets_add_glob, .rule_key = RULE_USER },
	{ .section = "target", .name = "mode",
	  .set_target = targets_set_mode },
	{ .section = "target", .name = "domain",
	  .set_target = targets_set_domain },
};
/* clang-format on */

/* As a number; words are beyond bounds. 0, -EINVAL or -ERANGE. */
static int key_parse(const struct key *key, const char *text,
		     uint64_t ram_bytes, uint64_t *ret)
{
	uint64_t value, least, most;
	int r;

	for (size_t i = 0; key->words && key->words[i]; i++) {
		if (strcmp(key->words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	if (!key->parse)
		return -EINVAL;
	r = key->parse(text, ram_bytes, &value);
	if (r < 0)
		return r;
	if (key->least && (key->parse(key->least, ram_bytes, &least) < 0 ||
			   key->parse(key->most, ram_bytes, &most) < 0 ||
			   value < least || value > most))
		return -ERANGE;
	*ret = value;
	return 0;
}

static void key_store(const struct key *key, struct config *config,
		      uint64_t value)
{
	char *dest = (char *)config + key->offset;
	unsigned int small = (unsigned int)value;
	bool on = value;

	switch (key->size) {
	case sizeof(on):
		memcpy(dest, &on, sizeof(on));
		break;
	case sizeof(small):
		memcpy(dest, &small, sizeof(small));
		break;
	default:
		assert(key->size == sizeof(value));
		memcpy(dest, &value, sizeof(value));
	}
}

void keys_set_defaults(struct config *config, uint64_t ram_bytes)
{
	for (size_t i = 0; i < KEYS_N; i++) {
		const struct key *key = &keys[i];
		uint64_t value = 0;

		if (!key->value)
			continue;
		/* one percent of very little RAM is below the least size */
		if (key_parse(key, key->value, ram_bytes, &value) < 0)
			key->parse(key->least, ram_bytes, &value);
		key_store(key, config, value);
	}
}

int keys_set(const struct key *key, const char *text, uint64_t ram_bytes,
	     struct config *config)
{
	uint64_t value;
	int r = key_parse(key, text, ram_bytes, &value);

	if (r == 0)
		key_store(key, config, value);
	return r;
}

const char *keys_section(const char *name)
{
	for (size_t i = 0; i < KEYS_N; i++)
		if (strcmp(keys[i].section, name) == 0)
			return keys[i].section;
	return NULL;
}

const struct key *keys_find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEYS_N; i++)
		if (strcmp(keys[i].section, section) == 0 &&
		    strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const char *keys_list(const char *section, char *buf, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < KEYS_N && n < size; i++)
		if (strcmp(keys[i].section, section) == 0)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      n ? ", " : "", keys[i].name);
	return buf;
}
