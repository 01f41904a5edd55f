/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * classes - one mapping of each kind that merges or does not
 *
 * Each holds CLASS_BYTES, but for those that somebody else hands out. After
 * "ready" it prints "made NAME" for each that is possible here, by its name in
 * <ksmd-plus/reasons.h>, or "not NAME WHY", and "all".
 * --pinned yes: all pages of its memory are held by a pipe, so that the kernel
 * cannot merge them.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "target.h"

#ifndef MAP_DROPPABLE /* 6.11 */
#define MAP_DROPPABLE 0x08
#endif

#ifndef MADV_PAGEOUT /* 5.4 */
#define MADV_PAGEOUT 21
#endif
#ifndef SYS_map_shadow_stack /* 6.6 */
#define SYS_map_shadow_stack 453
#endif

#define CLASS_BYTES (256 * PAGE_BYTES)
#define HUGE_BYTES  (2UL << 20)
#define IN_SWAP	    (1ULL << 62) /* of a pagemap entry */

static struct target t;
static const char untouched[CLASS_BYTES] = { 1 };

static void *map(int flags, int fd)
{
	void *p = mmap(NULL, CLASS_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void made(const char *name, char *p, bool fill)
{
	if (!p) {
		printf("not %s %s\n", name, strerror(errno));
		return;
	}
	for (size_t i = 0; fill && i < CLASS_BYTES; i += PAGE_BYTES)
		p[i] = (char)(i / PAGE_BYTES % 255 + 1); /* never zero */
	printf("made %s\n", name);
}

/* Anonymous memory with @advice; NULL where the kernel has no such advice. */
static char *advised(int advice)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return p && !madvise(p, CLASS_BYTES, advice) ? p : NULL;
}

static char *locked(void)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return p && !mlock(p, CLASS_BYTES) ? p : NULL;
}

static char *shared(void)
{
	int fd = memfd_create("classes", MFD_CLOEXEC);

	return fd >= 0 && !ftruncate(fd, CLASS_BYTES) ? map(MAP_SHARED, fd)
						      : NULL;
}

static char *watched(void)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = {
		.range = { (uintptr_t)p, CLASS_BYTES },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (!p || fd < 0)
		return NULL;
	for (size_t i = 0; i < CLASS_BYTES; i += PAGE_BYTES)
		p[i] = 1;
	return ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &area)
		       ? NULL
		       : p;
}

static bool is_in_swap(const char *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	return fd >= 0 &&
	       pread(fd, &entry, sizeof(entry),
		     (off_t)((uintptr_t)p / PAGE_BYTES * sizeof(entry))) ==
		       sizeof(entry) &&
	       entry & IN_SWAP;
}

/* NULL where there is no swap. */
static char *swapped(void)
{
	char *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (size_t i = 0; p && i < CLASS_BYTES; i += PAGE_BYTES)
		p[i] = (char)(i / PAGE_BYTES % 255 + 1);
	if (!p || madvise(p, CLASS_BYTES, MADV_PAGEOUT))
		return NULL;
	errno = ENOSPC;
	return is_in_swap(p) && is_in_swap(p + CLASS_BYTES - PAGE_BYTES) ? p
									 : NULL;
}

/* Filled where a page was set aside, else merely mapped. */
static char *hugetlb(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
	char *p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p != MAP_FAILED) {
		*p = 1;
		return p;
	}
	p = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
		 flags | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* By whoever wants one; to use it is another matter. */
static char *shadow_stack(void)
{
	long p = syscall(SYS_map_shadow_stack, 0, CLASS_BYTES, 0);

	return p < 0 ? NULL : (char *)p;
}

/* The kernel's own memory: the ring of asynchronous I/O. */
static char *aio_ring(void)
{
	unsigned long context = 0;

	return syscall(SYS_io_setup, 8, &context) ? NULL : (char *)context;
}

/* Memory of the machine (VM_IO), which is not read here. */
static char *firmware(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, 64 << 10, PROT_READ, MAP_SHARED, fd,
				0xf0000);

	return p == MAP_FAILED ? NULL : p;
}

/* Or the ring of a perf event: 1 + 2^n pages, of the kernel. */
static char *device(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.exclude_kernel = 1,
	};
	char *memory = firmware();
	int fd = memory ? -1
			: (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1,
				       0);
	void *p = fd < 0 ? MAP_FAILED
			 : mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);

	if (memory)
		return memory;
	return p == MAP_FAILED ? aio_ring() : p;
}

/* Constants of the program, read and never written to. */
static char *file(void)
{
	static volatile char sum;

	for (size_t i = 0; i < CLASS_BYTES; i += PAGE_BYTES)
		sum = (char)(sum + untouched[i]);
	return (char *)(uintptr_t)untouched;
}

static void make_all(void)
{
	made("candidate", map(MAP_PRIVATE | MAP_ANONYMOUS, -1), true);
	made("registered", advised(MADV_MERGEABLE), true);
	made("shared-mapping", shared(), true);
	made("hugetlb", hugetlb(), false);
	made("swapped", swapped(), false);
	made("shadow-stack", shadow_stack(), false);
	made("locked", locked(), true);
	made("wipe-on-fork", advised(MADV_WIPEONFORK), true);
	made("do-not-dump", advised(MADV_DONTDUMP), true);
	made("stack", map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1),
	     true);
	made("droppable", map(MAP_DROPPABLE | MAP_ANONYMOUS, -1), true);
	made("userfaultfd", watched(), false);
	made("device", device(), false);
	made("file", file(), false);
	made("empty", map(MAP_PRIVATE | MAP_ANONYMOUS, -1), false);
	printf("all\n");
	fflush(stdout);
}

/* Hold every page of the memory in a pipe that nobody reads. */
static void pin(void)
{
	struct iovec memory = { t.memory, t.size_mib << 20 };
	int fds[2];

	if (pipe(fds) < 0 ||
	    fcntl(fds[1], F_SETPIPE_SZ, (int)(t.size_mib << 20)) < 0 ||
	    vmsplice(fds[1], &memory, 1, SPLICE_F_NONBLOCK) !=
		    (ssize_t)memory.iov_len)
		err(TARGET_SKIP, "vmsplice");
}

int main(int argc, char **argv)
{
	struct target_option option = { "pinned", "yes or no", "no" };

	target_options(&t, argc, argv, "One mapping of each kind.", &option, 1);
	target_ready(&t, NULL);
	if (!strcmp(option.value, "yes"))
		pin();
	make_all();
	while (!target_stopping(&t))
		target_sleep(1000);
	target_end(&t);
}
