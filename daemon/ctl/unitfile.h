/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unitfile - a unit's file, and the drop-in of ours beside it
 *
 * Works on files below a directory: that of the running system, or of an image
 * that is being made. systemd reads them when it is told to, and is not asked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "unitname.h"

/* Where an administrator's units are, below the root of a system. */
#define UNITFILE_SYSTEM "etc/systemd/system"
#define UNITFILE_USER	"etc/systemd/user"
/* ... and below a user's own directory of configuration. */
#define UNITFILE_HOME "systemd/user"
#define UNITFILE_NAME "50-ksmd-plus.conf"

enum {
	UNITFILE_ABSENT = 1,
	UNITFILE_MASKED,
};

/*
 * Find the file of @name among those that systemd would load below @root, of
 * the user manager if @user. An alias is followed; an instance that has none
 * of its own is one of its template.
 * Return: 0 with the unit's own name, one of the above, or negative errno.
 */
int unitfile_find(int root, bool user, const char *name,
		  char ret_id[UNIT_NAME_MAX]);

/*
 * Write, or remove, the drop-in of @unit below @folder (UNITFILE_*) in @root.
 * *ret_path (of @size) is where, below @root. Written in one step: there is
 * never half of a file. Nothing of others is touched.
 * Return: 0, UNITFILE_ABSENT where there was none to remove, negative errno.
 */
int unitfile_enable(int root, const char *folder, const struct unit_name *unit,
		    char *ret_path, size_t size);
int unitfile_disable(int root, const char *folder, const struct unit_name *unit,
		     char *ret_path, size_t size);
