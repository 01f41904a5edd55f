/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject - what the injector does to a process that is nothing special
 */
#include <sys/mman.h>

#include "injecting.h"

static void test_start(const char *path)
{
	struct inject *none = NULL;
	int r = inject_new("/nonexistent/injector", &none);

	check(r == -ENOENT && !none, "a missing injector is told", "%d", r);
	(void)path;
}

/* What is behind descriptor @fd of the injector. */
static const char *link_of(pid_t pid, const char *fd)
{
	static char text[256];
	char path[300];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, fd);
	n = readlink(path, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

struct descriptors {
	unsigned int n;
	unsigned int n_sockets;
	unsigned int n_foreign;
};

static struct descriptors descriptors_count(pid_t pid)
{
	struct descriptors c = { 0 };
	struct dirent *de;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	while (d && (de = readdir(d))) {
		const char *link = link_of(pid, de->d_name);

		if (de->d_name[0] == '.')
			continue;
		c.n++;
		if (!strncmp(link, "socket:", 7))
			c.n_sockets++;
		else if (atoi(de->d_name) > INJECT_FD &&
			 strcmp(link, "/proc") && strcmp(link, "/sys"))
			c.n_foreign++;
	}
	if (d)
		closedir(d);
	return c;
}

/* Only what it was given, and what it opened itself; files that it reads when
 * it starts are open for a moment, a leak is for ever. */
static void test_descriptors(struct inject *inject)
{
	pid_t pid = inject_pid(inject);
	struct descriptors c = descriptors_count(pid);

	for (int i = 0; i < 500 && c.n_foreign; i++) {
		usleep(10000);
		c = descriptors_count(pid);
	}
	check(c.n > 0 && c.n_sockets == 1 && !c.n_foreign,
	      "no descriptor leaks", "%u descriptors, %u sockets, %u foreign",
	      c.n, c.n_sockets, c.n_foreign);
	check(!strcmp(link_of(pid, "0"), "/dev/null"), "its input is empty",
	      "%s", link_of(pid, "0"));
}

static void test_surroundings(struct inject *inject)
{
	pid_t pid = inject_pid(inject);
	unsigned long long blocked = 0, ignored = ~0ULL, locked = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "SigBlk: %llx", &blocked);
		sscanf(line, "SigIgn: %llx", &ignored);
		sscanf(line, "VmLck: %llu", &locked);
	}
	if (f)
		fclose(f);
	check(getsid(pid) == pid, "it has a session of its own", "%d",
	      getsid(pid));
	/* SIGKILL and SIGSTOP cannot be blocked */
	check((blocked | 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)) ==
		      ~0ULL,
	      "no signal reaches it", "blocked %llx, ignored %llx", blocked,
	      ignored);
	check(locked > 0, "its memory is locked", "%llu kB", locked);
}

static void test_mark(struct inject *inject, const char *kind, bool vectors)
{
	struct inject_request q;
	struct inject_reply a;
	struct victim v;
	char name[64];
	const char *last;

	if (!victim_start(&v, kind, "blocked", NULL, NULL))
		return;
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 256);
	ask_all(inject, &v, &q, &a);
	snprintf(name, sizeof(name), "marks 256 ranges %s", kind);
	check(a.result == INJECT_DONE && a.n_done == 256 && !a.error &&
		      mergeable_pages(v.pid) == 256,
	      name, "result %u, done %u, %llu pages", a.result, a.n_done,
	      (unsigned long long)mergeable_pages(v.pid));
	snprintf(name, sizeof(name), "takes %s stops %s",
		 vectors ? "few" : "many", kind);
	/* 256 ranges one by one do not fit into the few of the other way. */
	check(vectors ? a.n_stops <= 8 : a.n_stops > 8, name, "%u stops",
	      a.n_stops);
	request_pages(&v, &q, INJECT_UNMERGEABLE, 0, 256);
	ask_all(inject, &v, &q, &a);
	snprintf(name, sizeof(name), "un-marks 256 ranges %s", kind);
	check(a.result == INJECT_DONE && a.n_done == 256 &&
		      mergeable_pages(v.pid) == 0,
	      name, "result %u, done %u, %llu pages", a.result, a.n_done,
	      (unsigned long long)mergeable_pages(v.pid));
	last = victim_stop(&v);
	snprintf(name, sizeof(name), "target is intact %s", kind);
	check(is_intact(last), name, "%s", last);
}

