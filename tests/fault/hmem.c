/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAULT_HMEM=1: a NIC that accesses GPU memory of the fake CUDA driver (tests/cuda). The inner provider gets the
 * address of the bytes behind a GPU pointer, which only a NIC may use.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda/fake.h"
#include "fault.h"

static __typeof__(fake_cuda_dma) *dma;
static __typeof__(fake_cuda_dma_read) *dma_read;

bool fault_hmem_load(void)
{
	void *lib = dlopen("libcuda.so.1", RTLD_NOW);

	if (!lib)
		return false;
	dma = (__typeof__(dma))(uintptr_t)dlsym(lib, "fake_cuda_dma");
	dma_read = (__typeof__(dma_read))(uintptr_t)dlsym(lib, "fake_cuda_dma_read");
	return dma && dma_read;
}

bool fault_hmem_translate(int nic, const struct iovec *from, size_t count, struct iovec *to)
{
	bool some = false;
	size_t i;

	for (i = 0; i < count; i++) {
		void *at = from[i].iov_len ? dma(nic, from[i].iov_base, from[i].iov_len) : NULL;

		to[i] = from[i];
		if (at)
			to[i].iov_base = at;
		some |= at != NULL;
	}
	return some;
}

void fault_hmem_read(int nic, const void *target)
{
	if (fault_setup.hmem && target)
		dma_read(nic, target);
}

int fault_hmem_reg(struct fault_domain *d, struct fid *fid, const struct fi_mr_attr *attr, uint64_t flags,
		   struct fid_mr **mr, struct iovec *out_own)
{
	struct fi_mr_attr inner = *attr;
	struct iovec iov;

	*out_own = *attr->mr_iov;
#ifdef FI_MR_DMABUF
	if (flags & FI_MR_DMABUF) {
		out_own->iov_base = (char *)attr->dmabuf->base_addr + attr->dmabuf->offset;
		out_own->iov_len = attr->dmabuf->len;
		flags &= ~FI_MR_DMABUF;
	}
#endif
	if (fault_hmem_translate(d->nic, out_own, 1, &iov) != (attr->iface == FI_HMEM_CUDA)) {
		fprintf(stderr, "fault: a registration of %zu bytes at %p is for the wrong kind of memory\n",
			out_own->iov_len, out_own->iov_base);
		return -FI_EFAULT;
	}
	inner.mr_iov = &iov;
	inner.iface = FI_HMEM_SYSTEM;
	return d->inner_mr->regattr(fid, &inner, flags, mr);
}
