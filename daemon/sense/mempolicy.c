/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mempolicy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "topology.h"

/* To walk through so much takes some tens of microseconds at most. */
#define FIRST_MOST (4ULL << 20)
/* The kernel stops at the mapping that fills what was asked for: a line of
 * numa_maps is hardly shorter than this. */
#define LINE_BYTES 64

/* One read(2): what the kernel has beyond it is never made. */
static bool line_read(int dir, const char *name, char ret[LINE_BYTES + 1])
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, LINE_BYTES);

	ret[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* "55e5c0000000 bind=static:0-1,4 file=/bin/x", "7f0000 prefer (many):1 " */
void mempolicy_parse(const char *line, struct mempolicy *ret)
{
	const char *word = strchr(line, ' '), *nodes;
	uint64_t bits;

	*ret = (struct mempolicy){ 0 };
	nodes = word ? strchr(word, ':') : NULL;
	/* before the next word, but for that of "prefer (many)" */
	if (!nodes ||
	    (nodes != word + 1 + strcspn(word + 1, " :") &&
	     strncmp(word, " prefer (many", strlen(" prefer (many")) != 0))
		return;
	nodes++;
	if (!nodes[strspn(nodes, "0123456789,-")])
		return; /* there may be more */
	bits = topology_list_bits(nodes);
	if (!strncmp(word, " bind", strlen(" bind")))
		ret->bound = bits;
	else if (!strncmp(word, " prefer", strlen(" prefer")))
		ret->preferred = bits;
}

void mempolicy_read(int dir, struct mempolicy *ret)
{
	unsigned long long start, end;
	char line[LINE_BYTES + 1];

	*ret = (struct mempolicy){ 0 };
	if (line_read(dir, "maps", line) &&
	    sscanf(line, "%llx-%llx ", &start, &end) == 2 && start < end &&
	    end - start <= FIRST_MOST && line_read(dir, "numa_maps", line))
		mempolicy_parse(line, ret);
}
