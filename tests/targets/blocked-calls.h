/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocked-calls - the calls of blocked.c: how each is prepared, made, woken
 *
 * A part of that one program, in a file of its own for its length.
 */
#pragma once

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "target.h"

#define DAY 86400

/* What the call waits on, and what the child wakes it with. */
static struct {
	int fd; /* the call's */
	int other; /* the child's */
	int id; /* of System V */
	pid_t parent;
	atomic_uint *word; /* shared with the child */
	unsigned long aio;
} w;

static void must(bool ok, const char *what)
{
	if (!ok)
		err(errno == ENOSYS || errno == EPERM ? TARGET_SKIP : 2, "%s",
		    what);
}

static void on_signal(int sig)
{
	(void)sig;
}

static void make_pipe(void)
{
	int fd[2];

	must(pipe(fd) == 0, "pipe");
	w.fd = fd[0];
	w.other = fd[1];
}

static void wake_write(struct target *t)
{
	uint64_t one = 1;

	(void)t;
	if (write(w.other, &one, sizeof(one)) < 0)
		return;
}

static void make_handler(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
}

static void make_blocked_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static void wake_signal(struct target *t)
{
	(void)t;
	kill(w.parent, SIGUSR1);
}

static int call_sigsuspend(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}

static int call_sigwaitinfo(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	return sigwaitinfo(&set, NULL);
}

static int call_poll(void)
{
	struct pollfd pfd = { .fd = w.fd, .events = POLLIN };

	return poll(&pfd, 1, -1);
}

static int call_ppoll(void)
{
	struct pollfd pfd = { .fd = w.fd, .events = POLLIN };
	sigset_t none;

	sigemptyset(&none);
	return ppoll(&pfd, 1, NULL, &none);
}

static int call_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w.fd, &set);
	return select(w.fd + 1, &set, NULL, NULL, NULL);
}

static int call_pselect(void)
{
	struct timespec ts = { DAY, 0 };
	sigset_t none;
	fd_set set;

	sigemptyset(&none);
	FD_ZERO(&set);
	FD_SET(w.fd, &set);
	return pselect(w.fd + 1, &set, NULL, NULL, &ts, &none);
}

static int call_read(void)
{
	char buf[512];

	return (int)read(w.fd, buf, sizeof(buf));
}

static void make_full_pipe(void)
{
	static const char full[65536];
	int fd[2];

	must(pipe2(fd, O_NONBLOCK) == 0, "pipe");
	while (write(fd[1], full, sizeof(full)) > 0)
		;
	fcntl(fd[1], F_SETFL, 0);
	w.fd = fd[1];
	w.other = fd[0];
}

static int call_write(void)
{
	static const char byte;

	return (int)write(w.fd, &byte, 1);
}

static void wake_drain(struct target *t)
{
	char buf[65536];

	(void)t;
	while (read(w.other, buf, sizeof(buf)) > 0)
		;
}

static void make_socket(void)
{
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == 0, "socketpair");
	w.fd = fd[0];
	w.other = fd[1];
}

static void make_socket_with_timeout(void)
{
	struct timeval tv = { DAY, 0 };

	make_socket();
	must(setsockopt(w.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0,
	     "SO_RCVTIMEO");
}

static int call_recv(void)
{
	char buf[64];

	return (int)recv(w.fd, buf, sizeof(buf), 0);
}

static int call_recvmsg(void)
{
	char buf[64];
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return (int)recvmsg(w.fd, &msg, 0);
}

static void make_full_socket(void)
{
	struct timeval tv = { DAY, 0 };
	static const char full[1024];
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
	while (send(fd[0], full, sizeof(full), MSG_DONTWAIT) > 0)
		;
	must(setsockopt(fd[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0,
	     "SO_SNDTIMEO");
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	w.fd = fd[0];
	w.other = fd[1];
}

static int call_send(void)
{
	return (int)send(w.fd, "", 1, 0);
}

static void make_listener(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { DAY, 0 };

	w.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	/* An abstract address that the kernel chooses. */
	must(bind(w.fd, (struct sockaddr *)&sa, sizeof(sa_family_t)) == 0 &&
		     listen(w.fd, 100) == 0,
	     "listen");
	must(setsockopt(w.fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0,
	     "SO_RCVTIMEO");
}

static int call_accept(void)
{
	return accept(w.fd, NULL, NULL);
}

/* A descriptor, if it does not fail. */
static int connect_to_listener(int flags)
{
	struct sockaddr_un sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_UNIX, SOCK_STREAM | flags, 0);

	getsockname(w.fd, (struct sockaddr *)&sa, &len);
	return connect(fd, (struct sockaddr *)&sa, len) < 0 ? -1 : fd;
}

static void wake_connect(struct target *t)
{
	(void)t;
	close(connect_to_listener(SOCK_NONBLOCK));
}

static void make_word(void)
{
	w.word = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(w.word != MAP_FAILED, "mmap");
}

static int call_futex(void)
{
	return (int)syscall(SYS_futex, w.word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static int call_futex_timeout(void)
{
	struct timespec ts = { DAY, 0 };

	return (int)syscall(SYS_futex, w.word, FUTEX_WAIT, 0, &ts, NULL, 0);
}

static void wake_futex(struct target *t)
{
	(void)t;
	syscall(SYS_futex, w.word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void make_queue(void)
{
	w.id = msgget(IPC_PRIVATE, 0600);
	must(w.id >= 0, "msgget");
}

static int call_msgrcv(void)
{
	struct {
		long type;
		char text[8];
	} msg;
	int r = (int)msgrcv(w.id, &msg, sizeof(msg.text), 0, 0);

	msgctl(w.id, IPC_RMID, NULL);
	return r;
}

static void wake_msgsnd(struct target *t)
{
	struct {
		long type;
		char text[8];
	} msg = { .type = 1 };

	(void)t;
	msgsnd(w.id, &msg, sizeof(msg.text), IPC_NOWAIT);
}

static void make_semaphore(void)
{
	w.id = semget(IPC_PRIVATE, 1, 0600);
	must(w.id >= 0, "semget");
}

static int call_semop(void)
{
	struct sembuf op = { .sem_op = -1 };
	int r = semop(w.id, &op, 1);

	semctl(w.id, 0, IPC_RMID);
	return r;
}

static int call_semtimedop(void)
{
	struct sembuf op = { .sem_op = -1 };
	struct timespec ts = { DAY, 0 };
	int r = semtimedop(w.id, &op, 1, &ts);

	semctl(w.id, 0, IPC_RMID);
	return r;
}

static void wake_semaphore(struct target *t)
{
	struct sembuf op = { .sem_op = 1 };

	(void)t;
	semop(w.id, &op, 1);
}
