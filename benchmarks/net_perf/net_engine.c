/* SPDX-License-Identifier: Apache-2.0 */
/* See net_engine.h. */
#include "net_engine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"

#define TAG 0 /* one tag is enough: with one receive per request, a plugin matches by order */

int net_check(weft_nccl_result r, const char *call)
{
	if (!r)
		return 0;
	complain("%s failed: %s", call, bench_result_text(r));
	return -1;
}

static int poll_links(const struct side *s, const struct net *n, unsigned char *handles, void *const *listen,
		      struct net_link *links, unsigned count)
{
	const struct weft_nccl_net_v8 *net = n->plugin.net;
	struct weft_nccl_device_handle *unused = NULL;
	unsigned i, open = 0;

	while (open < count) {
		for (i = open = 0; i < count; i++) {
			unsigned char *handle = handles + (size_t)i * WEFT_NCCL_HANDLE_BYTES;
			struct net_link *l = &links[i];

			if (!l->send && net_check(net->connect(n->dev, handle, &l->send, &unused), "connect"))
				return -1;
			if (!l->recv && net_check(net->accept(listen[i], &l->recv, &unused), "accept"))
				return -1;
			open += l->send && l->recv;
		}
		if (s->yield)
			sched_yield();
	}
	return 0;
}

int net_connect(const struct side *s, const struct net *n, struct net_link *links, unsigned count)
{
	static unsigned char mine[NET_ROUND * WEFT_NCCL_HANDLE_BYTES], theirs[sizeof(mine)];
	const struct weft_nccl_net_v8 *net = n->plugin.net;
	void *listen[NET_ROUND] = {NULL};
	int ret = 0;
	unsigned i;

	memset(mine, 0, sizeof(mine));
	memset(links, 0, count * sizeof(*links));
	for (i = 0; i < count && !ret; i++)
		ret = net_check(net->listen(n->dev, mine + (size_t)i * WEFT_NCCL_HANDLE_BYTES, &listen[i]), "listen");
	if (!ret)
		ret = side_swap(s, mine, theirs, (size_t)count * WEFT_NCCL_HANDLE_BYTES);
	if (!ret)
		ret = poll_links(s, n, theirs, listen, links, count);
	for (i = 0; i < count && !ret; i++)
		ret = net_check(net->close_listen(listen[i]), "closeListen");
	return ret;
}

void net_disconnect(const struct net *n, struct net_link *link)
{
	if (link->send)
		net_check(n->plugin.net->close_send(link->send), "closeSend");
	if (link->recv)
		net_check(n->plugin.net->close_recv(link->recv), "closeRecv");
	memset(link, 0, sizeof(*link));
}

/* A NULL request means that the plugin started no operation; the next pass tries again. */
static int post_sends(struct net *n, struct flow *f)
{
	while (flow_may_post(f)) {
		void **req = &n->tx_req[f->posted % f->slots];
		int bytes = (int)flow_bytes(f, f->posted);

		if (net_check(n->plugin.net->isend(n->link.send, flow_next(f), bytes, TAG, n->send_mr, req), "isend"))
			return -1;
		if (!*req)
			break;
		f->posted++;
	}
	return 0;
}

static int post_receives(struct net *n, struct flow *f)
{
	while (flow_may_post(f)) {
		void **req = &n->rx_req[f->posted % f->slots];
		int bytes = (int)flow_bytes(f, f->posted), tag = TAG;
		void *slot = flow_next(f);

		if (net_check(n->plugin.net->irecv(n->link.recv, 1, &slot, &bytes, &tag, &n->recv_mr, req), "irecv"))
			return -1;
		if (!*req)
			break;
		f->posted++;
	}
	return 0;
}

/* Like NCCL, tests only the oldest request. */
static int test_oldest(struct net *n, struct flow *f, void **reqs)
{
	int done = 0, bytes = 0;

	if (f->done == f->posted)
		return 0;
	if (net_check(n->plugin.net->test(reqs[f->done % f->slots], &done, &bytes), "test"))
		return -1;
	if (done)
		flow_complete(f, f->done, (size_t)bytes);
	return 0;
}

static int net_step(struct side *s)
{
	struct net *n = s->state;

	if (post_sends(n, &s->tx) || post_receives(n, &s->rx) || test_oldest(n, &s->rx, n->rx_req))
		return -1;
	return test_oldest(n, &s->tx, n->tx_req);
}

static const struct engine net_engine = {.step = net_step};

int net_load(struct side *s, struct net *n, const char *path, int abi, int dev, char *out_name, char *out_device)
{
	struct weft_nccl_props_v8 props;

	if (bench_plugin_open(&n->plugin, path, abi))
		return -1;
	n->dev = dev;
	s->engine = &net_engine;
	s->state = n;
	if (dev >= n->plugin.ndev) {
		complain("there is no device %d: the plugin has %d", dev, n->plugin.ndev);
		return -1;
	}
	if (net_check(n->plugin.net->get_properties(dev, &props), "getProperties"))
		return -1;
	if (!(props.ptr_support & WEFT_NCCL_PTR_HOST)) {
		complain("the plugin does not take host memory");
		return -1;
	}
	snprintf(out_name, 64, "%s", n->plugin.net->name);
	snprintf(out_device, 64, "%s", props.name);
	return 0;
}

void net_share(const struct net *from, struct side *s, struct net *n)
{
	n->plugin = from->plugin;
	n->dev = from->dev;
	s->engine = &net_engine;
	s->state = n;
}

static int register_memory(const struct side *s, struct net *n)
{
	const struct weft_nccl_net_v8 *net = n->plugin.net;

	if (net_check(net->reg_mr(n->link.send, s->mem, s->mem_bytes, WEFT_NCCL_PTR_HOST, &n->send_mr), "regMr") ||
	    net_check(net->reg_mr(n->link.recv, s->mem, s->mem_bytes, WEFT_NCCL_PTR_HOST, &n->recv_mr), "regMr"))
		return -1;
	return 0;
}

int net_open(struct side *sides, struct net *nets, unsigned count)
{
	struct net_link links[NET_ROUND];
	unsigned i;

	if (net_connect(sides, nets, links, count))
		return -1;
	for (i = 0; i < count; i++) {
		nets[i].link = links[i];
		if (register_memory(&sides[i], &nets[i]))
			return -1;
	}
	return 0;
}

void net_close(struct net *n)
{
	const struct weft_nccl_net_v8 *net = n->plugin.net;

	if (n->link.send)
		net_check(net->dereg_mr(n->link.send, n->send_mr), "deregMr");
	if (n->link.recv)
		net_check(net->dereg_mr(n->link.recv, n->recv_mr), "deregMr");
	net_disconnect(n, &n->link);
}
