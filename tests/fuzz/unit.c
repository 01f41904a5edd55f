/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as what somebody types for a unit, up to the first newline, and
 * as the folders in which systemd looks for its file: no crash, no endless
 * circle of aliases, and what comes out is a name that may stand in a path.
 */
#include "unitfile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "standalone.h"
#include "tree.h"

static void check_name(const struct unit_name *name)
{
	char template[UNIT_NAME_MAX];

	assert(memchr(name->name, '\0', sizeof(name->name)));
	assert(*name->name && !strchr(name->name, '/'));
	assert(*name->name != '.' && *name->name != '@');
	assert(strrchr(name->name, '.'));
	assert(name->section && name->interface);
	if (unit_name_template(name->name, template))
		assert(strstr(template, "@.") && !name->template);
}

static void check_found(int top, bool user, const char *name)
{
	char id[UNIT_NAME_MAX];
	int r = unitfile_find(top, user, name, id);

	assert(r <= UNITFILE_MASKED);
	if (r == 0) {
		assert(memchr(id, '\0', sizeof(id)));
		assert(*id && !strchr(id, '/'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *eol = memchr(data, '\n', size);
	size_t len = eol ? (size_t)(eol - data) : size;
	_cleanup_free_ char *text = strndup((const char *)data, len);
	struct unit_name name;
	struct root root;
	int top, r;

	assert(text);
	tree_begin(data + len, size - len, &root);
	top = tree_top();
	r = unit_name_parse(text, &name);
	assert(r >= 0 && r <= UNIT_NAME_OTHER);
	if (r == 0) {
		check_name(&name);
		check_found(top, false, name.name);
		check_found(top, true, name.name);
	}
	close_fd(top);
	tree_end(&root);
	return 0;
}
