/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-change - the methods that change something, and who may call them
 *
 * On the private socket root may, as the kernel says who is there. On the
 * system bus an authority is asked first, and the answer to the caller waits
 * for it; the loop does not.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

struct authority;
struct control_ops;

/* Who has connected, as the kernel says, and what there is to be called. */
struct control_caller {
	const struct control_ops *ops;
	void *userdata;
	uid_t uid;
	pid_t pid; /* 0 where it cannot be seen from here */
	/* Many callers, of whom this one knows; uid and pid mean nothing. */
	struct authority *authority;
};

/* The handler of all of them; @userdata is a struct control_caller. */
int control_change(sd_bus_message *m, void *userdata, sd_bus_error *error);
