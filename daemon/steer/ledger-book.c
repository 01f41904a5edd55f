/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger-book.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void book_clear(struct ledger_book *book)
{
	for (size_t i = 0; i < book->processes.n; i++)
		vec_free(&book->processes.v[i].ranges);
	vec_free(&book->processes);
	vec_free(&book->knobs);
}

struct ledger_knob *book_knob(const struct ledger_book *book, const char *name)
{
	for (size_t i = 0; i < book->knobs.n; i++)
		if (!strcmp(book->knobs.v[i].name, name))
			return &book->knobs.v[i];
	return NULL;
}

struct ledger_process *book_process(const struct ledger_book *book,
				    struct process_id id)
{
	for (size_t i = 0; i < book->processes.n; i++) {
		struct ledger_process *p = &book->processes.v[i];

		if (p->id.pid == id.pid && p->id.start_time == id.start_time)
			return p;
	}
	return NULL;
}

int book_process_get(struct ledger_book *book, struct process_id id,
		     struct ledger_process **ret)
{
	*ret = book_process(book, id);
	if (*ret)
		return 0;
	if (vec_push(&book->processes, ((struct ledger_process){ .id = id })))
		return -ENOMEM;
	*ret = &book->processes.v[book->processes.n - 1];
	return 0;
}

void book_forget(struct ledger_book *book, struct process_id id)
{
	struct ledger_process *p = book_process(book, id);

	if (!p)
		return;
	vec_free(&p->ranges);
	*p = book->processes.v[--book->processes.n];
}

void book_knob_restored(struct ledger_book *book, const char *name)
{
	struct ledger_knob *k = book_knob(book, name);

	if (k)
		*k = book->knobs.v[--book->knobs.n];
}

int book_knob_found(struct ledger_book *book, const char *name,
		    const char *original)
{
	struct ledger_knob k = { 0 };

	if (book_knob(book, name))
		return 0;
	snprintf(k.name, sizeof(k.name), "%s", name);
	snprintf(k.original, sizeof(k.original), "%s", original);
	return vec_push(&book->knobs, k);
}

void book_knob_writes(struct ledger_book *book, const char *name,
		      const char *value)
{
	struct ledger_knob *k = book_knob(book, name);

	if (!k)
		return;
	memcpy(k->before, k->wrote, sizeof(k->before));
	snprintf(k->wrote, sizeof(k->wrote), "%s", value);
}

void book_program(struct ledger_process *p, uint64_t stack)
{
	if (!stack || (p->stack && p->stack != stack))
		p->ranges.n = 0;
	p->stack = stack;
}

/* A copy: what either gets later is its own. */
int book_inherits(struct ledger_book *book, struct process_id id,
		  struct process_id from_id)
{
	const struct ledger_process *from = book_process(book, from_id);
	struct ledger_process *p;
	int r = from ? book_process_get(book, id, &p) : 0;

	if (r || !from)
		return r;
	from = book_process(book, from_id); /* it may have moved */
	if (from == p)
		return 0;
	p->stack = from->stack;
	p->whole = from->whole;
	p->ranges.n = 0;
	for (size_t i = 0; !r && i < from->ranges.n; i++)
		r = vec_push(&p->ranges, from->ranges.v[i]);
	return r;
}

static bool is_range(uint64_t start, uint64_t length)
{
	return length && start % PAGE_BYTES == 0 && length % PAGE_BYTES == 0 &&
	       start + length > start;
}

/* A line about process @id; @rest is what stands after its name. */
static int process_replay(struct ledger_book *book, const char *word,
			  struct process_id id, const char *rest)
{
	struct ledger_process *p;
	struct process_id from;
	uint64_t a, b;
	int r = 0;

	if (!strcmp(word, "forget")) {
		book_forget(book, id);
	} else if (!strcmp(word, "whole")) {
		r = book_process_get(book, id, &p);
		if (!r)
			p->whole = true;
	} else if (!strcmp(word, "program") &&
		   sscanf(rest, "%" SCNx64, &a) == 1) {
		r = book_process_get(book, id, &p);
		if (!r)
			book_program(p, a);
	} else if (!strcmp(word, "heir") &&
		   sscanf(rest, "%d %" SCNu64, &from.pid, &from.start_time) ==
			   2) {
		r = book_inherits(book, id, from);
	} else if (!strcmp(word, "enrol") &&
		   sscanf(rest, "%" SCNx64 " %" SCNx64, &a, &b) == 2 &&
		   is_range(a, b)) {
		r = book_process_get(book, id, &p);
		if (!r)
			r = vec_push(&p->ranges, ((struct range){ a, a + b }));
	}
	return r;
}

int book_take(struct ledger_book *book, const char *line)
{
	char name[32], value[LEDGER_VALUE];
	struct process_id id;
	int n = 0;

	if (sscanf(line, "knob %31s %23s", name, value) == 2)
		return book_knob_found(book, name, value);
	if (sscanf(line, "wrote %31s %23s", name, value) == 2)
		book_knob_writes(book, name, value);
	else if (sscanf(line, "restored %31s", name) == 1)
		book_knob_restored(book, name);
	else if (sscanf(line, "%31s %d %" SCNu64 "%n", name, &id.pid,
			&id.start_time, &n) == 3 &&
		 id.pid > 0)
		return process_replay(book, name, id, line + n);
	return 0;
}

void book_write(const struct ledger_book *book, FILE *f)
{
	for (size_t i = 0; i < book->knobs.n; i++) {
		const struct ledger_knob *k = &book->knobs.v[i];

		fprintf(f, "knob %s %s\n", k->name, k->original);
		if (k->before[0])
			fprintf(f, "wrote %s %s\n", k->name, k->before);
		if (k->wrote[0])
			fprintf(f, "wrote %s %s\n", k->name, k->wrote);
	}
	for (size_t i = 0; i < book->processes.n; i++) {
		const struct ledger_process *p = &book->processes.v[i];

		if (p->stack || (!p->whole && !p->ranges.n))
			fprintf(f, "program %d %" PRIu64 " %" PRIx64 "\n",
				p->id.pid, p->id.start_time, p->stack);
		if (p->whole)
			fprintf(f, "whole %d %" PRIu64 "\n", p->id.pid,
				p->id.start_time);
		for (size_t j = 0; j < p->ranges.n; j++)
			fprintf(f,
				"enrol %d %" PRIu64 " %" PRIx64 " %" PRIx64
				"\n",
				p->id.pid, p->id.start_time,
				p->ranges.v[j].start,
				p->ranges.v[j].end - p->ranges.v[j].start);
	}
}
