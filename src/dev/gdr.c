/* SPDX-License-Identifier: Apache-2.0 */
/* GPU memory support of each device; see gdr.h. */
#include "dev/gdr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

#define because(text, ...) snprintf(text, sizeof(text), __VA_ARGS__)

static bool is_named(const struct dev *d, const struct accel_gpu *g)
{
	topo_pci pci = topo_pci_parse(g->pci);
	int i;

	for (i = 0; i < dev_gpus_named(d); i++)
		if (d->gpu[i] == pci)
			return true;
	return false;
}

/* Lists the device's GPUs visible to this process, or all visible ones if there are none. Returns their number. */
static int own_gpus(const struct dev *d, const struct accel_gpu *out[ACCEL_GPUS_MAX])
{
	const struct accel_info *a = accel_info();
	int i, n = 0;

	for (i = 0; i < a->gpu_count; i++)
		if (is_named(d, &a->gpus[i]))
			out[n++] = &a->gpus[i];
	for (i = 0; i < a->gpu_count && !n; i++)
		out[i] = &a->gpus[i];
	return n ? n : a->gpu_count;
}

static bool sees_order(const struct accel_gpu *g)
{
	return g->ordered && g->capability >= GDR_UNASKED && !g->coherent;
}

static bool all_read(const struct dev *d)
{
	int i;

	for (i = 0; i < d->rail_count; i++)
		if (!d->rails[i]->reads)
			return false;
	return true;
}

static void choose_flush(struct dev *d, int64_t requested, const struct accel_gpu *const gpus[], int n)
{
	struct dev_gdr *g = &d->gdr;
	bool ordered = true, call = true, reads = all_read(d);
	int i;

	for (i = 0; i < n; i++) {
		ordered &= sees_order(gpus[i]);
		call &= gpus[i]->flush_call;
	}
	g->flush = DEV_FLUSH_NONE;
	if (requested == CONF_FLUSH_NONE) {
		because(g->flush_why, "WEFT_FLUSH=none");
	} else if (requested == CONF_FLUSH_AUTO && ordered) {
		because(g->flush_why, "the driver says that the GPU sees writes in their order");
	} else if (reads && requested != CONF_FLUSH_CALL) {
		g->flush = DEV_FLUSH_READ;
		because(g->flush_why, "%s",
			requested == CONF_FLUSH_AUTO ? "the GPU may see writes late" : "WEFT_FLUSH=read");
	} else if (call && requested != CONF_FLUSH_READ) {
		g->flush = DEV_FLUSH_CALL;
		because(g->flush_why, "%s",
			requested == CONF_FLUSH_AUTO ? "the GPU may see writes late, and the provider can't read"
						     : "WEFT_FLUSH=call");
	} else {
		g->cuda = false;
		because(g->cuda_why, "there is no way to flush: %s",
			requested == CONF_FLUSH_READ ? "WEFT_FLUSH=read, and the provider can't read remotely"
						     : "the CUDA driver has no call for it on this GPU");
	}
}

static void decide(struct dev *d, const struct conf *conf)
{
	const struct accel_gpu *gpus[ACCEL_GPUS_MAX];
	struct dev_gdr *g = &d->gdr;
	int i, n;

	*g = (struct dev_gdr){.cuda = true, .dmabuf = true};
	for (i = 0; i < d->rail_count && g->cuda; i++)
		if (!d->rails[i]->hmem) {
			g->cuda = false;
			because(g->cuda_why, "%s",
				d->rails[i]->hmem_why && *d->rails[i]->hmem_why
					? d->rails[i]->hmem_why
					: "the provider does not say that it reaches it");
		}
	n = g->cuda ? own_gpus(d, gpus) : 0;
	for (i = 0; i < n && g->cuda; i++)
		if (!gpus[i]->gdr) {
			g->cuda = false;
			because(g->cuda_why, "GPU %s can't: the CUDA driver says that it has no GPUDirect RDMA",
				gpus[i]->pci);
		}
	if (g->cuda)
		choose_flush(d, conf->flush, gpus, n);
	if (!g->cuda) {
		g->dmabuf = false;
		memcpy(g->dmabuf_why, g->cuda_why, sizeof(g->dmabuf_why));
		return;
	}
	if (*fab_dmabuf_why()) {
		g->dmabuf = false;
		because(g->dmabuf_why, "%s", fab_dmabuf_why());
	}
	for (i = 0; i < n && g->dmabuf; i++)
		if (!gpus[i]->dmabuf) {
			g->dmabuf = false;
			because(g->dmabuf_why, "the CUDA driver exports no dma-buf of GPU %s", gpus[i]->pci);
		}
}

void gdr_decide(struct dev_table *t)
{
	int i;

	for (i = 0; i < t->count; i++)
		decide(&t->devs[i], &t->conf);
}

const char *gdr_flush_text(enum dev_flush flush)
{
	return flush == DEV_FLUSH_READ ? "read" : flush == DEV_FLUSH_CALL ? "call" : "none";
}

enum dev_flush gdr_flush_of(const struct dev *d, const struct accel_mem *m)
{
	if (d->gdr.flush == DEV_FLUSH_CALL && !accel_can_flush(m) && all_read(d))
		return DEV_FLUSH_READ; /* neither the memory nor the thread has a CUDA context */
	return d->gdr.flush;
}

static enum fab_order order_of(const struct dev_table *t)
{
	return t->count ? t->devs[0].nic->order : FAB_ORDER_KEPT;
}

const char *gdr_order_text(const struct dev_table *t)
{
	switch (order_of(t)) {
	case FAB_ORDER_LOST: return "the provider does not keep 128 bytes in their order";
	case FAB_ORDER_UNKNOWN: return "this libfabric can't say whether 128 bytes keep their order";
	default: return "";
	}
}

/* Only `simple` is safe. NCCL reads the variable when it creates a communicator, after the plugin's init. */
void gdr_guard_order(const struct dev_table *t)
{
	const char *why = gdr_order_text(t), *user = getenv("NCCL_PROTO");

	if (!*why)
		return;
	if (!user) {
		setenv("NCCL_PROTO", "simple", 1);
		log_info("NCCL_PROTO=simple: %s, which LL and LL128 need", why);
	} else if (strcasecmp(user, "simple")) {
		log_must_see("keeping your NCCL_PROTO=%s, but %s: LL and LL128 may corrupt data", user, why);
	}
}
