/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "targets.h"

#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "complaints.h"

/* Bytes of a name or a domain: they stand in tables and metrics. */
#define WORD_LEN_MAX 64

/* The kernel keeps 15 bytes of a process name (TASK_COMM_LEN - 1). */
#define COMM_LEN 15

struct draft {
	struct rule_target target;
	unsigned int file_no;
	unsigned int fault; /* line of the first fault, or 0 */
	unsigned int mode_line; /* 0: not given */
	unsigned int domain_line; /* 0: not given */
};

static struct draft *draft_free(struct draft *draft)
{
	if (draft) {
		rule_target_clear(&draft->target);
		free(draft);
	}
	return NULL;
}

DEFINE_CLEANUP(struct draft, draft_free)

static struct draft *draft_new(const struct targets *targets, unsigned int line,
			       const char *name)
{
	_cleanup_(draft_freep) struct draft *draft = calloc(1, sizeof(*draft));

	if (!draft)
		return NULL;
	draft->file_no = targets->file_no;
	draft->target.mode = MODE_SELECTIVE;
	draft->target.line = line;
	draft->target.name = strdup(name);
	draft->target.domain = strdup("");
	draft->target.file = strdup(targets->file);
	if (!draft->target.name || !draft->target.domain || !draft->target.file)
		return NULL;
	return TAKE_PTR(draft);
}

static int draft_compare(const void *a, const void *b)
{
	const struct draft *x = a, *y = b;

	return strcmp(x->target.name, y->target.name);
}

/* What is wrong with a name or a domain, or NULL. */
static const char *word_fault(const char *word)
{
	if (!*word)
		return "is missing";
	if (strlen(word) > WORD_LEN_MAX)
		return "is longer than 64 bytes";
	if (strchr(word, ' '))
		return "holds a blank";
	return NULL;
}

void targets_file(struct targets *targets, const char *file)
{
	targets->file = file;
	targets->file_no++;
	targets->current = NULL;
}

void targets_fault(struct targets *targets, unsigned int line)
{
	if (!targets->current->fault)
		targets->current->fault = line;
}

/* Put @draft where its name says, and make it the current one. */
static int targets_place(struct targets *targets, struct draft *draft)
{
	struct draft **found = tfind(draft, &targets->by_name, draft_compare);
	struct draft swap;
	int r;

	if (found && (*found)->file_no != draft->file_no) {
		swap = **found;
		**found = *draft;
		*draft = swap;
		targets->current = *found;
		draft_free(draft);
		return 0;
	}
	r = vec_push(&targets->drafts, draft);
	if (r < 0) {
		draft_free(draft);
		return r;
	}
	targets->current = draft;
	if (found) {
		complaints_add(
			targets->complaints, targets->file, draft->target.line,
			"target \"%s\" stands in line %u already, expected one section of a name in a file",
			draft->target.name, (*found)->target.line);
		targets_fault(targets, draft->target.line);
		return 0;
	}
	return tsearch(draft, &targets->by_name, draft_compare) ? 0 : -ENOMEM;
}

int targets_begin(struct targets *targets, unsigned int line, const char *name)
{
	const char *fault = word_fault(name);
	struct draft *draft;
	int r;

	targets->current = NULL;
	draft = draft_new(targets, line, fault ? "(unnamed)" : name);
	if (!draft)
		return -ENOMEM;
	if (!fault)
		return targets_place(targets, draft);

	complaints_add(
		targets->complaints, targets->file, line,
		"the name of this target %s, expected [target NAME] with one word of up to 64 bytes",
		fault);
	r = vec_push(&targets->drafts, draft);
	if (r < 0) {
		draft_free(draft);
		return r;
	}
	targets->current = draft;
	targets_fault(targets, line);
	return 0;
}

/* Why no process can ever match @glob, with what to do; or NULL. */
static const char *glob_fault(const char *glob, enum rule_key key)
{
	bool wild = glob[strcspn(glob, "*?[")];

	if (!*glob)
		return "is empty, expected a glob";
	if (*glob == '"' || *glob == '\'')
		return "begins with a quote, expected a glob without quotes";
	if ((key == RULE_EXE || key == RULE_CGROUP) && *glob != '/')
		return "does not begin with \"/\", expected a whole path, in which \"*\" stops at a slash";
	if (key == RULE_COMM && !wild && strlen(glob) > COMM_LEN)
		return "is longer than the 15 bytes that the kernel keeps of a name, expected those or a \"*\"";
	if (key == RULE_UNIT && !wild && !strchr(glob, '.'))
		return "has no suffix, expected a unit's whole name, such as NAME.service, or a \"*\"";
	return NULL;
}

