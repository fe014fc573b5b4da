/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of all_reduce_perf: combinations of options, and errors. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "all_reduce/settings.h"

static struct settings s;

static enum collective what = ALL_REDUCE;

static int parse(const char *const *args, int n)
{
	static char program[] = "perf";
	char *argv[16] = {program};

	memset(&s, 0, sizeof(s));
	for (int i = 0; i < n; i++)
		argv[i + 1] = (char *)(uintptr_t)args[i];
	return settings_parse(what, n + 1, argv, &s);
}

#define PARSE(...)                                                                                                     \
	parse((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void refused(int result, const char *part)
{
	const char *said = unit_stderr_end();

	assert_int_equal(result, -1);
	if (!strstr(said, part))
		fail_msg("\"%s\" does not say \"%s\"", said, part);
	assert_int_equal(unit_occurrences(said, "\n"), 1);
}

#define REFUSED(part, ...) (unit_stderr_begin(), refused(PARSE(__VA_ARGS__), part))

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL, 0), 0);
	assert_int_equal(s.min_bytes, 32 << 20);
	assert_int_equal(s.max_bytes, 32 << 20);
	assert_int_equal(s.iters, 20);
	assert_int_equal(s.warmup_iters, 1);
	assert_int_equal(s.check, 1);
	assert_int_equal(s.average, 1);
	assert_int_equal(s.channels, 2);
	assert_int_equal(s.chunk_bytes, 512 << 10);
	assert_int_equal(s.ntypes, 1);
	assert_int_equal(s.types[0], TYPE_FLOAT);
	assert_int_equal(s.ops[0], OP_SUM);
	assert_int_equal(s.ranks, 0);
	assert_int_equal(s.meet_timeout_s, 300);
	assert_null(s.plugin);
}

static void a_lone_end_moves_the_other(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-e", "8M"), 0);
	assert_int_equal(s.min_bytes, 8 << 20);
	assert_int_equal(PARSE("-e", "64M"), 0);
	assert_int_equal(s.min_bytes, 32 << 20);
	assert_int_equal(PARSE("-b", "64M"), 0);
	assert_int_equal(s.max_bytes, 64 << 20);
	assert_int_equal(PARSE("-b", "8"), 0);
	assert_int_equal(s.max_bytes, 32 << 20);
	REFUSED("larger than --maxbytes", "-b", "8M", "-e", "4M");
}

static int count_sizes(void)
{
	int n = 0;

	for (int64_t b = s.min_bytes; b <= s.max_bytes; b = settings_next_size(&s, b))
		n++;
	return n;
}

static void scans(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-b", "8", "-e", "128", "-f", "2"), 0);
	assert_int_equal(count_sizes(), 5);
	assert_int_equal(PARSE("-b", "8", "-e", "33", "-i", "8", "-f", "1"), 0);
	assert_int_equal(count_sizes(), 4);
	assert_int_equal(PARSE("-b", "8", "-e", "8", "-i", "0"), 0);
	assert_int_equal(count_sizes(), 1);
	REFUSED("never gets", "-b", "8", "-e", "16", "-i", "0");
	REFUSED("--minbytes: 0 is not within", "-b", "0");
	REFUSED("--stepfactor: 0 is not within", "-f", "0");
}

static void types_and_operations(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-d", "all", "-o", "all"), 0);
	assert_int_equal(s.ntypes, TYPE_COUNT);
	assert_int_equal(s.nops, OP_COUNT);
	assert_true(s.all_types && s.all_ops);
	assert_int_equal(PARSE("-d", "bfloat16", "-o", "avg"), 0);
	assert_int_equal(s.types[0], TYPE_BFLOAT16);
	assert_int_equal(s.ops[0], OP_AVG);
	REFUSED("'flaot' is none of", "-d", "flaot");
	REFUSED("'Sum' is none of", "-o", "Sum");
	REFUSED("8-bit floats", "-d", "f8e4m3");
	REFUSED("mulsum", "-o", "mulsum");
}

