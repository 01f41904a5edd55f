/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "adopt.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "process.h"
#include "search.h"
#include "vec.h"

/* Nobody nests deeper; ends a search among pids that are reused meanwhile. */
#define ANCESTORS_MAX 256
/* Calls of adopt_prune() for one look at all that are adopted. */
#define PRUNE_CALLS 16

struct members VEC(struct process_id);

struct adopt {
	const struct root *root;
	struct members members; /* by pid */
	unsigned int n_calls;
};

int adopt_new(const struct root *root, struct adopt **ret)
{
	struct adopt *adopt = calloc(1, sizeof(*adopt));

	if (!adopt)
		return -ENOMEM;
	adopt->root = root;
	*ret = adopt;
	return 0;
}

struct adopt *adopt_free(struct adopt *adopt)
{
	if (adopt)
		vec_free(&adopt->members);
	free(adopt);
	return NULL;
}

/* Where @pid stands, or would stand. */
static size_t place_of(const struct adopt *adopt, pid_t pid)
{
	return search_first(adopt->members.n, i,
			    adopt->members.v[i].pid >= pid);
}

static bool is_member(const struct adopt *adopt, struct process_id id)
{
	size_t i = place_of(adopt, id.pid);

	return i < adopt->members.n && adopt->members.v[i].pid == id.pid &&
	       adopt->members.v[i].start_time == id.start_time;
}

static int insert(struct adopt *adopt, struct process_id id)
{
	size_t i = place_of(adopt, id.pid);
	int r;

	if (i < adopt->members.n && adopt->members.v[i].pid == id.pid) {
		adopt->members.v[i] = id; /* the pid was reused */
		return 0;
	}
	r = vec_push(&adopt->members, id);
	if (r)
		return r;
	for (size_t k = adopt->members.n - 1; k > i; k--)
		adopt->members.v[k] = adopt->members.v[k - 1];
	adopt->members.v[i] = id;
	return 0;
}

int adopt_add(struct adopt *adopt, pid_t pid)
{
	struct process_stat st;
	int r = process_stat_read(adopt->root, pid, &st);

	if (r == PROCESS_GONE)
		return ADOPT_GONE;
	if (r)
		return r;
	if (st.state == 'Z' || st.state == 'X')
		return ADOPT_GONE;
	return insert(adopt, (struct process_id){ pid, st.start_time });
}

bool adopt_has(struct adopt *adopt, struct process_id id)
{
	struct process_id ancestor = id;

	for (int i = 0; i < ANCESTORS_MAX && adopt->members.n; i++) {
		struct process_stat st;

		if (process_stat_read(adopt->root, ancestor.pid, &st))
			return false;
		ancestor.start_time = st.start_time;
		if (is_member(adopt, ancestor)) {
			if (i && insert(adopt, id))
				log_debug("No memory to adopt pid %d", id.pid);
			return true;
		}
		if (st.ppid <= 1)
			return false;
		ancestor.pid = st.ppid;
	}
	return false;
}

void adopt_prune(struct adopt *adopt)
{
	size_t out = 0;

	if (++adopt->n_calls % PRUNE_CALLS)
		return;
	for (size_t i = 0; i < adopt->members.n; i++) {
		struct process_id id = adopt->members.v[i];
		struct process_stat st;

		if (process_stat_read(adopt->root, id.pid, &st) ||
		    st.start_time != id.start_time)
			continue;
		adopt->members.v[out++] = id;
	}
	adopt->members.n = out;
}
