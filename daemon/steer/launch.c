/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By clone() and not by posix_spawn(), which has no CLONE_PARENT: whoever
 * starts an injector in the daemon's name must leave the daemon its parent, so
 * that it is waited for. Between clone() and exec the child makes system calls
 * only, since other threads may hold any lock of libc's.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"

extern char **environ;

/* Where the child tells why there was no exec; closed by it otherwise. */
#define TELL_FD (INJECT_FD + 1)

static void signals_reset(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &standard, NULL); /* two of them refuse */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Both descriptors are above those that they become. */
static int descriptors_set(int socket, int tell)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(socket, INJECT_FD) < 0 || dup3(tell, TELL_FD, O_CLOEXEC) < 0 ||
	    syscall(SYS_close_range, TELL_FD + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

static void child(const char *path, int socket, int tell)
{
	char *argv[] = { (char *)"ksmd-plus-injector", NULL };
	int error;

	setsid();
	signals_reset();
	error = -descriptors_set(socket, tell);
	if (error == ENOENT)
		error = ENXIO; /* of /dev/null, not of the program */
	if (!error) {
		tell = TELL_FD;
		execve(path, argv, environ);
		error = errno;
	}
	if (write(tell, &error, sizeof(error)) < 0)
		_exit(2);
	_exit(1);
}

/* A copy of @fd that is out of the way of what the child is to have. */
static int lifted(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, TELL_FD + 1);

	return r < 0 ? -errno : r;
}

int launch_injector(const char *path, int socket, bool as_sibling,
		    pid_t *ret_pid)
{
	_cleanup_close_ int hear = -1, tell = -1, tell_high = -1, high = -1;
	int pipes[2], error = 0;
	long pid;

	*ret_pid = 0;
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	hear = pipes[0];
	tell = pipes[1];
	tell_high = lifted(tell);
	high = lifted(socket);
	if (tell_high < 0 || high < 0)
		return tell_high < 0 ? tell_high : high;
	pid = syscall(SYS_clone, (as_sibling ? CLONE_PARENT : 0) | SIGCHLD, 0,
		      0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(path, high, tell_high);
	tell = close_fd(tell);
	tell_high = close_fd(tell_high);
	*ret_pid = (pid_t)pid;
	return read(hear, &error, sizeof(error)) == sizeof(error) ? -error : 0;
}
