/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticker - a process that lives on signals
 *
 * A timer sends a queued signal with a value, some thousand times a second;
 * each must arrive, once, with what it carries, while the thread computes.
 * --switches yes: instead it gets one each time that it loses its CPU, as some
 * profilers want it, and hence nearly whenever it was held; and its memory is in
 * parts, so that it would have to be held several times.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/syscall.h>

#include "target.h"

/* How long the last ticks may take to come: in a guest the host has a say. */
#define LATE_NSEC 5000000000ULL

static struct target t;
static volatile uint64_t n_ticks;

static void on_timer(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	n_ticks += 1 + (uint64_t)info->si_overrun;
	if (info->si_code != SI_TIMER || info->si_value.sival_int != 4711)
		target_broken(&t, "a signal lost what it carried");
}

static uint64_t compute(void)
{
	uint64_t x = 1;

	for (int i = 0; i < 100000; i++)
		x = target_mix(x);
	return x;
}

#define PART_PAGES 32

/* Parts of it with a page in between that is left alone. */
static void part_memory(void)
{
	size_t bytes = t.size_mib << 20, part = PART_PAGES * PAGE_BYTES;

	for (size_t at = 0; at < bytes; at += part)
		if (madvise((char *)t.memory + at, PAGE_BYTES, MADV_DONTDUMP) <
		    0)
			err(2, "MADV_DONTDUMP");
}

static void on_switch(int sig)
{
	(void)sig;
}

static void signal_switches(void)
{
	struct sigaction sa = { .sa_handler = on_switch,
				.sa_flags = SA_RESTART | SA_NODEFER };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
		.sample_period = 1,
		.wakeup_events = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
			      PERF_FLAG_FD_CLOEXEC);

	sigaction(SIGIO, &sa, NULL);
	if (fd < 0 || fcntl(fd, F_SETOWN, getpid()) < 0 ||
	    fcntl(fd, F_SETFL, O_ASYNC) < 0)
		err(TARGET_SKIP, "perf_event_open");
}

int main(int argc, char **argv)
{
	struct target_option options[] = {
		{ "usec", "N between two signals", "300" },
		{ "switches", "yes or no", "no" },
	};
	struct sigaction sa = { .sa_sigaction = on_timer,
				.sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_value.sival_int = 4711 };
	struct itimerspec its = { 0 };
	uint64_t result, start, expected, end;
	timer_t timer;

	target_options(&t, argc, argv, "Thousands of signals a second.",
		       options, 2);
	if (!strcmp(options[1].value, "yes")) {
		signal_switches();
		target_ready(&t, NULL);
		part_memory();
		while (!target_stopping(&t))
			compute();
		target_end(&t);
	}
	target_ready(&t, NULL);
	ev.sigev_signo = SIGRTMIN;
	sigaction(SIGRTMIN, &sa, NULL);
	its.it_value.tv_nsec = its.it_interval.tv_nsec =
		atol(options[0].value) * 1000;
	start = target_nsec();
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0 ||
	    timer_settime(timer, 0, &its, NULL) < 0)
		err(2, "timer");
	result = compute();
	while (!target_stopping(&t))
		if (compute() != result)
			target_broken(&t, "wrong result of a computation");
	/* What is lost stays lost, what is late is there at some moment; one
	 * may be on its way at each. */
	end = target_nsec() + LATE_NSEC;
	do {
		compute();
		expected = (target_nsec() - start) /
			   (uint64_t)its.it_value.tv_nsec;
	} while (n_ticks + 2 < expected && target_nsec() < end);
	if (n_ticks + 2 < expected)
		target_broken(&t, "%llu of %llu ticks",
			      (unsigned long long)n_ticks,
			      (unsigned long long)expected);
	timer_delete(timer);
	target_end(&t);
}
