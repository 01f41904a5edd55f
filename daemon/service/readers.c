/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "readers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "files.h"
#include "watch.h"

/* Some 10 us each. */
#define PER_LOOK 32U

static uint64_t number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/*
 * What is asked for by read(2) and its kind is in the first number; what is
 * read from disks by other ways is in the second.
 */
static uint64_t bytes_read(const struct watched *w)
{
	char text[512];
	ssize_t n = file_read(w->process.dir, "io", text, sizeof(text));

	if (n == -ENOENT)
		return UINT64_MAX;
	return n < 0 ? 0
		     : number_after(text, "rchar: ") +
			       number_after(text, "\nread_bytes: ");
}

void readers_forget(struct readers *r)
{
	r->epoch++;
}

static uint64_t look_at(const struct readers *r, struct watched *w)
{
	uint64_t bytes = bytes_read(w), before = w->io_bytes;
	bool known = w->io_epoch == r->epoch;

	if (bytes == UINT64_MAX)
		return process_is_gone(&w->process) ? 0 : bytes;
	w->io_bytes = bytes;
	w->io_epoch = r->epoch;
	return known && bytes > before ? bytes - before : 0;
}

uint64_t readers_look(struct readers *r, struct watched *const *list, size_t n)
{
	uint64_t most = 0;

	for (size_t i = 0; i < MIN(n, PER_LOOK); i++) {
		struct watched *w = list[r->next++ % n];

		if (w && !w->gone && w->mode >= MODE_MANAGED)
			most = MAX(most, look_at(r, w));
	}
	return most;
}
