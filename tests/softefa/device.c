/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of devices, open and close, their attributes; and the thread that moves packets while the program makes no
 * calls: one-sided traffic needs no activity at its target.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "softefa.h"

#undef ibv_query_port

#define TICK_NS	    300000
#define FILES_TICKS 300 /* ticks between two updates of the counter files */

static struct soft_device devices[SOFT_NICS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The opened devices; this lock is taken before any context's. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct soft_context *contexts;
static int64_t early_ns; /* time of the first write in flight, in virtual time; the ticker's */
static bool ticking;
static pthread_t ticker;

void soft_contexts_each(void (*f)(struct soft_context *c))
{
	struct soft_context *c;

	pthread_mutex_lock(&list_lock);
	for (c = contexts; c; c = c->next)
		f(c);
	pthread_mutex_unlock(&list_lock);
}

/* A busy context is skipped: its own caller makes progress. */
static void move(struct soft_context *c)
{
	int64_t early;

	if (pthread_mutex_trylock(&c->lock)) {
		soft_time_called();
		return;
	}
	soft_progress(c);
	early = soft_setup.timed && !c->inherited && !c->closed && !c->dead ? soft_rx_early(c) : INT64_MAX;
	early_ns = early < early_ns ? early : early_ns;
	pthread_mutex_unlock(&c->lock);
}

static void *tick(void *unused)
{
	const struct timespec pause = {.tv_nsec = TICK_NS};
	unsigned n = 0;

	(void)unused;
	for (;;) {
		pthread_testcancel();
		nanosleep(&pause, NULL);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		early_ns = INT64_MAX;
		soft_contexts_each(move);
		if (soft_setup.timed)
			soft_time_tick(early_ns);
		if (!(++n % FILES_TICKS))
			soft_sysfs_update();
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	return NULL;
}

/*
 * A child process inherits none of this. Its parent's devices go on; a close by the child must leave no trace in memory
 * or files shared by the parent and its peers, and the lock on a port is the parent's.
 */
static void forget(void)
{
	struct soft_context *c;

	pthread_mutex_init(&list_lock, NULL);
	soft_clock_forked();
	for (c = contexts; c; c = c->next) {
		pthread_mutex_init(&c->lock, NULL);
		c->inherited = true;
		close(c->port.lock_fd);
		c->port.lock_fd = -1;
	}
	contexts = NULL;
	ticking = false;
}

/* Link-local, like the hardware's; the host number makes processes look like machines. */
static void set_gid(struct soft_device *d)
{
	const uint32_t host = soft_setup.host;
	uint8_t *raw = d->gid.raw;

	memset(raw, 0, 16);
	raw[0] = 0xfe;
	raw[1] = 0x80;
	raw[8] = 0x02;
	raw[9] = (uint8_t)(d->index + 1);
	raw[10] = 0x5e;
	raw[11] = 0xfa;
	raw[12] = (uint8_t)(host >> 24);
	raw[13] = (uint8_t)(host >> 16);
	raw[14] = (uint8_t)(host >> 8);
	raw[15] = (uint8_t)host;
}

static void make_devices(void)
{
	int i;

	soft_setup_load();
	if (soft_sysfs_make()) {
		soft_setup.nic_count = 0;
		return;
	}
	for (i = 0; i < soft_setup.nic_count; i++) {
		struct soft_device *d = &devices[i];

		d->index = i;
		d->nic = &soft_setup.nics[i];
		d->ibv.node_type = IBV_NODE_UNSPECIFIED;
		d->ibv.transport_type = IBV_TRANSPORT_UNSPECIFIED;
		soft_nic_name(d->nic, d->ibv.name, sizeof(d->ibv.name));
		snprintf(d->ibv.dev_name, sizeof(d->ibv.dev_name), "uverbs%d", i);
		snprintf(d->ibv.dev_path, sizeof(d->ibv.dev_path), "%s/class/infiniband_verbs/uverbs%d",
			 soft_sysfs_path(), i);
		snprintf(d->ibv.ibdev_path, sizeof(d->ibv.ibdev_path), "%s/class/infiniband/%s", soft_sysfs_path(),
			 d->ibv.name);
		set_gid(d);
	}
	pthread_atfork(NULL, NULL, forget);
}

SOFT_EXPORT struct ibv_device **ibv_get_device_list(int *count)
{
	struct ibv_device **list;
	int i;

	pthread_once(&once, make_devices);
	list = calloc((size_t)soft_setup.nic_count + 1, sizeof(*list));
	if (!list)
		return NULL;
	for (i = 0; i < soft_setup.nic_count; i++)
		list[i] = &devices[i].ibv;
	if (count)
		*count = soft_setup.nic_count;
	return list;
}

SOFT_EXPORT void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

SOFT_EXPORT const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

SOFT_EXPORT int ibv_fork_init(void)
{
	return 0;
}

SOFT_EXPORT enum ibv_fork_status ibv_is_fork_initialized(void)
{
	return IBV_FORK_UNNEEDED;
}

static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *out, size_t bytes)
{
	const struct soft_context *c = soft_context_of(context);
	uint64_t lane_mbps = c->device->nic->speed_mbps / 4;
	struct ibv_port_attr attr = {
		.state = soft_port_is_down(c) ? IBV_PORT_DOWN : IBV_PORT_ACTIVE,
		.max_mtu = IBV_MTU_4096,
		.active_mtu = IBV_MTU_4096,
		.gid_tbl_len = 1,
		.max_msg_sz = soft_setup.mtu,
		.pkey_tbl_len = 1,
		.max_vl_num = 1,
		.phys_state = 5,
		.active_width = 2, /* four lanes */
	};

	if (port != 1)
		return EINVAL;
	attr.active_speed = lane_mbps > 50000 ? 128 : lane_mbps > 25000 ? 64 : lane_mbps > 14000 ? 32 : 4;
	memset(out, 0, bytes);
	memcpy(out, &attr, bytes < sizeof(attr) ? bytes : sizeof(attr));
	return 0;
}

SOFT_EXPORT int ibv_query_port(struct ibv_context *context, uint8_t port, struct _compat_ibv_port_attr *attr)
{
	return query_port(context, port, (struct ibv_port_attr *)(void *)attr, offsetof(struct ibv_port_attr, flags));
}

SOFT_EXPORT int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	(void)context;
	snprintf(attr->fw_ver, sizeof(attr->fw_ver), "0.0.0.0");
	attr->vendor_id = 0x1d0f;
	attr->vendor_part_id = soft_setup.part_id;
	attr->hw_ver = soft_setup.part_id;
	attr->max_mr_size = 96ull << 30;
	attr->page_size_cap = 0xfffff000;
	attr->max_qp = SOFT_QPS;
	attr->max_qp_wr = SOFT_SEND_DEPTH;
	attr->max_sge = SOFT_SEND_SGES;
	attr->max_sge_rd = 1;
	attr->max_cq = 512;
	attr->max_cqe = SOFT_CQE_MAX;
	attr->max_mr = SOFT_MRS;
	attr->max_pd = 256;
	attr->max_ah = SOFT_AHS;
	attr->phys_port_cnt = 1;
	return 0;
}

