/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completion queues: completions of the inner provider are moved into our queue, which applies the faults; the
 * application reads from our queue.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"

#define BATCH	   16
#define HARVEST	   64	/* approximate number of completions moved by one read */
#define IDLE_READS 8	/* reads without a new completion that release the ones held by FAULT_REORDER */
#define HOLD_US	   2000 /* longest time that FAULT_REORDER holds a completion while the queue is read */
#define ERR_DATA   256

/* libfabric 1.20 has the source's address behind the last member known to 1.17. */
#define SRC_OFFSET (offsetof(struct fi_cq_err_entry, err_data_size) + sizeof(size_t))

/* Room for the longest error entry of any current libfabric. */
union err_room {
	struct fi_cq_err_entry e;
	uint8_t room[256];
};

static struct fault_cq *of_cq(struct fid_cq *fid)
{
	return fault_owner(fid->ops, struct fault_cq, ops);
}

/* ---- in: from the inner provider ---- */

static void add(struct fault_cq *cq, struct fault_held *h, int64_t due_us)
{
	h->since_us = fault_now_us();
	h->due_us = due_us;
	if (fault_setup.delay_us) {
		h->due_us += (int64_t)fault_roll(DICE_DELAY, fault_setup.delay_us + 1);
		h->due_us += due_us ? 0 : h->since_us;
		fault_count(COUNT_DELAYED);
	}
	if (fault_held_add(cq, h))
		abort(); /* a lost completion is not among the faults we inject */
}

/* A remote write reported by its immediate data or FI_RMA_EVENT; it belongs to no operation of ours. */
static void take_remote(struct fault_cq *cq, struct fault_held *h)
{
	struct fault_ep *ep = atomic_load(&cq->rx_ep);
	bool data = h->e.flags & FI_REMOTE_WRITE && h->e.flags & FI_REMOTE_CQ_DATA;
	int64_t due = 0;

	if (ep && atomic_load(&ep->dead)) {
		fault_count(COUNT_SWALLOWED);
		return;
	}
	if (ep)
		due = fault_pass(ep->domain->nic, true, h->e.len);
	if (due)
		fault_count(COUNT_LIMITED);
	atomic_fetch_add(&cq->outstanding, 1);
	add(cq, h, due);
	if (!data || !fault_percent(DICE_DUPLICATE, fault_setup.duplicate_percent))
		return;
	fault_count(COUNT_DUPLICATED);
	atomic_fetch_add(&cq->outstanding, 1);
	add(cq, h, due);
}

static void into_error(struct fault_held *h, int err)
{
	h->error = fault_error_new(err, err, 0);
	if (!h->error)
		abort();
	h->e.len = 0;
	fault_count(COUNT_ERRORS);
}

/* A successful completion of an operation. */
static void take_good(struct fault_cq *cq, struct fault_held *h)
{
	struct fault_op *op = h->e.op_context;
	struct fault_ep *ep = op->ep;
	bool rx = fault_is_rx(op->call);
	int64_t due;

	if (atomic_load(&ep->dead)) {
		if (rx) {
			fault_count(COUNT_SWALLOWED);
			atomic_fetch_sub(&cq->outstanding, 1);
			op->stuck = true; /* can be cancelled, as if no message had come */
			return;
		}
		into_error(h, FI_ENOTCONN);
	} else if (!rx && fault_error_now()) {
		into_error(h, fault_setup.fail_errno);
	}
	if (op->call == CALL_READ)
		fault_hmem_read(ep->domain->nic, op->target);
	due = fault_pass(ep->domain->nic, rx || op->call == CALL_READ, rx ? h->e.len : op->len);
	if (due)
		fault_count(COUNT_LIMITED);
	h->e.op_context = op->context;
	if (!op->multi || h->e.flags & FI_MULTI_RECV)
		fault_op_put(op);
	else
		atomic_fetch_add(&cq->outstanding, 1);
	add(cq, h, due);
}

