/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * watch - which processes exist, and which of them are ours to look at
 *
 * Walks /proc, asks the rules, and keeps a struct watched for every process
 * that may be read. What was judged once is judged again when it is young (a
 * fork becomes another program by exec), when its name changed, and every
 * WATCH_JUDGE_USEC, since programs register memory and move between cgroups.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process.h"
#include "rules.h"
#include "watched.h"

#define WATCH_JUDGE_USEC 15000000ULL

struct asking;
struct watch;

struct watch_ops {
	/* A process that may be read; its record is new. */
	void (*found)(void *userdata, struct watched *watched);
	/* It is gone or no longer named: let go of it. */
	void (*lost)(void *userdata, struct watched *watched);
	/* Not named, never watched, and with marks of ours. */
	void (*stray)(void *userdata, struct watched *watched);
};

/* @root, @asking and @ops outlive it. */
int watch_new(const struct root *root, struct asking *asking,
	      const struct watch_ops *ops, void *userdata, struct watch **ret);
struct watch *watch_free(struct watch *watch);

/* @rules stay the caller's; replaced by a reload, judged by at the next walk. */
void watch_set_rules(struct watch *watch, const struct rules *rules);

/* @dry_run: nothing above MODE_OBSERVE. @smaps: see process_facts_read(). */
void watch_set_limits(struct watch *watch, bool dry_run, bool smaps);

/* A pid that is part of ourselves (the injector). */
void watch_add_own(struct watch *watch, pid_t pid);

/* Asked for each process that is judged: are its registrations ours, and not
 * its own; and was it handed to us? */
typedef bool (*watch_ask_fn)(void *userdata, struct process_id id);
void watch_set_asked(struct watch *watch, watch_ask_fn is_ours,
		     watch_ask_fn is_adopted);

/* Judge all again at the next walk. */
void watch_judge_again(struct watch *watch);

/* Walk /proc now. 0 or negative errno (-ENOMEM, or /proc cannot be read). */
int watch_walk(struct watch *watch, uint64_t now_usec);

/* The kernel keeps us out of it: it is named, and not watched. */
bool watch_is_denied(const struct watch *watch, pid_t pid);

/* All that are watched: a dense array with NULLs. */
struct watched *const *watch_list(const struct watch *watch, size_t *ret_n);

/* The one of that number, or NULL: there is none any more. */
struct watched *watch_get(const struct watch *watch, uint32_t number);

/* Others like it were read in full: it will do to probe this one. */
bool watch_has_reference(const struct watch *watch, const struct watched *w);

/* Pages in mergeable mappings of all that are watched: what ksmd has to look
 * at, as far as is known. */
uint64_t watch_registered(const struct watch *watch);
