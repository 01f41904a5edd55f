/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracee-arch - what of an injection depends on the processor
 *
 * One file per architecture, tracee-x86_64.c and tracee-aarch64.c, of which
 * only the machine's own is built. All of it may be called while a thread is
 * held: nothing here allocates, logs or blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
	TRACEE_ARCH_32BIT = 1, /* the thread runs in a 32-bit mode */
	TRACEE_ARCH_BUSY, /* it holds state that a system call destroys */
};

/* The instruction that enters the kernel. */
struct tracee_arch {
	uint8_t insn[4];
	size_t insn_len;
	size_t insn_align;
};

extern const struct tracee_arch tracee_arch;

/*
 * What becomes of a blocking call when its thread is held for a moment; the
 * higher the better.
 */
enum tracee_call_class {
	TRACEE_CALL_AVOID, /* would return to the program: never hold it */
	TRACEE_CALL_TIMED, /* goes on, but with its timeout begun anew */
	TRACEE_CALL_OTHER, /* not known */
	TRACEE_CALL_AGAIN, /* broken off by EINTR, then made again by us */
	TRACEE_CALL_RUNNING, /* no blocking call at all */
	TRACEE_CALL_RESTARTS, /* the kernel itself goes on with it, exactly */
};

/* The class of system call @nr with its six arguments @args. */
enum tracee_call_class tracee_arch_classify(long nr, const uint64_t *args);

/*
 * Read the registers of the stopped thread @tid. 0, TRACEE_ARCH_32BIT,
 * TRACEE_ARCH_BUSY, or negative errno; *ret is untouched unless 0.
 */
int tracee_arch_read(pid_t tid, struct user_regs_struct *ret);

/* Write @regs on the way to a system call of ours. 0 or negative errno. */
int tracee_arch_write(pid_t tid, const struct user_regs_struct *regs);

/* Write @regs, the thread's own, before it is let go. 0 or negative errno. */
int tracee_arch_restore(pid_t tid, const struct user_regs_struct *regs);

/* Make @regs those of a thread about to make system call @nr at @insn. */
void tracee_arch_prepare(struct user_regs_struct *regs, uint64_t insn, long nr,
			 const uint64_t *args);

/*
 * Whether @regs are of a thread whose call was broken off with EINTR though
 * it can be made again without loss; *ret_insn is then where the instruction
 * must stand.
 */
bool tracee_arch_interrupted(const struct user_regs_struct *regs,
			     uint64_t *ret_insn);

/* Change @regs so that the kernel makes the interrupted call again when the
 * thread runs on, but where a handler runs first: then it is EINTR. */
void tracee_arch_again(struct user_regs_struct *regs);

/* The program counter. */
uint64_t tracee_arch_pc(const struct user_regs_struct *regs);