static void what_needs_a_gpu(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-t", "1", "-g", "1", "-z", "0", "-y", "0", "-G", "0"), 0);
	assert_int_equal(PARSE("-C", "0", "-R", "0", "-x", "-1", "-D", "0", "-V", "16", "-M", "0"), 0);
	assert_string_equal(s.ignored, "");
	assert_int_equal(PARSE("-z", "1", "-G", "3", "-R", "2"), 0);
	assert_string_equal(s.ignored, "# ignored: --blocking 1: there is no stream to wait for\n"
				       "# ignored: --cudagraph 3: there is no GPU\n"
				       "# ignored: --local_register 2: only NCCL registers user buffers\n");
	assert_int_equal(PARSE("-p", "1", "-y", "1", "-C", "1", "-x", "2", "-D", "1", "-V", "8", "-M", "1"), 0);
	assert_string_equal(strstr(s.ignored, "# ignored: --memory"),
			    "# ignored: --memory 1: there is no GPU memory\n");
}

static void the_rest(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-r", "-1", "-J", "x.JSON", "-I", "1", "-K", "19"), 0);
	assert_string_equal(s.json, "x.JSON");
	assert_int_equal(PARSE("-r", "all"), 0);
	assert_int_equal(PARSE("-r", "3"), 0);
	REFUSED("neither a rank", "-r", "some");
	assert_int_equal(PARSE("-J", "x.csv", "--plot", "x.SVG"), 0);
	assert_string_equal(s.csv, "x.csv");
	assert_string_equal(s.plot, "x.SVG");
	assert_null(s.json);
	REFUSED("--plot must end in .svg", "--plot", "x.png");
	REFUSED(".json", "-J", "x.txt");
	REFUSED(".json", "-J", ".json");
	REFUSED("--per_iter_skip must leave", "-I", "1", "-K", "20");
	REFUSED("--per_iter_skip needs", "-K", "1");
	REFUSED("--iters: 'abc'", "-n", "abc");
	REFUSED("--iters: 0", "-n", "0");
	REFUSED("--average: 4", "-a", "4");
	REFUSED("multiple of 16", "--chunk", "100");
	REFUSED("--ranks: 0", "--ranks", "0");
	REFUSED("--engine is net or nccl", "--engine", "mpi");
	assert_int_equal(PARSE("--engine", "nccl"), 0);
	assert_true(s.nccl);
	REFUSED("--cudagraph 2 is not possible with engine nccl", "--engine", "nccl", "-G", "2");
	assert_int_equal(PARSE("-t", "2", "-g", "8"), 0);
	assert_int_equal(s.threads, 2);
	REFUSED("--nthreads: 0", "-t", "0");
	assert_int_equal(PARSE("-g", "8", "--engine", "nccl"), 0);
	assert_int_equal(s.gpus, 8);
	REFUSED("--ngpus: 0", "-g", "0");
	REFUSED("--ranks times --nthreads times --ngpus", "-g", "64", "--ranks", "17");
	REFUSED("--abi", "--engine", "nccl", "--abi", "8");
}

static void collectives_differ(void **state)
{
	(void)state;
	what = BROADCAST;
	assert_int_equal(PARSE("-r", "3", "-o", "max"), 0);
	assert_int_equal(s.root, 3);
	assert_int_equal(s.nops, 1);
	assert_int_equal(s.ops[0], OP_NONE);
	assert_int_equal(parse(NULL, 0), 0);
	assert_int_equal(s.root, 0);
	assert_int_equal(PARSE("-r", "all", "-o", "all"), 0);
	assert_int_equal(s.root, -1);
	assert_int_equal(s.nops, 1);
	REFUSED("settings: --op: 'summ'", "-o", "summ");
	what = ALL_TO_ALL;
	assert_int_equal(PARSE("-r", "3"), 0);
	assert_int_equal(s.root, -1);
	assert_int_equal(s.chunk_bytes, 128 << 10);
	what = REDUCE_SCATTER;
	assert_int_equal(PARSE("-o", "all"), 0);
	assert_int_equal(s.nops, OP_COUNT);
	assert_int_equal(s.chunk_bytes, 512 << 10);
	what = REDUCE;
	assert_int_equal(PARSE("-o", "all", "-r", "2"), 0);
	assert_int_equal(s.nops, OP_COUNT);
	assert_int_equal(s.root, 2);
	assert_int_equal(settings_check_ranks(&s, 3), 0);
	unit_stderr_begin();
	refused(settings_check_ranks(&s, 2), "--root 2: there are 2 ranks");
	what = SCATTER;
	assert_int_equal(PARSE("-o", "all", "-r", "2"), 0);
	assert_int_equal(s.nops, 1);
	assert_int_equal(s.root, 2);
	assert_int_equal(s.chunk_bytes, 128 << 10);
	what = ALL_REDUCE;
	assert_int_equal(PARSE("-r", "3"), 0);
	assert_int_equal(s.root, -1);
}

