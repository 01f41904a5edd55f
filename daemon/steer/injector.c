/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <ksmd-plus/inject.h>

#include "advise.h"
#include "attempt.h"
#include "cleanup.h"
#include "clock.h"
#include "injectee.h"
#include "pick.h"
#include "pieces.h"
#include "spare.h"

/* Stops for one request, before the daemon is asked to ask again. */
#define MAX_STOPS 4

/*
 * But one range is finished at least, or a large one would never be: 4,096
 * stops un-mark 2 GiB of nothing but merged pages.
 */
#define MAX_STOPS_RANGE 4096

/* How often a stop that came at a bad moment is tried again at once. */
#define MAX_TRIES 4

/* How often we come back for a page that we have left in the target. */
#define MAX_CLEANUPS 50

/*
 * The target runs for at least this long, and for ten times the last hold; for
 * no more than a second: such a hold was long because the whole machine stood
 * still, and the daemon's end would have to wait for us.
 */
#define PAUSE_NSEC     (1000 * NSEC_PER_USEC)
#define PAUSE_TIMES    10
#define PAUSE_MAX_NSEC NSEC_PER_SEC

struct service {
	const struct root *root;
	bool vectors;
	struct process_id last; /* whose @spare is */
	struct spare spare;
};

/* A request, and how far it is. */
struct job {
	const struct inject_request *request;
	struct inject_reply *reply;
	struct injectee injectee;
	struct pieces_cursor cursor;
	struct pieces pieces;
	bool vectors;
};

static bool has_ranges(uint32_t op)
{
	return op == INJECT_MERGEABLE || op == INJECT_UNMERGEABLE;
}

static bool request_is_valid(const struct inject_request *q)
{
	if (q->op < INJECT_MERGEABLE || q->op > INJECT_PROBE || q->reserved ||
	    q->pid <= 0 || q->n_ranges > INJECT_MAX_RANGES ||
	    has_ranges(q->op) != (q->n_ranges > 0))
		return false;
	for (uint32_t i = 0; i < q->n_ranges; i++) {
		const struct range *r = &q->ranges[i];

		if (r->start >= r->end || r->end > INT64_MAX ||
		    (r->start | r->end) % PAGE_BYTES)
			return false;
	}
	return true;
}

static void pause_nsec(uint64_t nsec)
{
	const struct timespec ts = { .tv_sec = (time_t)(nsec / NSEC_PER_SEC),
				     .tv_nsec = (long)(nsec % NSEC_PER_SEC) };

	nanosleep(&ts, NULL);
}

static void pause_after(uint64_t hold_nsec)
{
	uint64_t nsec = MAX(PAUSE_NSEC, hold_nsec * PAUSE_TIMES);

	pause_nsec(MIN(nsec, PAUSE_MAX_NSEC));
}

/* Hold some thread once, for @op. The verdict is in *a and in the reply. */
static void attempt_once(struct job *job, uint32_t op, struct attempt *a)
{
	struct inject_reply *reply = job->reply;
	int r;

	*a = (struct attempt){
		.injectee = &job->injectee,
		.op = op,
		.pieces = &job->pieces,
		.vectors = job->vectors,
	};
	r = pick_thread(job->injectee.dir, &a->tid);
	if (r) {
		a->result = INJECT_RETRY;
		a->reason = (enum inject_reason)r;
	} else {
		attempt_run(a);
	}
	if (a->result != INJECT_DONE && a->result != INJECT_MORE &&
	    injectee_is_gone(&job->injectee))
		a->result = INJECT_GONE;
	reply->n_stops += a->hold_nsec > 0;
	reply->n_repaired += a->repaired;
	reply->hold_nsec = MAX(reply->hold_nsec, a->hold_nsec);
}

/*
 * Moments pass by themselves; other reasons to retry take longer. A thread
 * that we saw waiting for a lock is a moment, one that we waited for is not.
 */
static bool worth_another_try(const struct attempt *a)
{
	return a->result == INJECT_RETRY &&
	       (a->reason == INJECT_REASON_SIGNAL ||
		a->reason == INJECT_REASON_RSEQ ||
		a->reason == INJECT_REASON_NO_THREAD ||
		(a->reason == INJECT_REASON_NOT_STOPPING && !a->tid));
}

static bool may_go_on(const struct job *job, uint32_t n_stops)
{
	return n_stops < MAX_STOPS ||
	       (job->cursor.n_done == 0 && n_stops < MAX_STOPS_RANGE);
}

/*
 * Whether the target has mappings to spare for what is left of the request;
 * without, a page of it for our vector could be one too many as well.
 */
static bool has_room(struct service *s, struct job *job)
{
	const struct inject_request *q = job->request;
	uint64_t n_left = q->n_ranges - job->cursor.n_done;
	bool room;

	if (!has_ranges(q->op))
		return true;
	room = spare_has(&s->spare, s->root, job->injectee.dir,
			 q->op == INJECT_MERGEABLE ? 2 * n_left : 0);
	job->vectors &= room;
	return room || q->op != INJECT_MERGEABLE;
}

