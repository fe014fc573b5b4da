/* SPDX-License-Identifier: Apache-2.0 */
#include "nccl.h"
#include "exchange.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CUDA "libcuda.so.1"
#define NCCL "libnccl.so.2"

/* Values of cuda.h and nccl.h. NCCL numbers its types and operations like types.h. */
enum { CUDA_NOT_READY = 600, STREAM_NON_BLOCKING = 1, PCI_BUS = 33, PCI_DEVICE = 34, PCI_DOMAIN = 50 };
enum { IN_PROGRESS = 7 };
_Static_assert(TYPE_INT8 == 0 && TYPE_UINT64 == 5 && TYPE_HALF == 6 && TYPE_BFLOAT16 == 9, "as ncclDataType_t");
_Static_assert(OP_SUM == 0 && OP_PROD == 1 && OP_MAX == 2 && OP_MIN == 3 && OP_AVG == 4, "as ncclRedOp_t");

enum { POINTERS = 2 };

struct unique_id {
	char bytes[128];
};

static struct {
	int (*cuInit)(unsigned int flags);
	int (*cuDriverGetVersion)(int *version);
	int (*cuGetErrorName)(int error, const char **text);
	int (*cuDeviceGetCount)(int *count);
	int (*cuDeviceGet)(int *device, int ordinal);
	int (*cuDeviceGetName)(char *name, int bytes, int device);
	int (*cuDeviceGetAttribute)(int *value, int attribute, int device);
	int (*cuDevicePrimaryCtxRetain)(void **context, int device);
	int (*cuCtxSetCurrent)(void *context);
	int (*cuCtxSynchronize)(void);
	int (*cuStreamCreate)(void **stream, unsigned int flags);
	int (*cuStreamQuery)(void *stream);
	int (*cuMemGetInfo_v2)(size_t *free_bytes, size_t *total_bytes);
	int (*cuMemAlloc_v2)(uint64_t *p, size_t bytes);
	int (*cuMemFree_v2)(uint64_t p);
	int (*cuMemcpyHtoD_v2)(uint64_t to, const void *from, size_t bytes);
	int (*cuMemcpyDtoH_v2)(void *to, uint64_t from, size_t bytes);
	int (*ncclGetVersion)(int *version);
	int (*ncclGetUniqueId)(struct unique_id *id);
	int (*ncclCommInitRank)(void **comm, int nranks, struct unique_id id, int rank);
	int (*ncclCommDestroy)(void *comm);
	int (*ncclCommGetAsyncError)(void *comm, int *error);
	const char *(*ncclGetErrorString)(int result);
	const char *(*ncclGetLastError)(void *comm);
	int (*ncclGroupStart)(void);
	int (*ncclGroupEnd)(void);
	int (*ncclSend)(const void *p, size_t count, int type, int peer, void *comm, void *stream);
	int (*ncclRecv)(void *p, size_t count, int type, int peer, void *comm, void *stream);
	int (*ncclAllReduce)(const void *in, void *out, size_t count, int type, int op, void *comm, void *stream);
	int (*ncclReduceScatter)(const void *in, void *out, size_t count, int type, int op, void *comm, void *stream);
	int (*ncclAllGather)(const void *in, void *out, size_t count, int type, void *comm, void *stream);
	int (*ncclReduce)(const void *in, void *out, size_t count, int type, int op, int root, void *comm,
			  void *stream);
	int (*ncclBroadcast)(const void *in, void *out, size_t count, int type, int root, void *comm, void *stream);
} api;

struct nccl {
	struct engine engine; /* must be first: callers have a pointer to it */
	const struct team *team;
	enum collective what;
	const struct traffic *traffic;
	int rank, nranks, gpu, device;
	int64_t timeout_us;
	void *context, *stream, *comm;
	void *memory[POINTERS];
	char error[1536];
};

static struct nccl *of(struct engine *e)
{
	return (struct nccl *)(void *)e;
}

/* Records a failure; only the first one is kept. */
__attribute__((format(printf, 3, 4))) static int fail(struct nccl *n, enum engine_failure failure, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!*n->error)
		vsnprintf(n->error, sizeof(n->error), fmt, ap);
	va_end(ap);
	return failure;
}

