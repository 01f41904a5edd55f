/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accounting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "accounts.h"
#include "asking.h"
#include "cleanup.h"
#include "clock.h"
#include "holding.h"
#include "ksm.h"
#include "process.h"
#include "vec.h"
#include "watch.h"

/* A look may take this part of the time between two of them. */
#define LOOK_SHARE 200U
/* Who asks gets figures that are no older than that, */
#define FRESH_USEC USEC_PER_SEC
/* ... or this many times what a look costs. */
#define FRESH_SHARE 20U

/* What a look has found of one process. */
struct found {
	struct watched *watched;
	struct process_ksm ksm;
	uint64_t saved;
	uint64_t cpu_usec; /* of the daemon, since the last look */
	uint64_t broken;
};

struct found_vec VEC(struct found);
struct row_vec VEC(struct account_row);

/* So many are asked about at once. */
#define ASKS 64U

struct accounting {
	struct accounting_env env;
	sd_event_source *timer;
	struct accounts *accounts;
	struct account_book machine;
	struct found_vec found; /* of the look that is being taken */
	struct row_vec rows;
	uint64_t looked_usec;
	uint64_t cost_usec; /* of the last look, CPU */
	uint64_t cpu_usec; /* of the daemon, at the last look */
	uint64_t ksmd_usec;
	uint64_t ksmd_start_usec;
	uint64_t copied_start; /* cow_ksm when we began */
};

uint64_t accounting_saved(const struct process_ksm *ksm,
			  const struct ksm_counters *c)
{
	return ksm->zero_pages +
	       account_share(c->pages_sharing, ksm->merging_pages,
			     c->pages_shared + c->pages_sharing);
}

/* --- who belongs where ------------------------------------------------------ */

void accounting_found(struct accounting *a, struct watched *w)
{
	const char *target = *w->target ? w->target : "self-registered";
	const char *unit = w->facts.unit ? w->facts.unit : ACCOUNT_NO_UNIT;
	struct watched_account *wa = &w->account;

	wa->target = accounts_enter(a->accounts, ACCOUNT_TARGET, target);
	wa->unit = accounts_enter(a->accounts, ACCOUNT_UNIT, unit);
	wa->guest = w->facts.guest ? accounts_enter(a->accounts, ACCOUNT_GUEST,
						    w->facts.guest)
				   : NULL;
	w->held = wa->target->worth.held;
}

/* Call @f for the accounts that @w belongs to, its own first. */
static void for_books(struct watched *w,
		      void (*f)(struct account *account, uint64_t value),
		      uint64_t value)
{
	struct accounts_group *groups[] = { w->account.target, w->account.unit,
					    w->account.guest };

	f(&w->account.book.figures, value);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (groups[i])
			f(&groups[i]->book.figures, value);
}

static void add_daemon(struct account *account, uint64_t usec)
{
	account->daemon_usec += usec;
}

static void add_ksmd(struct account *account, uint64_t usec)
{
	account->ksmd_usec += usec;
}

static void add_broken(struct account *account, uint64_t pages)
{
	account->broken += pages;
}

/* CPU of the daemon's threads for @w since this was asked last. */
static uint64_t cpu_take(struct watched *w)
{
	uint64_t usec = (w->account.cpu_nsec - w->account.cpu_taken_nsec) /
			NSEC_PER_USEC;

	w->account.cpu_taken_nsec += usec * NSEC_PER_USEC;
	return usec;
}

/* Pages broken since then; what a fork shares was never merged by KSM. */
static uint64_t broken_take(struct watched *w, uint64_t merging)
{
	uint64_t most = MAX(w->account.merging, merging);
	uint64_t n = MIN(w->account.broken, most) + w->account.wasted;

	w->account.broken = w->account.wasted = 0;
	w->account.merging = merging;
	return n;
}

void accounting_lost(struct accounting *a, struct watched *w)
{
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct accounts_group *groups[] = { w->account.target, w->account.unit,
					    w->account.guest };

	(void)a;
	for_books(w, add_daemon, cpu_take(w));
	for_books(w, add_broken, broken_take(w, w->account.merging));
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (groups[i])
			accounts_leave(groups[i], now);
}

/* --- a look ------------------------------------------------------------------- */

static bool is_registered(const struct watched *w)
{
	for (size_t i = 0; i < w->vmas.n; i++)
		if (w->vmas.v[i].mergeable)
			return true;
	return w->account.records || w->account.book.figures.saved;
}

