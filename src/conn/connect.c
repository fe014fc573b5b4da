/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: from a handle to a send channel. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/idmap.h"
#include "base/log.h"
#include "conn/internal.h"
#include "conn/steps.h"

#define LATE_EVERY_US 60000000 /* a connect that takes its time says so this often */
#define DIAL_WAIT_US  10000000 /* then the lifeline is given up, not the connection */
#define LOOK_EVERY_US 50000    /* at the lifeline of a peer that has not answered */

struct connecting {
	struct xfer_port *port;
	const struct conf *conf;
	struct wire_handle handle;
	struct lifeline *line;
	struct xfer_chan *chan;
	bool answered;
	struct wire_connect answer;
	int state;
	unsigned idle_polls;
	int64_t since_us, late_us, looked_us;
};

enum { DIAL, WAIT_LIFELINE, OPEN, REQUEST, WAIT_RESPONSE, CONNECTED };

/* Connects under way, by the number kept in the handle. */
static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;
static struct idmap map = {.free_head = IDMAP_SLOTS_MAX};

static int dial(void *machine)
{
	struct connecting *c = machine;
	struct lifeline_addr addr = {.family = c->handle.lifeline_family,
				     .port = c->handle.lifeline_port};
	int ret;

	if (!addr.family || !c->conf->lifeline)
		return OPEN;
	memcpy(addr.ip, c->handle.lifeline_ip, sizeof(addr.ip));
	ret = lifeline_dial(c->handle.uuid, &addr, c->conf->peer_timeout_us, &c->line);
	if (!ret)
		return WAIT_LIFELINE;
	log_info("no lifeline to pid %u (%s): its death may go unnoticed", c->handle.pid, strerror(-ret));
	return OPEN;
}

static int wait_lifeline(void *machine)
{
	struct connecting *c = machine;

	switch (lifeline_check(c->line)) {
	case LIFELINE_ALIVE: return OPEN;
	case LIFELINE_REFUSED:
		log_warn("connect: the listening process, pid %u, is gone: nobody answers at its lifeline",
			 c->handle.pid);
		return -ECONNREFUSED;
	case LIFELINE_CONNECTING:
		if (clock_us() - c->since_us < DIAL_WAIT_US)
			return STEP_STAY;
		break;
	default: break;
	}
	log_info("the lifeline to pid %u can't be opened: its death may go unnoticed; look for a firewall or "
		 "set WEFT_LIFELINE_ADDR",
		 c->handle.pid);
	lifeline_put(c->line);
	c->line = NULL;
	return OPEN;
}

static int open_chan(void *machine)
{
	struct connecting *c = machine;
	struct lifeline *line = c->line;
	struct wire_who who;
	int ret;

	memset(&who, 0, sizeof(who));
	memcpy(who.uuid, c->handle.uuid, sizeof(who.uuid));
	who.pid = c->handle.pid;
	who.addr_bytes = c->handle.addr_bytes;
	memcpy(who.addr, c->handle.addr, who.addr_bytes);
	c->line = NULL; /* the channel's from here on */
	ret = xfer_chan_open(c->port, XFER_SEND, &who, line, c, &c->chan);
	return ret ? ret : REQUEST;
}

static int request(void *machine)
{
	struct connecting *c = machine;
	int ret = xfer_chan_send_connect(c->chan, WIRE_CONNECT_REQUEST, c->handle.listen_id, 0);

	return ret ? ret : WAIT_RESPONSE;
}

