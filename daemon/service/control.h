/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - the daemon's face on the private D-Bus socket
 *
 * Owns the listening socket <ksmd-plus/control.h> and every connection to it.
 * Knows nothing of the daemon but struct control_ops.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <ksmd-plus/account.h>
#include <ksmd-plus/status.h>

struct control;

struct control_ops {
	/* Fill *ret; its strings live until the next call of any op. */
	void (*status)(void *userdata, struct daemon_status *ret);
	/* Rows live until the next call of any op. 0 or -ENOMEM. */
	int (*list)(void *userdata, const struct process_status **ret,
		    size_t *ret_n);
	/* Why process @pid merges or does not; rows live as long. */
	void (*explain)(void *userdata, uint32_t pid,
			const struct reason_status **ret, size_t *ret_n);
	/* The accounts of @kind; rows live as long. 0 or -ENOMEM. */
	int (*accounts)(void *userdata, enum account_kind kind,
			const struct account_row **ret, size_t *ret_n);
	void (*pause)(void *userdata);
	void (*resume)(void *userdata);
	void (*rescan)(void *userdata);
	/* 0, positive where there is no such process, or negative errno. */
	int (*adopt)(void *userdata, pid_t pid);
};

/*
 * Listen on @runtime_dir/bus (mode 0660 of root and the socket's group) and
 * serve from @event. A stale socket file is replaced.
 *
 * Return: 0 or negative errno, then nothing is left behind.
 */
int control_new(sd_event *event, const char *runtime_dir,
		const struct control_ops *ops, void *userdata,
		struct control **ret);

/* Call @call for each connection that has asked for signals. */
void control_each(const struct control *control,
		  void (*call)(sd_bus *bus, void *userdata), void *userdata);

/* Close all connections, remove the socket file. Accepts NULL; returns NULL. */
struct control *control_free(struct control *control);
