/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control-change - the methods that change something, and who may call them
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

struct control_ops;

/* Who has connected, as the kernel says, and what there is to be called. */
struct control_caller {
	const struct control_ops *ops;
	void *userdata;
	uid_t uid;
	pid_t pid; /* 0 where it cannot be seen from here */
};

/* Handlers for sd_bus_vtable; @userdata is a struct control_caller. */
int control_change_pause(sd_bus_message *m, void *userdata,
			 sd_bus_error *error);
int control_change_resume(sd_bus_message *m, void *userdata,
			  sd_bus_error *error);
int control_change_rescan(sd_bus_message *m, void *userdata,
			  sd_bus_error *error);
int control_change_adopt(sd_bus_message *m, void *userdata,
			 sd_bus_error *error);
