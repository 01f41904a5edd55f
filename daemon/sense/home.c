/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"
#include "topology.h"

/* A process's first so many threads tell enough about it. */
#define THREADS_MAX 256

/* Of the smoothed time, or of its own pages: a process that has less elsewhere
 * has a home. */
#define HOME_NUMERATOR	 3
#define HOME_DENOMINATOR 4
/* So many pages of its own (1 MiB) tell where it lives; fewer may be there by
 * chance. */
#define OWN_LEAST 256

/* A policy that stays the same is read at each 64th look at last. */
#define POLICY_REST_MOST 64

/* Fields of /proc/PID/stat, counted from the state, which is the first one
 * behind the name. */
enum { STAT_UTIME = 11, STAT_STIME = 12, STAT_NICE = 16, STAT_CPU = 36 };

struct thread_stat {
	uint64_t ticks;
	uint32_t cpu;
	int nice;
};

static int thread_stat_read(int dir, struct thread_stat *ret)
{
	char text[1024], *at;
	ssize_t n = file_read(dir, "stat", text, sizeof(text));

	if (n < 0)
		return (int)n;
	at = strrchr(text, ')');
	if (!at)
		return -EINVAL;
	*ret = (struct thread_stat){ 0 };
	at++;
	for (int field = 0; *at == ' ' && field <= STAT_CPU; field++) {
		at++;
		if (field == STAT_UTIME || field == STAT_STIME)
			ret->ticks += strtoull(at, NULL, 10);
		else if (field == STAT_NICE)
			ret->nice = atoi(at);
		else if (field == STAT_CPU)
			ret->cpu = (uint32_t)strtoul(at, NULL, 10);
		at += strcspn(at, " ");
	}
	return 0;
}

/* What follows @name in /proc/PID/status. */
static const char *status_value(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? at + strlen(name) + strspn(at + strlen(name), " \t") : "";
}

struct counts {
	uint64_t may_run;
	uint64_t may_use;
	uint64_t ticks[TOPOLOGY_NODES];
};

static void thread_count(const struct topology *topology, int dir,
			 struct counts *c)
{
	char text[8192];
	struct thread_stat st;
	int node;

	if (thread_stat_read(dir, &st) ||
	    file_read(dir, "status", text, sizeof(text)) < 0)
		return;
	c->may_run |= topology_cpus_nodes(
		topology, status_value(text, "Cpus_allowed_list:"));
	c->may_use |=
		topology_list_bits(status_value(text, "Mems_allowed_list:"));
	node = topology_cpu_node(topology, st.cpu);
	if (node >= 0)
		c->ticks[node] += st.ticks + 1;
}

static int threads_count(const struct topology *topology, int proc_dir,
			 struct counts *c)
{
	unsigned int n = 0;
	struct dirent *entry;
	DIR *tasks;
	int fd = openat(proc_dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	tasks = fd < 0 ? NULL : fdopendir(fd);
	if (!tasks) {
		close_fd(fd);
		return fd < 0 ? 1 : -ENOMEM;
	}
	while (n < THREADS_MAX && (entry = readdir(tasks))) {
		_cleanup_close_ int dir = -1;

		if (entry->d_name[0] == '.')
			continue;
		n++;
		dir = openat(fd, entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			thread_count(topology, dir, c);
	}
	closedir(tasks);
	return 0;
}

int home_look(const struct topology *topology, int dir, struct home_look *ret)
{
	struct counts c = { 0 };
	struct thread_stat st;
	uint64_t sum = 0;
	int r = thread_stat_read(dir, &st);

	if (r)
		return r == -ESRCH || r == -ENOENT ? 1 : r;
	r = threads_count(topology, dir, &c);
	if (r)
		return r;
	*ret = (struct home_look){
		.may_run = c.may_run & topology_nodes(topology),
		.may_use = c.may_use & topology_nodes(topology),
		.cpu_usec = st.ticks * 1000000 / (uint64_t)sysconf(_SC_CLK_TCK),
		.nice = st.nice,
	};
	for (int v = 0; v < TOPOLOGY_NODES; v++)
		sum += c.ticks[v];
	for (int v = 0; sum && v < TOPOLOGY_NODES; v++)
		ret->ran[v] = (uint8_t)(c.ticks[v] * 100 / sum);
	return 0;
}

void home_policy(struct home *home, int dir)
{
	struct mempolicy policy;

	if (home->policy_left) {
		home->policy_left--;
		return;
	}
	mempolicy_read(dir, &policy);
	if (policy.bound != home->policy.bound ||
	    policy.preferred != home->policy.preferred)
		home->policy_rest = 0;
	home->policy = policy;
	home->policy_rest = MIN(2 * home->policy_rest + 1,
				(uint32_t)POLICY_REST_MOST);
	home->policy_left = home->policy_rest;
}

/* The node of @all that has three quarters of @parts, as a bit, or 0. */
static uint64_t most_of(const uint64_t parts[64], uint64_t all)
{
	uint64_t sum = 0;

	for (int v = 0; v < TOPOLOGY_NODES; v++)
		sum += parts[v];
	for (int v = 0; sum && v < TOPOLOGY_NODES; v++)
		if ((all >> v & 1) &&
		    parts[v] * HOME_DENOMINATOR >= sum * HOME_NUMERATOR)
			return 1ULL << v;
	return 0;
}

/* The home of one that may be everywhere in @all; 0: it has none. */
static uint64_t seen_home(struct home *home, uint64_t all,
			  const uint64_t own[64])
{
	uint64_t ran[64], n = 0, nodes;

	for (int v = 0; v < TOPOLOGY_NODES; v++) {
		ran[v] = home->ran[v];
		n += own[v];
	}
	nodes = most_of(ran, all);
	if (nodes)
		home->by_time = true;
	if (!nodes && home->by_time)
		nodes = home->nodes & all;
	if (!nodes && n >= OWN_LEAST)
		nodes = most_of(own, all);
	return nodes ? nodes : home->nodes & all;
}

void home_step(struct home *home, const struct topology *topology,
	       const struct home_look *look, const uint64_t own[64])
{
	uint64_t all = topology_nodes(topology), nodes = look->may_run;

	if (look->may_use)
		all &= look->may_use;
	if (home->policy.bound & all)
		all &= home->policy.bound;
	for (int v = 0; v < TOPOLOGY_NODES; v++)
		home->ran[v] = (uint16_t)(home->ran[v] / 2 + look->ran[v]);
	nodes &= all;
	if (nodes == all && (home->policy.preferred & all))
		nodes = home->policy.preferred & all;
	else if (nodes == all)
		nodes = seen_home(home, all, own);
	home->nodes = nodes ? nodes : all;
}
