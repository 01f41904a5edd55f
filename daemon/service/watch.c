/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ksmd-plus/journal.h>
#include <ksmd-plus/reasons.h>

#include "asking.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "subject.h"

/* Younger than this, a process is judged at every walk. */
#define YOUNG_USEC (5 * USEC_PER_SEC)
/* Each entry of /proc is read at every so manieth walk. */
#define SETTLED_WALKS 8U
/* So many are asked about at once. */
#define ASKS 64U

/* What is remembered of every process in /proc, watched or not. */
struct seen {
	struct process_id id;
	char comm[64];
	uint64_t first_usec;
	uint64_t judged_usec;
	uint64_t stray_usec; /* when it was last found with marks of ours */
	struct watched *watched;
	bool present; /* found by the walk in progress */
	bool kernel_thread;
	bool denied; /* an LSM or Yama keeps us out; said once */
	bool mute; /* its memory map is locked; said once */
};

struct seen_vec VEC(struct seen);
struct pids VEC(pid_t);
struct numbers VEC(size_t);

struct watch {
	const struct root *root;
	struct asking *asking;
	const struct watch_ops *ops;
	void *userdata;
	const struct rules *rules;
	watch_ask_fn is_ours;
	watch_ask_fn is_adopted;
	bool dry_run;
	bool smaps;
	unsigned int n_walks;
	struct seen_vec seen; /* by pid */
	struct numbers due; /* of these, to be judged in this walk */
	struct watched_list list;
	struct pids own;
};

int watch_new(const struct root *root, struct asking *asking,
	      const struct watch_ops *ops, void *userdata, struct watch **ret)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->root = root;
	watch->asking = asking;
	watch->ops = ops;
	watch->userdata = userdata;
	watch_add_own(watch, getpid());
	*ret = watch;
	return 0;
}

/* Return: whether it lives on, in the same program. */
static bool watched_drop(struct watch *watch, struct seen *seen)
{
	struct watched *w = seen->watched;
	bool lives;

	if (!w)
		return false;
	seen->watched = NULL;
	w->dropped = true;
	w->gone |= process_is_gone(&w->process);
	lives = !w->gone;
	watch->ops->lost(watch->userdata, w);
	watch->list.v[w->number] = NULL;
	watched_unref(w);
	return lives;
}

struct watch *watch_free(struct watch *watch)
{
	if (!watch)
		return NULL;
	for (size_t i = 0; i < watch->seen.n; i++)
		watched_drop(watch, &watch->seen.v[i]);
	vec_free(&watch->seen);
	vec_free(&watch->due);
	vec_free(&watch->list);
	vec_free(&watch->own);
	free(watch);
	return NULL;
}

void watch_judge_again(struct watch *watch)
{
	for (size_t i = 0; i < watch->seen.n; i++)
		watch->seen.v[i].judged_usec = 0;
}

void watch_set_rules(struct watch *watch, const struct rules *rules)
{
	watch->rules = rules;
	watch_judge_again(watch);
}

void watch_set_limits(struct watch *watch, bool dry_run, bool smaps)
{
	watch->dry_run = dry_run;
	watch->smaps = smaps;
}

void watch_add_own(struct watch *watch, pid_t pid)
{
	/* without memory the injector is judged by its name, and excluded */
	if (vec_push(&watch->own, pid))
		log_debug("No memory to remember pid %d as our own", pid);
}

void watch_set_asked(struct watch *watch, watch_ask_fn is_ours,
		     watch_ask_fn is_adopted)
{
	watch->is_ours = is_ours;
	watch->is_adopted = is_adopted;
}

bool watch_is_denied(const struct watch *watch, pid_t pid)
{
	for (size_t i = 0; i < watch->seen.n; i++)
		if (watch->seen.v[i].id.pid == pid)
			return watch->seen.v[i].denied;
	return false;
}

struct watched *const *watch_list(const struct watch *watch, size_t *ret_n)
{
	*ret_n = watch->list.n;
	return watch->list.v;
}

