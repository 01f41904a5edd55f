/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rivals.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "files.h"

/*
 * Programs that write the same knobs: ksmtuned (Debian, RHEL and Proxmox VE
 * each have one of that name), uksmd, oVirt's MOM and VDSM, KubeVirt; and
 * zramdedup, which looks for duplicates as well.
 */
static const struct {
	const char *name;
	const char *remedy;
} programs[] = {
	{ "ksmtuned", "systemctl disable --now ksmtuned" },
	{ "uksmd", "systemctl disable --now uksmd" },
	{ "zramdedup", "systemctl disable --now zramdedup" },
	{ "momd", "systemctl disable --now momd" },
	{ "vdsmd", "oVirt: switch KSM off in the cluster's options" },
	{ "supervdsmd", "oVirt: switch KSM off in the cluster's options" },
	{ "virt-handler",
	  "KubeVirt: take ksmConfiguration out of the KubeVirt resource" },
};

const char *const rivals_units[] = {
	"ksm.service",	 "ksmtuned.service",
	"uksmd.service", "zramdedup.service",
	"momd.service",	 "mom-vdsm.service",
	"vdsmd.service", NULL,
};

static void rival_add(struct rival *v, size_t *n, const char *name, int32_t pid,
		      const char *remedy)
{
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(v[i].name, name))
			return;
	if (*n < RIVALS_MAX)
		v[(*n)++] = (struct rival){ name, pid, remedy };
}

static void process_look(const struct root *root, const char *pid,
			 struct rival *v, size_t *n)
{
	char path[32], comm[32];

	if (pid[0] < '1' || pid[0] > '9' || strlen(pid) > 10)
		return;
	snprintf(path, sizeof(path), "%s/comm", pid);
	if (file_read(root->proc, path, comm, sizeof(comm)) <= 0)
		return;
	comm[strcspn(comm, "\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!strcmp(comm, programs[i].name))
			rival_add(v, n, programs[i].name, (int32_t)atol(pid),
				  programs[i].remedy);
}

static void processes_look(const struct root *root, struct rival *v, size_t *n)
{
	int fd = openat(root->proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		close_fd(fd);
		return;
	}
	while ((entry = readdir(dir)))
		process_look(root, entry->d_name, v, n);
	closedir(dir);
}

/* What patched kernels do by themselves, the second with what is swapped. */
static void kernel_look(const struct root *root, struct rival *v, size_t *n)
{
	uint64_t on;

	if (!file_read_u64(root->sys, "kernel/mm/uksm/run", &on) && on)
		rival_add(v, n, "UKSM", 0, "echo 0 > /sys/kernel/mm/uksm/run");
	if (!file_read_u64(root->sys, "block/zram0/use_dedup", &on) && on)
		rival_add(v, n, "zram's deduplication", 0, "");
}

size_t rivals_find(const struct root *root, struct rival ret[RIVALS_MAX])
{
	size_t n = 0;

	processes_look(root, ret, &n);
	kernel_look(root, ret, &n);
	return n;
}
