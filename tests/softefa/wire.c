/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers and rings. A ring has one writer and one reader. It keeps whole packets in their order of writing; reordering
 * is done by the sender, in srd_tx.c. The writer creates the ring, as a file in its peer's port; the reader maps and
 * unlinks it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "port.h"

#define RING_BYTES (256u << 10)
#define ROUTES	   1024u

struct soft_ring {
	atomic_uint magic; /* set last */
	char from[96];
	union ibv_gid gid;
	_Alignas(64) atomic_uint_fast64_t head; /* total bytes written */
	atomic_uint_fast64_t void_before;	/* requests before this position have been given up */
	_Alignas(64) atomic_uint_fast64_t tail; /* total bytes read */
	_Alignas(64) char data[RING_BYTES];
};

struct soft_pending {
	STAILQ_ENTRY(soft_pending) link;
	struct soft_packet packet;
};

struct soft_route {
	struct soft_route *next;
	struct soft_peer *peer;
	union ibv_gid gid;
	uint32_t qpn;
};

static void peer_free(struct soft_peer *p)
{
	struct soft_pending *b;

	while ((b = STAILQ_FIRST(&p->backlog))) {
		STAILQ_REMOVE_HEAD(&p->backlog, link);
		free(b);
	}
	soft_partials_free(p);
	if (p->in)
		munmap(p->in, sizeof(*p->in));
	if (p->out)
		munmap(p->out, sizeof(*p->out));
	if (p->page)
		munmap(p->page, sizeof(*p->page));
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	free(p);
}

void soft_peers_free(struct soft_context *c)
{
	struct soft_route *r;
	struct soft_peer *p;
	unsigned i;

	while ((p = c->peers)) {
		c->peers = p->next;
		peer_free(p);
	}
	for (i = 0; c->routes && i < ROUTES; i++)
		while ((r = c->routes[i].next)) {
			c->routes[i].next = r->next;
			free(r);
		}
	free(c->routes);
	c->routes = NULL;
}

/* The peer of this name, known or new. NULL without memory. */
static struct soft_peer *peer_get(struct soft_context *c, const char *name, const union ibv_gid *gid)
{
	struct soft_peer *p;

	for (p = c->peers; p; p = p->next)
		if (!strcmp(p->name, name))
			return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->gid = *gid;
	p->lock_fd = -1;
	STAILQ_INIT(&p->backlog);
	LIST_INIT(&p->partials);
	p->next = c->peers;
	c->peers = p;
	return p;
}

/* Creates our ring to p, once. */
static bool peer_reach(struct soft_context *c, struct soft_peer *p)
{
	struct soft_ring *ring;
	char path[400], gid[33];

	if (p->out || p->hopeless)
		return p->out;
	snprintf(path, sizeof(path), "%s/%s/page", soft_setup.dir, p->name);
	if (!p->page)
		p->page = soft_file_map(path, 0, &p->lock_fd);
	if (!p->page) {
		p->hopeless = true;
		return false;
	}
	soft_gid_text(&c->device->gid, gid);
	snprintf(path, sizeof(path), "%s/%s/ring-%s-%s", soft_setup.dir, p->name, gid, strrchr(c->port.name, '/') + 1);
	ring = soft_file_map(path, sizeof(*ring), NULL);
	if (!ring) {
		p->hopeless = true;
		if (errno != ENOENT)
			soft_log("cannot make %s: %s; SOFTEFA_DIR may name a directory with more room", path,
				 strerror(errno));
		unlink(path);
		return false;
	}
	snprintf(ring->from, sizeof(ring->from), "%s", c->port.name);
	ring->gid = c->device->gid;
	atomic_store(&ring->magic, SOFT_MAGIC);
	p->out = ring;
	atomic_fetch_add(&p->page->rings, 1);
	return true;
}

static unsigned route_slot(const union ibv_gid *gid, uint32_t qpn)
{
	unsigned i, h = qpn * 31;

	for (i = 8; i < 16; i++)
		h = h * 31 + gid->raw[i];
	return h % ROUTES;
}

struct soft_peer *soft_peer_find(struct soft_context *c, const union ibv_gid *gid, uint32_t qpn, bool *out_known)
{
	struct soft_route *r, *slot;
	char path[200], target[64], name[128], text[33];
	struct soft_peer *p;
	ssize_t n;
	int alive;

	*out_known = true;
	if (!c->routes)
		c->routes = calloc(ROUTES, sizeof(*c->routes));
	if (!c->routes)
		return NULL;
	slot = &c->routes[route_slot(gid, qpn)];
	for (r = slot->next; r; r = r->next)
		if (r->qpn == qpn && !memcmp(&r->gid, gid, sizeof(*gid)))
			break;
	if (r && !r->peer->silent_us)
		return r->peer;
	soft_qp_path(gid, qpn, path);
	soft_gid_text(gid, text);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0) {
		if (r)
			return r->peer;
		soft_port_sweep(text, &alive);
		*out_known = alive > 0;
		return NULL;
	}
	target[n] = 0;
	snprintf(name, sizeof(name), "%s/%s", text, target);
	p = peer_get(c, name, gid);
	if (!p || !peer_reach(c, p))
		return p;
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r)
			return NULL;
		r->gid = *gid;
		r->qpn = qpn;
		r->next = slot->next;
		slot->next = r;
	}
	r->peer = p;
	return p;
}

