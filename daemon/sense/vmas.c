/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmas.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#include <ksmd-plus/types.h>

/*
 * Flags with which a mapping is left alone, as smaps abbreviates them
 * (fs/proc/task_mmu.c, show_smap_vma_flags()). Of several the first counts.
 */
static const struct {
	char flag[3];
	enum reason reason;
} no_flags[] = {
	{ "ht", REASON_HUGETLB },
	{ "pf", REASON_DEVICE }, /* raw frames */
	{ "io", REASON_DEVICE },
	{ "de", REASON_DEVICE }, /* VM_DONTEXPAND: drivers' mappings */
	{ "mm", REASON_DEVICE }, /* VM_MIXEDMAP */
	{ "sh", REASON_SHARED }, /* ksm_madvise() ignores it */
	{ "ms", REASON_SHARED },
	{ "dp", REASON_DROPPABLE }, /* 6.11 */
	{ "ss", REASON_SHADOW_STACK },
	{ "lo", REASON_LOCKED }, /* keys, real-time programs */
	{ "wf", REASON_WIPE_ON_FORK }, /* secrets, random seeds */
	{ "dd", REASON_DO_NOT_DUMP }, /* secrets */
	{ "gd", REASON_STACK }, /* VM_GROWSDOWN */
	{ "um", REASON_USERFAULTFD }, /* its owner watches the pages */
	{ "uw", REASON_USERFAULTFD },
	{ "ui", REASON_USERFAULTFD },
};

/* Of the file at a time. */
#define READ_BYTES 65536U

struct parse {
	struct vma vma;
	bool open; /* a header line was seen */
	bool flags_seen;
	bool nohuge;
	bool private;
	enum reason special; /* by its name */
	size_t flag; /* the first of no_flags[]; their number: none */
	uint64_t anonymous; /* bytes */
	uint64_t swapped;
	uint64_t hugetlb; /* not a part of Rss */
};

/* Where what was parsed goes; either may be NULL. */
struct sink {
	struct vmas *vmas;
	struct vma_classes *classes;
};

static enum reason parse_reason(const struct parse *p)
{
	if (p->special)
		return p->special;
	if (p->flag < ARRAY_SIZE(no_flags))
		return no_flags[p->flag].reason;
	if (!p->private)
		return REASON_SHARED;
	return p->flags_seen ? REASON_NONE : REASON_SPECIAL;
}

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
			if (!memcmp(text, no_flags[i].flag, 2))
				p->flag = MIN(p->flag, i);
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

static void class_add(struct vma_classes *classes, enum reason reason,
		      const struct parse *p, uint64_t resident)
{
	struct vma_class *c = &classes->by[reason];

	c->mappings++;
	c->bytes += p->vma.end - p->vma.start;
	c->resident += resident;
}

/* A mapping of a file is its page cache, and what was written to it. */
static void classify(const struct parse *p, struct vma_classes *classes)
{
	enum reason reason = parse_reason(p);

	if (reason) {
		class_add(classes, reason, p, p->vma.rss + p->hugetlb);
		return;
	}
	if (p->swapped)
		class_add(classes, REASON_SWAPPED, p, p->swapped);
	if (p->vma.rss > p->anonymous)
		class_add(classes, REASON_FILE, p, p->vma.rss - p->anonymous);
	if (p->anonymous)
		class_add(classes,
			  p->vma.mergeable ? REASON_REGISTERED
					   : REASON_CANDIDATE,
			  p, p->anonymous);
	if (!p->vma.rss && !p->swapped)
		class_add(classes, REASON_EMPTY, p, 0);
}

static int parse_close(struct parse *p, const struct sink *sink)
{
	if (!p->open)
		return 0;
	if (sink->classes)
		classify(p, sink->classes);
	if (!sink->vmas || parse_reason(p) || !p->vma.rss)
		return 0;
	p->vma.thp_eligible = p->vma.thp_eligible && !p->nohuge;
	return vec_push(sink->vmas, p->vma);
}

/* What the first line of a mapping says of it, beside its flags. */
static enum reason header_reason(const struct parse *p, const char *line)
{
	if (strstr(line, " [v") || p->vma.start >= p->vma.end ||
	    p->vma.start % PAGE_BYTES || p->vma.end % PAGE_BYTES)
		return REASON_SPECIAL;
	return strstr(line, " [stack") ? REASON_STACK : REASON_NONE;
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
		.private = strlen(perms) == 4 && perms[3] == 'p',
		.flag = ARRAY_SIZE(no_flags),
	};
	p->special = header_reason(p, line);
	return true;
}

