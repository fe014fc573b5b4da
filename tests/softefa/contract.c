/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's contract, by verbs calls: rules enforced by the hardware and often missed by stand-ins. Both ends are
 * NICs of this process. The device is linked in, so that its settings can be changed between tests.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "softefa/softefa.h"

#define QKEY	 0x1234
#define BYTES	 (4u << 20)
#define LIMIT_US 300000000 /* limit for a hang; on an idle machine every step takes less than a second */

struct end {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq_ex *cq;
	struct ibv_qp *qp;
	struct ibv_qp_ex *ex;
	struct ibv_ah *to; /* address handle of the other end */
	struct ibv_mr *mr;
	char *memory;
	union ibv_gid gid;
};

/* [0] is the initiator, [1] the target. */
struct pair {
	struct end e[2];
	uint32_t to_qpn; /* queue pair number of [1] */
};

static char dir[] = "/tmp/softefa-contract-XXXXXX";
static char log_file[64];

static void to_state(struct ibv_qp *qp, enum ibv_qp_state state, uint8_t rnr_retry)
{
	struct ibv_qp_attr attr = {.qp_state = state, .port_num = 1, .qkey = QKEY, .rnr_retry = rnr_retry};
	int mask = IBV_QP_STATE;

	if (state == IBV_QPS_INIT)
		mask |= IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_QKEY;
	if (state == IBV_QPS_RTS)
		mask |= IBV_QP_SQ_PSN | IBV_QP_RNR_RETRY;
	assert_int_equal(ibv_modify_qp(qp, &attr, mask), 0);
}

static void make_qp(struct end *e, uint16_t flags)
{
	struct ibv_qp_init_attr_ex attr = {
		.send_cq = ibv_cq_ex_to_cq(e->cq),
		.recv_cq = ibv_cq_ex_to_cq(e->cq),
		.cap = {.max_send_wr = 16,
			.max_recv_wr = 8,
			.max_send_sge = 2,
			.max_recv_sge = 3,
			.max_inline_data = 32},
		.qp_type = IBV_QPT_DRIVER,
		.sq_sig_all = 1,
		.pd = e->pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_RDMA_WRITE |
				  IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM,
	};
	struct soft_efadv_qp_attr efa = {.flags = flags};

	e->qp = efadv_create_qp_ex(e->context, &attr, &efa, sizeof(efa));
	assert_non_null(e->qp);
	e->ex = ibv_qp_to_qp_ex(e->qp);
}

static void make_end(struct end *e, struct ibv_device *device, uint32_t cqe, uint16_t flags)
{
	struct ibv_cq_init_attr_ex cq = {.cqe = cqe};
	struct soft_efadv_cq_attr efa = {.wc_flags = SOFT_WC_SGID};

	e->context = ibv_open_device(device);
	assert_non_null(e->context);
	assert_int_equal(ibv_query_gid(e->context, 1, 0, &e->gid), 0);
	e->pd = ibv_alloc_pd(e->context);
	e->cq = efadv_create_cq(e->context, &cq, &efa, sizeof(efa));
	assert_non_null(e->cq);
	make_qp(e, flags);
	e->memory = calloc(1, BYTES);
	e->mr = ibv_reg_mr(e->pd, e->memory, BYTES,
			   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
	assert_non_null(e->mr);
}

static struct ibv_ah *handle(struct end *from, const union ibv_gid *gid)
{
	struct ibv_ah_attr attr = {.port_num = 1, .is_global = 1};

	attr.grh.dgid = *gid;
	return ibv_create_ah(from->pd, &attr);
}

static void open_pair(struct pair *p, uint32_t cqe, uint16_t flags, uint8_t rnr_retry)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < 2; i++)
		make_end(&p->e[i], list[i], cqe, flags);
	for (i = 0; i < 2; i++) {
		p->e[i].to = handle(&p->e[i], &p->e[1 - i].gid);
		to_state(p->e[i].qp, IBV_QPS_INIT, 0);
		to_state(p->e[i].qp, IBV_QPS_RTR, 0);
		to_state(p->e[i].qp, IBV_QPS_RTS, rnr_retry);
	}
	p->to_qpn = p->e[1].qp->qp_num;
	ibv_free_device_list(list);
}

