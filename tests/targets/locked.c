/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * locked - has the lock of its memory map held until it is to end
 *
 * It maps a file on a FUSE mount while another process waits for a page of it,
 * which the server never sends: mmap() waits for that page with the lock held
 * (fs/fuse/file.c: fuse_file_mmap(), invalidate_inode_pages2()). Anybody who
 * may make namespaces can do that. Begins with SIGUSR1.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "target.h"

#define FILE_ID 2 /* 1 is the root */

static struct target t;
static volatile sig_atomic_t asked;
static pid_t server; /* known to who reads our input, too */

static void on_signal(int number)
{
	(void)number;
	asked = 1;
}

static void reply(int fd, uint64_t unique, int error, const void *data,
		  size_t size)
{
	struct {
		struct fuse_out_header header;
		char data[256];
	} out = { .header = { .len = (uint32_t)(sizeof(out.header) + size),
			      .error = error,
			      .unique = unique } };

	memcpy(out.data, data, size);
	if (write(fd, &out, out.header.len) < 0 && errno != ENOENT)
		_exit(3);
}

/* One file of a page, which is never read. The first who opens it gets what is
 * cached of it, the second reads it himself. */
static void serve_one(int fd, const struct fuse_in_header *in)
{
	static unsigned int n_opened;
	const struct fuse_attr attr = {
		.ino = in->nodeid == FUSE_ROOT_ID ? FUSE_ROOT_ID : FILE_ID,
		.mode = in->nodeid == FUSE_ROOT_ID ? S_IFDIR | 0755
						   : S_IFREG | 0644,
		.size = PAGE_BYTES,
		.nlink = 1,
	};
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = 31,
				      .max_write = PAGE_BYTES };
	struct fuse_entry_out entry = { .nodeid = FILE_ID,
					.entry_valid = 1000,
					.attr_valid = 1000,
					.attr = attr };
	struct fuse_attr_out answer = { .attr_valid = 1000, .attr = attr };
	struct fuse_open_out opened = { 0 };

	switch (in->opcode) {
	case FUSE_INIT:
		return reply(fd, in->unique, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		entry.attr.ino = FILE_ID;
		entry.attr.mode = S_IFREG | 0644;
		return reply(fd, in->unique, 0, &entry, sizeof(entry));
	case FUSE_GETATTR:
		return reply(fd, in->unique, 0, &answer, sizeof(answer));
	case FUSE_OPEN:
		if (n_opened++)
			opened.open_flags = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE;
		return reply(fd, in->unique, 0, &opened, sizeof(opened));
	case FUSE_READ:
	case FUSE_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		return reply(fd, in->unique, -ENOSYS, &opened, 0);
	}
}

static void serve(int fd)
{
	static _Alignas(uint64_t) char buf[128 << 10];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fd, buf, sizeof(buf)) >=
	       (ssize_t)sizeof(struct fuse_in_header))
		serve_one(fd, (const struct fuse_in_header *)buf);
	_exit(0);
}

static void mount_it(const char *folder)
{
	char options[100];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("locked", folder, "fuse", 0, options) < 0)
		err(TARGET_SKIP, "no FUSE");
	server = fork();
	if (server < 0)
		err(2, "fork");
	if (server == 0)
		serve(fd);
	close(fd);
}

/* Without a server everything that waits for it fails. */
static void unlock(struct target *unused)
{
	(void)unused;
	kill(server, SIGKILL);
}

static pid_t wait_for_page(int fd)
{
	pid_t pid = fork();
	char byte;

	if (pid < 0)
		err(2, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(read(fd, &byte, 1) == 1);
	}
	target_sleep(200000);
	return pid;
}

int main(int argc, char **argv)
{
	char folder[] = "/tmp/ksmd-plus-locked-XXXXXX", path[64];
	int cached, direct, status;
	pid_t reader;

	target_options(&t, argc, argv, "Holds its own lock.", NULL, 0);
	if (!mkdtemp(folder))
		err(2, "%s", folder);
	mount_it(folder);
	snprintf(path, sizeof(path), "%s/file", folder);
	cached = open(path, O_RDONLY | O_CLOEXEC);
	reader = cached < 0 ? -1 : wait_for_page(cached);
	direct = open(path, O_RDONLY | O_CLOEXEC);
	if (direct < 0)
		err(2, "%s", path);
	umount2(folder, MNT_DETACH); /* the files stay */
	rmdir(folder);
	signal(SIGUSR1, on_signal);
	target_ready(&t, unlock);
	while (!asked && !target_stopping(&t))
		target_sleep(10000);
	if (asked && mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE, direct,
			  0) == MAP_FAILED)
		target_broken(&t, "mmap: %s", strerror(errno));
	if (!target_stopping(&t))
		target_broken(&t, "the lock was not held");
	if (waitpid(reader, &status, 0) != reader || status)
		target_broken(&t, "the reader ended with %x", status);
	waitpid(server, NULL, 0);
	target_end(&t);
}
