/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mappers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "files.h"
#include "frames.h"
#include "pagemap.h"
#include "pagenode.h"
#include "pool.h"
#include "sharing.h"
#include "watch.h"

/* Plans are made so often until all that is to move can be moved. */
#define PLANS 3

/* One address that maps a shared page. */
struct entry {
	uint64_t pfn;
	uint64_t address;
	uint32_t process;
};

struct entries VEC(struct entry);

/* Node numbers of the kernel, and those of placement, which have no gaps. */
struct numbers {
	uint32_t n;
	uint8_t dense[TOPOLOGY_NODES];
	uint8_t node[TOPOLOGY_NODES];
};

static void numbers_init(const struct topology *topology, struct numbers *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint8_t v = 0; v < TOPOLOGY_NODES; v++) {
		if (!(topology_nodes(topology) >> v & 1))
			continue;
		ret->node[ret->n] = v;
		ret->dense[v] = (uint8_t)ret->n++;
	}
}

static uint64_t dense_bits(const struct numbers *numbers, uint64_t nodes)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < numbers->n; i++)
		bits |= (nodes >> numbers->node[i] & 1) << i;
	return bits;
}

/* --- who maps what ------------------------------------------------------------- */

static bool is_in_slice(const struct mappers *m, uint64_t pfn)
{
	return m->n_slices <= 1 || sharing_mix(pfn) % m->n_slices == m->slice;
}

/* What is found in the mappings of one process after the other. */
struct reading {
	struct mappers *m;
	struct worker *worker;
	struct entries *entries;
	uint32_t process;
	uint64_t own[TOPOLOGY_NODES]; /* its pages that nobody shares */
};

/* Take in @n pagemap entries from @address on. 0 or -ENOMEM. */
static int entries_add(struct reading *r, uint64_t address,
		       const uint64_t *pagemap, size_t n)
{
	struct mappers *m = r->m;

	for (size_t i = 0; i < n; i++) {
		uint64_t pfn = pagemap_pfn(pagemap[i]);
		struct entry e = { pfn, address + i * PAGE_BYTES, r->process };
		int node;

		if (!pagemap_is_anon(pagemap[i]) || pfn == m->zero_pfn)
			continue;
		if (pagemap_is_exclusive(pagemap[i])) {
			node = topology_frame_node(m->topology, pfn);
			if (node >= 0)
				r->own[node]++;
			continue;
		}
		m->n_shared++;
		if (!is_in_slice(m, pfn))
			continue;
		if (r->entries->n >= m->max_entries)
			m->overflow = true;
		else if (vec_push(r->entries, e))
			return -ENOMEM;
	}
	return 0;
}

static int range_read(struct reading *reading, struct range range)
{
	struct placed *p = &reading->m->processes.v[reading->process];
	uint64_t *pagemap = reading->worker->pagemap;

	for (uint64_t at = range.start; at < range.end;) {
		size_t n = MIN((range.end - at) / PAGE_BYTES,
			       (uint64_t)REGION_PAGES);
		int r = fd_pread_full(p->watched->process.pagemap, pagemap,
				      n * 8, (off_t)(at / PAGE_BYTES * 8));

		if (r) {
			p->gone = true;
			return 0;
		}
		r = entries_add(reading, at, pagemap, n);
		if (r)
			return r;
		at += n * PAGE_BYTES;
	}
	return 0;
}

/* Read what all have, and learn about each where it lives. */
static int entries_read(struct mappers *m, struct entries *entries,
			struct worker *worker)
{
	for (uint32_t i = 0; i < m->processes.n; i++) {
		struct placed *p = &m->processes.v[i];
		struct reading reading = { m, worker, entries, i, { 0 } };

		for (size_t k = 0; k < p->n_ranges && !p->gone; k++) {
			int r = range_read(&reading,
					   m->ranges.v[p->first_range + k]);

			if (r)
				return r;
		}
		placed_look(p, m, reading.own);
	}
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->pfn != y->pfn)
		return x->pfn < y->pfn ? -1 : 1;
	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

/* --- what is to be placed ------------------------------------------------------ */

/* A frame whose node has to be asked for. */
struct asked {
	uint64_t pfn;
	uint32_t first, n; /* of its mappers */
	uint32_t process; /* through which */
};

struct asked_pages VEC(struct asked);

