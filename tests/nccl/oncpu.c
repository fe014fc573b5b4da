/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unmodified libnccl.so.2 at work without a GPU: the ranks are processes of this host that count as separate hosts,
 * so that all data crosses the network plugin. device.c and kernels.c do the work of the GPUs.
 */
#include "device.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_CANNOT_DRIVE = 77, EXIT_USAGE = 2, MAX_RANKS = 8, TIMEOUT_S = 600, ERROR_WAIT_S = 30 };
enum { NCCL_IN_PROGRESS = 7, NCCL_INT8 = 0, NCCL_UINT32 = 3, NCCL_SUM = 0 };

struct unique_id {
	char bytes[128];
};

/* Data shared by the ranks: mapped before they fork. */
static struct shared {
	struct unique_id id;
	_Atomic int ids, arrived[64];
} * shared;

static struct {
	int (*version)(int *);
	int (*unique_id)(struct unique_id *);
	int (*init)(void **, int, struct unique_id, int);
	int (*destroy)(void *);
	int (*abort)(void *);
	int (*async_error)(void *, int *);
	int (*group_start)(void);
	int (*group_end)(void);
	int (*send)(const void *, size_t, int, int, void *, void *);
	int (*recv)(void *, size_t, int, int, void *, void *);
	int (*all_reduce)(const void *, void *, size_t, int, int, void *, void *);
	const char *(*last_error)(void *);
} nccl;

static int rank, nranks, comms, barriers;
static void *comm;

#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		int result_ = (call);                                                                                  \
		if (result_) {                                                                                         \
			fprintf(stderr, "rank %d: %s returned %d: %s\n", rank, #call, result_, nccl.last_error(NULL)); \
			return -1;                                                                                     \
		}                                                                                                      \
	} while (0)

static int complain(const char *what)
{
	fprintf(stderr, "rank %d: %s\n", rank, what);
	return -1;
}

static void wait_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
}

/* Waits for all ranks; if one is dead, the alarm ends the wait. */
static void barrier(void)
{
	_Atomic int *arrived = &shared->arrived[barriers++];

	atomic_fetch_add(arrived, 1);
	while (atomic_load(arrived) < nranks)
		wait_ms(1);
}

static int open_comm(void)
{
	comms++;
	if (!rank) {
		TRY(nccl.unique_id(&shared->id));
		atomic_store(&shared->ids, comms);
	}
	while (atomic_load(&shared->ids) < comms)
		wait_ms(1);
	TRY(nccl.init(&comm, nranks, shared->id, rank));
	barrier(); /* this id is no longer needed */
	return 0;
}

static unsigned char expected(int from, int to, size_t i, int round)
{
	return (unsigned char)((i * 7 + i / 251) ^ (unsigned int)(from * 37 + to * 11 + round * 5 + 1));
}

struct buffers {
	unsigned char *send[MAX_RANKS], *recv[MAX_RANKS];
};

static int start_exchange(const struct buffers *b, size_t bytes)
{
	TRY(nccl.group_start());
	for (int r = 0; r < nranks; r++) {
		TRY(nccl.send(b->send[r], bytes, NCCL_INT8, r, comm, NULL));
		TRY(nccl.recv(b->recv[r], bytes, NCCL_INT8, r, comm, NULL));
	}
	TRY(nccl.group_end());
	return 0;
}

/* Every rank sends to every rank including itself; a byte behind each buffer is checked. */
static int exchange(size_t bytes, int round)
{
	struct buffers b;
	int wrong = 0;

	for (int r = 0; r < nranks; r++) {
		b.send[r] = malloc(bytes + 1);
		b.recv[r] = malloc(bytes + 1);
		memset(b.recv[r], 0xee, bytes + 1);
		for (size_t i = 0; i < bytes; i++)
			b.send[r][i] = expected(rank, r, i, round);
	}
	if (start_exchange(&b, bytes))
		return -1;
	kernel_wait();
	for (int r = 0; r < nranks; r++) {
		for (size_t i = 0; i < bytes; i++)
			wrong += b.recv[r][i] != expected(r, rank, i, round);
		wrong += b.recv[r][bytes] != 0xee;
		free(b.send[r]);
		free(b.recv[r]);
	}
	return wrong ? complain("an all-to-all delivered wrong bytes") : 0;
}

