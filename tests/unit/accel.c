/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel on the fake CUDA driver (tests/cuda). A process searches for the driver only once, so each test runs in
 * processes of its own. They load the fake driver first: "libcuda.so.1" then resolves to it.
 */
#include "unit/unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel/accel.h"
#include "accel/internal.h"
#include "cuda/fake.h"

/* Functions that the fake driver exports for tests. */
static __typeof__(fake_cuda_alloc) *gpu_alloc;
static __typeof__(fake_cuda_free) *gpu_free;
static __typeof__(fake_cuda_dma) *gpu_dma;
static __typeof__(fake_cuda_read) *gpu_read;
static __typeof__(fake_cuda_write) *gpu_write;
static __typeof__(fake_cuda_dma_read) *gpu_dma_read;
static __typeof__(fake_cuda_count) *gpu_count;

static void load(const char *settings)
{
	char path[4096], text[512], *save, *one;
	const char *build = getenv("TEST_BUILDDIR");
	void *lib;

	snprintf(text, sizeof(text), "%s", settings);
	for (one = strtok_r(text, " ", &save); one; one = strtok_r(NULL, " ", &save))
		putenv(strdup(one));
	snprintf(path, sizeof(path), "%s/tests/cuda/.libs/libcuda.so.1", build ? build : ".");
	lib = dlopen(path, RTLD_NOW);
	if (!lib) {
		printf("# %s\n", dlerror());
		_exit(2);
	}
	gpu_alloc = (__typeof__(gpu_alloc))(uintptr_t)dlsym(lib, "fake_cuda_alloc");
	gpu_free = (__typeof__(gpu_free))(uintptr_t)dlsym(lib, "fake_cuda_free");
	gpu_dma = (__typeof__(gpu_dma))(uintptr_t)dlsym(lib, "fake_cuda_dma");
	gpu_read = (__typeof__(gpu_read))(uintptr_t)dlsym(lib, "fake_cuda_read");
	gpu_write = (__typeof__(gpu_write))(uintptr_t)dlsym(lib, "fake_cuda_write");
	gpu_dma_read = (__typeof__(gpu_dma_read))(uintptr_t)dlsym(lib, "fake_cuda_dma_read");
	gpu_count = (__typeof__(gpu_count))(uintptr_t)dlsym(lib, "fake_cuda_count");
}

/* Ends the child process as failed. */
#define NEED(ok)                                                                                                       \
	do {                                                                                                           \
		if (!(ok)) {                                                                                           \
			printf("# line %d: not so: %s\n", __LINE__, #ok);                                              \
			fflush(stdout);                                                                                \
			_exit(1);                                                                                      \
		}                                                                                                      \
	} while (0)

/* Runs f in a child with the fake driver configured by `settings` (NULL: without a driver); returns its wait status. */
static int child(const char *settings, void (*f)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (settings)
			load(settings);
		f();
		fflush(stdout);
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#define PASSES(settings, f) assert_int_equal(child(settings, f), 0)

static void absent(void)
{
	struct accel_mem m;
	int here;

	NEED(!accel_info()->gpu_count);
	NEED(!strcmp(accel_info()->why, "libcuda.so.1 not found"));
	NEED(!accel_mem(&here, &m) && m.kind == ACCEL_HOST && m.gpu == -1);
	NEED(accel_flush(&m) == -ENOTSUP && !accel_can_flush(&m));
}

static void without_a_driver_all_is_the_hosts(void **state)
{
	void *real = dlopen("libcuda.so.1", RTLD_LAZY);

	(void)state;
	if (real)
		skip();
	PASSES(NULL, absent);
}

static void old(void)
{
	NEED(!accel_info()->gpu_count);
	NEED(strstr(accel_info()->why, "older than CUDA 11.3"));
}

static void no_gpu(void)
{
	NEED(!accel_info()->gpu_count);
	NEED(*accel_info()->why);
}

static void no_export(void)
{
	NEED(accel_info()->gpu_count == 1);
	NEED(!accel_info()->gpus[0].dmabuf && accel_info()->gpus[0].flush_call);
}

static void drivers_without_something_are_told_apart(void **state)
{
	(void)state;
	PASSES("FAKE_CUDA_DRIVER=10000", old);
	PASSES("FAKE_CUDA_DRIVER=11030", no_export);
	PASSES("FAKE_CUDA_GPUS=0", no_gpu);
	PASSES("FAKE_CUDA_FAIL_CALL=cuInit FAKE_CUDA_FAIL_NTH=1", no_gpu);
	PASSES("FAKE_CUDA_FAIL_CALL=cuDeviceGetCount FAKE_CUDA_FAIL_NTH=1", no_gpu);
}

static void attributes(void)
{
	const struct accel_gpu *g = accel_info()->gpus;

	NEED(accel_info()->gpu_count == 2 && accel_info()->driver == 12040);
	NEED(!strcmp(g[0].pci, "0000:17:00.0") && !strcmp(g[1].pci, "0001:a5:02.0"));
	NEED(g[1].capability == 90 && g[1].gdr && g[1].dmabuf && g[1].ordered && g[1].flush_call && g[1].coherent);
	NEED(strstr(accel_info()->library, "libcuda.so.1"));
}

static void nothing_else(void)
{
	const struct accel_gpu *g = accel_info()->gpus;

	NEED(accel_info()->gpu_count == 1);
	NEED(!g->gdr && !g->dmabuf && !g->ordered && !g->flush_call && !g->coherent && g->capability == 80);
}

static void each_attribute_is_seen(void **state)
{
	(void)state;
	PASSES("FAKE_CUDA_GPUS=2 FAKE_CUDA_PCI=0000:17:00,0001:a5:02 FAKE_CUDA_CAPABILITY=90 FAKE_CUDA_ORDER=1 "
	       "FAKE_CUDA_COHERENT=1",
	       attributes);
	PASSES("FAKE_CUDA_GDR=0 FAKE_CUDA_DMABUF=0 FAKE_CUDA_FLUSH=0", nothing_else);
}

static void pointers(void)
{
	char *p = gpu_alloc(100000, 1, 0), *q = gpu_alloc(10, 0, 0), *again;
	struct accel_mem m, n;

	NEED(!accel_mem(p + 99999, &m) && m.kind == ACCEL_CUDA && m.gpu == 1);
	NEED(m.start == (uintptr_t)p && m.bytes == 100000 && m.id && m.context);
	NEED(!accel_mem(p + 100000, &n) && n.kind == ACCEL_HOST);
	NEED(!accel_mem(q, &n) && n.gpu == 0 && n.id != m.id);
	NEED(!accel_mem(&m, &n) && n.kind == ACCEL_HOST && n.gpu == -1 && !n.id);
	NEED(accel_mem(gpu_alloc(10, 0, 1), &n) == -ENOTSUP);
	gpu_free(q);
	again = gpu_alloc(10, 0, 0);
	NEED(!accel_mem(again, &n) && n.id > m.id);
}

static void lost(void)
{
	struct accel_mem m;

	NEED(accel_info()->gpu_count == 1);
	NEED(accel_mem(gpu_alloc(10, 0, 0), &m) == -EIO);
}

static void touched(void)
{
	signal(SIGSEGV, SIG_DFL); /* the child must die, not run cmocka's handler and the remaining tests */
	*(volatile char *)gpu_alloc(10, 0, 0) = 1;
}

static void pointers_are_told_apart(void **state)
{
	int status;

	(void)state;
	PASSES("FAKE_CUDA_GPUS=2", pointers);
	PASSES("FAKE_CUDA_FAIL_CALL=cuPointerGetAttributes FAKE_CUDA_FAIL_NTH=1", lost);
	status = child("", touched); /* the fake driver catches host access */
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) || WEXITSTATUS(status));
}

