/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plusctl: options are the same for all verbs and may stand anywhere.
 * Exit status: 0 done, 1 failed, 2 used wrongly.
 */
#include "ctl.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <ksmd-plus/control.h>

#include "cleanup.h"
#include "log.h"

#define PROGRAM "ksmd-plusctl"

static const struct verb *const verbs[] = {
	&verb_status, &verb_list,   &verb_doctor,
	&verb_pause,  &verb_resume, &verb_rescan,
};

struct options {
	const char *socket;
	bool json;
	bool help;
	bool version;
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static void print_options(bool json)
{
	puts("Options:");
	if (json)
		puts("      --json         print JSON");
	puts("      --socket PATH  of the daemon (default " CONTROL_RUNTIME_DIR
	     "/" CONTROL_SOCKET ")\n"
	     "  -h, --help         print this and exit\n"
	     "  -V, --version      print the version and exit");
}

static void print_program_help(void)
{
	puts("Usage: ksmd-plusctl [OPTION...] [VERB]\n\n"
	     "Ask or tell ksmd-plus, the daemon that merges equal memory.\n\n"
	     "Verbs:");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	putchar('\n');
	print_options(true);
	puts("\nksmd-plusctl VERB --help tells more about a verb.\n"
	     "Exit status: 0 done, 1 failed, 2 used wrongly. See ksmd-plusctl(1).");
}

static void print_verb_help(const struct verb *verb)
{
	struct screen screen = screen_open(stdout);

	if (!screen.terminal)
		screen.width = 80;
	printf("Usage: ksmd-plusctl %s [OPTION...]\n\n", verb->name);
	screen_wrap(&screen, 0, verb->help);
	putchar('\n');
	print_options(verb->json);
}

/* CTL_DONE or CTL_USAGE; getopt_long() says what is wrong. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	enum { SOCKET = 256, JSON };
	static const struct option table[] = {
		{ "socket", required_argument, NULL, SOCKET },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "hV", table, NULL)) >= 0) {
		switch (c) {
		case SOCKET:
			ret->socket = optarg;
			break;
		case JSON:
			ret->json = true;
			break;
		case 'h':
			ret->help = true;
			break;
		case 'V':
			ret->version = true;
			break;
		default:
			return CTL_USAGE;
		}
	}
	return CTL_DONE;
}

/* The first of $RUNTIME_DIRECTORY, as systemd sets it, or the usual place. */
static int default_socket(char *buf, size_t size)
{
	const char *dir = getenv("RUNTIME_DIRECTORY");
	int n;

	if (!dir || !*dir)
		dir = CONTROL_RUNTIME_DIR;
	n = snprintf(buf, size, "%.*s/%s", (int)strcspn(dir, ":"), dir,
		     CONTROL_SOCKET);
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* A reader that has seen enough (`| head`) is no failure; a full disk is. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno == EPIPE)
		return status;
	log_error_errno(errno, "Cannot write the output");
	return CTL_FAILED;
}

static int run(const struct verb *verb, const struct options *options)
{
	char path[4096];
	struct ctl ctl = {
		.socket = options->socket,
		.json = options->json,
		.screen = screen_open(stdout),
	};

	if (!ctl.socket) {
		if (default_socket(path, sizeof(path)) < 0) {
			log_error("RUNTIME_DIRECTORY is too long.");
			return CTL_FAILED;
		}
		ctl.socket = path;
	}
	return finish(verb->run(&ctl));
}

int main(int argc, char **argv)
{
	const struct verb *verb = NULL;
	struct options options = { 0 };

	log_open(PROGRAM, false);
	argv[0] = (char[]){ PROGRAM }; /* getopt_long() complains in its name */
	/* EPIPE is met in finish(). */
	signal(SIGPIPE, SIG_IGN);
	if (parse_options(argc, argv, &options) != CTL_DONE)
		goto usage;
	if (optind < argc) {
		verb = verb_find(argv[optind]);
		if (!verb) {
			log_error("There is no verb %s.", argv[optind]);
			goto usage;
		}
	}
	if (options.version) {
		puts("ksmd-plusctl " KSMD_PLUS_VERSION);
		return finish(CTL_DONE);
	}
	if (options.help) {
		if (verb)
			print_verb_help(verb);
		else
			print_program_help();
		return finish(CTL_DONE);
	}
	if (!verb)
		verb = &verb_status;
	if (argc - optind > 1) {
		log_error("%s takes no argument: %s", verb->name,
			  argv[optind + 1]);
		goto usage;
	}
	if (options.json && !verb->json) {
		log_error("%s prints no data, --json is not for it.",
			  verb->name);
		goto usage;
	}
	return run(verb, &options);
usage:
	fputs("Try: ksmd-plusctl --help\n", stderr);
	return CTL_USAGE;
}
