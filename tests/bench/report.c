/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of all_reduce_perf: nccl-tests' columns, its statistics, and valid JSON. */
#include "unit/unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "all_reduce/json.h"
#include "all_reduce/report.h"
#include "all_reduce/stats.h"
#include "all_reduce/table.h"

static void numbers_fit_their_column(void **state)
{
	static const struct {
		double v;
		int width;
		const char *text;
	} rows[] = {
		{0, 7, "   0.00"},	  {28.424, 7, "  28.42"},  {9999.994, 7, "9999.99"}, {99999.94, 7, "99999.9"},
		{99999.96, 7, " 100000"}, {1234567, 7, "1234567"}, {12345678, 7, "1.2e+07"}, {0.3, 6, "  0.30"},
		{999.994, 6, "999.99"},	  {9999.99, 6, " 10000"},  {9999.94, 6, "9999.9"},   {123456, 6, "123456"},
		{1234567, 6, " 1e+06"},	  {INFINITY, 6, "   inf"},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_string_equal(table_number(rows[i].v, rows[i].width, buf), rows[i].text);
}

static const struct rank_info ranks[2] = {
	{.pid = 4711,
	 .host = "alpha",
	 .ndevices = 2,
	 .devices = {{.device = 0, .pci = "0000:3b:00.1", .name = "weft/mlx5_0"},
		     {.device = 12, .pci = "0000:5e:00.0", .name = "weft/mlx5_1"}}},
	{.pid = 4712, .host = "beta", .ndevices = 1, .devices = {{.device = 1, .name = "weft/lo"}}},
};

static const struct row row = {
	.bytes = 8192,
	.count = 2048,
	.type = TYPE_FLOAT,
	.op = OP_SUM,
	.root = -1,
	.iters = 20,
	.place = {{.time_us = 28.42, .algbw_gbs = 0.3, .busbw_gbs = 0.45, .wrong = 0},
		  {.time_us = 28.1, .algbw_gbs = 0.31, .busbw_gbs = 0.46, .wrong = -1}},
};

static struct settings settings(void)
{
	return (struct settings){.min_bytes = 8,
				 .max_bytes = 8192,
				 .step_bytes = 1 << 20,
				 .step_factor = 4,
				 .iters = 20,
				 .agg_iters = 1,
				 .warmup_iters = 1,
				 .check = 1,
				 .ntypes = 1,
				 .types = {TYPE_FLOAT},
				 .nops = 1,
				 .channels = 2,
				 .threads = 1,
				 .gpus = 1,
				 .chunk_bytes = 524288};
}

/* The output of the table, captured in memory. */
static char *text;
static size_t text_bytes;

static FILE *catch_text(void)
{
	free(text);
	text = NULL;
	return open_memstream(&text, &text_bytes);
}

static void has_line(const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (!strncmp(at, line, n) && at[n] == '\n')
			return;
	fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void preamble(void **state)
{
	struct settings s = settings();
	FILE *f = catch_text();

	(void)state;
	table_preamble(f, "all_reduce_perf", &s, "# a note\n", ranks, 2);
	table_head(f, &s);
	fclose(f);
	has_line("# Collective test starting: all_reduce_perf");
	has_line("# nThread 1 nGpus 1 minBytes 8 maxBytes 8192 step: 4(factor) warmup iters: 1 "
		 "iters: 20 "
		 "agg iters: 1 validation: 1 graph: 0 unalign: 0");
	has_line("# a note");
	has_line("# Using devices");
	has_line("#  Rank  0 Group  0 Pid   4711 on      alpha device  0 [0000:3b:00] weft/mlx5_0");
	has_line("#                                            device 12 [0000:5e:00] weft/mlx5_1");
	has_line("#  Rank  1 Group  0 Pid   4712 on       beta device  1 [0000:00:00] weft/lo");
	has_line("#                                                              out-of-place      "
		 "  "
		 "               in-place          ");
	has_line("#       size         count      type   redop    root     time   algbw   busbw  "
		 "#wrong "
		 "    time   algbw   busbw  #wrong ");
	has_line("#        (B)    (elements)                               (us)  (GB/s)  (GB/s)    "
		 "     "
		 "    (us)  (GB/s)  (GB/s)         ");
}

static void print_row(const struct settings *s, const struct row *r)
{
	FILE *f = catch_text();

	table_row_begin(f, r);
	for (int i = 0; i < 2; i++)
		table_row_place(f, s, &r->place[i]);
	table_row_end(f, s, r);
	fclose(f);
}

static void rows(void **state)
{
	struct settings s = settings();
	struct row r = row;

	(void)state;
	print_row(&s, &r);
	/* A column that was not checked is as wide as a number. */
	assert_string_equal(text, "        8192          2048     float     sum      -1    28.42    0.30"
				  "    0.45       0    28.10    0.31    0.46     N/A\n");
	r.place[0].wrong = 1234567;
	print_row(&s, &r);
	assert_string_equal(text, "        8192          2048     float     sum      -1    28.42    0.30"
				  "    0.45  1.23457e+06    28.10    0.31    0.46     N/A\n");
	s.roof = true;
	print_row(&s, &row);
	assert_string_equal(text, "        8192          2048     float     sum      -1    28.42    0.30"
				  "    0.45       0    28.10    0.31    0.46     N/A     N/A     N/A     N/A\n");
	r = row;
	r.roof_gbs = 0.5;
	print_row(&s, &r);
	assert_non_null(strstr(text, "    0.46     N/A    0.50    0.90    0.92\n"));
	s.roof = false;
	s.timestamps = 1;
	print_row(&s, &row);
	assert_int_equal(text_bytes, 118 + 21 + 1);
	s.per_iter = 1;
	print_row(&s, &row);
	assert_int_equal(text_bytes, 118 + 2 * 4 * 9 + 21 + 1);
}

static void heads_are_as_wide_as_rows(void **state)
{
	(void)state;
	for (int variant = 0; variant < 8; variant++) {
		struct settings s = settings();
		size_t row_bytes;
		FILE *f;

		s.timestamps = variant & 1;
		s.per_iter = variant >> 1 & 1;
		s.roof = variant >> 2;
		print_row(&s, &row);
		row_bytes = text_bytes;
		f = catch_text();
		table_head(f, &s);
		fclose(f);
		/* The two lines of the head end in a blank that the row lacks, unless a time stamp follows. */
		assert_int_equal(strlen(strstr(text, "#       size")) / 2, row_bytes + !s.timestamps);
	}
}

static void footer(void **state)
{
	struct totals t = {.busbw_sum = 3, .busbw_count = 2, .busbw_max = 2, .busbw_max_bytes = 64};
	FILE *f = catch_text();

	(void)state;
	table_footer(f, "all_reduce_perf", &t, NULL);
	fclose(f);
	has_line("# Out of bounds values : 0 OK");
	has_line("# Avg bus bandwidth    : 1.5 ");
	has_line("# Max bus bandwidth    : 2 at 64 bytes");
	has_line("# Collective test concluded: all_reduce_perf");
	assert_non_null(strstr(text, "#\n\n"));

	t.failed_checks = 3;
	t.min_bw = 1.6; /* 10 % less is accepted */
	f = catch_text();
	table_footer(f, "all_reduce_perf", &t, "it broke");
	fclose(f);
	has_line("# Out of bounds values : 3 FAILED");
	has_line("# Avg bus bandwidth    : 1.5 OK");
	has_line("# error: it broke");
	t.min_bw = 1.7;
	assert_false(totals_fast_enough(&t));
}

static void statistics(void **state)
{
	double times[101], scratch[101];
	struct iter_stats st;

	(void)state;
	times[0] = 1e6; /* skipped */
	for (int i = 1; i <= 100; i++)
		times[i] = 101 - i;
	stats_of_iters(times, 101, 1, scratch, &st);
	assert_true(st.min_us == 1 && st.max_us == 100 && st.avg_us == 50.5);
	assert_true(st.p50_us == 51 && st.p95_us == 95 && st.p99_us == 99);
	assert_true(fabs(st.stdev_us - 28.86607) < 1e-5);
	assert_true(fabs(st.cv_pct - 57.16053) < 1e-5);
	stats_of_iters(times, 1, 0, scratch, &st);
	assert_true(st.p50_us == 1e6 && st.p99_us == 1e6 && st.stdev_us == 0);
}

/* Writes a report of one row into a new file and reads it back. */
static json_t *report(const struct settings *s, const struct row *r, const struct totals *t, const char *error,
		      const char *file)
{
	static char program[] = "all_reduce_perf", option[] = "-J";
	char *argv[] = {program, option};
	const struct report_head head = {2, argv, program, "/lib/x.so", 12, ranks, 2};
	struct json_report *j = json_open(s, &head);
	json_t *root;

	assert_non_null(j);
	json_add_row(j, s, r);
	json_close(j, t, error);
	root = json_load_file(file, 0, NULL);
	assert_non_null(root);
	return root;
}

static const json_t *at(const json_t *v, const char *keys)
{
	char copy[128], *state, *key;

	strcpy(copy, keys);
	for (key = strtok_r(copy, "/", &state); key; key = strtok_r(NULL, "/", &state)) {
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(key)) : json_object_get(v, key);
		if (!v)
			fail_msg("no %s in the report", keys);
	}
	return v;
}

static void json(void **state)
{
	char dir[] = "bench-report-XXXXXX", path[64], second[64];
	struct totals t = {.busbw_sum = INFINITY, .busbw_count = 1};
	double times[2] = {1, 2}, scratch[2], of_processes[4] = {1, 1.5, 0.5, 2};
	struct settings s = settings();
	struct row r = row;
	json_t *root;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.json", dir);
	snprintf(second, sizeof(second), "%s/a.json.0", dir);
	s.json = path;
	setenv("NCCL_TESTING", "1", 1);
	setenv("SECRET_TOKEN", "hush", 1);

	root = report(&s, &r, &t, NULL, path);
	assert_int_equal(json_integer_value(at(root, "version")), 3);
	assert_string_equal(json_string_value(at(root, "args/1")), "-J");
	assert_int_equal(json_integer_value(at(root, "config/step_factor")), 4);
	assert_int_equal(json_integer_value(at(root, "config/devices/1/pid")), 4712);
	assert_string_equal(json_string_value(at(root, "config/devices/0/device_hex")), "0000:3b:00.1");
	assert_true(json_is_null(at(root, "config/devices/1/device_hex")));
	assert_int_equal(json_integer_value(at(root, "config/devices/0/all_devices/0/device")), 0);
	assert_int_equal(json_integer_value(at(root, "config/devices/0/all_devices/1/device")), 12);
	assert_string_equal(json_string_value(at(root, "config/devices/0/all_devices/1/device_info")), "weft/mlx5_1");
	assert_int_equal(json_array_size(at(root, "config/devices/0/all_devices")), 2);
	assert_string_equal(json_string_value(at(root, "config/devices/1/all_devices/0/device_info")), "weft/lo");
	assert_true(json_is_false(at(root, "config/blocking_collectives")));
	assert_int_equal(json_integer_value(at(root, "results/0/root")), -1);
	assert_int_equal(json_integer_value(at(root, "results/0/out_of_place/nwrong")), 0);
	assert_true(json_is_null(at(root, "results/0/in_place/nwrong")));
	assert_true(json_real_value(at(root, "results/0/in_place/time")) == 28.1);
	assert_null(json_object_get(at(root, "results/0"), "in_place_per_iter"));
	assert_true(json_is_true(at(root, "out_of_bounds/okay")));
	assert_true(json_is_null(at(root, "average_bus_bandwidth/bandwidth")));
	assert_true(json_is_null(at(root, "average_bus_bandwidth/okay")));
	assert_int_equal(json_array_size(at(root, "errors")), 0);
	for (size_t i = 0; i < json_array_size(at(root, "env")); i++)
		assert_null(strstr(json_string_value(json_array_get(at(root, "env"), i)), "hush"));
	assert_true(json_array_size(at(root, "env")) > 0);
	json_decref(root);

	/* A second report leaves the first one unchanged. */
	s.per_iter = 1;
	stats_of_iters(times, 2, 0, scratch, &r.place[0].iters);
	r.place[0].iters.process_times_us = of_processes;
	r.place[0].iters.nprocesses = 2;
	r.place[1].iters = r.place[0].iters;
	r.place[1].iters.nprocesses = 1;
	t.failed_checks = 2;
	root = report(&s, &r, &t, "it \"broke\"", second);
	assert_int_equal(json_array_size(at(root, "results/0/out_of_place_per_iter/times_us")), 2);
	assert_int_equal(json_array_size(at(root, "results/0/out_of_place_per_iter/per_process_max_times_us")), 2);
	assert_true(json_real_value(at(root, "results/0/out_of_place_per_iter/per_process_max_times_us/0/1")) == 1.5);
	assert_true(json_real_value(at(root, "results/0/out_of_place_per_iter/per_process_max_times_us/1/0")) == 0.5);
	/* nccl-tests leaves it out for a single process. */
	assert_null(json_object_get(at(root, "results/0/in_place_per_iter"), "per_process_max_times_us"));
	assert_true(json_is_false(at(root, "out_of_bounds/okay")));
	assert_string_equal(json_string_value(at(root, "errors/0")), "it \"broke\"");
	json_decref(root);
	unlink(path);
	unlink(second);
	rmdir(dir);
}

static void json_that_cannot_be_written(void **state)
{
	struct settings s = settings();
	int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
	struct json_report *j;

	(void)state;
	s.json = "/no/such/directory/a.json";
	fflush(stdout);
	dup2(null, STDOUT_FILENO);
	j = json_open(&s, &(struct report_head){.plugin = "", .ranks = ranks, .nranks = 2});
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	close(null);
	assert_null(j);
	json_add_row(j, &s, &row);
	json_close(j, NULL, NULL);
}

/* What report.c has written for these rows, which is freed by the next call. */
static const char *file_of_rows(struct settings *s, const char **path, const struct row *r, int n)
{
	static char name[64], *content;
	char dir[] = "bench-report-XXXXXX";
	const struct report_head head = {.program = "a<b&c", .plugin = "", .ranks = ranks, .nranks = 2};
	struct report *report;
	size_t bytes;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(name, sizeof(name), "%s/file", dir);
	*path = name;
	report = report_open(s, &head);
	for (int i = 0; i < n; i++)
		report_add_row(report, &r[i]);
	report_close(report, &(struct totals){0}, NULL);
	*path = NULL;
	f = fopen(name, "r");
	assert_non_null(f);
	free(content);
	content = NULL;
	bytes = 0;
	assert_true(getdelim(&content, &bytes, '\0', f) > 0);
	fclose(f);
	unlink(name);
	rmdir(dir);
	return content;
}

static void csv(void **state)
{
	struct settings s = settings();
	struct row r[2] = {row, row};

	(void)state;
	r[1].place[0].algbw_gbs = INFINITY;
	r[1].place[1].wrong = 7;
	assert_string_equal(file_of_rows(&s, &s.csv, r, 2),
			    "size,count,type,redop,root,out_of_place_time_us,out_of_place_alg_bw,out_of_place_bus_bw,"
			    "out_of_place_nwrong,in_place_time_us,in_place_alg_bw,in_place_bus_bw,in_place_nwrong\n"
			    "8192,2048,float,sum,-1,28.42,0.3,0.45,0,28.1,0.31,0.46,\n"
			    "8192,2048,float,sum,-1,28.42,,0.45,0,28.1,0.31,0.46,7\n");
	s.per_iter = 1;
	r[0].place[0].iters.p95_us = 31;
	file_of_rows(&s, &s.csv, r, 1);
	assert_int_equal(unit_occurrences(file_of_rows(&s, &s.csv, r, 1), ","), 2 * (13 + 2 * 8 - 1));
	assert_non_null(strstr(file_of_rows(&s, &s.csv, r, 1), ",0,0,0,0,0,31,0,0,0,28.1,"));
}

static void plot(void **state)
{
	struct settings s = settings();
	struct row r[5] = {row, row, row, row, row};
	const char *svg;

	(void)state;
	r[1].bytes = 65536;
	r[1].place[0].busbw_gbs = 4.5;
	r[2].bytes = 0; /* has no place on a logarithmic axis */
	r[3].op = OP_MAX;
	r[4].op = OP_MAX;
	r[4].bytes = 1 << 20;
	svg = file_of_rows(&s, &s.plot, r, 5);
	assert_non_null(strstr(svg, ">a&lt;b&amp;c, 2 ranks, engine net</text>"));
	assert_int_equal(unit_occurrences(svg, "<circle"), 8);
	assert_int_equal(unit_occurrences(svg, "<path class=\"out\""), 2 + 3); /* curves, and legend */
	assert_int_equal(unit_occurrences(svg, "<path class=\"in\""), 2 + 1);
	assert_non_null(strstr(svg, ">float max</text>"));
	/* The frame reaches from 80 to 700 and from 450 to 50: 8K to 1M, and 0 to 4.5 GB/s. */
	assert_non_null(strstr(svg, "d=\"M80.0 410.0 L345.7 50.0 \""));
	assert_non_null(strstr(svg, "<title>65536 B, out of place: 4.5 GB/s</title>"));
	assert_non_null(strstr(svg, ">8K</text>"));
	assert_non_null(strstr(svg, ">1M</text>"));
	assert_non_null(strstr(svg, "</svg>\n"));
	/* Without any row, and with one that takes no time. */
	assert_non_null(strstr(file_of_rows(&s, &s.plot, r, 0), "</svg>"));
	r[0].place[0].busbw_gbs = INFINITY;
	assert_null(strstr(file_of_rows(&s, &s.plot, r, 1), "inf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_fit_their_column),
		cmocka_unit_test(preamble),
		cmocka_unit_test(rows),
		cmocka_unit_test(heads_are_as_wide_as_rows),
		cmocka_unit_test(footer),
		cmocka_unit_test(statistics),
		cmocka_unit_test(json),
		cmocka_unit_test(csv),
		cmocka_unit_test(plot),
		cmocka_unit_test(json_that_cannot_be_written),
	};
	int failed = unit_run("bench/report", tests);

	free(text);
	return failed;
}