bool soft_peer_is_gone(const struct soft_peer *p)
{
	return p->hopeless || (p->page && !soft_file_is_locked(p->lock_fd));
}

bool soft_peer_is_down(const struct soft_peer *p)
{
	return p->page && soft_page_is_down(p->page);
}

void soft_peers_accept(struct soft_context *c)
{
	uint32_t rings = atomic_load(&c->port.page->rings);
	struct soft_ring *ring;
	struct soft_peer *p;
	char base[200], path[512];
	struct dirent *e;
	DIR *d;

	if (rings == c->port.seen)
		return;
	c->port.seen = rings;
	snprintf(base, sizeof(base), "%s/%s", soft_setup.dir, c->port.name);
	d = opendir(base);
	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, "ring-", 5))
			continue;
		snprintf(path, sizeof(path), "%s/%.255s", base, e->d_name);
		ring = soft_file_map(path, 0, NULL);
		if (!ring)
			continue; /* its creator is not finished, and will announce it */
		p = atomic_load(&ring->magic) == SOFT_MAGIC ? peer_get(c, ring->from, &ring->gid) : NULL;
		if (!p || p->in) {
			munmap(ring, sizeof(*ring));
			continue;
		}
		p->in = ring;
		unlink(path);
	}
	if (d)
		closedir(d);
}

static size_t ring_bytes(size_t len)
{
	return (sizeof(struct soft_packet) + len + 63) & ~(size_t)63;
}

static struct soft_packet *ring_at(struct soft_ring *ring, uint64_t position)
{
	return (struct soft_packet *)(void *)&ring->data[position % RING_BYTES];
}

/* Room for a packet, regardless of the backlog. */
static struct soft_packet *room(struct soft_peer *p, size_t len)
{
	uint64_t head = atomic_load_explicit(&p->out->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&p->out->tail, memory_order_acquire);
	size_t bytes = ring_bytes(len), rest = RING_BYTES - head % RING_BYTES;
	struct soft_packet *packet = ring_at(p->out, head);

	if (bytes <= rest)
		return head + bytes - tail <= RING_BYTES ? packet : NULL;
	if (head + rest + bytes - tail > RING_BYTES)
		return NULL;
	packet->type = PACKET_PAD;
	packet->len = (uint32_t)(rest - sizeof(*packet));
	atomic_store_explicit(&p->out->head, head + rest, memory_order_release);
	return ring_at(p->out, head + rest);
}

struct soft_packet *soft_ring_room(struct soft_context *c, struct soft_peer *p, size_t len)
{
	if (c->inherited || !peer_reach(c, p) || !STAILQ_EMPTY(&p->backlog))
		return NULL;
	return room(p, len);
}

void soft_ring_push(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet)
{
	soft_count(c, TX_PKTS, 1);
	soft_count(c, TX_BYTES, sizeof(*packet) + packet->len);
	atomic_fetch_add_explicit(&p->out->head, ring_bytes(packet->len), memory_order_release);
}

void soft_reply(struct soft_context *c, struct soft_peer *p, const struct soft_packet *packet)
{
	struct soft_packet *at = soft_ring_room(c, p, 0);
	struct soft_pending *b;

	if (at) {
		*at = *packet;
		soft_ring_push(c, p, at);
		return;
	}
	if (p->gone)
		return;
	b = malloc(sizeof(*b));
	if (!b) {
		soft_log("no memory for an acknowledgement: a message will never complete");
		return;
	}
	b->packet = *packet;
	STAILQ_INSERT_TAIL(&p->backlog, b, link);
}

void soft_backlog_run(struct soft_context *c, struct soft_peer *p)
{
	struct soft_pending *b;
	struct soft_packet *at;

	while ((b = STAILQ_FIRST(&p->backlog)) && (at = room(p, 0))) {
		*at = b->packet;
		soft_ring_push(c, p, at);
		STAILQ_REMOVE_HEAD(&p->backlog, link);
		free(b);
	}
}

struct soft_packet *soft_ring_peek(struct soft_peer *p)
{
	uint64_t tail, head;
	struct soft_packet *packet;

	if (!p->in)
		return NULL;
	for (;;) {
		tail = atomic_load_explicit(&p->in->tail, memory_order_relaxed);
		head = atomic_load_explicit(&p->in->head, memory_order_acquire);
		if (head == tail)
			return NULL;
		packet = ring_at(p->in, tail);
		if (packet->type != PACKET_PAD)
			return packet;
		soft_ring_pop(p, packet);
	}
}

void soft_ring_void(struct soft_peer *p)
{
	if (p->out)
		atomic_store(&p->out->void_before, atomic_load_explicit(&p->out->head, memory_order_relaxed));
}

bool soft_ring_is_void(const struct soft_peer *p)
{
	return atomic_load_explicit(&p->in->tail, memory_order_relaxed) <
	       atomic_load_explicit(&p->in->void_before, memory_order_relaxed);
}

void soft_ring_pop(struct soft_peer *p, const struct soft_packet *packet)
{
	atomic_fetch_add_explicit(&p->in->tail, ring_bytes(packet->len), memory_order_release);
}
