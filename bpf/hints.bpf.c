/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hints.bpf - which pages were just filled by reads of files
 *
 * One program for each way to read, each of which may be absent: functions
 * come and go with kernels and compilers. The daemon loads them one by one
 * and decides which of them run together (sense/hints.c). All that they do is
 * to write a record for a watched process (<ksmd-plus/hints.h>).
 *
 * Only the fields that are read are declared here; CO-RE finds them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <ksmd-plus/hints.h>

#include ARCH_HEADER

/* Not those of others: what is read here is read by these programs alone. */
#define CORE __attribute__((preserve_access_index))

#define PAGE	    4096ULL
#define S_IFMT	    0170000
#define S_IFREG	    0100000
#define S_IFBLK	    0060000
#define EIOCBQUEUED 529
/* More pieces or requests than this in one call are cut off. */
#define MAX_IOVECS   1024
#define MAX_REQUESTS 64

struct super_block {
	uint32_t s_dev;
} CORE;

struct inode {
	uint16_t i_mode;
	struct super_block *i_sb;
	unsigned long i_ino;
	long long i_size;
} CORE;

struct address_space {
	struct inode *host;
} CORE;

struct file {
	struct address_space *f_mapping;
	long long f_pos;
} CORE;

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
} CORE;

struct files_struct {
	struct fdtable *fdt;
} CORE;

struct task_struct {
	struct files_struct *files;
} CORE;

struct kiocb {
	struct file *ki_filp;
	long long ki_pos;
} CORE;

/* io_uring: a read's request is a struct io_rw in a struct io_kiocb. */
struct io_rw {
	struct kiocb kiocb;
	uint64_t addr;
	uint32_t len;
} CORE;

struct io_cqe {
	int32_t res;
} CORE;

struct io_kiocb {
	uint8_t opcode;
	struct io_cqe cqe;
} CORE;

#define IORING_OP_READV 1
#define IORING_OP_READ	22

struct iovec {
	uint64_t iov_base;
	uint64_t iov_len;
};

/* libaio's request, as it is in user memory: <linux/aio_abi.h>. */
struct iocb {
	uint64_t aio_data;
	uint32_t aio_key;
	int32_t aio_rw_flags;
	uint16_t aio_lio_opcode;
	int16_t aio_reqprio;
	uint32_t aio_fildes;
	uint64_t aio_buf;
	uint64_t aio_nbytes;
	int64_t aio_offset;
	uint64_t aio_reserved2;
	uint32_t aio_flags;
	uint32_t aio_resfd;
};

#define IOCB_CMD_PREAD	0
#define IOCB_CMD_PREADV 7

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct hint_table);
} hints_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* the daemon knows */
	__type(key, uint32_t);
	__type(value, struct hint);
} hints_ring SEC(".maps");

/* A read as far as it is known; what one call fills in, piece by piece. */
struct reading {
	struct hint_table *table;
	uint64_t inode;
	uint64_t size; /* of the file */
	uint64_t vector; /* of struct iovec, in user memory */
	uint64_t offset; /* of the next byte */
	uint64_t left; /* bytes that were read and are not told yet */
	uint32_t device;
	uint32_t tgid;
	uint32_t number;
};

static __always_inline struct hint_table *the_table(void)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(&hints_table, &zero);
}

/* Whether the caller is watched; most are not, and pay for one look. */
static __always_inline bool is_watched(struct reading *r)
{
	r->table = the_table();
	if (!r->table)
		return false;
	r->tgid = bpf_get_current_pid_tgid() >> 32;
	for (uint32_t i = 0; i < HINT_PROBES; i++) {
		struct hint_watched *w =
			&r->table->slots[(r->tgid + i) & (HINT_SLOTS - 1)];

		if (!w->tgid)
			return false;
		if (w->tgid == r->tgid) {
			r->number = w->number;
			return true;
		}
	}
	return false;
}

/* Files alone: their contents are what others may read, too. */
static __always_inline bool is_file(uint16_t mode)
{
	return (mode & S_IFMT) == S_IFREG || (mode & S_IFMT) == S_IFBLK;
}

/* Of a pointer that the verifier knows: each step is one instruction. */
static __always_inline bool has_file(struct reading *r, const struct file *file)
{
	const struct inode *inode = file->f_mapping->host;

	if (!is_file(inode->i_mode))
		return false;
	r->inode = inode->i_ino;
	r->size = inode->i_size;
	r->device = inode->i_sb->s_dev;
	return true;
}

