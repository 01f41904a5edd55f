/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plus - the daemon's entry: options, preconditions, signals
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <ksmd-plus/control.h>
#include <ksmd-plus/journal.h>
#include <ksmd-plus/types.h>

#include "cleanup.h"
#include "config.h"
#include "confine.h"
#include "instance.h"
#include "journal.h"
#include "kfeat.h"
#include "knobs.h"
#include "ksm.h"
#include "ledger.h"
#include "leftovers.h"
#include "log.h"
#include "manager.h"

#define EXIT_USAGE 2

static const char usage[] =
	"Usage: ksmd-plus [OPTION]...\n"
	"Find duplicate memory pages of named processes and let the kernel merge them.\n"
	"\n"
	"  -c, --config FILE   read FILE instead of " KSMD_PLUS_SYSCONFDIR
	"/ksmd-plus.conf\n"
	"      --check-config  say what is wrong with the configuration, and exit\n"
	"  -n, --dry-run       look and report, change nothing\n"
	"      --restore       put back what a killed daemon left behind, and exit\n"
	"      --debug         say more\n"
	"  -h, --help          show this help\n"
	"  -V, --version       show the version\n"
	"\n"
	"Runs in the foreground. See ksmd-plus(8), ksmd-plus.conf(5), ksmd-plusctl(1).\n";

enum action { ACTION_RUN, ACTION_CHECK, ACTION_RESTORE };

struct options {
	enum action action;
	const char *config;
	bool config_given;
	bool dry_run;
	bool debug;
};

