/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The MADV_UNMERGEABLE probe. Until "mm/ksm: fix flag-dropping behavior in
 * ksm_madvise" (6.18, and stable releases of that autumn) the kernel cleared
 * the upper 32 bits of a mapping's flags: pkeys, userfaultfd-minor, MTE,
 * shadow stacks were lost. VM_SEALED is one of those bits in every release
 * that has mseal(2), on every 64-bit architecture, and unlike the others it
 * needs no hardware and shows itself without a doubt: a sealed mapping cannot
 * be unmapped. So: mark, seal, unmark, try to unmap. Sealing does not forbid
 * either advice, since neither discards anything.
 *
 * It leaves nothing behind. MADV_MERGEABLE enters the child's mm into ksmd's
 * list, where MADV_UNMERGEABLE leaves it; but an mm for which ksmd has made no
 * record of any page is taken off the list by the exit itself, whether ksmd
 * runs or not. The page is never touched, so there is never a page to record.
 * Only if ksmd's cursor stands on the child at that instant does the entry
 * wait for ksmd, which then removes it in passing: ksmd is running in that
 * case. Hence also a fork and not a thread: the entry must not be ours.
 */
#include "childprobe.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#include "kernel-api.h"

/* Exit codes of the child in childprobe_unmergeable(). */
enum { CHILD_KEPT = 10, CHILD_DROPPED, CHILD_UNTESTABLE };

/*
 * A child that runs @fn with all signals as in the parent, and dies with us.
 * Only async-signal-safe calls in @fn: the parent may have threads.
 */
static pid_t child_start(int (*fn)(void))
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid != 0)
		return pid < 0 ? -errno : pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	_exit(fn());
}

/* The wait status, or -1 if somebody else has taken it (SIGCHLD ignored). */
static int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static int child_idle(void)
{
	while (pause() < 0)
		continue;
	return 0;
}

static bool seize(pid_t pid, long options)
{
	return ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) == 0;
}

int childprobe_ptrace(struct childprobe_ptrace *ret)
{
	struct childprobe_ptrace probe = { 0 };
	pid_t pid = child_start(child_idle);

	if (pid < 0)
		return pid;
	/* The options are checked before anything is attached. */
	probe.suspend_seccomp = seize(pid, KAPI_PTRACE_O_SUSPEND_SECCOMP);
	probe.seize = probe.suspend_seccomp || seize(pid, 0);
	/* one that we may not end would be waited for; it dies with us */
	if (kill(pid, SIGKILL) == 0)
		child_wait(pid);
	*ret = probe;
	return 0;
}

static int child_unmergeable(void)
{
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || madvise(page, PAGE_BYTES, MADV_MERGEABLE))
		return CHILD_UNTESTABLE;
	if (syscall(__NR_mseal, page, PAGE_BYTES, 0UL))
		return CHILD_UNTESTABLE;
	if (madvise(page, PAGE_BYTES, MADV_UNMERGEABLE))
		return CHILD_UNTESTABLE;
	if (munmap(page, PAGE_BYTES) == 0)
		return CHILD_DROPPED;
	return errno == EPERM ? CHILD_KEPT : CHILD_UNTESTABLE;
}

int childprobe_unmergeable(enum childprobe_verdict *ret)
{
	pid_t pid = child_start(child_unmergeable);
	int status;

	if (pid < 0)
		return pid;
	status = child_wait(pid);
	*ret = CHILDPROBE_UNTESTABLE;
	if (status >= 0 && WIFEXITED(status)) {
		if (WEXITSTATUS(status) == CHILD_KEPT)
			*ret = CHILDPROBE_YES;
		else if (WEXITSTATUS(status) == CHILD_DROPPED)
			*ret = CHILDPROBE_NO;
	}
	return 0;
}
