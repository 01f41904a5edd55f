/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each program is an object of its own, of which the others are switched off:
 * one that the kernel refuses takes nobody along. The maps are ours, and all
 * objects use the same two.
 */
#include "hints.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "files.h"
#include "hints-object.h"
#include "log.h"
#include "rights.h"

#define PROGRAMS_MAX 4U
#define LINKS_MAX    12U
/* PROC_PID_INIT_INO of the kernel: the first of all pid namespaces. */
#define INIT_PID_NS 0xEFFFFFFCU

struct hints {
	int table_fd, ring_fd;
	struct hint_table *table;
	const struct hint *ring;
	size_t ring_bytes;
	uint32_t n_slots;
	uint64_t tail; /* the next hint to be taken */
	struct bpf_object *objects[PROGRAMS_MAX];
	size_t n_objects;
	struct bpf_link *links[LINKS_MAX];
	size_t n_links;
	/* Of a hook that may rest: its program, and its links, which are the
	 * last. */
	enum hints_hook hook;
	struct bpf_program *program;
	size_t first_link;
	bool rests;
};

static const char *const syscalls[] = {
	"sys_exit_read",   "sys_exit_pread64", "sys_exit_readv",
	"sys_exit_preadv", "sys_exit_preadv2", "sys_exit_io_submit",
};

__attribute__((format(printf, 2, 3))) static void
because(struct hints_state *state, const char *fmt, ...)
{
	size_t n = strlen(state->why);
	va_list ap;

	if (n && n < sizeof(state->why))
		n += (size_t)snprintf(state->why + n, sizeof(state->why) - n,
				      "; ");
	if (n >= sizeof(state->why))
		return;
	va_start(ap, fmt);
	vsnprintf(state->why + n, sizeof(state->why) - n, fmt, ap);
	va_end(ap);
}

/* What an errno of libbpf means here. */
static const char *reason(int r)
{
	switch (-r) {
	case ESRCH:
		return "the kernel has no such function, or no BTF";
	case EPERM:
		return "not permitted";
	case EACCES:
		return "refused by the verifier";
	case ENOENT:
		return "not found";
	default:
		return strerror(-r);
	}
}

static int libbpf_says(enum libbpf_print_level level, const char *fmt,
		       va_list ap)
{
	char line[512];

	if (level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("%s", line);
	return 0;
}

/* --- maps ------------------------------------------------------------------ */

static int map_create(const char *name, uint32_t value_bytes, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t),
				value_bytes, n, &opts);

	return fd < 0 ? -errno : fd;
}

