/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two processes exchange verified messages over libfabric, with any provider and without any code of Weft:
 *   pingpong [--provider P] [--domain NAME] [--fabric NAME] [--count N] [--bytes N]... [--tagged | --write]
 *            [--kill N]
 * Each direction sends a message and waits for the other's. --write transfers them by RMA write with immediate data.
 * With --kill, which implies --tagged, the second process kills itself after N messages, and the first prints the
 * resulting error completion. A peer that only waits does not notice a death, so the first sends a small message now
 * and then while it waits. Exit status 0: all messages arrived correctly, or the error came.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <rdma/fi_tagged.h>

#define ADDR_BYTES 64
#define LIMIT_S	   600

enum mode { MODE_MSG, MODE_TAGGED, MODE_WRITE };

static struct {
	const char *provider, *domain, *fabric;
	enum mode mode;
	unsigned count;
	size_t sizes[16];
	int size_count;
	unsigned kill_after;
} want = {.provider = "efa", .count = 20};

/* Data needed by the other side. */
struct hello {
	char addr[ADDR_BYTES];
	size_t addr_bytes;
	uint64_t base, key;
};

struct side {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fid_ep *ep;
	struct fid_mr *mr;
	fi_addr_t peer;
	struct hello theirs;
	bool child;
	char *memory; /* the send buffer, followed by the receive buffer */
	size_t room;
	unsigned sent, received;
	struct fi_context2 tx, rx[2], probe;
	bool probing; /* a probe is in flight */
};

static void fail(const char *what, int err)
{
	fprintf(stderr, "pingpong[%d]: %s: %s\n", (int)getpid(), what, fi_strerror(-err));
	exit(1);
}

static void must(const char *what, ssize_t err)
{
	if (err < 0)
		fail(what, (int)err);
}

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static char *rx_memory(struct side *s)
{
	return s->memory + s->room;
}

static void open_side(struct side *s)
{
	struct fi_info *hints = fi_allocinfo();
	struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_DATA, .size = 4096};
	struct fi_av_attr av = {.type = FI_AV_TABLE};
	uint64_t access = FI_SEND | FI_RECV;

	hints->ep_attr->type = FI_EP_RDM;
	hints->caps = FI_MSG | (want.mode == MODE_TAGGED ? FI_TAGGED : want.mode == MODE_WRITE ? FI_RMA : 0);
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->fabric_attr->prov_name = strdup(want.provider);
	hints->domain_attr->name = want.domain ? strdup(want.domain) : NULL;
	hints->fabric_attr->name = want.fabric ? strdup(want.fabric) : NULL;
	must("fi_getinfo", fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, hints, &s->info));
	fi_freeinfo(hints);
	must("fi_fabric", fi_fabric(s->info->fabric_attr, &s->fabric, NULL));
	must("fi_domain", fi_domain(s->fabric, s->info, &s->domain, NULL));
	must("fi_cq_open", fi_cq_open(s->domain, &cq, &s->cq, NULL));
	must("fi_av_open", fi_av_open(s->domain, &av, &s->av, NULL));
	must("fi_endpoint", fi_endpoint(s->domain, s->info, &s->ep, NULL));
	must("fi_ep_bind", fi_ep_bind(s->ep, &s->cq->fid, FI_SEND | FI_RECV));
	must("fi_ep_bind", fi_ep_bind(s->ep, &s->av->fid, 0));
	must("fi_enable", fi_enable(s->ep));
	s->memory = calloc(2, s->room);
	if (want.mode == MODE_WRITE)
		access |= FI_WRITE | FI_REMOTE_WRITE;
	must("fi_mr_reg", fi_mr_reg(s->domain, s->memory, 2 * s->room, access, 0, 0, 0, &s->mr, NULL));
}

