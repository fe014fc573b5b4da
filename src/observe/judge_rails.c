/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "observe/judge.h"

#define SLOW_SHARE  0.5 /* of the fellows' speed */
#define FEWER_SHARE 0.6 /* of the fellows' bytes */

/* Numbers of a rail as parts of the NIC's own speed, so that unlike NICs compare. */
static double relative_speed(const struct rail_view *r)
{
	return r->nominal ? r->seen / (double)r->nominal : r->seen;
}

static double relative_speed_before(const struct rail_view *r)
{
	return r->nominal ? r->seen_before / (double)r->nominal : r->seen_before;
}

static double relative_rate(const struct rail_view *r)
{
	return r->nominal ? r->tx_rate / (double)r->nominal : r->tx_rate;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The other rails of a rail's device. */
struct fellows {
	const struct rail_view *rail[64];
	size_t count;
};

static void fellows_of(const struct process_view *p, const struct rail_view *r, struct fellows *out)
{
	size_t i;

	out->count = 0;
	for (i = 0; i < p->rail_count && out->count < sizeof(out->rail) / sizeof(out->rail[0]); i++)
		if (&p->rails[i] != r && p->rails[i].state != WEFT_STATS_RAIL_CLOSED &&
		    !strcmp(p->rails[i].device, r->device))
			out->rail[out->count++] = &p->rails[i];
}

/* The rail's number relative to the median of its fellows', or 0: nothing to compare. */
static double share_of(const struct fellows *f, const struct rail_view *r, double (*number)(const struct rail_view *r))
{
	double others[64];
	size_t i, n = 0;

	for (i = 0; i < f->count; i++)
		if (number(f->rail[i]) > 0)
			others[n++] = number(f->rail[i]);
	if (!n)
		return 0;
	qsort(others, n, sizeof(others[0]), by_size);
	return number(r) / others[n / 2];
}

/*
 * One measurement may err, the more so if this process has no core when a message is done. So the speed must be low in
 * both snapshots, and if cores are scarce, the rail must also have got fewer bytes, which go by speed.
 */
static bool rail_is_slow(const struct process_view *p, const struct rail_view *r, const struct fellows *f)
{
	double before = p->before ? share_of(f, r, relative_speed_before) : r->verdict.share;

	if (r->verdict.share <= 0 || r->verdict.share >= SLOW_SHARE || before <= 0 || before >= SLOW_SHARE)
		return false;
	return p->core_share < CORE_SHARE || share_of(f, r, relative_rate) < FEWER_SHARE;
}

void judge_rails(struct process_view *p)
{
	char text[32];
	size_t i;

	for (i = 0; i < p->rail_count; i++) {
		struct rail_view *r = &p->rails[i];
		struct verdict *v = &r->verdict;
		struct fellows fellows;

		fellows_of(p, r, &fellows);
		v->nic = r->name;
		v->share = r->seen > 0 && r->tx_rate > 0 ? share_of(&fellows, r, relative_speed) : 0;
		if (r->state == WEFT_STATS_RAIL_DOWN) {
			v->seconds = r->down_s;
			judge_say(v, CAUSE_RAIL_DOWN, "down for %s%s%s", judge_duration(r->down_s, text, sizeof(text)),
				  *r->why ? ": " : "", r->why);
		} else if (rail_is_slow(p, r, &fellows))
			judge_say(v, CAUSE_NETWORK_SLOW, "network slow: runs at %.2f of its fellows", v->share);
		else
			judge_say(v, CAUSE_FINE, r->state == WEFT_STATS_RAIL_UP ? "up" : "closed");
	}
}
