/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "confine.h"

#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>

#include "files.h"
#include "filter.h"
#include "hints.h"
#include "kernel-api.h"
#include "log.h"
#include "rights.h"

static const struct {
	uint64_t rights;
	enum filter_role filter;
} roles[] = {
	[CONFINE_LOOP] = { RIGHTS_LOOP, FILTER_LOOP },
	/* ksm_stat and smaps of anybody; libc, for names of users */
	[CONFINE_ASKER] = { RIGHTS_ASKER, FILTER_LOOP },
	[CONFINE_READER] = { RIGHTS_NONE, FILTER_READER },
	/* the portal of a queue */
	[CONFINE_READER_DSA] = { RIGHT(CAP_SYS_RAWIO), FILTER_LOOP },
	/* move_pages() with MPOL_MF_MOVE_ALL, on processes of anybody */
	[CONFINE_MOVER] = { RIGHT(CAP_SYS_PTRACE) | RIGHT(CAP_SYS_NICE),
			    FILTER_MOVER },
};

/*
 * What we know of pages must not be read off our own: neither from a core dump
 * that somebody has switched on again, nor by the time that a write to it
 * takes. Neither is vital.
 */
static void memory_close(const struct root *root)
{
	if (file_write(root->proc, "self/coredump_filter", "0") < 0)
		log_debug("Cannot leave all memory out of core dumps");
	prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0);
}

/*
 * Nobody has this uid: libc asks, and so loads, all that knows names of users
 * here. Later it could not, since nothing can be made executable then.
 */
static void names_load(void)
{
	struct passwd pw, *found;
	char buf[4096];

	getpwuid_r((uid_t)-2, &pw, buf, sizeof(buf), &found);
}

int confine_begin(const struct root *root)
{
	memory_close(root);
	names_load();
	return rights_close();
}

int confine_thread(enum confine_role role)
{
	uint64_t rights = roles[role].rights;
	int r, filter;

	if (role == CONFINE_NOT)
		return 0;
	if (role == CONFINE_LOOP)
		rights |= hints_rights();
	r = rights_bound(RIGHTS_NONE);
	if (!r)
		r = rights_keep(rights);
	filter = filter_install(roles[role].filter);
	return r ? r : filter;
}
