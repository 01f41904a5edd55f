/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "cleanup.h"
#include "files.h"
#include "utf8.h"

/* libvirt and Proxmox put -name at the beginning, within the first kilobyte. */
#define CMDLINE_SIZE 16384

/* An argument of QEMU's: "a=b,c=d"; ",," is a comma. Return: its length. */
static size_t part_length(const char *s, size_t size)
{
	size_t n = 0;

	while (n < size && (s[n] != ',' || (n + 1 < size && s[n + 1] == ',')))
		n += s[n] == ',' ? 2 : 1;
	return n;
}

static void copy_part(const char *s, size_t size, char ret[GUEST_NAME_SIZE])
{
	char plain[GUEST_NAME_SIZE];
	size_t n = 0;

	for (size_t i = 0; i < size && n + 1 < sizeof(plain); i++) {
		plain[n++] = s[i];
		i += s[i] == ',';
	}
	plain[n] = '\0';
	utf8_clean(plain, ret, GUEST_NAME_SIZE);
}

/* "guest=NAME" wherever it stands, or a first part without "=". */
static const char *name_parse(const char *s, size_t size,
			      char ret[GUEST_NAME_SIZE])
{
	static const char key[] = "guest=";
	size_t skip = sizeof(key) - 1;

	for (size_t at = 0, n; at < size; at += n + 1) {
		n = part_length(s + at, size - at);
		if (n > skip && !memcmp(s + at, key, skip))
			copy_part(s + at + skip, n - skip, ret);
		else if (at == 0 && n && !memchr(s, '=', n))
			copy_part(s, n, ret);
		else
			continue;
		return *ret ? ret : NULL;
	}
	return NULL;
}

const char *guest_parse(const char *cmdline, size_t size,
			char ret[GUEST_NAME_SIZE])
{
	bool next = false;

	for (size_t at = 0, n; at < size; at += n + 1) {
		const char *arg = cmdline + at;

		n = strnlen(arg, size - at);
		if (next)
			return name_parse(arg, n, ret);
		next = at > 0 && ((n == 5 && !memcmp(arg, "-name", 5)) ||
				  (n == 6 && !memcmp(arg, "--name", 6)));
	}
	return NULL;
}

bool guest_is_qemu(const char *exe)
{
	const char *slash = exe ? strrchr(exe, '/') : NULL;
	const char *name = slash ? slash + 1 : exe;

	return name && (!strncmp(name, "qemu", 4) || !strcmp(name, "kvm"));
}

const char *guest_read(int dir, char ret[GUEST_NAME_SIZE])
{
	_cleanup_free_ char *text = malloc(CMDLINE_SIZE);
	ssize_t n = text ? file_read(dir, "cmdline", text, CMDLINE_SIZE) : 0;

	return n > 0 ? guest_parse(text, (size_t)n, ret) : NULL;
}
