/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a configuration: no crash, and what comes out holds what the
 * headers promise, because the daemon relies on it without looking.
 */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "cleanup.h"
#include "standalone.h"

#define RAM (8ULL << 30)

struct heard {
	int n;
	unsigned int n_lines;
};

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	struct heard *heard = userdata;

	assert(strcmp(file, "fuzz") == 0);
	assert(line <= heard->n_lines);
	for (const char *c = sentence; *c; c++)
		assert((unsigned char)*c >= ' ' && *c != 0x7f);
	assert(strlen(sentence) > 10);
	heard->n++;
}

static void check_values(const struct config *c)
{
	assert(c->engine <= ENGINE_DSA);
	assert(c->threads <= 256);
	assert(c->cpu_limit_permyriad >= 10);
	assert(c->cpu_limit_permyriad <= 640000);
	assert(c->memory_limit >= 1 << 20);
	assert(c->memory_limit <= RAM / 2);
	assert(c->ksmd_cpu_limit_permyriad >= 100);
	assert(c->ksmd_cpu_limit_permyriad <= 10000);
	assert(c->target_scan_time_usec >= 1000000);
	assert(c->target_scan_time_usec <= 86400000000);
	assert(c->max_ranges >= 1);
	assert(c->max_ranges <= 1000000);
	assert(c->on_exit <= ON_EXIT_KEEP);
	assert(c->numa_policy <= NUMA_OFF);
	assert(c->numa_rest_usec >= 1000000);
	assert(c->numa_rest_usec <= 86400000000);
}

static void check_target(const struct rule_target *t, unsigned int n_lines)
{
	size_t n_globs = 0;

	assert((unsigned int)t->mode < MODE_MAX_);
	assert(*t->name && strlen(t->name) <= 64);
	assert(strlen(t->domain) <= 64);
	assert(strcmp(t->file, "fuzz") == 0);
	assert(t->line >= 1 && t->line <= n_lines);
	for (int k = 0; k < RULE_KEY_MAX_; k++) {
		n_globs += t->keys[k].n;
		for (size_t i = 0; i < t->keys[k].n; i++)
			assert(*t->keys[k].v[i]);
	}
	/* or it would name everybody */
	assert(n_globs > 0);
}

/* Nobody who is not named, and never a keeper of secrets. */
static void check_verdicts(const struct rules *rules)
{
	struct rule_subject subject = { .pid = 4711 };

	assert(rules_judge(rules, &subject).mode == MODE_EXCLUDE);
	subject.keys[RULE_UNIT] = "web-1.service";
	subject.keys[RULE_CGROUP] = "/system.slice/web-1.service/worker";
	subject.keys[RULE_EXE] = "/usr/bin/python3.11";
	subject.keys[RULE_COMM] = "gunicorn";
	subject.keys[RULE_USER] = "www-data";
	assert(rules_judge(rules, &subject).rule);
	subject.keys[RULE_COMM] = "ssh-agent";
	assert(rules_judge(rules, &subject).mode == MODE_EXCLUDE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard heard = { .n_lines = 1 };
	struct config config;
	int r;

	for (size_t i = 0; i < size; i++)
		heard.n_lines += data[i] == '\n';
	r = config_parse("fuzz", (const char *)data, size, RAM, on_complaint,
			 &heard, &config);
	assert(r >= 0);
	assert(r == heard.n || (r > 100 && heard.n == 101));
	check_values(&config);
	for (size_t i = 0; i < config.rules.n_targets; i++)
		check_target(&config.rules.targets[i], heard.n_lines);
	check_verdicts(&config.rules);
	config_clear(&config);
	return 0;
}
