/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracee on x86-64. A thread that was blocked shows orig_rax >= 0 and in rax
 * one of the kernel's restart codes, which it acts upon when the registers
 * are back and the thread is let go; or -EINTR, for calls that the kernel
 * never restarts. Where that loses nothing these get a restart code from here.
 */
#include "tracee-arch.h"

#include <errno.h>
#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* io_uring_enter's flag for a timeout in its last argument, <linux/io_uring.h>
 */
#define ENTER_EXT_ARG (1U << 3)

/* What pause() has in rax, from include/linux/errno.h; which other signals are
 * there when the thread runs on, the kernel knows better than we. */
#define ERESTARTNOHAND 514

#define CODE_SEGMENT_64 0x33 /* __USER_CS */

const struct tracee_arch tracee_arch = {
	.insn = { 0x0f, 0x05 }, /* syscall */
	.insn_len = 2,
	.insn_align = 1,
};

/*
 * Calls that return EINTR after nothing has been done, consumed or sent, so
 * that making them again is what the program would have seen without us.
 * connect() is not among them: made again it says EALREADY.
 */
static bool again_is_safe(uint64_t nr)
{
	switch (nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
	case SYS_io_pgetevents:
	case SYS_io_uring_enter:
	/* sockets with SO_RCVTIMEO or SO_SNDTIMEO */
	case SYS_read:
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
		return true;
	default:
		return false;
	}
}

static bool has_timeout(uint64_t nr, const uint64_t *args)
{
	switch (nr) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return (int)args[3] >= 0;
	case SYS_epoll_pwait2:
	case SYS_semtimedop:
		return args[3] != 0;
	case SYS_rt_sigtimedwait:
		return args[2] != 0;
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		return args[4] != 0;
	case SYS_io_uring_enter:
		return args[3] & ENTER_EXT_ARG;
	default:
		return false;
	}
}

enum tracee_call_class tracee_arch_classify(long nr, const uint64_t *args)
{
	switch (nr) {
	case SYS_futex:
	case SYS_poll:
	case SYS_ppoll:
	case SYS_select:
	case SYS_pselect6:
	case SYS_nanosleep:
	case SYS_clock_nanosleep:
	case SYS_wait4:
	case SYS_waitid:
	case SYS_pause:
	case SYS_rt_sigsuspend:
	case SYS_msgrcv:
	/* Nearly always a pipe, a terminal or a socket without a timeout. */
	case SYS_read:
		return TRACEE_CALL_RESTARTS;
	/* A vCPU thread leaves its guest; other drivers are as open. */
	case SYS_ioctl:
	case SYS_connect:
		return TRACEE_CALL_AVOID;
	default:
		break;
	}
	if (!again_is_safe((uint64_t)nr))
		return TRACEE_CALL_OTHER;
	return has_timeout((uint64_t)nr, args) ? TRACEE_CALL_TIMED
					       : TRACEE_CALL_AGAIN;
}

int tracee_arch_read(pid_t tid, struct user_regs_struct *ret)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return -errno;
	/* A 32-bit task's registers come in a shorter layout. */
	if (iov.iov_len != sizeof(regs) || regs.cs != CODE_SEGMENT_64)
		return TRACEE_ARCH_32BIT;
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

int tracee_arch_restore(pid_t tid, const struct user_regs_struct *regs)
{
	return tracee_arch_write(tid, regs);
}

void tracee_arch_prepare(struct user_regs_struct *regs, uint64_t insn, long nr,
			 const uint64_t *args)
{
	regs->rip = insn;
	regs->rax = (uint64_t)nr;
	/* Otherwise the kernel would see a call to restart and move rip. */
	regs->orig_rax = (uint64_t)-1;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

bool tracee_arch_interrupted(const struct user_regs_struct *regs,
			     uint64_t *ret_insn)
{
	if ((int64_t)regs->orig_rax < 0 || (int64_t)regs->rax != -EINTR ||
	    !again_is_safe(regs->orig_rax))
		return false;
	*ret_insn = regs->rip - tracee_arch.insn_len;
	return true;
}

void tracee_arch_again(struct user_regs_struct *regs)
{
	regs->rax = (uint64_t)-ERESTARTNOHAND;
}

uint64_t tracee_arch_pc(const struct user_regs_struct *regs)
{
	return regs->rip;
}
