/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-change.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <ksmd-plus/control.h>

#include "authority.h"
#include "cleanup.h"
#include "control.h"

/* Called for @m of a caller who may: 0 or more, or negative with @error. */
typedef int (*change_fn)(sd_bus_message *m, const struct control_caller *c,
			 sd_bus_error *error);

static int change_pause(sd_bus_message *m, const struct control_caller *c,
			sd_bus_error *error)
{
	(void)m;
	(void)error;
	c->ops->pause(c->userdata);
	return 0;
}

static int change_resume(sd_bus_message *m, const struct control_caller *c,
			 sd_bus_error *error)
{
	(void)m;
	(void)error;
	c->ops->resume(c->userdata);
	return 0;
}

static int change_rescan(sd_bus_message *m, const struct control_caller *c,
			 sd_bus_error *error)
{
	(void)m;
	(void)error;
	c->ops->rescan(c->userdata);
	return 0;
}

/* A caller need not know its own number here: 0 is whoever calls. */
static int change_adopt(sd_bus_message *m, const struct control_caller *c,
			sd_bus_error *error)
{
	uint32_t pid = 0;
	int r = sd_bus_message_read(m, "u", &pid);

	if (r < 0)
		return r;
	if (!pid)
		pid = (uint32_t)c->pid;
	r = pid && pid <= INT_MAX ? c->ops->adopt(c->userdata, (pid_t)pid) : 1;
	if (r <= 0)
		return r;
	return sd_bus_error_setf(
		error, SD_BUS_ERROR_INVALID_ARGS,
		"The daemon sees no process with the number %u.", pid);
}

static const struct change {
	const char *method;
	const char *action; /* its name for polkit */
	change_fn make;
} changes[] = {
	{ "Pause", CONTROL_ACTION_STEER, change_pause },
	{ "Resume", CONTROL_ACTION_STEER, change_resume },
	{ "Rescan", CONTROL_ACTION_STEER, change_rescan },
	{ "Adopt", CONTROL_ACTION_ADOPT, change_adopt },
};

static const struct change *change_of(sd_bus_message *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (sd_bus_message_is_method_call(m, NULL, changes[i].method))
			return &changes[i];
	return NULL;
}

static int make(sd_bus_message *m, const struct control_caller *c,
		sd_bus_error *error)
{
	const struct change *change = change_of(m);
	int r = change ? change->make(m, c, error) : -EINVAL;

	return r < 0 ? r : sd_bus_reply_method_return(m, NULL);
}

/* The authority allows it to @uid and @pid; the message is a while old. */
static void on_allowed(void *userdata, sd_bus_message *m, uid_t uid, pid_t pid)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	struct control_caller c = *(const struct control_caller *)userdata;
	int r;

	c.uid = uid;
	c.pid = pid;
	r = make(m, &c, &error);
	if (sd_bus_error_is_set(&error))
		sd_bus_reply_method_error(m, &error);
	else if (r < 0)
		sd_bus_reply_method_errno(m, r, NULL);
}

int control_change(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const struct change *change = change_of(m);
	struct control_caller *c = userdata;

	if (!change)
		return -EINVAL;
	if (c->authority)
		return authority_ask(c->authority, m, change->action,
				     on_allowed, c, error);
	if (c->uid != 0)
		return sd_bus_error_setf(
			error, SD_BUS_ERROR_ACCESS_DENIED,
			"Only root may call %s(), and uid %u is not root.",
			sd_bus_message_get_member(m), (unsigned int)c->uid);
	return make(m, c, error);
}
