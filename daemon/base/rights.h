/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rights - give up what is not needed
 *
 * Capabilities belong to each thread. Nothing here ever gains one: what is to
 * be kept and is not there is simply not kept. Sets are bits by the numbers of
 * <linux/capability.h>, which a container may not all have.
 */
#pragma once

#include <stdint.h>

#define RIGHTS_NONE UINT64_C(0)
#define RIGHT(cap)  (UINT64_C(1) << (cap))

/*
 * For this thread and all that it starts: no exec gives it more rights than it
 * has (no_new_privs). For the process: no core dump, and only root looks into
 * it (PR_SET_DUMPABLE; undone by exec). 0 or negative errno.
 */
int rights_close(void);

/*
 * What an exec from this thread can have at most: @keep of it stays. Without
 * CAP_SETPCAP all stays, which no_new_privs makes harmless. 0 or negative
 * errno.
 */
int rights_bound(uint64_t keep);

/*
 * This thread keeps those of its capabilities that are in @keep, and hands on
 * none (inheritable, ambient). 0 or negative errno.
 */
int rights_keep(uint64_t keep);