static int maps_create(struct hints *h)
{
	void *p;

	h->table_fd = map_create("hints_table", sizeof(struct hint_table), 1);
	if (h->table_fd < 0)
		return h->table_fd;
	h->ring_fd = map_create("hints_ring", sizeof(struct hint), h->n_slots);
	if (h->ring_fd < 0)
		return h->ring_fd;
	p = mmap(NULL, sizeof(struct hint_table), PROT_READ | PROT_WRITE,
		 MAP_SHARED, h->table_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	h->table = p;
	h->ring_bytes = h->n_slots * sizeof(struct hint);
	p = mmap(NULL, h->ring_bytes, PROT_READ, MAP_SHARED, h->ring_fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	h->ring = p;
	h->table->mask = h->n_slots - 1;
	return 0;
}

/* --- programs -------------------------------------------------------------- */

/* Instead of a map of its own @object gets the one that we have. */
static int map_share(struct bpf_object *object, const char *name, int fd)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__reuse_fd(map, fd) : -errno;
}

/* Open the object with nothing but @name in it, on our maps. */
static int object_load(struct hints *h, const char *name,
		       struct bpf_program **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ksmd_plus");
	struct bpf_object *object = bpf_object__open_mem(
		hints_object, (size_t)(hints_object_end - hints_object), &opts);
	struct bpf_program *program, *found = NULL;
	int r;

	if (!object)
		return -errno;
	bpf_object__for_each_program(program, object)
	{
		bool is = !strcmp(bpf_program__name(program), name);

		bpf_program__set_autoload(program, is);
		if (is)
			found = program;
	}
	r = map_share(object, "hints_table", h->table_fd);
	if (!r)
		r = map_share(object, "hints_ring", h->ring_fd);
	if (!r)
		r = bpf_object__load(object);
	if (r) {
		bpf_object__close(object);
		return r;
	}
	h->objects[h->n_objects++] = object;
	*ret = found;
	return 0;
}

static int link_keep(struct hints *h, struct bpf_link *link)
{
	if (!link)
		return -errno;
	h->links[h->n_links++] = link;
	return 0;
}

static int program_attach(struct hints *h, const char *name)
{
	struct bpf_program *program = NULL;
	int r = object_load(h, name, &program);

	return r ? r : link_keep(h, bpf_program__attach(program));
}

/* Let go of all that was attached after the first @n_links. */
static void detach_to(struct hints *h, size_t n_links, size_t n_objects)
{
	while (h->n_links > n_links)
		bpf_link__destroy(h->links[--h->n_links]);
	while (h->n_objects > n_objects)
		bpf_object__close(h->objects[--h->n_objects]);
}

/* --- hooks ----------------------------------------------------------------- */

/* 0 if plain reads are seen; what else is missing is told. */
static int fentry_attach(struct hints *h, struct hints_state *state)
{
	int r = program_attach(h, "hint_read");

	if (r) {
		because(state, "fentry: %s", reason(r));
		return r;
	}
	r = program_attach(h, "hint_readv");
	if (r)
		because(state, "readv is not seen: %s", reason(r));
	r = program_attach(h, "hint_aio");
	if (r)
		because(state, "libaio is not seen: %s", reason(r));
	state->hook = HOOK_FENTRY;
	return 0;
}

/* Hook @h->program, which is loaded; nothing stays if it fails. */
static int costly_link(struct hints *h)
{
	int r = 0;

	h->first_link = h->n_links;
	if (h->hook == HOOK_SYS_EXIT)
		return link_keep(h, bpf_program__attach(h->program));
	for (size_t i = 0; !r && i < ARRAY_SIZE(syscalls); i++)
		r = link_keep(h, bpf_program__attach_tracepoint(
					 h->program, "syscalls", syscalls[i]));
	if (r)
		detach_to(h, h->first_link, h->n_objects);
	return r;
}

static int costly_attach(struct hints *h, enum hints_hook hook,
			 const char *name)
{
	int r = object_load(h, name, &h->program);

	h->hook = hook;
	return r ? r : costly_link(h);
}

static int tracepoint_attach(struct hints *h, struct hints_state *state)
{
	int r = costly_attach(h, HOOK_TRACEPOINT, "hint_syscall");

	if (r) {
		because(state, "tracepoint: %s",
			r == -ENOENT ? HINTS_NO_TRACEFS : reason(r));
		return r;
	}
	state->hook = HOOK_TRACEPOINT;
	return 0;
}

static int sys_exit_attach(struct hints *h, struct hints_state *state)
{
	int r = costly_attach(h, HOOK_SYS_EXIT, "hint_sys_exit");

	if (r) {
		because(state, "sys_exit: %s", reason(r));
		return r;
	}
	state->hook = HOOK_SYS_EXIT;
	return 0;
}

static void hooks_attach(struct hints *h, enum hints_want want,
			 struct hints_state *state)
{
	static const struct {
		int (*attach)(struct hints *h, struct hints_state *state);
		unsigned int wanted; /* bits of enum hints_want */
	} hooks[] = {
		{ fentry_attach, 1U << HINTS_AUTO | 1U << HINTS_FENTRY },
		{ sys_exit_attach, 1U << HINTS_AUTO | 1U << HINTS_TRACEPOINT |
					   1U << HINTS_TRACEPOINT_ANY },
		{ tracepoint_attach, 1U << HINTS_AUTO | 1U << HINTS_TRACEPOINT |
					     1U << HINTS_TRACEPOINT_NAMED },
	};
	size_t n_links = h->n_links, n_objects = h->n_objects;

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (!(hooks[i].wanted & 1U << want))
			continue;
		if (!hooks[i].attach(h, state))
			return;
		detach_to(h, n_links, n_objects);
	}
}

/* Processes have other numbers for the kernel than for us. */
static bool in_pid_namespace(const struct root *root)
{
	struct stat st;

	return fstatat(root->proc, "self/ns/pid", &st, 0) == 0 &&
	       st.st_ino != INIT_PID_NS;
}

int hints_open(const struct root *root, enum hints_want want, uint32_t n_slots,
	       struct hints_state *ret_state, struct hints **ret)
{
	struct hints *h;
	int r;

