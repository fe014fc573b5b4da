/* SPDX-License-Identifier: Apache-2.0 */
/* One connect: from a handle to a send comm, by a state machine. */
#include "cm/connecting.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "cm/fsm.h"
#include "cm/internal.h"

#define LATE_EVERY_US  60000000	 /* interval of log lines of a slow connect */
#define DIAL_WAIT_US   10000000	 /* limit of a dial; then the connect continues without a lifeline */
#define DIAL_AGAIN_US  1000000	 /* limit of a dial to an address that has failed before */
#define NOWHERE_US     10000000	 /* limit of sending the request if there is no lifeline */
#define CHECK_EVERY_US 50000	 /* interval of lifeline checks during the wait for the response */
#define FOREVER_US     600000000 /* life of an abandoned connect if WEFT_CONNECT_TIMEOUT is 0 */

enum { DIAL, WAIT_LIFELINE, OPEN, REQUEST, WAIT_RESPONSE, CONNECTED };

/* Lifeline addresses that did not answer, so that each is logged once. */
static pthread_mutex_t failed_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lifeline_addr failed[64];
static unsigned failed_count;

int64_t cm_patience_us(const struct conf *conf)
{
	return conf->connect_timeout_us ? conf->connect_timeout_us : FOREVER_US;
}

static struct lifeline_addr lifeline_of(const struct wire_handle *handle)
{
	struct lifeline_addr addr = {.family = handle->lifeline_family, .port = handle->lifeline_port};

	memcpy(addr.ip, handle->lifeline_ip, sizeof(addr.ip));
	return addr;
}

static bool has_failed(const struct lifeline_addr *addr)
{
	bool found = false;
	unsigned i;

	pthread_mutex_lock(&failed_lock);
	for (i = 0; i < failed_count && i < sizeof(failed) / sizeof(failed[0]); i++)
		found |= !memcmp(&failed[i], addr, sizeof(*addr));
	pthread_mutex_unlock(&failed_lock);
	return found;
}

static void note_failed(const struct lifeline_addr *addr)
{
	pthread_mutex_lock(&failed_lock);
	failed[failed_count++ % (sizeof(failed) / sizeof(failed[0]))] = *addr;
	pthread_mutex_unlock(&failed_lock);
}

/* Continues without a lifeline, because the fabric may work. Warns once for each address. */
static int without_line(struct connecting *c, const char *why)
{
	struct lifeline_addr addr = lifeline_of(&c->handle);
	bool before = has_failed(&addr);

	c->no_line = true;
	snprintf(c->why_no_line, sizeof(c->why_no_line), "%s", why);
	log_line(before ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, __FILE__, __LINE__,
		 "connect: no liveness connection to pid %u: %s. Going on without: its death may go unnoticed. Look "
		 "for a firewall, or set WEFT_LIFELINE_ADDR on its host to an address that this host can reach",
		 c->handle.pid, why);
	if (!before)
		note_failed(&addr);
	lifeline_put(c->line);
	c->line = NULL;
	return OPEN;
}

static int connect_dial(void *machine)
{
	struct connecting *c = machine;
	struct lifeline_addr addr = lifeline_of(&c->handle);
	int ret;

	if (!addr.family || !c->conf->lifeline)
		return OPEN;
	ret = lifeline_dial(c->handle.uuid, &addr, c->handle.secret, c->conf->peer_timeout_us, &c->line);
	return ret ? without_line(c, strerror(-ret)) : WAIT_LIFELINE;
}

/* Limit of the dial: at most half of the connect's time, which leaves the rest to the request. */
static int64_t dial_patience_us(const struct connecting *c)
{
	struct lifeline_addr addr = lifeline_of(&c->handle);
	int64_t most = has_failed(&addr) ? DIAL_AGAIN_US : DIAL_WAIT_US, half = cm_patience_us(c->conf) / 2;

	return most < half ? most : half;
}

static int wait_lifeline(void *machine)
{
	struct connecting *c = machine;
	enum lifeline_state state = lifeline_check(c->line);
	char evidence[LIFELINE_EVIDENCE_BYTES];

	if (state == LIFELINE_ALIVE)
		return OPEN;
	if (state == LIFELINE_CONNECTING && clock_us() - c->since_us < dial_patience_us(c))
		return FSM_STAY;
	return without_line(c, lifeline_evidence(c->line, evidence, sizeof(evidence)));
}

static int connect_open_comm(void *machine)
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
	c->line = NULL; /* the comm owns it from here on */
	c->watched = line;
	ret = xfer_comm_open(c->ep, XFER_SEND, &who, line, &c->connector, &c->comm);
	return ret ? ret : REQUEST;
}

static int request(void *machine)
{
	struct connecting *c = machine;
	int ret = xfer_comm_send_connect(c->comm, WIRE_CONNECT_REQUEST, c->handle.listen_id, c->handle.secret, c->ask);

	c->requested_us = clock_us();
	return ret ? ret : WAIT_RESPONSE;
}

static const char *status_text(int status)
{
	switch (status) {
	case ECONNREFUSED: return "it does not listen there any more";
	case ENOBUFS: return "too many connect requests wait there";
	default: return strerror(status);
	}
}

