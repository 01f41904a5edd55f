/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-kill - the daemon is killed at random instants
 *
 * A client with its injector sends request upon request for several targets
 * and is killed by SIGKILL. The injector must let go of whom it holds and exit
 * with success, and no target may notice anything.
 *
 * test-timeout: 600
 */
#include <sys/prctl.h>

#include "injecting.h"

#define N_KILLS	  200
#define N_VICTIMS 5

static const char *const targets[N_VICTIMS][3] = {
	{ "blocked", "--call", "epoll_wait" },
	{ "blocked", "--call", "futex-timeout" },
	{ "timed", "--call", "all" },
	{ "rseq", NULL, NULL },
	{ "sandbox", "--action", "kill" },
};

/* Keep the injector busy until we are killed; says its pid first. */
static void be_client(const char *path, struct victim *victims, int out)
{
	struct inject *inject = start_injector(path);
	pid_t pid = inject_pid(inject);
	struct inject_request q;
	struct inject_reply a;

	if (write(out, &pid, sizeof(pid)) < 0)
		_exit(1);
	for (unsigned int i = 0;; i++) {
		struct pollfd pfd = { inject_fd(inject), POLLIN, 0 };

		request_pages(&victims[i % N_VICTIMS], &q,
			      i % 3 ? INJECT_MERGEABLE : INJECT_UNMERGEABLE,
			      i % 200, 1 + i % 200);
		/* As many as fit: the queue is not empty when we die. */
		if (inject_send(inject, &q, victims[i % N_VICTIMS].pidfd))
			poll(&pfd, 1, 100);
		while (!inject_receive(inject, &a))
			;
	}
}

/* One client's life. False where its injector did not end as it should. */
static bool kill_once(const char *path, struct victim *victims)
{
	pid_t client, injector = 0;
	int fd[2], status = 0;

	if (pipe2(fd, O_CLOEXEC) < 0)
		err(2, "pipe");
	client = fork();
	if (client == 0)
		be_client(path, victims, fd[1]);
	if (read(fd[0], &injector, sizeof(injector)) != sizeof(injector))
		errx(2, "the client did not start");
	close(fd[0]);
	close(fd[1]);
	sleep_msec((unsigned int)random() % 25);
	for (volatile long k = random() % 100000; k > 0; k--)
		;
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	/* We are its new parent. */
	if (waitpid(injector, &status, 0) != injector || status) {
		printf("# the injector ended with %x\n", status);
		return false;
	}
	return true;
}

static bool is_traced(pid_t pid)
{
	char path[64], line[256];
	int tracer = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "TracerPid: %d", &tracer);
	if (f)
		fclose(f);
	return tracer != 0;
}

int main(void)
{
	char path[600];
	unsigned int n_ended = 0, n_traced = 0;
	struct victim victims[N_VICTIMS];
	char name[128];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		puts("1..0 # SKIP needs root");
		return 0;
	}
	srandom((unsigned int)time(NULL));
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err(2, "PR_SET_CHILD_SUBREAPER");
	snprintf(path, sizeof(path), "%s", build_path("ksmd-plus-injector"));
	for (int i = 0; i < N_VICTIMS; i++)
		if (!victim_start(&victims[i], "killed clients", targets[i][0],
				  targets[i][1], targets[i][2]))
			return n_failed > 0;
	for (int i = 0; i < N_KILLS; i++)
		n_ended += kill_once(path, victims);
	check(n_ended == N_KILLS, "the injector ends by itself", "%u of %d",
	      n_ended, N_KILLS);
	for (int i = 0; i < N_VICTIMS; i++)
		n_traced += is_traced(victims[i].pid);
	check(!n_traced, "nobody is held any more", "%u are", n_traced);
	for (int i = 0; i < N_VICTIMS; i++) {
		const char *last = victim_stop(&victims[i]);

		snprintf(name, sizeof(name), "%s is intact after %d kills",
			 targets[i][2] ? targets[i][2] : targets[i][0],
			 N_KILLS);
		check(is_intact(last), name, "%s", last);
	}
	return n_failed > 0;
}
