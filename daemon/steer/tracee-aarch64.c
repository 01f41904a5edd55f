/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracee on arm64. NOT YET RUN: written from the kernel's source and only
 * compiled; no arm64 machine was at hand.
 *
 * Two things differ from x86-64. The kernel prepares the restart of a blocked
 * call before the thread stops: the first argument is lost when the call ends
 * with EINTR, so that nothing can be made again from here and such calls are
 * avoided; and a call that would go on with the rest of its timeout begins
 * anew. And a system call throws away the scalable vector registers: a thread
 * that has something in them is not held.
 */
#include "tracee-arch.h"

#include <asm/ptrace.h>
#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#ifndef NT_ARM_SSVE
#define NT_ARM_SSVE 0x40b /* 5.19 */
#endif
#ifndef NT_ARM_ZA
#define NT_ARM_ZA 0x40c /* 5.19 */
#endif

#define PSTATE_BTYPE (3ULL << 10)
#define PSTATE_MODE  0x1fULL /* 0: user mode, 64 bits */

const struct tracee_arch tracee_arch = {
	.insn = { 0x01, 0x00, 0x00, 0xd4 }, /* svc #0 */
	.insn_len = 4,
	.insn_align = 4,
};

enum tracee_call_class tracee_arch_classify(long nr, const uint64_t *args)
{
	switch (nr) {
	case SYS_futex:
		return args[3] && (args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT
			       ? TRACEE_CALL_TIMED
			       : TRACEE_CALL_RESTARTS;
	case SYS_ppoll: /* writes the rest back to where it read it from */
	case SYS_pselect6:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_rt_sigsuspend:
	case SYS_msgrcv:
		return TRACEE_CALL_RESTARTS;
	case SYS_clock_nanosleep:
		return args[1] & TIMER_ABSTIME ? TRACEE_CALL_RESTARTS
					       : TRACEE_CALL_TIMED;
	case SYS_nanosleep:
		return TRACEE_CALL_TIMED;
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
	case SYS_read: /* the next ones: perhaps a socket with a timeout */
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_accept:
	case SYS_accept4:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_connect:
	case SYS_ioctl:
		return TRACEE_CALL_AVOID;
	default:
		return TRACEE_CALL_OTHER;
	}
}

/* Whether the thread's vector state goes beyond what system calls keep. */
static bool vectors_in_use(pid_t tid)
{
	struct user_sve_header sve = { 0 };
	struct iovec iov = { &sve, sizeof(sve) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_SVE, &iov) == 0 &&
	    (sve.flags & SVE_PT_REGS_MASK) == SVE_PT_REGS_SVE)
		return true;
	iov = (struct iovec){ &sve, sizeof(sve) };
	if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_SSVE, &iov) == 0 &&
	    (sve.flags & SVE_PT_REGS_MASK) == SVE_PT_REGS_SVE)
		return true;
	/* The matrix is there when the regset is longer than its header. */
	iov = (struct iovec){ &sve, sizeof(sve) };
	return ptrace(PTRACE_GETREGSET, tid, NT_ARM_ZA, &iov) == 0 &&
	       sve.size > sizeof(sve);
}

int tracee_arch_read(pid_t tid, struct user_regs_struct *ret)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return -errno;
	/* A 32-bit task's registers come in a shorter layout. */
	if (iov.iov_len != sizeof(regs) || (regs.pstate & PSTATE_MODE) != 0)
		return TRACEE_ARCH_32BIT;
	if (vectors_in_use(tid))
		return TRACEE_ARCH_BUSY;
	*ret = regs;
	return 0;
}

int tracee_arch_write(pid_t tid, const struct user_regs_struct *regs)
{
	struct iovec iov = { (void *)regs, sizeof(*regs) };

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return -errno;
	return 0;
}

/*
 * After a call of ours the kernel takes a restart code in x0 for that call's:
 * tell it that there is no call.
 */
int tracee_arch_restore(pid_t tid, const struct user_regs_struct *regs)
{
	int none = -1;
	struct iovec iov = { &none, sizeof(none) };
	int r = tracee_arch_write(tid, regs);

	if (r < 0)
		return r;
	if (ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &iov) < 0)
		return -errno;
	return 0;
}

void tracee_arch_prepare(struct user_regs_struct *regs, uint64_t insn, long nr,
			 const uint64_t *args)
{
	regs->pc = insn;
	regs->pstate &= ~PSTATE_BTYPE;
	regs->regs[8] = (uint64_t)nr;
	for (int i = 0; i < 6; i++)
		regs->regs[i] = args[i];
}

bool tracee_arch_interrupted(const struct user_regs_struct *regs,
			     uint64_t *ret_insn)
{
	(void)regs;
	(void)ret_insn;
	return false;
}

void tracee_arch_again(struct user_regs_struct *regs)
{
	(void)regs;
}

uint64_t tracee_arch_pc(const struct user_regs_struct *regs)
{
	return regs->pc;
}
