/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blocked - a single thread in one blocking call, which must not return
 *
 * The call has no timeout (or one of a day): before the input has ended
 * there is nothing for it to return. Any return, EINTR above all, is a
 * breakage.
 */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "blocked-calls.h"

static void make_eventfd(void)
{
	w.fd = w.other = eventfd(0, 0);
	must(w.fd >= 0, "eventfd");
}

static void make_timerfd(void)
{
	struct itimerspec its = { .it_value = { DAY, 0 } };

	w.fd = timerfd_create(CLOCK_MONOTONIC, 0);
	must(w.fd >= 0 && timerfd_settime(w.fd, 0, &its, NULL) == 0, "timerfd");
}

static void wake_timerfd(struct target *t)
{
	struct itimerspec its = { .it_value = { 0, 1 } };

	(void)t;
	timerfd_settime(w.fd, 0, &its, NULL);
}

static void make_signalfd(void)
{
	sigset_t set;

	make_blocked_signal();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	w.fd = signalfd(-1, &set, 0);
	must(w.fd >= 0, "signalfd");
}

static void make_inotify(void)
{
	char path[] = "/tmp/blocked.XXXXXX";

	w.other = mkstemp(path);
	w.fd = inotify_init();
	must(w.other >= 0 && w.fd >= 0 &&
		     inotify_add_watch(w.fd, path, IN_MODIFY) >= 0,
	     "inotify");
	unlink(path);
	/* Unlinking changes its attributes, no more: nothing to read yet. */
}

static void make_mqueue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[64];

	snprintf(name, sizeof(name), "/blocked-%d", getpid());
	w.fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	must(w.fd >= 0, "mq_open");
	mq_unlink(name);
}

static int call_mq_receive(void)
{
	char buf[8];

	return (int)mq_receive(w.fd, buf, sizeof(buf), NULL);
}

static void wake_mq_send(struct target *t)
{
	struct timespec past = { 0, 0 };

	(void)t;
	mq_timedsend(w.fd, "", 1, 0, &past);
}

static void make_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	char path[] = "/tmp/blocked.XXXXXX";
	int ready[2];
	char byte;

	w.fd = mkstemp(path);
	must(w.fd >= 0 && pipe(ready) == 0, "lock");
	unlink(path);
	make_word();
	if (fork() == 0) { /* holds the lock until it is told */
		must(fcntl(w.fd, F_SETLKW, &lock) == 0, "F_SETLKW");
		must(write(ready[1], "", 1) == 1, "write");
		while (!atomic_load(w.word) && getppid() == w.parent)
			target_sleep(5000);
		_exit(0);
	}
	must(read(ready[0], &byte, 1) == 1, "read");
}

static int call_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK };

	return fcntl(w.fd, F_SETLKW, &lock);
}

static void wake_word(struct target *t)
{
	(void)t;
	atomic_store(w.word, 1);
}

static void make_child(void)
{
	make_word();
	w.id = fork();
	if (w.id == 0) {
		while (!atomic_load(w.word) && getppid() == w.parent)
			target_sleep(5000);
		_exit(0);
	}
}

static int call_waitpid(void)
{
	return waitpid(w.id, NULL, 0);
}

static int call_waitid(void)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)w.id, &info, WEXITED);
}

static void make_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	make_pipe();
	w.id = epoll_create1(0);
	must(w.id >= 0 && epoll_ctl(w.id, EPOLL_CTL_ADD, w.fd, &ev) == 0,
	     "epoll");
}

static int call_epoll_wait(void)
{
	struct epoll_event ev;

	return epoll_wait(w.id, &ev, 1, -1);
}

static int call_epoll_day(void)
{
	struct epoll_event ev;

	return epoll_wait(w.id, &ev, 1, DAY * 1000);
}

static int call_epoll_pwait(void)
{
	struct epoll_event ev;
	sigset_t none;

	sigemptyset(&none);
	return epoll_pwait(w.id, &ev, 1, -1, &none);
}

static int call_epoll_pwait2(void)
{
	struct timespec ts = { DAY, 0 };
	struct epoll_event ev;

	return epoll_pwait2(w.id, &ev, 1, &ts, NULL);
}

/* A poll by libaio's system calls, of which there is no libc wrapper. */
static void make_aio(void)
{
	static struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_POLL };
	struct iocb *list[] = { &iocb };

	make_pipe();
	iocb.aio_fildes = (uint32_t)w.fd;
	iocb.aio_buf = POLLIN;
	must(syscall(SYS_io_setup, 8, &w.aio) == 0 &&
		     syscall(SYS_io_submit, w.aio, 1, list) == 1,
	     "aio");
}

static int call_io_getevents(void)
{
	struct io_event ev;

	return (int)syscall(SYS_io_getevents, w.aio, 1, 1, &ev, NULL);
}

static int call_io_pgetevents(void)
{
	struct timespec ts = { DAY, 0 };
	struct io_event ev;

	return (int)syscall(SYS_io_pgetevents, w.aio, 1, 1, &ev, &ts, NULL);
}

