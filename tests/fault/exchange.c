/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small libfabric program to test a provider: two endpoints of one process exchange messages, tagged messages or RMA
 * writes and reads; every byte and every completion is checked. It obeys libfabric's contract, assumes nothing beyond
 * it, and does not depend on the fault provider.
 *
 * Exit status: 0 all data arrived; 2 wrong usage; 3 libfabric reported an error, printed in one line on stderr; 4 the
 * provider broke the contract: wrong data, or an extra completion.
 */
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#define DEPTH	  16 /* messages in flight */
#define DATA_BASE 0x1000

enum pattern { MSG, TAGGED, WRITE, READ, INJECT };

static const char *const patterns[] = {"msg", "tagged", "write", "read", "inject"};

/* One of the two ends, with its own NIC. */
struct end {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_eq *eq;
	struct fid_domain *domain;
	struct fid_ep *ep;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fid_mr *mr;
	fi_addr_t peer;
	unsigned char *mem; /* DEPTH slots */
	uint64_t key, base; /* for RMA by the other end */
	int errors;	    /* number of error completions */
};

/* Context of an operation, written by libfabric; unique while the operation is in flight. */
struct slot {
	struct fi_context2 ctx; /* must be the first member */
	int number;		/* number of the message, or -1 */
	bool rx;
};

static const char *provider = "fault";
static const char *domains[2];
static enum pattern pattern = TAGGED;
static long count = 200, size = 4096;
static long seconds = 30;
static bool tolerant; /* continue after error completions */
static bool cancel_last;
static struct end ends[2];
static struct slot tx_slots[DEPTH], rx_slots[DEPTH];
static unsigned char seen[1 << 20];

