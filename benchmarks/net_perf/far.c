/* SPDX-License-Identifier: Apache-2.0 */
/* See far.h. */
#include "far.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "oob.h"
#include "pair.h"

/* What a rank tells the others in a step. SWAP: its process exchanges something with the other one of its pair. */
enum kind { IDLE, SWAP, ANSWER, FAILED };

struct head {
	int32_t kind;
	uint32_t bytes;
};

/* One step: what this rank tells, and what it learns. */
struct step {
	struct head mine, theirs;
	bool more; /* a process has more to exchange before its answer */
	unsigned char said[PAIR_SWAP_MAX], heard[PAIR_SWAP_MAX];
};

int far_find(struct far *f)
{
	int found = place_rank_from_env(&f->place);

	if (found <= 0 || f->place.nranks < 2)
		return found < 0 ? -1 : 0;
	return place_root_from_env(&f->place) ? -1 : 1;
}

int far_meet(struct far *f, int timeout_s)
{
	const struct place *p = &f->place;
	const struct oob_config config = {p->rank, p->nranks, p->root, p->root_from, p->port, p->listen_fd, timeout_s};

	return oob_open(&config, &f->oob);
}

void far_fail(struct far *f, const char *reason)
{
	if (f->told)
		return;
	f->told = true;
	if (*oob_error(f->oob))
		complain("%s", oob_error(f->oob));
	else
		oob_fail(f->oob, 1, reason);
}

void far_close(struct far *f)
{
	if (!f->told)
		(void)oob_barrier(f->oob);
	oob_close(f->oob);
	f->oob = NULL;
}

/* Every rank tells its head, then all tell as many bytes as the longest has. */
static int exchange(const struct far *f, struct step *s, int peer)
{
	size_t n = (size_t)oob_nranks(f->oob), most = 0, r;
	struct head *heads = calloc(n, sizeof(*heads));
	unsigned char *all = NULL;
	int ret = heads ? oob_allgather(f->oob, &s->mine, sizeof(s->mine), heads) : -1;

	s->more = false;
	for (r = 0; r < n && !ret; r++) {
		s->more |= heads[r].kind == SWAP;
		most = heads[r].bytes > most ? heads[r].bytes : most;
	}
	if (most > sizeof(s->said))
		ret = -1;
	if (!ret && most) {
		all = malloc(n * most);
		ret = all ? oob_allgather(f->oob, s->said, most, all) : -1;
	}
	if (!ret && peer >= 0) {
		s->theirs = heads[peer];
		if (most)
			memcpy(s->heard, all + (size_t)peer * most, most);
	}
	free(heads);
	free(all);
	return ret;
}

/* Hands on what the other process has sent; or gives up, since it will never send it. */
static void hand_on(struct pair *p, struct step *s)
{
	bool fits = s->theirs.kind == SWAP && s->theirs.bytes == s->mine.bytes;

	if (fits && !pair_relay(p, s->heard, s->theirs.bytes))
		return;
	pair_abandon(p);
	s->mine = (struct head){.kind = FAILED};
}

/* Waits for the next thing that this rank's process says. */
static int listen_to(struct far *f, struct pair *p, struct step *s, size_t bytes)
{
	size_t got = bytes;
	int said = pair_listen(p, s->said, &got);

	s->mine = (struct head){.kind = said < 0 ? FAILED
					: said	 ? SWAP
						 : ANSWER,
				.bytes = said < 0 ? 0 : (uint32_t)got};
	if (said >= 0 || (f->tolerant && !*oob_error(f->oob)))
		return 0;
	far_fail(f, "its process of a pair failed");
	return -1;
}

int far_hear(struct far *f, struct pair *p, void *const out[2], size_t bytes)
{
	static struct step s;
	int peer = p ? p->config.peer : -1, me = p ? p->config.mine : 0;

	s.mine = (struct head){.kind = !p ? IDLE : p->failed ? FAILED : SWAP};
	do {
		if (s.mine.kind == SWAP && listen_to(f, p, &s, bytes))
			return -1;
		if (exchange(f, &s, peer)) {
			far_fail(f, "no memory for an exchange");
			return -1;
		}
		if (s.mine.kind == SWAP)
			hand_on(p, &s);
	} while (s.more);
	if (!p)
		return 1;
	if (s.mine.kind != ANSWER || s.theirs.kind != ANSWER) {
		pair_abandon(p);
		return f->tolerant ? 1 : -1;
	}
	memcpy(out[me], s.said, bytes);
	memcpy(out[!me], s.heard, bytes);
	return 0;
}