/* Exchanges addresses over a socket pair. */
static void meet(struct side *s, int fd)
{
	struct hello mine = {.addr_bytes = ADDR_BYTES, .base = (uintptr_t)rx_memory(s), .key = fi_mr_key(s->mr)};
	char ready = 0;

	must("fi_getname", fi_getname(&s->ep->fid, mine.addr, &mine.addr_bytes));
	if (!(s->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR))
		mine.base = s->room;
	if (write(fd, &mine, sizeof(mine)) != sizeof(mine) ||
	    read(fd, &s->theirs, sizeof(s->theirs)) != sizeof(s->theirs))
		fail("meeting", -EPIPE);
	if (fi_av_insert(s->av, s->theirs.addr, 1, &s->peer, 0, NULL) != 1)
		fail("fi_av_insert", -FI_EINVAL);
	/* Both sides start only once each knows the other. */
	if (write(fd, &ready, 1) != 1 || read(fd, &ready, 1) != 1)
		fail("meeting", -EPIPE);
}

/* Reads the queue once. False: an error completion came and was printed. */
static bool progress(struct side *s)
{
	struct fi_cq_data_entry done[8];
	struct fi_cq_err_entry error = {0};
	ssize_t i, n = fi_cq_read(s->cq, done, 8);

	if (n == -FI_EAGAIN)
		return true;
	if (n == -FI_EAVAIL) {
		must("fi_cq_readerr", fi_cq_readerr(s->cq, &error, 0));
		printf("error %d (%s), provider's %d\n", error.err, fi_strerror(error.err), error.prov_errno);
		return false;
	}
	must("fi_cq_read", n);
	for (i = 0; i < n; i++) {
		if (done[i].op_context == &s->probe)
			s->probing = false;
		else if (done[i].flags & (FI_RECV | FI_REMOTE_WRITE | FI_REMOTE_CQ_DATA))
			s->received++;
		else
			s->sent++;
	}
	return true;
}

/* A message without a matching receive: it has a tag of its own. */
static void probe(struct side *s)
{
	ssize_t err;

	if (s->probing)
		return;
	err = fi_tsend(s->ep, s->memory, 1, fi_mr_desc(s->mr), s->peer, 8, &s->probe);
	if (err != -FI_EAGAIN)
		must("probing", err);
	s->probing = !err;
}

static bool wait_for(struct side *s, const unsigned *what, unsigned count)
{
	time_t began = now_s(), end = began + LIMIT_S;

	while (*what < count) {
		if (!progress(s))
			return false;
		if (want.kill_after && !s->child && now_s() > began + 1)
			probe(s);
		if (now_s() > end)
			fail("waiting", -FI_ETIMEDOUT);
	}
	return true;
}

static char pattern(const struct side *s, bool outgoing, unsigned round, size_t i)
{
	return (char)(i * 7 + i / 251 + round * 13 + (s->child == outgoing));
}

static ssize_t send_once(struct side *s, size_t bytes)
{
	void *desc = fi_mr_desc(s->mr);

	if (want.mode == MODE_TAGGED)
		return fi_tsend(s->ep, s->memory, bytes, desc, s->peer, 7, &s->tx);
	if (want.mode == MODE_WRITE)
		return fi_writedata(s->ep, s->memory, bytes, desc, 7, s->peer, s->theirs.base, s->theirs.key, &s->tx);
	return fi_send(s->ep, s->memory, bytes, desc, s->peer, &s->tx);
}

static bool send_one(struct side *s, size_t bytes, unsigned round)
{
	ssize_t err;
	size_t i;

	for (i = 0; i < bytes; i++)
		s->memory[i] = pattern(s, true, round, i);
	while ((err = send_once(s, bytes)) == -FI_EAGAIN)
		if (!progress(s))
			return false;
	must("sending", err);
	return wait_for(s, &s->sent, round + 1);
}

static void post_recv(struct side *s, size_t bytes)
{
	void *desc = fi_mr_desc(s->mr), *context = &s->rx[s->received % 2];
	ssize_t err;

	if (want.mode == MODE_WRITE)
		return;
	do {
		err = want.mode == MODE_TAGGED ? fi_trecv(s->ep, rx_memory(s), bytes, desc, s->peer, 7, 0, context)
					       : fi_recv(s->ep, rx_memory(s), bytes, desc, s->peer, context);
	} while (err == -FI_EAGAIN && progress(s));
	must("receiving", err);
}