struct job_pages {
	struct placement in;
	struct placement_process *processes;
	struct placement_mapper *mappers;
	struct placement_page *pages;
	struct placement_share *shares;
	struct asked_pages asked;
	struct numbers numbers;
};

static void pages_clear(struct job_pages *j)
{
	free(j->processes);
	free(j->mappers);
	free(j->pages);
	free(j->shares);
	vec_free(&j->asked);
}

static void page_add(struct mappers *m, struct job_pages *j, uint64_t pfn,
		     uint32_t first, uint32_t n, int node)
{
	struct placement_page page = { .frame = pfn, .first = first, .n = n };

	if (node < 0 || node >= TOPOLOGY_NODES ||
	    !(topology_nodes(m->topology) >> node & 1))
		return;
	page.fixed = n > m->max_sharing;
	for (uint32_t k = first; k < first + n; k++)
		page.fixed |= m->processes.v[j->mappers[k].process].still;
	page.node = j->numbers.dense[node];
	m->on_node[node]++;
	j->pages[j->in.n_pages++] = page;
}

/* A frame that @n addresses from @first on map. 0 or -ENOMEM. */
static int frame_add(struct mappers *m, struct job_pages *j, uint64_t pfn,
		     uint32_t first, uint32_t n)
{
	int node = topology_frame_node(m->topology, pfn);

	if (node == TOPOLOGY_UNKNOWN)
		m->n_unknown += n;
	/* the others who map it are not ours to look at */
	if (n < 2)
		return 0;
	if (node >= 0) {
		page_add(m, j, pfn, first, n, node);
		return 0;
	}
	return vec_push(&j->asked,
			((struct asked){ pfn, first, n,
					 j->mappers[first].process }));
}

static int compare_asked(const void *a, const void *b)
{
	const struct asked *x = a, *y = b;

	return x->process < y->process ? -1 : x->process > y->process;
}

/*
 * Ask for the nodes of up to PAGENODE_MAX pages from @at on through one
 * process that maps them. How many.
 */
static size_t batch_ask(struct mappers *m, struct job_pages *j, size_t at)
{
	const struct asked *asked = &j->asked.v[at];
	uint64_t addresses[PAGENODE_MAX];
	int nodes[PAGENODE_MAX];
	size_t n = 0;

	for (; n < PAGENODE_MAX && at + n < j->asked.n; n++) {
		if (asked[n].process != asked->process)
			break;
		addresses[n] = j->mappers[asked[n].first].address;
	}
	if (pagenode_ask(&m->processes.v[asked->process].watched->process,
			 addresses, n, nodes))
		return n;
	for (size_t i = 0; i < n; i++)
		page_add(m, j, asked[i].pfn, asked[i].first, asked[i].n,
			 nodes[i]);
	return n;
}

static int pages_make(struct mappers *m, const struct entries *entries,
		      struct job_pages *j)
{
	size_t n = m->processes.n;
	int r = 0;

	j->processes = calloc(n + 1, sizeof(*j->processes));
	j->shares = calloc(n + 1, sizeof(*j->shares));
	j->mappers = calloc(entries->n + 1, sizeof(*j->mappers));
	j->pages = calloc(entries->n / 2 + 1, sizeof(*j->pages));
	if (!j->processes || !j->shares || !j->mappers || !j->pages)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		j->processes[i] = (struct placement_process){
			.home = dense_bits(&j->numbers,
					   m->processes.v[i].home.nodes),
			.nice = m->processes.v[i].nice,
			.activity = m->processes.v[i].activity.is,
		};
	for (size_t i = 0; i < entries->n; i++)
		j->mappers[i] = (struct placement_mapper){
			.address = entries->v[i].address,
			.process = entries->v[i].process,
		};
	for (size_t i = 0, first = 0; !r && i < entries->n; i++) {
		uint64_t pfn = entries->v[first].pfn;

		if (i + 1 < entries->n && entries->v[i + 1].pfn == pfn)
			continue;
		r = frame_add(m, j, pfn, (uint32_t)first,
			      (uint32_t)(i + 1 - first));
		first = i + 1;
	}
	if (!r && j->asked.n)
		qsort(j->asked.v, j->asked.n, sizeof(*j->asked.v),
		      compare_asked);
	for (size_t at = 0; !r && at < j->asked.n;)
		at += batch_ask(m, j, at);
	j->in.policy = m->policy;
	j->in.n_nodes = j->numbers.n;
	j->in.processes = j->processes;
	j->in.n_processes = n;
	j->in.mappers = j->mappers;
	j->in.pages = j->pages;
	return r;
}

