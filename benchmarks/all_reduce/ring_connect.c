/* SPDX-License-Identifier: Apache-2.0 */
/* Opens and closes a ring: devices, listen, connect, accept, registration. */
#include "exchange.h"
#include "memory.h"
#include "ring_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_EVERY_S = 60 };

static int listen_all(struct ring *r)
{
	size_t mine_bytes = (size_t)r->nchannels * WEFT_NCCL_HANDLE_BYTES;
	uint8_t *all = calloc((size_t)r->nranks, mine_bytes);
	uint8_t *mine = calloc(1, mine_bytes);
	int err = 0;

	if (!all || !mine)
		err = ring_fail(r, FAIL_SYSTEM, "out of memory");
	for (int i = 0; !err && r->nranks > 1 && i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];
		weft_nccl_result result =
			r->net->listen(c->device, mine + (size_t)i * WEFT_NCCL_HANDLE_BYTES, &c->listen_comm);

		if (result)
			err = ring_fail_plugin(r, "listen", c, r->rank, result);
		else if (!c->listen_comm)
			err = ring_fail(r, FAIL_ENGINE, "listen, channel %d, rank %d: success, but no comm", i,
					team_job_rank(r->team, r->rank));
	}
	if (!err) {
		int failed = team_allgather(r->team, mine, mine_bytes, all);

		err = failed == -ENOMEM ? ring_fail(r, FAIL_SYSTEM, "out of memory") : failed ? FAIL_PEER : 0;
	}
	for (int i = 0; !err && i < r->nchannels; i++)
		memcpy(r->channels[i].handle,
		       all + (size_t)r->channels[i].next * mine_bytes + (size_t)i * WEFT_NCCL_HANDLE_BYTES,
		       WEFT_NCCL_HANDLE_BYTES);
	free(all);
	free(mine);
	return err;
}

/* Polls both directions of a channel that is not connected yet. */
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

/* Describes the first channel that is not connected. */
static void describe_missing(const struct ring *r, char *buf, size_t buf_bytes)
{
	for (int i = 0; i < r->nchannels; i++) {
		const struct channel *c = &r->channels[i];
		int peer = c->send_comm ? c->prev : c->next;
		const struct oob_peer *who = team_peer(r->team, peer);

		if (c->send_comm && c->recv_comm)
			continue;
		snprintf(buf, buf_bytes, "channel %d %s rank %d (%s, pid %d), device %d", i,
			 c->send_comm ? "from" : "to", team_job_rank(r->team, peer), who->host, who->pid, c->device);
		return;
	}
}

/* Prints a line on stderr from time to time while connecting continues. */
static void note_connecting(const struct ring *r, int64_t *note_us)
{
	char what[256] = "";

	if (ring_now_us() < *note_us)
		return;
	describe_missing(r, what, sizeof(what));
	fprintf(stderr, "rank %d is still connecting %s\n", team_job_rank(r->team, r->rank), what);
	*note_us += NOTE_EVERY_S * 1000000ll;
}

/*
 * Connects all channels in both directions at once, because a plugin may need both sides for progress. Without -T, only the
 * plugin's own limit ends the attempt; the plugin's message names the cause.
 */
static int connect_all(struct ring *r)
{
	int64_t start_us = ring_now_us(), note_us = start_us + NOTE_EVERY_S * 1000000ll;
	int64_t deadline_us = r->timeout_us ? start_us + r->timeout_us : 0;
	int err, missing;

	for (;;) {
		char what[300] = "connecting ";

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
		if (deadline_us && ring_now_us() > deadline_us)
			describe_missing(r, what + strlen(what), sizeof(what) - strlen(what));
		err = ring_idle(r, deadline_us, what);
		if (err)
			return err;
		note_connecting(r, &note_us);
	}
}

/* Registers the staging buffers and, like NCCL after accept, closes the listen comm. */
static int equip(struct ring *r, struct channel *c)
{
	size_t bytes = RING_SLOTS * r->slot_bytes;
	weft_nccl_result result;

	(void)r->net->close_listen(c->listen_comm);
	c->listen_comm = NULL;
	if (guarded_open(&c->send_buf, bytes, 0) || guarded_open(&c->recv_buf, bytes, 0))
		return ring_fail(r, FAIL_SYSTEM, "no memory for %zu bytes of buffers", bytes);
	result = r->net->reg_mr(c->send_comm, c->send_buf.data, bytes, WEFT_NCCL_PTR_HOST, &c->send_mhandle);
	if (result)
		return ring_fail_plugin(r, "regMr (send)", c, c->next, result);
	result = r->net->reg_mr(c->recv_comm, c->recv_buf.data, bytes, WEFT_NCCL_PTR_HOST, &c->recv_mhandle);
	if (result)
		return ring_fail_plugin(r, "regMr (receive)", c, c->prev, result);
	return 0;
}

