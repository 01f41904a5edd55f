/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inject-window - when it matters that the injector is killed, and how long
 *
 * A thread that is let go because its tracer has died runs on with the
 * registers that it has. So there is a window, from the moment at which the
 * injector writes registers of its own into the thread until it has put the
 * thread's back, in which SIGKILL of the injector ends the target; the kernel
 * offers nothing against that. Here it is shown that there is no other: an
 * injector that is always busy is stopped at random instants by SIGSTOP, which
 * it cannot block, looked at, and killed as it stands. The share of instants
 * that are in the window, of the time that so many holds take, is the window's
 * length. INSTANTS=N for more.
 *
 * test-timeout: 600
 */
#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "injecting.h"
#include "tracee-arch.h"

#define N_INSTANTS  120
#define LOOKS	    4 /* at one injector; then it is killed */
#define VDSO_BYTES  32768
#define MAX_THREADS 8
#define STOP_MSEC   20000
#define TRACEE_MSEC 500
#define DEATH_MSEC  2000
#define LOOK_MSEC   6 /* between two looks, on average */
#define N_SORT	    3
#define MANY	    200
#define BLIND	    MOMENT_MAX_

enum moment { IDLE, ATTACHED, OWN_REGISTERS, WINDOW, UNKNOWN, MOMENT_MAX_ };

/* What is asked of the injector, again and again. */
static const struct sort {
	const char *name;
	unsigned int n_ranges;
	const char *target, *option, *value;
} sorts[N_SORT] = {
	{ "1 range, asleep", 1, "blocked", "--call", "futex-timeout" },
	{ "1 range, running", 1, "ticker", NULL, NULL },
	{ "200 ranges, asleep", MANY, "blocked", "--call", "futex-timeout" },
};

struct tally {
	unsigned int seen[MOMENT_MAX_ + 1]; /* the last: blind kills */
	unsigned int killed[MOMENT_MAX_ + 1]; /* of the injector */
	unsigned int died[MOMENT_MAX_ + 1]; /* of the target */
	uint64_t busy_nsec, n_stops; /* of the instants that were looked at */
};

/* Written by the client, which is killed at any moment. */
static volatile uint64_t *n_stops;
static uint64_t insn; /* how far into the vdso the injector's place is */

static void be_client(const char *path, struct victim *v, unsigned int n,
		      int out)
{
	struct inject *inject = start_injector(path);
	pid_t pid = inject_pid(inject);
	struct inject_request q;
	struct inject_reply a;

	/* When we are killed after it, that is nobody's business. */
	if (!freopen("/dev/null", "w", stderr))
		_exit(1);
	request_pages(v, &q, INJECT_MERGEABLE, 0, n);
	ask(inject, v, &q, &a);
	*n_stops = 0;
	if (write(out, &pid, sizeof(pid)) < 0)
		_exit(1);
	for (unsigned int i = 0;; i++) {
		request_pages(v, &q,
			      i % 2 ? INJECT_MERGEABLE : INJECT_UNMERGEABLE, 0,
			      n);
		ask(inject, v, &q, &a);
		*n_stops += a.n_stops;
	}
}

/* The threads of process @pid; their number. */
static unsigned int threads_of(pid_t pid, pid_t *tids)
{
	unsigned int n = 0;
	struct dirent *de;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && n < MAX_THREADS && (de = readdir(d)))
		if (de->d_name[0] != '.')
			tids[n++] = atoi(de->d_name);
	if (d)
		closedir(d);
	return n;
}

static bool all_stopped(pid_t pid)
{
	pid_t tids[MAX_THREADS];
	unsigned int n = threads_of(pid, tids);

	for (unsigned int i = 0; i < n; i++) {
		char state = state_of(tids[i]);

		if (state != 'T' && state != '?' && state != 'X')
			return false;
	}
	return true;
}

static pid_t tracer_of(pid_t tid)
{
	char path[64], line[256];
	FILE *f;
	int tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (f)
		fclose(f);
	return tracer;
}

