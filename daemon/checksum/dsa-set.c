/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa-set.h"

#include <sys/mman.h>

#include "area.h"

struct dsa_set *dsa_set_new(void)
{
	struct dsa_set *set = area_map(sizeof(*set));

	if (!set)
		return NULL;
	for (unsigned int i = 0; i < DSA_SLOTS; i++)
		set->holds[i].set = set;
	atomic_init(&set->owners, 1);
	return set;
}

bool dsa_set_drop(struct dsa_set *set)
{
	if (atomic_fetch_sub(&set->owners, 1) != 1)
		return false;
	area_unmap(set, sizeof(*set));
	return true;
}