static _Noreturn void quit(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static _Noreturn void quit(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("exchange: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static void must(int ret, const char *call)
{
	if (ret < 0)
		quit(3, "%s: %s (%d)", call, fi_strerror(-ret), ret);
}

static void out_of_time(void)
{
	static time_t end_s;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (!end_s)
		end_s = t.tv_sec + seconds;
	if (t.tv_sec > end_s)
		quit(5, "nothing has ended within %ld s", seconds);
}

/* ---- opening ---- */

static struct fi_info *find(struct fi_info *list, const char *domain)
{
	for (; list; list = list->next)
		if (!strcmp(list->fabric_attr->prov_name, provider) &&
		    (!domain || !strcmp(list->domain_attr->name, domain)))
			return list;
	quit(3, "provider %s has no domain %s", provider, domain ? domain : "at all");
}

static struct fi_info *get_infos(void)
{
	struct fi_info *hints = fi_allocinfo(), *list;

	if (!hints)
		quit(3, "no memory");
	hints->caps = FI_MSG | FI_TAGGED | FI_RMA;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->fabric_attr->prov_name = strdup(provider);
	must(fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, hints, &list), "fi_getinfo");
	fi_freeinfo(hints);
	return list;
}

static void end_open(struct end *e, int i)
{
	struct fi_cq_attr cq_attr = {.size = 256, .format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_NONE};
	struct fi_av_attr av_attr = {.type = FI_AV_TABLE};
	struct fi_eq_attr eq_attr = {.wait_obj = FI_WAIT_NONE};
	size_t bytes = (size_t)(DEPTH * (size ? size : 1));

	must(fi_fabric(e->info->fabric_attr, &e->fabric, NULL), "fi_fabric");
	must(fi_eq_open(e->fabric, &eq_attr, &e->eq, NULL), "fi_eq_open");
	must(fi_domain(e->fabric, e->info, &e->domain, NULL), "fi_domain");
	must(fi_endpoint(e->domain, e->info, &e->ep, NULL), "fi_endpoint");
	must(fi_cq_open(e->domain, &cq_attr, &e->cq, NULL), "fi_cq_open");
	must(fi_av_open(e->domain, &av_attr, &e->av, NULL), "fi_av_open");
	must(fi_ep_bind(e->ep, &e->cq->fid, FI_TRANSMIT | FI_RECV), "fi_ep_bind");
	must(fi_ep_bind(e->ep, &e->av->fid, 0), "fi_ep_bind");
	must(fi_enable(e->ep), "fi_enable");
	e->mem = calloc(1, bytes);
	if (!e->mem)
		quit(3, "no memory");
	must(fi_mr_reg(e->domain, e->mem, bytes,
		       FI_SEND | FI_RECV | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE, 0, (uint64_t)i + 1, 0,
		       &e->mr, NULL),
	     "fi_mr_reg");
	e->key = fi_mr_key(e->mr);
	e->base = e->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR ? (uintptr_t)e->mem : 0;
}

static void introduce(struct end *e, struct end *other)
{
	unsigned char addr[256];
	size_t bytes = sizeof(addr);
	int ret;

	must(fi_getname(&other->ep->fid, addr, &bytes), "fi_getname");
	ret = fi_av_insert(e->av, addr, 1, &e->peer, 0, NULL);
	must(ret == 1 ? 0 : ret < 0 ? ret : -FI_EINVAL, "fi_av_insert");
}

static void end_close(struct end *e)
{
	must(fi_close(&e->mr->fid), "closing a registration");
	must(fi_close(&e->ep->fid), "closing an endpoint");
	must(fi_close(&e->av->fid), "closing an address vector");
	must(fi_close(&e->cq->fid), "closing a completion queue");
	must(fi_close(&e->domain->fid), "closing a domain");
	must(fi_close(&e->eq->fid), "closing an event queue");
	must(fi_close(&e->fabric->fid), "closing a fabric");
	free(e->mem);
}

/* ---- data ---- */

static unsigned char *place(const struct end *e, long number)
{
	return e->mem + number % DEPTH * size;
}

static unsigned char byte_of(long number, long at)
{
	return (unsigned char)(number * 31 + at * 7 + (at >> 8) + 1);
}

static void fill(unsigned char *p, long number)
{
	long i;

	for (i = 0; i < size; i++)
		p[i] = byte_of(number, i);
}

static void expect(const unsigned char *p, long number)
{
	long i;

	for (i = 0; i < size; i++)
		if (p[i] != byte_of(number, i))
			quit(4, "message %ld differs at byte %ld of %ld", number, i, size);
}

/* ---- traffic: end 0 sends, writes or reads; end 1 is the target ---- */

static long next_rx, next_tx, done_rx, done_tx;

static void tx_done(struct slot *slot)
{
	if (pattern == READ)
		expect(place(&ends[0], slot->number), slot->number);
	slot->number = -1;
	done_tx++;
}

static void rx_done(struct slot *slot, size_t len)
{
	if (len != (size_t)size)
		quit(4, "message %d has %zu bytes instead of %ld", slot->number, len, size);
	expect(place(&ends[1], slot->number), slot->number);
	slot->number = -1;
	done_rx++;
}

/* The immediate data of a write may be reported twice, but at least once. */
static void write_arrived(uint64_t data)
{
	long number = (long)(data - DATA_BASE);

	if (number < 0 || number >= next_tx)
		quit(4, "immediate data %ld were never sent", number);
	if (seen[number])
		return;
	expect(place(&ends[1], number), number);
	seen[number] = 1;
	done_rx++;
}

static void completed(const struct fi_cq_data_entry *entry)
{
	struct slot *slot = entry->op_context;

	if (entry->flags & FI_REMOTE_WRITE) {
		write_arrived(entry->data);
		return;
	}
	if (!slot || slot->number < 0)
		quit(4, "a completion of nothing in flight");
	if (slot->rx)
		rx_done(slot, entry->len);
	else
		tx_done(slot);
}

static void failed(struct end *e)
{
	struct fi_cq_err_entry entry;
	struct slot *slot;
	char text[128];

	memset(&entry, 0, sizeof(entry));
	if (fi_cq_readerr(e->cq, &entry, 0) != 1)
		quit(4, "an error without an entry");
	if (!tolerant)
		quit(3, "completion: %s (%d), %s", fi_strerror(entry.err), entry.err,
		     fi_cq_strerror(e->cq, entry.prov_errno, entry.err_data, text, sizeof(text)));
	e->errors++;
	slot = entry.op_context;
	if (slot && slot->rx)
		done_rx++;
	else if (slot)
		done_tx++;
	if (slot)
		slot->number = -1;
}

static void poll_end(struct end *e)
{
	struct fi_cq_data_entry entries[8];
	ssize_t i, n = fi_cq_read(e->cq, entries, 8);

	if (n == -FI_EAVAIL)
		failed(e);
	else if (n != -FI_EAGAIN)
		must((int)n, "fi_cq_read");
	for (i = 0; i < n; i++)
		completed(&entries[i]);
}

static struct slot *slot_for(struct slot *slots, long number)
{
	struct slot *slot = &slots[number % DEPTH];

	return slot->number < 0 ? slot : NULL;
}

/* 1: posted; 0: to be retried. */
static int posted(ssize_t ret, const char *call)
{
	if (ret == -FI_EAGAIN)
		return 0;
	must((int)ret, call);
	return 1;
}

static int post_rx(void)
{
	struct end *e = &ends[1];
	struct slot *slot = slot_for(rx_slots, next_rx);
	unsigned char *p = place(e, next_rx);
	ssize_t ret;

	if (!slot)
		return 0;
	memset(p, 0, (size_t)size);
	slot->number = (int)next_rx;
	if (pattern == TAGGED)
		ret = fi_trecv(e->ep, p, (size_t)size, fi_mr_desc(e->mr), FI_ADDR_UNSPEC, (uint64_t)next_rx, 0, slot);
	else
		ret = fi_recv(e->ep, p, (size_t)size, fi_mr_desc(e->mr), FI_ADDR_UNSPEC, slot);
	if (posted(ret, "posting a receive"))
		return 1;
	slot->number = -1;
	return 0;
}

static ssize_t send_it(struct end *e, unsigned char *p, struct slot *slot)
{
	struct end *other = &ends[1];
	uint64_t at = other->base + (uint64_t)(next_tx % DEPTH * size);
	size_t bytes = (size_t)size;
	void *desc = fi_mr_desc(e->mr);

	switch (pattern) {
	case MSG: return fi_send(e->ep, p, bytes, desc, e->peer, slot);
	case INJECT: return fi_inject(e->ep, p, bytes, e->peer);
	case TAGGED: return fi_tsend(e->ep, p, bytes, desc, e->peer, (uint64_t)next_tx, slot);
	case WRITE:
		return fi_writedata(e->ep, p, bytes, desc, (uint64_t)(DATA_BASE + next_tx), e->peer, at, other->key,
				    slot);
	default: return fi_read(e->ep, p, bytes, desc, e->peer, at, other->key, slot);
	}
}

static int post_tx(void)
{
	struct end *e = &ends[0];
	struct slot *slot = slot_for(tx_slots, next_tx);
	unsigned char *p = place(e, next_tx);

	/* the place of a write is free again once the previous write there has arrived */
	if (!slot || (pattern == WRITE && next_tx >= DEPTH && !seen[next_tx - DEPTH]))
		return 0;
	if (pattern == WRITE)
		memset(place(&ends[1], next_tx), 0, (size_t)size);
	fill(pattern == READ ? place(&ends[1], next_tx) : p, next_tx);
	slot->number = (int)next_tx;
	if (!posted(send_it(e, p, slot), "posting")) {
		slot->number = -1;
		return 0;
	}
	if (pattern == INJECT)
		tx_done(slot);
	return 1;
}

static void run(void)
{
	bool receives = pattern == MSG || pattern == TAGGED || pattern == INJECT;
	bool arrivals = receives || pattern == WRITE;

	while (done_tx < count || (arrivals && done_rx < count)) {
		while (receives && next_rx < count && post_rx())
			next_rx++;
		while (next_tx < (receives ? next_rx : count) && post_tx())
			next_tx++;
		poll_end(&ends[0]);
		poll_end(&ends[1]);
		if (tolerant && ends[0].errors && next_tx == count && done_tx == count)
			break; /* a failed message may never arrive */
		out_of_time();
		sched_yield();
	}
}

/* Cancels a receive that has no matching message. */
static void cancel_one(void)
{
	struct end *e = &ends[1];
	struct slot *slot = &rx_slots[0];
	struct fi_cq_err_entry entry;
	struct fi_cq_data_entry late;
	ssize_t ret;

	do {
		slot->number = 0;
		ret = fi_trecv(e->ep, e->mem, (size_t)size, fi_mr_desc(e->mr), FI_ADDR_UNSPEC, ~0ull, 0, slot);
		out_of_time();
	} while (ret == -FI_EAGAIN);
	must((int)ret, "posting a receive");
	must((int)fi_cancel(&e->ep->fid, slot), "fi_cancel");
	while ((ret = fi_cq_read(e->cq, &late, 1)) == -FI_EAGAIN || ret == 1) {
		if (ret == 1)
			completed(&late); /* a duplicate, or the cancelled receive: an error then */
		out_of_time();
	}
	memset(&entry, 0, sizeof(entry));
	if (ret != -FI_EAVAIL || fi_cq_readerr(e->cq, &entry, 0) != 1 || entry.err != FI_ECANCELED ||
	    entry.op_context != slot)
		quit(4, "a cancelled receive ends with %zd, error %d", ret, entry.err);
}

/* ---- the program ---- */

static void list_nics(void)
{
	struct fi_info *list = get_infos(), *copy, *i;

	for (i = list; i; i = i->next) {
		if (strcmp(i->fabric_attr->prov_name, provider))
			continue;
		copy = fi_dupinfo(i); /* a copy must have the same contents as the original */
		if (!copy)
			quit(3, "fi_dupinfo");
		printf("%s", copy->domain_attr->name);
		if (copy->nic && copy->nic->bus_attr->bus_type == FI_BUS_PCI)
			printf(" %04x:%02x:%02x.%x", copy->nic->bus_attr->attr.pci.domain_id,
			       copy->nic->bus_attr->attr.pci.bus_id, copy->nic->bus_attr->attr.pci.device_id,
			       copy->nic->bus_attr->attr.pci.function_id);
		else
			printf(" -");
		printf(" %zu\n", copy->nic ? copy->nic->link_attr->speed / 1000000 : 0);
		fi_freeinfo(copy);
	}
	fi_freeinfo(list);
}

static void usage(FILE *out)
{
	fprintf(out, "usage: exchange [OPTION]...\n"
		     "Two libfabric endpoints of one process exchange data; everything is checked.\n"
		     "\n"
		     "  --list            print the provider's NICs (name, PCI address, Mbit/s) and end\n"
		     "  --provider NAME   default fault\n"
		     "  --from DOMAIN     default the first\n"
		     "  --to DOMAIN       default the first\n"
		     "  --pattern P       msg, tagged, inject, write or read (default tagged)\n"
		     "  --count N         messages (default 200)\n"
		     "  --size BYTES      of each (default 4096)\n"
		     "  --tolerant        error completions are no failure\n"
		     "  --cancel          take a receive back at the end\n"
		     "  --timeout S       default 30\n"
		     "  --help            this text\n");
}

static long number(const char *text, long min, long max)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < min || n > max)
		quit(2, "%s is no number from %ld to %ld", text, min, max);
	return n;
}

