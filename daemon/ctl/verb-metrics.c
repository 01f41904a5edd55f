/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl metrics: OpenMetrics text for whoever collects it. That no
 * daemon answers is a figure like the others (ksmd_plus_up 0), not a failure:
 * else a file that was written before would go on telling of the past.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "client.h"
#include "figures-accounts.h"
#include "figures.h"
#include "log.h"

/* CTL_DONE or CTL_FAILED; what the daemon tells, or that there is none. */
static int print_to(const struct ctl *ctl, FILE *out, bool textfile)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(client_list_clear) struct client_list list = { 0 };
	_cleanup_(client_status_clear) struct client_status status = { 0 };
	struct figures_accounts accounts = { 0 };
	struct openmetrics om = { .out = out, .textfile = textfile };
	bool up = client_open_loud(ctl->socket, &bus) >= 0 &&
		  client_get_status(bus, &status) >= 0 &&
		  client_get_list(bus, &list) >= 0 &&
		  figures_accounts_get(bus, &accounts) >= 0;
	int r = figures_print(&om, up ? &status : NULL, &list, &accounts);

	figures_accounts_clear(&accounts);
	if (r < 0) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	return CTL_DONE;
}

/* A name beside @path that collectors, who look for *.prom, leave alone. */
static int temporary_name(const char *path, char *buf, size_t size)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash + 1 - path) : 0;
	int n = snprintf(buf, size, "%.*s.%s.XXXXXX", dir, path, path + dir);

	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int close_whole(FILE *out)
{
	bool bad = fflush(out) || ferror(out);
	int error = errno;

	return fclose(out) || bad ? -(bad ? error : errno) : 0;
}

/* Whoever reads @path sees the old text or the new one, never a part. */
static int print_file(const struct ctl *ctl, const char *path, bool textfile)
{
	char temporary[PATH_MAX];
	int status, fd, r = temporary_name(path, temporary, sizeof(temporary));
	FILE *out;

	if (r < 0)
		goto failed;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		goto failed;
	}
	out = fdopen(fd, "w");
	if (!out) {
		r = -errno;
		close_fd(fd);
		goto undo;
	}
	status = print_to(ctl, out, textfile);
	r = fchmod(fd, 0644) < 0 ? -errno : 0;
	r = close_whole(out) ?: r;
	if (!r && status == CTL_DONE && rename(temporary, path) < 0)
		r = -errno;
	if (!r && status == CTL_DONE)
		return CTL_DONE;
undo:
	unlink(temporary);
	if (!r)
		return CTL_FAILED;
failed:
	log_error_errno(r, "Cannot write %s", path);
	return CTL_FAILED;
}

static int metrics_run(const struct ctl *ctl)
{
	const char *path = NULL;
	bool textfile = false;

	for (size_t i = 0; i < ctl->n_given; i++) {
		if (!strcmp(ctl->given[i].name, "textfile"))
			textfile = true;
		else
			path = ctl->given[i].value;
	}
	return path ? print_file(ctl, path, textfile)
		    : print_to(ctl, ctl->screen.out, textfile);
}

static const struct verb_option options[] = {
	{ "output", "FILE", "write FILE, at once as a whole" },
	{ "textfile", NULL, "the form that node_exporter reads" },
	{ 0 },
};

const struct verb verb_metrics = {
	.name = "metrics",
	.summary = "figures for Prometheus and its kind, as OpenMetrics text",
	.help = "Print what status tells as OpenMetrics text: for the whole machine and for each target, unit and guest, not for each process. Where no daemon answers, ksmd_plus_up is 0.",
	.options = options,
	.run = metrics_run,
};
