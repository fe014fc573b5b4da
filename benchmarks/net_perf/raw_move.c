/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two engines on libfabric; see raw.h.
 *
 * Tagged: each message has a receive posted for exactly its number.
 *
 * Writes with immediate data: message k is written into slot k of a ring at the receiver that has twice as many slots as the
 * depth. The immediate data is the message's number (31 bits, over all runs). Once per half ring, the receiver reports the
 * number of consumed messages with another small write, so the sender rarely has to wait. This is the minimum for a correct
 * stream. The latency pattern needs no such reports, because the answer implies them.
 */
#include "raw_priv.h"

#include "complain.h"

#define TELL	    0x80000000u /* marks immediate data that reports the number of messages consumed */
#define NUMBER_MASK 0x7fffffffu
#define COMPLETIONS 16

static struct raw *raw_of(const struct side *s)
{
	return s->state;
}

int raw_failed(const struct raw *r, const char *what, ssize_t err)
{
	int positive = (int)(err < 0 ? -err : err);

	complain("raw: %s failed: %s (%d)", what, r->lib.error_text(positive), positive);
	return -1;
}

static int completion_error(struct raw *r)
{
	struct fi_cq_err_entry e = {.err = 0};
	ssize_t n = fi_cq_readerr(r->cq, &e, 0);

	if (n < 0)
		return raw_failed(r, "fi_cq_readerr", n);
	complain("raw: an operation failed: %s (%d), provider error %d", r->lib.error_text(e.err), e.err, e.prov_errno);
	return -1;
}

static int immediate_arrived(struct side *s, uint32_t data)
{
	struct raw *r = raw_of(s);
	uint32_t number = data & NUMBER_MASK;
	struct flow *f = &s->rx;
	uint64_t ahead;

	if (data & TELL) {
		/* Reports may overtake each other, or come from the previous run. */
		if (((number - r->consumed) & NUMBER_MASK) <= NUMBER_MASK / 2)
			r->consumed = number;
		return 0;
	}
	ahead = (number - (uint32_t)(f->first_seq + f->done)) & NUMBER_MASK;
	if (ahead >= f->slots) {
		complain("raw: unexpected immediate data 0x%x", data);
		return -1;
	}
	flow_complete(f, f->done + ahead, flow_bytes(f, f->done + ahead));
	return 0;
}

/* The operation of this side that has completed; NULL: a write by the peer. Some providers set no flag for this. */
static struct raw_pending *ours(struct raw *r, void *context)
{
	char *p = context, *first = (char *)r->pending, *end = first + sizeof(r->pending);

	return p >= first && p < end ? context : NULL;
}

static int completions(struct side *s)
{
	struct raw *r = raw_of(s);
	struct fi_cq_data_entry e[COMPLETIONS];
	ssize_t n = fi_cq_read(r->cq, e, COMPLETIONS), i;

	if (n == -FI_EAGAIN)
		return 0;
	if (n == -FI_EAVAIL)
		return completion_error(r);
	if (n < 0)
		return raw_failed(r, "fi_cq_read", n);
	for (i = 0; i < n; i++) {
		struct raw_pending *p = ours(r, e[i].op_context);

		if (p)
			flow_complete(p->flow, p->k, p->flow->receives ? e[i].len : flow_bytes(p->flow, p->k));
		else if (immediate_arrived(s, (uint32_t)e[i].data))
			return -1;
	}
	return 0;
}

/* The context of the next operation. */
static struct raw_pending *pending(struct raw *r, struct flow *f)
{
	struct raw_pending *p = &r->pending[f->receives][f->posted % f->slots];

	p->flow = f;
	p->k = f->posted;
	return p;
}

/* The result of a post: 1: accepted; 0: try again; -1: failed, after a message. */
static int posted(struct side *s, struct flow *f, const char *call, ssize_t ret, bool at_once)
{
	if (ret == -FI_EAGAIN)
		return 0;
	if (ret)
		return raw_failed(raw_of(s), call, ret);
	f->posted++;
	if (at_once)
		flow_complete(f, f->posted - 1, flow_bytes(f, f->posted - 1));
	return 1;
}

/* Injecting saves a completion, but a stream needs completions to count the operations in flight. */
static bool injects(const struct side *s, size_t bytes)
{
	return s->pattern == PATTERN_LATENCY && bytes <= raw_of(s)->inject_bytes;
}

