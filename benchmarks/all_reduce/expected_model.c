/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"
#include "expected.h"

#include <stdio.h>
#include <string.h>

enum { SHARE = 16 };

/* The ranks of a job, and the exchange that each group performs. */
struct job {
	const struct expected_rank *ranks;
	int n;
	struct exchange x;
};

static bool same_host(const struct job *j, int a, int b)
{
	return !strcmp(j->ranks[a].host, j->ranks[b].host);
}

static bool is_first(const struct job *j, int rank)
{
	int r = 0;

	while (!same_host(j, r, rank))
		r++;
	return r == rank;
}

static bool has(const struct nic_path *s, const char *name)
{
	for (int i = 0; i < s->nnics; i++)
		if (!strcmp(s->nics[i].name, name))
			return true;
	return false;
}

/* Adds the NICs that the host does not have yet. False: a speed is not known. */
static bool add_nics(struct expected *host, const struct job *j, int rank)
{
	const struct nic_path *s = &j->ranks[rank].path;
	char each[32];

	host->sharing++;
	for (int i = 0; i < s->nnics; i++) {
		bool again = false;

		for (int r = 0; r < rank && !again; r++)
			again = same_host(j, r, rank) && has(&j->ranks[r].path, s->nics[i].name);
		if (again)
			continue;
		snprintf(each, sizeof(each), "%g Gbit/s", s->nics[i].mbps / 1e3);
		if (!host->nics)
			snprintf(host->each, sizeof(host->each), "%s", each);
		else if (strcmp(each, host->each))
			*host->each = 0;
		host->nics++;
		host->host_gbs += s->nics[i].mbps / 8e3;
		if (!s->nics[i].mbps)
			return false;
	}
	return s->nnics > 0;
}

/* What one rank sends to another one over a NIC, in all steps. */
static double crosses(struct job *j, int from, int to)
{
	const struct expected_rank *a = &j->ranks[from], *b = &j->ranks[to];
	double sum = 0;

	if (from == to || a->group != b->group || (!a->path.inside && same_host(j, from, to)))
		return 0;
	for (j->x.step = 0; j->x.step < exchange_steps(j->x.what, j->x.nranks); j->x.step++)
		sum += (double)exchange_part(&j->x, a->rank, b->rank).count;
	return sum;
}

/* What a host whose first rank is `first` sends or receives over its NICs, whichever is more, for each byte of busbw. */
static double load_of(struct job *j, int first)
{
	int64_t bytes = SHARE * (collective_facts[j->x.what].per_rank ? j->x.nranks : 1);
	double sent = 0, received = 0;

	for (int r = first; r < j->n; r++) {
		if (!same_host(j, r, first))
			continue;
		for (int peer = 0; peer < j->n; peer++) {
			sent += crosses(j, r, peer);
			received += crosses(j, peer, r);
		}
	}
	return (sent > received ? sent : received) / collective_moved_bytes(j->x.what, j->x.nranks, bytes) /
	       collective_bus_factor(j->x.what, j->x.nranks);
}

/* The NICs of the host whose first rank is `first`. */
static bool sum_host(struct expected *host, const struct job *j, int first)
{
	*host = (struct expected){.inside = j->ranks[first].path.inside};
	snprintf(host->source, sizeof(host->source), "%s", j->ranks[first].path.source);
	for (int r = first; r < j->n; r++)
		if (same_host(j, r, first) && !add_nics(host, j, r))
			return false;
	return true;
}

/*
 * The exchange with the messages of a collective. On a ring, each rank sends to the next one as much as busbw counts. Unequal
 * shares amount to equal ones, but the part that leaves a host is not known. False: nothing is known, as when every rank is
 * the root in turn.
 */
static bool choose_exchange(struct job *j, const struct settings *s, int group_ranks)
{
	const struct collective_facts *f = &collective_facts[s->what];
	bool inside = true;

	for (int r = 0; r < j->n; r++)
		inside &= j->ranks[r].path.inside;
	j->x = (struct exchange){.what = f->exchanges ? s->what : SEND_RECV,
				 .nranks = group_ranks,
				 .root = (int)s->root,
				 .count = SHARE,
				 .elem_bytes = 1};
	if (s->what == ALL_TO_ALL_V)
		j->x.what = ALL_TO_ALL;
	return (inside || s->what != ALL_TO_ALL_V) && !(f->exchanges && f->rooted && s->root < 0);
}

void expected_settle(struct expected *out, const struct settings *s, int group_ranks, const struct expected_rank *ranks,
		     int n)
{
	struct job j = {.ranks = ranks, .n = n};
	struct expected host;
	double load;

	*out = (struct expected){.nics = 0};
	/* NCCL has other ways within a host. */
	if (group_ranks < 2 || !(s->nccl || choose_exchange(&j, s, group_ranks)))
		return;
	for (int r = 0; r < n; r++) {
		if (!is_first(&j, r))
			continue;
		if (!sum_host(&host, &j, r)) {
			*out = (struct expected){.nics = 0};
			return;
		}
		load = s->nccl ? 1 : load_of(&j, r);
		host.busbw_gbs = load > 0 ? host.host_gbs / load : 0;
		if (load > 0 && (!out->nics || host.busbw_gbs < out->busbw_gbs))
			*out = host;
	}
}
