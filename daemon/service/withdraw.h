/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * withdraw - takes our marks back, where that harms nobody
 *
 * Un-marking a range gives every merged page in it a copy of its own again:
 * memory, charged to the owner's cgroup (facts 1.9, 2.5). So a process keeps
 * its marks where the machine would be left with less than a tenth of its
 * memory, where a limit of its cgroup would come near, and on kernels whose
 * MADV_UNMERGEABLE loses other flags. Pages that stay merged are correct and
 * are un-merged by the kernel when written, as ever.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct asking;
struct enrol;
struct ledger;
struct root;
struct watched;
struct withdraw;

struct withdraw_env {
	const struct root *root;
	struct asking *asking;
	struct enrol *enrol;
	struct ledger *ledger;
	bool unmergeable_safe;
	/* bytes of copies that are just being made; NULL where nobody asks */
	uint64_t *in_flight;
};

enum withdraw_verdict {
	WITHDRAW_BEGUN, /* @done will be called */
	WITHDRAW_NOTHING, /* we never marked anything there */
	WITHDRAW_KEPT, /* it would do harm: the marks stay */
};

/*
 * Begin to take back all marks of @watched. @done: called from the loop when
 * that has ended, well or not; NULL if nobody waits.
 */
enum withdraw_verdict withdraw_begin(const struct withdraw_env *env,
				     struct watched *watched,
				     void (*done)(void *userdata),
				     void *userdata);
