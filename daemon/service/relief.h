/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relief - mappings are given back to a process that may soon want them
 *
 * Ranges are only enrolled where much of vm.max_map_count is left, but a
 * program that came by many mappings since then would fail to get its last
 * ones: each range that is not at a mapping's edge has made two. So whoever has
 * come into the reserve that the planner leaves (PLAN_RESERVED_PART) gets back
 * all that was marked, and nothing new while he is there.
 */
#pragma once

#include <stdint.h>

struct watch;
struct withdraw_env;

/* Look at all who are watched, as their mappings were read last. */
void relief_turn(const struct withdraw_env *env, const struct watch *watch,
		 uint64_t max_map_count);
