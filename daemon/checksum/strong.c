/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * strong - the second opinion on pages whose checksums are equal
 *
 * Keyed once per daemon, so that pages made to collide under one key do not
 * under the next, and nobody outside knows it.
 */
#include "checksum.h"

#include <errno.h>
#include <sys/random.h>

/* The library picks the best instructions of this CPU only if asked to: 83
 * instead of 750 ns for a page with AVX2. */
#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

_Static_assert(STRONG_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN,
	       "XXH3 takes no shorter secret");

int strong_key_make(struct strong_key *ret)
{
	struct strong_key key;
	ssize_t n = getrandom(key.secret, sizeof(key.secret), 0);

	if (n < 0)
		return -errno;
	if ((size_t)n != sizeof(key.secret))
		return -EIO;
	*ret = key;
	return 0;
}

uint64_t strong_hash(const struct strong_key *key, const void *page)
{
	return XXH3_64bits_withSecret(page, PAGE_BYTES, key->secret,
				      sizeof(key->secret));
}
