/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arch-x86_64 - where a system call's arguments are when it returns
 */
#pragma once

#include <stdint.h>

struct pt_regs {
	unsigned long r10, r8, dx, si, di, orig_ax;
} __attribute__((preserve_access_index));

#define REGS_NR(regs)	((long)(regs)->orig_ax)
#define REGS_ARG0(regs) ((regs)->di)
#define REGS_ARG1(regs) ((regs)->si)
#define REGS_ARG2(regs) ((regs)->dx)
#define REGS_ARG3(regs) ((regs)->r10)

#define NR_READ	     0
#define NR_PREAD64   17
#define NR_READV     19
#define NR_IO_SUBMIT 209
#define NR_PREADV    295
#define NR_PREADV2   327

/* Stores become visible in their order. */
#define STORE_ORDERED(place, value)                                            \
	do {                                                                   \
		asm volatile("" ::: "memory");                                 \
		*(volatile uint64_t *)(place) = (value);                       \
		asm volatile("" ::: "memory");                                 \
	} while (0)
