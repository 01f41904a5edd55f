/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * configured - the configuration, for verbs that judge by the daemon's rules
 */
#pragma once

#include <stdint.h>

#include "config.h"

#define CONFIGURED_PATH KSMD_PLUS_SYSCONFDIR "/ksmd-plus.conf"

/* The option of every such verb. */
#define CONFIGURED_OPTION                                                      \
	{                                                                      \
		"config", "FILE",                                              \
			"the configuration (default " CONFIGURED_PATH ")"      \
	}

/*
 * Load @path, or where it is NULL the usual one, which need not be there. What
 * is wrong in it is said on stderr. @ram_bytes: as for config_load().
 * Return: 0 with *ret to be cleared, or negative errno.
 */
int configured_load(const char *path, uint64_t ram_bytes, struct config *ret);
