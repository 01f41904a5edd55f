/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dispatch - system calls from anywhere but libc are the program's own affair
 *
 * Syscall user dispatch, as Wine uses it: a call made from the vdso would
 * come to us as SIGSYS.
 */
#include <link.h>
#include <signal.h>
#include <sys/prctl.h>

#include "target.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

#define DISPATCH_ON    1
#define DISPATCH_BLOCK 1

static struct target t;
static char selector;
static ElfW(Addr) text_start, text_size;

static void on_sigsys(int sig)
{
	(void)sig;
	target_broken(&t, "a foreign system call");
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (!strstr(info->dlpi_name, "libc.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_LOAD && ph->p_flags & PF_X) {
			text_start = info->dlpi_addr + ph->p_vaddr;
			text_size = ph->p_memsz;
		}
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_sigsys };

	target_options(&t, argc, argv, "Syscall user dispatch.", NULL, 0);
	if (!dl_iterate_phdr(find_libc, NULL))
		errx(TARGET_SKIP, "no libc.so in this program");
	sigaction(SIGSYS, &sa, NULL);
	target_ready(&t, NULL);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, text_start,
		  text_size, &selector) < 0)
		err(TARGET_SKIP, "PR_SET_SYSCALL_USER_DISPATCH");
	selector = DISPATCH_BLOCK;
	while (!target_stopping(&t))
		target_sleep(1000);
	target_end(&t);
}