/* Gives each channel its peers: `lanes` channels for each distance that is in use. */
static void choose_peers(struct ring *r)
{
	bool exchanges = collective_facts[r->what].exchanges;
	int i = 0;

	for (int d = 1; i < r->nchannels; d++)
		for (int lane = 0; lane < r->lanes && (!exchanges || exchange_links(r->what, r->nranks, d)); lane++) {
			struct channel *c = &r->channels[i++];

			c->lane = lane;
			c->next = (r->rank + d) % r->nranks;
			c->prev = (r->rank - d + r->nranks) % r->nranks;
		}
}

/* The number of distances for choose_peers. */
static int count_distances(enum collective what, int nranks)
{
	int n = 1;

	for (int d = 2; collective_facts[what].exchanges && d < nranks; d++)
		n += exchange_links(what, nranks, d);
	return n;
}

static int choose_devices(struct ring *r, const struct ring_config *config)
{
	struct weft_nccl_props_v8 props;
	int ndev = config->plugin->ndev;

	if (config->device >= ndev)
		return ring_fail(r, FAIL_ENGINE, "there is no device %d: plugin %s has %d", config->device,
				 r->net->name, ndev);
	for (int i = 0; i < r->nchannels; i++) {
		struct channel *c = &r->channels[i];
		weft_nccl_result result;

		c->index = i;
		c->device = config->device >= 0 ? config->device : i % ndev;
		result = r->net->get_properties(c->device, &props);
		if (result)
			return ring_fail_plugin(r, "getProperties", c, r->rank, result);
		if (!(props.ptr_support & WEFT_NCCL_PTR_HOST))
			return ring_fail(r, FAIL_ENGINE, "device %d (%s) takes no host memory", c->device, props.name);
	}
	return 0;
}

/* Fails if the staging buffers do not fit into memory; otherwise the kernel would kill a process. */
static int check_memory(struct ring *r)
{
	double needed = 2.0 * RING_SLOTS * (double)r->slot_bytes * r->nchannels, available = memory_available();
	const struct oob *oob = r->team->oob;
	const char *self = oob_peer(oob, oob_rank(oob))->host;
	int here = 0;

	for (int i = 0; i < oob_nranks(oob); i++)
		here += !strcmp(oob_peer(oob, i)->host, self);
	if (available <= 0 || needed * here <= available)
		return 0;
	return ring_fail(
		r, FAIL_SYSTEM,
		"not enough memory: buffers of %.0f MB for each of %d ranks on %s, where %.0f MB are available "
		"(--channels, --chunk)",
		needed / 1e6, here, self, available / 1e6);
}

int ring_open(const struct ring_config *config, struct engine **out_engine)
{
	struct ring *r = calloc(1, sizeof(*r));
	int err;

	*out_engine = r ? &r->engine : NULL;
	if (!r)
		return FAIL_SYSTEM;
	r->engine = (struct engine){&ring_calls};
	r->net = config->plugin->net;
	r->team = config->team;
	r->rank = r->team->rank;
	r->nranks = r->team->nranks;
	r->what = config->what;
	r->traffic = config->traffic;
	r->lanes = config->channels;
	r->nchannels = r->lanes * count_distances(r->what, r->nranks);
	r->slot_bytes = config->slot_bytes;
	r->timeout_us = config->timeout_s * 1000000ll;
	r->channels = calloc((size_t)r->nchannels, sizeof(*r->channels));
	if (!r->channels) {
		r->nchannels = 0;
		return ring_fail(r, FAIL_SYSTEM, "out of memory");
	}
	choose_peers(r);
	err = choose_devices(r, config);
	if (!err && r->nranks > 1)
		err = check_memory(r);
	/* A rank alone in its group takes part in what all ranks do together. */
	if (!err)
		err = listen_all(r);
	if (err || r->nranks == 1)
		return err;
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
