/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memstat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#include <ksmd-plus/types.h>

static int field_read(const char *text, const char *name, uint64_t *ret)
{
	const char *at = strstr(text, name);
	unsigned long long kib;

	if (!at || sscanf(at + strlen(name), " %llu kB", &kib) != 1)
		return -EINVAL;
	*ret = kib * 1024;
	return 0;
}

int memstat_read(const struct root *root, uint64_t *ret_total,
		 uint64_t *ret_available)
{
	char text[4096];
	ssize_t n = file_read(root->proc, "meminfo", text, sizeof(text));
	uint64_t total;
	int r;

	if (n < 0)
		return (int)n;
	r = field_read(text, "MemTotal:", &total);
	if (!r)
		r = field_read(text, "MemAvailable:", ret_available);
	if (!r)
		*ret_total = total;
	return r;
}

/* What is left below one limit; "max" in v2 is no number and no limit. */
static uint64_t room_in(const struct root *root, const char *dir,
			const char *limit_name, const char *usage_name)
{
	char path[4400];
	uint64_t limit, usage;

	snprintf(path, sizeof(path), "%s/%s", dir, limit_name);
	if (file_read_u64(root->sys, path, &limit))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s/%s", dir, usage_name);
	if (file_read_u64(root->sys, path, &usage))
		return UINT64_MAX;
	return limit > usage ? limit - usage : 0;
}

/* From the cgroup @path up to the root of the hierarchy at @mount. */
static uint64_t room_up(const struct root *root, const char *mount,
			const char *path, const char *limit_name,
			const char *usage_name)
{
	uint64_t room = UINT64_MAX;
	char dir[4200];

	if ((size_t)snprintf(dir, sizeof(dir), "%s%s", mount, path) >=
	    sizeof(dir))
		return 0;
	while (strlen(dir) > strlen(mount)) {
		room = MIN(room, room_in(root, dir, limit_name, usage_name));
		*strrchr(dir, '/') = '\0';
	}
	return room;
}

int memstat_headroom(const struct root *root, int32_t pid, uint64_t *ret)
{
	char name[32], text[8192], *save = NULL;
	uint64_t room = UINT64_MAX;
	ssize_t n;

	snprintf(name, sizeof(name), "%d/cgroup", pid);
	n = file_read(root->proc, name, text, sizeof(text));
	if (n < 0)
		return 1;
	/* empty where no hierarchy is mounted: nothing limits it then */
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *path;

		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		if (controllers[1] == '\0') {
			room = MIN(room,
				   room_up(root, "fs/cgroup", path,
					   "memory.max", "memory.current"));
			room = MIN(room,
				   room_up(root, "fs/cgroup/unified", path,
					   "memory.max", "memory.current"));
		} else if (strstr(controllers + 1, "memory")) {
			room = MIN(room, room_up(root, "fs/cgroup/memory", path,
						 "memory.limit_in_bytes",
						 "memory.usage_in_bytes"));
		}
	}
	*ret = room;
	return 0;
}

uint64_t memstat_resident(const struct root *root)
{
	unsigned long long size, resident;
	char text[128];
	ssize_t n = file_read(root->proc, "self/statm", text, sizeof(text));

	if (n <= 0 || sscanf(text, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * PAGE_BYTES;
}