struct watched *watch_get(const struct watch *watch, uint32_t number)
{
	return number < watch->list.n ? watch->list.v[number] : NULL;
}

bool watch_has_reference(const struct watch *watch, const struct watched *w)
{
	return watched_list_has_reference(&watch->list, w);
}

uint64_t watch_registered(const struct watch *watch)
{
	return watched_list_registered(&watch->list);
}

static enum mode mode_limit(const struct watch *watch, enum mode mode)
{
	return watch->dry_run && mode > MODE_OBSERVE ? MODE_OBSERVE : mode;
}

static struct rule_verdict judge(const struct watch *watch,
				 const struct seen *seen,
				 const struct process_facts *f)
{
	struct rule_subject subject = subject_of(f, seen->id.pid);

	if (subject.self_registered)
		subject.self_registered = !watch->is_ours(watch->userdata,
							  seen->id);
	subject.adopted = watch->is_adopted(watch->userdata, seen->id);
	for (size_t i = 0; i < watch->own.n; i++)
		subject.ourselves |= watch->own.v[i] == seen->id.pid;
	return rules_judge(watch->rules, &subject);
}

/*
 * Open the process and judge it again, by the facts of what is open now: it may
 * have become another program since @verdict, and that one is not to be looked
 * into on the word of the last. PROCESS_GONE: the next walk will see.
 */
static int open_judged(struct watch *watch, const struct seen *seen,
		       struct rule_verdict *verdict,
		       struct process_facts *facts, struct process *ret)
{
	_cleanup_(process_close) struct process process = PROCESS_NONE;
	struct ask again = { .id = seen->id };
	int r = process_open(watch->root, seen->id, &process);

	if (r)
		return r;
	asking_facts(watch->asking, watch->smaps, &again, 1);
	if (again.result) /* then the next walk will see */
		return again.result == -ENOMEM ? -ENOMEM : PROCESS_GONE;
	process_facts_clear(facts);
	*facts = again.facts;
	*verdict = judge(watch, seen, facts);
	if (verdict->mode == MODE_EXCLUDE || process_is_gone(&process))
		return PROCESS_GONE;
	*ret = process;
	process = PROCESS_NONE;
	return 0;
}

/* Begin to watch: takes @facts over when it returns 0. */
static int watched_begin(struct watch *watch, struct seen *seen,
			 struct rule_verdict *verdict,
			 struct process_facts *facts)
{
	struct process process = PROCESS_NONE;
	struct watched *w;
	int r = open_judged(watch, seen, verdict, facts, &process);

	if (r)
		return r;
	w = watched_new(&process, facts, verdict);
	if (!w || watched_list_add(&watch->list, w)) {
		watched_unref(w);
		process_close(&process);
		return -ENOMEM;
	}
	w->mode = mode_limit(watch, verdict->mode);
	w->shares = process_shares_mm(watch->root, seen->id.pid);
	w->skip = w->shares ? INJECT_REASON_SHARED_MM : INJECT_REASON_NONE;
	w->first_pass = !w->shares;
	seen->watched = w;
	watch->ops->found(watch->userdata, w);
	return 0;
}

/*
 * It is not named and has marks of ours all the same: by a fork or an exec of
 * who has them, or from a daemon with other rules. Takes @facts over.
 */
static int stray_begin(struct watch *watch, struct seen *seen,
		       const struct rule_verdict *verdict,
		       struct process_facts *facts, uint64_t now_usec)
{
	struct process process = PROCESS_NONE;
	struct watched *w;
	int r;

	if (seen->stray_usec && now_usec < seen->stray_usec + WATCH_JUDGE_USEC)
		return 0;
	seen->stray_usec = now_usec;
	r = process_open(watch->root, seen->id, &process);
	if (r)
		return r == -ENOMEM ? r : 0;
	w = watched_new(&process, facts, verdict);
	if (!w) {
		process_close(&process);
		return -ENOMEM;
	}
	watch->ops->stray(watch->userdata, w);
	watched_unref(w);
	return 0;
}