static bool recv_one(struct side *s, size_t bytes, unsigned round)
{
	size_t i;

	if (!wait_for(s, &s->received, round + 1))
		return false;
	for (i = 0; i < bytes; i++)
		if (rx_memory(s)[i] != pattern(s, false, round, i)) {
			fprintf(stderr, "message %u of %zu bytes differs at byte %zu\n", round, bytes, i);
			exit(1);
		}
	memset(rx_memory(s), 0x55, bytes);
	return true;
}

/* Exchanges the messages; true if all arrived. */
static bool exchange(struct side *s)
{
	unsigned round = 0, i;
	int k;

	post_recv(s, want.sizes[0]);
	for (k = 0; k < want.size_count; k++)
		for (i = 0; i < want.count; i++, round++) {
			size_t bytes = want.sizes[k],
			       next = i + 1 < want.count || k + 1 == want.size_count ? bytes : want.sizes[k + 1];

			if (s->child && want.kill_after && round == want.kill_after)
				kill(getpid(), SIGKILL);
			if (!s->child && !send_one(s, bytes, round))
				return false;
			if (!recv_one(s, bytes, round))
				return false;
			post_recv(s, next);
			if (s->child && !send_one(s, bytes, round))
				return false;
		}
	return true;
}

static void close_side(struct side *s)
{
	fi_close(&s->ep->fid);
	fi_close(&s->mr->fid);
	fi_close(&s->av->fid);
	fi_close(&s->cq->fid);
	fi_close(&s->domain->fid);
	fi_close(&s->fabric->fid);
	fi_freeinfo(s->info);
	free(s->memory);
}

static int run(bool child, int fd)
{
	struct side s = {.child = child};
	bool all;
	char bye = 0;
	int i;

	for (i = 0; i < want.size_count; i++)
		if (want.sizes[i] > s.room)
			s.room = want.sizes[i];
	open_side(&s);
	meet(&s, fd);
	all = exchange(&s);
	if (all) {
		/* The provider's own last packets need this side until the other has finished, too. */
		if (write(fd, &bye, 1) != 1)
			fail("parting", -EPIPE);
		while (recv(fd, &bye, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
			progress(&s);
		printf("%s %s: %u messages\n", s.info->nic ? s.info->nic->device_attr->name : "",
		       s.info->fabric_attr->name, s.received);
		close_side(&s);
	}
	fflush(stdout);
	return all ? 0 : 3;
}

static void usage(void)
{
	fprintf(stderr, "usage: pingpong [--provider P] [--domain NAME] [--fabric NAME] [--count N] [--bytes N]... "
			"[--tagged | --write] [--kill N]\n");
	exit(2);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {{"provider", 1, NULL, 'p'}, {"domain", 1, NULL, 'd'},
						{"fabric", 1, NULL, 'f'},   {"count", 1, NULL, 'c'},
						{"bytes", 1, NULL, 'b'},    {"tagged", 0, NULL, 't'},
						{"write", 0, NULL, 'w'},    {"kill", 1, NULL, 'k'},
						{NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (o) {
		case 'p': want.provider = optarg; break;
		case 'd': want.domain = optarg; break;
		case 'f': want.fabric = optarg; break;
		case 'c': want.count = (unsigned)strtoul(optarg, NULL, 10); break;
		case 't': want.mode = MODE_TAGGED; break;
		case 'w': want.mode = MODE_WRITE; break;
		case 'k':
			want.kill_after = (unsigned)strtoul(optarg, NULL, 10);
			want.mode = MODE_TAGGED;
			break;
		case 'b':
			if (want.size_count == 16)
				usage();
			want.sizes[want.size_count++] = strtoul(optarg, NULL, 10);
			break;
		default: usage();
		}
	}
	if (optind < argc || !want.count)
		usage();
	if (!want.size_count)
		want.sizes[want.size_count++] = 64;
}

int main(int argc, char **argv)
{
	int fds[2], status = 0, mine;
	pid_t child;

	parse(argc, argv);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		fail("socketpair", -errno);
	child = fork();
	if (child < 0)
		fail("fork", -errno);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		exit(run(true, fds[1]));
	}
	close(fds[1]);
	mine = run(false, fds[0]);
	waitpid(child, &status, 0);
	if (want.kill_after)
		return mine == 3 && WIFSIGNALED(status) ? 0 : 1;
	return mine || status ? 1 : 0;
}
