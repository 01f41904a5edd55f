/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * enrol-queue - operations in other processes, one after the other
 *
 * The queue in front of one injector: cuts an operation into requests, writes
 * the ledger before each that marks something, goes on where a stop was long
 * enough (INJECT_MORE), and starts a new injector when the old one is gone. In
 * a dry run there is no injector and every operation succeeds without being
 * made. What its functions do is said of those of enrol.h, which has the
 * queues.
 */
#pragma once

#include "enrol.h"

struct enrol_queue;

int enrol_queue_new(sd_event *event, struct ledger *ledger, const char *path,
		    struct enrol_queue **ret);

/*
 * One with an injector of its own from the keeper of @of, which must outlive
 * all that is submitted. @idle (or NULL) is called when it has had nothing to
 * do for a second, and may free it. Return: 0 or negative errno, -ESRCH if @of
 * has no injector.
 */
int enrol_queue_beside(const struct enrol_queue *of,
		       void (*idle)(void *userdata), void *userdata,
		       struct enrol_queue **ret);

/* What is still there is answered INJECT_RETRY, and nothing more is taken. */
struct enrol_queue *enrol_queue_free(struct enrol_queue *queue);

bool enrol_queue_is_able(const struct enrol_queue *queue, const char **ret_why);
pid_t enrol_queue_pid(const struct enrol_queue *queue);
pid_t enrol_queue_keeper_pid(const struct enrol_queue *queue);

int enrol_queue_submit(struct enrol_queue *queue, struct watched *watched,
		       enum inject_op op, const struct range *ranges, size_t n,
		       enrol_done_fn done, void *userdata);
unsigned int enrol_queue_pending(const struct enrol_queue *queue);
bool enrol_queue_has(const struct enrol_queue *queue,
		     const struct watched *watched);
void enrol_queue_cancel(struct enrol_queue *queue,
			const struct watched *watched);

/* Add what it has done to @sum. */
void enrol_queue_count(const struct enrol_queue *queue,
		       struct enrol_counters *sum);