/* Whether the verdict is what @w lives by already. */
static bool is_unchanged(const struct watch *watch, const struct watched *w,
			 const struct rule_verdict *v)
{
	return w->mode == mode_limit(watch, v->mode) &&
	       w->domain == rules_domain(v->target) &&
	       w->shares == process_shares_mm(watch->root, w->process.id.pid) &&
	       !strcmp(w->target, v->target ? v->target->name : "");
}

static void say_denied(const struct seen *seen, int error)
{
	const char *reason = reason_text(REASON_PERMISSION)->name;

	log_event_limited(LOG_WARNING, JOURNAL_PROCESS_DENIED,
			  LOG_FIELDS(LOG_NUMBER("PID", seen->id.pid),
				     LOG_TEXT("COMM", seen->comm),
				     LOG_TEXT("REASON", reason)),
			  "May not look into %s (pid %d): %s", seen->comm,
			  seen->id.pid, strerror(error));
}

/* Takes @facts over. */
static int seen_judge(struct watch *watch, struct seen *seen,
		      struct process_facts *facts, uint64_t now_usec)
{
	struct rule_verdict verdict = judge(watch, seen, facts);
	int r = 0;

	seen->judged_usec = now_usec;
	seen->mute = false;
	if (seen->watched)
		seen->watched->mute = false;
	if (seen->watched && !is_unchanged(watch, seen->watched, &verdict) &&
	    watched_drop(watch, seen))
		seen->stray_usec = now_usec; /* it gets back what it had */
	if (!seen->watched && verdict.mode == MODE_EXCLUDE &&
	    facts->self_registered && watch->is_ours(watch->userdata, seen->id))
		r = stray_begin(watch, seen, &verdict, facts, now_usec);
	if (!seen->watched && verdict.mode != MODE_EXCLUDE) {
		r = watched_begin(watch, seen, &verdict, facts);
		if (r == PROCESS_GONE)
			seen->judged_usec = 0;
		if (r < 0 && r != -ENOMEM) {
			if (!seen->denied)
				say_denied(seen, -r);
			seen->denied = true;
			r = 0;
		}
	}
	process_facts_clear(facts);
	return r;
}

/* What it was judged to be before, it stays. @why: struct ask's result. */
static void say_mute(struct seen *seen, int why)
{
	const char *what = "locked: it is left alone until it answers";

	if (why == -EBUSY)
		what = "not asked for: those of too many others of its user or container are locked";
	if (!seen->mute)
		log_event_limited(LOG_WARNING, JOURNAL_PROCESS_MUTE,
				  LOG_FIELDS(LOG_NUMBER("PID", seen->id.pid),
					     LOG_TEXT("COMM", seen->comm)),
				  "The memory map of %s (pid %d) is %s",
				  seen->comm, seen->id.pid, what);
	seen->mute = true;
	if (seen->watched && why == -ETIMEDOUT)
		seen->watched->mute = true;
}

/* The facts of all that are due, then a verdict on each. 0 or -ENOMEM. */
static int due_judge(struct watch *watch, uint64_t now_usec)
{
	struct ask asks[ASKS];
	int r = 0;

	for (size_t i = 0; i < watch->due.n && !r; i += ASKS) {
		size_t n = MIN(watch->due.n - i, ASKS);

		for (size_t k = 0; k < n; k++)
			asks[k].id = watch->seen.v[watch->due.v[i + k]].id;
		asking_facts(watch->asking, watch->smaps, asks, n);
		for (size_t k = 0; k < n; k++) {
			size_t number = watch->due.v[i + k];
			struct seen *seen = &watch->seen.v[number];
			int result = asks[k].result;

			if (result == -ETIMEDOUT || result == -EBUSY)
				say_mute(seen, result);
			if (result == 0)
				result = seen_judge(watch, seen, &asks[k].facts,
						    now_usec);
			if (result == -ENOMEM)
				r = result;
		}
	}
	return r;
}

