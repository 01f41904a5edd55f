/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "face.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "control-numa.h"
#include "control-rows.h"
#include "control-values.h"
#include "control.h"
#include "utf8.h"

static const char *const state_names[] = {
	[STATE_STARTING] = "starting", [STATE_SEARCHING] = "searching",
	[STATE_MERGING] = "merging",   [STATE_RESTING] = "resting",
	[STATE_PAUSED] = "paused",
};

/* Called by sd-bus once per request, before properties or methods. */
static int find_manager(sd_bus *bus, const char *path, const char *interface,
			void *userdata, void **ret, sd_bus_error *error)
{
	struct face *f = userdata;
	struct daemon_status *s = &f->status;

	(void)bus;
	(void)interface;
	(void)error;
	if (strcmp(path, CONTROL_PATH) != 0)
		return 0;
	*s = (struct daemon_status){ 0 };
	f->caller.ops->status(f->caller.userdata, s);
	f->version = KSMD_PLUS_VERSION;
	f->state = (size_t)s->state < ARRAY_SIZE(state_names)
			   ? state_names[s->state]
			   : "";
	f->activity = utf8_clean(s->activity, f->activity_buf,
				 sizeof(f->activity_buf));
	f->engine_detail = s->engine_detail; /* our own words */
	f->bytes_saved = s->pages_saved * PAGE_BYTES;
	*ret = f;
	return 1;
}

/* Answer @m with @n rows, which @append knows. */
#define REPLY_ROWS(m, append, rows, n)                                         \
	__extension__({                                                        \
		sd_bus_message *reply_ = NULL;                                 \
		int r_ = sd_bus_message_new_method_return((m), &reply_);       \
                                                                               \
		if (r_ >= 0)                                                   \
			r_ = append(reply_, (rows), (n));                      \
		if (r_ >= 0)                                                   \
			r_ = sd_bus_send(NULL, reply_, NULL);                  \
		sd_bus_message_unref(reply_);                                  \
		r_;                                                            \
	})

static int method_list(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct face *f = userdata;
	const struct process_status *rows;
	size_t n;
	int r = f->caller.ops->list(f->caller.userdata, &rows, &n);

	(void)error;
	return r < 0 ? r : REPLY_ROWS(m, control_append_processes, rows, n);
}

static int method_explain(sd_bus_message *m, void *userdata,
			  sd_bus_error *error)
{
	struct face *f = userdata;
	const struct reason_status *rows;
	uint32_t pid;
	size_t n;
	int r = sd_bus_message_read(m, "u", &pid);

	(void)error;
	if (r < 0)
		return r;
	f->caller.ops->explain(f->caller.userdata, pid, &rows, &n);
	return REPLY_ROWS(m, control_append_reasons, rows, n);
}

static int method_accounts(sd_bus_message *m, void *userdata,
			   sd_bus_error *error)
{
	struct face *f = userdata;
	const struct account_row *rows;
	enum account_kind kind;
	const char *name;
	size_t n;
	int r;

	r = sd_bus_message_read(m, "s", &name);
	if (r < 0)
		return r;
	kind = account_kind_from_name(name);
	if (kind == ACCOUNT_KIND_MAX_)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					"There are no accounts of that kind.");
	r = f->caller.ops->accounts(f->caller.userdata, kind, &rows, &n);
	return r < 0 ? r : REPLY_ROWS(m, control_append_accounts, rows, n);
}

/* sd-bus would ask for CAP_SYS_ADMIN; who may do what, control-change knows. */
#define ANYONE SD_BUS_VTABLE_UNPRIVILEGED
/* PropertiesChanged tells of it, see telling.h. */
#define TOLD SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

/* sd-bus reads the simple properties from struct face by itself. */
#define SHOW(name, type, member, flags)                                        \
	SD_BUS_PROPERTY(name, type, NULL, offsetof(struct face, member), flags)
#define SHOW_BY(name, type, get, member, flags)                                \
	SD_BUS_PROPERTY(name, type, get, offsetof(struct face, member), flags)
#define CHANGE_PLAIN(name)                                                     \
	SD_BUS_METHOD_WITH_OFFSET(name, NULL, NULL, control_change,            \
				  offsetof(struct face, caller), ANYONE)

/* clang-format off */
static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SHOW("Version", "s", version, SD_BUS_VTABLE_PROPERTY_CONST),
	SHOW("State", "s", state, TOLD),
	SHOW("PagesSaved", "t", status.pages_saved, TOLD),
	SHOW("BytesSaved", "t", bytes_saved, TOLD),
	SHOW("ZeroPages", "t", status.zero_pages, TOLD),
	SHOW("PromisedPages", "t", status.promised_pages, TOLD),
	SHOW("DaemonCpuUSec", "t", status.daemon_cpu_usec, 0),
	SHOW("KsmdCpuUSec", "t", status.ksmd_cpu_usec, 0),
	SHOW("Engine", "s", status.engine, 0),
	SHOW("EngineDetail", "s", engine_detail, 0),
	SHOW_BY("EngineCounters", "a(st)", control_values_counters, status, 0),
	SHOW("Hints", "s", status.hints, 0),
	SHOW("MemoryUsed", "t", status.memory_used, 0),
	SHOW("MemoryBound", "t", status.memory_bound, 0),
	SHOW("Activity", "s", activity, 0),
	SHOW_BY("Targets", "a(ssut)", control_values_targets, status, TOLD),
	SHOW_BY("Warnings", "a(ss)", control_values_warnings, status, TOLD),
	SHOW_BY("Numa", CONTROL_NUMA, control_numa_get, status.numa, 0),
	SD_BUS_METHOD_WITH_ARGS("ListProcesses", SD_BUS_NO_ARGS,
		SD_BUS_RESULT("a(usssssttts)", processes), method_list, ANYONE),
	SD_BUS_METHOD_WITH_ARGS("ExplainProcess", SD_BUS_ARGS("u", pid),
		SD_BUS_RESULT("a(sts)", reasons), method_explain, ANYONE),
	SD_BUS_METHOD_WITH_ARGS("ListAccounts", SD_BUS_ARGS("s", kind),
		SD_BUS_RESULT(CONTROL_ACCOUNTS, accounts), method_accounts,
		ANYONE),
	CHANGE_PLAIN("Pause"),
	CHANGE_PLAIN("Resume"),
	CHANGE_PLAIN("Rescan"),
	SD_BUS_METHOD_WITH_ARGS_OFFSET("Adopt", SD_BUS_ARGS("u", pid),
		SD_BUS_NO_RESULT, control_change,
		offsetof(struct face, caller), ANYONE),
	SD_BUS_SIGNAL_WITH_ARGS("PulseBegan",
		SD_BUS_ARGS("t", promised_pages, "t", registered_pages), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PulseEnded",
		SD_BUS_ARGS("t", promised_pages, "t", saved_pages,
			    "t", duration_usec, "t", ksmd_cpu_usec,
			    "s", result), 0),
	SD_BUS_SIGNAL_WITH_ARGS("WarningRaised",
		SD_BUS_ARGS("s", name, "s", sentence), 0),
	SD_BUS_SIGNAL_WITH_ARGS("WarningCleared", SD_BUS_ARGS("s", name), 0),
	SD_BUS_VTABLE_END,
};
/* clang-format on */

int face_show(struct face *face, sd_bus *bus)
{
	return sd_bus_add_fallback_vtable(bus, NULL, CONTROL_PATH,
					  CONTROL_INTERFACE, manager_vtable,
					  find_manager, face);
}
