/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an smaps file: a process chooses the names that stand in its
 * own. No crash, and what comes out is a mapping of whole pages, in classes
 * that hold no more than all.
 */
#include "vmas.h"

#include <assert.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "standalone.h"
#include "tree.h"

static void check_classes(int dir, size_t n_lines)
{
	struct vma_classes classes;

	assert(vmas_classify(dir, &classes) == 0);
	for (int i = 0; i < REASON_MAX_; i++)
		assert(classes.by[i].mappings <= n_lines);
}

/* As if the middle of the first mapping had been marked. */
static void check_mark(struct vmas *vmas)
{
	struct range middle;
	size_t n = vmas->n;

	if (!n || vmas->v[0].end - vmas->v[0].start < 3 * PAGE_BYTES)
		return;
	for (size_t i = 1; i < n; i++)
		if (vmas->v[i].start < vmas->v[i - 1].end)
			return; /* no kernel says so */
	middle = (struct range){ vmas->v[0].start + PAGE_BYTES,
				 vmas->v[0].end - PAGE_BYTES };
	assert(vmas_mark(vmas, &middle, 1) == 0);
	assert(vmas->n > 0 && vmas->n <= n + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmas vmas = { 0 };
	size_t n_all = 0, n_lines = 2;
	int dir;

	tree_files[0] = (struct tree_file){ "smaps", data, size };
	tree_n = 1;
	dir = tree_top();
	for (size_t i = 0; i < size; i++)
		n_lines += data[i] == '\n';
	n_lines += size / 65536; /* lines that are cut */
	assert(vmas_read(dir, &vmas, &n_all) == 0);
	assert(vmas.n <= n_all && n_all <= n_lines);
	for (size_t i = 0; i < vmas.n; i++) {
		const struct vma *v = &vmas.v[i];

		assert(v->start < v->end);
		assert(v->start % PAGE_BYTES == 0 && v->end % PAGE_BYTES == 0);
		assert(v->rss > 0);
	}
	check_mark(&vmas);
	vec_free(&vmas);
	check_classes(dir, n_lines);
	close_fd(dir);
	return 0;
}
