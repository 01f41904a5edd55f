/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmas.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "files.h"

#include <ksmd-plus/types.h>

/*
 * Flags with which a mapping is left alone, as smaps abbreviates them
 * (fs/proc/task_mmu.c, show_smap_vma_flags()).
 */
static const char no_flags[][3] = {
	"sh", "ms", /* shared: ksm_madvise() ignores it */
	"pf", "io", /* raw frames, device memory */
	"de", /* VM_DONTEXPAND: drivers' mappings */
	"ht", /* hugetlb */
	"mm", /* VM_MIXEDMAP */
	"dp", /* VM_DROPPABLE, 6.11 */
	"lo", /* locked: keys, real-time programs */
	"dd", /* do-not-dump: secrets */
	"wf", /* wipe-on-fork: secrets, random seeds */
	"gd", /* VM_GROWSDOWN: stacks */
	"ss", /* shadow stack */
	"um", "uw", "ui", /* userfaultfd: its owner watches the pages */
};

struct parse {
	struct vma vma;
	bool open; /* a header line was seen */
	bool private;
	bool flags_ok;
	bool nohuge;
};

static void flags_parse(const char *text, struct parse *p)
{
	while (*text) {
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len != 2) {
			text += len;
			continue;
		}
		for (size_t i = 0; i < ARRAY_SIZE(no_flags); i++)
			if (!memcmp(text, no_flags[i], 2))
				p->flags_ok = false;
		if (!memcmp(text, "mg", 2))
			p->vma.mergeable = true;
		else if (!memcmp(text, "nh", 2))
			p->nohuge = true;
		text += len;
	}
}

/* "Name:   123 kB" */
static uint64_t kib_parse(const char *text)
{
	unsigned long long kib = 0;

	sscanf(text, " %llu kB", &kib);
	return kib * 1024;
}

static int parse_close(struct parse *p, struct vmas *vmas)
{
	if (!p->open || !p->private || !p->flags_ok || !p->vma.rss)
		return 0;
	p->vma.thp_eligible = p->vma.thp_eligible && !p->nohuge;
	return vec_push(vmas, p->vma);
}

/* A header is "start-end perms offset dev inode name". */
static bool header_parse(const char *line, struct parse *p)
{
	unsigned long long start, end;
	char perms[5];

	if (sscanf(line, "%llx-%llx %4s ", &start, &end, perms) != 3)
		return false;
	*p = (struct parse){
		.vma = { .start = start, .end = end },
		.open = true,
		.private = strlen(perms) == 4 && perms[3] == 'p' &&
			   start < end && start % PAGE_BYTES == 0 &&
			   end % PAGE_BYTES == 0 && !strstr(line, " [stack") &&
			   !strstr(line, " [v"),
	};
	return true;
}

int vmas_parse(char *text, struct vmas *vmas, size_t *ret_n_all)
{
	struct parse p = { 0 };
	char *save = NULL;
	size_t n_all = 0;
	int r;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "Rss:", 4)) {
			p.vma.rss = kib_parse(line + 4);
		} else if (!strncmp(line, "AnonHugePages:", 14)) {
			p.vma.huge = kib_parse(line + 14);
		} else if (!strncmp(line, "THPeligible:", 12)) {
			p.vma.thp_eligible = strchr(line, '1') != NULL;
		} else if (!strncmp(line, "VmFlags:", 8)) {
			p.flags_ok = true;
			flags_parse(line + 8, &p);
		} else if (line[0] < 'A' || line[0] > 'Z') {
			r = parse_close(&p, vmas);
			if (r)
				return r;
			p.open = false;
			n_all += header_parse(line, &p);
		}
	}
	*ret_n_all = n_all;
	return parse_close(&p, vmas);
}

int vmas_read(int proc_dir, struct vmas *vmas, size_t *ret_n_all)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read_all(proc_dir, "smaps", &text, &len);

	if (r == -ENOENT || r == -ESRCH)
		return VMAS_GONE;
	if (r)
		return r;
	return vmas_parse(text, vmas, ret_n_all);
}

/* Append [start, end) of @v, with its part of what is present; like parts
 * that touch are joined, as the kernel joins mappings. */
static int part_add(struct vmas *parts, const struct vma *v, uint64_t start,
		    uint64_t end, bool mergeable)
{
	struct vma *last = parts->n ? &parts->v[parts->n - 1] : NULL;
	struct vma part = *v;

	if (start >= end)
		return 0;
	part.start = start;
	part.end = end;
	part.mergeable = mergeable;
	part.rss = MIN(v->rss, end - start);
	part.huge = MIN(v->huge, end - start);
	if (last && last->end == start && last->mergeable == mergeable &&
	    last->thp_eligible == v->thp_eligible) {
		last->end = end;
		last->rss += part.rss;
		last->huge += part.huge;
		return 0;
	}
	return vec_push(parts, part);
}

static int range_compare(const void *pa, const void *pb)
{
	const struct range *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

int vmas_mark(struct vmas *vmas, const struct range *marked, size_t n)
{
	_cleanup_free_ struct range *ranges = malloc((n + 1) * sizeof(*ranges));
	struct vmas parts = { 0 };
	size_t at = 0;
	int r = 0;

	if (!ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ranges[i] = marked[i];
	qsort(ranges, n, sizeof(*ranges), range_compare);

	for (size_t i = 0; !r && i < vmas->n; i++) {
		const struct vma *v = &vmas->v[i];
		uint64_t from = v->start;

		while (at < n && ranges[at].end <= v->start)
			at++;
		for (size_t k = at; !r && k < n && ranges[k].start < v->end;
		     k++) {
			uint64_t start = MAX(ranges[k].start, v->start);
			uint64_t end = MIN(ranges[k].end, v->end);

			r = part_add(&parts, v, from, start, v->mergeable);
			if (!r)
				r = part_add(&parts, v, start, end, true);
			from = end;
		}
		if (!r)
			r = part_add(&parts, v, from, v->end, v->mergeable);
	}
	if (r) {
		vec_free(&parts);
		return r;
	}
	vec_free(vmas);
	*vmas = parts;
	return 0;
}
