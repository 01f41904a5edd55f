/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "placed.h"

#include <errno.h>

#include "mappers.h"
#include "watch.h"

int placed_add(struct mappers *m, struct watched *w,
	       const struct placed *before)
{
	struct placed placed = before ? *before : (struct placed){ 0 };

	placed.id = w->process.id;
	placed.gone = false;
	placed.still = w->mode == MODE_OBSERVE;
	placed.first_range = m->ranges.n;
	if (placed.refused_usec < m->now_usec)
		placed.refused = 0;
	for (size_t i = 0; i < w->vmas.n; i++) {
		const struct vma *v = &w->vmas.v[i];

		if (v->mergeable && v->rss &&
		    vec_push(&m->ranges, ((struct range){ v->start, v->end })))
			return -ENOMEM;
	}
	placed.n_ranges = m->ranges.n - placed.first_range;
	if (!placed.n_ranges)
		return 0;
	if (vec_reserve(&m->processes, m->processes.n + 1))
		return -ENOMEM;
	placed.watched = watched_ref(w);
	m->processes.v[m->processes.n++] = placed;
	return 0;
}

void placed_look(struct placed *p, const struct mappers *m,
		 const uint64_t own[64])
{
	struct home_look look;

	if (home_look(m->topology, p->watched->process.dir, &look)) {
		p->gone = true;
		p->home.nodes = topology_nodes(m->topology);
		return;
	}
	home_policy(&p->home, p->watched->process.dir);
	home_step(&p->home, m->topology, &look, own);
	activity_step(&p->activity, m->now_usec, look.cpu_usec, m->asleep_usec);
	p->may_use = look.may_use ? look.may_use : topology_nodes(m->topology);
	/* the kernel would move its pages elsewhere: its owner would not */
	if (p->home.policy.bound & p->may_use)
		p->may_use &= p->home.policy.bound;
	p->nice = look.nice;
}
