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
	&verb_status, &verb_list,    &verb_top,	    &verb_explain, &verb_plan,
	&verb_run,    &verb_metrics, &verb_doctor,  &verb_pause,   &verb_resume,
	&verb_rescan, &verb_enable,  &verb_disable, &verb_import,
};

struct options {
	const char *socket;
	bool json;
	bool help;
	bool version;
	void (*sigpipe)(int);
	struct given *given; /* room for all arguments */
	size_t n_given;
};

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static bool has_option(const struct verb *verb, const char *name)
{
	for (const struct verb_option *o = verb->options; o && o->name; o++)
		if (!strcmp(o->name, name))
			return true;
	return false;
}

static void print_option(const char *option, const char *argument,
			 const char *help)
{
	char text[64];

	snprintf(text, sizeof(text), "--%s%s%s", option,
		 argument && *argument != '[' ? " " : "",
		 argument ? argument : "");
	printf("      %-14s %s\n", text, help);
}

static void print_options(bool json)
{
	if (json)
		print_option("json", NULL, "print JSON");
	puts("      --socket PATH  of the daemon (default " CONTROL_RUNTIME_DIR
	     "/" CONTROL_SOCKET ")\n"
	     "  -h, --help         print this and exit\n"
	     "  -V, --version      print the version and exit");
}

static void print_program_help(void)
{
	puts("Usage: ksmd-plusctl [OPTION...] [VERB [ARGUMENT...]]\n\n"
	     "Ask or tell ksmd-plus, the daemon that merges equal memory.\n\n"
	     "Verbs:");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	puts("\nOptions:");
	print_options(true);
	puts("\nksmd-plusctl VERB --help tells more about a verb.\n"
	     "Exit status: 0 done, 1 failed, 2 used wrongly. See ksmd-plusctl(1).");
}

static void print_verb_help(const struct verb *verb)
{
	struct screen screen = screen_open(stdout);

	if (!screen.terminal)
		screen.width = 80;
	printf("Usage: ksmd-plusctl %s [OPTION...]%s%s\n\n", verb->name,
	       verb->operands ? " " : "", verb->operands ? verb->operands : "");
	screen_wrap(&screen, 0, verb->help);
	puts("\nOptions:");
	for (const struct verb_option *o = verb->options; o && o->name; o++)
		print_option(o->name, o->argument, o->help);
	print_options(verb->json);
}

enum { OPTION_SOCKET = 256, OPTION_JSON, OPTION_OF_VERB };

static int takes(const struct verb_option *o)
{
	if (!o->argument)
		return no_argument;
	return *o->argument == '[' ? optional_argument : required_argument;
}

/* Every verb's options, since they may stand before the verb; a name once. */
static void options_add(const struct verb *verb, struct option *table,
			size_t *n)
{
	for (const struct verb_option *o = verb->options; o && o->name; o++) {
		bool known = false;

		for (size_t i = 0; i < *n; i++)
			known |= !strcmp(table[i].name, o->name);
		if (!known)
			table[(*n)++] = (struct option){ o->name, takes(o),
							 NULL, OPTION_OF_VERB };
	}
}

/* CTL_DONE or CTL_USAGE; getopt_long() says what is wrong. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	struct option table[ARRAY_SIZE(verbs) * VERB_OPTIONS_MAX + 5] = {
		{ "socket", required_argument, NULL, OPTION_SOCKET },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
	};
	size_t n = 4;
	int c, at;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		options_add(verbs[i], table, &n);
	while ((c = getopt_long(argc, argv, "hV", table, &at)) >= 0) {
		switch (c) {
		case OPTION_SOCKET:
			ret->socket = optarg;
			break;
		case OPTION_JSON:
			ret->json = true;
			break;
		case 'h':
			ret->help = true;
			break;
		case 'V':
			ret->version = true;
			break;
		case OPTION_OF_VERB:
			/* whose it is, is known when the verb is */
			ret->given[ret->n_given++] =
				(struct given){ table[at].name, optarg };
			break;
		default:
			return CTL_USAGE;
		}
	}
	return CTL_DONE;
}

/* Whether @verb has what was given: CTL_DONE or CTL_USAGE, with the reason. */
static int check_usage(const struct verb *verb, const struct options *options,
		       int n_operands, char *const *operands)
{
	for (size_t i = 0; i < options->n_given; i++) {
		const char *name = options->given[i].name;

		if (!has_option(verb, name)) {
			log_error("--%s is not for %s.", name, verb->name);
			return CTL_USAGE;
		}
	}
	if (n_operands > 0 && !verb->operands) {
		log_error("%s takes no argument: %s", verb->name, operands[0]);
		return CTL_USAGE;
	}
	/* getopt_long() has put the verb behind the dashes. */
	if (n_operands > 0 && verb->dashes && strcmp(operands[-2], "--") != 0) {
		log_error("The program that is to be started follows \"--\".");
		return CTL_USAGE;
	}
	if (options->json && !verb->json) {
		log_error("%s prints no data, --json is not for it.",
			  verb->name);
		return CTL_USAGE;
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

static int run(const struct verb *verb, const struct options *options,
	       int n_operands, char *const *operands)
{
	char path[4096];
	struct ctl ctl = {
		.socket = options->socket,
		.json = options->json,
		.screen = screen_open(stdout),
		.given = options->given,
		.n_given = options->n_given,
		.operands = operands,
		.n_operands = n_operands > 0 ? (size_t)n_operands : 0,
		.sigpipe = options->sigpipe,
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
	int status;
	_cleanup_free_ struct given *given = calloc((size_t)argc + 1,
						    sizeof(*given));
	struct options options = { .given = given };

	log_open(PROGRAM, false);
	if (!given) {
		log_error("Out of memory.");
		return CTL_FAILED;
	}
	argv[0] = (char[]){ PROGRAM }; /* getopt_long() complains in its name */
	/* EPIPE is met in finish(). */
	options.sigpipe = signal(SIGPIPE, SIG_IGN);
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
	if (check_usage(verb, &options, argc - optind - 1, argv + optind + 1) !=
	    CTL_DONE)
		goto usage;
	status = run(verb, &options, argc - optind - 1, argv + optind + 1);
	if (status != CTL_USAGE)
		return status;
usage:
	fputs("Try: ksmd-plusctl --help\n", stderr);
	return CTL_USAGE;
}
