/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-hostile - many injections into processes that notice everything
 *
 * Each target gets its memory marked, un-marked and marked again, a hundred
 * times or two, at random distances; then it verifies itself. What can be
 * done must have been done, by the mark in smaps. INJECT_PERCENT=N in the
 * environment: N percent of what is said below, 40 without it.
 *
 * test-timeout: 600
 */
#include "injecting.h"

struct score {
	unsigned int done; /* requests, at least to some part */
	unsigned int retry;
	unsigned int repaired;
	unsigned int results[INJECT_FAILED + 1];
	unsigned int reasons[INJECT_REASON_MAX_];
};

static unsigned int times(unsigned int n)
{
	const char *percent = getenv("INJECT_PERCENT");
	unsigned long long p = percent ? strtoull(percent, NULL, 10) : 40;

	return (unsigned int)(n * p / 100);
}

/* Ask @n times for something or other of one victim. */
static void hammer(struct inject *inject, const struct victim *v,
		   unsigned int n, struct score *score)
{
	static const uint32_t ops[] = { INJECT_MERGEABLE, INJECT_PROBE,
					INJECT_UNMERGEABLE, INJECT_MERGEABLE };
	struct inject_request q;
	struct inject_reply a;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t op = ops[i % 4];

		request_pages(v, &q, op, (unsigned int)random() % 512,
			      op == INJECT_PROBE
				      ? 0
				      : 1 + (unsigned int)random() % 40);
		ask(inject, v, &q, &a);
		score->results[a.result]++;
		score->reasons[a.reason]++;
		score->repaired += a.n_repaired;
		score->done += a.result == INJECT_DONE || a.n_done > 0;
		if (a.result == INJECT_GONE && kill(v->pid, 0) < 0)
			return;
		if (random() % 4 == 0)
			sleep_msec((unsigned int)random() % 4);
	}
}

static void describe(const char *name, const struct score *s, unsigned int n)
{
	printf("# %s: %u of %u done, %u calls made again", name, s->done, n,
	       s->repaired);
	for (unsigned int i = 1; i < INJECT_REASON_MAX_; i++)
		if (s->reasons[i])
			printf(", %u times %s", s->reasons[i],
			       inject_reason_name(i));
	putchar('\n');
}

/*
 * @min_done: how many of the @n requests must be done at least; less than all
 * where the target offers few good moments.
 */
static void try_target(struct inject *inject, const char *name,
		       const char *const words[3], unsigned int n,
		       unsigned int min_done)
{
	struct score score = { 0 };
	struct inject_request q;
	struct inject_reply a;
	struct victim v;
	const char *last;
	char text[128];
	uint64_t n_marked = 0;

	if (!victim_start(&v, name, words[0], words[1], words[2]))
		return;
	hammer(inject, &v, n, &score);
	describe(name, &score, n);
	if (min_done) {
		/* All of it, however often we have to ask. */
		request_pages(&v, &q, INJECT_MERGEABLE, 0, 1);
		q.ranges[0] = v.memory;
		for (int i = 0; i < 500 && !n_marked; i++) {
			ask(inject, &v, &q, &a);
			if (a.result == INJECT_DONE)
				n_marked = mergeable_pages(v.pid);
			else
				sleep_msec(2);
		}
	}
	last = victim_stop(&v);
	snprintf(text, sizeof(text), "%s is intact", name);
	check(is_intact(last), text, "%s", last);
	snprintf(text, sizeof(text), "%s was done", name);
	if (min_done)
		check(score.done >= min_done && n_marked >= 1024, text,
		      "%u of %u, %llu pages marked", score.done, n,
		      (unsigned long long)n_marked);
}

static void try_calls(struct inject *inject)
{
	char command[600], call[64], name[128];
	FILE *f;

	snprintf(command, sizeof(command), "%s --call list",
		 build_path("tests/targets/blocked"));
	f = popen(command, "re");
	if (!f)
		err(2, "popen");
	while (fgets(call, sizeof(call), f)) {
		const char *words[] = { "blocked", "--call", call };

		call[strcspn(call, "\n")] = '\0';
		snprintf(name, sizeof(name), "blocked in %s", call);
		try_target(inject, name, words, times(100), times(100));
	}
	pclose(f);
}

