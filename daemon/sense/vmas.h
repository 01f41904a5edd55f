/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmas - the mappings of a process that KSM and we may look at
 *
 * Read from /proc/PID/smaps, because only its VmFlags tell what is already
 * mergeable and what must never be touched.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <ksmd-plus/types.h>

#include "vec.h"

struct vma {
	uint64_t start;
	uint64_t end;
	uint64_t rss; /* bytes present */
	uint64_t huge; /* bytes in transparent huge pages */
	bool mergeable; /* VM_MERGEABLE is set */
	bool thp_eligible; /* khugepaged may collapse in it */
};

struct vmas VEC(struct vma);

enum {
	VMAS_GONE = 1,
};

/*
 * Append the mappings worth reading to @vmas, in address order: private, of
 * a kind that KSM accepts, and neither locked, do-not-dump, wipe-on-fork,
 * stack, shadow stack, userfaultfd-registered nor sealed off by a flag that
 * madvise would ignore (design section 6; facts 2.2). @n_all gets the number
 * of all mappings, for the distance to vm.max_map_count.
 *
 * Return: 0, VMAS_GONE, or negative errno; on failure @vmas may have grown.
 */
int vmas_read(int proc_dir, struct vmas *vmas, size_t *ret_n_all);

/*
 * @ranges, which do not overlap, have been marked mergeable: split the mappings accordingly. madvise()
 * may have passed over something silently (facts 2.2): the next vmas_read()
 * knows. 0 or -ENOMEM, then nothing has changed.
 */
int vmas_mark(struct vmas *vmas, const struct range *ranges, size_t n);

/* vmas_read() from the text of an smaps file; for tests and the fuzzer. */
int vmas_parse(char *text, struct vmas *vmas, size_t *ret_n_all);
