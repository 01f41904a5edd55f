/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ksmd-plus-injector - makes other processes' memory mergeable, from within
 *
 * Started by ksmd-plus with one end of a socket pair; <ksmd-plus/inject.h> is
 * what is spoken there. A process of its own, because a target dies with its
 * tracer while its registers are changed: here is little that could crash, the
 * memory is locked, the OOM killer is told to look elsewhere, and no signal
 * but SIGKILL has an effect. It ends when the other end of the socket closes.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "cleanup.h"
#include "files.h"
#include "injector.h"
#include "log.h"
#include "rights.h"

static const char help[] =
	"Usage: ksmd-plus-injector [--single-calls]\n"
	"\n"
	"Makes system calls in the name of other processes. It is started by\n"
	"ksmd-plus, with a socket as descriptor 3, and not by hand.\n"
	"\n"
	"  --single-calls  one madvise() for each range, though the kernel\n"
	"                  takes many ranges in one process_madvise()\n"
	"  --help          print this and exit\n"
	"  --version       print the version and exit\n";

enum { OPTION_SINGLE_CALLS = 256, OPTION_HELP, OPTION_VERSION };

static const struct option options[] = {
	{ "single-calls", no_argument, NULL, OPTION_SINGLE_CALLS },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ 0 },
};

static bool has_socket(void)
{
	int type = 0, domain = 0;
	socklen_t len = sizeof(type);

	return getsockopt(INJECT_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	       getsockopt(INJECT_FD, SOL_SOCKET, SO_DOMAIN, &domain, &len) ==
		       0 &&
	       type == SOCK_SEQPACKET && domain == AF_UNIX;
}

/* None is vital, and containers do not grant all: go on without. */
static void protect(const struct root *root)
{
	sigset_t all;

	/* by the system call: libc leaves out the two that it uses itself */
	memset(&all, 0xff, sizeof(all));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, _NSIG / 8);
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warning("Cannot lock my memory (errno %d), ignoring",
			    errno);
	if (file_write(root->proc, "self/oom_score_adj", "-1000") < 0)
		log_debug("Cannot lower my oom_score_adj, ignoring");
	if (rights_close() < 0 || rights_bound(RIGHTS_INJECTOR) < 0 ||
	    rights_keep(RIGHTS_INJECTOR) < 0)
		log_warning("Cannot give up rights, ignoring");
}

int main(int argc, char **argv)
{
	_cleanup_(root_close) struct root root = { -1, -1 };
	bool single_calls = false;
	int c, r;

	log_open("ksmd-plus-injector", false);
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case OPTION_SINGLE_CALLS:
			single_calls = true;
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			puts("ksmd-plus-injector " KSMD_PLUS_VERSION);
			return EXIT_SUCCESS;
		default:
			return 2;
		}
	}
	if (optind < argc) {
		log_error("Takes no arguments; see --help");
		return 2;
	}
	if (!has_socket()) {
		log_error("I am started by ksmd-plus with a socket as "
			  "descriptor 3, not by hand");
		return EXIT_FAILURE;
	}
	r = root_open("", &root);
	if (r < 0) {
		log_error_errno(r, "Cannot open /proc and /sys");
		return EXIT_FAILURE;
	}
	protect(&root);
	r = injector_run(&root, INJECT_FD, single_calls);
	if (r < 0) {
		log_error_errno(r, "Cannot talk to ksmd-plus");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
