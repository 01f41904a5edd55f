/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"
#include "ledger-book.h"

#define LEDGER_FILE "ledger"
#define LEDGER_NEW  "ledger.new"
/* Rewritten without what is forgotten beyond this, or beyond twice of what
 * was needed the last time. */
#define LEDGER_LARGE (1U << 20)

struct ledger {
	int dirfd;
	int fd; /* -1 in a dry run */
	uint64_t bytes;
	uint64_t large; /* to be rewritten beyond this */
	struct ledger_book book;
};

static int replay(struct ledger *ledger)
{
	_cleanup_free_ char *text = NULL;
	char *save = NULL;
	size_t len;
	int r = file_read_all(ledger->dirfd, LEDGER_FILE, &text, &len);

	if (r)
		return r == -ENOENT ? 0 : r;
	/* a line without its end was cut short: its change was not made */
	while (len && text[len - 1] != '\n')
		text[--len] = '\0';
	ledger->bytes = len;
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		r = book_take(&ledger->book, line);
		if (r)
			return r;
	}
	return 0;
}

static int line_append(struct ledger *ledger, const char *text, size_t len)
{
	ssize_t n;

	if (ledger->fd < 0)
		return 0;
	n = write(ledger->fd, text, len);
	if (n < 0)
		return -errno;
	if ((size_t)n == len) {
		ledger->bytes += len;
		return 0;
	}
	/* the disk is full: the next line must not continue this one */
	return ftruncate(ledger->fd, (off_t)ledger->bytes) < 0 ? -errno
							       : -ENOSPC;
}

__attribute__((format(printf, 2, 3))) static int append(struct ledger *ledger,
							const char *fmt, ...)
{
	char line[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return line_append(ledger, line, (size_t)n);
}

/* A new file with what still counts takes the place of the old at once. */
static int compact(struct ledger *ledger)
{
	_cleanup_close_ int fd = -1;
	_cleanup_fclose_ FILE *f = NULL;
	long size;

	fd = openat(ledger->dirfd, LEDGER_NEW,
		    O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(dup(fd), "w");
	if (!f)
		return -errno;
	book_write(&ledger->book, f);
	size = ftell(f);
	if (fflush(f) || ferror(f) || size < 0)
		return -EIO;
	if (renameat(ledger->dirfd, LEDGER_NEW, ledger->dirfd, LEDGER_FILE) < 0)
		return -errno;
	close_fd(ledger->fd);
	ledger->fd = TAKE_FD(fd);
	ledger->bytes = (uint64_t)size;
	ledger->large = MAX(2 * ledger->bytes, (uint64_t)LEDGER_LARGE);
	return 0;
}

static int compact_or_clean(struct ledger *ledger)
{
	int r = compact(ledger);

	/* the old file stays good; what there is of a new one takes room */
	if (r)
		unlinkat(ledger->dirfd, LEDGER_NEW, 0);
	return r;
}

static void compact_if_large(struct ledger *ledger)
{
	if (ledger->fd >= 0 && ledger->bytes > ledger->large)
		compact_or_clean(ledger);
}

/* Something is undone: if there is no room to say so, there may be without. */
static void note(struct ledger *ledger, int r)
{
	if (r && ledger->fd >= 0)
		compact_or_clean(ledger);
	else
		compact_if_large(ledger);
}

/* Without room for a new file: go on with the old. */
static int append_to_old(struct ledger *ledger)
{
	_cleanup_close_ int fd = openat(ledger->dirfd, LEDGER_FILE,
					O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)ledger->bytes) < 0)
		return -errno;
	ledger->fd = TAKE_FD(fd);
	ledger->large = MAX(2 * ledger->bytes, (uint64_t)LEDGER_LARGE);
	return 0;
}

enum purpose { DRY_RUN, TO_READ, TO_WRITE };

static int open_for(enum purpose purpose, int dirfd, struct ledger **ret)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));
	int r = 0;

	if (!ledger)
		return -ENOMEM;
	ledger->fd = -1;
	ledger->dirfd = dirfd;
	if (purpose != DRY_RUN)
		r = replay(ledger);
	if (!r && purpose == TO_WRITE) {
		r = compact_or_clean(ledger);
		if (r && append_to_old(ledger) == 0)
			r = 0;
	}
	if (r) {
		ledger_close(ledger);
		return r;
	}
	*ret = ledger;
	return 0;
}

int ledger_open(int dirfd, bool dry_run, struct ledger **ret)
{
	return open_for(dry_run ? DRY_RUN : TO_WRITE, dirfd, ret);
}

int ledger_read(int dirfd, struct ledger **ret)
{
	return open_for(TO_READ, dirfd, ret);
}

