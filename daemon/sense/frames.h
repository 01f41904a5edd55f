/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames - what the kernel says about single frames
 *
 * /proc/kpagecount and /proc/kpageflags. Both are root's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "files.h"

struct frames {
	int counts; /* /proc/kpagecount */
	int flags; /* /proc/kpageflags */
	bool ksm_flag; /* kfeat's kpf_ksm: KPF_KSM can be believed */
};

#define FRAMES_NONE                                                            \
	(struct frames)                                                        \
	{                                                                      \
		.counts = -1, .flags = -1                                      \
	}

/* 0 or negative errno, then *ret is untouched. */
int frames_open(const struct root *root, bool ksm_flag, struct frames *ret);
void frames_close(struct frames *frames);

/*
 * Whether frame @pfn is a merged page, no part of a larger one, that is mapped
 * exactly @mappings times. Where the kernel cannot tell merged pages from
 * others, any anonymous page will do.
 */
bool frames_is_merged(const struct frames *frames, uint64_t pfn,
		      uint32_t mappings);

/* The frame that untouched memory is read from, or 0: not known. */
uint64_t frames_zero_pfn(const struct root *root);
