/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * standalone - run a fuzz target on given inputs, without a fuzzer
 *
 * A target includes this and defines LLVMFuzzerTestOneInput(). What is built
 * then is a test: it runs once on every file named on the command line, and
 * on every file in each directory named there. `make fuzz` builds each with a
 * fuzzer inside, too (FUZZ_LIBFUZZER), and lets it look for more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifndef FUZZ_LIBFUZZER

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "files.h"

static int standalone_file(int dirfd, const char *name)
{
	_cleanup_free_ char *data = NULL, *exact = NULL;
	size_t size;
	int r = file_read_all(dirfd, name, &data, &size);

	if (r < 0)
		return r;
	/* a buffer without a byte to spare, so that reading on is noticed */
	exact = malloc(size ? size : 1);
	if (!exact)
		return -ENOMEM;
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput((const uint8_t *)exact, size);
	return 0;
}

static int standalone_directory(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = standalone_file(dirfd(dir), entry->d_name);
	closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	int n_failed = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		int r = stat(argv[i], &st) < 0 ? -errno
			: S_ISDIR(st.st_mode)
				? standalone_directory(argv[i])
				: standalone_file(AT_FDCWD, argv[i]);

		if (r < 0)
			printf("not ok %s # %s\n", argv[i], strerror(-r));
		else
			printf("ok %s\n", argv[i]);
		n_failed += r < 0;
	}
	return n_failed > 0;
}

#endif
