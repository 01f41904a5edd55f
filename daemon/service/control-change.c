/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-change.h"

#include <errno.h>
#include <limits.h>

#include "control.h"

/* Negative errno with @error set unless root calls. */
static int check_root(sd_bus_message *m, const struct control_caller *c,
		      sd_bus_error *error)
{
	if (c->uid == 0)
		return 0;
	return sd_bus_error_setf(
		error, SD_BUS_ERROR_ACCESS_DENIED,
		"Only root may call %s(), and uid %u is not root.",
		sd_bus_message_get_member(m), (unsigned int)c->uid);
}

static int change(sd_bus_message *m, const struct control_caller *c,
		  sd_bus_error *error, void (*op)(void *userdata))
{
	int r = check_root(m, c, error);

	if (r < 0)
		return r;
	op(c->userdata);
	return sd_bus_reply_method_return(m, NULL);
}

int control_change_pause(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct control_caller *c = userdata;

	return change(m, c, error, c->ops->pause);
}

int control_change_resume(sd_bus_message *m, void *userdata,
			  sd_bus_error *error)
{
	const struct control_caller *c = userdata;

	return change(m, c, error, c->ops->resume);
}

int control_change_rescan(sd_bus_message *m, void *userdata,
			  sd_bus_error *error)
{
	const struct control_caller *c = userdata;

	return change(m, c, error, c->ops->rescan);
}

/* A caller need not know its own number here: 0 is whoever calls. */
int control_change_adopt(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct control_caller *c = userdata;
	uint32_t pid = 0;
	int r = check_root(m, c, error);

	if (r >= 0)
		r = sd_bus_message_read(m, "u", &pid);
	if (r < 0)
		return r;
	if (!pid)
		pid = (uint32_t)c->pid;
	r = pid && pid <= INT_MAX ? c->ops->adopt(c->userdata, (pid_t)pid) : 1;
	if (r > 0)
		return sd_bus_error_setf(
			error, SD_BUS_ERROR_INVALID_ARGS,
			"The daemon sees no process with the number %u.", pid);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(m, NULL);
}