static uint64_t vdso_of(pid_t pid)
{
	Elf64_auxv_t auxv[64];
	uint64_t at = 0;
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, auxv, sizeof(auxv));
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(auxv[0]); i++)
		if (auxv[i].a_type == AT_SYSINFO_EHDR)
			at = auxv[i].a_un.a_val;
	return at;
}

/* The program counter of a thread that stands still: its file's last word. */
static bool pc_of(pid_t tid, uint64_t *ret)
{
	char path[64], line[256] = "";
	const char *last;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	last = strrchr(line, ' ');
	if (!last)
		return false;
	*ret = strtoull(last + 1, NULL, 16);
	return true;
}

static enum moment moment_of_thread(const struct victim *v, pid_t tid)
{
	uint64_t pc, at;

	for (int i = 0; state_of(tid) != 't'; i++) {
		/* Asleep in its own call it has not been told to stop yet. */
		if (i >= TRACEE_MSEC)
			return state_of(tid) == 'S' ? ATTACHED : UNKNOWN;
		sleep_msec(1);
	}
	if (!pc_of(tid, &pc))
		return UNKNOWN;
	at = pc - vdso_of(v->pid) - insn;
	return at == 0 || at == tracee_arch.insn_len ? WINDOW : OWN_REGISTERS;
}

/* What the injector, which stands still, was doing. */
static enum moment moment_of(const struct victim *v, pid_t injector)
{
	pid_t tracers[MAX_THREADS], tids[MAX_THREADS];
	unsigned int n_tracers = threads_of(injector, tracers);
	unsigned int n = threads_of(v->pid, tids);

	for (unsigned int i = 0; i < n; i++) {
		pid_t tracer = tracer_of(tids[i]);

		for (unsigned int k = 0; tracer && k < n_tracers; k++)
			if (tracers[k] == tracer)
				return moment_of_thread(v, tids[i]);
	}
	return IDLE;
}

static bool is_dead(const struct victim *v, unsigned int patience_msec)
{
	siginfo_t info = { 0 };

	for (unsigned int i = 0;; i++) {
		waitid(P_PID, (id_t)v->pid, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid || i >= patience_msec)
			return info.si_pid != 0;
		sleep_msec(1);
	}
}

/* A client whose injector is at work. */
static pid_t client_start(const char *path, struct victim *v, unsigned int n,
			  pid_t *ret_injector)
{
	int fd[2];
	pid_t client;

	if (pipe2(fd, O_CLOEXEC) < 0)
		err(2, "pipe");
	client = fork();
	if (client == 0)
		be_client(path, v, n, fd[1]);
	close(fd[1]);
	if (read(fd[0], ret_injector, sizeof(*ret_injector)) !=
	    sizeof(*ret_injector))
		errx(2, "the client did not start");
	close(fd[0]);
	return client;
}

/* Stop an injector at work and look at it. */
static enum moment look_at(const struct victim *v, pid_t injector,
			   struct tally *tally)
{
	uint64_t start = clock_nsec(CLOCK_MONOTONIC);
	enum moment moment;

	usleep((useconds_t)random() % (2 * LOOK_MSEC * 1000));
	kill(injector, SIGSTOP);
	tally->busy_nsec += clock_nsec(CLOCK_MONOTONIC) - start;
	for (int i = 0; !all_stopped(injector); i++) {
		if (i > STOP_MSEC)
			errx(2, "the injector does not stop");
		sleep_msec(1);
	}
	moment = moment_of(v, injector);
	tally->seen[moment]++;
	return moment;
}

/*
 * Kill an injector at a random instant, blindly or after some looks at it.
 * What it was doing then, or BLIND.
 */
static enum moment strike(const char *path, struct victim *v, unsigned int n,
			  bool look, struct tally *tally)
{
	enum moment moment = BLIND;
	pid_t injector, client = client_start(path, v, n, &injector);

	if (!look) {
		usleep((useconds_t)random() % (2 * LOOK_MSEC * 1000));
		tally->seen[BLIND]++;
	}
	for (int i = 0; look && i < LOOKS; i++) {
		if (i > 0)
			kill(injector, SIGCONT);
		moment = look_at(v, injector, tally);
	}
	tally->n_stops += look ? *n_stops : 0;
	kill(injector, SIGKILL);
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	waitpid(injector, NULL, 0);
	tally->killed[moment]++;
	return moment;
}

