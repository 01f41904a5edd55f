/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "explain.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "ksm.h"
#include "utf8.h"

void explain_add(struct explain_rows *rows, enum reason reason, uint64_t pages,
		 const char *detail)
{
	struct explain_row *row = &rows->v[rows->n];

	if (!reason || rows->n == EXPLAIN_ROWS_MAX)
		return;
	for (size_t i = 0; i < rows->n; i++)
		if (rows->v[i].reason == reason)
			return;
	*row = (struct explain_row){ .reason = reason, .pages = pages };
	utf8_clean(detail, row->detail, sizeof(row->detail));
	rows->n++;
}

static uint64_t knob(const struct root *root, const char *path,
		     uint64_t otherwise)
{
	uint64_t value = otherwise;

	return file_read_u64(root->sys, path, &value) < 0 ? otherwise : value;
}

void explain_host(const struct root *root, const struct kfeat *k,
		  struct explain_rows *rows)
{
	uint64_t run = knob(root, KSM_DIR "/run", 1), n;
	char text[96];

	if (!k->ksm) {
		explain_add(rows, REASON_NO_KSM, 0, "");
		return;
	}
	if (run != 1)
		explain_add(rows,
			    run ? REASON_KSM_UNMERGED : REASON_KSM_STOPPED, 0,
			    "");
	if (k->yama >= 3)
		explain_add(rows, REASON_YAMA, 0, "");
	if (k->n_nodes > 1 && !knob(root, KSM_DIR "/merge_across_nodes", 1))
		explain_add(rows, REASON_NOT_ACROSS_NODES, 0, "");
	n = knob(root, KSM_DIR "/stable_node_chains", 0);
	if (n) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " contents, max_page_sharing is %" PRIu64,
			 n, ksm_max_sharing(root));
		explain_add(rows, REASON_MAX_SHARING, 0, text);
	}
	if (k->manager) {
		snprintf(text, sizeof(text), "%s, pid %" PRId32, k->manager,
			 k->manager_pid);
		explain_add(rows, REASON_OTHER_MANAGER, 0, text);
	}
}

/* --- one process ------------------------------------------------------------ */

/* The text after @name in a status file, or "". */
static const char *field(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? at + strlen(name) + strspn(at + strlen(name), " \t") : "";
}

static bool is_32bit(int dir)
{
	_cleanup_close_ int fd = openat(dir, "exe", O_RDONLY | O_CLOEXEC);
	unsigned char ident[EI_NIDENT];

	return fd >= 0 && !fd_pread_full(fd, ident, sizeof(ident), 0) &&
	       !memcmp(ident, ELFMAG, SELFMAG) && ident[EI_CLASS] != ELFCLASS64;
}

/* The daemon's injector holds a thread for microseconds: that is no tracer. */
static void tracer_add(const struct root *root, const char *status,
		       struct explain_rows *rows)
{
	static const char ours[] = "ksmd-plus";
	pid_t pid = (pid_t)strtol(field(status, "\nTracerPid:"), NULL, 10);
	struct process_stat st;
	char text[96];

	if (!pid || process_stat_read(root, pid, &st) ||
	    !strncmp(st.comm, ours, sizeof(ours) - 1))
		return;
	snprintf(text, sizeof(text), "by %s, pid %d", st.comm, pid);
	explain_add(rows, REASON_TRACED, 0, text);
}

/* What would keep the injector from working, as far as it shows from here. */
static void hindrances_add(const struct root *root, const struct kfeat *k,
			   int dir, struct explain_rows *rows)
{
	_cleanup_free_ char *status = NULL;
	size_t len;

	if (file_read_all(dir, "status", &status, &len))
		return;
	tracer_add(root, status, rows);
	if (*field(status, "\nState:") == 'T')
		explain_add(rows, REASON_GROUP_STOPPED, 0, "");
	if (*field(status, "\nSeccomp:") > '0' && !k->suspend_seccomp)
		explain_add(rows, REASON_SECCOMP, 0, "");
	if (is_32bit(dir))
		explain_add(rows, REASON_32BIT, 0, "");
}

/* Huge pages of which a few pages are merged are made whole again. */
static bool is_khugepaged_prey(const struct kfeat *k, const struct vmas *vmas)
{
	if (!k->khugepaged_max_ptes_shared || k->thp < THP_MADVISE)
		return false;
	for (size_t i = 0; i < vmas->n; i++)
		if (vmas->v[i].mergeable && vmas->v[i].thp_eligible)
			return true;
	return false;
}

static void khugepaged_add(const struct kfeat *k, int dir,
			   struct explain_rows *rows)
{
	struct vmas vmas = { 0 };
	char text[96];
	size_t n;

	if (!vmas_read(dir, &vmas, &n) && is_khugepaged_prey(k, &vmas)) {
		snprintf(text, sizeof(text), "max_ptes_shared is %" PRIu32,
			 k->khugepaged_max_ptes_shared);
		explain_add(rows, REASON_KHUGEPAGED, 0, text);
	}
	vec_free(&vmas);
}

/* Whether the daemon would enrol what it finds. */
static bool is_to_be_enrolled(const struct explained *e)
{
	return e->chosen.mode == MODE_SELECTIVE || e->chosen.mode == MODE_WHOLE;
}

int explain_process(const struct root *root, const struct kfeat *kfeat,
		    const struct chosen *chosen, struct explained *ret)
{
	struct explained e = { .chosen = *chosen };
	_cleanup_close_ int dir = -1;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "%d", chosen->id.pid);
	dir = openat(root->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 1;
	explain_add(&e.rows, chosen->reason, 0,
		    chosen->target ? chosen->target->name : "");
	if (process_ksm_read(dir, &e.ksm))
		return 1;
	r = chosen->reason == REASON_KERNEL_THREAD
		    ? 0
		    : vmas_classify(dir, &e.classes);
	if (r > 0)
		return 1;
	if (r < 0)
		explain_add(&e.rows, REASON_NOT_READABLE, 0, strerror(-r));
	if (is_to_be_enrolled(&e))
		hindrances_add(root, kfeat, dir, &e.rows);
	if (!r)
		khugepaged_add(kfeat, dir, &e.rows);
	*ret = e;
	return 0;
}
