/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faults - a library that lets calls to the system fail, one at each place
 *
 * Preloaded into ksmd-plus and its injector, it stands before every function
 * of boundary.def. Where a call comes from is told by its return address and
 * those of the two callers above it that lie in the program (all of it is
 * built with frame pointers). Each place is entered into the file
 * $FAULTS.PROGRAM, see sites.h; a place with a plan fails once, at its first
 * call. Not two within 2 ms, so that each failure has its own consequences.
 *
 * All calls come through one piece of assembler, which keeps the arguments of
 * any signature as they are. Only for x86-64.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sites.h"

#define SPACING_NSEC 2000000ULL
/* What is written to a knob of the kernel is shorter, a ledger's line longer. */
#define KNOB_BYTES 12
/* Frames further apart than this are not frames. */
#define FRAME_MAX (256UL << 10)

enum how { NULLS, MINUS, PLUS, NEGATIVE, DONE };

/* As the assembler below leaves them on the stack. */
struct arguments {
	uint64_t xmm[16];
	uint64_t rdi, rsi, rdx, rcx, r8, r9, rax;
	uint64_t real; /* where to go on, or what to return */
};

struct call {
	const char *name;
	enum how how;
	int16_t classes[SITES_CLASSES];
	void *real;
};

struct frame {
	const struct frame *up;
	uintptr_t address;
};

struct module {
	uintptr_t start, end, base;
};

static struct call calls[] = {
#define CALL(name, how, ...) { #name, how, { __VA_ARGS__ }, NULL },
#include "boundary.def"
#undef CALL
};
#define N_CALLS (sizeof(calls) / sizeof(calls[0]))
static_assert(N_CALLS <= SITES_CALLS, "room for all");

static struct sites *sites;
static struct module modules[SITES_MODULES];
static size_t n_modules;
static __thread bool inside __attribute__((tls_model("initial-exec")));

uint64_t faults_enter(struct arguments *a, uint64_t n,
		      const struct frame *frame);

