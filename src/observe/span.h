/* SPDX-License-Identifier: Apache-2.0 */
/* What one comm did in the time of the view. */
#ifndef WEFT_OBSERVE_SPAN_H
#define WEFT_OBSERVE_SPAN_H

#include "observe/view.h"

struct span {
	const struct weft_stats_head *head;
	const struct weft_stats_comm *comm;
	double seconds;		  /* that the waits are compared with */
	uint64_t now_ns;	  /* the endpoint's last sign of life: ages are those of then */
	uint64_t bytes, messages; /* without eager ones, most of which are not timed */
	uint64_t eager_bytes, eager_messages;
	struct wait_view peer, wire;
	uint64_t long_ns;  /* about the time in waits for the peer of a millisecond or more */
	double waits_s;	   /* an isend waits for its clear-to-send for so long now; 0: none */
	double oldest_s;   /* age of the oldest message in flight; 0: none */
	double longest_s;  /* at most so long has any of these messages waited, or waits */
	double left_out_s; /* the longest wait since the beginning, which `seconds` is without */
	bool whole;	   /* with an earlier snapshot: the comm was connected then */
};

/* `seconds`: between the snapshots; without `before`, which is then NULL, since the comm began. */
void span_measure(struct span *s, const struct record *record, const struct weft_stats_comm *comm,
		  const struct weft_stats_comm *before, double seconds);

/* At most this part of the time can messages at this rate, one after the other, have waited for the process's core. */
double core_explains(const struct process_view *p, double messages_per_second);

#endif