/* -1: go on; else the exit status. */
static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, 'C' },
		{ "dry-run", no_argument, NULL, 'n' },
		{ "restore", no_argument, NULL, 'R' },
		{ "debug", no_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	*o = (struct options){ .config = KSMD_PLUS_SYSCONFDIR
			       "/ksmd-plus.conf" };
	while ((c = getopt_long(argc, argv, "c:nhV", longs, NULL)) != -1) {
		if (c == 'c') {
			o->config = optarg;
			o->config_given = true;
		} else if (c == 'C') {
			o->action = ACTION_CHECK;
		} else if (c == 'R') {
			o->action = ACTION_RESTORE;
		} else if (c == 'n') {
			o->dry_run = true;
		} else if (c == 'd') {
			o->debug = true;
		} else if (c == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		} else if (c == 'V') {
			puts("ksmd-plus " KSMD_PLUS_VERSION);
			return EXIT_SUCCESS;
		} else {
			fputs("Try 'ksmd-plus --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"ksmd-plus: unexpected argument '%s'\n"
			"Try 'ksmd-plus --help'.\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	(void)userdata;
	if (line)
		fprintf(stderr, "%s:%u: %s\n", file, line, sentence);
	else
		fprintf(stderr, "%s: %s\n", file, sentence);
}

static int check_config(const struct options *o)
{
	struct config config;
	int r = config_load(o->config, o->config_given,
			    (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_BYTES,
			    on_complaint, NULL, &config);

	if (r < 0)
		return EXIT_FAILURE;
	config_clear(&config);
	if (r == 0)
		puts("The configuration is fine.");
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

static const char *runtime_dir(void)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");

	return dir && *dir ? dir : CONTROL_RUNTIME_DIR;
}

/* Nothing below works without these; one sentence says which is missing. */
static int preconditions(const struct root *root, const struct options *o,
			 int *ret_lock)
{
	pid_t holder;
	int r;

	if (geteuid() != 0)
		return log_event_errno(
			EPERM, JOURNAL_NO_RIGHTS, NULL,
			"ksmd-plus has to run as root: reading other processes' memory and steering ksmd need it");
	if (sysconf(_SC_PAGESIZE) != (long)PAGE_BYTES)
		return log_event_errno(
			EOPNOTSUPP, JOURNAL_NO_SUPPORT, NULL,
			"Only 4 KiB pages are supported, this kernel has %ld",
			sysconf(_SC_PAGESIZE));
	if (mkdir(runtime_dir(), 0755) < 0 && errno != EEXIST)
		return log_event_errno(errno, JOURNAL_START_FAILED, NULL,
				       "Cannot make %s", runtime_dir());
	if (faccessat(root->sys, KSM_DIR "/run", F_OK, 0) < 0)
		return log_event_errno(
			EOPNOTSUPP, JOURNAL_NO_SUPPORT, NULL,
			"This kernel has no KSM (CONFIG_KSM): there is no /sys/" KSM_DIR);
	if (o->dry_run)
		return 0;
	r = instance_lock(root, ret_lock, &holder);
	if (r == INSTANCE_HELD) {
		log_event(
			LOG_ERR, JOURNAL_ALREADY_RUNNING,
			LOG_FIELDS(LOG_NUMBER("PID", holder)),
			"Another ksmd-plus, pid %d, is running on this kernel; there can be only one",
			holder);
		return -EBUSY;
	}
	if (r)
		return log_event_errno(
			r, JOURNAL_NO_RIGHTS, NULL,
			"Cannot write to /sys/" KSM_DIR
			", so ksmd cannot be steered (--dry-run only looks)");
	return 0;
}

static int restore(const struct root *root)
{
	_cleanup_close_ int dir = open(runtime_dir(),
				       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct ledger *ledger = NULL;
	struct knobs *knobs = NULL;
	int r;

	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	r = ledger_open(dir, false, &ledger);
	if (r) {
		log_event_errno(
			r, JOURNAL_KNOBS_LEFT, NULL,
			"Cannot write the ledger in %s; putting back what stands in it",
			runtime_dir());
		r = ledger_read(dir, &ledger);
	}
	if (!r)
		r = knobs_new(root, ledger, false, &knobs);
	if (!r)
		r = leftovers_restore(root, ledger, knobs);
	knobs_free(knobs);
	ledger_close(ledger);
	return r;
}

static int on_terminate(sd_event_source *source,
			const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	manager_stop(userdata);
	return 0;
}

static int on_reload(sd_event_source *source,
		     const struct signalfd_siginfo *info, void *userdata)
{
	(void)source;
	(void)info;
	manager_reload(userdata);
	return 0;
}

/* The build tree's injector stands beside us; an installed one does not. */
static const char *injector_path(const struct root *root, char buf[PATH_MAX])
{
	static const char name[] = "/ksmd-plus-injector";
	static const char installed[] = KSMD_PLUS_LIBEXECDIR
		"/ksmd-plus-injector";
	ssize_t n = readlinkat(root->proc, "self/exe", buf, PATH_MAX - 32);
	char *slash;

	if (n < 0)
		return installed;
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	if (!slash)
		return installed;
	memcpy(slash, name, sizeof(name));
	return access(buf, X_OK) == 0 ? buf : installed;
}

static int signals_add(sd_event *event, struct manager *manager)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{ SIGTERM, on_terminate },
		{ SIGINT, on_terminate },
		{ SIGHUP, on_reload },
	};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		int r = sd_event_add_signal(event, NULL, signals[i].number,
					    signals[i].handler, manager);

		if (r < 0)
			return r;
	}
	return 0;
}

static void signals_block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* All is set up: from here on without what only that took. */
static int confine(void)
{
	int r = confine_thread(CONFINE_LOOP);

	if (r > 0)
		log_info(
			"No seccomp filter: the kernel or this build has none");
	else if (r < 0)
		log_event_errno(r, JOURNAL_START_FAILED, NULL,
				"Cannot give up rights");
	return MIN(r, 0);
}

static int loop(sd_event *event, struct manager *manager)
{
	int r = signals_add(event, manager);

	if (r < 0)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot wait for signals");
	r = confine();
	if (r < 0)
		return r;
	r = sd_event_loop(event);
	if (r < 0)
		log_event_errno(r, JOURNAL_START_FAILED, NULL,
				"Cannot wait for events any more");
	return r;
}

static int run(const struct root *root, const struct options *o)
{
	char path[PATH_MAX];
	struct manager_options options = {
		.config_path = o->config,
		.config_must_exist = o->config_given,
		.runtime_dir = runtime_dir(),
		.injector = injector_path(root, path),
		.dry_run = o->dry_run,
	};
	struct manager *manager = NULL;
	sd_event *event = NULL;
	struct kfeat kfeat;
	int r = kfeat_probe(root, &kfeat);

	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot probe the kernel");
	r = confine_begin(root);
	if (r)
		return log_event_errno(r, JOURNAL_START_FAILED, NULL,
				       "Cannot give up rights");
	r = sd_event_new(&event);
	if (r >= 0)
		r = manager_new(event, root, &kfeat, &options, &manager);
	else
		log_event_errno(r, JOURNAL_START_FAILED, NULL,
				"Cannot make an event loop");
	if (r >= 0)
		r = loop(event, manager);
	manager_free(manager);
	sd_event_unref(event);
	return r;
}

int main(int argc, char **argv)
{
	_cleanup_close_ int lock = -1;
	struct root root;
	struct options o;
	int r = options_parse(argc, argv, &o);

	if (r >= 0)
		return r;
	log_open("ksmd-plus", o.debug);
	journal_open();
	if (o.action == ACTION_CHECK)
		return check_config(&o);
	r = root_open("", &root);
	if (r) {
		log_event_errno(r, JOURNAL_START_FAILED, NULL,
				"Cannot open /proc and /sys");
		return EXIT_FAILURE;
	}
	signals_block();
	r = preconditions(&root, &o, &lock);
	if (!r)
		r = o.action == ACTION_RESTORE ? restore(&root)
					       : run(&root, &o);
	root_close(&root);
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}
