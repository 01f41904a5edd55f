/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hidden - not dumpable, of another user, and never to gain privileges
 */
#include <grp.h>
#include <sys/prctl.h>

#include "target.h"

int main(int argc, char **argv)
{
	struct target t;

	target_options(&t, argc, argv, "Not dumpable, of another user.", NULL,
		       0);
	target_ready(&t, NULL);
	if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 ||
	    setresuid(65534, 65534, 65534) < 0)
		err(TARGET_SKIP, "setresuid");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		err(2, "prctl");
	while (!target_stopping(&t))
		target_sleep(1000);
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		target_broken(&t, "it has become dumpable");
	target_end(&t);
}
