/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread - threads beside the loop's
 */
#pragma once

#include <pthread.h>

/*
 * pthread_create(), with all signals blocked in the new thread: they are the
 * loop's. 0 or negative errno.
 */
int thread_start(pthread_t *ret, void *(*run)(void *), void *arg);
