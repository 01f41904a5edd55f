/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmlock - KSM for one test at a time, as it was found afterwards
 *
 * KSM is one for the whole machine. A test that changes it or relies on it
 * holds the lock, which all tests and benchmarks of this project share, and
 * every knob it writes comes back, also when it is asked to end. To be
 * included below <cmocka.h>.
 */
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define KSMLOCK_FILE "/run/ksmd-plus-test.lock"
#define KSMLOCK_DIR  "/sys/kernel/mm/ksm/"

static struct {
	const char *name;
	char original[32];
	bool there;
} ksmlock_knobs[] = {
	/* the mode first: while the advisor rules, pages_to_scan is refused */
	{ .name = "advisor_mode" },  { .name = "run" },
	{ .name = "smart_scan" },    { .name = "use_zero_pages" },
	{ .name = "pages_to_scan" }, { .name = "sleep_millisecs" },
};

#define KSMLOCK_KNOBS (sizeof(ksmlock_knobs) / sizeof(ksmlock_knobs[0]))

static inline bool ksmlock_read(const char *name, char *ret, size_t size)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), KSMLOCK_DIR "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, ret, size - 1);
	close(fd);
	ret[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Only system calls that a signal handler may make. */
static inline bool ksmlock_put(const char *name, const char *text)
{
	char path[128] = KSMLOCK_DIR;
	size_t len = strlen(text);
	bool ok;
	int fd;

	strcat(path, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, len) == (ssize_t)len;
	close(fd);
	return ok;
}

/* A counter, or 0 where this kernel does not have it. */
static inline uint64_t ksmlock_get(const char *name)
{
	char text[32];

	return ksmlock_read(name, text, sizeof(text)) ? strtoull(text, NULL, 10)
						      : 0;
}

static inline void ksmlock_set(const char *name, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	assert_true(ksmlock_put(name, text));
}

static inline void ksmlock_restore(void)
{
	for (size_t i = 0; i < KSMLOCK_KNOBS; i++)
		if (ksmlock_knobs[i].there)
			ksmlock_put(ksmlock_knobs[i].name,
				    ksmlock_knobs[i].original);
}

static inline void ksmlock_on_signal(int sig)
{
	ksmlock_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

/*
 * Take the lock, remember the knobs. Return: 0, 1 where there is no KSM that
 * we may write to (the test skips), or -1.
 */
static inline int ksmlock_take(int *ret_fd)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGABRT,
				       SIGSEGV };
	int fd;

	if (access(KSMLOCK_DIR "run", W_OK) < 0)
		return 1;
	fd = open(KSMLOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return 1;
	if (flock(fd, LOCK_EX) < 0)
		return -1;
	for (size_t i = 0; i < KSMLOCK_KNOBS; i++) {
		char text[64], *open, *word = text;

		ksmlock_knobs[i].there = ksmlock_read(ksmlock_knobs[i].name,
						      text, sizeof(text));
		open = strchr(text, '[');
		if (ksmlock_knobs[i].there && open)
			word = open + 1;
		if (ksmlock_knobs[i].there)
			snprintf(ksmlock_knobs[i].original,
				 sizeof(ksmlock_knobs[i].original), "%.*s",
				 (int)strcspn(word, "]\n"), word);
	}
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], ksmlock_on_signal);
	*ret_fd = fd;
	return 0;
}

static inline void ksmlock_give(int fd)
{
	ksmlock_restore();
	/* from here on the knobs are another's */
	for (size_t i = 0; i < KSMLOCK_KNOBS; i++)
		ksmlock_knobs[i].there = false;
	close(fd);
}

static inline void ksmlock_need(int taken)
{
	if (taken) {
		print_message("no KSM here, or no right to change it\n");
		skip();
	}
}