static bool start(struct victim *v, const struct sort *sort)
{
	return victim_start(v, sort->name, sort->target, sort->option,
			    sort->value);
}

/* @n kills; false where the target cannot run here. */
static bool strikes(const char *path, const struct sort *sort, unsigned int n,
		    bool look, struct tally *tally)
{
	struct victim v;

	if (!start(&v, sort))
		return false;
	for (unsigned int i = 0; i < n; i++) {
		enum moment m = strike(path, &v, sort->n_ranges, look, tally);
		bool expected = m == WINDOW, dead;

		dead = is_dead(&v, expected ? DEATH_MSEC : m == BLIND ? 20 : 5);
		if (!dead && !expected && i + 1 < n)
			continue;
		/* The last one shows that it was well all the time. */
		dead = !is_intact(victim_stop(&v));
		tally->died[m] += dead;
		if (i + 1 < n && !start(&v, sort))
			return false;
	}
	return true;
}

static void verdicts(const struct sort *sort, const struct tally *t)
{
	unsigned int n = 0, harmed = 0, in = t->seen[WINDOW];
	double usec = (double)t->busy_nsec / 1000 / (double)t->n_stops;
	char name[128];

	for (int m = 0; m < BLIND; m++) {
		n += t->seen[m];
		harmed += m == WINDOW || m == UNKNOWN ? 0 : t->died[m];
	}
	printf("# %s: of %u instants %u holding nobody, %u attached, %u "
	       "holding with its own registers, %u in the window, %u unknown\n",
	       sort->name, n, t->seen[IDLE], t->seen[ATTACHED],
	       t->seen[OWN_REGISTERS], in, t->seen[UNKNOWN]);
	printf("# %s: a hold every %.0f us, %.0f us of each in the window; "
	       "killed there %u, died %u; outside %u, died %u; at any "
	       "instant %u, died %u\n",
	       sort->name, usec, usec * in / n, t->killed[WINDOW],
	       t->died[WINDOW],
	       t->killed[IDLE] + t->killed[ATTACHED] + t->killed[OWN_REGISTERS],
	       harmed, t->killed[BLIND], t->died[BLIND]);
	snprintf(name, sizeof(name),
		 "%s: nobody notices a kill outside of the window", sort->name);
	check(!harmed, name, "%u did", harmed);
	snprintf(name, sizeof(name), "%s: the window is seen, and has an end",
		 sort->name);
	check(in > 0 && in < n, name, "%u of %u", in, n);
}

static void find_insn(void)
{
	const char *vdso = (const char *)getauxval(AT_SYSINFO_EHDR);

	while (vdso && insn < VDSO_BYTES &&
	       memcmp(vdso + insn, tracee_arch.insn, tracee_arch.insn_len))
		insn += tracee_arch.insn_align;
}

int main(void)
{
	const char *instants = getenv("INSTANTS");
	unsigned int n = instants ? (unsigned int)atoi(instants) : N_INSTANTS;
	const struct rlimit none = { 0, 0 };
	char path[600];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0 || !getauxval(AT_SYSINFO_EHDR)) {
		puts("1..0 # SKIP needs root and a vdso");
		return 0;
	}
	find_insn();
	srandom((unsigned int)time(NULL));
	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		err(2, "PR_SET_CHILD_SUBREAPER");
	n_stops = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (n_stops == MAP_FAILED)
		err(2, "mmap");
	snprintf(path, sizeof(path), "%s", build_path("ksmd-plus-injector"));
	for (int i = 0; i < N_SORT; i++) {
		struct tally tally = { 0 };

		if (strikes(path, &sorts[i], n / LOOKS, true, &tally) &&
		    strikes(path, &sorts[i], n / LOOKS, false, &tally))
			verdicts(&sorts[i], &tally);
	}
	return n_failed > 0;
}
