/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * samepid - run a program as a process of a given number
 *
 * As a number comes round again, only at once: samepid PID PROGRAM [ARG...].
 * Its exit status is the program's.
 */
#include <err.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP 77

int main(int argc, char **argv)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid_size = 1 };
	pid_t wanted;
	int status;
	long pid;

	if (argc < 3)
		errx(2, "usage: samepid PID PROGRAM [ARG...]");
	wanted = (pid_t)strtol(argv[1], NULL, 10);
	args.set_tid = (uintptr_t)&wanted;
	/* EEXIST: the last one of that number is still being buried */
	for (int i = 0; i < 10000; i++) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		if (pid >= 0 || errno != EEXIST)
			break;
		usleep(1000);
	}
	if (pid < 0)
		err(SKIP, "clone3");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(argv[2], argv + 2);
		_exit(SKIP);
	}
	close(STDIN_FILENO);
	if (waitpid((pid_t)pid, &status, 0) < 0)
		err(2, "waitpid");
	if (WIFSIGNALED(status))
		errx(2, "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}
