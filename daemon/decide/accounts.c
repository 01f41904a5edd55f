/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "accounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"
#include "vec.h"

/* In each kind the others come first, and count as one of the bound. */
struct groups VEC(struct accounts_group *);

struct accounts {
	struct groups kinds[ACCOUNT_KIND_MAX_];
	struct accounts_group others[ACCOUNT_KIND_MAX_];
};

int accounts_new(struct accounts **ret)
{
	struct accounts *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	for (int k = 0; k < ACCOUNT_KIND_MAX_; k++) {
		a->others[k].kind = (enum account_kind)k;
		utf8_clean(ACCOUNT_OTHERS, a->others[k].name,
			   sizeof(a->others[k].name));
	}
	*ret = a;
	return 0;
}

struct accounts *accounts_free(struct accounts *a)
{
	if (!a)
		return NULL;
	for (int k = 0; k < ACCOUNT_KIND_MAX_; k++) {
		for (size_t i = 0; i < a->kinds[k].n; i++)
			free(a->kinds[k].v[i]);
		vec_free(&a->kinds[k]);
	}
	free(a);
	return NULL;
}

/* FNV-1a. */
static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261U;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619U;
	return h;
}

static void figures_add(struct account *sum, const struct account *a)
{
	sum->broken += a->broken;
	sum->daemon_usec += a->daemon_usec;
	sum->ksmd_usec += a->ksmd_usec;
}

/* The one without processes for the longest time gives way, or NULL. */
static struct accounts_group *oldest(const struct groups *groups)
{
	struct accounts_group *found = NULL;

	for (size_t i = 0; i < groups->n; i++) {
		struct accounts_group *g = groups->v[i];

		if (!g->processes &&
		    (!found || g->used_usec < found->used_usec))
			found = g;
	}
	return found;
}

static struct accounts_group *place_for(struct groups *groups,
					struct accounts_group *others)
{
	struct accounts_group *g;

	if (groups->n + 1 >= ACCOUNT_GROUPS_MAX) {
		g = oldest(groups);
		if (!g)
			return NULL;
		figures_add(&others->book.figures, &g->book.figures);
		others->used_usec = g->used_usec;
		memset(g, 0, sizeof(*g));
		return g;
	}
	g = calloc(1, sizeof(*g));
	if (g && vec_push(groups, g)) {
		free(g);
		return NULL;
	}
	return g;
}

struct accounts_group *accounts_enter(struct accounts *a,
				      enum account_kind kind, const char *name)
{
	struct groups *groups = &a->kinds[kind];
	struct accounts_group *others = &a->others[kind], *g = NULL;
	char clean[ACCOUNT_NAME_SIZE];
	uint32_t hash = hash_of(utf8_clean(name, clean, sizeof(clean)));

	if (!strcmp(clean, others->name))
		g = others;
	for (size_t i = 0; !g && i < groups->n; i++)
		if (groups->v[i]->hash == hash &&
		    !strcmp(groups->v[i]->name, clean))
			g = groups->v[i];
	if (!g) {
		g = place_for(groups, others);
		if (g) {
			g->kind = kind;
			g->hash = hash;
			memcpy(g->name, clean, sizeof(clean));
		}
	}
	g = g ? g : others;
	g->processes++;
	return g;
}

void accounts_leave(struct accounts_group *g, uint64_t now_usec)
{
	g->processes--;
	g->used_usec = now_usec;
}

static void begin(struct accounts_group *g)
{
	g->saved = 0;
	g->profit = 0;
	g->flow = (struct worth_flow){ 0 };
}

static void end(struct accounts_group *g, uint64_t now_usec)
{
	account_look(&g->book, g->saved, g->profit, now_usec);
	worth_add(&g->worth, &g->flow, now_usec);
}

void accounts_begin(struct accounts *a)
{
	for (int k = 0; k < ACCOUNT_KIND_MAX_; k++) {
		begin(&a->others[k]);
		for (size_t i = 0; i < a->kinds[k].n; i++)
			begin(a->kinds[k].v[i]);
	}
}

void accounts_end(struct accounts *a, uint64_t now_usec)
{
	for (int k = 0; k < ACCOUNT_KIND_MAX_; k++) {
		end(&a->others[k], now_usec);
		for (size_t i = 0; i < a->kinds[k].n; i++)
			end(a->kinds[k].v[i], now_usec);
	}
}

struct accounts_group *accounts_at(struct accounts *a, enum account_kind kind,
				   size_t i)
{
	struct accounts_group *others = &a->others[kind];

	if (i < a->kinds[kind].n)
		return a->kinds[kind].v[i];
	return i == a->kinds[kind].n && (others->processes || others->used_usec)
		       ? others
		       : NULL;
}
