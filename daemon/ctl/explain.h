/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explain - why processes merge or do not, as far as /proc and /sys tell
 *
 * Reads, judges and changes nothing; needs no daemon. What the daemon knows is
 * added by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ksmd-plus/reasons.h>

#include "choose.h"
#include "files.h"
#include "kfeat.h"
#include "process.h"
#include "vmas.h"

/* A reason that holds, and for how much. */
struct explain_row {
	enum reason reason;
	uint64_t pages; /* 0: not of single pages, or not counted */
	char detail[96]; /* what a sentence cannot know; fit for a terminal */
};

#define EXPLAIN_ROWS_MAX 32

struct explain_rows {
	struct explain_row v[EXPLAIN_ROWS_MAX];
	size_t n;
};

/* Add a reason, unless it is there already or none. */
void explain_add(struct explain_rows *rows, enum reason reason, uint64_t pages,
		 const char *detail);

/* What keeps everybody on this machine from merging. */
void explain_host(const struct root *root, const struct kfeat *kfeat,
		  struct explain_rows *rows);

/* One process. */
struct explained {
	struct chosen chosen;
	struct process_ksm ksm;
	struct vma_classes classes;
	struct explain_rows rows;
	/* What the daemon says of it, where it knows it: */
	char rule[96]; /* the rule that it goes by, "" where it does not */
	char mode[16];
};

struct explained_vec VEC(struct explained);

/* Return: 0 with *ret, or 1 if the process is gone. */
int explain_process(const struct root *root, const struct kfeat *kfeat,
		    const struct chosen *chosen, struct explained *ret);