	*ret_state = (struct hints_state){ .hook = HOOK_NONE };
	if (want == HINTS_OFF || in_pid_namespace(root)) {
		because(ret_state, "%s",
			want == HINTS_OFF ? "switched off"
					  : "we are in a pid namespace");
		return HINTS_ABSENT;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	libbpf_set_print(libbpf_says);
	h->table_fd = h->ring_fd = -1;
	h->n_slots = n_slots;
	r = maps_create(h);
	if (r) {
		because(ret_state, "maps: %s", strerror(-r));
	} else {
		/* the first links are those that never rest */
		r = program_attach(h, "hint_uring");
		hooks_attach(h, want, ret_state);
		ret_state->uring = !r;
		if (r)
			because(ret_state, "io_uring is not seen: %s",
				reason(r));
	}
	if (ret_state->hook == HOOK_NONE) {
		hints_close(h);
		return HINTS_ABSENT;
	}
	*ret = h;
	return 0;
}

struct hints *hints_close(struct hints *h)
{
	if (!h)
		return NULL;
	detach_to(h, 0, 0);
	if (h->table)
		munmap(h->table, sizeof(*h->table));
	if (h->ring)
		munmap((void *)h->ring, h->ring_bytes);
	close_fd(h->table_fd);
	close_fd(h->ring_fd);
	free(h);
	return NULL;
}

uint64_t hints_rights(void)
{
	return RIGHT(CAP_BPF) | RIGHT(CAP_PERFMON);
}

bool hints_is_costly(enum hints_hook hook)
{
	return hook == HOOK_TRACEPOINT || hook == HOOK_SYS_EXIT;
}

int hints_rest(struct hints *h, bool rest)
{
	int r = 0;

	if (!hints_is_costly(h->hook) || h->rests == rest)
		return 0;
	if (rest)
		detach_to(h, h->first_link, h->n_objects);
	else
		r = costly_link(h);
	if (!r)
		h->rests = rest;
	return r;
}

const char *hints_hook_name(enum hints_hook hook)
{
	static const char *const names[] = {
		[HOOK_NONE] = "none",
		[HOOK_FENTRY] = "fentry",
		[HOOK_TRACEPOINT] = "tracepoint",
		[HOOK_SYS_EXIT] = "sys_exit",
	};

	return names[hook];
}

/* --- the table ------------------------------------------------------------- */

static struct hint_watched *place_of(const struct hints *h, uint32_t tgid,
				     uint32_t i)
{
	return &h->table->slots[(tgid + i) & (HINT_SLOTS - 1)];
}

/* The first of the slots of @home that holds @tgid. */
static struct hint_watched *place_find(const struct hints *h, uint32_t home,
				       uint32_t tgid)
{
	for (uint32_t i = 0; i < HINT_PROBES; i++)
		if (place_of(h, home, i)->tgid == tgid)
			return place_of(h, home, i);
	return NULL;
}

int hints_watch(struct hints *h, pid_t pid, uint32_t number)
{
	uint32_t tgid = (uint32_t)pid;
	struct hint_watched *w = place_find(h, tgid, tgid);

	if (!w)
		w = place_find(h, tgid, HINT_TOMB);
	if (!w)
		w = place_find(h, tgid, 0);
	if (!w)
		return HINTS_FULL;
	w->number = number;
	__atomic_store_n(&w->tgid, tgid, __ATOMIC_RELEASE);
	return 0;
}

void hints_unwatch(struct hints *h, pid_t pid)
{
	struct hint_watched *w = place_find(h, (uint32_t)pid, (uint32_t)pid);
	uint32_t at;

	if (!w)
		return;
	/* others may stand behind it */
	at = (uint32_t)(w - h->table->slots);
	__atomic_store_n(&w->tgid, place_of(h, at, 1)->tgid ? HINT_TOMB : 0,
			 __ATOMIC_RELEASE);
}

/* --- the ring -------------------------------------------------------------- */

/* 0: not written yet; 1: taken; -1: overwritten by a later one. */
static int slot_take(const struct hint *slot, uint64_t place, struct hint *out)
{
	uint64_t before = __atomic_load_n(&slot->seq, __ATOMIC_ACQUIRE);
	uint64_t after;

	if (before <= place)
		return 0;
	*out = *(const volatile struct hint *)slot;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	after = __atomic_load_n(&slot->seq, __ATOMIC_RELAXED);
	return before == place + 1 && after == before ? 1 : -1;
}

size_t hints_take(struct hints *h, struct hint *out, size_t max, uint64_t *lost)
{
	uint64_t head = __atomic_load_n(&h->table->head, __ATOMIC_ACQUIRE);
	size_t n = 0;

	if (head - h->tail > h->n_slots) {
		*lost += head - h->tail - h->n_slots;
		h->tail = head - h->n_slots;
	}
	while (n < max && h->tail < head) {
		int r = slot_take(&h->ring[h->tail & (h->n_slots - 1)], h->tail,
				  &out[n]);

		if (r == 0)
			break;
		h->tail++;
		if (r > 0)
			n++;
		else
			(*lost)++;
	}
	return n;
}
