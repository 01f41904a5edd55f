/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * advise - the calls on a held thread's own memory
 *
 * One madvise() for each piece, or one process_madvise() for many where the
 * kernel has it and there are enough of them: the vector is then written to a
 * page that is mapped for it and unmapped within the same stop.
 */
#pragma once

#include <stdbool.h>

struct attempt;
struct tracee;

/*
 * Whether this kernel takes a vector of ranges of the caller's own mm, named
 * without a descriptor (6.15). Where it wants a descriptor (6.13, 6.14) we do
 * without: one that appears in the target for a moment could be closed, or
 * closed over, by its other threads. Changes nothing.
 */
bool advise_has_vectors(void);

/*
 * Do the pieces of @attempt, from the first, until all are done or the stop
 * has been long enough; sets its result, error and n_done.
 *
 * Return: 0, or what tracee_call() ended the hold with.
 */
int advise_pieces(struct attempt *attempt, struct tracee *tracee);

/*
 * Unmap the scratch page that an interrupted stop has left behind, if it
 * still is what we left. Return: 0, or what tracee_call() returned.
 */
int advise_drop_scratch(struct attempt *attempt, struct tracee *tracee);