/* Who does not answer has what he had. */
static struct process_ksm answer_of(const struct watched *w,
				    const struct ask *ask)
{
	if (ask->result == -ETIMEDOUT || ask->result == -EBUSY)
		return (struct process_ksm){
			.merging_pages = w->account.merging,
			.rmap_items = w->account.records,
		};
	return ask->result ? (struct process_ksm){ 0 } : ask->ksm;
}

/* What KSM has of those that it may have something of. */
static void found_ask(struct accounting *a)
{
	struct ask asks[ASKS];
	struct found *of[ASKS];
	size_t n = 0;

	for (size_t i = 0; i <= a->found.n; i++) {
		struct found *f = i < a->found.n ? &a->found.v[i] : NULL;

		if (f && is_registered(f->watched)) {
			asks[n] = (struct ask){
				.id = f->watched->process.id,
				.dir = f->watched->process.dir,
			};
			of[n++] = f;
		}
		if (n < ASKS && f)
			continue;
		asking_ksm(a->env.asking, asks, n);
		for (size_t k = 0; k < n; k++)
			of[k]->ksm = answer_of(of[k]->watched, &asks[k]);
		n = 0;
	}
}

static void processes_find(struct accounting *a, const struct ksm_counters *c)
{
	size_t n;
	struct watched *const *list = watch_list(a->env.watch, &n);

	a->found.n = 0;
	if (vec_reserve(&a->found, n))
		return; /* without memory all is as it was at the last look */
	for (size_t i = 0; i < n; i++)
		if (list[i])
			a->found.v[a->found.n++] = (struct found){
				.watched = list[i],
			};
	found_ask(a);
	for (size_t i = 0; i < a->found.n; i++) {
		struct found *f = &a->found.v[i];
		struct watched *w = f->watched;

		f->saved = accounting_saved(&f->ksm, c);
		f->cpu_usec = cpu_take(w);
		f->broken = broken_take(w, f->ksm.merging_pages);
		w->account.records = f->ksm.rmap_items;
	}
}

/* What the daemon and ksmd have used since the last look, and for whom. */
static void cpu_share(struct accounting *a, const struct ksm_counters *c)
{
	uint64_t daemon = a->env.cpu_usec(a->env.userdata), ksmd_nsec = 0;
	uint64_t ksmd, direct = 0, records = 0, beside;

	if (!a->env.ksmd ||
	    process_cpu_nsec(a->env.root, a->env.ksmd, &ksmd_nsec))
		ksmd_nsec = a->ksmd_usec * NSEC_PER_USEC;
	ksmd = ksmd_nsec / NSEC_PER_USEC - a->ksmd_usec;
	for (size_t i = 0; i < a->found.n; i++) {
		direct += a->found.v[i].cpu_usec;
		records += a->found.v[i].ksm.rmap_items;
	}
	records = MAX(records, ksm_records(c));
	beside = daemon - a->cpu_usec;
	beside -= MIN(beside, direct);
	for (size_t i = 0; i < a->found.n; i++) {
		const struct found *f = &a->found.v[i];

		for_books(f->watched, add_daemon,
			  f->cpu_usec +
				  account_share(beside, f->cpu_usec, direct));
		for_books(f->watched, add_ksmd,
			  account_share(ksmd, f->ksm.rmap_items, records));
	}
	a->cpu_usec = daemon;
	a->ksmd_usec += ksmd;
	a->machine.figures.daemon_usec = daemon;
	a->machine.figures.ksmd_usec = a->ksmd_usec - a->ksmd_start_usec;
}

/* What was seen merged is less than the kernel counts where pages were written
 * since ksmd came by, and more where a fork shares. */
static uint64_t merged_pages(const struct found *f)
{
	const struct watched_regions *regions = &f->watched->regions;
	uint64_t n = 0;

	for (size_t i = 0; i < regions->n; i++)
		n += regions->v[i].merged;
	return MIN(n, f->ksm.merging_pages);
}

/* Not just after it was held: see holding.c. */
static bool is_judged(const struct watched *w)
{
	return w->n_passes >= w->account.judged_from;
}

static void process_take(struct found *f, uint64_t now)
{
	struct watched_account *wa = &f->watched->account;
	struct accounts_group *groups[] = { wa->target, wa->unit, wa->guest };
	int64_t profit = (int64_t)(f->saved * PAGE_BYTES) -
			 (int64_t)(f->ksm.rmap_items * ACCOUNT_RECORD_BYTES);
	uint64_t merged = merged_pages(f);
	struct worth_flow flow = {
		.saved = MIN(f->saved, f->ksm.zero_pages + merged),
		.merged = f->ksm.merging_pages,
		.broken = is_judged(f->watched) ? f->broken : 0,
	};

	account_look(&wa->book, f->saved, profit, now);
	for_books(f->watched, add_broken, f->broken);
	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		if (!groups[i])
			continue;
		groups[i]->saved += f->saved;
		groups[i]->profit += profit;
	}
	holding_judge(f->watched, &flow, now);
}