static void parse(int argc, char **argv, bool *out_list)
{
	static const struct option table[] = {
		{"list", no_argument, NULL, 'l'},	   {"provider", required_argument, NULL, 'p'},
		{"from", required_argument, NULL, 'f'},	   {"to", required_argument, NULL, 't'},
		{"pattern", required_argument, NULL, 'P'}, {"count", required_argument, NULL, 'c'},
		{"size", required_argument, NULL, 's'},	   {"tolerant", no_argument, NULL, 'T'},
		{"cancel", no_argument, NULL, 'C'},	   {"timeout", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},	   {NULL, 0, NULL, 0},
	};
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (c) {
		case 'l': *out_list = true; break;
		case 'p': provider = optarg; break;
		case 'f': domains[0] = optarg; break;
		case 't': domains[1] = optarg; break;
		case 'P':
			for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
				if (!strcmp(patterns[i], optarg))
					break;
			if (i == sizeof(patterns) / sizeof(patterns[0]))
				quit(2, "no pattern %s", optarg);
			pattern = (enum pattern)i;
			break;
		case 'c': count = number(optarg, 1, (long)sizeof(seen)); break;
		case 's': size = number(optarg, 0, 1 << 24); break;
		case 'T': tolerant = true; break;
		case 'C': cancel_last = true; break;
		case 'S': seconds = number(optarg, 1, 3600); break;
		case 'h': usage(stdout); exit(0);
		default: exit(2);
		}
	}
	if (optind < argc)
		quit(2, "unexpected argument %s", argv[optind]);
}

int main(int argc, char **argv)
{
	struct fi_info *list;
	bool only_list = false;
	int i;

	parse(argc, argv, &only_list);
	if (only_list) {
		list_nics();
		return 0;
	}
	for (i = 0; i < DEPTH; i++) {
		tx_slots[i].number = rx_slots[i].number = -1;
		rx_slots[i].rx = true;
	}
	list = get_infos();
	for (i = 0; i < 2; i++) {
		ends[i].info = find(list, domains[i]);
		end_open(&ends[i], i);
	}
	introduce(&ends[0], &ends[1]);
	introduce(&ends[1], &ends[0]);
	run();
	if (cancel_last)
		cancel_one();
	for (i = 0; i < 2; i++)
		end_close(&ends[i]);
	fi_freeinfo(list);
	return 0;
}
