/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "clock.h"

/* Six digits after the point: a millionth of the smallest unit is plenty. */
#define MICRO	     1000000ULL
#define MICRO_DIGITS 6

/* value + micro / 1000000, as it was written */
struct decimal {
	uint64_t value;
	uint64_t micro;
};

struct unit {
	const char *name;
	uint64_t factor;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int digits_take(const char **text, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!is_digit(*p))
		return -EINVAL;
	for (; is_digit(*p); p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	*text = p;
	*ret = value;
	return 0;
}

/* Take a number and the blanks behind it off the front of *text. */
static int decimal_take(const char **text, struct decimal *ret)
{
	struct decimal d = { 0 };
	const char *p = *text;
	int r = digits_take(&p, &d.value);

	if (r < 0)
		return r;
	if (*p == '.') {
		uint64_t weight = MICRO / 10;

		if (!is_digit(*++p))
			return -EINVAL;
		for (; is_digit(*p); p++, weight /= 10) {
			if (!weight)
				return -EINVAL;
			d.micro += (uint64_t)(*p - '0') * weight;
		}
	}
	p += strspn(p, " \t");
	*text = p;
	*ret = d;
	return 0;
}

/* @factor is at most 2^40, so that the product of micro cannot overflow. */
static int decimal_scale(const struct decimal *d, uint64_t factor,
			 uint64_t *ret)
{
	uint64_t value;

	if (__builtin_mul_overflow(d->value, factor, &value) ||
	    __builtin_add_overflow(value, d->micro * factor / MICRO, &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

static int unit_scale(const struct decimal *d, const char *name,
		      const struct unit *units, size_t n_units, uint64_t *ret)
{
	for (size_t i = 0; i < n_units; i++)
		if (strcasecmp(name, units[i].name) == 0)
			return decimal_scale(d, units[i].factor, ret);
	return -EINVAL;
}

int parse_u64(const char *text, uint64_t *ret)
{
	uint64_t value;
	int r = digits_take(&text, &value);

	if (r < 0)
		return r;
	if (*text)
		return -EINVAL;
	*ret = value;
	return 0;
}

int parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcasecmp(text, yes[i]) == 0) {
			*ret = true;
			return 0;
		}
		if (strcasecmp(text, no[i]) == 0) {
			*ret = false;
			return 0;
		}
	}
	return -EINVAL;
}

int parse_permyriad(const char *text, uint64_t *ret)
{
	struct decimal d;
	int r = decimal_take(&text, &d);

	if (r < 0)
		return r;
	if (strcmp(text, "%") != 0 || d.micro % (MICRO / 100))
		return -EINVAL;
	return decimal_scale(&d, 100, ret);
}

static int share_of(uint64_t whole, uint64_t permyriad, uint64_t *ret)
{
	uint64_t value;

	/* the remainder is below 10000, so its product fits if the other did */
	if (__builtin_mul_overflow(whole / 10000, permyriad, &value) ||
	    __builtin_add_overflow(value, whole % 10000 * permyriad / 10000,
				   &value))
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_bytes(const char *text, uint64_t whole, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", 1 },	     { "K", 1ULL << 10 }, { "M", 1ULL << 20 },
		{ "G", 1ULL << 30 }, { "T", 1ULL << 40 },
	};
	const char *p = text;
	struct decimal d;
	int r = decimal_take(&p, &d);

	if (r < 0)
		return r;
	if (*p == '%') {
		uint64_t permyriad;

		r = parse_permyriad(text, &permyriad);
		return r < 0 ? r : share_of(whole, permyriad, ret);
	}
	return unit_scale(&d, p, units, ARRAY_SIZE(units), ret);
}

int parse_usec(const char *text, uint64_t *ret)
{
	static const struct unit units[] = {
		{ "", USEC_PER_SEC },	       { "us", 1 },
		{ "ms", USEC_PER_MSEC },       { "s", USEC_PER_SEC },
		{ "min", 60 * USEC_PER_SEC },  { "h", 3600 * USEC_PER_SEC },
		{ "d", 86400 * USEC_PER_SEC },
	};
	struct decimal d;
	int r = decimal_take(&text, &d);

	if (r < 0)
		return r;
	return unit_scale(&d, text, units, ARRAY_SIZE(units), ret);
}
