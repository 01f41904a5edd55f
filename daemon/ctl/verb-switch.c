/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl pause, resume, rescan: the verbs that only tell the daemon
 * something. They say what they did on a terminal, and nothing to a script.
 */
#include "ctl.h"

#include "cleanup.h"
#include "client.h"

static int tell(const struct ctl *ctl, const char *method, const char *said)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;

	if (client_open_loud(ctl->socket, &bus) < 0 ||
	    client_call(bus, method) < 0)
		return CTL_FAILED;
	if (ctl->screen.terminal)
		screen_wrap(&ctl->screen, 0, said);
	return CTL_DONE;
}

static int pause_run(const struct ctl *ctl)
{
	return tell(
		ctl, "Pause",
		"Paused. Memory that is merged stays merged; nothing more is searched or enrolled until `ksmd-plusctl resume`.");
}

static int resume_run(const struct ctl *ctl)
{
	return tell(ctl, "Resume", "Resumed.");
}

static int rescan_run(const struct ctl *ctl)
{
	return tell(
		ctl, "Rescan",
		"Everything is read again in the next rounds. `ksmd-plusctl status` shows how it goes.");
}

const struct verb verb_pause = {
	.name = "pause",
	.summary = "stop searching; what is merged stays merged",
	.help = "Stop searching and enrolling. Memory that is merged stays merged. Needs root.",
	.run = pause_run,
};

const struct verb verb_resume = {
	.name = "resume",
	.summary = "go on after pause",
	.help = "Go on after `ksmd-plusctl pause`. Needs root.",
	.run = resume_run,
};

const struct verb verb_rescan = {
	.name = "rescan",
	.summary = "read all memory again, as if it were new",
	.help = "Forget when each part of memory is due and read all of it again in the next rounds, within the CPU limit. Needs root.",
	.run = rescan_run,
};