static void close_pair(struct pair *p)
{
	int i;

	for (i = 0; i < 2; i++) {
		struct end *e = &p->e[i];

		if (e->to)
			ibv_destroy_ah(e->to);
		if (e->qp)
			assert_int_equal(ibv_destroy_qp(e->qp), 0);
		assert_int_equal(ibv_destroy_cq(ibv_cq_ex_to_cq(e->cq)), 0);
		if (e->mr)
			assert_int_equal(ibv_dereg_mr(e->mr), 0);
		assert_int_equal(ibv_dealloc_pd(e->pd), 0);
		assert_int_equal(ibv_close_device(e->context), 0);
		free(e->memory);
	}
}

static bool poll_one(struct end *e, struct ibv_wc *wc)
{
	struct ibv_cq *cq = ibv_cq_ex_to_cq(e->cq);

	return cq->context->ops.poll_cq(cq, 1, wc) == 1;
}

/* The next completion of either end, within bounded time. */
static struct ibv_wc next(struct end *e)
{
	int64_t end = soft_now_us() + LIMIT_US;
	struct ibv_wc wc;

	while (!poll_one(e, &wc)) {
		assert_true(soft_now_us() < end);
		usleep(100);
	}
	return wc;
}

static int post_recv(struct end *e, uint32_t bytes, uint64_t id)
{
	struct ibv_sge sge = {.addr = (uintptr_t)e->memory, .length = bytes, .lkey = e->mr->lkey};
	struct ibv_recv_wr wr = {.wr_id = id, .sg_list = &sge, .num_sge = 1}, *bad;

	return e->context->ops.post_recv(e->qp, &wr, &bad);
}

static int post_send(struct pair *p, uint64_t addr, uint32_t bytes, uint32_t lkey)
{
	struct end *e = &p->e[0];

	ibv_wr_start(e->ex);
	e->ex->wr_id = 7;
	ibv_wr_send(e->ex);
	ibv_wr_set_sge(e->ex, lkey, addr, bytes);
	ibv_wr_set_ud_addr(e->ex, e->to, p->to_qpn, QKEY);
	return ibv_wr_complete(e->ex);
}

static int post_write(struct pair *p, uint64_t local, uint64_t remote, uint32_t bytes, uint32_t rkey, bool imm)
{
	struct end *e = &p->e[0];

	ibv_wr_start(e->ex);
	e->ex->wr_id = 8;
	if (imm)
		ibv_wr_rdma_write_imm(e->ex, rkey, remote, 0x01020304);
	else
		ibv_wr_rdma_write(e->ex, rkey, remote);
	ibv_wr_set_sge(e->ex, e->mr->lkey, local, bytes);
	ibv_wr_set_ud_addr(e->ex, e->to, p->to_qpn, QKEY);
	return ibv_wr_complete(e->ex);
}

static int post_read(struct pair *p, uint64_t local, uint64_t remote, uint32_t bytes, uint32_t rkey)
{
	struct end *e = &p->e[0];

	ibv_wr_start(e->ex);
	e->ex->wr_id = 9;
	ibv_wr_rdma_read(e->ex, rkey, remote);
	ibv_wr_set_sge(e->ex, e->mr->lkey, local, bytes);
	ibv_wr_set_ud_addr(e->ex, e->to, p->to_qpn, QKEY);
	return ibv_wr_complete(e->ex);
}

static uint64_t at(const struct end *e)
{
	return (uintptr_t)e->memory;
}

/* True if the device has written a log line with this text since the last call. */
static bool logged(const char *text)
{
	static long seen;
	char line[600];
	bool found = false;
	FILE *f = fopen(log_file, "r");

	if (!f)
		return false;
	fseek(f, seen, SEEK_SET);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, text) != NULL;
	seen = ftell(f);
	fclose(f);
	return found;
}

