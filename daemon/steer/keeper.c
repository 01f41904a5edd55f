/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "keeper.h"

#include <errno.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "launch.h"
#include "rights.h"

/* An exec takes milliseconds; on a machine that swaps, some seconds. */
#define ANSWER_SEC 10

struct keeper {
	int socket;
	pid_t pid;
};

/* What it says; a descriptor comes with it unless there is an error. */
struct answer {
	int error;
	pid_t pid;
};

/* --- the keeper itself ----------------------------------------------------- */

static int answer_send(int socket, const struct answer *answer, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)answer, sizeof(*answer) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(socket, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void start(int socket, const char *path)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct answer answer = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		answer.error = errno;
	} else {
		ours = pair[0];
		theirs = pair[1];
		answer.error = -launch_injector(path, theirs, true,
						&answer.pid);
	}
	if (!answer.error)
		answer.error = -answer_send(socket, &answer, ours);
	if (answer.error) /* its injector ends with the socket */
		answer_send(socket, &answer, -1);
}

/* Signals are blocked, as in the daemon: it ends at the end of the socket. */
static void keep(int socket, const char *path)
{
	ssize_t n;
	char byte;

	prctl(PR_SET_NAME, "ksmd-plus-keep");
	if (dup2(socket, INJECT_FD) < 0 ||
	    syscall(SYS_close_range, INJECT_FD + 1, ~0U, 0) < 0 ||
	    rights_bound(RIGHTS_INJECTOR_AT_START) ||
	    rights_keep(RIGHTS_INJECTOR_AT_START))
		_exit(EXIT_FAILURE);
	do {
		n = recv(INJECT_FD, &byte, sizeof(byte), 0);
		if (n > 0)
			start(INJECT_FD, path);
	} while (n > 0 || (n < 0 && errno == EINTR));
	_exit(EXIT_SUCCESS);
}

/* --- the daemon's end ------------------------------------------------------ */

int keeper_new(const char *path, struct keeper **ret)
{
	const struct timeval patience = { .tv_sec = ANSWER_SEC };
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int pair[2], r = 0;

	if (!keeper)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		r = -errno;
		free(keeper);
		return r;
	}
	keeper->socket = pair[0];
	keeper->pid = fork();
	if (keeper->pid == 0)
		keep(pair[1], path);
	if (keeper->pid < 0 ||
	    setsockopt(keeper->socket, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) < 0)
		r = -errno;
	close_fd(pair[1]);
	if (r) {
		keeper_free(keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	close_fd(keeper->socket);
	if (keeper->pid > 0)
		waitpid(keeper->pid, NULL, 0);
	free(keeper);
	return NULL;
}

pid_t keeper_pid(const struct keeper *keeper)
{
	return keeper->pid;
}

bool keeper_is_gone(struct keeper *keeper)
{
	if (keeper->pid && waitpid(keeper->pid, NULL, WNOHANG) == keeper->pid)
		keeper->pid = 0;
	return !keeper->pid;
}

static int descriptor_of(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int keeper_ask(struct keeper *keeper, int *ret_socket, pid_t *ret_pid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct answer answer = { 0 };
	struct iovec iov = { &answer, sizeof(answer) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;
	int fd;

	if (send(keeper->socket, "", 1, MSG_NOSIGNAL) < 0)
		return -errno;
	do {
		n = recvmsg(keeper->socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof(answer))
		return -EPIPE;
	fd = descriptor_of(&msg);
	*ret_pid = answer.pid;
	if (answer.error || fd < 0) {
		close_fd(fd);
		return answer.error ? -answer.error : -EPIPE;
	}
	*ret_socket = fd;
	return 0;
}
