/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * without - run a program on this kernel as if it lacked something
 *
 *	without FEATURE[,FEATURE]... PROGRAM [ARGUMENT]...
 *
 * What is taken away is gone for the program and all that it starts, and for
 * nobody else: a system call by a seccomp filter, with the errno of a kernel
 * that does not know it, a file by a mount in a namespace of its own. The
 * exit status is the program's, 77 for a feature that is not there anyway or
 * cannot be hidden.
 *
 *	pagemap-scan	ioctl(PAGEMAP_SCAN), Linux 6.7
 *	process-madvise	process_madvise(2), 5.10
 *	bpf		bpf(2)
 *	ptrace		ptrace(2): refused, as by a security module
 *	seccomp		nothing but this: who is under a filter cannot suspend
 *			those of others (PTRACE_O_SUSPEND_SECCOMP)
 *	psi		/proc/pressure
 *	kcore		/proc/kcore
 *	kpageflags	/proc/kpageflags, and with it KPF_KSM
 *	ksm-files	all below /sys/kernel/mm/ksm that Linux 6.1 lacks: smart_scan,
 *			the advisor, newer counters
 *
 * A filter takes away the right to suspend others' filters, too: the first
 * four are what they say and "seccomp".
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NOT_HERE      77

/* Its argument has 96 bytes, see daemon/sense/kernel-api.h. */
#define PAGEMAP_SCAN _IOWR('f', 16, char[96])

#ifndef __NR_process_madvise
#define __NR_process_madvise 440
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define KSM "/sys/kernel/mm/ksm"

/* The files of Linux 6.1. */
static const char *const ksm_files[] = {
	"full_scans",
	"max_page_sharing",
	"merge_across_nodes",
	"pages_shared",
	"pages_sharing",
	"pages_to_scan",
	"pages_unshared",
	"pages_volatile",
	"run",
	"sleep_millisecs",
	"stable_node_chains",
	"stable_node_chains_prune_millisecs",
	"stable_node_dups",
	"use_zero_pages",
};

/* --- system calls ------------------------------------------------------------- */

#define LOAD(field)                                                            \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, n)                                                  \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)(value), 0, n)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

static void filter(struct sock_filter *code, size_t n)
{
	struct sock_fprog program = { .len = (unsigned short)n,
				      .filter = code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		err(2, "seccomp");
}

/* Fail @call with @error; only with @second as its second argument, if that is
 * not 0, whose lower half is at its offset on both architectures. */
static void refuse(unsigned int call, int error, unsigned int second)
{
	struct sock_filter code[] = {
		LOAD(arch),
		SKIP_UNLESS(ARCH, 6),
		LOAD(nr),
		SKIP_UNLESS(call, 4),
		LOAD(args[1]),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, second ? ~0U : 0),
		SKIP_UNLESS(second, 1),
		RETURN(SECCOMP_RET_ERRNO | (unsigned int)error),
		RETURN(SECCOMP_RET_ALLOW),
	};

	filter(code, ARRAY_SIZE(code));
}

/* --- files -------------------------------------------------------------------- */

static void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		err(NOT_HERE, "no mounts of its own");
}

static void hide(const char *path)
{
	struct stat st;

	if (stat(path, &st)) {
		warn("%s", path);
		exit(NOT_HERE);
	}
	own_mounts();
	if (S_ISDIR(st.st_mode) ? mount("none", path, "tmpfs", 0, NULL)
				: mount("/dev/null", path, NULL, MS_BIND, NULL))
		err(2, "%s", path);
}

/* A directory with these files alone; they are the kernel's. */
static void show_only(const char *dir, const char *const *names, size_t n)
{
	int fds[ARRAY_SIZE(ksm_files)];
	char from[64], to[256];

	own_mounts();
	for (size_t i = 0; i < n; i++) {
		snprintf(to, sizeof(to), "%s/%s", dir, names[i]);
		fds[i] = open(to, O_PATH | O_CLOEXEC);
		if (fds[i] < 0)
			err(NOT_HERE, "%s", to);
	}
	if (mount("none", dir, "tmpfs", 0, NULL))
		err(2, "%s", dir);
	for (size_t i = 0; i < n; i++) {
		int fd;

		snprintf(from, sizeof(from), "/proc/self/fd/%d", fds[i]);
		snprintf(to, sizeof(to), "%s/%s", dir, names[i]);
		fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (fd < 0 || close(fd) || mount(from, to, NULL, MS_BIND, NULL))
			err(2, "%s", to);
		close(fds[i]);
	}
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static pid_t child;

static void on_signal(int number)
{
	kill(child, number);
}

/*
 * A kernel without that file does not skip pages; this one has to be told
 * before nobody can any more. Put back by the parent, when all is over.
 */
static void hide_ksm_files(void)
{
	char before[16] = "";
	int fd = open(KSM "/smart_scan", O_RDONLY | O_CLOEXEC), status = 0;

	if (fd < 0 || read(fd, before, sizeof(before) - 1) <= 0) {
		warn("%s", KSM "/smart_scan");
		exit(NOT_HERE);
	}
	close(fd);
	if (!write_text(KSM "/smart_scan", "0"))
		err(2, "%s", KSM "/smart_scan");
	child = fork();
	if (child < 0)
		err(2, "fork");
	if (child > 0) {
		signal(SIGTERM, on_signal);
		signal(SIGINT, on_signal);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		write_text(KSM "/smart_scan", before);
		exit(WIFEXITED(status) ? WEXITSTATUS(status)
				       : 128 + WTERMSIG(status));
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	show_only(KSM, ksm_files, ARRAY_SIZE(ksm_files));
}

static void take_away(const char *feature)
{
	if (!strcmp(feature, "pagemap-scan"))
		refuse(__NR_ioctl, ENOTTY, PAGEMAP_SCAN);
	else if (!strcmp(feature, "process-madvise"))
		refuse(__NR_process_madvise, ENOSYS, 0);
	else if (!strcmp(feature, "bpf"))
		refuse(__NR_bpf, ENOSYS, 0);
	else if (!strcmp(feature, "ptrace"))
		refuse(__NR_ptrace, EPERM, 0);
	else if (!strcmp(feature, "seccomp"))
		filter((struct sock_filter[]){ RETURN(SECCOMP_RET_ALLOW) }, 1);
	else if (!strcmp(feature, "psi"))
		hide("/proc/pressure");
	else if (!strcmp(feature, "kcore"))
		hide("/proc/kcore");
	else if (!strcmp(feature, "kpageflags"))
		hide("/proc/kpageflags");
	else if (!strcmp(feature, "ksm-files"))
		hide_ksm_files();
	else
		errx(2, "no such feature: %s", feature);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		errx(2,
		     "usage: without FEATURE[,FEATURE]... PROGRAM [ARGUMENT]...");
	for (char *at = strtok(argv[1], ","); at; at = strtok(NULL, ","))
		take_away(at);
	execvp(argv[2], argv + 2);
	err(2, "%s", argv[2]);
}
