/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-pair measures all pairs of ranks, with the processes of weft_net_perf (net_perf/far.h), and names what is slow. This
 * file has the start of the ranks, and the exit status.
 */
#include <stdio.h>
#include <stdlib.h>

#include "launch.h"
#include "measure.h"
#include "net_perf/complain.h"
#include "net_perf/worker.h"
#include "options.h"
#include "show.h"

/* All ranks exit with the same status. */
enum { EXIT_INTERNAL = 1, EXIT_NOT_CONNECTED = LAUNCH_STATUS_LOST, EXIT_OUTLIER = 5, EXIT_WRONG = 7 };

/* 0: this process is a rank. Otherwise *out_status is its exit status. */
static int take_place(const struct want *w, struct far *f, int *out_status)
{
	int found = far_find(f);

	*out_status = OPTIONS_EXIT_USAGE;
	if (found < 0)
		return -1;
	if (found && w->ranks) {
		complain("--ranks %d, but %s says that this is rank %d of %d", (int)w->ranks, f->place.origin,
			 f->place.rank, f->place.nranks);
		return -1;
	}
	if (found)
		return 0;
	if (!w->ranks) {
		complain("no ranks: start it by mpirun, srun or torchrun, or on this host with --ranks N");
		return -1;
	}
	*out_status = EXIT_INTERNAL;
	return launch_ranks((int)w->ranks, &f->place, out_status);
}

static int judge(const struct report *r)
{
	if (matrix_wrong(r->matrix))
		return EXIT_WRONG;
	if (matrix_failed(r->matrix))
		return EXIT_NOT_CONNECTED;
	if (r->want->rails && rails_unknown(r->matrix) >= 0)
		return EXIT_INTERNAL;
	return r->noutliers || r->nslow ? EXIT_OUTLIER : EXIT_SUCCESS;
}

/* Finds what is slow. 0, or -1: no memory. */
static int search(struct report *r, struct outlier **outliers, struct slow_rail **slow)
{
	r->noutliers = matrix_outliers(r->matrix, r->want->least, outliers);
	r->nslow = rails_slow(r->matrix, r->want->least, slow);
	r->outliers = *outliers;
	r->slow = *slow;
	return r->noutliers < 0 || r->nslow < 0 ? -1 : 0;
}

static int report(const struct want *w, const struct matrix *m, int rank)
{
	struct report r = {.want = w, .matrix = m};
	struct outlier *outliers;
	struct slow_rail *slow;
	int bad = 0;

	if (search(&r, &outliers, &slow)) {
		complain("no memory for outliers");
		bad = 1;
	}
	r.status = judge(&r);
	if (!rank && !bad) {
		show_table(stdout, &r);
		bad = fflush(stdout) != 0;
		bad |= w->json && show_json(w->json, &r);
		bad |= w->csv && show_csv(w->csv, &r);
		bad |= w->svg && show_svg(w->svg, &r);
	}
	free(outliers);
	free(slow);
	return bad ? EXIT_INTERNAL : r.status;
}

static int work(const struct want *w, struct far *f)
{
	struct matrix m = {.n = 0};
	int status = EXIT_NOT_CONNECTED;

	if (far_meet(f, (int)w->meet_timeout_s))
		return EXIT_INTERNAL;
	if (!measure_all(w, f, &m))
		status = report(w, &m, f->place.rank);
	far_close(f);
	matrix_free(&m);
	return status;
}

int main(int argc, char **argv)
{
	static struct far f;
	struct want w;
	int ret, status;

	if (worker_ran(argc, argv, &status))
		return status;
	ret = want_parse(&w, argc, argv);
	if (ret)
		return ret < 0 ? OPTIONS_EXIT_USAGE : 0;
	if (w.provider)
		setenv("WEFT_PROVIDER", w.provider, 1);
	if (take_place(&w, &f, &status))
		return status;
	return work(&w, &f);
}
