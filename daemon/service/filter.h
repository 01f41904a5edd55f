/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filter - which system calls a thread of the daemon can still make
 */
#pragma once

/* Bits, since a call may be for several. */
enum filter_role {
	FILTER_LOOP = 1, /* the main thread, once everything is set up */
	FILTER_READER = 2, /* copies pages and checksums them; opens nothing */
	FILTER_MOVER = 4, /* moves merged pages between memory nodes */
};

enum {
	FILTER_ABSENT = 1, /* not of this kernel, or not of this build */
};

/*
 * Put the calling thread under the filter of @role. Needs no_new_privs.
 * 0, FILTER_ABSENT, or negative errno.
 */
int filter_install(enum filter_role role);
