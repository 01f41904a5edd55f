/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * account - what merging brings somebody, and what it costs
 *
 * There is an account for each process that is watched, and for each target,
 * systemd unit and guest (a virtual machine, by the name that QEMU was given)
 * that has or had such processes, and for the machine. A look at all accounts
 * is taken every ACCOUNT_LOOK_USEC or more rarely; the figures are those of
 * the last look. What a process has cost stays in the accounts of its target,
 * unit and guest when it has ended.
 *
 * saved, pages: frames that are free because of merging. Of a process:
 *	zero pages + merging * sharing / (shared + sharing)
 * where `merging` are the pages that it maps to merged frames, and `shared` and
 * `sharing` are KSM's counters: all sharers of a frame have an equal part in
 * it. Of others: the sum of their processes; of the machine: KSM's counters.
 * The kernel's counters fall when ksmd comes by, not when a page is written.
 *
 * settled, pages: the lower envelope of `saved`. At a look at time t, which
 * finds s(t) saved,
 *	settled(t) = min(s(t), S + (s(t) - S) * (1 - 2^(-d / H)))
 * with S the settled of the look before, d the time since then in whole
 * seconds and H = ACCOUNT_HALF_SEC; an account begins with 0. It falls at once
 * with what is saved, and rises half way towards it in each H.
 *
 * peak, pages: the greatest `saved` of all looks.
 *
 * broken, pages: were merged (of these at most as many as the kernel counted
 * for the process: what a fork shares is no merge), or had been promised to a
 * pulse that is over, and held another content when they were looked at next.
 * Pages of zeros are not counted. Of the machine: the
 * kernel's cow_ksm since the daemon started (pages that were copied because of
 * a write or, seldom, a pin).
 *
 * daemon, microseconds: an attribution. CPU time of the daemon's threads while
 * they read its mappings and its pages is its own; what the daemon uses beside
 * that between two looks is shared out in proportion to it. Of the machine:
 * all, injectors included.
 *
 * ksmd, microseconds: an attribution. What ksmd uses between two looks is
 * shared out by the pages that ksmd keeps a record of (rmap items) for each
 * process. A full scan visits each of them once; that a merge costs more than
 * a visit is not told apart. Of the machine: all.
 *
 * profit, bytes, signed: saved * 4096 - 64 * records that ksmd keeps. Of the
 * machine: the kernel's general_profit, where it has that.
 */
#pragma once

#include <stdint.h>

#include "reasons.h"

#define ACCOUNT_LOOK_USEC 5000000ULL
#define ACCOUNT_HALF_SEC  60U
/* sizeof(struct ksm_rmap_item) of 64-bit kernels. */
#define ACCOUNT_RECORD_BYTES 64

struct account {
	uint64_t saved;
	uint64_t settled;
	uint64_t peak;
	uint64_t broken;
	uint64_t daemon_usec;
	uint64_t ksmd_usec;
	int64_t profit;
};

enum account_kind {
	ACCOUNT_MACHINE,
	ACCOUNT_TARGET,
	ACCOUNT_UNIT,
	ACCOUNT_GUEST,
	ACCOUNT_PROCESS,
	ACCOUNT_KIND_MAX_,
};

/*
 * There are at most so many accounts of targets, of units and of guests each.
 * With more of them at a time the rest is one account of this name; one that
 * has no process any more gives way to another, and is counted there, too.
 */
#define ACCOUNT_GROUPS_MAX 512
#define ACCOUNT_OTHERS	   "(others)"
/* Processes that are in no unit. */
#define ACCOUNT_NO_UNIT "(none)"
/* Names are cut off there. */
#define ACCOUNT_NAME_SIZE 128

/* "machine", "target", "unit", "guest", "process". */
const char *account_kind_name(enum account_kind kind);

/* The kind of that name, or ACCOUNT_KIND_MAX_. */
enum account_kind account_kind_from_name(const char *name);

/* One account, as it is told; on the bus usssuttttttxs. */
struct account_row {
	uint32_t pid; /* of a process, else 0 */
	const char *name; /* comm of a process, "" of the machine */
	const char *unit; /* of a process, else "" */
	const char *guest;
	uint32_t processes; /* that live */
	struct account account;
	enum reason reason; /* why nothing new is enrolled, or NONE */
};
