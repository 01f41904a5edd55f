/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * targets - from [target NAME] sections to rules
 *
 * Targets are drafts until every file is read. A section whose name an earlier
 * file has used replaces that target, in its place in the order, because the
 * first target that matches decides. Twice in one file it is a fault.
 *
 * A target is never half in force: without one of its conditions it would name
 * other processes than was meant. With a fault in its section it is ignored,
 * unless it says, or may have meant to say, "exclude"; then it excludes what
 * its other lines name. A target without conditions would name everybody
 * and is ignored.
 */
#pragma once

#include <stddef.h>

#include "rules.h"
#include "vec.h"

struct complaints;
struct draft;

struct target_drafts VEC(struct draft *);

struct targets {
	struct complaints *complaints;
	const char *file; /* that is being read */
	unsigned int file_no; /* counts the files */
	struct target_drafts drafts;
	struct draft *current; /* the section that is being read */
	void *by_name; /* drafts, in a tsearch(3) tree */
};

/* What follows stands in @file, which outlives that. */
void targets_file(struct targets *targets, const char *file);

/* The section [target @name] begins. 0 or -ENOMEM. */
int targets_begin(struct targets *targets, unsigned int line, const char *name);

/* Something in the section is wrong and has been complained about. */
void targets_fault(struct targets *targets, unsigned int line);

/*
 * Take "@key = @value" of the section; a fault in it is complained about.
 * @rule_key is an enum rule_key. 0 or -ENOMEM.
 */
int targets_add_glob(struct targets *targets, unsigned int line,
		     const char *key, const char *value, int rule_key);
int targets_set_mode(struct targets *targets, unsigned int line,
		     const char *key, const char *value, int unused);
int targets_set_domain(struct targets *targets, unsigned int line,
		       const char *key, const char *value, int unused);

/*
 * Judge the drafts and move those that hold into *ret, which the caller frees
 * with rules_clear(). 0 or -ENOMEM.
 */
int targets_finish(struct targets *targets, struct rules *ret);

/* Free what is left. */
void targets_clear(struct targets *targets);