static void look(struct accounting *a)
{
	uint64_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	uint64_t copied = ksm_copied(a->env.root);
	struct ksm_counters c = { 0 };

	if (ksm_read(a->env.root, &c))
		memset(&c, 0, sizeof(c));
	processes_find(a, &c);
	cpu_share(a, &c);
	accounts_begin(a->accounts);
	for (size_t i = 0; i < a->found.n; i++)
		process_take(&a->found.v[i], now);
	accounts_end(a->accounts, now);
	holding_judge_targets(a->env.watch, a->accounts, now);
	a->machine.figures.broken = copied - MIN(copied, a->copied_start);
	account_look(&a->machine, ksm_saved(&c), ksm_profit(a->env.root, &c),
		     now);
	a->looked_usec = now;
	a->cost_usec = clock_usec(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct accounting *a = userdata;

	(void)usec;
	look(a);
	sd_event_source_set_time(
		source, a->looked_usec + MAX(ACCOUNT_LOOK_USEC,
					     a->cost_usec * LOOK_SHARE));
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

void accounting_release(struct accounting *a)
{
	holding_release(a->env.watch, a->accounts);
}

/* --- what is told --------------------------------------------------------------- */

static int processes_rows(struct accounting *a)
{
	size_t n;
	struct watched *const *list = watch_list(a->env.watch, &n);
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		const struct watched *w = list[i];

		if (!w)
			continue;
		r = vec_push(&a->rows,
			     ((struct account_row){
				     .pid = (uint32_t)w->process.id.pid,
				     .name = w->facts.comm,
				     .unit = w->account.unit->name,
				     .guest = w->account.guest
						      ? w->account.guest->name
						      : "",
				     .processes = 1,
				     .account = w->account.book.figures,
				     .reason = w->held ? REASON_KEEPS_BREAKING
						       : REASON_NONE,
			     }));
	}
	return r;
}

static int groups_rows(struct accounting *a, enum account_kind kind)
{
	struct accounts_group *g;
	int r = 0;

	for (size_t i = 0; !r && (g = accounts_at(a->accounts, kind, i)); i++)
		r = vec_push(&a->rows,
			     ((struct account_row){
				     .name = g->name,
				     .unit = "",
				     .guest = "",
				     .processes = g->processes,
				     .account = g->book.figures,
				     .reason = g->worth.held
						       ? REASON_KEEPS_BREAKING
						       : REASON_NONE,
			     }));
	return r;
}

int accounting_rows(struct accounting *a, enum account_kind kind,
		    const struct account_row **ret, size_t *ret_n)
{
	struct account_row machine = { .name = "", .unit = "", .guest = "" };
	int r;

	if (clock_usec(CLOCK_MONOTONIC) >
	    a->looked_usec + MAX(FRESH_USEC, a->cost_usec * FRESH_SHARE))
		look(a);
	a->rows.n = 0;
	machine.account = a->machine.figures;
	machine.processes = (uint32_t)a->found.n;
	if (kind == ACCOUNT_MACHINE)
		r = vec_push(&a->rows, machine);
	else if (kind == ACCOUNT_PROCESS)
		r = processes_rows(a);
	else
		r = groups_rows(a, kind);
	*ret = a->rows.v;
	*ret_n = a->rows.n;
	return r;
}

int accounting_new(const struct accounting_env *env, struct accounting **ret)
{
	struct accounting *a = calloc(1, sizeof(*a));
	uint64_t ksmd_nsec = 0;
	int r;

	if (!a)
		return -ENOMEM;
	a->env = *env;
	if (env->ksmd)
		process_cpu_nsec(env->root, env->ksmd, &ksmd_nsec);
	a->ksmd_usec = a->ksmd_start_usec = ksmd_nsec / NSEC_PER_USEC;
	a->copied_start = ksm_copied(env->root);
	r = accounts_new(&a->accounts);
	if (!r)
		r = sd_event_add_time(env->event, &a->timer, CLOCK_MONOTONIC,
				      clock_usec(CLOCK_MONOTONIC) +
					      ACCOUNT_LOOK_USEC,
				      USEC_PER_SEC, on_timer, a);
	if (r < 0) {
		accounting_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

struct accounting *accounting_free(struct accounting *a)
{
	if (!a)
		return NULL;
	sd_event_source_unref(a->timer);
	accounts_free(a->accounts);
	vec_free(&a->found);
	vec_free(&a->rows);
	free(a);
	return NULL;
}
