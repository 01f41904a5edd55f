/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmread - copy pages of another process
 *
 * Reads through /proc/PID/mem: FOLL_GET, so that a merged or fork-shared page
 * stays shared. process_vm_readv(2) is not used, not even for pages that are
 * exclusively mapped: it is a fifth to a third faster, but pins (FOLL_PIN),
 * and so un-shares what was merged or forked between the look at pagemap and
 * the read: a prefork server that forks at that moment would lose the sharing
 * of up to a block of pages. (What one might fear beyond that, a slower fork
 * for the rest of the target's life because of MMF_HAS_PINNED, is lost in the
 * noise of the measurement: tests/contract/vmread.c.)
 *
 * A page may change while it is copied. That is harmless: a checksum is a
 * hint, and the kernel compares bytes before it merges.
 */
#pragma once

#include <stdint.h>

#include <ksmd-plus/types.h>

#include "pagemask.h"

struct process;

enum {
	VMREAD_GONE = 1, /* the process has exited or exec'ed */
};

/*
 * Copy the pages of the region at @base that are set in @mask to their place
 * in @buf (page i at i * PAGE_BYTES). Pages that could not be read (unmapped
 * meanwhile) are cleared from @mask. Contents of @buf elsewhere are lost.
 *
 * Return: 0, VMREAD_GONE or negative errno.
 */
int vmread_region(const struct process *process, uint64_t base,
		  struct pagemask *mask, unsigned char buf[REGION_BYTES]);
