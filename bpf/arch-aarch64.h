/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arch-aarch64 - where a system call's arguments are when it returns
 */
#pragma once

#include <stdint.h>

struct pt_regs {
	uint64_t regs[31]; /* [0] is the result by then */
	uint64_t orig_x0;
	int32_t syscallno;
} __attribute__((preserve_access_index));

#define REGS_NR(regs)	((long)(regs)->syscallno)
#define REGS_ARG0(regs) ((regs)->orig_x0)
#define REGS_ARG1(regs) ((regs)->regs[1])
#define REGS_ARG2(regs) ((regs)->regs[2])
#define REGS_ARG3(regs) ((regs)->regs[3])

#define NR_IO_SUBMIT 2
#define NR_READ	     63
#define NR_READV     65
#define NR_PREAD64   67
#define NR_PREADV    69
#define NR_PREADV2   286

/* An exchange is a full barrier in BPF; plain stores may pass each other. */
#define STORE_ORDERED(place, value)                                            \
	((void)__sync_lock_test_and_set((uint64_t *)(place), (value)))