/* The stubs: number in r11, then the common way. */
#define STRING_(x) #x
#define STRING(x)  STRING_(x)
enum {
#define CALL(name, how, ...) N_##name,
#include "boundary.def"
#undef CALL
};
#define CALL(name, how, ...)                                                   \
	__attribute__((naked, used)) static void stub_##name(void)             \
	{                                                                      \
		__asm__(".globl " STRING(name) "\n" STRING(                    \
			name) ":\n"                                            \
			      "mov %0, %%r11d\n"                               \
			      "jmp faults_common\n" ::"i"(N_##name));          \
	}
#include "boundary.def"
#undef CALL

__asm__(".text\n"
	"faults_common:\n"
	"push %rbp\n"
	"mov %rsp, %rbp\n"
	"sub $192, %rsp\n"
	"movups %xmm0, (%rsp)\n"
	"movups %xmm1, 16(%rsp)\n"
	"movups %xmm2, 32(%rsp)\n"
	"movups %xmm3, 48(%rsp)\n"
	"movups %xmm4, 64(%rsp)\n"
	"movups %xmm5, 80(%rsp)\n"
	"movups %xmm6, 96(%rsp)\n"
	"movups %xmm7, 112(%rsp)\n"
	"mov %rdi, 128(%rsp)\n"
	"mov %rsi, 136(%rsp)\n"
	"mov %rdx, 144(%rsp)\n"
	"mov %rcx, 152(%rsp)\n"
	"mov %r8, 160(%rsp)\n"
	"mov %r9, 168(%rsp)\n"
	"mov %rax, 176(%rsp)\n"
	"mov %rsp, %rdi\n"
	"mov %r11d, %esi\n"
	"mov %rbp, %rdx\n"
	"call faults_enter\n"
	"test %rax, %rax\n"
	"jnz 1f\n"
	"movups (%rsp), %xmm0\n"
	"movups 16(%rsp), %xmm1\n"
	"movups 32(%rsp), %xmm2\n"
	"movups 48(%rsp), %xmm3\n"
	"movups 64(%rsp), %xmm4\n"
	"movups 80(%rsp), %xmm5\n"
	"movups 96(%rsp), %xmm6\n"
	"movups 112(%rsp), %xmm7\n"
	"mov 128(%rsp), %rdi\n"
	"mov 136(%rsp), %rsi\n"
	"mov 144(%rsp), %rdx\n"
	"mov 152(%rsp), %rcx\n"
	"mov 160(%rsp), %r8\n"
	"mov 168(%rsp), %r9\n"
	"mov 176(%rsp), %rax\n"
	"mov 184(%rsp), %r11\n"
	"leave\n"
	"jmp *%r11\n"
	"1: mov 184(%rsp), %rax\n"
	"leave\n"
	"ret\n");

static uint64_t now_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts); /* no call that a filter sees */
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *real_of(struct call *call)
{
	void *real = call->real;

	if (!real) {
		real = dlsym(RTLD_NEXT, call->name);
		call->real = real;
	}
	return real;
}

/* module << 48 | offset; the program is module 0. */
static uint64_t place_of(uintptr_t address)
{
	for (size_t i = 0; i < n_modules; i++)
		if (address >= modules[i].start && address < modules[i].end)
			return (uint64_t)i << 48 | (address - modules[i].base);
	return ~0ULL;
}

static void frames_walk(const struct frame *frame, struct site *site)
{
	uint64_t place = place_of(frame->address);

	site->frames[site->n_frames++] = place;
	while (site->n_frames < SITES_FRAMES - 1) {
		const struct frame *up = frame->up;

		if ((uintptr_t)up <= (uintptr_t)frame || (uintptr_t)up % 8 ||
		    (uintptr_t)up - (uintptr_t)frame > FRAME_MAX)
			return;
		place = place_of(up->address);
		if (place >> 48)
			return;
		site->frames[site->n_frames++] = place;
		frame = up;
	}
}

static uint64_t key_of(const struct site *site)
{
	uint64_t key = 14695981039346656037ULL ^ site->call;

	for (int i = 0; i < site->n_frames; i++)
		key = (key ^ site->frames[i]) * 1099511628211ULL ^ key >> 29;
	return key ? key : 1;
}

static struct site *site_get(const struct site *wanted)
{
	for (size_t i = wanted->key % SITES_MAX, n = 0; n < SITES_MAX;
	     i = (i + 1) % SITES_MAX, n++) {
		struct site *site = &sites->slots[i];
		uint64_t found = 0;

		if (__atomic_compare_exchange_n(&site->key, &found, wanted->key,
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST)) {
			site->call = wanted->call;
			site->n_frames = wanted->n_frames;
			memcpy(site->frames, wanted->frames,
			       sizeof(site->frames));
			return site;
		}
		if (found == wanted->key)
			return site;
	}
	return NULL;
}

/* Whether the call from this place shall fail now; its class. */
static int fails(struct site *site)
{
	uint64_t now = now_nsec();
	uint32_t none = 0;

	if (__atomic_add_fetch(&site->n_calls, 1, __ATOMIC_RELAXED) == 0 ||
	    !site->plan || site->n_fired)
		return 0;
	if (now < __atomic_load_n(&sites->fired_nsec, __ATOMIC_SEQ_CST) +
			  SPACING_NSEC)
		return 0;
	if (!__atomic_compare_exchange_n(&site->n_fired, &none, 1, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return 0;
	__atomic_store_n(&sites->fired_nsec, now, __ATOMIC_SEQ_CST);
	site->order = __atomic_add_fetch(&sites->n_fired, 1, __ATOMIC_SEQ_CST);
	return calls[site->call].classes[site->plan - 1];
}

/* The only way in which the kernel refuses what is asked of a held thread. */
static void kill_target(pid_t tid)
{
	uint32_t n = __atomic_fetch_add(&sites->n_victims, 1, __ATOMIC_SEQ_CST);

	if (n < SITES_VICTIMS)
		sites->victims[n] = tid;
	syscall(SYS_tkill, tid, SIGKILL);
}

/* As old kernels answer, or refuse before anything has been done. */
static bool ptrace_refuses(uint64_t request, int *ret_errno)
{
	switch (request) {
	case 0x420f: /* PTRACE_GET_RSEQ_CONFIGURATION */
	case 0x4211: /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG */
		*ret_errno = EIO;
		return true;
	case PTRACE_SEIZE:
	case PTRACE_SETOPTIONS:
		*ret_errno = EPERM;
		return true;
	default:
		return false;
	}
}

static bool is_injector(void)
{
	return strstr(program_invocation_short_name, "injector");
}

static uint64_t after(const struct arguments *a, const struct call *call)
{
	long (*real)(uint64_t) = (long (*)(uint64_t))(uintptr_t)call->real;

	real(a->rdi);
	return (uint64_t)-1;
}

/* 0: go on to the real one, whose arguments may be others now. */
static uint64_t failure(struct arguments *a, const struct call *call, int class)
{
	if (class == DEATH && call == &calls[N_ptrace]) {
		if (!ptrace_refuses(a->rdi, &class)) {
			kill_target((pid_t)a->rsi);
			return 0;
		}
	} else if (class == DEATH) {
		if (is_injector()) {
			kill_target((pid_t)a->rdi);
			return 0;
		}
		class = ECHILD;
	} else if (class == SHORT && call == &calls[N_write] &&
		   a->rdx < KNOB_BYTES) {
		class = EIO; /* the kernel takes all or nothing */
	} else if (class == SHORT) {
		a->rdx = call == &calls[N_getrandom] ? a->rdx : a->rdx / 2;
		if (call == &calls[N_getrandom])
			a->rsi /= 2;
		return 0;
	} else if (class == END) {
		a->real = 0;
		return 1;
	}
	errno = class;
	switch (call->how) {
	case NULLS:
		a->real = 0;
		break;
	case MINUS:
		a->real = (uint64_t)-1;
		break;
	case PLUS:
		a->real = (uint64_t) class;
		break;
	case NEGATIVE:
		a->real = (uint64_t)(int64_t) - class;
		break;
	case DONE:
		a->real = after(a, call);
		errno = class;
		break;
	}
	return 1;
}

uint64_t faults_enter(struct arguments *a, uint64_t n,
		      const struct frame *frame)
{
	struct site wanted = { .call = (uint16_t)n }, *site;
	int class = 0, saved = errno;
	uint64_t r = 0;

	a->real = (uint64_t)(uintptr_t)real_of(&calls[n]);
	if (!sites || inside)
		return 0;
	inside = true;
	frames_walk(frame, &wanted);
	wanted.key = key_of(&wanted);
	site = site_get(&wanted);
	if (site)
		class = fails(site);
	errno = saved;
	if (class)
		r = failure(a, &calls[n], class);
	inside = false;
	return r;
}

static int module_add(struct dl_phdr_info *info, size_t size, void *userdata)
{
	struct module *m = &modules[n_modules];
	const char *slash = strrchr(info->dlpi_name, '/');

	(void)size;
	(void)userdata;
	if (n_modules == SITES_MODULES)
		return 1;
	*m = (struct module){ .start = UINTPTR_MAX, .base = info->dlpi_addr };
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		m->start = info->dlpi_addr + p->p_vaddr;
		m->end = m->start + p->p_memsz;
	}
	snprintf(sites->modules[n_modules++], sizeof(sites->modules[0]), "%s",
		 slash ? slash + 1 : info->dlpi_name);
	return 0;
}

static void tables_fill(void)
{
	for (size_t i = 0; i < N_CALLS; i++) {
		snprintf(sites->calls[i].name, sizeof(sites->calls[i].name),
			 "%s", calls[i].name);
		memcpy(sites->calls[i].classes, calls[i].classes,
		       sizeof(calls[i].classes));
	}
	dl_iterate_phdr(module_add, NULL);
}

__attribute__((constructor)) static void faults_init(void)
{
	const char *path = getenv("FAULTS");
	char name[4096];
	void *p;
	int fd;

	inside = true;
	for (size_t i = 0; i < N_CALLS; i++)
		real_of(&calls[i]);
	snprintf(name, sizeof(name), "%s.%s", path ? path : "",
		 program_invocation_short_name);
	fd = path ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC)
		  : -1;
	if (fd >= 0) {
		p = (void *)syscall(SYS_mmap, NULL, sizeof(struct sites),
				    PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p != MAP_FAILED) {
			sites = p;
			tables_fill();
		}
		syscall(SYS_close, fd);
	}
	inside = false;
}