static void test_send(void **state)
{
	struct pair p;
	struct ibv_wc wc;
	int i;

	(void)state;
	open_pair(&p, 64, 0, 7);
	for (i = 0; i < 100; i++) {
		assert_int_equal(post_recv(&p.e[1], 8760, 3), 0);
		memset(p.e[0].memory, i, 8760);
		assert_int_equal(post_send(&p, at(&p.e[0]), 8760, p.e[0].mr->lkey), 0);
		wc = next(&p.e[1]);
		assert_int_equal(wc.status, IBV_WC_SUCCESS);
		assert_int_equal(wc.opcode, IBV_WC_RECV);
		assert_int_equal(wc.byte_len, 8760);
		assert_int_equal(wc.wr_id, 3);
		assert_int_equal(wc.src_qp, p.e[0].qp->qp_num);
		assert_memory_equal(p.e[1].memory, p.e[0].memory, 8760);
		wc = next(&p.e[0]);
		assert_int_equal(wc.status, IBV_WC_SUCCESS);
		assert_int_equal(wc.wr_id, 7);
	}
	close_pair(&p);
}

/* Every byte is in place before the completion, exactly once, whatever the order and repetition of packets. */
static void test_write(void **state)
{
	struct pair p;
	struct ibv_wc wc;
	uint32_t i, k, bytes;

	(void)state;
	soft_setup.duplicate_percent = 30;
	open_pair(&p, 64, 0, 7);
	for (k = 0; k < 20; k++) {
		bytes = BYTES - k * 1001;
		for (i = 0; i < bytes; i++)
			p.e[0].memory[i] = (char)(i * 31 + i / 8760 + k);
		assert_int_equal(post_write(&p, at(&p.e[0]), at(&p.e[1]), bytes, p.e[1].mr->rkey, true), 0);
		/* Immediate data consume a receive; without one, the sender must wait. */
		usleep(1000);
		assert_false(poll_one(&p.e[1], &wc));
		assert_int_equal(post_recv(&p.e[1], 1, 5), 0);
		wc = next(&p.e[1]);
		assert_memory_equal(p.e[1].memory, p.e[0].memory, bytes);
		assert_int_equal(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
		assert_int_equal(wc.imm_data, 0x01020304);
		assert_int_equal(wc.byte_len, bytes);
		assert_int_equal(wc.wr_id, 5);
		assert_int_equal(next(&p.e[0]).opcode, IBV_WC_RDMA_WRITE);
	}
	soft_setup.duplicate_percent = 0;
	assert_false(poll_one(&p.e[0], &wc) || poll_one(&p.e[1], &wc));
	close_pair(&p);
}

static void test_unsolicited(void **state)
{
	struct soft_efadv_cq *cq;
	struct ibv_poll_cq_attr attr = {0};
	struct pair p;

	(void)state;
	open_pair(&p, 64, SOFT_QP_UNSOLICITED, 7);
	cq = efadv_cq_from_ibv_cq_ex(p.e[1].cq);
	assert_int_equal(post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, p.e[1].mr->rkey, true), 0);
	assert_int_equal(next(&p.e[0]).status, IBV_WC_SUCCESS);
	assert_int_equal(ibv_start_poll(p.e[1].cq, &attr), 0);
	assert_true(cq->wc_is_unsolicited(cq));
	assert_int_equal(ibv_wc_read_imm_data(p.e[1].cq), 0x01020304);
	ibv_end_poll(p.e[1].cq);
	close_pair(&p);
}

/* A completed read is reported as a send, as by libefa. */
static void test_read(void **state)
{
	struct pair p;
	struct ibv_wc wc;
	uint32_t i;

	(void)state;
	open_pair(&p, 64, 0, 7);
	for (i = 0; i < BYTES; i++)
		p.e[1].memory[i] = (char)(i * 17 + i / 8760);
	assert_int_equal(post_read(&p, at(&p.e[0]), at(&p.e[1]), BYTES, p.e[1].mr->rkey), 0);
	wc = next(&p.e[0]);
	assert_int_equal(wc.status, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_SEND);
	assert_memory_equal(p.e[1].memory, p.e[0].memory, BYTES);
	close_pair(&p);
}

