/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explaining - what the daemon knows of why a process merges or does not
 */
#pragma once

#include <stddef.h>

#include <ksmd-plus/inject.h>
#include <ksmd-plus/status.h>

struct track;
struct watched;

/* The reason that stands for what the injector said. */
enum reason explaining_of_inject(enum inject_reason reason);

/*
 * The one thing that keeps @watched from being enrolled or read in full, or
 * REASON_NONE. *ret_detail (may be NULL) is static or from strerror(), or "".
 */
enum reason explaining_note(const struct track *track,
			    const struct watched *watched,
			    const char **ret_detail);

/* More rows than this are never made. */
#define EXPLAINING_MAX 16

/* All that is known of @watched. Return: how many rows. */
size_t explaining_rows(const struct track *track, const struct watched *watched,
		       struct reason_status ret[EXPLAINING_MAX]);
