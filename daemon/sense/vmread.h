/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmread - copy pages of another process
 *
 * Reads through /proc/PID/mem: FOLL_GET, so that a merged or fork-shared page
 * stays shared. process_vm_readv(2) is not used, not even for pages that are
 * exclusively mapped: it is a third faster, but pins (FOLL_PIN). That
 * un-shares a page that was merged or forked between pagemap and the read,
 * and sets MMF_HAS_PINNED in the target's mm for the rest of its life, after
 * which every fork of the target checks each page for pins
 * (mm/gup.c, mm_set_has_pinned_flag(); tests/contract/vmread.c measures both).
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
