/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cleanup - destructors that belong to a local variable
 *
 * Every local that owns something carries its destructor and leaves the
 * function only through TAKE_PTR() or TAKE_FD(), so that a function can be
 * checked without reading its callees.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* min() and max() without double evaluation, for equal types. */
#define MIN(a, b)                                                              \
	__extension__({                                                        \
		__auto_type a_ = (a);                                          \
		__auto_type b_ = (b);                                          \
		a_ < b_ ? a_ : b_;                                             \
	})
#define MAX(a, b)                                                              \
	__extension__({                                                        \
		__auto_type c_ = (a);                                          \
		__auto_type d_ = (b);                                          \
		c_ > d_ ? c_ : d_;                                             \
	})

#define _cleanup_(f) __attribute__((cleanup(f)))

#define TAKE_PTR(p)                                                            \
	__extension__({                                                        \
		__auto_type p_ = (p);                                          \
		(p) = NULL;                                                    \
		p_;                                                            \
	})

#define TAKE_FD(fd)                                                            \
	__extension__({                                                        \
		int fd_ = (fd);                                                \
		(fd) = -1;                                                     \
		fd_;                                                           \
	})

/* Close @fd if it is open; errno is preserved. Always returns -1. */
static inline int close_fd(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	close_fd(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define _cleanup_free_	   _cleanup_(cleanup_free)
#define _cleanup_close_	   _cleanup_(cleanup_close)
#define _cleanup_fclose_   _cleanup_(cleanup_fclose)
#define _cleanup_closedir_ _cleanup_(cleanup_closedir)

/* Define `void name##p(type **)` for _cleanup_() from a free function. */
#define DEFINE_CLEANUP(type, func)                                             \
	static inline void func##p(type **p)                                   \
	{                                                                      \
		if (*p)                                                        \
			func(*p);                                              \
	}
