/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the files that the idxd driver shows of its devices: no crash,
 * and what is told of a queue can be used without another look.
 */
#include "dsa.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "standalone.h"
#include "tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dsa_tree tree;
	struct root root;

	tree_begin(data, size, &root);
	dsa_read(&root, &tree);
	assert(tree.n_queues <= DSA_QUEUES_MAX);
	assert(tree.n_enabled <= tree.n_devices);
	assert(tree.n_no_pasid <= tree.n_enabled);
	assert(memchr(tree.odd, '\0', sizeof(tree.odd)));
	for (size_t i = 0; i < tree.n_queues; i++) {
		const struct dsa_queue *q = &tree.queues[i];

		assert(!strncmp(q->device, "dsa", 3));
		assert(!strncmp(q->name, "wq", 2));
		assert(memchr(q->device, '\0', sizeof(q->device)));
		assert(memchr(q->name, '\0', sizeof(q->name)));
		assert(q->entries <= 1024);
		assert(q->max_batch <= 1 << 15);
		assert(q->numa_node >= -1 && q->numa_node <= 4096);
	}
	tree_end(&root);
	return 0;
}