static void expect_send_error(struct pair *p, enum soft_status status, const char *line)
{
	struct ibv_wc wc = next(&p->e[0]);

	assert_int_equal(wc.vendor_err, status);
	assert_int_not_equal(wc.status, IBV_WC_SUCCESS);
	if (line)
		assert_true(logged(line));
}

/* Memory can be registered only with the access rights of its mapping. */
static void test_pinning(void **state)
{
	struct pair p;
	struct ibv_mr *mr;
	char *pages;

	(void)state;
	open_pair(&p, 64, 0, 7);
	pages = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(munmap(pages + 2 * 4096, 4096), 0);
	assert_null(ibv_reg_mr(p.e[0].pd, pages, 8192, IBV_ACCESS_LOCAL_WRITE));
	assert_int_equal(errno, EFAULT);
	assert_null(ibv_reg_mr(p.e[0].pd, pages, 8193, 0));
	mr = ibv_reg_mr(p.e[0].pd, pages, 8192, IBV_ACCESS_REMOTE_READ);
	assert_non_null(mr);
	assert_int_equal(ibv_dereg_mr(mr), 0);
	munmap(pages, 8192);
	close_pair(&p);
}

static void test_local_memory(void **state)
{
	struct pair p;
	char stranger[64];

	(void)state;
	open_pair(&p, 64, 0, 7);
	post_send(&p, (uintptr_t)stranger, 64, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_BAD_LKEY, "does not cover");
	post_send(&p, at(&p.e[0]), 64, p.e[0].mr->lkey + 1);
	expect_send_error(&p, SOFT_BAD_LKEY, "no memory region");
	post_send(&p, at(&p.e[0]) + BYTES - 10, 11, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_BAD_LKEY, "does not cover");
	post_send(&p, at(&p.e[0]), 8761, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_TOO_LONG, "8761 bytes");
	close_pair(&p);
}

static void test_remote_memory(void **state)
{
	struct pair p;
	struct ibv_mr *deaf;
	uint32_t key;

	(void)state;
	open_pair(&p, 64, 0, 7);
	key = p.e[1].mr->rkey;
	post_write(&p, at(&p.e[0]), at(&p.e[1]) + BYTES - 99, 100, key, false);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "does not cover");
	post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, key ^ 1, false);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "no memory region");
	post_read(&p, at(&p.e[0]), at(&p.e[1]) - 1, 100, key);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "does not cover");
	deaf = ibv_reg_mr(p.e[1].pd, p.e[1].memory, 4096, IBV_ACCESS_LOCAL_WRITE);
	post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, deaf->rkey, false);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "not registered for this access");
	ibv_dereg_mr(deaf);
	/* No byte was written. */
	assert_int_equal(p.e[1].memory[0], 0);
	/* A deregistered region has no valid key, and a region in its place has a different one. */
	ibv_dereg_mr(p.e[1].mr);
	p.e[1].mr = ibv_reg_mr(p.e[1].pd, p.e[1].memory, BYTES, IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE);
	post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, key, false);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "no memory region");
	close_pair(&p);
}

static void test_strangers(void **state)
{
	struct pair p;
	union ibv_gid nobody;

	(void)state;
	open_pair(&p, 64, 0, 7);
	/* RDMA requires that the target knows the initiator; messages do not. */
	ibv_destroy_ah(p.e[1].to);
	p.e[1].to = NULL;
	post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, p.e[1].mr->rkey, false);
	expect_send_error(&p, SOFT_UNKNOWN_PEER, "no address handle");
	post_recv(&p.e[1], 100, 1);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	assert_int_equal(next(&p.e[1]).slid, SOFT_NO_AH);
	assert_int_equal(next(&p.e[0]).status, IBV_WC_SUCCESS);
	/* A destroyed queue pair. */
	ibv_destroy_qp(p.e[1].qp);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_NO_QP, NULL);
	make_qp(&p.e[1], 0);
	/* An unused address. */
	nobody = p.e[1].gid;
	nobody.raw[9] = 99;
	ibv_destroy_ah(p.e[0].to);
	p.e[0].to = handle(&p.e[0], &nobody);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_UNREACHABLE, "no device answers");
	close_pair(&p);
}

