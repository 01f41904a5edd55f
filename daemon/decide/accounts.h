/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * accounts - the accounts of targets, units and guests, within a bound
 *
 * Each is found by its kind and its name, which is cleaned first: two names
 * that look the same to people are one account. How many there may be, and
 * what becomes of those for which there is no room, <ksmd-plus/account.h>
 * tells.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "account.h"
#include "worth.h"

struct accounts;

struct accounts_group {
	enum account_kind kind;
	char name[ACCOUNT_NAME_SIZE];
	uint32_t hash;
	uint32_t processes;
	uint64_t used_usec; /* when its last process left */
	struct account_book book;
	struct worth worth;
	/* sums of the look that is being taken */
	uint64_t saved;
	int64_t profit;
	struct worth_flow flow; /* of those that are not held themselves */
};

/* 0 or -ENOMEM. */
int accounts_new(struct accounts **ret);
struct accounts *accounts_free(struct accounts *accounts);

/*
 * A process has come that belongs to @name: its group, which stays where it is
 * until as many accounts_leave() were called. Never NULL: without room, or
 * without memory, it is the one of the others.
 */
struct accounts_group *accounts_enter(struct accounts *accounts,
				      enum account_kind kind, const char *name);
void accounts_leave(struct accounts_group *group, uint64_t now_usec);

/* Begin a look: all sums become 0. And end it: they are taken in. */
void accounts_begin(struct accounts *accounts);
void accounts_end(struct accounts *accounts, uint64_t now_usec);

/* The groups that there are; the one of the others only if it was ever used.
 * NULL at the end. */
struct accounts_group *accounts_at(struct accounts *accounts,
				   enum account_kind kind, size_t i);
