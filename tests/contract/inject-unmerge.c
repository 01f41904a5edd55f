/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-unmerge - un-marking pages that really are merged
 *
 * Each such page is copied by the thread that is held, so that the work has
 * to be cut up. Runs ksmd for some seconds, under the tests' lock, and puts
 * its knobs back.
 */
#include <sys/file.h>

#include "injecting.h"

#define KSM  "/sys/kernel/mm/ksm/"
#define LOCK "/run/ksmd-plus-test.lock"

static struct knob {
	const char *name;
	const char *value;
	char before[32];
	bool changed;
} knobs[] = {
	/* In the order in which they are set; put back in reverse. */
	{ .name = "smart_scan", .value = "0" },
	{ .name = "advisor_mode", .value = "none" },
	{ .name = "pages_to_scan", .value = "20000" },
	{ .name = "sleep_millisecs", .value = "5" },
	{ .name = "run", .value = "1" },
};

#define N_KNOBS (sizeof(knobs) / sizeof(knobs[0]))

static bool knob_write(const char *name, const char *value)
{
	char path[128];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), KSM "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, value, strlen(value)) > 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static void knob_read(struct knob *k)
{
	char path[128], text[64] = "";
	const char *chosen;
	FILE *f;

	snprintf(path, sizeof(path), KSM "%s", k->name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(text, sizeof(text), f)) {
		/* "[none] scan-time": the chosen one. */
		chosen = strchr(text, '[') ? strchr(text, '[') + 1 : text;
		snprintf(k->before, sizeof(k->before), "%.*s",
			 (int)strcspn(chosen, "]\n"), chosen);
	}
	fclose(f);
}

static void knobs_set(void)
{
	for (size_t i = 0; i < N_KNOBS; i++) {
		knob_read(&knobs[i]);
		knobs[i].changed = knob_write(knobs[i].name, knobs[i].value);
	}
}

static void knobs_restore(void)
{
	for (size_t i = N_KNOBS; i-- > 0;)
		if (knobs[i].changed)
			knob_write(knobs[i].name, knobs[i].before);
}

/* Time is over, or Ctrl-C. */
static void on_end(int sig)
{
	(void)sig;
	knobs_restore();
	_exit(1);
}

static uint64_t merged_pages(pid_t pid)
{
	unsigned long long n = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/ksm_merging_pages", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static uint64_t cow_ksm(void)
{
	FILE *f = fopen("/proc/vmstat", "re");
	unsigned long long n = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "cow_ksm %llu", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

/* Mark all of both, and wait for ksmd. Number of pages merged in the first. */
static uint64_t merge(struct inject *inject, struct victim *v)
{
	struct inject_request q;
	struct inject_reply a;

	for (int i = 0; i < 2; i++) {
		request_pages(&v[i], &q, INJECT_MERGEABLE, 0, 1);
		q.ranges[0] = v[i].memory;
		ask_all(inject, &v[i], &q, &a);
	}
	for (int i = 0; i < 300; i++) {
		uint64_t n = merged_pages(v[0].pid);

		if (n >= 4096 && merged_pages(v[1].pid) >= 4096)
			return n;
		sleep_msec(100);
	}
	return merged_pages(v[0].pid);
}

static void test(struct inject *inject)
{
	struct inject_request q;
	struct inject_reply a;
	struct victim v[2];
	uint64_t n, n_cow;
	unsigned int n_bad = 0;

	for (int i = 0; i < 2; i++)
		if (!victim_start(&v[i], "un-merging", "blocked", "--size",
				  "16"))
			return;
	n = merge(inject, v);
	if (!check(n >= 4096, "16 MiB are merged",
		   "only %llu of 4096 pages in 30 s", (unsigned long long)n))
		goto out;
	n_cow = cow_ksm();
	/* One range for all: it comes back only when it is done. */
	request_pages(&v[0], &q, INJECT_UNMERGEABLE, 0, 1);
	q.ranges[0] = v[0].memory;
	ask_all(inject, &v[0], &q, &a);
	printf("# un-marked 4096 merged pages: %u stops, longest %llu us, "
	       "cow_ksm +%llu\n",
	       a.n_stops, (unsigned long long)a.hold_nsec / 1000,
	       (unsigned long long)(cow_ksm() - n_cow));
	check(a.result == INJECT_DONE && a.n_done == 1 &&
		      mergeable_pages(v[0].pid) == 0,
	      "all pages are un-marked", "result %u, done %u, error %d",
	      a.result, a.n_done, a.error);
	/* No stop copies more than some hundred pages. */
	check(a.n_stops >= 16, "in many short stops", "%u stops", a.n_stops);
	request_pages(&v[1], &q, INJECT_UNMERGEABLE, 0, 256);
	ask_all(inject, &v[1], &q, &a);
	check(a.result == INJECT_DONE && a.n_done == 256 &&
		      mergeable_pages(v[1].pid) == 4096 - 256,
	      "every other page of half a MiB", "result %u, done %u", a.result,
	      a.n_done);
out:
	for (int i = 0; i < 2; i++)
		n_bad += !is_intact(victim_stop(&v[i]));
	check(!n_bad, "both are intact", "%u are not", n_bad);
}

int main(void)
{
	int lock = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct inject *inject;

	if (geteuid() != 0 || access(KSM "run", W_OK) < 0) {
		puts("1..0 # SKIP needs root and a KSM whose knobs can be set");
		return 0;
	}
	if (lock < 0 || flock(lock, LOCK_EX) < 0)
		err(2, LOCK);
	inject = start_injector(build_path("ksmd-plus-injector"));
	atexit(knobs_restore);
	signal(SIGTERM, on_end);
	signal(SIGINT, on_end);
	knobs_set();
	test(inject);
	inject_free(inject);
	return n_failed > 0;
}
