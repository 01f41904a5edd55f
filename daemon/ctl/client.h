/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client - the other end of the daemon's private socket
 *
 * Every wait ends: a daemon that does not answer within a few seconds is an
 * error like one that is not there.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include <ksmd-plus/status.h>

/* What GetAll told; all strings belong to @reply. */
struct client_status {
	sd_bus_message *reply;
	const char *version;
	const char *state;
	const char *engine;
	const char *engine_detail;
	const char *hints;
	const char *activity;
	uint64_t pages_saved;
	uint64_t bytes_saved;
	uint64_t zero_pages;
	uint64_t promised_pages;
	uint64_t daemon_cpu_usec;
	uint64_t ksmd_cpu_usec;
	uint64_t memory_used;
	uint64_t memory_bound;
	struct target_status *targets;
	size_t n_targets;
	struct status_counter *counters;
	size_t n_counters;
	struct client_warning {
		const char *name;
		const char *sentence;
	} * warnings;
	size_t n_warnings;
	struct numa_status numa; /* no policy: an older daemon, or one node */
};

/* What ListProcesses told; all strings belong to @reply. */
struct client_list {
	sd_bus_message *reply;
	struct process_status *v;
	size_t n;
};

/*
 * Connect to the daemon at @path. Free with sd_bus_close_unref().
 *
 * Return: 0 or negative errno: -ENOENT, -ECONNREFUSED where no daemon runs,
 * -EACCES, -ETIMEDOUT where it does not answer.
 */
int client_open(const char *path, sd_bus **ret);

/*
 * The same, and say on stderr in one sentence what is wrong and what to do.
 * Return: 0 or negative errno.
 */
int client_open_loud(const char *path, sd_bus **ret);

/*
 * Ask. These say on stderr what went wrong.
 * Return: 0 or negative errno; then *ret is untouched.
 */
int client_get_status(sd_bus *bus, struct client_status *ret);
int client_get_list(sd_bus *bus, struct client_list *ret);

/* Hand process @pid, 0: ourselves, to the daemon, with what it becomes and
 * forks; says on stderr what went wrong. 0 or negative errno. */
int client_adopt(sd_bus *bus, uint32_t pid);

/* Call a method without arguments; says on stderr what went wrong. */
int client_call(sd_bus *bus, const char *method);

void client_status_clear(struct client_status *status);
void client_list_clear(struct client_list *list);