static int refused(const struct connecting *c)
{
	const char *peer = xfer_chan_peer_text(c->chan);
	int status = c->answer.who.status;

	if (status == EPROTONOSUPPORT)
		log_warn("connect: peer %s uses another libfabric provider or protocol than this rank: set "
			 "WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			 peer);
	else
		log_warn("connect: peer %s has refused: %s", peer,
			 status == ECONNREFUSED ? "it does not listen there any more" : strerror(status));
	return -status;
}

static int check_deadline(struct connecting *c)
{
	int64_t now, limit = c->conf->connect_timeout_us;

	if (c->idle_polls++ % CONN_IDLE_LOOK)
		return 0;
	now = clock_us();
	if (limit && now - c->since_us > limit) {
		log_warn("connect: peer %s is alive but has not accepted within %" PRId64
			 " s (WEFT_CONNECT_TIMEOUT)",
			 xfer_chan_peer_text(c->chan), limit / 1000000);
		return -ETIMEDOUT;
	}
	if (now - c->late_us > LATE_EVERY_US) {
		c->late_us = now;
		log_info("connect: still waiting for peer %s after %" PRId64 " s",
			 xfer_chan_peer_text(c->chan), (now - c->since_us) / 1000000);
	}
	if (now - c->looked_us < LOOK_EVERY_US)
		return 0;
	c->looked_us = now;
	return xfer_chan_check_peer(c->chan);
}

static int wait_response(void *machine)
{
	struct connecting *c = machine;
	int ret;

	if (c->answered && c->answer.who.status)
		return refused(c);
	if (c->answered) {
		ret = xfer_chan_connected(c->chan, &c->answer);
		return ret ? ret : CONNECTED;
	}
	ret = xfer_chan_connect_sent(c->chan);
	if (ret >= 0)
		ret = check_deadline(c);
	return ret < 0 ? ret : STEP_STAY;
}

static const struct steps_state table[] = {
	[DIAL] = {"dial lifeline", dial, 1u << WAIT_LIFELINE | 1u << OPEN},
	[WAIT_LIFELINE] = {"wait for lifeline", wait_lifeline, 1u << OPEN},
	[OPEN] = {"open channel", open_chan, 1u << REQUEST},
	[REQUEST] = {"request", request, 1u << WAIT_RESPONSE},
	[WAIT_RESPONSE] = {"wait for response", wait_response, 1u << CONNECTED},
	[CONNECTED] = {"connected", NULL, 0},
};

void connecting_response(void *waiter, const struct wire_connect *msg)
{
	struct connecting *c = waiter;

	if (!c || c->answered)
		return;
	c->answer = *msg;
	c->answered = true;
}

static int start(struct dev *dev, const struct conf *conf, struct wire_handle *handle,
		 struct connecting **out)
{
	struct connecting *c = calloc(1, sizeof(*c));
	uint32_t id;
	int ret;

	if (!c)
		return -ENOMEM;
	c->conf = conf;
	c->handle = *handle;
	c->since_us = c->late_us = clock_us();
	ret = xfer_port_get(dev, conf, &conn_ops, &c->port);
	if (ret) {
		free(c);
		return ret;
	}
	pthread_mutex_lock(&map_lock);
	ret = idmap_add(&map, c, &id);
	pthread_mutex_unlock(&map_lock);
	if (ret) {
		xfer_port_put(c->port);
		free(c);
		return ret;
	}
	handle->mark = id;
	*out = c;
	return 0;
}

static int check_handle(const struct dev *dev, const struct wire_handle *handle)
{
	const char *wrong = wire_handle_check(handle);

	if (wrong) {
		log_warn("connect: the handle can't be used: %s", wrong);
		return -EINVAL;
	}
	if (handle->provider != xfer_wire_tag(dev)) {
		log_warn("connect: the listening rank, pid %u, uses another libfabric provider or protocol than %s: set "
			 "WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			 handle->pid, dev->nic->provider);
		return -EPROTONOSUPPORT;
	}
	return 0;
}

static struct connecting *find(const struct wire_handle *handle)
{
	struct connecting *c;

	pthread_mutex_lock(&map_lock);
	c = handle->mark <= UINT32_MAX ? idmap_get(&map, (uint32_t)handle->mark) : NULL;
	pthread_mutex_unlock(&map_lock);
	return c;
}

/* Ends the machine; the channel is the caller's. */
static struct xfer_chan *finish(struct connecting *c, struct wire_handle *handle)
{
	struct xfer_chan *chan = c->chan;

	pthread_mutex_lock(&map_lock);
	idmap_remove(&map, (uint32_t)handle->mark);
	pthread_mutex_unlock(&map_lock);
	handle->mark = 0;
	lifeline_put(c->line);
	return chan;
}

int conn_connect(struct dev *dev, const struct conf *conf, struct wire_handle *handle,
		 struct xfer_chan **out)
{
	struct xfer_chan *chan = NULL;
	struct connecting *c;
	bool over;
	int ret;

	*out = NULL;
	ret = check_handle(dev, handle);
	if (ret)
		return ret;
	c = handle->mark ? find(handle) : NULL;
	if (!c)
		ret = start(dev, conf, handle, &c);
	if (ret)
		return ret;
	xfer_port_lock(c->port);
	ret = xfer_port_poll(c->port);
	if (!ret)
		ret = steps_run(table, &c->state, c, "connect");
	over = ret || c->state == CONNECTED;
	if (over)
		chan = finish(c, handle);
	xfer_port_unlock(c->port);
	if (over) {
		if (ret)
			xfer_chan_close(chan);
		else
			*out = chan;
		xfer_port_put(c->port);
		free(c);
	}
	return ret;
}
