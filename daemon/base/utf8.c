/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* What sd-bus refuses: surrogates, noncharacters, beyond the last plane. */
static bool is_character(uint32_t c)
{
	return c < 0x110000 && (c & 0xfffff800) != 0xd800 &&
	       (c & 0xfffe) != 0xfffe && (c < 0xfdd0 || c > 0xfdef);
}

/* What the first byte of a character says about its length; 0: no first byte. */
static size_t length_from(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first >= 0xf8)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Bytes of the valid character at @s, 0 if there is none; never beyond '\0'. */
static size_t decode(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = length_from(s[0]);
	uint32_t c = len > 1 ? s[0] & (0x7fU >> len) : s[0];

	if (!len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || !is_character(c))
		return 0;
	*ret = c;
	return len;
}

/* C0 and C1; and what is not seen but turns or breaks the text around it. */
static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
	       c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) ||
	       (c >= 0x1bca0 && c <= 0x1bca3) ||
	       (c >= 0x1d173 && c <= 0x1d17a) || (c >= 0xe0000 && c <= 0xe0fff);
}

char *utf8_clean(const char *text, char *buf, size_t size)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");
	size_t used = 0;

	while (*s) {
		uint32_t c = 0;
		size_t len = decode(s, &c);
		bool ok = len && !is_control(c);
		size_t out = ok ? len : 1;

		if (used + out >= size)
			break;
		if (ok)
			memcpy(buf + used, s, len);
		else
			buf[used] = '?';
		used += out;
		s += len ? len : 1;
	}
	buf[used] = '\0';
	return buf;
}

size_t utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;

	for (uint32_t c; *s; n++) {
		size_t len = decode(s, &c);

		s += len ? len : 1;
	}
	return n;
}
