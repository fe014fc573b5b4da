/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing a ring: devices, listen, connect, accept, registration. */
#include "ring_priv.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 120 };

static int listen_all(struct ring *r)
{
	size_t mine_bytes = (size_t)r->nchannels * WEFT_NCCL_HANDLE_BYTES;
	uint8_t *all = calloc((size_t)r->nranks, mine_bytes);
	uint8_t *mine = calloc(1, mine_bytes);
	int err = 0;

	if (!all || !mine)
		err = ring_fail(r, FAIL_SYSTEM, "out of memory");
	for (int i = 0; !err && i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];
		weft_nccl_result result = r->net->listen(
			c->device, mine + (size_t)i * WEFT_NCCL_HANDLE_BYTES, &c->listen_comm);

		if (result || !c->listen_comm)
			err = ring_fail_plugin(r, "listen", c, r->rank, result);
	}
	if (!err && oob_allgather(r->oob, mine, mine_bytes, all))
		err = FAIL_PEER;
	for (int i = 0; !err && i < r->nchannels; i++)
		memcpy(r->channels[i].handle,
		       all + (size_t)r->channels[i].next * mine_bytes + (size_t)i * WEFT_NCCL_HANDLE_BYTES,
		       WEFT_NCCL_HANDLE_BYTES);
	free(all);
	free(mine);
	return err;
}

/* One look at either direction of a channel that is not connected yet. */
static int connect_pass(struct ring *r, struct channel *c)
{
	weft_nccl_result result;

	if (!c->send_comm) {
		result = r->net->connect(c->device, c->handle, &c->send_comm, NULL);
		if (result) {
			c->send_comm = NULL;
			return ring_fail_plugin(r, "connect", c, c->next, result);
		}
	}
	if (!c->recv_comm) {
		result = r->net->accept(c->listen_comm, &c->recv_comm, NULL);
		if (result) {
			c->recv_comm = NULL;
			return ring_fail_plugin(r, "accept", c, c->prev, result);
		}
	}
	return 0;
}

/* All channels in both directions at once: a plugin may need either side to move the other. */
static int connect_all(struct ring *r)
{
	int64_t timeout_us = r->timeout_us ? r->timeout_us : CONNECT_TIMEOUT_S * 1000000ll;
	int64_t deadline_us = ring_now_us() + timeout_us;
	int err, missing;

	for (;;) {
		missing = 0;
		for (int i = 0; i < r->nchannels; i++) {
			struct channel *c = &r->channels[i];

			if (c->send_comm && c->recv_comm)
				continue;
			err = connect_pass(r, c);
			if (err)
				return err;
			missing += !c->send_comm || !c->recv_comm;
		}
		if (!missing)
			return 0;
		err = ring_idle(r, deadline_us, "connecting");
		if (err)
			return err;
	}
}

/* Registers the staging buffers, and gives up the listen comm, as NCCL does after accept. */
static int equip(struct ring *r, struct channel *c)
{
	size_t bytes = RING_SLOTS * r->slot_bytes;
	weft_nccl_result result;

	(void)r->net->close_listen(c->listen_comm);
	c->listen_comm = NULL;
	if (guarded_open(&c->send_buf, bytes, 0) || guarded_open(&c->recv_buf, bytes, 0))
		return ring_fail(r, FAIL_SYSTEM, "no memory for %zu bytes of buffers", bytes);
	result = r->net->reg_mr(c->send_comm, c->send_buf.data, bytes, WEFT_NCCL_PTR_HOST,
				&c->send_mhandle);
	if (result)
		return ring_fail_plugin(r, "regMr (send)", c, c->next, result);
	result = r->net->reg_mr(c->recv_comm, c->recv_buf.data, bytes, WEFT_NCCL_PTR_HOST,
				&c->recv_mhandle);
	if (result)
		return ring_fail_plugin(r, "regMr (receive)", c, c->prev, result);
	return 0;
}

static int choose_devices(struct ring *r, const struct ring_config *config)
{
	struct weft_nccl_props_v8 props;
	int ndev = config->plugin->ndev;

	if (config->device >= ndev)
		return ring_fail(r, FAIL_ENGINE, "there is no device %d: plugin %s has %d",
				 config->device, r->net->name, ndev);
	for (int i = 0; i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];
		weft_nccl_result result;

		c->index = i;
		c->lane = i % r->lanes;
		c->next = (r->rank + 1 + i / r->lanes) % r->nranks;
		c->prev = (r->rank - 1 - i / r->lanes + 2 * r->nranks) % r->nranks;
		c->device = config->device >= 0 ? config->device : i % ndev;
		result = r->net->get_properties(c->device, &props);
		if (result)
			return ring_fail_plugin(r, "getProperties", c, r->rank, result);
		if (!(props.ptr_support & WEFT_NCCL_PTR_HOST))
			return ring_fail(r, FAIL_ENGINE, "device %d (%s) takes no host memory",
					 c->device, props.name);
	}
	return 0;
}

int ring_open(const struct ring_config *config, struct engine **out_engine)
{
	struct ring *r = calloc(1, sizeof(*r));
	int err, distances;

	*out_engine = r ? &r->engine : NULL;
	if (!r)
		return FAIL_SYSTEM;
	r->engine = (struct engine){&ring_calls};
	r->net = config->plugin->net;
	r->oob = config->oob;
	r->rank = oob_rank(r->oob);
	r->nranks = oob_nranks(r->oob);
	r->what = config->what;
	r->lanes = config->channels;
	distances = r->what == ALL_TO_ALL && r->nranks > 2 ? r->nranks - 1 : 1;
	r->slot_bytes = config->slot_bytes;
	r->timeout_us = config->timeout_s * 1000000ll;
	r->channels = calloc((size_t)(distances * r->lanes), sizeof(*r->channels));
	if (!r->channels)
		return ring_fail(r, FAIL_SYSTEM, "out of memory");
	r->nchannels = distances * r->lanes;

	err = choose_devices(r, config);
	if (err || r->nranks == 1)
		return err;
	err = listen_all(r);
	if (!err)
		err = connect_all(r);
	for (int i = 0; !err && i < r->nchannels; i++)
		err = equip(r, &r->channels[i]);
	return err;
}

static void close_channel(const struct ring *r, struct channel *c)
{
	if (c->send_mhandle)
		(void)r->net->dereg_mr(c->send_comm, c->send_mhandle);
	if (c->recv_mhandle)
		(void)r->net->dereg_mr(c->recv_comm, c->recv_mhandle);
	guarded_close(&c->send_buf);
	guarded_close(&c->recv_buf);
	if (c->send_comm)
		(void)r->net->close_send(c->send_comm);
	if (c->recv_comm)
		(void)r->net->close_recv(c->recv_comm);
	if (c->listen_comm)
		(void)r->net->close_listen(c->listen_comm);
}

void ring_close(struct engine *e)
{
	struct ring *r = ring_of(e);

	for (int i = 0; i < r->nchannels; i++)
		close_channel(r, &r->channels[i]);
	free(r->channels);
	free(r);
}
