/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * enrol - marks and unmarks ranges of other processes
 *
 * Two queues (enrol-queue.h): a guest gets its memory back at 100 MB/s, and who
 * is to be enrolled does not wait for that. The second one, and its injector,
 * are there while somebody is un-marked. What is about the same process is done
 * in its order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include <ksmd-plus/inject.h>

struct enrol;
struct ledger;
struct watched;

struct enrol_outcome {
	enum inject_result result; /* DONE, RETRY, SKIP, GONE or FAILED */
	enum inject_reason reason;
	int error; /* positive errno of the kernel's refusal */
	/* what was marked: the first @n_done of @ranges, valid during the
	 * call; none in a dry run */
	const struct range *ranges;
	size_t n_done;
};

/* Called once for each operation, from the loop. */
typedef void (*enrol_done_fn)(void *userdata, struct watched *watched,
			      const struct enrol_outcome *outcome);

struct enrol_counters {
	uint64_t requests; /* made of the injector */
	uint64_t stops;
	uint64_t repaired; /* interrupted calls made again */
	uint64_t hold_max_nsec;
	uint64_t cpu_usec; /* of all injectors so far */
};

/*
 * Before there are threads. @path: of the injector; NULL for a dry run. A
 * missing injector is no error: enrol_is_able() is false then, operations are
 * answered INJECT_RETRY, un-marking some seconds later only, and it is looked
 * for again and again. Where nobody is left who could start one, the loop is
 * ended with a failure.
 */
int enrol_new(sd_event *event, struct ledger *ledger, const char *path,
	      struct enrol **ret);

/*
 * One more queue, for what is done in several processes at a time; its keeper
 * is that of @of, which must outlive all that is submitted. Return: 0 or
 * negative errno, -ESRCH if @of has no injector.
 */
int enrol_new_helper(struct enrol *of, struct enrol **ret);
struct enrol *enrol_free(struct enrol *enrol);

/* Whether there is an injector; why not, in words, if @ret_why is given. */
bool enrol_is_able(const struct enrol *enrol, const char **ret_why);
pid_t enrol_pid(const struct enrol *enrol);
/* Of the process that starts injectors; 0 in a dry run. */
pid_t enrol_keeper_pid(const struct enrol *enrol);

/*
 * Queue @op on @ranges (copied) of @watched (a reference is kept until done).
 * 0, -ENOMEM, or -ESHUTDOWN while it is freed: then @done is not called.
 */
int enrol_submit(struct enrol *enrol, struct watched *watched,
		 enum inject_op op, const struct range *ranges, size_t n,
		 enrol_done_fn done, void *userdata);

/*
 * Mark no more of @watched, or with NULL of anybody, than has been sent, which
 * stands in the ledger: what is to be taken back is known from there. @done
 * says INJECT_RETRY.
 */
void enrol_cancel(struct enrol *enrol, const struct watched *watched);

/* Operations not done yet; whether one of them is about @watched. */
unsigned int enrol_pending(const struct enrol *enrol);
bool enrol_has(const struct enrol *enrol, const struct watched *watched);

void enrol_counters(const struct enrol *enrol, struct enrol_counters *ret);
