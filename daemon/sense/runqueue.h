/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * runqueue - how many threads of the machine run or wait for a CPU right now
 */
#pragma once

#include "files.h"

/*
 * The fourth field of /proc/loadavg (proc_loadavg(5)), the caller included.
 * 0 or negative errno.
 */
int runqueue_length(const struct root *root, unsigned int *ret);
