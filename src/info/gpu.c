/* SPDX-License-Identifier: Apache-2.0 */
/* weft-info: the CUDA driver, the features of its GPUs, and the devices' support of GPU memory. */
#include <stdio.h>

#include "accel/accel.h"
#include "dev/gdr.h"
#include "info/info.h"

void info_print_gpus(void)
{
	const struct accel_info *a = accel_info();
	int i;

	if (!a->gpu_count)
		printf("CUDA: not available: %s\n", a->why);
	else
		printf("CUDA: driver for CUDA %d.%d, %s\n", a->driver / 1000, a->driver % 1000 / 10, a->library);
	for (i = 0; i < a->gpu_count; i++) {
		const struct accel_gpu *g = &a->gpus[i];

		printf("    GPU %-2d %s  compute capability %d.%d; GPUDirect RDMA: %s; dma-buf: %s; flush: %s\n", i,
		       g->pci, g->capability / 10, g->capability % 10, g->gdr ? "yes" : "no", g->dmabuf ? "yes" : "no",
		       g->flush_call ? "by a call, too" : "not by a call");
	}
}

json_t *info_gpus_json(void)
{
	const struct accel_info *a = accel_info();
	json_t *list = json_array();
	int i;

	for (i = 0; i < a->gpu_count; i++) {
		const struct accel_gpu *g = &a->gpus[i];

		json_array_append_new(list, json_pack("{s:i, s:s, s:i, s:b, s:b, s:b, s:b, s:b}", "number", i, "pci",
						      g->pci, "capability", g->capability, "gpudirect", (int)g->gdr,
						      "dmabuf", (int)g->dmabuf, "ordered", (int)g->ordered,
						      "flush_call", (int)g->flush_call, "coherent", (int)g->coherent));
	}
	return json_pack("{s:o, s:i, s:s, s:o}", "library", info_json_text(a->library), "driver", a->driver, "why_not",
			 a->why, "gpus", list);
}

void info_print_gdr(const struct dev *d)
{
	const struct dev_gdr *g = &d->gdr;

	if (!g->cuda) {
		printf("       %-14s host memory only: %s\n", "", g->cuda_why);
		return;
	}
	printf("       %-14s GPU memory (GPUDirect RDMA) by pointer: yes; by dma-buf: %s%s\n", "",
	       g->dmabuf ? "yes" : "no: ", g->dmabuf_why);
	printf("       %-14s flush of what GPUs receive: %s, as %s\n", "", gdr_flush_text(g->flush), g->flush_why);
}

json_t *info_gdr_json(const struct dev *d)
{
	const struct dev_gdr *g = &d->gdr;

	return json_pack("{s:b, s:o, s:b, s:o, s:s, s:s}", "cuda", (int)g->cuda, "cuda_why_not",
			 info_json_text(g->cuda_why), "dmabuf", (int)g->dmabuf, "dmabuf_why_not",
			 info_json_text(g->dmabuf_why), "flush", g->cuda ? gdr_flush_text(g->flush) : "none",
			 "flush_why", g->flush_why);
}
