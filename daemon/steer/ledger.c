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

#define LEDGER_FILE "ledger"
#define LEDGER_NEW  "ledger.new"
/* Rewritten without what is forgotten beyond this, or beyond twice of what
 * was needed the last time. */
#define LEDGER_LARGE (1U << 20)

struct ledger_knobs VEC(struct ledger_knob);
struct ledger_processes_vec VEC(struct ledger_process);

struct ledger {
	int dirfd;
	int fd; /* -1 in a dry run */
	uint64_t bytes;
	uint64_t large; /* to be rewritten beyond this */
	struct ledger_knobs knobs;
	struct ledger_processes_vec processes;
};

static struct ledger_knob *knob_find(const struct ledger *ledger,
				     const char *name)
{
	for (size_t i = 0; i < ledger->knobs.n; i++)
		if (!strcmp(ledger->knobs.v[i].name, name))
			return &ledger->knobs.v[i];
	return NULL;
}

static struct ledger_process *process_find(const struct ledger *ledger,
					   struct process_id id)
{
	for (size_t i = 0; i < ledger->processes.n; i++) {
		struct ledger_process *p = &ledger->processes.v[i];

		if (p->id.pid == id.pid && p->id.start_time == id.start_time)
			return p;
	}
	return NULL;
}

static int process_get(struct ledger *ledger, struct process_id id,
		       struct ledger_process **ret)
{
	*ret = process_find(ledger, id);
	if (*ret)
		return 0;
	if (vec_push(&ledger->processes, ((struct ledger_process){ .id = id })))
		return -ENOMEM;
	*ret = &ledger->processes.v[ledger->processes.n - 1];
	return 0;
}

static void process_drop(struct ledger *ledger, struct process_id id)
{
	struct ledger_process *p = process_find(ledger, id);

	if (!p)
		return;
	vec_free(&p->ranges);
	*p = ledger->processes.v[--ledger->processes.n];
}

static void knob_drop(struct ledger *ledger, const char *name)
{
	struct ledger_knob *k = knob_find(ledger, name);

	if (k)
		*k = ledger->knobs.v[--ledger->knobs.n];
}

/* The four kinds of change to what is in memory; replay and live use them. */
static int knob_found(struct ledger *ledger, const char *name,
		      const char *original)
{
	struct ledger_knob k = { 0 };

	if (knob_find(ledger, name))
		return 0;
	snprintf(k.name, sizeof(k.name), "%s", name);
	snprintf(k.original, sizeof(k.original), "%s", original);
	return vec_push(&ledger->knobs, k);
}

static void knob_wrote(struct ledger *ledger, const char *name,
		       const char *value)
{
	struct ledger_knob *k = knob_find(ledger, name);

	if (!k)
		return;
	memcpy(k->before, k->wrote, sizeof(k->before));
	snprintf(k->wrote, sizeof(k->wrote), "%s", value);
}

static bool is_range(uint64_t start, uint64_t length)
{
	return length && start % PAGE_BYTES == 0 && length % PAGE_BYTES == 0 &&
	       start + length > start;
}

static int line_replay(struct ledger *ledger, const char *line)
{
	struct ledger_process *p;
	char name[32], value[LEDGER_VALUE];
	struct process_id id;
	uint64_t start, length;
	int r;

	if (sscanf(line, "knob %31s %23s", name, value) == 2)
		return knob_found(ledger, name, value);
	if (sscanf(line, "wrote %31s %23s", name, value) == 2)
		knob_wrote(ledger, name, value);
	else if (sscanf(line, "restored %31s", name) == 1)
		knob_drop(ledger, name);
	else if (sscanf(line, "forget %d %" SCNu64, &id.pid, &id.start_time) ==
		 2)
		process_drop(ledger, id);
	else if (sscanf(line, "whole %d %" SCNu64, &id.pid, &id.start_time) ==
			 2 &&
		 id.pid > 0) {
		r = process_get(ledger, id, &p);
		if (r)
			return r;
		p->whole = true;
	} else if (sscanf(line, "enrol %d %" SCNu64 " %" SCNx64 " %" SCNx64,
			  &id.pid, &id.start_time, &start, &length) == 4 &&
		   id.pid > 0 && is_range(start, length)) {
		r = process_get(ledger, id, &p);
		if (r)
			return r;
		return vec_push(&p->ranges,
				((struct range){ start, start + length }));
	}
	return 0;
}

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
		r = line_replay(ledger, line);
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

static void write_all(const struct ledger *ledger, FILE *f)
{
	for (size_t i = 0; i < ledger->knobs.n; i++) {
		const struct ledger_knob *k = &ledger->knobs.v[i];

		fprintf(f, "knob %s %s\n", k->name, k->original);
		if (k->before[0])
			fprintf(f, "wrote %s %s\n", k->name, k->before);
		if (k->wrote[0])
			fprintf(f, "wrote %s %s\n", k->name, k->wrote);
	}
	for (size_t i = 0; i < ledger->processes.n; i++) {
		const struct ledger_process *p = &ledger->processes.v[i];

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
	write_all(ledger, f);
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
	if (ledger->fd >= 0 && !ledger->knobs.n && !ledger->processes.n)
		unlinkat(ledger->dirfd, LEDGER_FILE, 0);
	close_fd(ledger->fd);
	for (size_t i = 0; i < ledger->processes.n; i++)
		vec_free(&ledger->processes.v[i].ranges);
	vec_free(&ledger->processes);
	vec_free(&ledger->knobs);
	free(ledger);
	return NULL;
}

const struct ledger_knob *ledger_knob(const struct ledger *ledger,
				      const char *name)
{
	return knob_find(ledger, name);
}

const struct ledger_process *ledger_process(const struct ledger *ledger,
					    struct process_id id)
{
	return process_find(ledger, id);
}

size_t ledger_processes(const struct ledger *ledger,
			const struct ledger_process **ret)
{
	*ret = ledger->processes.v;
	return ledger->processes.n;
}

int ledger_knob_found(struct ledger *ledger, const char *name,
		      const char *original)
{
	int r = append(ledger, "knob %s %s\n", name, original);

	return r ? r : knob_found(ledger, name, original);
}

int ledger_knob_writes(struct ledger *ledger, const char *name,
		       const char *value)
{
	int r = append(ledger, "wrote %s %s\n", name, value);

	if (r)
		return r;
	knob_wrote(ledger, name, value);
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
	int r = process_get(ledger, id, &p);

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
		r = process_get(ledger, id, &p);
	if (!r)
		p->whole = true;
	return r;
}

void ledger_knob_restored(struct ledger *ledger, const char *name)
{
	knob_drop(ledger, name);
	note(ledger, append(ledger, "restored %s\n", name));
}

void ledger_forget(struct ledger *ledger, struct process_id id)
{
	if (!process_find(ledger, id))
		return;
	process_drop(ledger, id);
	note(ledger,
	     append(ledger, "forget %d %" PRIu64 "\n", id.pid, id.start_time));
}
