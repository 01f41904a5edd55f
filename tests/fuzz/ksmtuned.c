/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as ksmtuned.conf: no crash, sentences fit for a terminal, and what
 * is printed is a configuration without a fault.
 */
#include "ksmtuned.h"

#include <assert.h>
#include <string.h>

#include "cleanup.h"
#include "standalone.h"

static void on_complaint(void *userdata, const char *file, unsigned int line,
			 const char *sentence)
{
	(void)file;
	(void)line;
	for (const char *c = sentence; *c; c++)
		assert((unsigned char)*c >= ' ' && *c != 0x7f);
	++*(int *)userdata;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = NULL;
	struct config config;
	struct ksmtuned k;
	size_t len;
	int heard = 0, r;
	FILE *out;

	r = ksmtuned_parse("fuzz", (const char *)data, size, on_complaint,
			   &heard, &k);
	assert(r == heard || (r > 100 && heard == 101));
	for (size_t i = 0; i < KSMTUNED_KEYS; i++)
		assert(k.keys[i].number >= -1000000000 &&
		       k.keys[i].number <= 1000000000);
	out = open_memstream(&text, &len);
	assert(out);
	ksmtuned_print(&k, "fuzz", (uint64_t)size << 20, out);
	fclose(out);
	r = config_parse("fuzz", text, len, 1ULL << 33, on_complaint, &heard,
			 &config);
	assert(r == 0);
	config_clear(&config);
	return 0;
}
