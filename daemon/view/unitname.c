/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unitname.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#define ALLOWED                                                                \
	"abcdefghijklmnopqrstuvwxyz"                                           \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                           \
	"0123456789:-_.\\@"

static const struct type {
	const char *suffix;
	const char *section; /* NULL: starts nothing */
	const char *interface;
} types[] = {
	{ ".service", "Service", "org.freedesktop.systemd1.Service" },
	{ ".socket", "Socket", "org.freedesktop.systemd1.Socket" },
	{ ".mount", "Mount", "org.freedesktop.systemd1.Mount" },
	{ ".swap", "Swap", "org.freedesktop.systemd1.Swap" },
	{ ".target", NULL, NULL },
	{ ".timer", NULL, NULL },
	{ ".path", NULL, NULL },
	{ ".slice", NULL, NULL },
	{ ".scope", NULL, NULL },
	{ ".device", NULL, NULL },
	{ ".automount", NULL, NULL },
};

static const struct type *type_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(types); i++)
		if (!strcmp(dot, types[i].suffix))
			return &types[i];
	return NULL;
}

int unit_name_parse(const char *text, struct unit_name *ret)
{
	const struct type *type = type_of(text);
	struct unit_name name = { 0 };
	const char *at, *dot;
	int n;

	n = snprintf(name.name, sizeof(name.name), "%s%s", text,
		     type ? "" : types[0].suffix);
	if (!type)
		type = &types[0];
	dot = strrchr(name.name, '.');
	if (n < 0 || (size_t)n >= sizeof(name.name) || *text == '.' ||
	    *text == '@' || dot == name.name ||
	    strspn(name.name, ALLOWED) != (size_t)n)
		return UNIT_NAME_BAD;
	if (!type->section)
		return UNIT_NAME_OTHER;
	at = strchr(name.name, '@');
	name.template = at && at + 1 == dot;
	name.section = type->section;
	name.interface = type->interface;
	*ret = name;
	return 0;
}

bool unit_name_template(const char *name, char ret[UNIT_NAME_MAX])
{
	const char *at = strchr(name, '@'), *dot = strrchr(name, '.');

	if (!at || !dot || dot <= at + 1)
		return false;
	snprintf(ret, UNIT_NAME_MAX, "%.*s%s", (int)(at + 1 - name), name, dot);
	return true;
}
