/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl run: becomes the program that it starts, after it has opted in.
 * So there is nobody between that program and whoever started us: its signals,
 * terminal and exit status are its own. Nothing is started unless the opting
 * in has succeeded.
 */
#include "ctl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "kernel-api.h"
#include "log.h"

/* As env(1), nice(1), timeout(1) and others that start a program. */
enum {
	RUN_FAILED = 125,
	RUN_CANNOT = 126, /* the program is there and cannot be started */
	RUN_MISSING = 127,
};

static int opt_in_whole(void)
{
	if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0)
		return 0;
	if (errno == EINVAL || errno == ENOSYS)
		log_error(
			"This kernel cannot merge the whole of a process: PR_SET_MEMORY_MERGE came with Linux 6.4, and wants CONFIG_KSM. Without --whole the daemon looks after it.");
	else
		log_error_errno(errno, "PR_SET_MEMORY_MERGE failed");
	return -1;
}

/* The connection is closed before the program starts. */
static int opt_in_by_daemon(const char *socket)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r = client_open_loud(socket, &bus);

	return r < 0 ? r : client_adopt(bus, 0);
}

static int run_run(const struct ctl *ctl)
{
	int error;

	if (!ctl->n_operands) {
		log_error("Which program? ksmd-plusctl run -- PROGRAM");
		return CTL_USAGE;
	}
	if ((ctl->n_given ? opt_in_whole() : opt_in_by_daemon(ctl->socket)) < 0)
		return RUN_FAILED;
	signal(SIGPIPE, ctl->sigpipe);
	execvp(ctl->operands[0], ctl->operands);
	error = errno;
	signal(SIGPIPE, SIG_IGN);
	log_error("Cannot start %s: %s", ctl->operands[0], strerror(error));
	return error == ENOENT ? RUN_MISSING : RUN_CANNOT;
}

static const struct verb_option options[] = {
	{ "whole", NULL, "all its memory, by the kernel alone" },
	{ 0 },
};

const struct verb verb_run = {
	.name = "run",
	.summary = "start a program whose memory is to be merged",
	.help = "Start PROGRAM, and have what is equal in its memory and in that of all it starts merged until they end. The daemon does so, by evidence, as for a target of mode selective that is called \"run\"; this needs root. With --whole the kernel is told to look at all of the memory, which needs neither the daemon nor root. The exit status is that of PROGRAM; 125 if it was not started because this failed, 126 if it cannot be started, 127 if there is none.",
	.operands = "-- PROGRAM [ARGUMENT...]",
	.options = options,
	.dashes = true,
	.run = run_run,
};