static int run_alltoall(void)
{
	static const size_t sizes[] = {4, 0, 1000, 131072, 131076, 1 << 20, 1500001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (exchange(sizes[i], (int)i))
			return -1;
	return 0;
}

static uint32_t summand(int r, size_t i)
{
	return (uint32_t)(i * 2654435761u) ^ (uint32_t)(r + 1) * 40503u;
}

static int all_reduce(size_t count, bool in_place)
{
	uint32_t *out = malloc((count + 1) * sizeof(*out));
	uint32_t *in = in_place ? out : malloc((count + 1) * sizeof(*in));
	int wrong = 0;

	for (size_t i = 0; i < count; i++)
		in[i] = summand(rank, i);
	out[count] = 77;
	TRY(nccl.all_reduce(in, out, count, NCCL_UINT32, NCCL_SUM, comm, NULL));
	kernel_wait();
	for (size_t i = 0; i < count; i++) {
		uint32_t sum = 0;

		for (int r = 0; r < nranks; r++)
			sum += summand(r, i);
		wrong += out[i] != sum;
	}
	wrong += out[count] != 77;
	if (!in_place)
		free(in);
	free(out);
	return wrong ? complain("an all-reduce gave wrong sums") : 0;
}

static int run_allreduce(void)
{
	static const size_t counts[] = {1, 5, 1000, 65537, 300007, 1000001};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (all_reduce(counts[i], false) || all_reduce(counts[i], true))
			return -1;
	return 0;
}

/* The communicator is aborted while receives without matching sends are in progress; then a new one works. */
static int run_abort(void)
{
	static unsigned char never[MAX_RANKS][1 << 20];

	if (exchange(100000, 1))
		return -1;
	TRY(nccl.group_start());
	for (int r = 0; r < nranks; r++)
		if (r != rank)
			TRY(nccl.recv(never[r], sizeof(never[r]), NCCL_INT8, r, comm, NULL));
	TRY(nccl.group_end());
	wait_ms(300);
	if (!kernel_busy())
		return complain("the receives are done, though nothing was sent");
	TRY(nccl.abort(comm));
	kernel_wait();
	for (int r = 0; r < nranks; r++)
		for (size_t i = 0; i < sizeof(never[r]); i++)
			if (never[r][i])
				return complain("something arrived that was not sent");
	if (open_comm())
		return -1;
	return run_alltoall();
}

/* The last rank dies during transfers; NCCL must report it to the others, and they must be able to abort. */
static int run_kill(void)
{
	static unsigned char data[2][MAX_RANKS][4 << 20];
	struct buffers b;
	int error = 0;

	if (exchange(100000, 1))
		return -1;
	for (int r = 0; r < nranks; r++) {
		b.send[r] = data[0][r];
		b.recv[r] = data[1][r];
	}
	barrier();
	if (start_exchange(&b, sizeof(data[0][0])))
		return -1;
	if (rank == nranks - 1) {
		fprintf(stderr, "rank %d is killed: pid %d\n", rank, (int)getpid());
		raise(SIGKILL);
	}
	for (int ms = 0; !error && ms < ERROR_WAIT_S * 1000; ms += 10) {
		TRY(nccl.async_error(comm, &error));
		if (error == NCCL_IN_PROGRESS)
			error = 0;
		wait_ms(10);
	}
	if (!error)
		return complain("NCCL reports no error after a rank died");
	printf("rank %d: NCCL's asynchronous error is %d: %s\n", rank, error, nccl.last_error(comm));
	TRY(nccl.abort(comm));
	kernel_wait();
	comm = NULL;
	return 0;
}

/* Returns 0; 77 if the emulated kernels do not belong to this NCCL; otherwise it failed. */
static int load(const char *path)
{
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int version = 0;

	if (!dl) {
		fprintf(stderr, "cannot load NCCL: %s\n", dlerror());
		return 1;
	}
#define FIND(member, name) *(void **)&nccl.member = dlsym(dl, name)
	FIND(version, "ncclGetVersion");
	FIND(unique_id, "ncclGetUniqueId");
	FIND(init, "ncclCommInitRank");
	FIND(destroy, "ncclCommDestroy");
	FIND(abort, "ncclCommAbort");
	FIND(async_error, "ncclCommGetAsyncError");
	FIND(group_start, "ncclGroupStart");
	FIND(group_end, "ncclGroupEnd");
	FIND(send, "ncclSend");
	FIND(recv, "ncclRecv");
	FIND(all_reduce, "ncclAllReduce");
	FIND(last_error, "ncclGetLastError");
	if (!nccl.version || nccl.version(&version) || version != DEVICE_NCCL_VERSION) {
		fprintf(stderr, "NCCL %d.%d.%d: kernels are known of %d.%d.%d only\n", version / 10000,
			version / 100 % 100, version % 100, DEVICE_NCCL_VERSION / 10000,
			DEVICE_NCCL_VERSION / 100 % 100, DEVICE_NCCL_VERSION % 100);
		return EXIT_CANNOT_DRIVE;
	}
#ifndef __x86_64__
	fprintf(stderr, "functions can be replaced on x86-64 only\n");
	return EXIT_CANNOT_DRIVE;
#endif
	if (patch_library(dl, device_calls, CUDA_NOT_SUPPORTED) > 100)
		return 0;
	fprintf(stderr, "%s: no local symbols\n", path);
	return EXIT_CANNOT_DRIVE;
}

static int run_rank(const char *lib, int (*act)(void))
{
	char host[16];
	int status;

	alarm(TIMEOUT_S);
	snprintf(host, sizeof(host), "host%d", rank);
	setenv("NCCL_HOSTID", host, 1);
	status = load(lib);
	if (status)
		return status;
	if (open_comm() || act())
		return 1;
	if (comm)
		TRY(nccl.destroy(comm));
	return 0;
}

#define OTHERS_S 60 /* time that the other ranks have to end after one that has failed */

static int rank_of(const pid_t *pids, pid_t pid)
{
	int r = 0;

	while (r < nranks && pids[r] != pid)
		r++;
	return r;
}

/* A rank whose peer has failed may wait for ever: NCCL's kernels look at no error. */
static void end_others(const pid_t *pids, const bool *ended)
{
	for (int r = 0; r < nranks; r++)
		if (!ended[r])
			kill(pids[r], SIGKILL);
}

/* The status of the first rank that failed, or 0; `victim` may be killed. */
static int wait_for_ranks(const pid_t *pids, int victim)
{
	bool ended[MAX_RANKS] = {false};
	int result = 0, left = nranks, waited_ms = 0;

	while (left) {
		int status, r;
		pid_t pid = waitpid(-1, &status, result ? WNOHANG : 0);

		if (pid < 0)
			break;
		if (!pid) {
			usleep(100000);
			waited_ms += 100;
			if (waited_ms == OTHERS_S * 1000)
				end_others(pids, ended);
			continue;
		}
		r = rank_of(pids, pid);
		if (r == nranks)
			continue;
		ended[r] = true;
		left--;
		if (r == victim && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			continue;
		if (WIFSIGNALED(status))
			fprintf(stderr, "rank %d: signal %d\n", r, WTERMSIG(status));
		if (!result && status)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	return result;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(void);
	} acts[] = {{"alltoall", run_alltoall},
		    {"allreduce", run_allreduce},
		    {"abort", run_abort},
		    {"kill", run_kill},
		    {"version", NULL}};
	int (*act)(void) = NULL;
	bool known = false;
	pid_t pids[MAX_RANKS];

	for (size_t i = 0; argc == 4 && i < sizeof(acts) / sizeof(acts[0]); i++)
		if (!strcmp(argv[3], acts[i].name)) {
			known = true;
			act = acts[i].act;
		}
	nranks = argc == 4 ? atoi(argv[2]) : 0;
	if (!known || nranks < 1 || nranks > MAX_RANKS) {
		fprintf(stderr, "usage: oncpu LIBNCCL RANKS alltoall|allreduce|abort|kill|version\n");
		return EXIT_USAGE;
	}
	if (!act)
		return load(argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	for (rank = 0; rank < nranks; rank++) {
		pids[rank] = fork();
		if (!pids[rank]) {
			int status = run_rank(argv[1], act);

			fflush(NULL);
			_exit(status < 0 ? 1 : status);
		}
	}
	return wait_for_ranks(pids, act == run_kill ? nranks - 1 : -1);
}
