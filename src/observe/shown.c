/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "observe/shown.h"

static bool same_labels(const struct weft_stats_head *a, const struct weft_stats_head *b)
{
	bool same_rank = a->rank < 0 ? b->rank < 0 : a->rank == b->rank; /* a negative one is no label */

	return a->pid == b->pid && same_rank && !strcmp(a->job, b->job) && !strcmp(a->host, b->host);
}

/* Does the process hide the other one, of the same labels? Equal ones: the first hides the second. */
static bool hides(const struct process_view *a, const struct process_view *b)
{
	const struct record *x = a->record, *y = b->record;

	if (!same_labels(&x->head, &y->head))
		return false;
	if (x->gone != y->gone)
		return y->gone;
	return x->head.start != y->head.start ? x->head.start > y->head.start : a < b;
}

static bool hidden_one(const struct view *v, size_t i)
{
	size_t j;

	for (j = 0; j < v->count; j++)
		if (j != i && hides(&v->processes[j], &v->processes[i]))
			return true;
	return false;
}

static bool without_endpoints(const struct process_view *p)
{
	return p->record->gone || p->record->life == RECORD_FINISHED;
}

int shown_make(struct shown *s, const struct view *v)
{
	size_t i, n = 0;
	int closed;

	s->view = *v;
	s->view.processes = calloc(v->count + 1, sizeof(*v->processes));
	if (!s->view.processes)
		return -ENOMEM;
	for (closed = 0; closed < 2; closed++) {
		for (i = 0; i < v->count; i++)
			if (without_endpoints(&v->processes[i]) == closed && !hidden_one(v, i))
				s->view.processes[n++] = v->processes[i];
		if (!closed)
			s->view.count = n;
	}
	s->closed = n - s->view.count;
	return 0;
}

void shown_free(struct shown *s)
{
	free(s->view.processes);
}
