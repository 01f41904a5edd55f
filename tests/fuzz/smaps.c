/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as an smaps file: a process chooses the names that stand in its
 * own. No crash, and what comes out is a mapping of whole pages.
 */
#include "vmas.h"

#include <assert.h>
#include <string.h>

#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "standalone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct vmas vmas = { 0 };
	size_t n_all = 0, n_lines = 1;

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < size; i++)
		n_lines += data[i] == '\n';
	assert(vmas_parse(text, &vmas, &n_all) == 0);
	assert(vmas.n <= n_all && n_all <= n_lines);
	for (size_t i = 0; i < vmas.n; i++) {
		const struct vma *v = &vmas.v[i];

		assert(v->start < v->end);
		assert(v->start % PAGE_BYTES == 0 && v->end % PAGE_BYTES == 0);
		assert(v->rss > 0);
	}
	vec_free(&vmas);
	return 0;
}
