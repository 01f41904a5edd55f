/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl enable and disable: MemoryKSM=yes for a unit of systemd, by a
 * drop-in of our own. Files are written here; systemd is told over D-Bus. With
 * --root an image is changed, and nobody is told.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "kernel-api.h"
#include "log.h"
#include "systemd.h"
#include "unitfile.h"
#include "unitname.h"

/* From 254 on there is MemoryKSM=, but up to 255 the unit does not start. */
#define SYSTEMD_MIN 256U

/* What is asked for, and where. */
struct task {
	const struct ctl *ctl;
	bool enable;
	bool user;
	bool now;
	const char *image; /* --root; NULL: the system that runs */
	char base[PATH_MAX]; /* what the paths below are below of */
	const char *folder; /* of drop-ins */
	int root;
	sd_bus *bus; /* NULL with --root */
	struct unit_name unit;
};

__attribute__((format(printf, 2, 3))) static void say(const struct task *task,
						      const char *fmt, ...)
{
	char text[2 * PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	screen_wrap(&task->ctl->screen, 0, text);
}

static bool has(const struct ctl *ctl, const char *name, const char **ret_value)
{
	for (size_t i = 0; i < ctl->n_given; i++)
		if (!strcmp(ctl->given[i].name, name)) {
			if (ret_value)
				*ret_value = ctl->given[i].value;
			return true;
		}
	return false;
}

/* --- where ----------------------------------------------------------------- */

/* A user's own units, as the XDG base directories have them. */
static int home_base(char base[PATH_MAX])
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && *config == '/')
		n = snprintf(base, PATH_MAX, "%s", config);
	else if (home && *home == '/')
		n = snprintf(base, PATH_MAX, "%s/.config", home);
	else
		n = -1;
	if (n < 0 || n >= PATH_MAX) {
		log_error("HOME is not set: where are the user's units?");
		return -ENOENT;
	}
	return 0;
}

static int place_open(struct task *task)
{
	task->folder = task->user ? UNITFILE_USER : UNITFILE_SYSTEM;
	if (task->image) {
		snprintf(task->base, sizeof(task->base), "%s", task->image);
	} else if (task->user) {
		if (home_base(task->base))
			return -1;
		task->folder = UNITFILE_HOME;
	} else {
		strcpy(task->base, "/");
	}
	task->root = open(task->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (task->root < 0)
		return log_error_errno(errno, "Cannot open %s", task->base);
	return 0;
}

/* --- whether it can be ----------------------------------------------------- */

static int check_able(const struct task *task)
{
	unsigned int version;

	if (systemd_version(task->bus, &version))
		return -1;
	if (version < SYSTEMD_MIN) {
		log_error(
			"systemd %u %s; from %u on it is right. A [target] section with \"unit = %s\" has the daemon look after the unit without it.",
			version,
			version < 254 ? "has no MemoryKSM="
				      : "does not start units with MemoryKSM=",
			SYSTEMD_MIN, task->unit.name);
		return -1;
	}
	if (prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) < 0) {
		log_error(
			"This kernel has no PR_SET_MEMORY_MERGE (Linux 6.4, CONFIG_KSM), and a unit with MemoryKSM=yes would not start on it. A [target] section with \"unit = %s\" has the daemon look after the unit without it.",
			task->unit.name);
		return -1;
	}
	return 0;
}

/* Find the unit's own name, by files: for a template, and for an image. */
static int find_by_file(struct task *task)
{
	_cleanup_close_ int system = -1;
	char id[UNIT_NAME_MAX];
	int r;

	if (!task->image) {
		system = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (system < 0)
			return log_error_errno(errno, "Cannot open /");
	}
	r = unitfile_find(task->image ? task->root : system, task->user,
			  task->unit.name, id);
	/* a drop-in may outlive its unit, and what a user has written himself
	 * is in his own folder */
	if (r > 0 && (!task->enable ||
		      (r == UNITFILE_ABSENT && task->user && !task->image)))
		return 0;
	if (r < 0)
		return log_error_errno(r, "Cannot look for %s",
				       task->unit.name);
	if (r) {
		log_error(r == UNITFILE_MASKED ? "%s is masked."
					       : "There is no unit %s.",
			  task->unit.name);
		return -1;
	}
	return unit_name_parse(id, &task->unit) ? -1 : 0;
}

static int find_unit(struct task *task, struct systemd_unit *ret)
{
	struct systemd_unit unit = { 0 };

	if (task->image || task->unit.template)
		return find_by_file(task);
	if (systemd_unit(task->bus, &task->unit, &unit))
		return -1;
	if (!unit.loaded && task->enable) {
		log_error("systemd cannot load %s: %s.", task->unit.name,
			  unit.state);
		return -1;
	}
	if (*unit.id && strcmp(unit.id, task->unit.name) != 0) {
		say(task, "%s is %s.", task->unit.name, unit.id);
		if (unit_name_parse(unit.id, &task->unit))
			return -1;
	}
	*ret = unit;
	return 0;
}

/* --- doing it -------------------------------------------------------------- */

/* What runs now is handed to the daemon, until it is started anew. */
static int enrol_now(const struct task *task)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *daemon = NULL;
	struct pids pids = { 0 };
	size_t n = 0;
	int r = systemd_processes(task->bus, &task->unit, &pids);

	if (!r)
		r = client_open_loud(task->ctl->socket, &daemon);
	for (size_t i = 0; r >= 0 && i < pids.n; i++) {
		r = client_adopt(daemon, pids.v[i]);
		n += r >= 0;
		/* it may have ended by now */
		if (r == -EINVAL)
			r = 0;
	}
	vec_free(&pids);
	if (r < 0)
		return r;
	say(task,
	    "The daemon looks after %zu process%s of %s until it is restarted.",
	    n, n == 1 ? "" : "es", task->unit.name);
	return 0;
}

