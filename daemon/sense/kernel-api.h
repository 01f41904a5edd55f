/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel-api - constants and layouts that are newer than Debian 12's headers
 *
 * The oldest headers we build with are those of Linux 6.1. What came later
 * stands here and nowhere else, each with the release that introduced it.
 * Whether the running kernel knows it is kfeat's business, not this file's.
 *
 * Two kinds of names. KAPI_ and struct kapi_ are our own copies of what lives
 * in <linux/...> headers that we do not include: they cannot clash whatever
 * else is included, in any order, with any version of the headers. Where a
 * libc header owns the name, that header is included here first and only the
 * gap is filled.
 */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/* --- PAGEMAP_SCAN, 6.7: ioctl on /proc/PID/pagemap, <linux/fs.h> ----------- */

struct kapi_page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct kapi_pm_scan_arg {
	uint64_t size; /* of this structure */
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end; /* out: where the walk ended */
	uint64_t vec; /* struct kapi_page_region[vec_len] */
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

static_assert(sizeof(struct kapi_page_region) == 24, "kernel layout");
static_assert(sizeof(struct kapi_pm_scan_arg) == 96, "kernel layout");

#define KAPI_PAGEMAP_SCAN _IOWR('f', 16, struct kapi_pm_scan_arg)

#define KAPI_PAGE_IS_WPALLOWED	(1ULL << 0)
#define KAPI_PAGE_IS_WRITTEN	(1ULL << 1)
#define KAPI_PAGE_IS_FILE	(1ULL << 2)
#define KAPI_PAGE_IS_PRESENT	(1ULL << 3)
#define KAPI_PAGE_IS_SWAPPED	(1ULL << 4)
#define KAPI_PAGE_IS_PFNZERO	(1ULL << 5)
#define KAPI_PAGE_IS_HUGE	(1ULL << 6)
#define KAPI_PAGE_IS_SOFT_DIRTY (1ULL << 7)
#define KAPI_PAGE_IS_GUARD	(1ULL << 8) /* 6.15 */

/* --- entries of /proc/PID/pagemap and of /proc/kpageflags ----------------- */

#define KAPI_PM_PFN	  ((1ULL << 55) - 1) /* 0 without CAP_SYS_ADMIN */
#define KAPI_PM_EXCLUSIVE (1ULL << 56)
#define KAPI_PM_GUARD	  (1ULL << 58) /* 6.15 */
#define KAPI_PM_FILE	  (1ULL << 61)
#define KAPI_PM_SWAP	  (1ULL << 62)
#define KAPI_PM_PRESENT	  (1ULL << 63)

#define KAPI_KPF_ANON	   (1ULL << 12)
#define KAPI_KPF_COMPOUND  (3ULL << 15) /* head or tail */
#define KAPI_KPF_KSM	   (1ULL << 21)
#define KAPI_KPF_THP	   (1ULL << 22)
#define KAPI_KPF_ZERO_PAGE (1ULL << 24)

/* --- pidfds, 6.15: <linux/pidfd.h> ----------------------------------------- */

#define KAPI_PIDFD_SELF_THREAD	     (-10000)
#define KAPI_PIDFD_SELF_THREAD_GROUP (-10001)

/* --- system calls ---------------------------------------------------------- */

#ifndef __NR_mseal
#define __NR_mseal 462 /* 6.10; one number on every architecture but alpha */
#endif
#ifndef __NR_process_madvise
#define __NR_process_madvise 440 /* 5.10 */
#endif
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434 /* 5.3 */
#endif

/* process_madvise(2) takes this many ranges in one call (UIO_MAXIOV). */
#define KAPI_MADVISE_MAX_RANGES 1024

/* --- prctl, 6.4 ------------------------------------------------------------ */

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif
static_assert(PR_SET_MEMORY_MERGE == 67 && PR_GET_MEMORY_MERGE == 68,
	      "kernel numbers");

/* --- ptrace ---------------------------------------------------------------- */

/* 6.4. glibc has names for these from 2.41 on, as enum constants. */
#define KAPI_PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211

struct kapi_ptrace_sud_config {
	uint64_t mode; /* 0: off */
	uint64_t selector;
	uint64_t offset;
	uint64_t len;
};

static_assert(sizeof(struct kapi_ptrace_sud_config) == 32, "kernel layout");

/* 5.13; in glibc's header as an enum constant, the struct under its name. */
#define KAPI_PTRACE_GET_RSEQ_CONFIGURATION 0x420f

struct kapi_ptrace_rseq_configuration {
	uint64_t rseq_abi_pointer; /* 0: not registered */
	uint32_t rseq_abi_size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

static_assert(sizeof(struct kapi_ptrace_rseq_configuration) == 24,
	      "kernel layout");

/* 4.3; granted only to a tracer that is under no seccomp filter itself. */
#define KAPI_PTRACE_O_SUSPEND_SECCOMP (1 << 21)
