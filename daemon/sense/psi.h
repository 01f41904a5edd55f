/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * psi - how much of the time somebody waits for memory or a CPU
 */
#pragma once

#include <stdint.h>

#include "files.h"

/* No /proc/pressure here, or it is switched off (psi=0). */
#define PSI_UNKNOWN UINT32_MAX

/*
 * The share of the last ten seconds in which some task waited for @resource
 * ("memory", "cpu", "io"), in hundredths of a percent; or PSI_UNKNOWN.
 */
uint32_t psi_some(const struct root *root, const char *resource);
