/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heirs - whose marks are ours, also those that were inherited
 *
 * A fork copies the marks of all mappings, and the flag of a process that is
 * registered whole; that one survives every exec, too (kernel/fork.c, mm_init()
 * by MMF_INIT_MASK). Whoever got them from a process that we have marked is
 * entered into the ledger like that one, so that he gets back what it does.
 */
#pragma once

#include <stdbool.h>

#include <ksmd-plus/types.h>

struct ledger;
struct root;

/*
 * Whether the marks of @id, which has some, are ours. Heirs are known by the
 * stack that they have in common with a process in the ledger, or by their
 * parent: who has lost it before he was seen is not.
 */
bool heirs_ask(const struct root *root, struct ledger *ledger,
	       struct process_id id);

/*
 * Forget what the ledger says of @id as far as it is over: all if the process
 * has exited, its ranges if it has become another program, as is told by its
 * stack, or known (@another).
 */
void heirs_settle(const struct root *root, struct ledger *ledger,
		  struct process_id id, bool another);
void heirs_settle_all(const struct root *root, struct ledger *ledger);
