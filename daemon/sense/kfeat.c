/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Three kinds of probes: does a file say so (all below struct root, so that a
 * test can invent a kernel), does it work on a page of our own, and what only
 * a child may try (childprobe.c). No knob is written and no page is merged: a
 * knob is only opened for writing, and MADV_MERGEABLE is tried on a shared
 * mapping, which KSM accepts and ignores.
 */
#include "kfeat.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ksmd-plus/types.h>

#include "childprobe.h"
#include "cleanup.h"
#include "kernel-api.h"
#include "rivals.h"

#define KSM "kernel/mm/ksm/"
#define THP "kernel/mm/transparent_hugepage/"

/* What the kernel begins with; where that is not to be read it will refuse. */
#define MAP_COUNT_USUAL 65530U

static bool exists(int dirfd, const char *path)
{
	return faccessat(dirfd, path, F_OK, 0) == 0;
}

/* Opening alone changes nothing in sysfs, and fails where /sys is read-only. */
static bool can_open(int dirfd, const char *path, int flags)
{
	_cleanup_close_ int fd = openat(dirfd, path, flags | O_CLOEXEC);

	return fd >= 0;
}

static void probe_ksm_files(const struct root *root, struct kfeat *k)
{
	char stat[1024];
	ssize_t n;

	k->ksm = exists(root->sys, KSM "run");
	k->ksm_writable = can_open(root->sys, KSM "run", O_WRONLY);
	k->smart_scan = exists(root->sys, KSM "smart_scan");
	k->advisor = exists(root->sys, KSM "advisor_mode");
	k->general_profit = exists(root->sys, KSM "general_profit");
	k->zero_pages_counted = exists(root->sys, KSM "ksm_zero_pages");
	k->pages_scanned = exists(root->sys, KSM "pages_scanned");
	k->process_ksm = exists(root->sys, "kernel/process_ksm");
	n = file_read(root->proc, "self/ksm_stat", stat, sizeof(stat));
	k->ksm_stat_mergeable = n > 0 && strstr(stat, "ksm_mergeable");
}

/* "always [madvise] never" */
static enum kfeat_thp thp_mode(const struct root *root)
{
	char text[128];

	if (file_read(root->sys, THP "enabled", text, sizeof(text)) < 0)
		return THP_ABSENT;
	if (strstr(text, "[always]"))
		return THP_ALWAYS;
	return strstr(text, "[madvise]") ? THP_MADVISE : THP_NEVER;
}

static bool mglru_on(const struct root *root)
{
	char text[32];

	if (file_read(root->sys, "kernel/mm/lru_gen/enabled", text,
		      sizeof(text)) < 0)
		return false;
	return strtoul(text, NULL, 16) != 0;
}

/* Nodes in a list such as "0-1,3"; 1 where there is no such list. */
static int count_nodes(const struct root *root)
{
	char text[256], *p = text;
	int n = 0;

	if (file_read(root->sys, "devices/system/node/has_memory", text,
		      sizeof(text)) < 0)
		return 1;
	while (*p >= '0' && *p <= '9') {
		long first = strtol(p, &p, 10), last = first;

		if (*p == '-')
			last = strtol(p + 1, &p, 10);
		if (last >= first && last - first < 4096)
			n += (int)(last - first) + 1;
		if (*p == ',')
			p++;
	}
	return n > 0 ? n : 1;
}

static uint64_t ram_bytes(const struct root *root)
{
	unsigned long long kib;
	char text[256];

	if (file_read(root->proc, "meminfo", text, sizeof(text)) < 0 ||
	    sscanf(text, "MemTotal: %llu kB", &kib) != 1)
		return 0;
	return kib * 1024;
}

/* The default mask of 1024 CPUs is too small for some machines. */
static int count_cpus(void)
{
	const int most = 8192;
	cpu_set_t *set = CPU_ALLOC(most);
	int n = 0;

	if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(most), set) == 0)
		n = CPU_COUNT_S(CPU_ALLOC_SIZE(most), set);
	CPU_FREE(set);
	return n > 0 ? n : 1;
}

static void probe_system_files(const struct root *root, struct kfeat *k)
{
	char text[256];
	uint64_t value;

	k->yama = -1;
	if (file_read_u64(root->proc, "sys/kernel/yama/ptrace_scope", &value) ==
	    0)
		k->yama = (int)value;
	/* A kernel that was built with PSI off by default refuses the read. */
	k->psi = file_read(root->proc, "pressure/memory", text, sizeof(text)) >
		 0;
	k->mglru = mglru_on(root);
	k->thp = thp_mode(root);
	if (file_read_u64(root->sys, THP "khugepaged/max_ptes_shared",
			  &value) == 0)
		k->khugepaged_max_ptes_shared = (uint32_t)value;
	k->max_map_count = MAP_COUNT_USUAL;
	if (file_read_u64(root->proc, "sys/vm/max_map_count", &value) == 0)
		k->max_map_count = value;
	k->ram_bytes = ram_bytes(root);
	k->n_cpus = count_cpus();
	k->n_nodes = count_nodes(root);
}

/* Containers often put /dev/null over it: it must be an ELF image too. */
static bool kcore_readable(const struct root *root)
{
	char magic[5];

	return file_read(root->proc, "kcore", magic, sizeof(magic)) == 4 &&
	       memcmp(magic, "\177ELF", 4) == 0;
}

/* The first that is a process. */
static void probe_manager(const struct root *root, struct kfeat *k)
{
	struct rival rivals[RIVALS_MAX];
	size_t n = rivals_find(root, rivals);

	for (size_t i = 0; i < n && !k->manager; i++) {
		if (!rivals[i].pid)
			continue;
		k->manager = rivals[i].name;
		k->manager_pid = rivals[i].pid;
	}
}

