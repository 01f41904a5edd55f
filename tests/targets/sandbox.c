/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox - under a seccomp filter that forbids what an injector might call
 *
 * It kills the process, fails the call, or raises SIGSYS. At the end it shows
 * that the filter has been in force all the time: a forbidden call fails.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "target.h"

static struct target t;
static volatile sig_atomic_t n_sigsys;

static void on_sigsys(int sig)
{
	(void)sig;
	n_sigsys++;
}

#define FORBID(nr)                                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1),                       \
		BPF_STMT(BPF_RET | BPF_K, action)

static void enter(uint32_t action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		FORBID(SYS_madvise),
		FORBID(SYS_process_madvise),
		FORBID(SYS_mmap),
		FORBID(SYS_munmap),
		FORBID(SYS_prctl),
		FORBID(SYS_getppid),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		err(TARGET_SKIP, "seccomp");
}

int main(int argc, char **argv)
{
	struct target_option option = { "action", "kill, errno or trap",
					"kill" };
	struct sigaction sa = { .sa_handler = on_sigsys };
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	target_options(&t, argc, argv, "Under a seccomp filter.", &option, 1);
	if (!strcmp(option.value, "errno"))
		action = SECCOMP_RET_ERRNO | EACCES;
	else if (!strcmp(option.value, "trap"))
		action = SECCOMP_RET_TRAP;
	sigaction(SIGSYS, &sa, NULL);
	target_ready(&t, NULL);
	enter(action);
	while (!target_stopping(&t))
		target_sleep(1000);
	if (n_sigsys)
		target_broken(&t, "a call that was not ours got SIGSYS");
	if (action != SECCOMP_RET_KILL_PROCESS) {
		bool failed = syscall(SYS_getppid) < 0 && errno == EACCES;

		if (action == SECCOMP_RET_TRAP ? !n_sigsys : !failed)
			target_broken(&t, "the filter is not in force");
	}
	target_end(&t);
}
