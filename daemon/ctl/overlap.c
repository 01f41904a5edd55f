/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "overlap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "choose.h"
#include "cleanup.h"
#include "frameset.h"
#include "kfeat.h"
#include "pagemap.h"
#include "process.h"
#include "reader.h"
#include "rules.h"
#include "vmas.h"

DEFINE_CLEANUP(struct frameset, frameset_free)

/* Domains are gone through one after another. */
struct count {
	const struct root *root;
	struct reader reader;
	int kpageflags;
	bool kpf_ksm;
	struct frameset *here; /* frames of the domain in progress, */
	struct frameset *all; /* of all so far, */
	struct frameset *counted; /* and those that were in several */
	struct overlap sum;
};

bool overlap_is_possible(const struct config *config)
{
	for (size_t i = 0; i < config->rules.n_targets; i++)
		if (rules_domain(&config->rules.targets[i]))
			return true;
	return false;
}

/* A frame that several domains map: merged, and not the page of zeros? */
static bool is_merged(const struct count *c, uint64_t pfn)
{
	uint64_t flags;

	if (fd_pread_full(c->kpageflags, &flags, sizeof(flags),
			  (off_t)(pfn * sizeof(flags))))
		return false;
	return !(flags & KAPI_KPF_ZERO_PAGE) &&
	       (!c->kpf_ksm || (flags & KAPI_KPF_KSM));
}

static void frame_met(struct count *c, uint64_t pfn)
{
	if (frameset_first(c->here, pfn) && !frameset_first(c->all, pfn) &&
	    frameset_first(c->counted, pfn))
		c->sum.frames += is_merged(c, pfn);
}

static int region_count(struct count *c, const struct process *process,
			const struct vmas *vmas, uint64_t base)
{
	uint64_t entries[REGION_PAGES];
	struct pagemask eligible, mergeable;
	int r = pagemap_read(process, base, entries);

	if (r)
		return r;
	reader_masks(vmas, base, &eligible, &mergeable);
	for (unsigned int i = pagemask_next(&mergeable, 0); i < REGION_PAGES;
	     i = pagemask_next(&mergeable, i + 1))
		if (pagemap_is_anon(entries[i]) &&
		    !pagemap_is_exclusive(entries[i]) &&
		    pagemap_pfn(entries[i]))
			frame_met(c, pagemap_pfn(entries[i]));
	return 0;
}

/* What is mergeable in it. Its end, at whatever moment, is no error. */
static int process_count(struct count *c, const struct process *process)
{
	_cleanup_close_ int smaps = vmas_open(process->dir);
	struct reader_map map = { 0 };
	int r = smaps < 0 ? smaps
			  : reader_map(&c->reader, process, smaps, true, &map);

	for (size_t i = 0; !r && i < map.regions.n; i++)
		r = region_count(c, process, &map.vmas, map.regions.v[i].base);
	reader_map_clear(&map);
	return r == -ENOMEM ? r : 0;
}

/* The kernel tells for whom it has merged something. */
static int process_visit(struct count *c, struct process_id id)
{
	struct process process = PROCESS_NONE;
	struct process_ksm ksm;
	int r = process_open(c->root, id, &process);

	if (r)
		return r == -ENOMEM ? r : 0;
	if (!process_ksm_read(process.dir, &ksm) && ksm.merging_pages) {
		c->sum.processes++;
		r = process_count(c, &process);
	}
	process_close(&process);
	return r;
}

static int domain_count(struct count *c, const struct chosen_vec *chosen,
			uint32_t domain)
{
	_cleanup_(frameset_freep) struct frameset *here = NULL;
	int r = frameset_new(&here);

	c->here = here;
	for (size_t i = 0; !r && i < chosen->n; i++)
		if (chosen->v[i].domain == domain && !*chosen->v[i].why_not)
			r = process_visit(c, chosen->v[i].id);
	c->here = NULL;
	return r;
}

/* Every domain once: when its first process is met. */
static int domains_count(struct count *c, const struct chosen_vec *chosen)
{
	int r = 0;

	for (size_t i = 0; !r && i < chosen->n; i++) {
		size_t first = 0;

		while (chosen->v[first].domain != chosen->v[i].domain)
			first++;
		if (first == i)
			r = domain_count(c, chosen, chosen->v[i].domain);
	}
	return r;
}

int overlap_count(const struct root *root, const struct kfeat *kfeat,
		  const struct config *config, struct overlap *ret)
{
	_cleanup_(frameset_freep) struct frameset *all = NULL, *counted = NULL;
	_cleanup_close_ int flags = openat(root->proc, "kpageflags",
					   O_RDONLY | O_CLOEXEC);
	struct count c = {
		.root = root,
		.reader.pagemap_scan = kfeat->pagemap_scan,
		.kpageflags = flags,
		.kpf_ksm = kfeat->kpf_ksm,
		.sum = { .known = true, .exact = kfeat->kpf_ksm },
	};
	struct choice choice = { .all = true };
	struct chosen_vec chosen = { 0 };
	uint64_t first;
	int r;

	if (flags < 0)
		return -errno;
	r = fd_pread_full(flags, &first, sizeof(first), 0);
	if (r) /* something empty hides it, as in a container */
		return r;
	if (frameset_new(&all) || frameset_new(&counted))
		return -ENOMEM;
	c.all = all;
	c.counted = counted;
	r = choose(root, config, &choice, &chosen);
	if (r >= 0)
		r = domains_count(&c, &chosen);
	vec_free(&chosen);
	if (!r)
		*ret = c.sum;
	return r;
}