SOFT_EXPORT int efadv_query_device(struct ibv_context *context, struct soft_efadv_device_attr *attr, uint32_t bytes)
{
	const struct soft_efadv_device_attr full = {
		.max_sq_wr = SOFT_SEND_DEPTH,
		.max_rq_wr = SOFT_RECV_DEPTH,
		.max_sq_sge = SOFT_SEND_SGES,
		.max_rq_sge = SOFT_RECV_SGES,
		.inline_buf_size = SOFT_INLINE,
		.device_caps = soft_setup.caps,
		.max_rdma_size = soft_setup.caps & SOFT_CAP_READ ? SOFT_RDMA_MAX : 0,
	};

	(void)context;
	memcpy(attr, &full, bytes < sizeof(full) ? bytes : sizeof(full));
	return 0;
}

SOFT_EXPORT int efadv_get_max_sq_depth(struct ibv_context *context, void *attr, uint32_t bytes)
{
	(void)context, (void)attr, (void)bytes;
	return SOFT_SEND_DEPTH;
}

SOFT_EXPORT int efadv_get_max_rq_depth(struct ibv_context *context, void *attr, uint32_t bytes)
{
	(void)context, (void)attr, (void)bytes;
	return SOFT_RECV_DEPTH / SOFT_RECV_SGES;
}