/* Mappings come and go, and only what was there before is there after. */
static void test_leaves_nothing(struct inject *inject)
{
	char before[65536] = "", after[65536] = "", path[64];
	struct inject_request q;
	struct inject_reply a;
	struct victim v;
	FILE *f;

	if (!victim_start(&v, "leaves nothing", "blocked", NULL, NULL))
		return;
	snprintf(path, sizeof(path), "/proc/%d/maps", v.pid);
	f = fopen(path, "re");
	before[fread(before, 1, sizeof(before) - 1, f)] = '\0';
	fclose(f);
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 200);
	ask_all(inject, &v, &q, &a);
	request_pages(&v, &q, INJECT_UNMERGEABLE, 0, 200);
	ask_all(inject, &v, &q, &a);
	f = fopen(path, "re");
	after[fread(after, 1, sizeof(after) - 1, f)] = '\0';
	fclose(f);
	check(!strcmp(before, after), "leaves no mapping behind", "%s", after);
	victim_stop(&v);
}

/* A hole is told, and the rest is marked all the same. */
static void test_hole(struct inject *inject, const char *kind)
{
	struct inject_request q;
	struct inject_reply a;
	struct victim v;
	char name[64];

	if (!victim_start(&v, kind, "blocked", NULL, NULL))
		return;
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 20);
	q.ranges[7].end = v.memory.end + (1ULL << 40);
	q.ranges[7].start = v.memory.end - PAGE_BYTES;
	ask_all(inject, &v, &q, &a);
	snprintf(name, sizeof(name), "a hole is no obstacle %s", kind);
	check(a.result == INJECT_DONE && a.n_done == 20 && a.error == ENOMEM &&
		      mergeable_pages(v.pid) >= 20,
	      name, "result %u, done %u, error %d, %llu pages", a.result,
	      a.n_done, a.error, (unsigned long long)mergeable_pages(v.pid));
	victim_stop(&v);
}

static void test_whole(struct inject *inject)
{
	struct inject_request q;
	struct inject_reply a;
	struct victim v;
	uint64_t n;

	if (!victim_start(&v, "the whole process", "blocked", NULL, NULL))
		return;
	request_pages(&v, &q, INJECT_MERGE_ANY, 0, 0);
	ask_all(inject, &v, &q, &a);
	if (a.result == INJECT_FAILED && a.error == EINVAL) {
		skip("the whole process", "no PR_SET_MEMORY_MERGE (6.4) here");
		victim_stop(&v);
		return;
	}
	n = mergeable_pages(v.pid);
	check(a.result == INJECT_DONE && n >= 1024, "marks the whole process",
	      "result %u, %llu pages", a.result, (unsigned long long)n);
	request_pages(&v, &q, INJECT_UNMERGE_ANY, 0, 0);
	ask_all(inject, &v, &q, &a);
	n = mergeable_pages(v.pid);
	check(a.result == INJECT_DONE && n == 0, "un-marks the whole process",
	      "result %u, %llu pages", a.result, (unsigned long long)n);
	victim_stop(&v);
}

static void expect_bad(struct inject *inject, const struct victim *v,
		       const struct inject_request *q, const char *what)
{
	struct inject_reply a;
	char name[96];

	ask(inject, v, q, &a);
	snprintf(name, sizeof(name), "refuses %s", what);
	check(a.result == INJECT_FAILED && a.error == EBADMSG && !a.n_stops,
	      name, "result %u, error %d, %u stops", a.result, a.error,
	      a.n_stops);
}

static void test_bad_requests(struct inject *inject)
{
	struct inject_request q;
	struct inject_reply a;
	struct victim v;

	if (!victim_start(&v, "bad requests", "blocked", NULL, NULL))
		return;
	request_pages(&v, &q, 77, 0, 1);
	expect_bad(inject, &v, &q, "an unknown operation");
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 0);
	expect_bad(inject, &v, &q, "no range where one is needed");
	request_pages(&v, &q, INJECT_PROBE, 0, 1);
	expect_bad(inject, &v, &q, "a range where none is needed");
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 3);
	q.ranges[2].start++;
	expect_bad(inject, &v, &q, "half a page");
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 3);
	q.ranges[2].end = q.ranges[2].start;
	expect_bad(inject, &v, &q, "an empty range");
	q.ranges[2].end = q.ranges[2].start - PAGE_BYTES;
	expect_bad(inject, &v, &q, "a range backwards");
	q.n_ranges = INJECT_MAX_RANGES + 1;
	expect_bad(inject, &v, &q, "too many ranges");
	request_pages(&v, &q, INJECT_PROBE, 0, 0);
	q.start_time++;
	ask(inject, &v, &q, &a);
	check(a.result == INJECT_GONE && !a.n_stops, "another start time",
	      "result %u", a.result);
	request_pages(&v, &q, INJECT_PROBE, 0, 0);
	q.stack = 4096;
	ask(inject, &v, &q, &a);
	check(a.result == INJECT_GONE && !a.n_stops, "another program's stack",
	      "result %u", a.result);
	request_pages(&v, &q, INJECT_PROBE, 0, 0);
	kill(v.pid, SIGKILL);
	while (state_of(v.pid) != 'Z')
		sleep_msec(1);
	ask(inject, &v, &q, &a);
	check(a.result == INJECT_GONE && !a.n_stops, "a dead process",
	      "result %u", a.result);
	victim_stop(&v);
}

