/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confine - what each thread of the daemon may still do
 *
 * The main thread finds and opens processes and talks to people; askers read
 * for it what may take long; readers work on what it has opened and need no
 * right at all; only movers, of which there
 * are some on machines with several memory nodes, change something of others.
 * ksmd-plus(8) has the table, tests/integration/privileges.py compares.
 *
 * Threads share their memory: this limits what a fault can do by itself, not
 * somebody who runs code of his own in a reader. What binds all of them is that
 * no thread may trace, start a program or make memory executable.
 */
#pragma once

struct root;

enum confine_role {
	CONFINE_NOT, /* for tests: as it is */
	CONFINE_LOOP,
	CONFINE_ASKER, /* as the loop, and opens no pages */
	CONFINE_READER,
	CONFINE_READER_DSA, /* opens queues, which may take CAP_SYS_RAWIO */
	CONFINE_MOVER,
};

/* Before anything is started: for this thread and all after it. 0 or negative
 * errno. */
int confine_begin(const struct root *root);

/*
 * The calling thread keeps what @role needs. The first fault counts, all is
 * tried. 0, a positive value where the kernel or the build has no filters, or
 * negative errno.
 */
int confine_thread(enum confine_role role);