static void take(struct fault_cq *cq, const struct fi_cq_tagged_entry *entry, fi_addr_t src)
{
	struct fault_held h = {.e = *entry, .src = src};

	if (entry->flags & (FI_REMOTE_READ | FI_REMOTE_WRITE) || !entry->op_context)
		take_remote(cq, &h);
	else
		take_good(cq, &h);
}

static ssize_t take_error(struct fault_cq *cq, struct fid_cq *fid)
{
	uint8_t data[ERR_DATA];
	union err_room room;
	struct fault_held h = {.src = FI_ADDR_NOTAVAIL};
	struct fault_op *op;
	size_t bytes;
	ssize_t ret;

	memset(&room, 0, sizeof(room));
	room.e.err_data = data;
	room.e.err_data_size = sizeof(data);
	ret = cq->inner->readerr(fid, &room.e, 0);
	if (ret <= 0)
		return ret ? ret : -FI_EAGAIN;
	bytes = room.e.err_data && room.e.err_data_size <= sizeof(data) ? room.e.err_data_size : 0;
	h.error = fault_error_new(room.e.err, room.e.prov_errno, bytes);
	if (!h.error)
		abort();
	if (bytes)
		memcpy(h.error->data, room.e.err_data, bytes);
	h.error->olen = room.e.olen;
	if (FI_VERSION_GE(cq->api, FI_VERSION(1, 20)))
		memcpy(&h.error->src, room.room + SRC_OFFSET, sizeof(h.error->src));
	h.e = (struct fi_cq_tagged_entry){.op_context = room.e.op_context,
					  .flags = room.e.flags,
					  .len = room.e.len,
					  .buf = room.e.buf,
					  .data = room.e.data,
					  .tag = room.e.tag};
	op = room.e.op_context;
	if (op) {
		h.e.op_context = op->context;
		fault_op_put(op);
	} else {
		atomic_fetch_add(&cq->outstanding, 1);
	}
	add(cq, &h, 0);
	return 1;
}

/* Moves the available completions. Returns their number, or a negative error of the queue itself. */
static ssize_t harvest(struct fault_cq *cq, struct fid_cq *fid)
{
	struct fi_cq_tagged_entry entries[BATCH];
	fi_addr_t src[BATCH];
	ssize_t i, n, total = 0;

	while (total < HARVEST) {
		n = cq->inner->readfrom(fid, entries, BATCH, src);
		if (n == -FI_EAVAIL) {
			n = take_error(cq, fid);
		} else {
			for (i = 0; i < n; i++)
				take(cq, &entries[i], src[i]);
		}
		if (n == -FI_EAGAIN || !n)
			break;
		if (n < 0)
			return n;
		total += n;
	}
	return total;
}

/* ---- out: to the application ---- */

static size_t entry_bytes(enum fi_cq_format format)
{
	switch (format) {
	case FI_CQ_FORMAT_MSG: return sizeof(struct fi_cq_msg_entry);
	case FI_CQ_FORMAT_DATA: return sizeof(struct fi_cq_data_entry);
	case FI_CQ_FORMAT_TAGGED: return sizeof(struct fi_cq_tagged_entry);
	default: return sizeof(struct fi_cq_entry);
	}
}

/* Reordering must not delay the last completions for which the application waits. */
static bool released(struct fault_cq *cq, ssize_t news)
{
	int64_t now;
	size_t i;

	if (!fault_setup.reorder)
		return true;
	cq->idle_reads = news ? 0 : cq->idle_reads + 1;
	if (cq->idle_reads >= IDLE_READS)
		return true;
	now = fault_now_us();
	for (i = 0; i < cq->count; i++)
		if (cq->held[i].due_us <= now - HOLD_US && cq->held[i].since_us <= now - HOLD_US)
			return true;
	return false;
}

static size_t truncated(size_t count)
{
	if (fault_setup.truncate == TRUNCATE_ONE)
		return 1;
	return fault_setup.truncate == TRUNCATE_RANDOM ? 1 + fault_roll(DICE_TRUNCATE, count) : count;
}

