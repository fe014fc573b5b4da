/* SPDX-License-Identifier: Apache-2.0 */
/* all_reduce_perf's command line: what options mean together, and what is refused. */
#include "unit/unit.h"

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

#define PARSE(...)                                                                                 \
	parse((const char *const[]){__VA_ARGS__},                                                  \
	      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

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
	assert_int_equal(PARSE("-C", "0", "-R", "0", "-x", "-1", "-D", "0", "-V", "16", "-M", "0"),
			 0);
	REFUSED("--nthreads 2 is not possible", "-t", "2");
	REFUSED("--blocking 1 is not possible", "-z", "1");
	REFUSED("--cudagraph 3 is not possible", "-G", "3");
	REFUSED("--local_register 2 is not possible", "-R", "2");
}

static void the_rest(void **state)
{
	(void)state;
	assert_int_equal(PARSE("-r", "-1", "-J", "x.JSON", "-I", "1", "-K", "19"), 0);
	assert_int_equal(PARSE("-r", "all"), 0);
	assert_int_equal(PARSE("-r", "3"), 0);
	REFUSED("neither a rank", "-r", "some");
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
	REFUSED("--nthreads 2 is not possible with engine nccl", "--engine", "nccl", "-t", "2");
	assert_int_equal(PARSE("-g", "8", "--engine", "nccl"), 0);
	assert_int_equal(s.gpus, 8);
	REFUSED("--ngpus: 0", "-g", "0");
	REFUSED("--ranks times --ngpus", "-g", "64", "--ranks", "17");
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
	REFUSED("broadcast_perf: --op: 'summ'", "-o", "summ");
	what = ALL_TO_ALL;
	assert_int_equal(PARSE("-r", "3"), 0);
	assert_int_equal(s.root, -1);
	assert_int_equal(s.chunk_bytes, 128 << 10);
	what = REDUCE_SCATTER;
	assert_int_equal(PARSE("-o", "all"), 0);
	assert_int_equal(s.nops, OP_COUNT);
	assert_int_equal(s.chunk_bytes, 512 << 10);
	what = ALL_REDUCE;
	assert_int_equal(PARSE("-r", "3"), 0);
	assert_int_equal(s.root, -1);
}

/* nccl-tests' conventions: rows, and what its figures are. */
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
	assert_true(collective_bus_factor(ALL_REDUCE, 4) == 1.5);
	assert_true(collective_bus_factor(ALL_GATHER, 4) == 0.75);
	assert_true(collective_bus_factor(REDUCE_SCATTER, 4) == 0.75);
	assert_true(collective_bus_factor(ALL_TO_ALL, 4) == 0.75);
	assert_true(collective_bus_factor(SEND_RECV, 4) == 1);
	assert_true(collective_bus_factor(BROADCAST, 4) == 1);
}

static void environment(void **state)
{
	(void)state;
	setenv("NCCL_TESTS_DEVICE", "3", 1);
	setenv("NCCL_TESTS_MIN_BW", "1.5", 1);
	assert_int_equal(parse(NULL, 0), 0);
	assert_int_equal(s.device, 3);
	assert_true(s.min_bw == 1.5);
	assert_int_equal(PARSE("--device", "1"), 0);
	assert_int_equal(s.device, 1);
	setenv("NCCL_TESTS_MIN_BW", "fast", 1);
	REFUSED("NCCL_TESTS_MIN_BW", "-n", "1");
	setenv("NCCL_TESTS_MIN_BW", "1", 1);
	setenv("NCCL_TESTS_DEVICE", "-1", 1);
	REFUSED("NCCL_TESTS_DEVICE", "-n", "1");
	unsetenv("NCCL_TESTS_DEVICE");
	setenv("NCCL_TESTS_SPLIT", "MOD 2", 1);
	REFUSED("NCCL_TESTS_SPLIT", "-n", "1");
	unsetenv("NCCL_TESTS_SPLIT");
	unsetenv("NCCL_TESTS_MIN_BW");
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
	};

	return unit_run("bench/settings", tests);
}