/* A child of ours with as many mappings as a process may have. */
static void full_of_mappings(int ready)
{
	size_t bytes = 70000UL * 2 * PAGE_BYTES;
	char *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	for (size_t i = 0; i < bytes; i += 2 * PAGE_BYTES)
		if (mprotect(p + i, PAGE_BYTES, PROT_READ | PROT_WRITE) < 0)
			break;
	if (write(ready, &p, sizeof(p)) < 0)
		_exit(1);
	pause();
}

static void test_too_many_mappings(struct inject *inject)
{
	struct victim v = { 0 };
	struct inject_request q;
	struct inject_reply a;
	char *at = NULL;
	int fd[2];

	if (pipe(fd) < 0)
		err(2, "pipe");
	v.pid = fork();
	if (v.pid == 0)
		full_of_mappings(fd[1]);
	if (read(fd[0], &at, sizeof(at)) != sizeof(at))
		err(2, "read");
	v.pidfd = (int)syscall(SYS_pidfd_open, v.pid, 0);
	v.start_time = start_time_of(v.pid);
	request_pages(&v, &q, INJECT_MERGEABLE, 0, 1);
	/* In the midst of the untouched rest: costs two mappings more. */
	q.ranges[0].start = (uintptr_t)at + (70000UL * 2 - 100) * PAGE_BYTES;
	q.ranges[0].end = q.ranges[0].start + PAGE_BYTES;
	ask_all(inject, &v, &q, &a);
	check(a.result == INJECT_FAILED && a.error == ENOMEM && !a.n_stops,
	      "who has hardly a mapping left is let be",
	      "result %u, error %d, stops %u", a.result, a.error, a.n_stops);
	kill(v.pid, SIGKILL);
	waitpid(v.pid, NULL, 0);
	close(v.pidfd);
	close(fd[0]);
	close(fd[1]);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* How long stops last; printed, not judged: the machine is not ours alone. */
static void test_holds(struct inject *inject, const char *target,
		       unsigned int n_ranges, unsigned int n_asked,
		       const char *kind)
{
	uint64_t *holds = calloc(n_asked, sizeof(*holds));
	struct inject_request q;
	struct inject_reply a;
	unsigned int n = 0;
	struct victim v;
	char name[128];

	if (!holds || !victim_start(&v, "holds", target, NULL, NULL)) {
		free(holds);
		return;
	}
	for (unsigned int i = 0; i < n_asked; i++) {
		request_pages(&v, &q,
			      i % 2 ? INJECT_UNMERGEABLE : INJECT_MERGEABLE, 0,
			      n_ranges);
		ask(inject, &v, &q, &a);
		if (a.n_done > 0)
			holds[n++] = a.hold_nsec;
	}
	qsort(holds, n, sizeof(holds[0]), compare);
	printf("# hold of %s, %u ranges %s, n = %u: p50 %llu us, p90 %llu us, "
	       "p99 %llu us, longest %llu us\n",
	       target, n_ranges, kind, n,
	       (unsigned long long)holds[n / 2] / 1000,
	       (unsigned long long)holds[n * 9 / 10] / 1000,
	       (unsigned long long)holds[n * 99 / 100] / 1000,
	       (unsigned long long)holds[n ? n - 1 : 0] / 1000);
	free(holds);
	snprintf(name, sizeof(name), "holds %s %u times for %u ranges %s",
		 target, n_asked, n_ranges, kind);
	check(n >= n_asked * 95 / 100 && is_intact(victim_stop(&v)), name,
	      "%u done", n);
}

static void test_all(struct inject *inject, const char *kind, bool vectors)
{
	test_mark(inject, kind, vectors);
	test_hole(inject, kind);
	test_holds(inject, "blocked", 1, 1000, kind);
	test_holds(inject, "blocked", 100, 1000, kind);
	/* Everyone waits for a CPU there: fewer. */
	test_holds(inject, "threads", 100, 200, kind);
}

int main(void)
{
	const char *path = build_path("ksmd-plus-injector");
	char wrapper[] = "/tmp/injector.XXXXXX";
	struct inject *inject = start_injector(path);

	test_start(path);
	test_bad_requests(inject); /* is served only when it is all set up */
	test_descriptors(inject);
	test_surroundings(inject);
	test_leaves_nothing(inject);
	test_whole(inject);
	test_too_many_mappings(inject);
	test_all(inject, "by vectors", true);
	inject_free(inject);
	make_wrapper(wrapper, "--single-calls");
	inject = start_injector(wrapper);
	test_all(inject, "one by one", false);
	inject_free(inject);
	unlink(wrapper);
	return n_failed > 0;
}
