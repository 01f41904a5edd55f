/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * area - memory that holds copies of other processes' pages
 *
 * Not for core dumps, children or swap; never resident before it is used.
 */
#pragma once

#include <stddef.h>

/* @size bytes of zeros, page-aligned, or NULL. */
void *area_map(size_t size);
void area_unmap(void *area, size_t size);