/* Of any other: each step is a call, some 70 instructions. */
static __always_inline bool has_some_file(struct reading *r,
					  const struct file *file)
{
	const struct inode *inode = BPF_CORE_READ(file, f_mapping, host);

	if (!is_file(BPF_CORE_READ(inode, i_mode)))
		return false;
	r->inode = BPF_CORE_READ(inode, i_ino);
	r->device = BPF_CORE_READ(inode, i_sb, s_dev);
	return true;
}

static __always_inline void size_of_some(struct reading *r,
					 const struct file *file)
{
	r->size = BPF_CORE_READ(file, f_mapping, host, i_size);
}

/* Nothing is told of less than one whole page. */
static __always_inline void tell(const struct reading *r, uint64_t address,
				 uint64_t bytes)
{
	uint64_t first = (address + PAGE - 1) & ~(PAGE - 1);
	struct hint *hint;
	uint64_t place;
	uint32_t slot;

	if (first + PAGE > address + bytes)
		return;
	place = __sync_fetch_and_add(&r->table->head, 1);
	slot = place & r->table->mask;
	hint = bpf_map_lookup_elem(&hints_ring, &slot);
	if (!hint)
		return;
	STORE_ORDERED(&hint->seq, 0);
	hint->address = address;
	hint->offset = r->offset;
	hint->inode = r->inode;
	hint->bytes = bytes;
	hint->device = r->device;
	hint->tgid = r->tgid;
	hint->number = r->number;
	STORE_ORDERED(&hint->seq, place + 1);
}

static long tell_piece(uint32_t i, struct reading *r)
{
	struct iovec piece;
	uint64_t bytes;

	if (bpf_probe_read_user(&piece, sizeof(piece),
				(void *)(r->vector + i * sizeof(piece))))
		return 1;
	bytes = piece.iov_len < r->left ? piece.iov_len : r->left;
	tell(r, piece.iov_base, bytes);
	r->offset += bytes;
	r->left -= bytes;
	return r->left < PAGE;
}

static __always_inline void tell_vector(struct reading *r, uint64_t vector,
					uint64_t n)
{
	r->vector = vector;
	bpf_loop(n < MAX_IOVECS ? n : MAX_IOVECS, tell_piece, r, 0);
}

/* What a request that may still be under way will bring. */
static __always_inline void clamp(struct reading *r, uint64_t offset,
				  uint64_t bytes)
{
	r->offset = offset;
	r->left = r->size > offset ? r->size - offset : 0;
	if (r->left > bytes)
		r->left = bytes;
}

/* --- read, pread; readv, preadv ------------------------------------------- */

static __always_inline uint64_t offset_of(const void *pos, long ret)
{
	int64_t now = 0;

	bpf_probe_read_kernel(&now, sizeof(now), pos);
	return now - ret;
}

SEC("fexit/vfs_read")
int BPF_PROG(hint_read, struct file *file, char *buf, size_t count, void *pos,
	     long ret)
{
	struct reading r = { 0 };

	if (ret < (long)PAGE || !is_watched(&r) || !has_file(&r, file))
		return 0;
	r.offset = offset_of(pos, ret);
	tell(&r, (uint64_t)buf, ret);
	return 0;
}

SEC("fexit/vfs_readv")
int BPF_PROG(hint_readv, struct file *file, void *vec, unsigned long vlen,
	     void *pos, uint32_t flags, long ret)
{
	struct reading r = { 0 };

	if (ret < (long)PAGE || !is_watched(&r) || !has_file(&r, file))
		return 0;
	r.offset = offset_of(pos, ret);
	r.left = ret;
	tell_vector(&r, (uint64_t)vec, vlen);
	return 0;
}

/* --- libaio ---------------------------------------------------------------- */

/*
 * A direct read is under way when this is told; its completion comes in an
 * interrupt, where nobody knows whose it is. The daemon looks later anyway.
 */
static __always_inline void tell_request(struct reading *r,
					 const struct iocb *iocb, bool vectored)
{
	if (vectored) {
		clamp(r, iocb->aio_offset, ~0ULL);
		tell_vector(r, iocb->aio_buf, iocb->aio_nbytes);
	} else {
		clamp(r, iocb->aio_offset, iocb->aio_nbytes);
		tell(r, iocb->aio_buf, r->left);
	}
}

SEC("fexit/aio_read")
int BPF_PROG(hint_aio, struct kiocb *req, const void *user_iocb, bool vectored,
	     bool compat, int ret)
{
	struct reading r = { 0 };
	struct iocb iocb;

	if ((ret < 0 && ret != -EIOCBQUEUED) || compat || !is_watched(&r))
		return 0;
	if (!has_file(&r, req->ki_filp) ||
	    bpf_probe_read_kernel(&iocb, sizeof(iocb), user_iocb))
		return 0;
	tell_request(&r, &iocb, vectored);
	return 0;
}

