/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter.h"
#include "kernel-api.h"
#include "need.h"

#define ABSENT 77

static const enum filter_role roles[] = { FILTER_LOOP, FILTER_READER,
					  FILTER_MOVER };

/* Under the filter of @role for good: each test is in a child. */
static void in_a_child(enum filter_role role, int (*test)(enum filter_role))
{
	int wstatus, r;
	pid_t pid = fork();

	if (pid == 0) {
		r = filter_install(role);
		_exit(r == FILTER_ABSENT ? ABSENT : r ? 99 : test(role));
	}
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	if (WEXITSTATUS(wstatus) == ABSENT)
		skip();
	assert_int_equal(WEXITSTATUS(wstatus), 0);
}

static bool refused(long r)
{
	return r == -1 && errno == ENOSYS;
}

/* Returns the number of the first call that went through. */
static int harmless(enum filter_role role)
{
	struct iovec iov = { &role, sizeof(role) };
	char *none[] = { NULL };

	if (!refused(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL)))
		return 1;
	if (!refused(process_vm_readv(getppid(), &iov, 1, &iov, 1, 0)))
		return 2;
	if (!refused(process_vm_writev(getppid(), &iov, 1, &iov, 1, 0)))
		return 3;
	if (!refused(execve("/bin/true", none, none)))
		return 4;
	if (!refused(kill(getppid(), 0)) ||
	    !refused(syscall(SYS_tgkill, getppid(), getppid(), 0)) ||
	    !refused(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0)))
		return 5;
	if (!refused(fork()) || !refused(syscall(SYS_clone3, NULL, 0)))
		return 6;
	if (!refused(socket(AF_INET, SOCK_STREAM, 0)))
		return 7;
	if (!refused((long)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)))
		return 8;
	if (!refused(syscall(SYS_pidfd_getfd, 0, 0, 0)))
		return 9;
	if (!refused(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL)) ||
	    !refused(syscall(SYS_setuid, 0)) ||
	    !refused(syscall(SYS_init_module, NULL, 0, NULL)))
		return 10;
	return 0;
}

static int able(enum filter_role role)
{
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd, r;

	if (p == MAP_FAILED || munmap(p, 1 << 20))
		return 1;
	p = malloc(4 << 20);
	if (!p)
		return 2;
	free(p);
	if (syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), 0))
		return 3;
	fd = openat(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY);
	if ((fd < 0) != (role == FILTER_READER))
		return 4;
	/* what is not a pagemap says so, and not that there is no ioctl */
	r = ioctl(STDERR_FILENO, KAPI_PAGEMAP_SCAN, NULL);
	if (r >= 0 || errno == ENOSYS)
		return 5;
	r = socket(AF_UNIX, SOCK_STREAM, 0);
	if ((r < 0) != (role != FILTER_LOOP))
		return 6;
	return 0;
}

static void test_what_nobody_may(void **state)
{
	(void)state;
	need_no_tool();
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		in_a_child(roles[i], harmless);
}

static void test_what_each_may(void **state)
{
	(void)state;
	need_no_tool();
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		in_a_child(roles[i], able);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_nobody_may),
		cmocka_unit_test(test_what_each_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