static void test_receivers(void **state)
{
	struct pair p;
	struct ibv_wc wc;

	(void)state;
	open_pair(&p, 64, 0, 0);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_RNR, NULL);
	post_recv(&p.e[1], 99, 1);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_RECV_SHORT, "longer than the posted receive");
	close_pair(&p);

	/* With 7 it retries forever. */
	open_pair(&p, 64, 0, 7);
	post_send(&p, at(&p.e[0]), 100, p.e[0].mr->lkey);
	usleep(50000);
	assert_false(poll_one(&p.e[0], &wc));
	post_recv(&p.e[1], 100, 1);
	assert_int_equal(next(&p.e[0]).status, IBV_WC_SUCCESS);
	close_pair(&p);
}

static void test_queues(void **state)
{
	struct ibv_sge four[4] = {{0}};
	struct ibv_recv_wr recv = {.sg_list = four, .num_sge = 4}, *bad;
	struct pair p;
	struct ibv_wc wc;
	char text[33] = "";
	int i, got;

	(void)state;
	open_pair(&p, 16, 0, 7);
	assert_int_equal(p.e[0].context->ops.post_recv(p.e[0].qp, &recv, &bad), EINVAL);
	ibv_wr_start(p.e[0].ex);
	ibv_wr_send(p.e[0].ex);
	ibv_wr_set_sge_list(p.e[0].ex, 3, four);
	assert_int_equal(ibv_wr_complete(p.e[0].ex), EINVAL);
	ibv_wr_start(p.e[0].ex);
	ibv_wr_send(p.e[0].ex);
	ibv_wr_set_inline_data(p.e[0].ex, text, sizeof(text));
	assert_int_equal(ibv_wr_complete(p.e[0].ex), EINVAL);
	assert_true(logged("more than 32 bytes of inline"));
	/* Depths: 16 sends and 8 receives. */
	for (i = 0; i < 16; i++)
		assert_int_equal(post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey), 0);
	assert_int_equal(post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey), ENOMEM);
	for (i = 0; i < 8; i++)
		assert_int_equal(post_recv(&p.e[1], 10, 1), 0);
	for (i = 0; i < 8; i++)
		next(&p.e[1]);
	for (i = 0; i < 8; i++)
		assert_int_equal(post_recv(&p.e[1], 10, 1), 0);
	assert_int_equal(post_recv(&p.e[1], 10, 1), ENOMEM);
	for (i = 0; i < 16; i++)
		next(&p.e[0]);
	for (i = 0; i < 8; i++)
		next(&p.e[1]);
	/* An unread queue of 16 keeps 16. */
	for (i = 0; i < 20; i++)
		post_send(&p, (uintptr_t)text, 1, p.e[0].mr->lkey);
	for (got = 0; poll_one(&p.e[0], &wc); got++)
		;
	assert_int_equal(got, 16);
	assert_true(logged("overflows"));
	close_pair(&p);
}

static void test_states(void **state)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_RTS};
	struct pair p;
	int i;

	(void)state;
	open_pair(&p, 64, 0, 7);
	for (i = 0; i < 3; i++)
		post_recv(&p.e[0], 10, (uint64_t)i);
	to_state(p.e[0].qp, IBV_QPS_ERR, 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(next(&p.e[0]).vendor_err, SOFT_FLUSHED);
	assert_int_equal(post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey), EINVAL);
	assert_int_equal(ibv_modify_qp(p.e[0].qp, &attr, IBV_QP_STATE), EINVAL);
	assert_true(logged("cannot go from state"));
	close_pair(&p);
}

