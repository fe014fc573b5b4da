/* SPDX-License-Identifier: Apache-2.0 */
/* See nics.h. */
#include "nics.h"

#include <string.h>

#include "observe/snapshot.h"

/* The number of the NIC, which is new if no rail before was one of its streams. -1: there are too many. */
static int find_nic(struct who *w, const char *name)
{
	int i;

	for (i = 0; i < w->nnics && strcmp(w->nics[i], name); i++)
		;
	if (i == MATRIX_NICS)
		return -1;
	if (i == w->nnics)
		memcpy(w->nics[w->nnics++], name, sizeof(w->nics[0]));
	return i;
}

/* Processes that are gone may have left records of the same number. */
static const struct record *of_the_living(const struct snapshot *s)
{
	size_t i;

	for (i = 0; s && i < s->count; i++)
		if (s->records[i]->life != RECORD_DEAD && s->records[i]->life != RECORD_FINISHED)
			return s->records[i];
	return NULL;
}

void nics_read(pid_t pid, struct who *out, double share[MATRIX_NICS])
{
	struct snapshot *s = snapshot_take(&(struct snapshot_want){.pid = (uint64_t)pid});
	const struct record *r = of_the_living(s);
	double all = 0;
	size_t k;
	int i;

	out->nnics = 0;
	memset(share, 0, MATRIX_NICS * sizeof(*share));
	for (k = 0; r && k < r->rail_count; k++) {
		const struct weft_stats_rail *rail = &r->rails[k].r;

		i = find_nic(out, rail->name);
		if (i < 0)
			continue;
		share[i] += (double)rail->tx_bytes;
		all += (double)rail->tx_bytes;
	}
	for (i = 0; i < out->nnics && all > 0; i++)
		share[i] /= all;
	snapshot_free(s);
}
