/* SPDX-License-Identifier: Apache-2.0 */
/* See ends.h. */
#include "ends.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ends_quit(const char *what)
{
	fprintf(stderr, "%s: %s failed: %s\n", options_program(), what, bench_last_warn());
	exit(1);
}

static void must(weft_nccl_result r, const char *call)
{
	if (r)
		ends_quit(call);
}

/* Allocates and registers memory for the messages in flight. */
static void equip(struct end *e)
{
	size_t area = ENDS_DEPTH * (size_t)e->load->bytes;

	e->mem = calloc(1, area + 1);
	if (!e->mem)
		ends_quit("allocating memory");
	must(e->load->net->reg_mr(e->comm, e->mem, area, WEFT_NCCL_PTR_HOST, &e->mr), "regMr");
}

void end_listen(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES])
{
	memset(e, 0, sizeof(*e));
	e->load = l;
	must(l->net->listen((int)l->device, handle, &e->listener), "listen");
}

bool end_accept(struct end *e)
{
	const struct weft_nccl_net_v8 *net = e->load->net;

	if (!e->comm)
		must(net->accept(e->listener, &e->comm, NULL), "accept");
	if (!e->comm || !e->listener)
		return e->comm;
	must(net->close_listen(e->listener), "closeListen");
	e->listener = NULL;
	equip(e);
	return true;
}

bool end_connect(struct end *e, const struct load *l, unsigned char handle[WEFT_NCCL_HANDLE_BYTES])
{
	if (e->load && e->comm)
		return true;
	memset(e, 0, sizeof(*e));
	e->load = l;
	e->sends = true;
	must(l->net->connect((int)l->device, handle, &e->comm, NULL), "connect");
	if (e->comm)
		equip(e);
	return e->comm;
}

bool end_post(struct end *e)
{
	const struct weft_nccl_net_v8 *net = e->load->net;
	void *at = e->mem + e->posted % ENDS_DEPTH * e->load->bytes, **req = &e->reqs[e->posted % ENDS_DEPTH];
	int bytes = (int)e->load->bytes, tag = 0;

	if (e->posted == e->load->messages || e->posted - e->done == ENDS_DEPTH)
		return false;
	if (e->sends)
		must(net->isend(e->comm, at, bytes, tag, e->mr, req), "isend");
	else
		must(net->irecv(e->comm, 1, &at, &bytes, &tag, &e->mr, req), "irecv");
	e->posted += *req != NULL;
	return *req;
}

bool end_test(struct end *e)
{
	int done = 0, bytes;

	if (e->done == e->posted)
		return false;
	must(e->load->net->test(e->reqs[e->done % ENDS_DEPTH], &done, &bytes), "test");
	e->done += done;
	return done;
}

bool end_finished(const struct end *e)
{
	return e->done == e->load->messages;
}

void end_close(struct end *e)
{
	const struct weft_nccl_net_v8 *net = e->load->net;

	must(net->dereg_mr(e->comm, e->mr), "deregMr");
	must(e->sends ? net->close_send(e->comm) : net->close_recv(e->comm), e->sends ? "closeSend" : "closeRecv");
	free(e->mem);
}
