/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "knobwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>

#include "cleanup.h"
#include "clock.h"
#include "ksm.h"
#include "process.h"

int knobwatch_open(const struct root *root, struct knobwatch *ret)
{
	_cleanup_close_ int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC |
						       FAN_NONBLOCK,
					       O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR,
			  FAN_MODIFY | FAN_EVENT_ON_CHILD, root->sys,
			  KSM_DIR) < 0)
		return -errno;
	ret->fd = TAKE_FD(fd);
	return 0;
}

void knobwatch_close(struct knobwatch *watch)
{
	watch->fd = close_fd(watch->fd);
}

/* The last part of the name of the file that was written. */
static void knob_name(const struct root *root, int fd, char knob[32])
{
	char path[32], target[256];
	ssize_t n;
	const char *name;

	snprintf(path, sizeof(path), "self/fd/%d", fd);
	n = readlinkat(root->proc, path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	name = strrchr(target, '/');
	snprintf(knob, 32, "%.31s", name ? name + 1 : "a knob");
}

int knobwatch_next(const struct knobwatch *watch, const struct root *root,
		   uint64_t until_usec, struct knobwrite *ret)
{
	struct knobwrite w = { 0 };
	struct fanotify_event_metadata event;
	struct process_stat st;
	uint64_t now = clock_usec(CLOCK_MONOTONIC);
	struct pollfd fd = { .fd = watch->fd, .events = POLLIN };
	uint64_t left = until_usec > now ? until_usec - now : 0;
	ssize_t n = read(watch->fd, &event, sizeof(event));

	if (n < 0 && errno == EAGAIN) {
		if (poll(&fd, 1, (int)(left / USEC_PER_MSEC)) <= 0)
			return KNOBWATCH_QUIET;
		n = read(watch->fd, &event, sizeof(event));
	}
	if (n < 0)
		return errno == EAGAIN ? KNOBWATCH_QUIET : -errno;
	if (n < (ssize_t)sizeof(event) || event.fd < 0)
		return KNOBWATCH_QUIET;
	w.pid = event.pid;
	knob_name(root, event.fd, w.knob);
	close(event.fd);
	if (!process_stat_read(root, w.pid, &st))
		snprintf(w.comm, sizeof(w.comm), "%s", st.comm);
	*ret = w;
	return 0;
}