/* Whether what systemd has read is what was wanted. */
static int check_result(const struct task *task, struct systemd_unit *unit)
{
	if (task->unit.template)
		return 0;
	if (systemd_unit(task->bus, &task->unit, unit))
		return -1;
	if (unit->memory_ksm == task->enable)
		return 0;
	if (task->enable)
		log_error(
			"%s has MemoryKSM=no in spite of it: another drop-in says so. See: systemctl cat %s",
			task->unit.name, task->unit.name);
	else if (unit->loaded)
		log_error(
			"%s has MemoryKSM=yes in a file that is not of ksmd-plusctl. See: systemctl cat %s",
			task->unit.name, task->unit.name);
	return unit->loaded ? -1 : 0;
}

static int apply(const struct task *task)
{
	const char *user = task->user ? " --user" : "";
	struct systemd_unit unit = { 0 };

	if (systemd_reload(task->bus) || check_result(task, &unit))
		return -1;
	if (task->unit.template)
		say(task,
		    "Instances of %s %s all their memory when they are started next.",
		    task->unit.name,
		    task->enable ? "register" : "no longer register");
	else if (unit.active)
		say(task,
		    "It takes effect when the unit is restarted: systemctl%s restart %s",
		    user, task->unit.name);
	else
		say(task, "It takes effect when the unit is started.");
	return task->now ? enrol_now(task) : 0;
}

static int write_dropin(const struct task *task)
{
	char path[PATH_MAX];
	const char *slash = task->base[strlen(task->base) - 1] == '/' ? ""
								      : "/";
	int r = (task->enable ? unitfile_enable : unitfile_disable)(
		task->root, task->folder, &task->unit, path, sizeof(path));

	if (r < 0) {
		log_error("Cannot %s the drop-in of %s below %s%s%s: %s",
			  task->enable ? "write" : "remove", task->unit.name,
			  task->base, slash, task->folder, strerror(-r));
		return r;
	}
	if (r == UNITFILE_ABSENT)
		say(task, "%s has no drop-in of ksmd-plusctl.",
		    task->unit.name);
	else
		say(task, "%s %s%s%s.", task->enable ? "Wrote" : "Removed",
		    task->base, slash, path);
	return 0;
}

static int task_run(struct task *task)
{
	struct systemd_unit unit = { 0 };

	if (place_open(task))
		return CTL_FAILED;
	if (!task->image && (systemd_open(task->user, &task->bus) ||
			     (task->enable && check_able(task))))
		return CTL_FAILED;
	if (find_unit(task, &unit) || write_dropin(task) ||
	    (task->bus && apply(task)))
		return CTL_FAILED;
	return CTL_DONE;
}

static int run(const struct ctl *ctl, bool enable)
{
	struct task task = { .ctl = ctl, .enable = enable, .root = -1 };
	int r;

	if (ctl->n_operands != 1) {
		log_error("Which unit? One is named.");
		return CTL_USAGE;
	}
	task.user = has(ctl, "user", NULL);
	task.now = has(ctl, "now", NULL);
	has(ctl, "root", &task.image);
	if (task.image && (task.now || !*task.image)) {
		log_error(
			"--root is a folder with a system that does not run, so --now is not for it.");
		return CTL_USAGE;
	}
	r = unit_name_parse(ctl->operands[0], &task.unit);
	if (r == UNIT_NAME_OTHER)
		log_error(
			"%s starts no program of its own: MemoryKSM= is for services, sockets, mounts and swaps.",
			ctl->operands[0]);
	else if (r)
		log_error("No unit can be called %s.", ctl->operands[0]);
	if (r)
		return CTL_USAGE;
	r = task_run(&task);
	close_fd(task.root);
	sd_bus_close_unref(task.bus);
	return r;
}

static int enable_run(const struct ctl *ctl)
{
	return run(ctl, true);
}

static int disable_run(const struct ctl *ctl)
{
	return run(ctl, false);
}

#define OPTION_USER                                                            \
	{                                                                      \
		"user", NULL, "a unit of your own systemd, not the system's"   \
	}
#define OPTION_ROOT                                                            \
	{                                                                      \
		"root", "DIR", "in the system below DIR, which does not run"   \
	}

static const struct verb_option enable_options[] = {
	{ "now", NULL, "the daemon looks after what runs already" },
	OPTION_USER,
	OPTION_ROOT,
	{ 0 },
};

static const struct verb_option disable_options[] = {
	OPTION_USER,
	OPTION_ROOT,
	{ 0 },
};

const struct verb verb_enable = {
	.name = "enable",
	.summary = "have a systemd unit register all its memory",
	.help = "Set MemoryKSM=yes for UNIT of systemd (256 or later, Linux 6.4 or later) by a drop-in file, and have systemd read it. From its next start on all memory of the unit's programs is registered with KSM, and the daemon manages it. A template (name@.service) stands for all its instances. Needs root, but for --user.",
	.operands = "UNIT",
	.options = enable_options,
	.run = enable_run,
};

const struct verb verb_disable = {
	.name = "disable",
	.summary = "undo enable",
	.help = "Remove the drop-in file that `ksmd-plusctl enable UNIT` wrote, and have systemd read its units again. Memory that is registered stays so until the unit is restarted.",
	.operands = "UNIT",
	.options = disable_options,
	.run = disable_run,
};
