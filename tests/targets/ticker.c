/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticker - a process that lives on signals
 *
 * A timer sends a queued signal with a value, some thousand times a second;
 * each must arrive, once, with what it carries, while the thread computes.
 */
#include <signal.h>

#include "target.h"

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

int main(int argc, char **argv)
{
	struct target_option option = { "usec", "N between two signals",
					"300" };
	struct sigaction sa = { .sa_sigaction = on_timer,
				.sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_value.sival_int = 4711 };
	struct itimerspec its = { 0 };
	uint64_t result, start, expected;
	timer_t timer;

	target_options(&t, argc, argv, "Thousands of signals a second.",
		       &option, 1);
	target_ready(&t, NULL);
	ev.sigev_signo = SIGRTMIN;
	sigaction(SIGRTMIN, &sa, NULL);
	its.it_value.tv_nsec = its.it_interval.tv_nsec = atol(option.value) *
							 1000;
	start = target_nsec();
	if (timer_create(CLOCK_MONOTONIC, &ev, &timer) < 0 ||
	    timer_settime(timer, 0, &its, NULL) < 0)
		err(2, "timer");
	result = compute();
	while (!target_stopping(&t))
		if (compute() != result)
			target_broken(&t, "wrong result of a computation");
	/* One may be on its way; all others have been counted. */
	expected = (target_nsec() - start) / (uint64_t)its.it_value.tv_nsec;
	if (n_ticks + 2 < expected)
		target_broken(&t, "%llu of %llu ticks",
			      (unsigned long long)n_ticks,
			      (unsigned long long)expected);
	timer_delete(timer);
	target_end(&t);
}
