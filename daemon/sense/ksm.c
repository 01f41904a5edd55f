/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ksm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "process.h"

/* mm/ksm.c */
#define MAX_SHARING_DEFAULT 256

int ksm_read(const struct root *root, struct ksm_counters *ret)
{
	struct ksm_counters c = { 0 };
	const struct {
		const char *path;
		uint64_t *value;
		bool optional;
	} files[] = {
		{ KSM_DIR "/run", &c.run, false },
		{ KSM_DIR "/pages_shared", &c.pages_shared, false },
		{ KSM_DIR "/pages_sharing", &c.pages_sharing, false },
		{ KSM_DIR "/pages_unshared", &c.pages_unshared, false },
		{ KSM_DIR "/pages_volatile", &c.pages_volatile, false },
		{ KSM_DIR "/full_scans", &c.full_scans, false },
		{ KSM_DIR "/pages_scanned", &c.pages_scanned, true },
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		r = file_read_u64(root->sys, files[i].path, files[i].value);
		if (r && !(files[i].optional && r == -ENOENT))
			return r;
	}
	r = file_read_i64(root->sys, KSM_DIR "/ksm_zero_pages",
			  &c.ksm_zero_pages);
	if (r && r != -ENOENT)
		return r;
	*ret = c;
	return 0;
}

pid_t ksm_find_ksmd(const struct root *root)
{
	_cleanup_close_ int fd = openat(root->proc, ".",
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir)
		return 0;
	TAKE_FD(fd);
	while ((e = readdir(dir))) {
		struct process_stat st;
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && process_stat_read(root, pid, &st) == 0 &&
		    st.kernel_thread && !strcmp(st.comm, "ksmd"))
			return pid;
	}
	return 0;
}

uint64_t ksm_max_sharing(const struct root *root)
{
	uint64_t n = MAX_SHARING_DEFAULT;

	file_read_u64(root->sys, KSM_DIR "/max_page_sharing", &n);
	return n;
}

int64_t ksm_profit(const struct root *root, const struct ksm_counters *c)
{
	int64_t profit;

	if (file_read_i64(root->sys, KSM_DIR "/general_profit", &profit) == 0)
		return profit;
	return (int64_t)(ksm_saved(c) * PAGE_BYTES) -
	       (int64_t)(ksm_records(c) * ACCOUNT_RECORD_BYTES);
}

uint64_t ksm_copied(const struct root *root)
{
	static const char key[] = "\ncow_ksm ";
	_cleanup_free_ char *text = NULL;
	const char *found;
	size_t n;

	if (file_read_all(root->proc, "vmstat", &text, &n))
		return 0;
	found = strstr(text, key);
	return found ? strtoull(found + sizeof(key) - 1, NULL, 10) : 0;
}
