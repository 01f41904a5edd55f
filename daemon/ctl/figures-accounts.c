/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "figures-accounts.h"

#include <stddef.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "clock.h"

/* Figures of one kind of accounts; what has no name is left out, being told
 * elsewhere. */
struct families {
	const char *label; /* NULL: none, there is one account */
	struct openmetrics_family processes, saved, settled, peak, profit;
	struct openmetrics_family broken, cpu, held;
};

#define BYTES(kind, family, text)                                              \
	{                                                                      \
		"ksmd_plus_" kind #family, OPENMETRICS_GAUGE, "bytes", text    \
	}
#define GAUGE(kind, family, text)                                              \
	{                                                                      \
		"ksmd_plus_" kind #family, OPENMETRICS_GAUGE, NULL, text       \
	}
#define COUNTER(kind, family, unit, text)                                      \
	{                                                                      \
		"ksmd_plus_" kind #family, OPENMETRICS_COUNTER, unit, text     \
	}
/* What each kind has. */
#define COMMON(kind, whose)                                                    \
	.settled = BYTES(kind, settled_bytes,                                  \
			 "What is saved and lasts" whose                       \
			 ": falls at once and rises by half in a minute."),    \
	.peak = BYTES(kind, peak_bytes,                                        \
		      "The most that was saved at once" whose "."),            \
	.profit = BYTES(kind, profit_bytes,                                    \
			"What is saved less the memory that KSM needs" whose   \
			"; may be negative."),                                 \
	.broken = COUNTER(kind, broken_pages, "pages",                         \
			  "Merged pages that were written again" whose ".")
#define CPU(kind, whose)                                                       \
	.cpu = COUNTER(kind, cpu_seconds, "seconds",                           \
		       "CPU time spent, an attribution" whose                  \
		       "; of the daemon and of ksmd.")
#define HELD(kind, whose)                                                              \
	.held = GAUGE(                                                                 \
		kind, held,                                                            \
		"Whether nothing new is enrolled, because more is lost than won" whose \
		".")
#define OWN(kind, whose)                                                       \
	.processes = GAUGE(kind, processes, "Processes that live" whose "."),  \
	.saved = BYTES(kind, saved_bytes, "The part of saved_bytes" whose ".")

static const struct families families[ACCOUNT_PROCESS] = {
	[ACCOUNT_MACHINE] = { .label = NULL, COMMON("", "") },
	[ACCOUNT_TARGET] = { .label = "target",
			     COMMON("target_", ", by target"),
			     CPU("target_", ", by target"),
			     HELD("target_", ", by target") },
	[ACCOUNT_UNIT] = { .label = "unit",
			   OWN("unit_", ", by systemd unit"),
			   COMMON("unit_", ", by systemd unit"),
			   CPU("unit_", ", by systemd unit") },
	[ACCOUNT_GUEST] = { .label = "guest",
			    OWN("guest_", ", by virtual machine"),
			    COMMON("guest_", ", by virtual machine"),
			    CPU("guest_", ", by virtual machine") },
};

enum what { PROCESSES, HELD_NOW, SAVED, SETTLED, PEAK, PROFIT, BROKEN, SPENT };

static void put_cpu(struct openmetrics *om, struct openmetrics_label *labels,
		    size_t n, const struct account *a)
{
	labels[n] = (struct openmetrics_label){ "consumer", "daemon" };
	openmetrics_ratio(om, labels, n + 1, a->daemon_usec, USEC_PER_SEC);
	labels[n].value = "ksmd";
	openmetrics_ratio(om, labels, n + 1, a->ksmd_usec, USEC_PER_SEC);
}

static void put_one(struct openmetrics *om, const char *label, enum what what,
		    const struct account_row *row)
{
	struct openmetrics_label labels[2] = { { label, row->name } };
	const struct account *a = &row->account;
	const uint64_t values[] = {
		[PROCESSES] = row->processes,
		[HELD_NOW] = row->reason != REASON_NONE,
		[SAVED] = a->saved * PAGE_BYTES,
		[SETTLED] = a->settled * PAGE_BYTES,
		[PEAK] = a->peak * PAGE_BYTES,
		[PROFIT] = 0,
		[BROKEN] = a->broken,
	};
	size_t n = label ? 1 : 0;

	if (what == SPENT)
		put_cpu(om, labels, n, a);
	else if (what == PROFIT)
		openmetrics_signed(om, labels, n, a->profit);
	else
		openmetrics_count(om, labels, n, values[what]);
}

static void put_kind(struct openmetrics *om, const struct families *f,
		     const struct client_accounts *list)
{
	const struct openmetrics_family *const all[] = {
		[PROCESSES] = &f->processes, [HELD_NOW] = &f->held,
		[SAVED] = &f->saved,	     [SETTLED] = &f->settled,
		[PEAK] = &f->peak,	     [PROFIT] = &f->profit,
		[BROKEN] = &f->broken,	     [SPENT] = &f->cpu,
	};

	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		if (!all[k]->name)
			continue;
		openmetrics_begin(om, all[k]);
		for (size_t i = 0; i < list->n; i++)
			put_one(om, f->label, (enum what)k, &list->v[i]);
	}
}

int figures_accounts_get(sd_bus *bus, struct figures_accounts *ret)
{
	int r = 0;

	*ret = (struct figures_accounts){ 0 };
	for (int k = 0; r >= 0 && k < ACCOUNT_PROCESS; k++)
		r = client_get_accounts(bus, (enum account_kind)k,
					&ret->kinds[k]);
	return r;
}

void figures_accounts_clear(struct figures_accounts *accounts)
{
	for (int k = 0; k < ACCOUNT_PROCESS; k++)
		client_accounts_clear(&accounts->kinds[k]);
}

void figures_accounts_print(struct openmetrics *om,
			    const struct figures_accounts *accounts)
{
	for (int k = 0; k < ACCOUNT_PROCESS; k++)
		put_kind(om, &families[k], &accounts->kinds[k]);
}
