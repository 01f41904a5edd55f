/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dsa-discover - the nodes of work queues, by libaccel-config
 *
 * The library (3.5.3) crashes on a queue without type or mode, cannot parse
 * the operations, calls shared addressing on where its file says 0, prints on
 * stderr, leaks a little and is not thread-safe. So it is only asked about
 * queues whose files were all seen, only for what it is right about (which
 * queue is enabled and which node it has), rarely, and silently.
 */
#pragma once

#include "engine-dsa.h"

/* See engine_dsa_discover(). */
size_t dsa_discover(const struct dsa_queue *queues, size_t n,
		    struct dsa_node *ret, size_t max);
