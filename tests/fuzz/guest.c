/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as the command line of a process that calls itself QEMU. No crash,
 * and a name is short, not empty and without control characters.
 */
#include "guest.h"

#include <assert.h>
#include <string.h>

#include "cleanup.h"
#include "standalone.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	char name[GUEST_NAME_SIZE], clean[GUEST_NAME_SIZE];

	assert(text);
	memcpy(text, data, size);
	if (guest_parse(text, size, name)) {
		assert(memchr(name, '\0', sizeof(name)) > (void *)name);
		assert(!strcmp(name, utf8_clean(name, clean, sizeof(clean))));
	}
	return 0;
}