static void test_generations(void **state)
{
	uint32_t all = soft_setup.caps;
	struct soft_efadv_device_attr attr;
	struct pair p;

	(void)state;
	open_pair(&p, 64, 0, 7);
	soft_setup.caps = SOFT_CAP_READ | SOFT_CAP_RNR_RETRY;
	assert_int_equal(efadv_query_device(p.e[0].context, &attr, sizeof(attr)), 0);
	assert_int_equal(attr.device_caps, soft_setup.caps);
	post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, p.e[1].mr->rkey, false);
	expect_send_error(&p, SOFT_UNSUPPORTED, "RDMA write");
	soft_setup.caps = all;
	close_pair(&p);
}

/* A dma-buf is memory behind a file descriptor, at an address chosen by its owner. */
static void test_dmabuf(void **state)
{
	const uint64_t iova = 0x7000000000ull;
	int fd = memfd_create("dma-buf", MFD_CLOEXEC);
	struct pair p;
	struct ibv_mr *mr;
	char *view;

	(void)state;
	assert_int_equal(ftruncate(fd, 65536), 0);
	view = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	open_pair(&p, 64, 0, 7);
	mr = ibv_reg_dmabuf_mr(p.e[1].pd, 5000, 20000, iova, fd, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
	assert_non_null(mr);
	memset(p.e[0].memory, 'x', 20000);
	post_write(&p, at(&p.e[0]), iova, 20000, mr->rkey, false);
	assert_int_equal(next(&p.e[0]).status, IBV_WC_SUCCESS);
	assert_int_equal(view[4999], 0);
	assert_memory_equal(view + 5000, p.e[0].memory, 20000);
	assert_int_equal(view[25000], 0);
	post_write(&p, at(&p.e[0]), iova + 1, 20000, mr->rkey, false);
	expect_send_error(&p, SOFT_BAD_ADDRESS, "does not cover");
	ibv_dereg_mr(mr);
	close_pair(&p);
	munmap(view, 65536);
	close(fd);
}

static void test_events(void **state)
{
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq, *seen;
	void *context;
	struct pair p;

	(void)state;
	open_pair(&p, 64, 0, 7);
	channel = ibv_create_comp_channel(p.e[1].context);
	p.e[1].cq->channel = channel;
	p.e[1].cq->cq_context = &p;
	cq = ibv_cq_ex_to_cq(p.e[1].cq);
	assert_int_equal(ibv_req_notify_cq(cq, 0), 0);
	post_recv(&p.e[1], 10, 1);
	post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey);
	assert_int_equal(ibv_get_cq_event(channel, &seen, &context), 0);
	assert_ptr_equal(seen, cq);
	assert_ptr_equal(context, &p);
	ibv_ack_cq_events(cq, 1);
	assert_int_equal(next(&p.e[1]).status, IBV_WC_SUCCESS);
	p.e[1].cq->channel = NULL;
	ibv_destroy_comp_channel(channel);
	close_pair(&p);
}

static struct soft_context *device_of(const struct end *e)
{
	return soft_context_of(e->context);
}

/* Checks that a message gets through. */
static void expect_traffic(struct pair *p)
{
	assert_int_equal(post_recv(&p->e[1], 10, 1), 0);
	assert_int_equal(post_send(p, at(&p->e[0]), 10, p->e[0].mr->lkey), 0);
	assert_int_equal(next(&p->e[0]).status, IBV_WC_SUCCESS);
	assert_int_equal(next(&p->e[1]).status, IBV_WC_SUCCESS);
}

static void expect_link(const struct end *e, enum ibv_port_state state)
{
	struct ibv_port_attr port;

	assert_int_equal(ibv_query_port(e->context, 1, &port), 0);
	assert_int_equal(port.state, state);
}

/* When a link goes down permanently, operations in flight end with the hardware's error. */
static void test_down(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, 64, 0, 7);
	expect_traffic(&p);
	soft_port_down(device_of(&p.e[1]), 0);
	post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_UNRESPONSIVE, "no longer answers");
	expect_link(&p.e[1], IBV_PORT_DOWN);
	close_pair(&p);
}

