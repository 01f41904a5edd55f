/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sharing.h"

#include <string.h>

#include "cleanup.h"

/* nuKSM, table I: two sockets of Xeon Gold 6140. */
#define LOCAL_NSEC  89.0
#define REMOTE_NSEC 139.0

/* --- sharers ------------------------------------------------------------------ */

struct sharers sharers_of(const struct placement *in,
			  const struct placement_page *page)
{
	struct sharers s = { .processes = in->processes,
			     .at = in->mappers + page->first };

	s.end = s.at + page->n;
	for (const struct placement_mapper *m = s.at; m < s.end; m++)
		s.busy |= in->processes[m->process].activity == ACTIVITY_BUSY;
	return s;
}

/* The next process that counts, each once; false at the end. */
bool sharers_next(struct sharers *s, uint32_t *ret)
{
	while (s->at < s->end) {
		uint32_t process = s->at->process;

		while (s->at < s->end && s->at->process == process)
			s->at++;
		if (s->busy &&
		    s->processes[process].activity == ACTIVITY_ASLEEP)
			continue;
		*ret = process;
		return true;
	}
	return false;
}

uint64_t sharing_key(const struct placement *in,
		     const struct placement_page *page)
{
	struct sharers s = sharers_of(in, page);
	uint64_t key = 0;
	uint32_t p;

	while (sharers_next(&s, &p))
		key += sharing_mix(p + 1);
	return key;
}

/* --- policies ----------------------------------------------------------------- */

static unsigned int count_bits(uint64_t bits)
{
	unsigned int n = 0;

	for (; bits; bits &= bits - 1)
		n++;
	return n;
}

/* Give @weight to the nodes of @process, in equal parts. */
static void give(const struct placement *in, uint32_t process, double weight,
		 double *weights)
{
	unsigned int n = count_bits(in->processes[process].home);

	for (uint32_t v = 0; v < in->n_nodes; v++)
		if (sharing_is_home(in, process, v))
			weights[v] += weight / n;
}

/* Of sharers with the same nodes only the first counts. */
static void weigh_fair(const struct placement *in, struct sharers s,
		       double *weights)
{
	uint64_t seen[PLACEMENT_NODES];
	uint32_t p, n = 0, i;

	while (sharers_next(&s, &p)) {
		uint64_t home = in->processes[p].home;

		for (i = 0; i < n && seen[i] != home; i++)
			;
		if (i < n)
			continue;
		if (n < PLACEMENT_NODES)
			seen[n++] = home;
		give(in, p, 1, weights);
	}
}

static double snice(const struct placement *in, uint32_t process)
{
	return in->processes[process].nice + 21;
}

static void weigh_priority(const struct placement *in, struct sharers s,
			   double *weights)
{
	struct sharers again = s;
	double sum = 0;
	uint32_t p, n = 0;

	for (; sharers_next(&again, &p); n++)
		sum += snice(in, p);
	while (sharers_next(&s, &p))
		give(in, p, n > 1 ? 1 - snice(in, p) / sum : 1, weights);
}

/* How @page is split over the nodes; the sum of *ret_weights is 1. */
void sharing_weigh(const struct placement *in,
		   const struct placement_page *page, double *ret_weights)
{
	double sum = 0;

	memset(ret_weights, 0, in->n_nodes * sizeof(*ret_weights));
	if (in->policy == PLACEMENT_PRIORITY)
		weigh_priority(in, sharers_of(in, page), ret_weights);
	else
		weigh_fair(in, sharers_of(in, page), ret_weights);
	for (uint32_t v = 0; v < in->n_nodes; v++)
		sum += ret_weights[v];
	for (uint32_t v = 0; v < in->n_nodes; v++)
		ret_weights[v] /= sum;
}

/* --- what comes of it -------------------------------------------------------- */

void placement_shares(const struct placement *in, bool planned,
		      struct placement_share *ret)
{
	memset(ret, 0, in->n_processes * sizeof(*ret));
	for (size_t i = 0; i < in->n_pages; i++) {
		const struct placement_page *page = &in->pages[i];
		uint32_t node = planned ? page->to : page->node, last = 0;

		for (uint32_t k = 0; k < page->n; k++) {
			uint32_t p = in->mappers[page->first + k].process;
			uint64_t home = in->processes[p].home;

			if (k && p == last)
				continue;
			last = p;
			ret[p].pages++;
			if (home >> node & 1)
				ret[p].local += 1.0 / count_bits(home);
		}
	}
}

double placement_slowdown(const struct placement_share *share)
{
	double remote = 1 -
			share->local / (double)MAX(share->pages, (uint64_t)1);

	return 1 + remote * (REMOTE_NSEC / LOCAL_NSEC - 1);
}

double placement_fairness(const struct placement *in,
			  const struct placement_share *shares)
{
	double least = REMOTE_NSEC, most = 1;
	bool awake = false;

	for (size_t i = 0; i < in->n_processes; i++)
		awake |= shares[i].pages &&
			 in->processes[i].activity != ACTIVITY_ASLEEP;
	for (size_t i = 0; i < in->n_processes; i++) {
		if (!shares[i].pages ||
		    (awake && in->processes[i].activity == ACTIVITY_ASLEEP))
			continue;
		least = MIN(least, placement_slowdown(&shares[i]));
		most = MAX(most, placement_slowdown(&shares[i]));
	}
	return MIN(least, most) / most;
}
