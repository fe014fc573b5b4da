/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

char *table_number(double v, int width, char *buf)
{
	for (int decimals = 2; decimals >= 0; decimals--)
		if (snprintf(buf, 16, "%*.*f", width, decimals, v) <= width)
			return buf;
	snprintf(buf, 16, "%*.*e", width, width < 7 ? 0 : 1, v);
	return buf;
}

char *table_time(char *buf)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(buf, 20, "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

static void print_device(FILE *f, const struct device_info *d)
{
	unsigned int domain = 0, bus = 0, dev = 0;

	(void)sscanf(d->pci, "%x:%x:%x", &domain, &bus, &dev);
	fprintf(f, "device %2d [%04x:%02x:%02x] %s\n", d->device, domain, bus, dev, d->name);
}

/* nccl-tests' line for the first device, followed by lines for further devices. */
static void print_rank(FILE *f, int rank, const struct rank_info *info)
{
	int width = fprintf(f, "#  Rank %2d Group %2d Pid %6d on %10s ", rank, info->group, info->pid, info->host);

	print_device(f, &info->devices[0]);
	for (int i = 1; i < info->ndevices; i++) {
		fprintf(f, "#%*s", width - 1, "");
		print_device(f, &info->devices[i]);
	}
}

void table_preamble(FILE *f, const char *program, const struct settings *s, const char *note,
		    const struct rank_info *ranks, int nranks)
{
	bool factor = s->step_factor > 1;

	fprintf(f, "# weft version %s engine=%s\n", PACKAGE_VERSION, s->nccl ? "nccl" : "net (no NCCL, no GPU)");
	fprintf(f, "# Collective test starting: %s\n", program);
	fprintf(f,
		"# nThread %d nGpus %d minBytes %" PRId64 " maxBytes %" PRId64 " step: %" PRId64
		"(%s) warmup iters: %" PRId64 " iters: %" PRId64 " agg iters: %" PRId64 " validation: %" PRId64
		" graph: %d unalign: %" PRId64 "\n",
		(int)s->threads, (int)s->gpus, s->min_bytes, s->max_bytes, factor ? s->step_factor : s->step_bytes,
		factor ? "factor" : "bytes", s->warmup_iters, s->iters, s->agg_iters, s->check, 0, s->unalign);
	if (s->per_iter)
		fprintf(f, "# Per-Iteration Report: the first %" PRId64 " iterations are left out \n",
			s->per_iter_skip);
	fputs(note, f);
	fputs("#\n# Using devices\n", f);
	for (int r = 0; r < nranks; r++)
		print_rank(f, r, &ranks[r]);
	fflush(f);
}

static void head_iters(FILE *f, const char *a, const char *b, const char *c, const char *d)
{
	fprintf(f, "  %7s  %7s  %7s  %7s", a, b, c, d);
}

static void head_line(FILE *f, const struct settings *s, const char *const names[4], const char *const iters[4])
{
	for (int p = 0; p < 2; p++) {
		fprintf(f, "  %7s  %6s  %6s  %6s", names[0], names[1], names[2], names[3]);
		if (s->per_iter)
			head_iters(f, iters[0], iters[1], iters[2], iters[3]);
	}
	fputc(' ', f);
}

static void head_roof(FILE *f, const struct settings *s, const char *roof, const char *out, const char *in)
{
	if (s->roof)
		fprintf(f, " %6s  %6s  %6s ", roof, out, in);
}

void table_head(FILE *f, const struct settings *s)
{
	static const char *const names[4] = {"time", "algbw", "busbw", "#wrong"};
	static const char *const units[4] = {"(us)", "(GB/s)", "(GB/s)", ""};
	static const char *const iter_names[4] = {"i_min", "i_max", "i_p99", "i_cv%"};
	static const char *const iter_units[4] = {"(us)", "(us)", "(us)", ""};

	fputs("#\n", f);
	fprintf(f, "# %10s  %12s  %8s  %6s  %6s", "", "", "", "", "");
	if (s->per_iter)
		fprintf(f, "%14s%s%32s%s\n", "", "out-of-place (+ per-iteration)", "", "in-place (+ per-iteration)");
	else
		fprintf(f, "%11s%s%23s%s%10s\n", "", "out-of-place", "", "in-place", "");
	fprintf(f, "# %10s  %12s  %8s  %6s  %6s", "size", "count", "type", "redop", "root");
	head_line(f, s, names, iter_names);
	head_roof(f, s, "roof", "ratio", "ratio");
	fprintf(f, s->timestamps ? " %19s\n" : "\n", "timestamp");
	fprintf(f, "# %10s  %12s  %8s  %6s  %6s", "(B)", "(elements)", "", "", "");
	head_line(f, s, units, iter_units);
	head_roof(f, s, "(GB/s)", "(out)", "(in)");
	fprintf(f, s->timestamps ? " %19s\n" : "\n", "YYYY-MM-DD HH:MM:SS");
	fflush(f);
}

void table_row_begin(FILE *f, const struct row *row)
{
	fprintf(f, "%12" PRId64 "  %12" PRId64 "  %8s  %6s  %6" PRId64, row->bytes, row->count,
		type_facts[row->type].name, op_names[row->op], row->root);
	fflush(f);
}

void table_row_place(FILE *f, const struct settings *s, const struct placement *p)
{
	char time[16], algbw[16], busbw[16], extra[4][16];

	fprintf(f, "  %s  %s  %s", table_number(p->time_us, 7, time), table_number(p->algbw_gbs, 6, algbw),
		table_number(p->busbw_gbs, 6, busbw));
	if (p->wrong < 0)
		fprintf(f, "  %6s", "N/A");
	else
		fprintf(f, "  %6g", (double)p->wrong);
	if (s->per_iter)
		fprintf(f, "  %s  %s  %s  %s", table_number(p->iters.min_us, 7, extra[0]),
			table_number(p->iters.max_us, 7, extra[1]), table_number(p->iters.p99_us, 7, extra[2]),
			table_number(p->iters.cv_pct, 7, extra[3]));
	fflush(f);
}

static void print_roof(FILE *f, const struct row *row)
{
	char roof[16], ratio[2][16];

	if (row->roof_gbs > 0)
		fprintf(f, "  %s  %s  %s", table_number(row->roof_gbs, 6, roof),
			table_number(row_ratio(row, 0), 6, ratio[0]), table_number(row_ratio(row, 1), 6, ratio[1]));
	else
		fprintf(f, "  %6s  %6s  %6s", "N/A", "N/A", "N/A");
}

void table_row_end(FILE *f, const struct settings *s, const struct row *row)
{
	char now[20];

	if (s->roof)
		print_roof(f, row);

	if (s->timestamps)
		fprintf(f, "%21s", table_time(now));
	fputc('\n', f);
	fflush(f);
}

void table_traffic(FILE *f, int rank, int64_t send_bytes, int64_t recv_bytes, double time_us, double factor)
{
	double algbw = (double)(send_bytes > recv_bytes ? send_bytes : recv_bytes) / time_us * 1e-3;

	fprintf(f, "#   rank=%d send_bytes=%" PRId64 " recv_bytes=%" PRId64 " alg_bw=%.2f bus_bw=%.2f\n", rank,
		send_bytes, recv_bytes, algbw, algbw * factor);
	fflush(f);
}

void table_footer(FILE *f, const char *program, const struct totals *t, const char *error)
{
	const char *verdict = !t->min_bw ? "" : totals_fast_enough(t) ? "OK" : "FAILED";

	fprintf(f, "# Out of bounds values : %" PRId64 " %s\n", t->failed_checks, t->failed_checks ? "FAILED" : "OK");
	fprintf(f, "# Avg bus bandwidth    : %g %s\n", totals_average(t), verdict);
	fprintf(f, "# Max bus bandwidth    : %g at %" PRId64 " bytes\n", t->busbw_max, t->busbw_max_bytes);
	fprintf(f, "#\n# Collective test concluded: %s\n#\n", program);
	if (error)
		fprintf(f, "# error: %s\n", error);
	else
		fputc('\n', f);
	fflush(f);
}
