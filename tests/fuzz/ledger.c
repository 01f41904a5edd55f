/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the ledger that an earlier daemon has left: no crash, nothing
 * comes out that could not have been written, and what is written anew is
 * read back as the same.
 */
#include "ledger.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "standalone.h"

static char dir_path[64];

static void remove_dir(void)
{
	rmdir(dir_path);
}

static int dir_make(void)
{
	static int dir = -1;

	if (dir >= 0)
		return dir;
	strcpy(dir_path, "/dev/shm/ksmd-plus-fuzz-XXXXXX");
	assert(mkdtemp(dir_path));
	atexit(remove_dir);
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(dir >= 0);
	return dir;
}

static void file_make(int dir, const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = openat(
		dir, "ledger", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert(fd >= 0);
	assert(write(fd, data, size) == (ssize_t)size);
}

/* Check what stands in @ledger; the sum of it is to tell two apart. */
static size_t check(const struct ledger *ledger)
{
	const struct ledger_process *list;
	size_t n = ledger_processes(ledger, &list), sum = n;
	static const char *const names[] = { "run", "sleep_millisecs" };

	for (size_t i = 0; i < n; i++) {
		assert(list[i].id.pid > 0);
		assert(ledger_process(ledger, list[i].id) == &list[i]);
		sum = sum * 31 + list[i].ranges.n + list[i].whole +
		      list[i].stack;
		for (size_t k = 0; k < list[i].ranges.n; k++) {
			const struct range *r = &list[i].ranges.v[k];

			assert(r->start < r->end);
			assert(r->start % PAGE_BYTES == 0);
			assert(r->end % PAGE_BYTES == 0);
			sum = sum * 31 + r->start + r->end;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct ledger_knob *k = ledger_knob(ledger, names[i]);

		if (!k)
			continue;
		assert(*k->original && strlen(k->original) < LEDGER_VALUE);
		assert(strlen(k->wrote) < LEDGER_VALUE);
		assert(*k->wrote || !*k->before);
		sum = sum * 31 + strlen(k->original) + strlen(k->wrote) +
		      strlen(k->before);
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int dir = dir_make();
	struct ledger *ledger;
	size_t sum;

	file_make(dir, data, size);
	assert(ledger_open(dir, false, &ledger) == 0);
	sum = check(ledger);
	ledger_close(ledger);
	assert(ledger_open(dir, false, &ledger) == 0);
	assert(check(ledger) == sum);
	assert(ledger_knob_found(ledger, "run", "0") == 0);
	assert(ledger_knob(ledger, "run"));
	ledger_close(ledger);
	assert(unlinkat(dir, "ledger", 0) == 0);
	return 0;
}