int targets_add_glob(struct targets *targets, unsigned int line,
		     const char *key, const char *value, int rule_key)
{
	struct rule_globs *globs = &targets->current->target.keys[rule_key];
	const char *fault = glob_fault(value, (enum rule_key)rule_key);
	char quote[COMPLAINTS_QUOTE_SIZE];
	_cleanup_free_ char *copy = NULL;
	char **v;

	if (fault) {
		complaints_add(targets->complaints, targets->file, line,
			       "%s: %s %s", key, complaints_quote(quote, value),
			       fault);
		targets_fault(targets, line);
		return 0;
	}
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	v = reallocarray(globs->v, globs->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	globs->v = v;
	globs->v[globs->n++] = TAKE_PTR(copy);
	return 0;
}

/* Complain if @key was given before, in @first_line of this section. */
static bool targets_twice(struct targets *targets, unsigned int line,
			  const char *key, unsigned int *first_line)
{
	if (!*first_line) {
		*first_line = line;
		return false;
	}
	complaints_add(targets->complaints, targets->file, line,
		       "%s stands in line %u already, expected it once", key,
		       *first_line);
	targets_fault(targets, line);
	return true;
}

int targets_set_mode(struct targets *targets, unsigned int line,
		     const char *key, const char *value, int unused)
{
	struct draft *draft = targets->current;
	enum mode mode = mode_from_name(value);
	char quote[COMPLAINTS_QUOTE_SIZE];

	(void)unused;
	if (targets_twice(targets, line, key, &draft->mode_line)) {
		mode = MODE_EXCLUDE;
	} else if (mode == MODE_MAX_) {
		complaints_add(
			targets->complaints, targets->file, line,
			"%s: expected selective, whole, managed, observe or exclude, not %s",
			key, complaints_quote(quote, value));
		targets_fault(targets, line);
		mode = MODE_EXCLUDE;
	}
	draft->target.mode = mode;
	return 0;
}

int targets_set_domain(struct targets *targets, unsigned int line,
		       const char *key, const char *value, int unused)
{
	struct draft *draft = targets->current;
	const char *fault = word_fault(value);
	char *copy;

	(void)unused;
	if (targets_twice(targets, line, key, &draft->domain_line))
		return 0;
	if (fault) {
		complaints_add(
			targets->complaints, targets->file, line,
			"%s: the name of the domain %s, expected one word of up to 64 bytes",
			key, fault);
		targets_fault(targets, line);
		return 0;
	}
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(draft->target.domain);
	draft->target.domain = copy;
	return 0;
}

/* Whether @draft comes into force, with a complaint that says what does not. */
static bool draft_holds(const struct targets *targets,
			const struct draft *draft)
{
	const struct rule_target *t = &draft->target;
	size_t n_globs = 0;

	for (int k = 0; k < RULE_KEY_MAX_; k++)
		n_globs += t->keys[k].n;
	if (!n_globs && !draft->fault) {
		complaints_add(
			targets->complaints, t->file, t->line,
			"target \"%s\" has no condition and would match every process, expected at least one of unit, cgroup, exe, comm and user; it is ignored",
			t->name);
		return false;
	}
	if (!draft->fault)
		return true;
	if (n_globs && t->mode == MODE_EXCLUDE) {
		complaints_add(
			targets->complaints, t->file, t->line,
			"target \"%s\" excludes what its other lines name until line %u is corrected",
			t->name, draft->fault);
		return true;
	}
	complaints_add(targets->complaints, t->file, t->line,
		       "target \"%s\" is ignored until line %u is corrected",
		       t->name, draft->fault);
	return false;
}

int targets_finish(struct targets *targets, struct rules *ret)
{
	struct rules rules = { 0 };

	rules.targets = calloc(targets->drafts.n + 1, sizeof(*rules.targets));
	if (!rules.targets)
		return -ENOMEM;
	for (size_t i = 0; i < targets->drafts.n; i++) {
		struct draft *draft = targets->drafts.v[i];

		if (!draft_holds(targets, draft))
			continue;
		rules.targets[rules.n_targets++] = draft->target;
		draft->target = (struct rule_target){ 0 };
	}
	*ret = rules;
	return 0;
}

static void tree_keep(void *draft)
{
	(void)draft; /* the vector owns it */
}

void targets_clear(struct targets *targets)
{
	tdestroy(targets->by_name, tree_keep);
	for (size_t i = 0; i < targets->drafts.n; i++)
		draft_free(targets->drafts.v[i]);
	vec_free(&targets->drafts);
	*targets = (struct targets){ 0 };
}
