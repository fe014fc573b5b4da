/* SPDX-License-Identifier: Apache-2.0 */
/* Completions held in our part of a queue, and the choice of the next one. */
#include <stdlib.h>
#include <string.h>

#include "fault.h"

int fault_held_add(struct fault_cq *cq, const struct fault_held *h)
{
	struct fault_held *grown;

	if (cq->count == cq->room) {
		grown = realloc(cq->held, (cq->room + 64) * sizeof(*grown));
		if (!grown)
			return -FI_ENOMEM;
		cq->held = grown;
		cq->room += 64;
	}
	cq->held[cq->count++] = *h;
	return 0;
}

static void take(struct fault_cq *cq, size_t i, struct fault_held *out)
{
	*out = cq->held[i];
	memmove(&cq->held[i], &cq->held[i + 1], (cq->count - i - 1) * sizeof(*out));
	cq->count--;
}

bool fault_held_take(struct fault_cq *cq, bool released, struct fault_held *out)
{
	int64_t now = fault_now_us();
	size_t i, due = 0, pick;

	for (i = 0; i < cq->count; i++)
		due += cq->held[i].due_us <= now;
	if (!due || (!released && due <= fault_setup.reorder))
		return false;
	pick = fault_setup.reorder && due > 1 ? fault_roll(DICE_REORDER, due) : 0;
	if (pick)
		fault_count(COUNT_REORDERED);
	for (i = 0; cq->held[i].due_us > now || pick--; i++)
		;
	take(cq, i, out);
	return true;
}

struct fault_error *fault_error_new(int err, int prov_errno, size_t data_bytes)
{
	struct fault_error *e = calloc(1, sizeof(*e) + data_bytes);

	if (!e)
		return NULL;
	e->err = err;
	e->prov_errno = prov_errno;
	e->src = FI_ADDR_NOTAVAIL;
	e->data_bytes = data_bytes;
	return e;
}
