/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unitfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "files.h"

/* More aliases of aliases than this are a circle. */
#define ALIASES_MAX 8

static const char *const system_folders[] = {
	UNITFILE_SYSTEM,
	"run/systemd/system",
	"usr/local/lib/systemd/system",
	"usr/lib/systemd/system",
	"lib/systemd/system",
};

static const char *const user_folders[] = {
	UNITFILE_USER,
	"run/systemd/user",
	"usr/local/lib/systemd/user",
	"usr/lib/systemd/user",
};

static int path_join(char *buf, size_t size, const char *folder,
		     const char *name)
{
	int n = snprintf(buf, size, "%s/%s", folder, name);

	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* What @name is in @folder: 0 with the name it stands for, UNITFILE_ABSENT,
 * UNITFILE_MASKED or negative errno. */
static int look(int root, const char *folder, const char *name,
		char ret[UNIT_NAME_MAX])
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *base;
	struct stat st;
	ssize_t n;
	int r = path_join(path, sizeof(path), folder, name);

	if (r)
		return r;
	if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR ? UNITFILE_ABSENT
							   : -errno;
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return UNITFILE_MASKED; /* an empty file masks, too */
	snprintf(ret, UNIT_NAME_MAX, "%s", name);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlinkat(root, path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (!strcmp(target, "/dev/null"))
		return UNITFILE_MASKED;
	base = strrchr(target, '/');
	base = base ? base + 1 : target;
	if (*base && strlen(base) < UNIT_NAME_MAX)
		snprintf(ret, UNIT_NAME_MAX, "%s", base);
	return 0;
}

static int find_once(int root, bool user, const char *name,
		     char ret[UNIT_NAME_MAX])
{
	const char *const *folders = user ? user_folders : system_folders;
	size_t n = user ? ARRAY_SIZE(user_folders) : ARRAY_SIZE(system_folders);
	int r = UNITFILE_ABSENT;

	for (size_t i = 0; r == UNITFILE_ABSENT && i < n; i++)
		r = look(root, folders[i], name, ret);
	return r;
}

/* An alias that is a template names a template: the instance is kept. */
static void instantiate(const char *name, char id[UNIT_NAME_MAX])
{
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');
	char *own = strchr(id, '@'), *end = strrchr(id, '.');
	char text[2 * UNIT_NAME_MAX];

	if (!at || !dot || !own || !end || own + 1 != end)
		return;
	snprintf(text, sizeof(text), "%.*s%.*s%s", (int)(own + 1 - id), id,
		 (int)(dot - at - 1), at + 1, end);
	if (strlen(text) < UNIT_NAME_MAX)
		memcpy(id, text, strlen(text) + 1);
}

int unitfile_find(int root, bool user, const char *name,
		  char ret_id[UNIT_NAME_MAX])
{
	char id[UNIT_NAME_MAX], next[UNIT_NAME_MAX], template[UNIT_NAME_MAX];
	int r;

	snprintf(id, sizeof(id), "%s", name);
	for (int i = 0; i < ALIASES_MAX; i++) {
		r = find_once(root, user, id, next);
		if (r == UNITFILE_ABSENT && unit_name_template(id, template))
			r = find_once(root, user, template, next);
		if (r)
			return r;
		instantiate(id, next);
		if (!strcmp(next, id)) {
			memcpy(ret_id, id, strlen(id) + 1);
			return 0;
		}
		memcpy(id, next, strlen(next) + 1);
	}
	return -ELOOP;
}

/* --- the drop-in ----------------------------------------------------------- */

/* Make every folder of @path that is missing. */
static int folders_make(int root, const char *path)
{
	char part[PATH_MAX];

	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int dropin_path(const char *folder, const struct unit_name *unit,
		       char *ret_path, size_t size)
{
	int n = snprintf(ret_path, size, "%s/%s.d/" UNITFILE_NAME, folder,
			 unit->name);

	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int text_write(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	if (n != (ssize_t)strlen(text))
		return n < 0 ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

int unitfile_enable(int root, const char *folder, const struct unit_name *unit,
		    char *ret_path, size_t size)
{
	char path[PATH_MAX], new[PATH_MAX + 16], text[256];
	_cleanup_close_ int fd = -1;
	int r = dropin_path(folder, unit, path, sizeof(path));

	if (!r && strlen(path) >= size)
		r = -ENAMETOOLONG;
	if (!r)
		r = folders_make(root, path);
	if (r)
		return r;
	snprintf(
		text, sizeof(text),
		"# Written by `ksmd-plusctl enable'; `ksmd-plusctl disable' removes it.\n"
		"[%s]\nMemoryKSM=yes\n",
		unit->section);
	/* systemd reads what ends in .conf */
	snprintf(new, sizeof(new), "%s.%d", path, (int)getpid());
	fd = openat(root, new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = fchmod(fd, 0644) < 0 ? -errno : text_write(fd, text);
	if (!r && renameat(root, new, root, path) < 0)
		r = -errno;
	if (r) {
		unlinkat(root, new, 0);
		return r;
	}
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}

int unitfile_disable(int root, const char *folder, const struct unit_name *unit,
		     char *ret_path, size_t size)
{
	char path[PATH_MAX];
	int r = dropin_path(folder, unit, path, sizeof(path));

	if (!r && strlen(path) >= size)
		r = -ENAMETOOLONG;
	if (r)
		return r;
	memcpy(ret_path, path, strlen(path) + 1);
	if (unlinkat(root, path, 0) < 0)
		return errno == ENOENT || errno == ENOTDIR ? UNITFILE_ABSENT
							   : -errno;
	/* with others' drop-ins in it it stays */
	*strrchr(path, '/') = '\0';
	unlinkat(root, path, AT_REMOVEDIR);
	return 0;
}