/* One line of a mapping, not its first. */
static void line_parse(const char *line, struct parse *p)
{
	if (!strncmp(line, "Rss:", 4)) {
		p->vma.rss = kib_parse(line + 4);
	} else if (!strncmp(line, "Anonymous:", 10)) {
		p->anonymous = kib_parse(line + 10);
	} else if (!strncmp(line, "Swap:", 5)) {
		p->swapped = kib_parse(line + 5);
	} else if (!strncmp(line, "Shared_Hugetlb:", 15) ||
		   !strncmp(line, "Private_Hugetlb:", 16)) {
		p->hugetlb += kib_parse(strchr(line, ':') + 1);
	} else if (!strncmp(line, "AnonHugePages:", 14)) {
		p->vma.huge = kib_parse(line + 14);
	} else if (!strncmp(line, "THPeligible:", 12)) {
		p->vma.thp_eligible = strchr(line, '1') != NULL;
	} else if (!strncmp(line, "VmFlags:", 8)) {
		p->flags_seen = true;
		flags_parse(line + 8, p);
	}
}

/* What is known of the file up to some line of it. */
struct stream {
	struct parse parse;
	const struct sink *sink;
	size_t n_all;
};

static int line_take(struct stream *s, const char *line)
{
	int r;

	if (line[0] >= 'A' && line[0] <= 'Z') {
		line_parse(line, &s->parse);
		return 0;
	}
	r = parse_close(&s->parse, s->sink);
	if (r)
		return r;
	s->parse.open = false;
	s->n_all += header_parse(line, &s->parse);
	return 0;
}

/*
 * Take the whole lines of @buf, which holds *len bytes, and move what is left
 * to its front. There is room for any line: a path with each byte escaped has
 * 16 KiB. One that is longer all the same is cut.
 */
static int lines_take(struct stream *s, char *buf, size_t *len, bool cut)
{
	char *line = buf, *end;
	size_t left = *len;
	int r;

	while ((end = memchr(line, '\n', left)) ||
	       (cut && left && line == buf)) {
		if (!end)
			end = line + left - 1;
		*end++ = '\0';
		r = line_take(s, line);
		if (r)
			return r;
		left -= (size_t)(end - line);
		line = end;
	}
	memmove(buf, line, left);
	*len = left;
	return 0;
}

/* Line by line: with 60,000 mappings the text has 50 MB. */
static int fd_parse(int fd, const struct sink *sink, size_t *ret_n_all)
{
	_cleanup_free_ char *buf = malloc(READ_BYTES);
	struct stream s = { .sink = sink };
	size_t len = 0;
	ssize_t n;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	while (!r && (n = read(fd, buf + len, READ_BYTES - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		r = lines_take(&s, buf, &len, len == READ_BYTES);
	}
	if (!r)
		r = lines_take(&s, buf, &len, true);
	if (!r)
		r = parse_close(&s.parse, sink);
	if (r)
		return r;
	*ret_n_all = s.n_all;
	return 0;
}

int vmas_open(int proc_dir)
{
	int fd = openat(proc_dir, "smaps", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int gone_or(int error)
{
	return error == -ENOENT || error == -ESRCH ? VMAS_GONE : error;
}

int vmas_read_open(int fd, struct vmas *vmas, size_t *ret_n_all)
{
	struct sink sink = { .vmas = vmas };
	size_t n_all = 0;
	int r = fd_parse(fd, &sink, &n_all);

	if (r)
		return gone_or(r);
	if (!n_all)
		return VMAS_GONE;
	*ret_n_all = n_all;
	return 0;
}

int vmas_read(int proc_dir, struct vmas *vmas, size_t *ret_n_all)
{
	_cleanup_close_ int fd = vmas_open(proc_dir);
	struct sink sink = { .vmas = vmas };

	return gone_or(fd < 0 ? fd : fd_parse(fd, &sink, ret_n_all));
}

int vmas_classify(int proc_dir, struct vma_classes *ret)
{
	_cleanup_close_ int fd = vmas_open(proc_dir);
	struct vma_classes classes = { 0 };
	struct sink sink = { .classes = &classes };
	size_t n_all;
	int r = fd < 0 ? fd : fd_parse(fd, &sink, &n_all);

	if (!r)
		*ret = classes;
	return gone_or(r);
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
