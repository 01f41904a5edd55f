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

#include <ksmd-plus/reasons.h>
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

/* All mappings of a process, by why they do or do not merge. */
struct vma_class {
	uint64_t mappings;
	uint64_t bytes; /* of address space */
	uint64_t resident; /* bytes; of REASON_SWAPPED those in swap */
};

struct vma_classes {
	struct vma_class by[REASON_MAX_];
};

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
 * The same in two steps, since only the first one takes rights: a descriptor
 * for one reading, and the reading. Its memory gone, or replaced by an exec, is
 * VMAS_GONE.
 */
int vmas_open(int proc_dir);
int vmas_read_open(int fd, struct vmas *vmas, size_t *ret_n_all);

/*
 * Sort all mappings into classes. A mapping that is partly in files, in swap
 * or written to counts in each class with its part.
 *
 * Return: 0, VMAS_GONE, or negative errno; on failure *ret is untouched.
 */
int vmas_classify(int proc_dir, struct vma_classes *ret);

/*
 * @ranges, which do not overlap, have been marked mergeable: split the mappings accordingly. madvise()
 * may have passed over something silently (facts 2.2): the next vmas_read()
 * knows. 0 or -ENOMEM, then nothing has changed.
 */
int vmas_mark(struct vmas *vmas, const struct range *ranges, size_t n);
