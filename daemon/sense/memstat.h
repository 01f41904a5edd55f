/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memstat - how much there is to spare, on the machine and in a cgroup
 */
#pragma once

#include <stdint.h>

#include "files.h"

/* MemTotal and MemAvailable in bytes. 0 or negative errno. */
int memstat_read(const struct root *root, uint64_t *ret_total,
		 uint64_t *ret_available);

/*
 * Bytes that process @pid may still be charged before a memory limit of its
 * cgroup or of one above is reached; UINT64_MAX where there is no limit. Both
 * hierarchies are looked at.
 *
 * Return: 0, or 1 if it cannot be told (the process is gone, files missing).
 */
int memstat_headroom(const struct root *root, int32_t pid, uint64_t *ret);

/* Resident bytes of this process. 0 if it cannot be told. */
uint64_t memstat_resident(const struct root *root);
