/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * face - the object that the daemon shows on a bus
 *
 * The same object, methods, properties and signals stand on the private socket
 * (control) and on the system bus (bus). A face is one connection's: it says
 * who is asked, and whether the one who asks may change anything.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-bus.h>

#include <ksmd-plus/status.h>

#include "control-change.h"

/* Filled by face_init(); the members below .caller are face.c's. */
struct face {
	struct control_caller caller;

	/* What the properties show; fresh for each request. */
	struct daemon_status status;
	const char *state;
	const char *activity;
	const char *engine_detail;
	const char *version;
	char activity_buf[sizeof(((struct daemon_status *)0)->activity)];
	uint64_t bytes_saved;
};

/* Show the daemon on @bus; @face outlives it. 0 or more, or negative errno. */
int face_show(struct face *face, sd_bus *bus);
