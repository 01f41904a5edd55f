/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runqueue.h"

#include <errno.h>
#include <stdio.h>

int runqueue_length(const struct root *root, unsigned int *ret)
{
	unsigned int running;
	char text[128];
	ssize_t n = file_read(root->proc, "loadavg", text, sizeof(text));

	if (n < 0)
		return (int)n;
	if (sscanf(text, "%*s %*s %*s %u/", &running) != 1)
		return -EINVAL;
	*ret = running;
	return 0;
}