/* Attempts until all is done, enough is done or it cannot go on. */
static void attempt_all(struct service *s, struct job *job, struct attempt *a)
{
	const struct inject_request *q = job->request;
	uint32_t n_stops = 0, n_tries = 0;

	for (;;) {
		if (!has_room(s, job)) {
			*a = (struct attempt){ .result = INJECT_FAILED };
			job->reply->error = ENOMEM;
			return;
		}
		if (has_ranges(q->op))
			pieces_cut(q, &job->cursor, job->injectee.pagemap,
				   &job->pieces);
		attempt_once(job, q->op, a);
		pieces_advance(&job->pieces, a->n_done, &job->cursor);
		if (q->op == INJECT_MERGEABLE)
			spare_take(&s->spare, 2 * a->n_done);
		if (a->error)
			job->reply->error = a->error;
		if (a->n_done > 0)
			n_tries = 0;
		if (a->result == INJECT_DONE &&
		    job->cursor.n_done < q->n_ranges)
			a->result = INJECT_MORE;
		if (a->result == INJECT_MORE
			    ? !may_go_on(job, ++n_stops)
			    : !worth_another_try(a) || ++n_tries >= MAX_TRIES)
			return;
		pause_after(a->hold_nsec);
	}
}

/* A signal may have come before the page for the vector was unmapped. */
static void clean_up(struct job *job)
{
	struct attempt a;

	for (int i = 0; job->injectee.scratch && i < MAX_CLEANUPS; i++) {
		attempt_once(job, 0, &a);
		if (a.result == INJECT_GONE)
			return;
		if (job->injectee.scratch)
			pause_after(a.hold_nsec);
	}
}

static int open_injectee(const struct service *s, struct job *job, int pidfd)
{
	const struct inject_request *q = job->request;
	uint32_t *reason = &job->reply->reason;
	int r = 0;

	for (int i = 0; i < MAX_TRIES; i++) {
		if (i > 0)
			pause_nsec(PAUSE_NSEC);
		*reason = INJECT_REASON_NONE;
		r = injectee_open(s->root, q, pidfd, &job->injectee, reason);
		if (r != INJECTEE_REASON ||
		    (*reason != INJECT_REASON_NO_THREAD &&
		     *reason != INJECT_REASON_NOT_STOPPING))
			break;
	}
	return r;
}

static void serve(struct service *s, const struct inject_request *q, int pidfd,
		  struct inject_reply *reply)
{
	struct job job = { .request = q,
			   .reply = reply,
			   .injectee = INJECTEE_NONE,
			   .vectors = s->vectors };
	struct attempt a = { 0 };
	int r = open_injectee(s, &job, pidfd);

	if (r) {
		reply->result = r == INJECTEE_GONE     ? INJECT_GONE
				: r == INJECTEE_NEVER  ? INJECT_SKIP
				: r == INJECTEE_REASON ? INJECT_RETRY
						       : INJECT_FAILED;
		reply->error = r < 0 ? -r : 0;
		return;
	}
	if (q->pid != s->last.pid || q->start_time != s->last.start_time)
		s->spare = (struct spare){ 0 };
	s->last = (struct process_id){ q->pid, q->start_time };
	attempt_all(s, &job, &a);
	clean_up(&job);
	injectee_close(&job.injectee);
	/* After some progress the target is not untouched any more. */
	if (a.result == INJECT_RETRY && (job.cursor.n_done || job.cursor.next))
		a.result = INJECT_MORE;
	reply->result = a.result;
	reply->reason = a.reason;
	reply->n_done = job.cursor.n_done;
}

/* The one descriptor that came with @msg, or -1; others are closed. */
static int take_descriptor(struct msghdr *msg)
{
	int fds[8], fd = -1;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		for (size_t i = 0; i < n; i++) {
			close_fd(fd);
			fd = fds[i];
		}
	}
	return fd;
}

/*
 * One message. Return: its length, 1 if it is longer than any request, 0 at the
 * end of all, or negative errno; *ret_pidfd is the caller's to close.
 */
static ssize_t receive(int socket, struct inject_request *q, int *ret_pidfd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = { q, sizeof(*q) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	*ret_pidfd = take_descriptor(&msg);
	/* its beginning may look like a request */
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? 1 : n;
}

int injector_run(const struct root *root, int socket, bool single_calls)
{
	struct service s = {
		.root = root,
		.vectors = !single_calls && advise_has_vectors(),
	};

	for (;;) {
		struct inject_reply reply = { .result = INJECT_FAILED,
					      .error = EBADMSG };
		struct inject_request q = { 0 };
		_cleanup_close_ int pidfd = -1;
		ssize_t n = receive(socket, &q, &pidfd);

		if (n <= 0)
			return (int)n;
		reply.cookie = q.cookie;
		if (n == sizeof(q) && pidfd >= 0 && request_is_valid(&q)) {
			reply.error = 0;
			serve(&s, &q, pidfd, &reply);
		}
		if (send(socket, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0
								     : -errno;
	}
}
