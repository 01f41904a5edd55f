/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model - the device as a program of its own, behind a FIFO
 *
 *	model NAME=VALUE ... FIFO
 *
 * The FIFO stands for /dev/dsa/wqX.Y: what somebody writes there are
 * descriptors. Who that is tells /proc, since a FIFO does not; its memory is
 * read and written as the device would. Prints "ready", and its counts when
 * standard input ends. NAMEs: batch, max-batch, size, engines, and of mishaps
 * (once in so many descriptors) fault, hardware, lost, refused.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"

/* Whether process @pid has the file @want open. */
static bool has_open(int pid, const struct stat *want)
{
	char path[64];
	const struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false;
	while (!found && (e = readdir(fds)))
		found = fstatat(dirfd(fds), e->d_name, &st, 0) == 0 &&
			st.st_dev == want->st_dev && st.st_ino == want->st_ino;
	closedir(fds);
	return found;
}

/* The other process that has the FIFO @fd open. */
static pid_t find_writer(int fd)
{
	const struct dirent *e;
	struct stat want;
	pid_t found = 0;
	DIR *proc = opendir("/proc");

	if (!proc || fstat(fd, &want) < 0)
		err(1, "cannot look");
	while (!found && (e = readdir(proc))) {
		int pid = atoi(e->d_name);

		if (pid > 0 && pid != getpid() && has_open(pid, &want))
			found = pid;
	}
	closedir(proc);
	return found;
}

static void set(struct device_config *c, const char *word)
{
	const struct {
		const char *name;
		uint32_t *to;
	} names[] = {
		{ "max-batch=", &c->max_batch },
		{ "size=", &c->size },
		{ "engines=", &c->n_engines },
		{ "fault=", &c->once_in.fault },
		{ "hardware=", &c->once_in.hardware },
		{ "lost=", &c->once_in.lost },
		{ "refused=", &c->once_in.refused },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(word, names[i].name, strlen(names[i].name))) {
			*names[i].to =
				(uint32_t)atoi(word + strlen(names[i].name));
			return;
		}
	errx(2, "unknown: %s", word);
}

/* Nobody can be told to try again through a FIFO, so we do. */
static void take(struct device *device, int fd)
{
	static pid_t writer;
	struct descriptor d;

	if (read(fd, &d, sizeof(d)) != sizeof(d))
		errx(1, "not a descriptor");
	if (!writer || kill(writer, 0))
		writer = find_writer(fd);
	while (device_write(device, writer, &d, sizeof(d)) == -EAGAIN)
		usleep(100);
}

int main(int argc, char **argv)
{
	struct device_config config = {
		.shared = true,
		.batch_by_write = true,
		.size = 64,
		.max_batch = 256,
		.max_transfer = 2U << 20,
		.n_engines = 1,
		.seed = 1,
	};
	struct device_counts counts;
	struct pollfd polled[2] = { { .fd = 0, .events = POLLIN } };
	struct device *device;

	for (int i = 1; i < argc - 1; i++)
		set(&config, argv[i]);
	if (argc < 2)
		errx(2, "no FIFO");
	polled[1].fd = open(argv[argc - 1], O_RDWR | O_CLOEXEC);
	polled[1].events = POLLIN;
	if (polled[1].fd < 0)
		err(1, "%s", argv[argc - 1]);
	device = device_new(&config);
	puts("ready");
	fflush(stdout);
	while (!polled[0].revents) {
		if (poll(polled, 2, -1) < 0)
			err(1, "poll");
		if (polled[1].revents)
			take(device, polled[1].fd);
	}
	device_drain(device);
	device_counts(device, &counts);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", counts.done,
	       counts.refused, counts.touched);
	device_free(device);
	return 0;
}