SOFT_EXPORT int ibv_query_gid(struct ibv_context *context, uint8_t port, int index, union ibv_gid *gid)
{
	if (port != 1 || index)
		return -1;
	*gid = soft_context_of(context)->device->gid;
	return 0;
}

SOFT_EXPORT int ibv_query_pkey(struct ibv_context *context, uint8_t port, int index, __be16 *pkey)
{
	(void)context;
	if (port != 1 || index)
		return -1;
	*pkey = 0xffff;
	return 0;
}

static void fill_table(struct soft_context *c)
{
	struct verbs_context *v = &c->verbs;

	v->sz = sizeof(*v);
	v->query_port = query_port;
	v->create_cq_ex = soft_cq_create;
	v->create_qp_ex = soft_qp_create;
	v->context.device = &c->device->ibv;
	v->context.cmd_fd = -1;
	v->context.async_fd = -1;
	v->context.num_comp_vectors = 1;
	v->context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	v->context.ops.poll_cq = soft_cq_poll;
	v->context.ops.req_notify_cq = soft_cq_arm;
	v->context.ops.post_send = soft_qp_post_send;
	v->context.ops.post_recv = soft_qp_post_recv;
	pthread_mutex_init(&v->context.mutex, NULL);
}

SOFT_EXPORT struct ibv_context *ibv_open_device(struct ibv_device *device)
{
	struct soft_context *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->device = soft_owner(device, struct soft_device, ibv);
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->sending);
	TAILQ_INIT(&c->resting);
	TAILQ_INIT(&c->waiting);
	fill_table(c);
	if (soft_port_open(c)) {
		soft_port_close(c);
		free(c);
		errno = ENOMEM;
		return NULL;
	}
	soft_clock_join();
	pthread_mutex_lock(&list_lock);
	c->next = contexts;
	contexts = c;
	if (!ticking)
		ticking = !pthread_create(&ticker, NULL, tick, NULL);
	pthread_mutex_unlock(&list_lock);
	return &c->verbs.context;
}

/* Frees pending replies to others; all operations of our own ended with their queue pairs. */
static void free_ops(struct soft_context *c)
{
	uint32_t i;

	for (i = 0; i < c->op_room; i++)
		free(c->ops[i]);
	free(c->ops);
}

/*
 * A provider may close its devices at the end of the process while another thread still polls. Real queues stay mapped
 * then, and so do these. True: it must stay.
 */
static bool still_used(struct soft_context *c)
{
	pthread_mutex_lock(&c->lock);
	c->closed = c->cq_count > 0;
	if (c->closed)
		soft_port_leave(c);
	pthread_mutex_unlock(&c->lock);
	return c->closed;
}

SOFT_EXPORT int ibv_close_device(struct ibv_context *context)
{
	struct soft_context *c = soft_context_of(context), **at;
	bool last;

	pthread_mutex_lock(&list_lock);
	for (at = &contexts; *at && *at != c; at = &(*at)->next)
		;
	if (*at)
		*at = c->next;
	last = !contexts && ticking;
	if (last)
		ticking = false;
	pthread_mutex_unlock(&list_lock);
	if (last) {
		pthread_cancel(ticker);
		pthread_join(ticker, NULL);
	}
	if (!c->inherited)
		soft_sysfs_keep(c);
	if (still_used(c))
		return 0;
	free_ops(c);
	soft_peers_free(c);
	soft_time_free(c);
	soft_port_close(c);
	free(c->mrs);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return 0;
}