struct ledger *ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return NULL;
	if (ledger->fd >= 0 && !ledger->book.knobs.n &&
	    !ledger->book.processes.n)
		unlinkat(ledger->dirfd, LEDGER_FILE, 0);
	close_fd(ledger->fd);
	book_clear(&ledger->book);
	free(ledger);
	return NULL;
}

const struct ledger_knob *ledger_knob(const struct ledger *ledger,
				      const char *name)
{
	return book_knob(&ledger->book, name);
}

const struct ledger_process *ledger_process(const struct ledger *ledger,
					    struct process_id id)
{
	return book_process(&ledger->book, id);
}

size_t ledger_processes(const struct ledger *ledger,
			const struct ledger_process **ret)
{
	*ret = ledger->book.processes.v;
	return ledger->book.processes.n;
}

const struct ledger_process *ledger_relative(const struct ledger *ledger,
					     uint64_t stack)
{
	for (size_t i = 0; stack && i < ledger->book.processes.n; i++)
		if (ledger->book.processes.v[i].stack == stack)
			return &ledger->book.processes.v[i];
	return NULL;
}

int ledger_knob_found(struct ledger *ledger, const char *name,
		      const char *original)
{
	int r = append(ledger, "knob %s %s\n", name, original);

	return r ? r : book_knob_found(&ledger->book, name, original);
}

int ledger_knob_writes(struct ledger *ledger, const char *name,
		       const char *value)
{
	int r = append(ledger, "wrote %s %s\n", name, value);

	if (r)
		return r;
	book_knob_writes(&ledger->book, name, value);
	compact_if_large(ledger);
	return 0;
}

static bool has_range(const struct ledger_process *p, const struct range *range)
{
	for (size_t i = p->ranges.n; i-- > 0;)
		if (p->ranges.v[i].start <= range->start &&
		    p->ranges.v[i].end >= range->end)
			return true;
	return false;
}

int ledger_enrols(struct ledger *ledger, struct process_id id,
		  const struct range *ranges, size_t n)
{
	struct ledger_process *p;
	int r = book_process_get(&ledger->book, id, &p);

	if (!r)
		p->given_back = false;
	if (!r)
		r = vec_reserve(&p->ranges, p->ranges.n + n);
	for (size_t i = 0; !r && i < n; i++) {
		if (has_range(p, &ranges[i]))
			continue;
		r = append(ledger,
			   "enrol %d %" PRIu64 " %" PRIx64 " %" PRIx64 "\n",
			   id.pid, id.start_time, ranges[i].start,
			   ranges[i].end - ranges[i].start);
		if (!r)
			p->ranges.v[p->ranges.n++] = ranges[i];
	}
	return r;
}

int ledger_whole(struct ledger *ledger, struct process_id id)
{
	struct ledger_process *p;
	int r = append(ledger, "whole %d %" PRIu64 "\n", id.pid, id.start_time);

	if (!r)
		r = book_process_get(&ledger->book, id, &p);
	if (!r) {
		p->whole = true;
		p->given_back = false;
	}
	return r;
}

int ledger_inherits(struct ledger *ledger, struct process_id id,
		    struct process_id from)
{
	int r = append(ledger, "heir %d %" PRIu64 " %d %" PRIu64 "\n", id.pid,
		       id.start_time, from.pid, from.start_time);

	return r ? r : book_inherits(&ledger->book, id, from);
}

int ledger_program(struct ledger *ledger, struct process_id id, uint64_t stack)
{
	struct ledger_process *p = book_process(&ledger->book, id);
	int r;

	if (p && p->stack == stack && stack)
		return 0;
	r = append(ledger, "program %d %" PRIu64 " %" PRIx64 "\n", id.pid,
		   id.start_time, stack);
	if (!r)
		r = book_process_get(&ledger->book, id, &p);
	if (!r)
		book_program(p, stack);
	return r;
}

void ledger_knob_restored(struct ledger *ledger, const char *name)
{
	book_knob_restored(&ledger->book, name);
	note(ledger, append(ledger, "restored %s\n", name));
}

void ledger_forget(struct ledger *ledger, struct process_id id)
{
	if (!book_process(&ledger->book, id))
		return;
	book_forget(&ledger->book, id);
	note(ledger,
	     append(ledger, "forget %d %" PRIu64 "\n", id.pid, id.start_time));
}

void ledger_given_back(struct ledger *ledger, struct process_id id)
{
	struct ledger_process *p = book_process(&ledger->book, id);

	if (p)
		p->given_back = true;
}

void ledger_forget_given_back(struct ledger *ledger)
{
	const struct ledger_processes *list = &ledger->book.processes;

	/* downwards: forgetting one puts the last in its place */
	for (size_t i = list->n; i-- > 0;)
		if (list->v[i].given_back)
			ledger_forget(ledger, list->v[i].id);
}