/* --- io_uring -------------------------------------------------------------- */

/*
 * Each completion passes this tracepoint, in a thread of the process. Its
 * arguments changed in 6.15 behind the second. Registered buffers are pinned:
 * nothing in them can be merged.
 */
SEC("tp_btf/io_uring_complete")
int hint_uring(uint64_t *ctx)
{
	const struct io_kiocb *req = (const void *)ctx[1];
	const struct io_rw *rw = (const void *)req;
	struct reading r = { 0 };
	uint8_t opcode;
	int32_t res;

	if (!req || !is_watched(&r))
		return 0;
	opcode = BPF_CORE_READ(req, opcode);
	res = BPF_CORE_READ(req, cqe.res);
	if ((opcode != IORING_OP_READ && opcode != IORING_OP_READV) ||
	    res < (int32_t)PAGE ||
	    !has_some_file(&r, BPF_CORE_READ(rw, kiocb.ki_filp)))
		return 0;
	r.left = res;
	r.offset = BPF_CORE_READ(rw, kiocb.ki_pos) - res;
	if (opcode == IORING_OP_READ)
		tell(&r, BPF_CORE_READ(rw, addr), res);
	else
		tell_vector(&r, BPF_CORE_READ(rw, addr),
			    BPF_CORE_READ(rw, len));
	return 0;
}

/* --- where functions cannot be hooked: system calls ------------------------ */

static __always_inline struct file *file_of(uint32_t fd)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct fdtable *fdt = task->files->fdt;
	struct file **table = fdt->fd;
	struct file *file = NULL;

	if (fd < fdt->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), &table[fd]);
	return file;
}

static long tell_submitted(uint32_t i, struct reading *submitted)
{
	struct reading r = *submitted;
	struct file *file;
	struct iocb iocb;
	void *request;

	if (bpf_probe_read_user(&request, sizeof(request),
				(void *)(r.vector + i * sizeof(request))) ||
	    bpf_probe_read_user(&iocb, sizeof(iocb), request))
		return 1;
	if (iocb.aio_lio_opcode != IOCB_CMD_PREAD &&
	    iocb.aio_lio_opcode != IOCB_CMD_PREADV)
		return 0;
	file = file_of(iocb.aio_fildes);
	size_of_some(&r, file);
	if (has_some_file(&r, file))
		tell_request(&r, &iocb, iocb.aio_lio_opcode == IOCB_CMD_PREADV);
	return 0;
}

static __always_inline bool is_read(long nr)
{
	return nr == NR_READ || nr == NR_PREAD64 || nr == NR_READV ||
	       nr == NR_PREADV || nr == NR_PREADV2;
}

static __always_inline int on_exit(const struct pt_regs *regs, long nr,
				   long ret)
{
	struct reading r = { 0 };
	struct file *file;

	if (nr == NR_IO_SUBMIT ? ret <= 0 : !is_read(nr) || ret < (long)PAGE)
		return 0;
	if (!is_watched(&r))
		return 0;
	if (nr == NR_IO_SUBMIT) {
		r.vector = REGS_ARG2(regs);
		bpf_loop(ret < MAX_REQUESTS ? ret : MAX_REQUESTS,
			 tell_submitted, &r, 0);
		return 0;
	}
	file = file_of(REGS_ARG0(regs));
	if (!has_some_file(&r, file))
		return 0;
	r.left = ret;
	r.offset = REGS_ARG3(regs);
	if (nr == NR_READ || nr == NR_READV || r.offset == ~0ULL)
		r.offset = BPF_CORE_READ(file, f_pos) - ret;
	if (nr == NR_READ || nr == NR_PREAD64)
		tell(&r, REGS_ARG1(regs), ret);
	else
		tell_vector(&r, REGS_ARG1(regs), REGS_ARG2(regs));
	return 0;
}

struct syscall_exit {
	uint64_t unused;
	int32_t nr;
	int64_t ret;
};

/* One for all calls: the daemon attaches it to each. */
SEC("tracepoint")
int hint_syscall(struct syscall_exit *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return on_exit((const void *)bpf_task_pt_regs(task), ctx->nr, ctx->ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(hint_sys_exit, struct pt_regs *regs, long ret)
{
	return on_exit(regs, REGS_NR(regs), ret);
}

char LICENSE[] SEC("license") = "GPL";
