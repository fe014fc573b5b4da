/* SPDX-License-Identifier: Apache-2.0 */
/* See net_links.h. */
#include "net_links.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "pattern.h"
#include "seconds.h"

#define MESSAGE_BYTES 64

struct link_mrs {
	void *send, *recv;
};

struct links {
	struct side *side;
	struct net *net;
	unsigned count, most;
	struct net_link *links;
	struct link_mrs *mrs;
};

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct links *links_open(struct side *s, struct net *n, unsigned most)
{
	struct links *l = calloc(1, sizeof(*l));

	if (l)
		l->links = malloc(most * sizeof(*l->links));
	if (l)
		l->mrs = malloc(most * sizeof(*l->mrs));
	if (!l || !l->links || !l->mrs) {
		complain("no memory for %u links", most);
		return NULL;
	}
	memset(l->links, 0xff, most * sizeof(*l->links));
	memset(l->mrs, 0xff, most * sizeof(*l->mrs));
	l->side = s;
	l->net = n;
	l->most = most;
	resident_bytes(); /* makes stdio allocate its buffer now */
	return l;
}

static int register_one(struct links *l, unsigned i)
{
	const struct weft_nccl_net_v8 *net = l->net->plugin.net;
	struct side *s = l->side;

	if (net_check(net->reg_mr(l->links[i].send, s->mem, s->mem_bytes, WEFT_NCCL_PTR_HOST, &l->mrs[i].send),
		      "regMr"))
		return -1;
	return net_check(net->reg_mr(l->links[i].recv, s->mem, s->mem_bytes, WEFT_NCCL_PTR_HOST, &l->mrs[i].recv),
			 "regMr");
}

/* Sends one message in each direction over link i, with the engine and pattern of the sweeps. */
static int use_one(struct links *l, unsigned i, uint64_t *wrong)
{
	const struct run r = {
		.pattern = PATTERN_BIDIR, .check = PAYLOAD_FULL, .depth = 1, .bytes = MESSAGE_BYTES, .timed = 1};
	struct run_result result;
	int ret;

	l->net->link = l->links[i];
	l->net->send_mr = l->mrs[i].send;
	l->net->recv_mr = l->mrs[i].recv;
	ret = pattern_run(l->side, &r, &result);
	*wrong += result.wrong;
	memset(&l->net->link, 0, sizeof(l->net->link));
	return ret;
}

int links_grow(struct links *l, unsigned count, struct links_result *out)
{
	unsigned i, n, first = l->count;
	double start = seconds_now();

	memset(out, 0, sizeof(*out));
	for (; l->count < count; l->count += n) {
		n = count - l->count < NET_ROUND ? count - l->count : NET_ROUND;
		if (net_connect(l->side, l->net, &l->links[l->count], n))
			return -1;
	}
	out->seconds = seconds_now() - start;
	for (i = first; i < count; i++)
		if (register_one(l, i))
			return -1;
	for (i = first; i < count; i++)
		if (use_one(l, i, &out->wrong))
			return -1;
	out->resident_bytes = resident_bytes();
	return 0;
}

int links_shrink(struct links *l, struct links_result *out)
{
	const struct weft_nccl_net_v8 *net = l->net->plugin.net;
	double start = seconds_now();
	unsigned i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < l->count; i++) {
		if (net_check(net->dereg_mr(l->links[i].send, l->mrs[i].send), "deregMr") ||
		    net_check(net->dereg_mr(l->links[i].recv, l->mrs[i].recv), "deregMr"))
			return -1;
		net_disconnect(l->net, &l->links[i]);
	}
	l->count = 0;
	out->seconds = seconds_now() - start;
	out->resident_bytes = resident_bytes();
	return 0;
}

struct links_one links_at(const struct links *l, unsigned i)
{
	return (struct links_one){.net = l->net->plugin.net,
				  .send = l->links[i].send,
				  .recv = l->links[i].recv,
				  .send_mr = l->mrs[i].send,
				  .recv_mr = l->mrs[i].recv};
}

unsigned links_count(const struct links *l)
{
	return l->count;
}

struct side *links_side(const struct links *l)
{
	return l->side;
}

void links_close(struct links *l)
{
	if (!l)
		return;
	free(l->links);
	free(l->mrs);
	free(l);
}
