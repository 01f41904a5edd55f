/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "choose.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asking.h"
#include "cleanup.h"
#include "log.h"
#include "subject.h"
#include "utf8.h"

struct asks VEC(struct ask);

static bool is_named(const struct choice *choice, pid_t pid)
{
	for (size_t i = 0; i < choice->pids.n; i++)
		if (choice->pids.v[i] == pid)
			return true;
	return false;
}

/* Whether one of @globs for @key is met, by the rules' own matching. */
static bool glob_hits(const struct rule_subject *subject, enum rule_key key,
		      const char *const *globs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *glob[] = { (char *)globs[i] };
		struct rule_target target = { .name = glob[0],
					      .mode = MODE_OBSERVE };
		struct rules rules = { &target, 1 };

		target.keys[key] = (struct rule_globs){ glob, 1 };
		if (rules_judge(&rules, subject).target)
			return true;
	}
	return false;
}

/* Whether it is asked for by anything but its pid. */
static bool is_meant(const struct choice *choice,
		     const struct rule_subject *subject,
		     const struct rule_target *target)
{
	/* nothing that a built-in exclude would look at: it is to be told */
	struct rule_subject place = {
		.keys = {
			[RULE_UNIT] = subject->keys[RULE_UNIT],
			[RULE_CGROUP] = subject->keys[RULE_CGROUP],
		},
	};

	if (choice->all)
		return true;
	for (size_t i = 0; target && i < choice->targets.n; i++)
		if (!strcmp(choice->targets.v[i], target->name))
			return true;
	return glob_hits(&place, RULE_UNIT, choice->units.v, choice->units.n) ||
	       glob_hits(&place, RULE_CGROUP, choice->cgroups.v,
			 choice->cgroups.n);
}

/* The daemon, its injector and we are told by their names. */
static bool is_ourselves(const struct process_facts *f, pid_t pid)
{
	static const char ours[] = "ksmd-plus";

	return pid == getpid() || !strncmp(f->comm, ours, sizeof(ours) - 1);
}

/* Whether it is meant; fills in what the rules say of it. */
static bool judge(const struct config *config, const struct choice *choice,
		  const struct process_facts *f, struct chosen *c)
{
	struct rule_subject subject = subject_of(f, c->id.pid);
	struct rule_verdict verdict;

	subject.ourselves = is_ourselves(f, c->id.pid);
	verdict = rules_judge(&config->rules, &subject);
	c->domain = rules_domain(verdict.target);
	c->mode = verdict.mode;
	c->reason = verdict.reason;
	c->target = verdict.target;
	if (verdict.mode == MODE_EXCLUDE && verdict.target)
		snprintf(c->why_not, sizeof(c->why_not),
			 "[target %.40s], mode exclude", verdict.target->name);
	else if (!strncmp(verdict.rule, "built-in", strlen("built-in")))
		snprintf(c->why_not, sizeof(c->why_not), "%s", verdict.rule);
	return c->named || is_meant(choice, &subject, verdict.target);
}

/* One process of /proc, if anything is to be known of it. 0 or -ENOMEM. */
static int visit(const struct root *root, const struct choice *choice,
		 pid_t pid, struct asks *asks)
{
	struct process_stat st;
	struct ask ask = { 0 };

	if (process_stat_read(root, pid, &st) || st.state == 'Z' ||
	    st.state == 'X' || (st.kernel_thread && !is_named(choice, pid)))
		return 0;
	ask.id = (struct process_id){ pid, st.start_time };
	return vec_push(asks, ask);
}

/* What was told of one process. 0 or -ENOMEM. */
static int take(const struct config *config, const struct choice *choice,
		struct ask *ask, struct chosen_vec *ret)
{
	struct chosen c = { .id = ask->id,
			    .named = is_named(choice, ask->id.pid) };
	int r = 0;

	if (ask->result == -ETIMEDOUT || ask->result == -EBUSY)
		log_warning(
			"The memory map of process %d is locked: it is left out.",
			ask->id.pid);
	if (ask->result)
		return ask->result == -ENOMEM ? -ENOMEM : 0;
	utf8_clean(ask->facts.comm, c.comm, sizeof(c.comm));
	if (judge(config, choice, &ask->facts, &c))
		r = vec_push(ret, c);
	process_facts_clear(&ask->facts);
	return r;
}

static int chosen_compare(const void *pa, const void *pb)
{
	const struct chosen *a = pa, *b = pb;

	return a->id.pid < b->id.pid ? -1 : a->id.pid > b->id.pid;
}

static int walk(const struct root *root, const struct choice *choice,
		struct asks *asks)
{
	_cleanup_close_ int fd = openat(root->proc, ".",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	TAKE_FD(fd);
	while (!r && (e = readdir(dir))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		r = pid > 0 ? visit(root, choice, pid, asks) : 0;
	}
	return r;
}

static int choose_all(const struct root *root, const struct config *config,
		      const struct choice *choice, struct chosen_vec *ret)
{
	struct asking *asking;
	struct asks asks = { 0 };
	int r = asking_new(root, NULL, &asking);

	if (r)
		return r;
	r = walk(root, choice, &asks);
	if (!r)
		asking_facts(asking, choice->smaps, asks.v, asks.n);
	for (size_t i = 0; !r && i < asks.n; i++)
		r = take(config, choice, &asks.v[i], ret);
	vec_free(&asks);
	asking_free(asking);
	return r;
}

/* Of a process that is about to end, and of one whose first thread has ended,
 * /proc shows next to nothing. */
static void say_missing(const struct root *root, pid_t pid)
{
	char path[16];

	snprintf(path, sizeof(path), "%d", pid);
	if (faccessat(root->proc, path, F_OK, 0) == 0)
		log_error(
			"Process %d shows no memory: its first thread has ended, or its memory map is locked.",
			pid);
	else
		log_error("There is no process %d.", pid);
}

int choose(const struct root *root, const struct config *config,
	   const struct choice *choice, struct chosen_vec *ret)
{
	int n_missing = 0, r;

	r = choose_all(root, config, choice, ret);
	if (r)
		return r;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(ret->v[0]), chosen_compare);
	for (size_t i = 0; i < choice->pids.n; i++) {
		struct chosen key = { .id.pid = choice->pids.v[i] };

		if (ret->n &&
		    bsearch(&key, ret->v, ret->n, sizeof(key), chosen_compare))
			continue;
		say_missing(root, key.id.pid);
		n_missing++;
	}
	return n_missing;
}

void choice_clear(struct choice *choice)
{
	vec_free(&choice->pids);
	vec_free(&choice->units);
	vec_free(&choice->cgroups);
	vec_free(&choice->targets);
}
