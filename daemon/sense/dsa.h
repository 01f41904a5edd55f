/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa - Data Streaming Accelerators, by the files of the idxd driver
 *
 * Reads with nothing but files, so that it cannot fail on a tree that is not
 * as expected, and says whether libaccel-config 3.5.3 could be asked: a queue
 * without type or mode makes it crash, and a cmd_status that cannot be written
 * (a read-only /sys) makes it drop the device.
 */
#pragma once

#include <ksmd-plus/dsa.h>

#include "files.h"

/* What is there now; nothing at all is a result, too. */
void dsa_read(const struct root *root, struct dsa_tree *ret);
