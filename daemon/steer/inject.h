/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject - the daemon's end of the injector
 *
 * Starts ksmd-plus-injector before anything is dropped and talks to it in
 * fixed messages (<ksmd-plus/inject.h>). Nothing here blocks: requests go
 * into the socket, replies are read when inject_fd() is readable. The
 * injector outlives a SIGKILL of the daemon for as long as it needs to let
 * go of the target in hand.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include <ksmd-plus/inject.h>

struct inject;
struct keeper;

enum {
	INJECT_AGAIN = 1, /* nothing to read, or no room for a request now */
	INJECT_LOST, /* the injector is gone; start a new one */
};

/*
 * Start the injector @path. It runs in its own session, with oom_score_adj
 * -1000 (where that is allowed) and its memory locked.
 *
 * Return: 0 or negative errno: -ENOENT where @path is missing.
 */
int inject_new(const char *path, struct inject **ret);

/* The same by @keeper, also when we have no right to any more. */
int inject_new_by(struct keeper *keeper, struct inject **ret);

/*
 * Close the socket; the injector exits by itself when its last request is
 * done. Waits for that for 100 ms at most. NULL in, NULL out.
 */
struct inject *inject_free(struct inject *inject);

/* Poll this for reading; valid as long as @inject. */
int inject_fd(const struct inject *inject);

/* The injector's pid, for CPU accounting. */
pid_t inject_pid(const struct inject *inject);

/* Send @request about the process behind @pidfd. 0, INJECT_AGAIN,
 * INJECT_LOST or negative errno. */
int inject_send(struct inject *inject, const struct inject_request *request,
		int pidfd);

/* Take one reply. 0, INJECT_AGAIN, INJECT_LOST or negative errno. */
int inject_receive(struct inject *inject, struct inject_reply *ret);