static int refused(const struct connecting *c)
{
	const char *peer = xfer_comm_peer_text(c->comm);
	int status = c->answer.who.status;

	if (status == EPROTONOSUPPORT)
		log_warn("connect: peer %s uses another libfabric provider or protocol than this rank: set "
			 "WEFT_PROVIDER and WEFT_PROTOCOL to the same values on every node",
			 peer);
	else
		log_warn("connect: peer %s has refused: %s", peer, status_text(status));
	return -status;
}

/* Fails the connect and logs only known facts: the state of the request and the evidence of the lifeline. */
static int too_late(struct connecting *c, int64_t waited_us, const char *setting)
{
	bool sent = xfer_comm_connect_sent(c->comm) > 0;
	char evidence[LIFELINE_EVIDENCE_BYTES], span[TEXT_DURATION_BYTES];

	if (!c->no_line)
		lifeline_evidence(c->watched, evidence, sizeof(evidence));
	log_warn("connect: no answer from peer %s within %s (%s). The connect request %s NIC %s (%s); "
		 "%s. %s",
		 xfer_comm_peer_text(c->comm), text_duration(waited_us, span, sizeof(span)), setting,
		 sent ? "has left" : "has not left", c->dev->nic->name, c->dev->nic->address,
		 c->no_line ? c->why_no_line : evidence,
		 sent ? "The other rank has not accepted: it is late, or waits elsewhere"
		      : "Nothing takes it there: look for a firewall, or a NIC in another subnet (WEFT_NICS)");
	return -ETIMEDOUT;
}

/* Limit without a lifeline: short if the request can't leave either, longer if it has left and the peer may live. */
static int64_t patience_without_line(const struct connecting *c)
{
	int64_t silence_us = c->conf->peer_timeout_us;

	if (xfer_comm_connect_sent(c->comm) > 0)
		return DIAL_WAIT_US + silence_us;
	return NOWHERE_US < silence_us ? NOWHERE_US : silence_us;
}

static int connect_check_deadline(struct connecting *c)
{
	int64_t now, limit = c->conf->connect_timeout_us;

	if (c->idle_polls++ % CM_IDLE_POLLS)
		return 0;
	now = clock_us();
	if (limit && now - c->since_us > limit)
		return too_late(c, limit, "WEFT_CONNECT_TIMEOUT");
	if (c->no_line && now - c->requested_us > patience_without_line(c))
		return too_late(c, now - c->requested_us, "no longer, as there is no liveness connection either");
	if (now - c->late_us > LATE_EVERY_US) {
		c->late_us = now;
		log_info("connect: still waiting for peer %s after %" PRId64 " s", xfer_comm_peer_text(c->comm),
			 (now - c->since_us) / 1000000);
	}
	if (now - c->checked_us < CHECK_EVERY_US)
		return 0;
	c->checked_us = now;
	return xfer_comm_check_peer(c->comm);
}

static int wait_response(void *machine)
{
	struct connecting *c = machine;
	int ret;

	if (c->answered && c->answer.who.status)
		return refused(c);
	if (c->answered) {
		ret = xfer_comm_connected(c->comm, &c->answer);
		return ret ? ret : CONNECTED;
	}
	ret = xfer_comm_connect_sent(c->comm);
	if (ret >= 0)
		ret = connect_check_deadline(c);
	return ret < 0 ? ret : FSM_STAY;
}

static const struct fsm_state table[] = {
	[DIAL] = {"dial lifeline", connect_dial, 1u << WAIT_LIFELINE | 1u << OPEN},
	[WAIT_LIFELINE] = {"wait for lifeline", wait_lifeline, 1u << OPEN},
	[OPEN] = {"open comm", connect_open_comm, 1u << REQUEST},
	[REQUEST] = {"request", request, 1u << WAIT_RESPONSE},
	[WAIT_RESPONSE] = {"wait for response", wait_response, 1u << CONNECTED},
	[CONNECTED] = {"connected", NULL, 0},
};

static void response_arrived(struct xfer_connector *connector, const struct wire_connect *msg)
{
	struct connecting *c = container_of(connector, struct connecting, connector);

	if (c->answered || !wire_secret_is(msg->proof, c->ask))
		return; /* a duplicate, or not from the peer of our request */
	c->answer = *msg;
	c->answered = true;
}

int connecting_make(struct dev *dev, const struct conf *conf, const struct wire_handle *handle, struct connecting **out)
{
	struct connecting *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return -ENOMEM;
	c->connector.response = response_arrived;
	c->dev = dev;
	c->conf = conf;
	c->handle = *handle;
	c->buffer = handle;
	random_fill(&c->ask, sizeof(c->ask));
	c->since_us = c->late_us = clock_us();
	c->busy = true;
	ret = xfer_ep_get(dev, conf, &c->ep);
	if (ret) {
		free(c);
		return ret;
	}
	*out = c;
	return 0;
}

int connecting_step(struct connecting *c)
{
	return fsm_run(table, &c->state, c, "connect");
}

void connecting_settle(struct connecting *c)
{
	if (!c->comm || connecting_done(c))
		return;
	if (c->answered && !c->answer.who.status && !xfer_comm_connected(c->comm, &c->answer))
		c->state = CONNECTED;
	else
		xfer_comm_give_up(c->comm);
}

bool connecting_done(const struct connecting *c)
{
	return c->state == CONNECTED;
}

void connecting_free(struct connecting *c)
{
	xfer_ep_put(c->ep);
	free(c);
}

void connecting_in_child(void)
{
	pthread_mutex_init(&failed_lock, NULL);
	failed_count = 0;
}