/* nccl-tests' conventions for rows and bandwidths. */
static void counts_and_factors(void **state)
{
	(void)state;
	assert_int_equal(collective_count(ALL_REDUCE, 3, 4, 1003), 250);
	assert_int_equal(collective_count(ALL_GATHER, 3, 4, 1003), 80);
	assert_int_equal(collective_count(ALL_GATHER, 3, 1, 1003), 320);
	assert_int_equal(collective_count(ALL_TO_ALL, 4, 8, 63), 0);
	assert_int_equal(collective_count(SEND_RECV, 4, 8, 63), 7);
	assert_int_equal(collective_send_count(REDUCE_SCATTER, 4, 10), 40);
	assert_int_equal(collective_recv_count(REDUCE_SCATTER, 4, 10), 10);
	assert_int_equal(collective_send_count(ALL_GATHER, 4, 10), 10);
	assert_int_equal(collective_recv_count(ALL_GATHER, 4, 10), 40);
	assert_int_equal(collective_count(REDUCE, 3, 4, 1003), 250);
	assert_int_equal(collective_count(GATHER, 3, 4, 1003), 80);
	assert_int_equal(collective_count(HYPERCUBE, 4, 4, 1003), 60);
	assert_int_equal(collective_send_count(SCATTER, 4, 10), 40);
	assert_int_equal(collective_recv_count(SCATTER, 4, 10), 10);
	assert_int_equal(collective_send_count(GATHER, 4, 10), 10);
	assert_int_equal(collective_recv_count(GATHER, 4, 10), 40);
	assert_int_equal(collective_recv_count(HYPERCUBE, 4, 10), 40);
	assert_int_equal(collective_send_count(REDUCE, 4, 10), 10);
	assert_true(collective_bus_factor(ALL_REDUCE, 4) == 1.5);
	assert_true(collective_bus_factor(ALL_GATHER, 4) == 0.75);
	assert_true(collective_bus_factor(REDUCE_SCATTER, 4) == 0.75);
	assert_true(collective_bus_factor(ALL_TO_ALL, 4) == 0.75);
	assert_true(collective_bus_factor(SEND_RECV, 4) == 1);
	assert_true(collective_bus_factor(BROADCAST, 4) == 1);
	assert_true(collective_bus_factor(REDUCE, 4) == 1);
	assert_true(collective_bus_factor(GATHER, 4) == 0.75);
	assert_true(collective_bus_factor(SCATTER, 4) == 0.75);
	assert_true(collective_bus_factor(ALL_TO_ALL_V, 4) == 0.75);
	assert_true(collective_bus_factor(HYPERCUBE, 4) == 1);
	assert_true(collective_moved_bytes(HYPERCUBE, 4, 1000) == 750);
	assert_true(collective_moved_bytes(GATHER, 4, 1000) == 1000);
}