/* One poll request in a ring of one entry. */
static void make_uring(void)
{
	struct io_uring_params p = { 0 };
	struct io_uring_sqe *sqe;
	uint32_t *array;
	char *ring;

	make_pipe();
	w.id = (int)syscall(SYS_io_uring_setup, 1, &p);
	must(w.id >= 0, "io_uring_setup");
	ring = mmap(NULL, p.sq_off.array + sizeof(uint32_t),
		    PROT_READ | PROT_WRITE, MAP_SHARED, w.id,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, w.id,
		   IORING_OFF_SQES);
	must(ring != MAP_FAILED && (void *)sqe != MAP_FAILED, "io_uring");
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD,
				      .fd = w.fd,
				      .poll32_events = POLLIN };
	array = (uint32_t *)(ring + p.sq_off.array);
	array[0] = 0;
	atomic_store((atomic_uint *)(ring + p.sq_off.tail), 1);
	must(syscall(SYS_io_uring_enter, w.id, 1, 0, 0, NULL, 0) == 1,
	     "io_uring_enter");
}

static int call_uring(void)
{
	return (int)syscall(SYS_io_uring_enter, w.id, 0, 1,
			    IORING_ENTER_GETEVENTS, NULL, 0);
}

/* A queue that is full: the next one has to wait for an accept(). */
static void make_full_listener(void)
{
	make_listener();
	must(listen(w.fd, 0) == 0 && connect_to_listener(0) >= 0, "connect");
}

static int call_connect(void)
{
	return connect_to_listener(0);
}

/* Asked again while the target verifies itself, when nobody is waiting. */
static void wake_accept(struct target *t)
{
	struct pollfd p = { .fd = w.fd, .events = POLLIN };

	(void)t;
	if (poll(&p, 1, 0) > 0)
		close(accept(w.fd, NULL, NULL));
}

static const struct call {
	const char *name;
	void (*make)(void);
	int (*call)(void);
	void (*wake)(struct target *t);
} calls[] = {
	{ "pause", make_handler, pause, wake_signal },
	{ "sigsuspend", make_handler, call_sigsuspend, wake_signal },
	{ "sigwaitinfo", make_blocked_signal, call_sigwaitinfo, wake_signal },
	{ "poll", make_pipe, call_poll, wake_write },
	{ "ppoll", make_pipe, call_ppoll, wake_write },
	{ "select", make_pipe, call_select, wake_write },
	{ "pselect", make_pipe, call_pselect, wake_write },
	{ "read-pipe", make_pipe, call_read, wake_write },
	{ "write-pipe", make_full_pipe, call_write, wake_drain },
	{ "read-eventfd", make_eventfd, call_read, wake_write },
	{ "read-timerfd", make_timerfd, call_read, wake_timerfd },
	{ "read-signalfd", make_signalfd, call_read, wake_signal },
	{ "read-inotify", make_inotify, call_read, wake_write },
	{ "read-timeout", make_socket_with_timeout, call_read, wake_write },
	{ "recv", make_socket, call_recv, wake_write },
	{ "recv-timeout", make_socket_with_timeout, call_recv, wake_write },
	{ "recvmsg-timeout", make_socket_with_timeout, call_recvmsg,
	  wake_write },
	{ "send-timeout", make_full_socket, call_send, wake_drain },
	{ "accept-timeout", make_listener, call_accept, wake_connect },
	{ "futex", make_word, call_futex, wake_futex },
	{ "futex-timeout", make_word, call_futex_timeout, wake_futex },
	{ "msgrcv", make_queue, call_msgrcv, wake_msgsnd },
	{ "semop", make_semaphore, call_semop, wake_semaphore },
	{ "semtimedop", make_semaphore, call_semtimedop, wake_semaphore },
	{ "mq_receive", make_mqueue, call_mq_receive, wake_mq_send },
	{ "lock", make_lock, call_lock, wake_word },
	{ "waitpid", make_child, call_waitpid, wake_word },
	{ "waitid", make_child, call_waitid, wake_word },
	{ "epoll_wait", make_epoll, call_epoll_wait, wake_write },
	{ "epoll_wait-timeout", make_epoll, call_epoll_day, wake_write },
	{ "epoll_pwait", make_epoll, call_epoll_pwait, wake_write },
	{ "epoll_pwait2", make_epoll, call_epoll_pwait2, wake_write },
	{ "io_getevents", make_aio, call_io_getevents, wake_write },
	{ "io_pgetevents", make_aio, call_io_pgetevents, wake_write },
	{ "io_uring_enter", make_uring, call_uring, wake_write },
};

/* Who is in it is left alone. */
static const struct call avoided = { "connect", make_full_listener,
				     call_connect, wake_accept };

static const struct call *find(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	return strcmp(avoided.name, name) ? NULL : &avoided;
}

/* --call list: all names but that one, for who wants to try each. */
static void list(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		puts(calls[i].name);
	exit(0);
}

int main(int argc, char **argv)
{
	struct target_option option = { "call", "NAME, or list for all names",
					"read-pipe" };
	const struct call *call;
	struct target t;
	int r;

	target_options(&t, argc, argv, "One thread blocked in one call.",
		       &option, 1);
	if (!strcmp(option.value, "list"))
		list();
	call = find(option.value);
	if (!call)
		errx(2, "no such call: %s", option.value);
	w.parent = getpid();
	call->make();
	target_ready(&t, call->wake);
	r = call->call();
	if (!target_stopping(&t))
		target_broken(&t, "%s returned %d: %s", call->name, r,
			      strerror(errno));
	else if (r < 0 && errno != EINTR)
		target_broken(&t, "%s failed: %s", call->name, strerror(errno));
	target_end(&t);
}