static int gpu_failed(struct nccl *n, const char *call, int error)
{
	const char *text = NULL;

	if (api.cuGetErrorName(error, &text) || !text)
		text = "an error without a name";
	return fail(n, FAIL_GPU, "%s, rank %d on GPU %d: '%s'", call, team_job_rank(n->team, n->rank), n->gpu, text);
}

static int nccl_failed(struct nccl *n, const char *call, int result)
{
	return fail(n, FAIL_ENGINE, "%s, rank %d on GPU %d: '%s / %s'", call, team_job_rank(n->team, n->rank), n->gpu,
		    api.ncclGetErrorString(result), api.ncclGetLastError(n->comm));
}

static int load(const char *library, const char *prefix, const char *advice, void **slots, const char *const *names)
{
	void *dl = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!dl) {
		fprintf(stderr, "--engine nccl: %s; %s\n", dlerror(), advice);
		return -1;
	}
	for (; *names; names++, slots++) {
		if (strncmp(*names, prefix, strlen(prefix)))
			continue;
		*slots = dlsym(dl, *names);
		if (*slots)
			continue;
		fprintf(stderr, "--engine nccl: %s has no %s: it is too old (NCCL 2.18 and CUDA 11 are needed)\n",
			library, *names);
		return -1;
	}
	return 0;
}

int nccl_load(void)
{
	/* clang-format off */
	static const char *const names[] = {
		"cuInit", "cuDriverGetVersion", "cuGetErrorName", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName",
		"cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuCtxSetCurrent", "cuCtxSynchronize",
		"cuStreamCreate", "cuStreamQuery", "cuMemGetInfo_v2", "cuMemAlloc_v2", "cuMemFree_v2",
		"cuMemcpyHtoD_v2", "cuMemcpyDtoH_v2", "ncclGetVersion", "ncclGetUniqueId", "ncclCommInitRank",
		"ncclCommDestroy", "ncclCommGetAsyncError", "ncclGetErrorString", "ncclGetLastError", "ncclGroupStart",
		"ncclGroupEnd", "ncclSend", "ncclRecv", "ncclAllReduce", "ncclReduceScatter", "ncclAllGather",
		"ncclReduce", "ncclBroadcast", NULL};
	/* clang-format on */
	void **slots = (void **)(void *)&api;

	_Static_assert(sizeof(api) == sizeof(names) - sizeof(names[0]), "a name for each");
	/* The order matters: the tests' emulated driver searches for NCCL when it is loaded. */
	if (load(NCCL, "nccl", "NCCL is missing: install it, or name its directory in LD_LIBRARY_PATH", slots, names) ||
	    load(CUDA, "cu", "NVIDIA's driver is missing", slots, names))
		return -1;
	return 0;
}

int nccl_version(void)
{
	int v = 0;

	return api.ncclGetVersion(&v) ? 0 : v;
}