static int pid_compare(const void *pa, const void *pb)
{
	const struct seen *a = pa, *b = pb;

	return a->id.pid < b->id.pid ? -1 : a->id.pid > b->id.pid;
}

static struct seen *seen_find(struct watch *watch, size_t n_sorted, pid_t pid)
{
	struct seen key = { .id.pid = pid };

	return n_sorted ? bsearch(&key, watch->seen.v, n_sorted, sizeof(key),
				  pid_compare)
			: NULL;
}

/*
 * What was judged and is not young need not be read at each walk: another
 * name, or another process with its number, is noticed a few walks later.
 */
static bool is_settled(const struct watch *watch, const struct seen *seen,
		       uint64_t now_usec)
{
	if ((unsigned int)seen->id.pid % SETTLED_WALKS ==
	    watch->n_walks % SETTLED_WALKS)
		return false;
	if (seen->kernel_thread)
		return true;
	return seen->judged_usec && !(seen->watched && seen->watched->gone) &&
	       now_usec - seen->first_usec > YOUNG_USEC &&
	       now_usec - seen->judged_usec < WATCH_JUDGE_USEC;
}

/* One entry of /proc; @n_sorted entries were known before this walk. */
static int pid_visit(struct watch *watch, size_t n_sorted, pid_t pid,
		     uint64_t now_usec)
{
	struct seen *seen = seen_find(watch, n_sorted, pid);
	struct process_stat st;
	int r;

	if (seen && is_settled(watch, seen, now_usec)) {
		seen->present = true;
		return 0;
	}
	r = process_stat_read(watch->root, pid, &st);
	if (r || st.state == 'Z' || st.state == 'X')
		return r == -ENOMEM ? r : 0;
	if (seen && seen->id.start_time != st.start_time) {
		watched_drop(watch, seen);
		*seen = (struct seen){ .first_usec = now_usec };
	} else if (!seen) {
		r = vec_push(&watch->seen,
			     ((struct seen){ .first_usec = now_usec }));
		if (r)
			return r;
		seen = &watch->seen.v[watch->seen.n - 1];
	}
	seen->id = (struct process_id){ pid, st.start_time };
	seen->present = true;
	seen->kernel_thread = st.kernel_thread;
	if (st.kernel_thread)
		return 0;
	if (seen->watched && seen->watched->gone) { /* exec: a new mm */
		watched_drop(watch, seen);
		seen->judged_usec = 0;
	}
	if (seen->judged_usec && !strcmp(seen->comm, st.comm) &&
	    now_usec - seen->first_usec > YOUNG_USEC &&
	    now_usec - seen->judged_usec < WATCH_JUDGE_USEC)
		return 0;
	memcpy(seen->comm, st.comm, sizeof(seen->comm));
	return vec_push(&watch->due, (size_t)(seen - watch->seen.v));
}

static int proc_walk(struct watch *watch, uint64_t now_usec)
{
	_cleanup_close_ int fd = openat(watch->root->proc, ".",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t n_sorted = watch->seen.n;
	struct dirent *e;

	if (!dir)
		return -errno;
	TAKE_FD(fd);
	while ((e = readdir(dir))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
		int r = pid > 0 ? pid_visit(watch, n_sorted, pid, now_usec) : 0;

		if (r)
			return r;
	}
	return 0;
}

int watch_walk(struct watch *watch, uint64_t now_usec)
{
	size_t out = 0;
	int r;

	watch->n_walks++;
	for (size_t i = 0; i < watch->seen.n; i++)
		watch->seen.v[i].present = false;
	watch->due.n = 0;
	r = proc_walk(watch, now_usec);
	if (!r)
		r = due_judge(watch, now_usec);
	if (r)
		return r;
	for (size_t i = 0; i < watch->seen.n; i++)
		if (watch->seen.v[i].present)
			watch->seen.v[out++] = watch->seen.v[i];
		else
			watched_drop(watch, &watch->seen.v[i]);
	watch->seen.n = out;
	if (out)
		qsort(watch->seen.v, out, sizeof(watch->seen.v[0]),
		      pid_compare);
	return 0;
}