static void flushes(void)
{
	char *p = gpu_alloc(1000, 0, 0), got = 0;
	struct accel_mem m;

	NEED(!accel_mem(p, &m) && accel_can_flush(&m));
	gpu_write(p, "x", 1);
	*(char *)gpu_dma(3, p, 1) = 'y';
	gpu_read(&got, p, 1);
	NEED(got == 'x'); /* the write has landed but is not visible to the GPU */
	NEED(!accel_flush(&m));
	gpu_read(&got, p, 1);
	NEED(got == 'y');
	NEED(cuda_calls.cuCtxGetDevice(&(int){0}) != 0); /* no context stays current */
	*(char *)gpu_dma(3, p + 500, 1) = 'z';
	gpu_dma_read(2, p);
	gpu_read(&got, p + 500, 1);
	NEED(got != 'z'); /* a read by another NIC makes nothing visible */
	gpu_dma_read(3, p);
	gpu_read(&got, p + 500, 1);
	NEED(got == 'z');
}

static void no_flush(void)
{
	struct accel_mem m;

	NEED(!accel_mem(gpu_alloc(1000, 0, 0), &m));
	NEED(!accel_can_flush(&m) && accel_flush(&m) == -ENOTSUP);
}

static void flush_by_current(void)
{
	struct accel_mem m, with;

	NEED(!accel_mem(gpu_alloc(1000, 1, 0), &m));
	with = m;
	m.context = NULL;
	NEED(!accel_can_flush(&m) && accel_flush(&m) == -ENOTSUP);
	cuda_calls.cuCtxPushCurrent(with.context);
	NEED(accel_can_flush(&m) && !accel_flush(&m));
}

static void flush_fails(void)
{
	struct accel_mem m;

	NEED(!accel_mem(gpu_alloc(1000, 0, 0), &m));
	NEED(accel_flush(&m) == -EIO && !accel_flush(&m));
}

static void what_has_landed_is_flushed(void **state)
{
	(void)state;
	PASSES("FAKE_CUDA_DELAY=1", flushes);
	PASSES("FAKE_CUDA_DELAY=1 FAKE_CUDA_CAPTURING=1", flushes);
	PASSES("FAKE_CUDA_FLUSH=0", no_flush);
	PASSES("FAKE_CUDA_CONTEXT=0", no_flush);
	PASSES("FAKE_CUDA_DRIVER=11020", old);
	PASSES("FAKE_CUDA_GPUS=2", flush_by_current);
	PASSES("FAKE_CUDA_FAIL_CALL=cuFlushGPUDirectRDMAWrites FAKE_CUDA_FAIL_NTH=1", flush_fails);
}

/* No failing call causes a crash, and every reported value stays within its bounds. */
static void whatever(void)
{
	char *p = gpu_alloc(100000, 0, 0);
	struct accel_mem m;

	NEED(accel_info()->gpu_count <= 1);
	if (accel_mem(p, &m) || m.kind != ACCEL_CUDA)
		return;
	NEED(m.gpu == 0);
	accel_can_flush(&m);
	accel_flush(&m);
}

static void any_call_may_fail(void **state)
{
	char settings[64];
	int i;

	(void)state;
	for (i = 1; i <= 30; i++) {
		snprintf(settings, sizeof(settings), "FAKE_CUDA_FAIL_NTH=%d", i);
		PASSES(settings, whatever);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_driver_all_is_the_hosts),
		cmocka_unit_test(drivers_without_something_are_told_apart),
		cmocka_unit_test(each_attribute_is_seen),
		cmocka_unit_test(pointers_are_told_apart),
		cmocka_unit_test(what_has_landed_is_flushed),
		cmocka_unit_test(any_call_may_fail),
	};

	return unit_run("accel", tests);
}