static ssize_t deliver(struct fault_cq *cq, uint8_t *buf, size_t count, fi_addr_t *src, bool all)
{
	size_t bytes = entry_bytes(cq->format), most = truncated(count), n = 0;
	struct fault_held h;

	while (n < most && fault_held_take(cq, all, &h)) {
		if (h.error) {
			cq->failed = h;
			break;
		}
		/* the smaller formats are prefixes of the largest */
		memcpy(buf + n * bytes, &h.e, bytes);
		if (src)
			src[n] = h.src;
		n++;
		atomic_fetch_sub(&cq->outstanding, 1);
		fault_count(COUNT_COMPLETIONS);
	}
	if (n == most && most < count && cq->count)
		fault_count(COUNT_TRUNCATED);
	if (n)
		return (ssize_t)n;
	return cq->failed.error ? -FI_EAVAIL : -FI_EAGAIN;
}

static ssize_t cq_readfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src)
{
	struct fault_cq *cq = of_cq(fid);
	ssize_t ret = fault_fail(CALL_CQ_READ);

	if (ret)
		return ret;
	pthread_mutex_lock(&cq->lock);
	ret = harvest(cq, fid);
	if (cq->failed.error)
		ret = -FI_EAVAIL;
	else if (ret >= 0)
		ret = count ? deliver(cq, buf, count, src, released(cq, ret)) : 0;
	pthread_mutex_unlock(&cq->lock);
	return ret;
}

static ssize_t cq_read(struct fid_cq *fid, void *buf, size_t count)
{
	return cq_readfrom(fid, buf, count, NULL);
}

/* The application may supply memory for the error's data; otherwise it reads ours until the next error. */
static void show_error(struct fault_cq *cq, struct fi_cq_err_entry *out)
{
	const struct fi_cq_tagged_entry *e = &cq->failed.e;
	struct fault_error *error = cq->failed.error;

	out->op_context = e->op_context;
	out->flags = e->flags;
	out->len = e->len;
	out->buf = e->buf;
	out->data = e->data;
	out->tag = e->tag;
	out->olen = error->olen;
	out->err = error->err;
	out->prov_errno = error->prov_errno;
	if (out->err_data && out->err_data_size) {
		if (out->err_data_size > error->data_bytes)
			out->err_data_size = error->data_bytes;
		memcpy(out->err_data, error->data, out->err_data_size);
	} else {
		out->err_data = error->data;
		out->err_data_size = error->data_bytes;
	}
	if (FI_VERSION_GE(cq->api, FI_VERSION(1, 20)))
		memcpy((uint8_t *)out + SRC_OFFSET, &error->src, sizeof(error->src));
	free(cq->shown);
	cq->shown = error;
}

static ssize_t cq_readerr(struct fid_cq *fid, struct fi_cq_err_entry *buf, uint64_t flags)
{
	struct fault_cq *cq = of_cq(fid);
	ssize_t ret = -FI_EAGAIN;

	(void)flags;
	pthread_mutex_lock(&cq->lock);
	if (cq->failed.error) {
		show_error(cq, buf);
		cq->failed.error = NULL;
		atomic_fetch_sub(&cq->outstanding, 1);
		ret = 1;
	}
	pthread_mutex_unlock(&cq->lock);
	return ret;
}

/* A blocking read polls: the inner provider's wait object does not know the completions that we hold. */
static ssize_t cq_sreadfrom(struct fid_cq *fid, void *buf, size_t count, fi_addr_t *src, const void *cond,
			    int timeout_ms)
{
	struct fault_cq *cq = of_cq(fid);
	int64_t until = fault_now_us() + (int64_t)timeout_ms * 1000;
	ssize_t ret;

	(void)cond;
	for (;;) {
		ret = cq_readfrom(fid, buf, count, src);
		if (ret != -FI_EAGAIN || atomic_exchange(&cq->signalled, false) ||
		    (timeout_ms >= 0 && fault_now_us() >= until))
			return ret;
		usleep(20);
	}
}

static ssize_t cq_sread(struct fid_cq *fid, void *buf, size_t count, const void *cond, int timeout_ms)
{
	return cq_sreadfrom(fid, buf, count, NULL, cond, timeout_ms);
}

