/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target - what all targets have in common
 *
 * A target does something that is hard to interrupt without being noticed,
 * and notices. Each also holds some memory whose content depends on --seed
 * alone, so that two targets of the same seed have all its pages in common.
 *
 * It prints "memory START END" (hexadecimal), then "ready". When its standard
 * input ends it stops, verifies itself and prints "intact", exit status 0, or
 * "broken WHY", exit status 1. Exit status 77 with a reason on the standard
 * error: not possible here.
 *
 * The standard input is read by a child process, so that the target itself
 * has no thread but those it wants; @wake, called in that child again and
 * again once the input has ended, gets it out of what it is blocked in.
 */
#pragma once

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#define TARGET_SKIP 77

/* Shared by the processes of one target. */
struct target_shared {
	atomic_int stop;
	atomic_int broken;
	char why[200]; /* of the first one that wrote it */
};

struct target {
	const char *name;
	uint64_t seed;
	uint64_t size_mib;
	uint64_t *memory;
	struct target_shared *shared;
};

/* One more option of a target, which takes a string. */
struct target_option {
	const char *name;
	const char *help;
	const char *value; /* the default, then what was given */
};

/* splitmix64 */
static inline uint64_t target_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static inline uint64_t target_words(const struct target *t)
{
	return t->size_mib << 17;
}

static inline uint64_t target_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static inline void target_sleep(uint64_t usec)
{
	struct timespec ts = { (time_t)(usec / 1000000),
			       (long)(usec % 1000000 * 1000) };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static inline bool target_stopping(const struct target *t)
{
	return atomic_load(&t->shared->stop);
}

/* Say that something happened that must not. Only the first is kept. */
__attribute__((format(printf, 2, 3))) static inline void
target_broken(struct target *t, const char *fmt, ...)
{
	va_list ap;

	if (atomic_exchange(&t->shared->broken, 1))
		return;
	va_start(ap, fmt);
	vsnprintf(t->shared->why, sizeof(t->shared->why), fmt, ap);
	va_end(ap);
}

static inline void target_usage(const struct target *t, const char *what,
				const struct target_option *extra, size_t n)
{
	printf("Usage: %s [OPTION...]\n\n%s\n\n", t->name, what);
	printf("  --seed N   what the memory holds (1)\n");
	printf("  --size N   its size in MiB (4)\n");
	for (size_t i = 0; i < n; i++)
		printf("  --%s %s (%s)\n", extra[i].name, extra[i].help,
		       extra[i].value);
}

/*
 * Parse the command line; @what is a sentence for --help. Exits for --help
 * and for what is not an option.
 */
static inline void target_options(struct target *t, int argc, char **argv,
				  const char *what, struct target_option *extra,
				  size_t n)
{
	struct option options[16] = {
		{ "seed", required_argument, NULL, 's' },
		{ "size", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
	};
	int c;

	*t = (struct target){ .seed = 1, .size_mib = 4 };
	t->name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	for (size_t i = 0; i < n; i++)
		options[3 + i] = (struct option){ extra[i].name,
						  required_argument, NULL,
						  256 + (int)i };
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c >= 256) {
			extra[c - 256].value = optarg;
		} else if (c == 's') {
			t->seed = strtoull(optarg, NULL, 10);
		} else if (c == 'm') {
			t->size_mib = strtoull(optarg, NULL, 10);
		} else {
			if (c == 'h')
				target_usage(t, what, extra, n);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (optind < argc)
		errx(2, "takes no arguments");
	t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->shared == MAP_FAILED)
		err(2, "mmap");
}

/* In the child: until the target, our parent, is gone. */
static inline void target_watch(struct target *t, pid_t parent,
				void (*wake)(struct target *))
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	while (getppid() == parent && !target_stopping(t))
		if (poll(&pfd, 1, 200) > 0 && read(STDIN_FILENO, &byte, 1) <= 0)
			atomic_store(&t->shared->stop, 1);
	while (getppid() == parent) {
		if (wake)
			wake(t);
		target_sleep(5000);
	}
	_exit(0);
}

/* Allocate the memory and fill it. */
static inline void target_fill(struct target *t)
{
	t->memory = mmap(NULL, t->size_mib << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->memory == MAP_FAILED)
		err(2, "no memory");
	for (uint64_t i = 0; i < target_words(t); i++)
		t->memory[i] = target_mix(t->seed * target_words(t) + i);
}

/* Say that we are ready. */
static inline void target_announce(const struct target *t)
{
	unsigned long long start = (uintptr_t)t->memory;

	printf("memory %llx %llx\nready\n", start, start + (t->size_mib << 20));
	fflush(stdout);
}

/* Start the child, fill the memory, say that we are ready. */
static inline void target_ready(struct target *t, void (*wake)(struct target *))
{
	pid_t self = getpid(), child = fork();

	if (child < 0)
		err(2, "fork");
	if (child == 0)
		target_watch(t, self, wake);
	target_fill(t);
	target_announce(t);
}

static inline void target_verify_memory(struct target *t)
{
	for (uint64_t i = 0; i < target_words(t); i++)
		if (t->memory[i] != target_mix(t->seed * target_words(t) + i)) {
			target_broken(t, "memory at %p", (void *)&t->memory[i]);
			return;
		}
}

/* Verify the memory, say how it all went and exit. */
__attribute__((noreturn)) static inline void target_end(struct target *t)
{
	target_verify_memory(t);
	if (atomic_load(&t->shared->broken))
		printf("broken %s\n", t->shared->why);
	else
		printf("intact\n");
	fflush(stdout);
	_exit(atomic_load(&t->shared->broken));
}