/* A link that comes up again in time, at either end, causes no error. */
static void test_up_again(void **state)
{
	struct pair p;
	struct ibv_wc wc;
	uint32_t i;
	int end;

	(void)state;
	soft_setup.dead_ms = 10000;
	for (end = 0; end < 4; end++) {
		open_pair(&p, 64, 0, 7);
		expect_traffic(&p);
		for (i = 0; i < BYTES; i++)
			p.e[end / 2].memory[i] = (char)(i * 31 + i / 8760 + 1);
		soft_port_down(device_of(&p.e[end % 2]), 60);
		if (end < 2)
			post_write(&p, at(&p.e[0]), at(&p.e[1]), BYTES, p.e[1].mr->rkey, false);
		else
			post_read(&p, at(&p.e[0]), at(&p.e[1]), BYTES, p.e[1].mr->rkey);
		usleep(20000);
		expect_link(&p.e[end % 2], IBV_PORT_DOWN);
		assert_false(poll_one(&p.e[0], &wc));
		assert_int_equal(next(&p.e[0]).status, IBV_WC_SUCCESS);
		assert_memory_equal(p.e[1].memory, p.e[0].memory, BYTES);
		expect_link(&p.e[end % 2], IBV_PORT_ACTIVE);
		close_pair(&p);
	}
	soft_setup.dead_ms = 50;
}

/*
 * A write that was given up while the link was down may arrive when it is up again, but not if its region or its queue
 * pair has gone by then.
 */
static void test_ghosts(void **state)
{
	enum { NONE, GHOST, NO_REGION, NO_QP, CASES } kind;
	struct pair p;
	int i;

	(void)state;
	for (kind = NONE; kind < CASES; kind++) {
		soft_setup.ghost_percent = kind == NONE ? 0 : 100;
		open_pair(&p, 64, 0, 7);
		expect_traffic(&p);
		memset(p.e[0].memory, 'g', 100);
		soft_port_down(device_of(&p.e[1]), 200);
		post_write(&p, at(&p.e[0]), at(&p.e[1]), 100, p.e[1].mr->rkey, false);
		expect_send_error(&p, SOFT_UNRESPONSIVE, NULL);
		assert_int_equal(p.e[1].memory[0], 0);
		if (kind == NO_REGION) {
			assert_int_equal(ibv_dereg_mr(p.e[1].mr), 0);
			p.e[1].mr = NULL;
		} else if (kind == NO_QP) {
			assert_int_equal(ibv_destroy_qp(p.e[1].qp), 0);
			p.e[1].qp = NULL;
		}
		while (soft_port_is_down(device_of(&p.e[1])))
			usleep(1000);
		for (i = 0; i < 50 && !p.e[1].memory[0]; i++)
			usleep(1000);
		assert_int_equal(p.e[1].memory[99], kind == GHOST ? 'g' : 0);
		if (kind == NONE || kind == GHOST)
			expect_traffic(&p);
		close_pair(&p);
	}
	soft_setup.ghost_percent = 0;
}

/* A dead device accepts requests and completes none; its peers see an unresponsive device. */
static void test_dead(void **state)
{
	struct pair p;
	struct ibv_wc wc;
	int i, posted = 0;

	(void)state;
	open_pair(&p, 64, 0, 7);
	expect_traffic(&p);
	soft_port_die(device_of(&p.e[0]));
	while (!post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey))
		posted++;
	assert_int_equal(posted, 16);
	for (i = 0; i < 100; i++, usleep(1000))
		assert_false(poll_one(&p.e[0], &wc) || poll_one(&p.e[1], &wc));
	assert_null(ibv_reg_mr(p.e[0].pd, p.e[0].memory, 4096, IBV_ACCESS_LOCAL_WRITE));
	assert_int_equal(errno, EIO);
	assert_null(handle(&p.e[0], &p.e[1].gid));
	expect_link(&p.e[0], IBV_PORT_DOWN);
	close_pair(&p);

	open_pair(&p, 64, 0, 7);
	expect_traffic(&p);
	soft_port_die(device_of(&p.e[1]));
	post_send(&p, at(&p.e[0]), 10, p.e[0].mr->lkey);
	expect_send_error(&p, SOFT_UNRESPONSIVE, NULL);
	close_pair(&p);
}

