/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * novdso - a process without the kernel's own page of code
 *
 * As with vdso=0 on the kernel's command line, and in some restored processes.
 * --text hidden: nor can its code be read, as that of a program that was linked
 * so (execute-only).
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

static void hide_text(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512], flags[8];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, flags) == 3 &&
		    !strcmp(flags, "r-xp") && strchr(line, '/') &&
		    mprotect((void *)start, end - start, PROT_EXEC) < 0)
			err(TARGET_SKIP, "mprotect");
	if (f)
		fclose(f);
}

int main(int argc, char **argv)
{
	struct target_option option = { "text", "hidden or readable",
					"readable" };
	struct target t;

	target_options(&t, argc, argv, "A process without a vdso.", &option, 1);
	unmap_vdso(); /* from here on nothing may ask what time it is */
	if (!strcmp(option.value, "hidden"))
		hide_text();
	target_ready(&t, NULL);
	while (!target_stopping(&t))
		target_sleep(1000);
	target_end(&t);
}
