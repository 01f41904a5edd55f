/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * injector - serve requests, one at a time
 *
 * A request becomes a few stops of the target with pauses between them, so
 * that no thread of it is held for long and all of them together lose little.
 * What is not done by then is for the daemon to ask again (INJECT_MORE).
 */
#pragma once

#include <stdbool.h>

#include "files.h"

/*
 * Answer what comes from @socket until its other end closes. Every signal is
 * to be blocked. @single_calls: never use process_madvise().
 *
 * Return: 0 at the end, or negative errno.
 */
int injector_run(const struct root *root, int socket, bool single_calls);