/* The process ends at a random instant while requests are under way. */
static void try_exits(struct inject *inject)
{
	unsigned int n_intact = 0, n_gone = 0, n = times(100);
	const char *last = "";
	struct inject_request q;
	struct inject_reply a;
	struct victim v;

	for (unsigned int i = 0; i < n; i++) {
		if (!victim_start(&v, "exits", i % 2 ? "hidden" : "leaderless",
				  "--size", "1"))
			return;
		request_pages(&v, &q, INJECT_MERGEABLE, 0, 100);
		for (int k = 0; k < 3; k++)
			if (inject_send(inject, &q, v.pidfd))
				errx(2, "inject_send");
		for (volatile long k = random() % 300000; k > 0; k--)
			;
		last = victim_stop(&v);
		n_intact += is_intact(last);
		for (int k = 0; k < 3; k++) {
			struct pollfd pfd = { inject_fd(inject), POLLIN, 0 };

			poll(&pfd, 1, ANSWER_MSEC);
			if (inject_receive(inject, &a))
				errx(2, "inject_receive");
			n_gone += a.result == INJECT_GONE;
		}
		if (!is_intact(last))
			break;
	}
	printf("# exits: %u of %u answers say gone\n", n_gone, 3 * n);
	check(n_intact == n, "exits in the middle are intact", "%s", last);
	check(n_gone > 0, "exits in the middle are noticed", "never");
}

static const struct {
	const char *name;
	const char *words[3];
	unsigned int n;
	unsigned int min_done;
	bool again; /* also where ranges are marked one by one */
} cases[] = {
	{ "timed", { "timed" }, 400, 400, true },
	{ "timed epoll_wait",
	  { "timed", "--call", "epoll_wait" },
	  200,
	  200,
	  false },
	{ "64 threads", { "threads" }, 300, 290, true },
	/* three signals a millisecond: on a slow day one comes in most holds */
	{ "signals", { "ticker" }, 400, 80, true },
	{ "rseq", { "rseq" }, 400, 0, false },
	{ "seccomp kill", { "sandbox", "--action", "kill" }, 300, 300, false },
	{ "seccomp errno",
	  { "sandbox", "--action", "errno" },
	  300,
	  300,
	  false },
	{ "seccomp trap", { "sandbox", "--action", "trap" }, 300, 300, false },
	{ "vfork parent", { "vforker" }, 300, 0, false },
	{ "mapper", { "mapper" }, 400, 300, true },
	{ "forker", { "forker" }, 400, 200, false },
	{ "execer", { "execer" }, 400, 0, false },
	{ "leaderless", { "leaderless" }, 300, 300, false },
	{ "not dumpable", { "hidden" }, 300, 300, false },
};

static void try_cases(struct inject *inject, const char *only, bool again)
{
	char name[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if ((only && !strstr(cases[i].name, only)) ||
		    (again && !cases[i].again))
			continue;
		snprintf(name, sizeof(name), "%s%s", cases[i].name,
			 again ? ", one by one" : "");
		try_target(inject, name, cases[i].words, times(cases[i].n),
			   times(cases[i].min_done));
	}
}

int main(int argc, char **argv)
{
	struct inject *inject =
		start_injector(build_path("ksmd-plus-injector"));
	const char *only = argc > 1 ? argv[1] : NULL;
	char wrapper[] = "/tmp/injector.XXXXXX";

	srandom((unsigned int)time(NULL));
	try_cases(inject, only, false);
	if (!only || strstr("blocked", only))
		try_calls(inject);
	if (!only || strstr("exits", only))
		try_exits(inject);
	inject_free(inject);
	make_wrapper(wrapper, "--single-calls");
	inject = start_injector(wrapper);
	try_cases(inject, only, true);
	inject_free(inject);
	unlink(wrapper);
	return n_failed > 0;
}
