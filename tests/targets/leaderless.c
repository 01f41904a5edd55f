/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * leaderless - the first thread has exited, the others go on
 *
 * /proc/PID shows next to nothing of such a process.
 */
#include <pthread.h>

#include "target.h"

static struct target t;

static void *lives(void *arg)
{
	const struct timespec ts = { 0, 3000000 };

	while (!target_stopping(&t))
		if (nanosleep(&ts, NULL) < 0)
			target_broken(&t, "nanosleep: %s", strerror(errno));
	if (arg)
		target_end(&t);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	target_options(&t, argc, argv, "Its first thread has exited.", NULL, 0);
	target_fill(&t);
	target_ready(&t, NULL);
	if (pthread_create(&thread, NULL, lives, NULL) ||
	    pthread_create(&thread, NULL, lives, &t))
		errx(2, "no thread");
	pthread_exit(NULL);
}
