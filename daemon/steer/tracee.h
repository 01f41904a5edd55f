/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracee - one thread of another process, held for a moment
 *
 * Stops the thread, makes system calls in its name and lets it go as if
 * nothing had been. Only registers change: no code is written, no signal is
 * sent, an existing instruction is used.
 *
 * All of it belongs to one tracing thread of ours, with every signal blocked.
 * A thread that does not stop cannot be detached either; it is free when the
 * tracing thread exits. From the first tracee_call() to tracee_release() the
 * target's registers are not its own and it would die with us: nothing
 * in between allocates, logs or locks, and no wait is given up. So that this
 * is short on a busy machine too, and where the target's CPU quota is used up,
 * the thread gets real-time priority for no longer than that, if it waits.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
	TRACEE_GONE = 1, /* the thread has exited */
	TRACEE_DENIED, /* EPERM: an LSM, Yama */
	TRACEE_TRACED, /* EPERM: somebody else traces it */
	TRACEE_LATE, /* it did not stop where and when it should have */
	TRACEE_STOPPED, /* stopped by job control */
	TRACEE_SIGNAL, /* a signal came; it is delivered on release */
	TRACEE_FAULT, /* our own call raised a signal: dropped */
	TRACEE_32BIT, /* a 32-bit task */
	TRACEE_BUSY, /* registers that a system call would destroy */
};

struct tracee {
	pid_t tid;
	int status; /* descriptor of /proc/PID/task/TID/status */
	uint64_t insn;
	bool attached;
	bool held; /* stopped, and released by a detach */
	bool changed; /* registers are ours */
	int policy; /* its scheduling policy, -1 as long as that is its own */
	bool repaired; /* an interrupted call is made again */
	int signal; /* to deliver on release */
	uint64_t held_since_nsec;
	uint64_t hold_nsec;
	struct user_regs_struct regs;
};

/*
 * Attach to thread @tid without stopping it. @status, of that thread, stays
 * the caller's. Proves that the seized thread is the one behind @status.
 *
 * Return: 0, TRACEE_GONE, TRACEE_DENIED, TRACEE_TRACED or negative errno.
 */
int tracee_seize(struct tracee *tracee, pid_t tid, int status);

/*
 * Stop it and read its registers. Whatever the result, tracee_release()
 * follows. Return: 0, any of the above, or negative errno.
 */
int tracee_hold(struct tracee *tracee);

/*
 * Make the call @nr with six @args at @tracee->insn. Anything but 0 ends the
 * hold: *ret is untouched, and tracee_release() is the next step.
 *
 * Return: 0 with what the kernel returned, -4095 to -1 an error, in *ret;
 * TRACEE_GONE, TRACEE_LATE, TRACEE_STOPPED, TRACEE_SIGNAL, TRACEE_FAULT, or
 * negative errno.
 */
int tracee_call(struct tracee *tracee, long nr, const uint64_t *args,
		int64_t *ret);

/* Give the registers back and let it go. Nothing to do is fine. */
void tracee_release(struct tracee *tracee);

/* A word of the held thread's memory as it is now. 0 or negative errno. */
int tracee_peek(const struct tracee *tracee, uint64_t address, uint64_t *ret);

/* Whether a system call instruction stands at @address, as it is now. */
bool tracee_insn_at(const struct tracee *tracee, uint64_t address);

/* Copy @size bytes into the held thread's memory. 0 or negative errno. */
int tracee_write(const struct tracee *tracee, uint64_t address,
		 const void *from, size_t size);

/* Whether a seccomp filter is on it. */
bool tracee_has_seccomp(const struct tracee *tracee);

/* How long it has been held, by our clock. */
uint64_t tracee_held_nsec(const struct tracee *tracee);
