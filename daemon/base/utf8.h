/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * utf8 - text from strangers, made fit for a bus and for a terminal
 *
 * A process may call itself anything, escape sequences and broken UTF-8
 * included; D-Bus refuses the latter, and a terminal obeys the former. Invisible
 * characters that turn the direction of writing would show one name as another.
 */
#pragma once

#include <stddef.h>

/*
 * Copy @text (NULL counts as "") into @buf of @size bytes, at least 1. Each
 * control or invisible character and each byte that is no part of a valid
 * character becomes '?'. What does not fit is cut off between two characters.
 *
 * Return: @buf.
 */
char *utf8_clean(const char *text, char *buf, size_t size);

/* How many characters @text has; bytes of broken UTF-8 count one each. */
size_t utf8_length(const char *text);
