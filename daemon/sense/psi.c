/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "psi.h"

#include <stdio.h>

uint32_t psi_some(const struct root *root, const char *resource)
{
	char path[64], text[256];
	unsigned int percent, hundredths;

	snprintf(path, sizeof(path), "pressure/%s", resource);
	if (file_read(root->proc, path, text, sizeof(text)) < 0 ||
	    sscanf(text, "some avg10=%u.%2u ", &percent, &hundredths) != 2 ||
	    percent > 100 || hundredths > 99)
		return PSI_UNKNOWN;
	return percent * 100 + hundredths;
}
