/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dsa.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

/* Opcodes, by the bits of op_cap. */
#define OP_BATCH   0x01U
#define OP_CRC_GEN 0x10U

/* PCI identities of DSA: Sapphire and Emerald Rapids, and later ones. */
static const char *const pci_devices[] = { "0x0b25", "0x11fb", "0x1212" };

typedef void (*entry_fn)(int dir, const char *name, struct dsa_tree *tree);

/* The text of an attribute without its newline; "" where it is not there. */
static const char *attr(int dir, const char *path, char *buf, size_t size)
{
	ssize_t n = file_read(dir, path, buf, size);

	if (n < 0)
		n = 0;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

static bool attr_is(int dir, const char *path, const char *value)
{
	char text[64];

	return strcmp(attr(dir, path, text, sizeof(text)), value) == 0;
}

/* @fallback where there is no number between 0 and @most. */
static long attr_number(int dir, const char *path, long most, long fallback)
{
	char text[64], *end;
	long value;

	attr(dir, path, text, sizeof(text));
	errno = 0;
	value = strtol(text, &end, 0);
	return *text && !*end && !errno && value >= 0 && value <= most
		       ? value
		       : fallback;
}

/* Call @fn for each entry of @path that begins with @prefix and a digit. */
static void each(int dir, const char *path, const char *prefix, entry_fn fn,
		 struct dsa_tree *tree)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	size_t len = strlen(prefix);

	if (!list) {
		close_fd(fd);
		return;
	}
	while ((e = readdir(list)))
		if (!strncmp(e->d_name, prefix, len) &&
		    (!len || (e->d_name[len] >= '0' && e->d_name[len] <= '9')))
			fn(fd, e->d_name, tree);
	closedir(list);
}

/*
 * The operations 0x00 to 0x1f. Since Linux 6.0 a bitmap of eight 32-bit words
 * with commas, the most significant first; before, four 64-bit words with
 * blanks, the least significant first.
 */
static uint32_t operations(const char *text)
{
	const char *comma = strrchr(text, ',');

	return (uint32_t)strtoull(comma ? comma + 1 : text, NULL, 16);
}

static void need(int dir, const char *device, const char *path, int how,
		 struct dsa_tree *tree)
{
	if (faccessat(dir, path, how, AT_EACCESS) == 0)
		return;
	if (errno == EROFS)
		tree->read_only = true;
	else if (errno != EACCES && !*tree->odd)
		snprintf(tree->odd, sizeof(tree->odd), "%.30s/%.60s", device,
			 path);
}

static void check_queue(int dir, const char *name, struct dsa_tree *tree)
{
	static const char *const files[] = { "type", "mode", "state" };
	_cleanup_close_ int wq = openat(dir, name,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; wq >= 0 && i < ARRAY_SIZE(files); i++)
		need(wq, name, files[i], F_OK, tree);
}

/* What libaccel-config will look at, whatever kind of device it is. */
static void check_device(int dir, const char *name, struct dsa_tree *tree)
{
	_cleanup_close_ int device = openat(dir, name,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (device < 0)
		return;
	need(device, name, "state", F_OK, tree);
	need(device, name, "cmd_status", W_OK, tree);
	each(device, ".", "wq", check_queue, tree);
}

/* What its name and its files say of itself and its device. */
static void read_queue(int dir, const char *name, struct dsa_tree *tree)
{
	_cleanup_close_ int wq = openat(dir, name,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dsa_queue q = { 0 };
	uint32_t ops;
	char text[256];
	unsigned int d;

	if (wq < 0 || tree->n_queues == DSA_QUEUES_MAX ||
	    sscanf(name, "wq%u.", &d) != 1 || !attr_is(wq, "type", "user") ||
	    !attr_is(wq, "state", "enabled"))
		return;
	snprintf(q.device, sizeof(q.device), "dsa%u", d);
	snprintf(q.name, sizeof(q.name), "%s", name);
	q.shared = attr_is(wq, "mode", "shared");
	ops = operations(attr(wq, "op_config", text, sizeof(text)));
	if (!*text)
		ops = operations(attr(dir, "op_cap", text, sizeof(text)));
	q.can_crc = ops >> OP_CRC_GEN & 1;
	q.can_batch = ops >> OP_BATCH & 1;
	q.entries = (uint32_t)attr_number(wq, "size", 1024, 0);
	if (q.shared)
		q.entries = (uint32_t)attr_number(wq, "threshold", 1024,
						  q.entries);
	q.max_batch = (uint32_t)attr_number(wq, "max_batch_size", 1 << 15, 0);
	q.numa_node = (int32_t)attr_number(dir, "numa_node", 4096, -1);
	if (attr_number(wq, "max_transfer_size", INT64_MAX, 0) >= 4096)
		tree->queues[tree->n_queues++] = q;
}

static void read_device(int dir, const char *name, struct dsa_tree *tree)
{
	_cleanup_close_ int device = openat(dir, name,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (device < 0)
		return;
	check_device(dir, name, tree);
	tree->n_devices++;
	if (!attr_is(device, "state", "enabled"))
		return;
	tree->n_enabled++;
	if (attr_is(device, "pasid_enabled", "1"))
		each(device, ".", "wq", read_queue, tree);
	else
		tree->n_no_pasid++;
}

static void read_pci(int dir, const char *name, struct dsa_tree *tree)
{
	_cleanup_close_ int device = openat(dir, name,
					    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[64];

	if (device < 0 || !attr_is(device, "vendor", "0x8086"))
		return;
	attr(device, "device", text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(pci_devices); i++)
		tree->n_pci += strcmp(text, pci_devices[i]) == 0;
}

void dsa_read(const struct root *root, struct dsa_tree *ret)
{
	memset(ret, 0, sizeof(*ret));
	each(root->sys, "bus/pci/devices", "", read_pci, ret);
	each(root->sys, "bus/dsa/devices", "dsa", read_device, ret);
	if (ret->n_devices)
		each(root->sys, "bus/iax/devices", "iax", check_device, ret);
}
