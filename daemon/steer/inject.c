/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "keeper.h"
#include "launch.h"

/* How long inject_free() waits, so that no zombie is left behind. */
#define EXIT_MSEC 100

struct inject {
	int socket;
	pid_t pid;
};

const char *inject_reason_name(uint32_t reason)
{
	static const char *const names[INJECT_REASON_MAX_] = {
		[INJECT_REASON_NONE] = "none",
		[INJECT_REASON_NOT_STOPPING] = "does not stop",
		[INJECT_REASON_GROUP_STOPPED] = "is stopped",
		[INJECT_REASON_TRACED] = "is traced",
		[INJECT_REASON_SIGNAL] = "got a signal",
		[INJECT_REASON_RSEQ] = "in a restartable sequence",
		[INJECT_REASON_SECCOMP] = "under a seccomp filter",
		[INJECT_REASON_32BIT] = "a 32-bit program",
		[INJECT_REASON_USER_DISPATCH] = "uses syscall user dispatch",
		[INJECT_REASON_NO_SYSCALL_INSN] = "has no system call to use",
		[INJECT_REASON_NO_THREAD] = "has no thread to hold",
		[INJECT_REASON_SHARED_MM] = "shares its parent's memory",
		[INJECT_REASON_PERMISSION] = "may not be traced",
	};

	return reason < INJECT_REASON_MAX_ ? names[reason] : "unknown";
}

static void reap(pid_t pid)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };

	if (pidfd >= 0)
		poll(&pfd, 1, EXIT_MSEC);
	waitpid(pid, NULL, WNOHANG);
}

/* Both are taken over: the injector's socket, and its pid if there is one. */
static int inject_made(int socket, pid_t pid, int error, struct inject **ret)
{
	_cleanup_close_ int ours = socket;
	struct inject *inject;

	if (!error && fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
		error = -errno;
	inject = error ? NULL : calloc(1, sizeof(*inject));
	if (!inject) {
		ours = close_fd(ours);
		if (pid)
			reap(pid);
		return error ? error : -ENOMEM;
	}
	inject->socket = TAKE_FD(ours);
	inject->pid = pid;
	*ret = inject;
	return 0;
}

int inject_new(const char *path, struct inject **ret)
{
	int pair[2], r;
	pid_t pid;

	/* Each end has a file description of its own. */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = launch_injector(path, pair[1], false, &pid);
	close_fd(pair[1]);
	return inject_made(pair[0], pid, r, ret);
}

int inject_new_by(struct keeper *keeper, struct inject **ret)
{
	int socket = -1;
	pid_t pid = 0;
	int r = keeper_ask(keeper, &socket, &pid);

	return inject_made(socket, pid, r, ret);
}

struct inject *inject_free(struct inject *inject)
{
	if (!inject)
		return NULL;
	close_fd(inject->socket);
	reap(inject->pid);
	free(inject);
	return NULL;
}

int inject_fd(const struct inject *inject)
{
	return inject->socket;
}

pid_t inject_pid(const struct inject *inject)
{
	return inject->pid;
}

static int socket_error(void)
{
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
	case ETOOMANYREFS: /* pidfds on their way */
		return INJECT_AGAIN;
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
		return INJECT_LOST;
	default:
		return -errno;
	}
}

int inject_send(struct inject *inject, const struct inject_request *request,
		int pidfd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)request, sizeof(*request) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pidfd, sizeof(int));
	if (sendmsg(inject->socket, &msg, MSG_NOSIGNAL) < 0)
		return socket_error();
	return 0;
}

int inject_receive(struct inject *inject, struct inject_reply *ret)
{
	struct inject_reply reply;
	ssize_t n = recv(inject->socket, &reply, sizeof(reply), 0);

	if (n < 0)
		return socket_error();
	if (n == 0)
		return INJECT_LOST;
	if (n != sizeof(reply))
		return -EBADMSG;
	*ret = reply;
	return 0;
}
