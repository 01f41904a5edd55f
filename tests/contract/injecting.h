/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * injecting - what the tests of the injector share
 *
 * The real ksmd-plus-injector, spoken to through inject.h, and targets of
 * tests/targets/ as victims. Prints TAP, one line per test.
 */
#pragma once

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "inject.h"

#define VICTIM_SKIP 77
#define ANSWER_MSEC 60000

struct victim {
	pid_t pid;
	int pidfd;
	int in; /* closed: it stops and verifies itself */
	FILE *out;
	uint64_t start_time;
	struct range memory;
};

static unsigned int n_failed;

static inline void sleep_msec(unsigned int msec)
{
	struct timespec ts = { msec / 1000, (long)(msec % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

static inline const char *build_path(const char *what)
{
	static char path[4][512];
	static unsigned int n;
	const char *build = getenv("KSMD_PLUS_BUILD");
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", build ? build : "build", what);
	return p;
}

/* Print the verdict; @why, a format, is only for what failed. */
__attribute__((format(printf, 3, 4))) static inline bool
check(bool ok, const char *name, const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	printf("%sok %s", ok ? "" : "not ", name);
	if (!ok) {
		n_failed++;
		printf(" # ");
		vprintf(why, ap);
	}
	putchar('\n');
	va_end(ap);
	return ok;
}

static inline void skip(const char *name, const char *why)
{
	printf("ok %s # SKIP %s\n", name, why);
}

static inline uint64_t start_time_of(pid_t pid)
{
	char path[64], text[1024] = "";
	unsigned long long start = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(text, sizeof(text), f))
		sscanf(strrchr(text, ')') + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
		       "%*d %*d %*d %*d %*d %*d %llu",
		       &start);
	fclose(f);
	return start;
}

static inline char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return state;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(f);
	return state;
}

static inline void victim_exec(char **argv, const int *in, const int *out)
{
	dup2(in[0], STDIN_FILENO);
	dup2(out[1], STDOUT_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

/*
 * Start a target with up to three words as arguments. False where it says
 * that it is not possible here; then @name is skipped.
 */
static inline bool victim_start(struct victim *v, const char *name,
				const char *target, const char *option,
				const char *value)
{
	char path[600];
	char *argv[] = { path, (char *)option, (char *)value, NULL };
	unsigned long long start, end;
	char line[256] = "";
	int in[2], out[2];

	snprintf(path, sizeof(path), "%s", build_path("tests/targets/"));
	strncat(path, target, sizeof(path) - strlen(path) - 1);
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		err(2, "pipe");
	v->pid = fork();
	if (v->pid == 0)
		victim_exec(argv, in, out);
	close(in[0]);
	close(out[1]);
	v->in = in[1];
	v->out = fdopen(out[0], "r");
	v->memory = (struct range){ 0 };
	while (fgets(line, sizeof(line), v->out) && strcmp(line, "ready\n"))
		if (sscanf(line, "memory %llx %llx", &start, &end) == 2)
			v->memory = (struct range){ start, end };
	if (strcmp(line, "ready\n")) {
		close(v->in);
		fclose(v->out);
		waitpid(v->pid, NULL, 0);
		skip(name, "the target cannot run here");
		return false;
	}
	v->pidfd = (int)syscall(SYS_pidfd_open, v->pid, 0);
	v->start_time = start_time_of(v->pid);
	return true;
}

/* Let it verify itself. Its last line, "intact" or why not, is static. */
static inline const char *victim_stop(struct victim *v)
{
	static char line[256];
	char last[256] = "it said nothing";
	int status;

	close(v->in);
	while (fgets(line, sizeof(line), v->out))
		snprintf(last, sizeof(last), "%.*s", (int)strcspn(line, "\n"),
			 line);
	fclose(v->out);
	close(v->pidfd);
	waitpid(v->pid, &status, 0);
	if (WIFSIGNALED(status))
		snprintf(line, sizeof(line), "killed by signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status) && !strcmp(last, "intact"))
		snprintf(line, sizeof(line), "exit status %d",
			 WEXITSTATUS(status));
	else
		snprintf(line, sizeof(line), "%s", last);
	return line;
}

static inline bool is_intact(const char *last)
{
	return !strcmp(last, "intact");
}

/* The first of /proc/PID/task/TID/smaps that has something in it: that of a
 * leader that has exited has not. */
static inline FILE *open_smaps(pid_t pid)
{
	char path[300];
	struct dirent *de;
	FILE *f = NULL;
	DIR *d;
	int c;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !f && (de = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/smaps", pid,
			 de->d_name);
		f = fopen(path, "re");
		c = f ? fgetc(f) : EOF;
		if (c != EOF) {
			ungetc(c, f);
		} else if (f) {
			fclose(f);
			f = NULL;
		}
	}
	if (d)
		closedir(d);
	return f;
}

/* Number of pages in mappings marked "mg" of process @pid. */
static inline uint64_t mergeable_pages(pid_t pid)
{
	unsigned long long start, end, pages = 0, n = 0;
	FILE *f = open_smaps(pid);
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			pages = (end - start) / PAGE_BYTES;
		else if (!strncmp(line, "VmFlags:", 8) && strstr(line, " mg"))
			n += pages;
	}
	if (f)
		fclose(f);
	return n;
}

/* Every other page of the victim's memory from page @first on. */
static inline void request_pages(const struct victim *v,
				 struct inject_request *q, uint32_t op,
				 unsigned int first, unsigned int n)
{
	*q = (struct inject_request){ .cookie = (uint64_t)v->pid << 32 | op,
				      .start_time = v->start_time,
				      .pid = v->pid,
				      .op = op,
				      .n_ranges = n };
	for (unsigned int i = 0; i < n; i++) {
		uint64_t at = v->memory.start + (first + 2 * i) * PAGE_BYTES;

		q->ranges[i] = (struct range){ at, at + PAGE_BYTES };
	}
}

/* Send and wait for the answer; ends the test where none comes. */
static inline void ask(struct inject *inject, const struct victim *v,
		       const struct inject_request *q, struct inject_reply *ret)
{
	struct pollfd pfd = { .fd = inject_fd(inject), .events = POLLIN };
	int r = inject_send(inject, q, v->pidfd);

	if (r)
		errx(2, "inject_send: %d", r);
	if (poll(&pfd, 1, ANSWER_MSEC) <= 0)
		errx(2, "no answer within %d ms", ANSWER_MSEC);
	r = inject_receive(inject, ret);
	if (r)
		errx(2, "inject_receive: %d", r);
	if (ret->cookie != q->cookie)
		errx(2, "an answer to another question");
}

/* The same until the injector does not ask for more. Sums up in *ret. */
static inline void ask_all(struct inject *inject, const struct victim *v,
			   struct inject_request *q, struct inject_reply *ret)
{
	uint32_t n_done = 0, n_stops = 0;
	int32_t error = 0;

	for (;;) {
		ask(inject, v, q, ret);
		if (ret->error)
			error = ret->error;
		n_done += ret->n_done;
		n_stops += ret->n_stops;
		if (ret->result != INJECT_MORE)
			break;
		memmove(q->ranges, q->ranges + ret->n_done,
			(q->n_ranges - ret->n_done) * sizeof(q->ranges[0]));
		q->n_ranges -= ret->n_done;
	}
	ret->n_done = n_done;
	ret->n_stops = n_stops;
	ret->error = error;
}

static inline struct inject *start_injector(const char *path)
{
	struct inject *inject;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		exit(0);
	}
	r = inject_new(path, &inject);
	if (r < 0)
		errx(2, "inject_new: %s", strerror(-r));
	return inject;
}

/*
 * A program that becomes the injector with one more option: what the test
 * gives inject_new() for a path. The caller unlinks it.
 */
static inline void make_wrapper(char *path, const char *option)
{
	char cwd[512] = "";
	const char *injector = build_path("ksmd-plus-injector");
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	if (!f || (injector[0] != '/' && !getcwd(cwd, sizeof(cwd) - 1)))
		err(2, "%s", path);
	if (cwd[0])
		strcat(cwd, "/");
	fprintf(f, "#!/bin/sh\nexec %s%s %s\n", cwd, injector, option);
	fchmod(fd, 0700);
	fclose(f);
}
