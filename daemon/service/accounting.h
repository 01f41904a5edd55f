/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accounting - looks at what each process saves and costs, and keeps accounts
 *
 * <ksmd-plus/account.h> defines the figures. A look costs one read of ksm_stat
 * for each process that has something registered with KSM, and no more than a
 * 200th of a CPU: with many processes looks become rarer. Memory is bounded by
 * the processes that are watched, and ACCOUNT_GROUPS_MAX.
 *
 * At each look it is judged who loses more than he wins (decide/worth): a
 * process, or the processes of a target together. watched->held says so; who
 * enrols and promises goes by it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include <ksmd-plus/account.h>

struct accounting;
struct asking;
struct ksm_counters;
struct process_ksm;
struct root;
struct watch;
struct watched;

struct accounting_env {
	sd_event *event;
	const struct root *root;
	const struct watch *watch;
	struct asking *asking;
	pid_t ksmd; /* 0: unknown */
	uint64_t (*cpu_usec)(void *userdata); /* of daemon and injectors */
	void *userdata;
};

/* 0 or negative errno. */
int accounting_new(const struct accounting_env *env, struct accounting **ret);
struct accounting *accounting_free(struct accounting *accounting);

/* A process has come; it goes, and what it cost stays. */
void accounting_found(struct accounting *accounting, struct watched *watched);
void accounting_lost(struct accounting *accounting, struct watched *watched);

/* An operator asks: nobody is held back any more. */
void accounting_release(struct accounting *accounting);

/* The accounts of @kind; rows live until the next call. 0 or -ENOMEM. */
int accounting_rows(struct accounting *accounting, enum account_kind kind,
		    const struct account_row **ret, size_t *ret_n);

/* Pages that a process saves of what KSM saves. */
uint64_t accounting_saved(const struct process_ksm *ksm,
			  const struct ksm_counters *counters);