static int post_tagged_send(struct side *s)
{
	struct raw *r = raw_of(s);
	struct flow *f = &s->tx;
	size_t bytes = flow_bytes(f, f->posted);
	uint64_t tag = f->first_seq + f->posted;
	void *buf = flow_next(f);

	if (injects(s, bytes))
		return posted(s, f, "fi_tinject", fi_tinject(r->ep, buf, bytes, r->peer, tag), true);
	return posted(s, f, "fi_tsend", fi_tsend(r->ep, buf, bytes, r->desc, r->peer, tag, pending(r, f)), false);
}

static int post_tagged_recv(struct side *s)
{
	struct raw *r = raw_of(s);
	struct flow *f = &s->rx;
	size_t bytes = flow_bytes(f, f->posted);
	uint64_t tag = f->first_seq + f->posted;

	return posted(s, f, "fi_trecv", fi_trecv(r->ep, flow_next(f), bytes, r->desc, r->peer, tag, 0, pending(r, f)),
		      false);
}

static int tagged_step(struct side *s)
{
	int ret = 1;

	while (ret > 0 && flow_may_post(&s->tx))
		ret = post_tagged_send(s);
	if (ret < 0)
		return ret;
	for (ret = 1; ret > 0 && flow_may_post(&s->rx);)
		ret = post_tagged_recv(s);
	return ret < 0 ? ret : completions(s);
}

static void write_begin(struct side *s)
{
	struct raw *r = raw_of(s);

	if (s->pattern != PATTERN_LATENCY)
		s->rx.slots = 2 * s->rx.depth;
	s->rx.posted = s->rx.total;
	/* A run begins after both sides have ended the previous one. */
	r->consumed = (uint32_t)s->tx.first_seq & NUMBER_MASK;
	r->consumed_told = (uint32_t)s->rx.first_seq & NUMBER_MASK;
}

static bool may_write(const struct side *s)
{
	const struct flow *f = &s->tx;
	uint32_t ahead = ((uint32_t)(f->first_seq + f->posted) - raw_of(s)->consumed) & NUMBER_MASK;

	return flow_may_post(f) && (s->pattern == PATTERN_LATENCY || ahead < 2 * f->depth);
}

static int post_write(struct side *s)
{
	struct raw *r = raw_of(s);
	struct flow *f = &s->tx;
	size_t bytes = flow_bytes(f, f->posted);
	uint64_t data = (f->first_seq + f->posted) & NUMBER_MASK;
	unsigned ring = s->pattern == PATTERN_LATENCY ? s->rx.slots : 2 * f->depth;
	uint64_t addr = r->remote_base + s->tx_bytes + f->posted % ring * f->stride;
	void *buf = flow_next(f);

	if (injects(s, bytes))
		return posted(s, f, "fi_inject_writedata",
			      fi_inject_writedata(r->ep, buf, bytes, data, r->peer, addr, r->remote_key), true);
	return posted(s, f, "fi_writedata",
		      fi_writedata(r->ep, buf, bytes, r->desc, data, r->peer, addr, r->remote_key, pending(r, f)),
		      false);
}

static int tell_consumed(struct side *s)
{
	struct raw *r = raw_of(s);
	uint32_t consumed = (uint32_t)(s->rx.first_seq + s->rx.done) & NUMBER_MASK;
	uint64_t addr = r->remote_base + (uint64_t)(side_scratch(s) - s->mem);
	ssize_t ret;

	if (((consumed - r->consumed_told) & NUMBER_MASK) < s->rx.depth)
		return 0;
	ret = fi_inject_writedata(r->ep, side_scratch(s), 8, TELL | consumed, r->peer, addr, r->remote_key);
	if (ret == -FI_EAGAIN)
		return 0;
	if (ret)
		return raw_failed(r, "fi_inject_writedata", ret);
	r->consumed_told = consumed;
	return 0;
}

static int write_step(struct side *s)
{
	int ret = 1;

	while (ret > 0 && may_write(s))
		ret = post_write(s);
	if (ret < 0)
		return ret;
	if (s->pattern != PATTERN_LATENCY && tell_consumed(s))
		return -1;
	return completions(s);
}

static const struct engine tagged_engine = {.step = tagged_step};
static const struct engine write_engine = {.begin = write_begin, .step = write_step};

void raw_use(struct side *s, struct raw *r, enum raw_op op)
{
	s->engine = op == RAW_TAGGED ? &tagged_engine : &write_engine;
	s->state = r;
}