/* --- what is to be moved ------------------------------------------------------- */

/*
 * The process through which @page is moved: one that lives on @node if
 * possible, and may use it. NULL: there is none.
 */
static const struct placement_mapper *mover(const struct mappers *m,
					    const struct job_pages *j,
					    const struct placement_page *page,
					    unsigned int node)
{
	const struct placement_mapper *found = NULL;

	for (uint32_t k = page->first; k < page->first + page->n; k++) {
		const struct placed *p = &m->processes.v[j->mappers[k].process];

		if (p->gone || !(p->may_use >> node & 1) ||
		    (p->refused >> node & 1))
			continue;
		if (p->home.nodes >> node & 1)
			return &j->mappers[k];
		if (!found)
			found = &j->mappers[k];
	}
	return found;
}

/* Mark what is to move and cannot. True: something was marked. */
static bool pages_check(const struct mappers *m, struct job_pages *j)
{
	bool any = false;

	for (size_t i = 0; i < j->in.n_pages; i++) {
		struct placement_page *page = &j->pages[i];
		unsigned int node = j->numbers.node[page->to];

		if (page->to == page->node)
			continue;
		if ((m->full >> node & 1) || !mover(m, j, page, node) ||
		    !frames_is_merged(m->frames, page->frame, page->n)) {
			page->fixed = true;
			any = true;
		}
	}
	return any;
}

static int compare_moves(const void *a, const void *b)
{
	const struct mappers_move *x = a, *y = b;

	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	if (x->page.node != y->page.node)
		return x->page.node < y->page.node ? -1 : 1;
	return x->page.address < y->page.address
		       ? -1
		       : x->page.address > y->page.address;
}

static int moves_make(struct mappers *m, const struct job_pages *j)
{
	for (size_t i = 0; i < j->in.n_pages; i++) {
		const struct placement_page *page = &j->pages[i];
		int node = j->numbers.node[page->to];
		const struct placement_mapper *by;
		struct mappers_move move;

		if (page->to == page->node || page->fixed)
			continue;
		by = mover(m, j, page, (unsigned int)node);
		if (!by)
			continue;
		move = (struct mappers_move){
			.process = by->process,
			.page = { .address = by->address,
				  .pfn = page->frame,
				  .mappings = page->n,
				  .node = node },
		};
		if (vec_push(&m->moves, move))
			return -ENOMEM;
	}
	if (m->moves.n)
		qsort(m->moves.v, m->moves.n, sizeof(*m->moves.v),
		      compare_moves);
	return 0;
}

static int plan(struct mappers *m, struct job_pages *j)
{
	int r = 0;

	for (unsigned int i = 0; !r && i < PLANS; i++) {
		r = placement_plan(&j->in);
		if (!r && !pages_check(m, j))
			break;
	}
	if (r)
		return r;
	placement_shares(&j->in, false, j->shares);
	for (size_t i = 0; i < m->processes.n; i++)
		m->processes.v[i].share = j->shares[i];
	m->fairness = placement_fairness(&j->in, j->shares);
	return moves_make(m, j);
}

int mappers_run(struct mappers *m, struct worker *worker)
{
	_cleanup_(pages_clear) struct job_pages j = { 0 };
	struct entries entries = { 0 };
	int r;

	for (int v = 0; v < TOPOLOGY_NODES; v++)
		if ((topology_nodes(m->topology) >> v & 1) &&
		    !topology_has_room(m->root, v))
			m->full |= 1ULL << v;
	numbers_init(m->topology, &j.numbers);
	r = entries_read(m, &entries, worker);
	if (!r && entries.n)
		qsort(entries.v, entries.n, sizeof(*entries.v),
		      compare_entries);
	if (!r)
		r = pages_make(m, &entries, &j);
	vec_free(&entries);
	if (!r)
		r = plan(m, &j);
	return r;
}

void mappers_clear(struct mappers *m)
{
	for (size_t i = 0; i < m->processes.n; i++)
		watched_unref(m->processes.v[i].watched);
	vec_free(&m->processes);
	vec_free(&m->ranges);
	vec_free(&m->moves);
}
