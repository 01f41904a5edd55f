/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-ops.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "dsa-desc.h"

/* CPUID leaf 7, ECX. */
#define ECX_MOVDIR64B (1U << 28)
#define ECX_ENQCMD    (1U << 29)

static bool cpu_has(uint32_t bit)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit);
}

/*
 * A regular file is no device, though libaccel-config takes one for it. The
 * driver ignores O_NONBLOCK; whatever else may stand there shall not hold us.
 */
static int real_open(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return -ENODEV;
	return TAKE_FD(fd);
}

static void real_close(int fd)
{
	close(fd);
}

static void *real_map(int fd)
{
	void *p = mmap(NULL, DSA_PORTAL_BYTES, PROT_WRITE,
		       MAP_SHARED | MAP_POPULATE, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void real_unmap(void *portal)
{
	munmap(portal, DSA_PORTAL_BYTES);
}

static bool real_can_enqcmd(void)
{
	return cpu_has(ECX_ENQCMD);
}

static bool real_can_movdir64b(void)
{
	return cpu_has(ECX_MOVDIR64B);
}

__attribute__((target("enqcmd"))) static bool
real_enqcmd(void *portal, const struct dsa_desc *desc)
{
	return _enqcmd(portal, desc) == 0;
}

/* The instruction is weakly ordered: what it points to goes first. */
__attribute__((target("movdir64b"))) static void
real_movdir64b(void *portal, const struct dsa_desc *desc)
{
	_mm_sfence();
	_movdir64b(portal, desc);
}

static ssize_t real_write(int fd, const struct dsa_desc *descs, size_t n)
{
	ssize_t r;

	do {
		r = write(fd, descs, n * sizeof(*descs));
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

const struct dsa_ops dsa_ops = {
	.open = real_open,
	.close = real_close,
	.map = real_map,
	.unmap = real_unmap,
	.can_enqcmd = real_can_enqcmd,
	.can_movdir64b = real_can_movdir64b,
	.enqcmd = real_enqcmd,
	.movdir64b = real_movdir64b,
	.write = real_write,
};