int nccl_cuda_version(void)
{
	int v = 0;

	return api.cuDriverGetVersion(&v) ? 0 : v;
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* One step of an exchange: sends to and receives from each rank, this one included, as one group. */
static int exchange_step(struct nccl *n, const struct exchange *x, int type, const char *in, char *out)
{
	int result = api.ncclGroupStart();

	for (int peer = 0; !result && peer < n->nranks; peer++) {
		struct part gives = exchange_part(x, n->rank, peer), gets = exchange_part(x, peer, n->rank);
		const char *from = in + gives.in * x->elem_bytes;
		char *to = out + gets.out * x->elem_bytes;

		if (peer == n->rank && from == to)
			continue;
		if (gives.count)
			result = api.ncclSend(from, gives.count, type, peer, n->comm, n->stream);
		if (!result && gets.count)
			result = api.ncclRecv(to, gets.count, type, peer, n->comm, n->stream);
	}
	return result ? result : api.ncclGroupEnd();
}

static int exchange(struct nccl *n, const struct engine_op *op, const char *in, char *out)
{
	struct exchange x = {.what = n->what,
			     .nranks = n->nranks,
			     .root = op->root,
			     .count = op->count,
			     .elem_bytes = type_facts[op->type].bytes,
			     .traffic = n->traffic};
	int result = 0;

	for (; !result && x.step < exchange_steps(n->what, n->nranks); x.step++)
		result = exchange_step(n, &x, (int)op->type, x.step ? out : in, out);
	return result;
}

static int run(struct engine *e, const struct engine_op *op, const void *in, void *out)
{
	struct nccl *n = of(e);
	int type = (int)op->type, how = (int)op->op, result;

	switch (n->what) {
	case ALL_REDUCE: result = api.ncclAllReduce(in, out, op->count, type, how, n->comm, n->stream); break;
	case REDUCE_SCATTER: result = api.ncclReduceScatter(in, out, op->count, type, how, n->comm, n->stream); break;
	case ALL_GATHER: result = api.ncclAllGather(in, out, op->count, type, n->comm, n->stream); break;
	case REDUCE: result = api.ncclReduce(in, out, op->count, type, how, op->root, n->comm, n->stream); break;
	case BROADCAST: result = api.ncclBroadcast(in, out, op->count, type, op->root, n->comm, n->stream); break;
	default: result = exchange(n, op, in, out);
	}
	return result ? nccl_failed(n, collective_facts[n->what].what, result) : 0;
}

/* A group has no order, but the steps of a hypercube have one. */
static int begin(struct engine *e)
{
	int result = of(e)->what == HYPERCUBE ? 0 : api.ncclGroupStart();

	return result ? nccl_failed(of(e), "ncclGroupStart", result) : 0;
}

static int end(struct engine *e)
{
	int result = of(e)->what == HYPERCUBE ? 0 : api.ncclGroupEnd();

	return result ? nccl_failed(of(e), "ncclGroupEnd", result) : 0;
}

/* A GPU that waits for a peer reports nothing, so this polls NCCL for errors and the out-of-band star for deaths. */
static int wait_for_all(struct engine *e)
{
	struct nccl *n = of(e);
	int64_t deadline_us = n->timeout_us ? now_us() + n->timeout_us : 0;

	for (;;) {
		int error = api.cuStreamQuery(n->stream), result, async = 0;

		if (!error)
			return 0;
		if (error != CUDA_NOT_READY)
			return gpu_failed(n, "cuStreamQuery", error);
		result = api.ncclCommGetAsyncError(n->comm, &async);
		if (result || (async && async != IN_PROGRESS))
			return nccl_failed(n, collective_facts[n->what].what, result ? result : async);
		if (oob_check(n->team->oob))
			return FAIL_PEER;
		if (deadline_us && now_us() > deadline_us)
			return fail(n, FAIL_TIMEOUT, "%s took too long", collective_facts[n->what].what);
		sched_yield();
	}
}

static int allocate(struct engine *e, size_t bytes, void **out)
{
	struct nccl *n = of(e);
	uint64_t p = 0;
	int i = 0, error = api.cuMemAlloc_v2(&p, bytes);

	if (error)
		return gpu_failed(n, "cuMemAlloc", error);
	while (n->memory[i])
		if (++i == POINTERS)
			abort();
	*out = n->memory[i] = (void *)(uintptr_t)p;
	return 0;
}

/* NCCL's stream does not wait for the copy. */
static int put(struct engine *e, void *to, const void *from, size_t bytes)
{
	int error = api.cuMemcpyHtoD_v2((uintptr_t)to, from, bytes);

	if (!error)
		error = api.cuCtxSynchronize();
	return error ? gpu_failed(of(e), "cuMemcpyHtoD", error) : 0;
}

static int get(struct engine *e, void *to, const void *from, size_t bytes)
{
	int error = api.cuMemcpyDtoH_v2(to, (uintptr_t)from, bytes);

	return error ? gpu_failed(of(e), "cuMemcpyDtoH", error) : 0;
}

static double room(const struct engine *e)
{
	size_t free_bytes = 0, total;

	(void)e;
	(void)api.cuMemGetInfo_v2(&free_bytes, &total);
	return (double)free_bytes;
}

static int attribute(const struct nccl *n, int which)
{
	int value = 0;

	return api.cuDeviceGetAttribute(&value, which, n->device) ? 0 : value;
}

static void describe(const struct engine *e, struct rank_info *out)
{
	const struct nccl *n = (const struct nccl *)(const void *)e;
	struct device_info *gpu = &out->devices[0];

	out->ndevices = 1;
	gpu->device = n->gpu;
	snprintf(gpu->pci, sizeof(gpu->pci), "%04x:%02x:%02x.0", (unsigned int)attribute(n, PCI_DOMAIN) & 0xffff,
		 (unsigned int)attribute(n, PCI_BUS) & 0xff, (unsigned int)attribute(n, PCI_DEVICE) & 0x1f);
	if (api.cuDeviceGetName(gpu->name, sizeof(gpu->name), n->device))
		gpu->name[0] = '\0';
}

static const char *error_text(const struct engine *e)
{
	return ((const struct nccl *)(const void *)e)->error;
}

static void close_nccl(struct engine *e)
{
	struct nccl *n = of(e);

	if (n->comm)
		(void)api.ncclCommDestroy(n->comm);
	for (int i = 0; i < POINTERS; i++)
		if (n->memory[i])
			(void)api.cuMemFree_v2((uintptr_t)n->memory[i]);
	/* Stream and context end with the process. */
	free(n);
}

static const struct engine_calls nccl_calls = {
	.run = run,
	.begin = begin,
	.end = end,
	.wait = wait_for_all,
	.alloc = allocate,
	.put = put,
	.get = get,
	.room = room,
	.describe = describe,
	.error = error_text,
	.close = close_nccl,
};

/* The ranks of a host use its GPUs in rank order; if a GPU is given, all of them share that one. */
static int choose_gpu(struct nccl *n, int given)
{
	const struct oob *oob = n->team->oob;
	int gpus = 0, error = api.cuInit(0), before = 0, self = oob_rank(oob);

	if (!error)
		error = api.cuDeviceGetCount(&gpus);
	for (int r = 0; r < self; r++)
		before += !strcmp(oob_peer(oob, r)->host, oob_peer(oob, self)->host);
	n->gpu = given >= 0 ? given : before;
	if (error)
		return gpu_failed(n, "cuInit", error);
	if (n->gpu >= gpus)
		return fail(n, FAIL_GPU,
			    "rank %d needs GPU %d, and this host has %d; --device 0 lets all ranks of a host share one",
			    self, n->gpu, gpus);
	error = api.cuDeviceGet(&n->device, n->gpu);
	if (!error)
		error = api.cuDevicePrimaryCtxRetain(&n->context, n->device);
	if (!error)
		error = api.cuCtxSetCurrent(n->context);
	if (!error)
		error = api.cuStreamCreate(&n->stream, STREAM_NON_BLOCKING);
	return error ? gpu_failed(n, "the GPU's context", error) : 0;
}

/* All ranks compare their state first, because a rank without a GPU would let the others wait in NCCL forever. */
static int meet(struct nccl *n, struct unique_id *out)
{
	struct unique_id mine = {{0}}, *all = calloc((size_t)n->nranks, sizeof(*all));
	int result = !all ? 0 : n->rank ? 0 : api.ncclGetUniqueId(&mine), err = 0;

	if (!all)
		return fail(n, FAIL_SYSTEM, "out of memory");
	if (result)
		err = nccl_failed(n, "ncclGetUniqueId", result);
	if (!err)
		result = team_allgather(n->team, &mine, sizeof(mine), all);
	if (!err && result)
		err = result == -ENOMEM ? fail(n, FAIL_SYSTEM, "out of memory") : FAIL_PEER;
	*out = all[0];
	free(all);
	return err;
}

int nccl_open(const struct nccl_config *config, struct engine **out_engine)
{
	struct nccl *n = calloc(1, sizeof(*n));
	struct unique_id id;
	int err, result;

	*out_engine = n ? &n->engine : NULL;
	if (!n)
		return FAIL_SYSTEM;
	*n = (struct nccl){.engine = {&nccl_calls},
			   .team = config->team,
			   .what = config->what,
			   .traffic = config->traffic,
			   .rank = config->team->rank,
			   .nranks = config->team->nranks,
			   .timeout_us = config->timeout_s * 1000000ll};
	err = choose_gpu(n, config->device);
	if (!err)
		err = meet(n, &id);
	if (err)
		return err;
	result = api.ncclCommInitRank(&n->comm, n->nranks, id, n->rank);
	return result ? nccl_failed(n, "ncclCommInitRank", result) : 0;
}
