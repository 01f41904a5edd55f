/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reads - the ways to read a file into pieces of memory
 *
 * libaio and io_uring by their system calls: their libraries would hide what
 * is tested. Each function reads all pieces, from @offset on, and returns when
 * the data is there: 0, or -errno (-EINTR: less was read).
 */
#pragma once

#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef int (*reads_fn)(int fd, const struct iovec *v, int n, off_t offset);

static inline int reads_result(ssize_t n)
{
	return n < 0 ? -errno : n == 0 ? -EINTR : 0;
}

static inline int reads_read(int fd, const struct iovec *v, int n, off_t offset)
{
	int r = lseek(fd, offset, SEEK_SET) < 0 ? -errno : 0;

	for (int i = 0; !r && i < n; i++)
		r = reads_result(read(fd, v[i].iov_base, v[i].iov_len));
	return r;
}

static inline int reads_pread(int fd, const struct iovec *v, int n,
			      off_t offset)
{
	int r = 0;

	for (int i = 0; !r && i < n; i++) {
		r = reads_result(
			pread(fd, v[i].iov_base, v[i].iov_len, offset));
		offset += (off_t)v[i].iov_len;
	}
	return r;
}

static inline int reads_readv(int fd, const struct iovec *v, int n,
			      off_t offset)
{
	if (lseek(fd, offset, SEEK_SET) < 0)
		return -errno;
	return reads_result(readv(fd, v, n));
}

static inline int reads_preadv(int fd, const struct iovec *v, int n,
			       off_t offset)
{
	return reads_result(preadv(fd, v, n, offset));
}

static inline int reads_preadv2(int fd, const struct iovec *v, int n,
				off_t offset)
{
	return reads_result(preadv2(fd, v, n, offset, RWF_HIPRI));
}

/* --- libaio ---------------------------------------------------------------- */

static inline int reads_submit(struct iocb *requests, int n)
{
	struct iocb *list[16];
	struct io_event events[16];
	aio_context_t context = 0;
	int r;

	for (int i = 0; i < n; i++)
		list[i] = &requests[i];
	if (syscall(SYS_io_setup, 16, &context) < 0)
		return -errno;
	r = (int)syscall(SYS_io_submit, context, (long)n, list);
	if (r == n)
		r = (int)syscall(SYS_io_getevents, context, (long)n, (long)n,
				 events, NULL);
	r = r < 0 ? -errno : r < n ? -EINTR : 0;
	for (int i = 0; !r && i < n; i++)
		r = events[i].res < 0 ? (int)events[i].res : 0;
	syscall(SYS_io_destroy, context);
	return r;
}

static inline int reads_aio(int fd, const struct iovec *v, int n, off_t offset)
{
	struct iocb requests[16] = { 0 };

	for (int i = 0; i < n; i++) {
		requests[i].aio_lio_opcode = IOCB_CMD_PREAD;
		requests[i].aio_fildes = (uint32_t)fd;
		requests[i].aio_buf = (uintptr_t)v[i].iov_base;
		requests[i].aio_nbytes = v[i].iov_len;
		requests[i].aio_offset = offset;
		offset += (off_t)v[i].iov_len;
	}
	return reads_submit(requests, n);
}

static inline int reads_aio_vector(int fd, const struct iovec *v, int n,
				   off_t offset)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_PREADV,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = (uintptr_t)v,
		.aio_nbytes = (uint64_t)n,
		.aio_offset = offset,
	};

	return reads_submit(&request, 1);
}

/* --- io_uring -------------------------------------------------------------- */

struct reads_ring {
	int fd;
	char *rings; /* both, in one mapping */
	size_t bytes;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static inline int reads_ring_open(struct reads_ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 16, &ring->p);
	if (ring->fd < 0)
		return -errno;
	ring->bytes = ring->p.cq_off.cqes +
		      ring->p.cq_entries * sizeof(struct io_uring_cqe);
	if (ring->bytes < ring->p.sq_off.array + 4 * ring->p.sq_entries)
		ring->bytes = ring->p.sq_off.array + 4 * ring->p.sq_entries;
	ring->rings = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, 16 * sizeof(*ring->sqes),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			  IORING_OFF_SQES);
	return ring->rings == MAP_FAILED || (void *)ring->sqes == MAP_FAILED
		       ? -ENOMEM
		       : 0;
}

static inline void reads_ring_close(struct reads_ring *ring)
{
	munmap(ring->rings, ring->bytes);
	munmap(ring->sqes, 16 * sizeof(*ring->sqes));
	close(ring->fd);
}

/* Submit the first @n entries and wait for all. */
static inline int reads_ring_run(struct reads_ring *ring, unsigned int n)
{
	uint32_t *tail = (uint32_t *)(ring->rings + ring->p.sq_off.tail);
	uint32_t *array = (uint32_t *)(ring->rings + ring->p.sq_off.array);
	const struct io_uring_cqe *cqes =
		(const void *)(ring->rings + ring->p.cq_off.cqes);
	long done;

	for (unsigned int i = 0; i < n; i++)
		array[i] = i;
	__atomic_store_n(tail, n, __ATOMIC_RELEASE);
	done = syscall(SYS_io_uring_enter, ring->fd, n, n,
		       IORING_ENTER_GETEVENTS, NULL, 0);
	if (done < 0)
		return -errno;
	for (unsigned int i = 0; i < n; i++)
		if (cqes[i].res < 0)
			return cqes[i].res;
	return 0;
}

static inline int reads_uring_pieces(int fd, const struct iovec *v, int n,
				     off_t offset, bool vectored)
{
	unsigned int n_requests = vectored ? 1 : (unsigned int)n;
	struct reads_ring ring;
	int r = reads_ring_open(&ring);

	if (r)
		return r;
	for (unsigned int i = 0; i < n_requests; i++) {
		ring.sqes[i] = (struct io_uring_sqe){
			.opcode = vectored ? IORING_OP_READV : IORING_OP_READ,
			.fd = fd,
			.off = (uint64_t)offset,
			.addr = (uintptr_t)(vectored ? v : v[i].iov_base),
			.len = vectored ? (uint32_t)n : (uint32_t)v[i].iov_len,
		};
		offset += (off_t)v[i].iov_len;
	}
	r = reads_ring_run(&ring, n_requests);
	reads_ring_close(&ring);
	return r;
}

static inline int reads_uring(int fd, const struct iovec *v, int n,
			      off_t offset)
{
	return reads_uring_pieces(fd, v, n, offset, false);
}

static inline int reads_uring_vector(int fd, const struct iovec *v, int n,
				     off_t offset)
{
	return reads_uring_pieces(fd, v, n, offset, true);
}

static const struct {
	const char *name;
	reads_fn read;
} reads_all[] = {
	{ "read", reads_read },
	{ "pread", reads_pread },
	{ "readv", reads_readv },
	{ "preadv", reads_preadv },
	{ "preadv2", reads_preadv2 },
	{ "libaio", reads_aio },
	{ "libaio, vectored", reads_aio_vector },
	{ "io_uring", reads_uring },
	{ "io_uring, vectored", reads_uring_vector },
};