/*
 * By vector, on ourselves. KSM answers 0 for a shared mapping and does not
 * even put us on ksmd's list; a kernel before 6.13 refuses the advice before
 * it looks at the mapping.
 */
static bool process_madvise_self(void)
{
	_cleanup_close_ int pidfd = (int)syscall(__NR_pidfd_open, getpid(), 0);
	struct iovec range = { .iov_len = PAGE_BYTES };
	bool works;

	if (pidfd < 0)
		return false;
	range.iov_base = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (range.iov_base == MAP_FAILED)
		return false;
	works = syscall(__NR_process_madvise, pidfd, &range, 1UL,
			MADV_MERGEABLE, 0U) == (long)PAGE_BYTES;
	munmap(range.iov_base, PAGE_BYTES);
	return works;
}

static bool pagemap_scan(int pagemap, const void *page)
{
	struct kapi_page_region found = { 0 };
	struct kapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)page,
		.end = (uintptr_t)page + PAGE_BYTES,
		.vec = (uintptr_t)&found,
		.vec_len = 1,
		.category_mask = KAPI_PAGE_IS_PRESENT,
		.return_mask = KAPI_PAGE_IS_PRESENT | KAPI_PAGE_IS_FILE |
			       KAPI_PAGE_IS_PFNZERO | KAPI_PAGE_IS_SWAPPED,
	};

	return ioctl(pagemap, KAPI_PAGEMAP_SCAN, &arg) == 1 &&
	       found.start == arg.start &&
	       found.categories == KAPI_PAGE_IS_PRESENT;
}

/* The frame behind @page, or 0 if we are not told. */
static uint64_t frame_of(int pagemap, const void *page)
{
	off_t offset = (off_t)((uintptr_t)page / PAGE_BYTES * 8);
	uint64_t entry;

	if (fd_pread_full(pagemap, &entry, sizeof(entry), offset) ||
	    !(entry & KAPI_PM_PRESENT))
		return 0;
	return entry & KAPI_PM_PFN;
}

/*
 * From 6.10 until a fix of the 7.3 cycle every anonymous page has KPF_KSM:
 * ours is certainly none. The frame is looked up again after its flags were
 * read, since the page may be migrated at any time.
 */
static bool kpf_ksm_true(const struct root *root, int pagemap, const void *page)
{
	_cleanup_close_ int fd = openat(root->proc, "kpageflags",
					O_RDONLY | O_CLOEXEC);

	for (int tries = 0; fd >= 0 && tries < 5; tries++) {
		uint64_t frame = frame_of(pagemap, page), flags;

		if (!frame || fd_pread_full(fd, &flags, sizeof(flags),
					    (off_t)(frame * 8)))
			return false;
		if (frame_of(pagemap, page) == frame)
			return (flags & KAPI_KPF_ANON) &&
			       !(flags & KAPI_KPF_KSM);
	}
	return false;
}

static void probe_pagemap(const struct root *root, struct kfeat *k)
{
	_cleanup_close_ int pagemap = openat(root->proc, "self/pagemap",
					     O_RDONLY | O_CLOEXEC);
	char *page;

	if (pagemap < 0)
		return;
	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return;
	*(volatile char *)page = 1;
	k->pagemap_pfn = frame_of(pagemap, page) != 0;
	k->pagemap_scan = pagemap_scan(pagemap, page);
	k->kpf_ksm = k->pagemap_pfn && kpf_ksm_true(root, pagemap, page);
	munmap(page, PAGE_BYTES);
}

bool kfeat_has_unmergeable_fix(const char *release, const char *version)
{
	/* Seen to keep the flags; the fix may be some releases older. */
	static const struct {
		unsigned int major, minor, point;
	} fixed[] = { { 6, 1, 176 }, { 6, 12, 57 } };
	/* Debian 12 says "6.1.0-40-amd64" and the point release only here. */
	const char *debian = strstr(version, "Debian ");
	unsigned int major, minor, point = 0;

	if (sscanf(debian ? debian + strlen("Debian ") : release, "%u.%u.%u",
		   &major, &minor, &point) < 2)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (fixed[i].major == major && fixed[i].minor == minor)
			return point >= fixed[i].point;
	return major > 6 || (major == 6 && minor >= 18);
}

static int probe_children(const struct utsname *name, struct kfeat *k)
{
	enum childprobe_verdict verdict;
	struct childprobe_ptrace trace;
	int r;

	r = childprobe_ptrace(&trace);
	if (r < 0)
		return r;
	r = childprobe_unmergeable(&verdict);
	if (r < 0)
		return r;
	k->ptrace = trace.seize;
	k->suspend_seccomp = trace.suspend_seccomp;
	k->unmergeable_safe =
		verdict == CHILDPROBE_YES ||
		(verdict == CHILDPROBE_UNTESTABLE &&
		 kfeat_has_unmergeable_fix(name->release, name->version));
	return 0;
}

int kfeat_probe(const struct root *root, struct kfeat *ret)
{
	struct kfeat k = { 0 };
	struct utsname name = { 0 };
	int r;

	uname(&name);
	snprintf(k.release, sizeof(k.release), "%s", name.release);
	r = probe_children(&name, &k);
	if (r < 0)
		return r;
	probe_ksm_files(root, &k);
	probe_system_files(root, &k);
	probe_manager(root, &k);
	probe_pagemap(root, &k);
	k.kcore = kcore_readable(root);
	k.process_madvise_self = process_madvise_self();
	k.prctl_merge = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) >= 0;
	*ret = k;
	return 0;
}