static void environment(void **state)
{
	(void)state;
	setenv("NCCL_TESTS_DEVICE", "3", 1);
	setenv("NCCL_TESTS_MIN_BW", "1.5", 1);
	assert_int_equal(parse(NULL, 0), 0);
	assert_int_equal(s.device, 3);
	assert_true(s.min_bw == 1.5);
	assert_int_equal(PARSE("--meet_timeout", "7"), 0);
	assert_int_equal(s.meet_timeout_s, 7);
	REFUSED("--meet_timeout", "--meet_timeout", "0");
	assert_int_equal(PARSE("--device", "1"), 0);
	assert_int_equal(s.device, 1);
	setenv("NCCL_TESTS_MIN_BW", "fast", 1);
	REFUSED("NCCL_TESTS_MIN_BW", "-n", "1");
	setenv("NCCL_TESTS_MIN_BW", "1", 1);
	setenv("NCCL_TESTS_DEVICE", "-1", 1);
	REFUSED("NCCL_TESTS_DEVICE", "-n", "1");
	unsetenv("NCCL_TESTS_DEVICE");
	unsetenv("NCCL_TESTS_MIN_BW");
}

/* The colours of 8 ranks, a digit each. */
static const char *colors(void)
{
	static char text[9];

	for (int r = 0; r < 8; r++)
		snprintf(text + r, 2, "%d", split_color(&s.split, r));
	return text;
}

static void groups(void **state)
{
	static const struct {
		const char *rule, *colors;
	} rows[] = {
		{"MOD 2", "01010101"},	 {"div 3", "00011122"}, {"AND 0x6", "00224466"}, {"& 0B11", "01230123"},
		{" or 0x5", "55775577"}, {"%3", "01201201"},	{"/ 8", "00000000"},	 {"|0", "01234567"},
	};
	static const char *const wrong[] = {"", "MOD", "MOD 0", "/0", "XOR 1", "AND x", "AND -1", "MOD 2 3", "7"};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		setenv("NCCL_TESTS_SPLIT", rows[i].rule, 1);
		assert_int_equal(parse(NULL, 0), 0);
		assert_string_equal(colors(), rows[i].colors);
	}
	for (size_t i = 0; i < COUNT(wrong); i++) {
		setenv("NCCL_TESTS_SPLIT", wrong[i], 1);
		REFUSED("NCCL_TESTS_SPLIT: '", "-n", "1");
	}
	/* The mask wins. */
	setenv("NCCL_TESTS_SPLIT_MASK", "6", 1);
	assert_int_equal(parse(NULL, 0), 0);
	assert_string_equal(colors(), "00224466");
	setenv("NCCL_TESTS_SPLIT_MASK", "0x1", 1);
	assert_int_equal(parse(NULL, 0), 0);
	assert_string_equal(colors(), "01010101");
	setenv("NCCL_TESTS_SPLIT_MASK", "MOD 2", 1);
	REFUSED("NCCL_TESTS_SPLIT_MASK: 'MOD 2' is not", "-n", "1");
	unsetenv("NCCL_TESTS_SPLIT_MASK");
	/* nccl-tests has the ranks of -t and -g in one process, which has one colour. */
	setenv("NCCL_TESTS_SPLIT", "MOD 2", 1);
	assert_int_equal(PARSE("-g", "2"), 0);
	assert_string_equal(colors(), "00110011");
	assert_int_equal(split_smallest(&s.split, 7), 3);
	assert_int_equal(split_largest(&s.split, 7), 4);
	what = BROADCAST;
	assert_int_equal(PARSE("-r", "3"), 0);
	assert_int_equal(settings_check_ranks(&s, 8), 0);
	unit_stderr_begin();
	refused(settings_check_ranks(&s, 6), "--root 3: there are 3 ranks in a group");
	what = ALL_REDUCE;
	unsetenv("NCCL_TESTS_SPLIT");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(a_lone_end_moves_the_other),
		cmocka_unit_test(scans),
		cmocka_unit_test(types_and_operations),
		cmocka_unit_test(what_needs_a_gpu),
		cmocka_unit_test(the_rest),
		cmocka_unit_test(collectives_differ),
		cmocka_unit_test(counts_and_factors),
		cmocka_unit_test(environment),
		cmocka_unit_test(groups),
	};

	return unit_run("bench/settings", tests);
}
