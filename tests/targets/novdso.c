/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * novdso - a process without the kernel's own page of code
 *
 * As with vdso=0 on the kernel's command line, and in some restored processes.
 */
#include <sys/auxv.h>

#include "target.h"

static void unmap_vdso(void)
{
	unsigned long vdso = getauxval(AT_SYSINFO_EHDR), start, end;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start == vdso && munmap((void *)start, end - start) == 0) {
			fclose(f);
			return;
		}
	errx(TARGET_SKIP, "no vdso that could be unmapped");
}

int main(int argc, char **argv)
{
	struct target t;

	target_options(&t, argc, argv, "A process without a vdso.", NULL, 0);
	unmap_vdso(); /* from here on nothing may ask what time it is */
	target_ready(&t, NULL);
	while (!target_stopping(&t))
		target_sleep(1000);
	target_end(&t);
}