/*
 * Virtual time advances for a program that only reads its memory, but not beyond the traffic in flight: the write and,
 * one latency later, its acknowledgement. A program that is not scheduled between the two sees the clock at the second.
 */
static void test_memory_only(void **state)
{
	int64_t limit = soft_now_us() + LIMIT_US, began;
	struct pair p;

	(void)state;
	open_pair(&p, 64, 0, 7);
	soft_setup.timed = true;
	soft_setup.latency_ns = 50000;
	began = soft_time_now();
	p.e[0].memory[0] = 1;
	p.e[1].memory[0] = 0;
	assert_int_equal(post_write(&p, at(&p.e[0]), at(&p.e[1]), 1, p.e[1].mr->rkey, false), 0);
	while (!*(volatile char *)p.e[1].memory)
		assert_true(soft_now_us() < limit);
	assert_in_range(soft_time_now() - began, 50000, 2 * 52000);
	soft_setup.timed = false;
	close_pair(&p);
}

/* A NIC in virtual time: peers share its speed, whichever of their packets are handled first. */
static void test_shared_nic(void **state)
{
	const int64_t start = 1000000, each = 655; /* of 8192 bytes at 100 Gbit/s */
	struct soft_packet packet = {.len = 8192 - sizeof(packet)}, small = {.len = 0, .stamp = start + 50 * each};
	struct soft_context *c;
	int64_t in_place = 0;
	struct pair p;
	int i;

	(void)state;
	open_pair(&p, 64, 0, 7);
	c = device_of(&p.e[1]);
	soft_setup.timed = true;
	for (i = 1; i <= 100; i++) {
		packet.stamp = start + i * each;
		assert_in_range(soft_time_arrive(c, &packet) - packet.stamp, 0, 5);
	}
	/* A packet that arrives among them does not wait for all of them. */
	assert_in_range(soft_time_arrive(c, &small) - small.stamp, 0, 300);
	for (i = 1; i <= 100; i++) {
		packet.stamp = start + i * each;
		in_place = soft_time_arrive(c, &packet);
	}
	assert_in_range(in_place - start, 195 * each, 205 * each);
	packet.stamp = start + 300 * each;
	assert_int_equal(soft_time_arrive(c, &packet), packet.stamp);
	soft_setup.timed = false;
	close_pair(&p);
}

static int prepare(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(log_file, sizeof(log_file), "%s.log", dir);
	setenv("SOFTEFA_DIR", dir, 1);
	setenv("SOFTEFA_LOG", log_file, 1);
	setenv("SOFTEFA_NICS", "0000:10:1b.0@100000,0000:20:1b.0@100000", 1);
	setenv("SOFTEFA_GENERATION", "1", 1);
	setenv("SOFTEFA_DEAD_MS", "50", 1);
	setenv("SOFTEFA_SYSFS", dir, 1);
	return 0;
}

static int clean(void **state)
{
	(void)state;
	soft_tree_remove(dir);
	unlink(log_file);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_send),	      cmocka_unit_test(test_write),
		cmocka_unit_test(test_unsolicited),   cmocka_unit_test(test_read),
		cmocka_unit_test(test_pinning),	      cmocka_unit_test(test_local_memory),
		cmocka_unit_test(test_remote_memory), cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_receivers),     cmocka_unit_test(test_queues),
		cmocka_unit_test(test_states),	      cmocka_unit_test(test_generations),
		cmocka_unit_test(test_dmabuf),	      cmocka_unit_test(test_events),
		cmocka_unit_test(test_down),	      cmocka_unit_test(test_up_again),
		cmocka_unit_test(test_ghosts),	      cmocka_unit_test(test_memory_only),
		cmocka_unit_test(test_shared_nic),    cmocka_unit_test(test_dead),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, prepare, clean);
}