static int cq_signal(struct fid_cq *fid)
{
	atomic_store(&of_cq(fid)->signalled, true);
	return 0;
}

static const char *cq_strerror(struct fid_cq *fid, int prov_errno, const void *err_data, char *buf, size_t len)
{
	return of_cq(fid)->inner->strerror(fid, prov_errno, err_data, buf, len);
}

void fault_cq_error(struct fault_cq *cq, void *context, uint64_t flags, int err)
{
	struct fault_held h = {.e = {.op_context = context, .flags = flags}, .src = FI_ADDR_NOTAVAIL};

	pthread_mutex_lock(&cq->lock);
	into_error(&h, err);
	atomic_fetch_add(&cq->outstanding, 1);
	add(cq, &h, 0);
	pthread_mutex_unlock(&cq->lock);
}

/* ---- opening and closing ---- */

static int cq_close(struct fid *fid)
{
	struct fault_cq *cq = fault_owner(fid->ops, struct fault_cq, fid_ops);
	struct fid_cq *cq_fid = fault_owner(fid, struct fid_cq, fid);
	int ret;

	fid->ops = cq->inner_fid;
	cq_fid->ops = cq->inner;
	ret = fi_close(fid);
	if (ret) {
		fid->ops = &cq->fid_ops;
		cq_fid->ops = &cq->ops;
		return ret;
	}
	while (cq->count)
		free(cq->held[--cq->count].error);
	free(cq->held);
	free(cq->failed.error);
	free(cq->shown);
	pthread_mutex_destroy(&cq->lock);
	free(cq);
	return 0;
}

struct fault_cq *fault_cq_of(struct fid *fid)
{
	return fid->fclass == FI_CLASS_CQ && fid->ops->close == cq_close
		       ? fault_owner(fid->ops, struct fault_cq, fid_ops)
		       : NULL;
}

static int no_control(struct fid *fid, int command, void *arg)
{
	(void)fid;
	(void)command;
	(void)arg;
	return -FI_ENOSYS; /* there is no wait object to return */
}

static void wrap(struct fault_cq *cq, struct fid_cq *fid)
{
	cq->inner_fid = fid->fid.ops;
	cq->inner = fid->ops;
	cq->fid_ops = *cq->inner_fid;
	cq->fid_ops.size = sizeof(cq->fid_ops);
	cq->fid_ops.close = cq_close;
	cq->fid_ops.control = no_control;
	cq->ops = (struct fi_ops_cq){
		.size = sizeof(struct fi_ops_cq),
		.read = cq_read,
		.readfrom = cq_readfrom,
		.readerr = cq_readerr,
		.sread = cq_sread,
		.sreadfrom = cq_sreadfrom,
		.signal = cq_signal,
		.strerror = cq_strerror,
	};
	fid->fid.ops = &cq->fid_ops;
	fid->ops = &cq->ops;
}

int fault_cq_open(struct fid_domain *domain, struct fi_cq_attr *attr, struct fid_cq **out, void *context)
{
	struct fault_domain *d = fault_owner(domain->ops, struct fault_domain, ops);
	struct fi_cq_attr inner = {.size = attr->size,
				   .flags = attr->flags,
				   .format = FI_CQ_FORMAT_TAGGED,
				   .wait_obj = FI_WAIT_NONE};
	struct fault_cq *cq;
	int ret = fault_fail(CALL_CQ_OPEN);

	if (!ret && attr->wait_obj != FI_WAIT_NONE && attr->wait_obj != FI_WAIT_UNSPEC)
		ret = -FI_ENOSYS;
	if (ret)
		return ret;
	cq = calloc(1, sizeof(*cq));
	if (!cq)
		return -FI_ENOMEM;
	ret = d->inner->cq_open(domain, &inner, out, context);
	if (ret) {
		free(cq);
		return ret;
	}
	cq->format = attr->format;
	cq->size = attr->size;
	cq->api = d->api;
	pthread_mutex_init(&cq->lock, NULL);
	wrap(cq, *out);
	return 0;
}
