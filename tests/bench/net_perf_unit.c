/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of weft_net_perf: statistics, message contents, flows, the command line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net_perf/cli.h"
#include "net_perf/crew.h"
#include "net_perf/curve.h"
#include "net_perf/flow.h"
#include "net_perf/payload.h"
#include "net_perf/stats.h"
#include "net_perf/sweep.h"

static void test_median(void **state)
{
	double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2}, one[] = {7};

	(void)state;
	assert_true(stats_median(odd, 3) == 5);
	assert_true(odd[0] == 1 && odd[2] == 9);
	assert_true(stats_median(even, 4) == 2.5);
	assert_true(stats_median(one, 1) == 7);
	assert_true(stats_median(NULL, 0) == 0);
}

static void test_percentile(void **state)
{
	double v[200], few[] = {1, 2, 3};
	size_t i;

	(void)state;
	for (i = 0; i < 200; i++)
		v[i] = (double)i + 1;
	assert_true(stats_percentile(v, 200, 99) == 198);
	assert_true(stats_percentile(v, 200, 50) == 100);
	assert_true(stats_percentile(v, 200, 0) == 1);
	assert_true(stats_percentile(v, 200, 100) == 200);
	assert_true(stats_percentile(few, 3, 99) == 3);
	assert_true(stats_percentile(NULL, 0, 99) == 0);
}

/* Tests every length, and a wrong byte at every offset that the mode compares. */
static void test_payload(void **state)
{
	unsigned char buf[64];
	size_t bytes, at;

	(void)state;
	for (bytes = 0; bytes <= sizeof(buf); bytes++) {
		payload_fill(buf, bytes, 41, PAYLOAD_FULL);
		assert_int_equal(payload_verify(buf, bytes, 41, PAYLOAD_FULL), bytes);
		for (at = 0; at < bytes; at++) {
			buf[at] ^= 0x10;
			assert_int_equal(payload_verify(buf, bytes, 41, PAYLOAD_FULL), at);
			buf[at] ^= 0x10;
		}
		payload_fill(buf, bytes, 42, PAYLOAD_STAMP);
		assert_int_equal(payload_verify(buf, bytes, 42, PAYLOAD_STAMP), bytes);
		for (at = 0; at < bytes; at++) {
			bool seen = at < 8 || (bytes >= 16 && at >= bytes - 8);

			buf[at] ^= 0x10;
			assert_int_equal(payload_verify(buf, bytes, 42, PAYLOAD_STAMP), seen ? at : bytes);
			buf[at] ^= 0x10;
		}
	}
}

static void test_payload_tells_messages_apart(void **state)
{
	unsigned char buf[32];

	(void)state;
	payload_fill(buf, sizeof(buf), 5, PAYLOAD_STAMP);
	assert_true(payload_verify(buf, sizeof(buf), 6, PAYLOAD_STAMP) < sizeof(buf));
	payload_fill(buf, sizeof(buf), 6, PAYLOAD_FULL);
	assert_int_equal(payload_verify(buf, sizeof(buf), 6, PAYLOAD_FULL), sizeof(buf));
	memset(buf, 0, sizeof(buf));
	assert_int_equal(payload_verify(buf, sizeof(buf), 0, PAYLOAD_FULL), 0);
	assert_int_equal(payload_verify(buf, sizeof(buf), 0, PAYLOAD_NONE), sizeof(buf));
}

static void test_flow_order(void **state)
{
	unsigned char mem[4 * 64];
	struct flow f = {
		.base = mem, .stride = 64, .bytes = 16, .warm = 2, .timed = 3, .acks = true, .slots = 4, .depth = 4};

	(void)state;
	f.total = f.limit = flow_end(&f, 1);
	assert_int_equal(f.total, 7);
	assert_int_equal(flow_data_end(&f, 0), 2);
	assert_int_equal(flow_data_end(&f, 1), 6);
	assert_true(flow_is_ack(&f, 2) && flow_is_ack(&f, 6) && !flow_is_ack(&f, 3));
	assert_int_equal(flow_bytes(&f, 2), FLOW_ACK_BYTES);
	while (flow_may_post(&f))
		f.posted++;
	assert_int_equal(f.posted, 4);
	flow_complete(&f, 1, 16);
	flow_complete(&f, 3, 16);
	assert_int_equal(f.done, 0);
	flow_complete(&f, 0, 16);
	assert_int_equal(f.done, 2);
	flow_complete(&f, 2, 8);
	assert_int_equal(f.done, 4);
	assert_true(flow_may_post(&f));
	f.limit = 4;
	assert_false(flow_may_post(&f));
}

static void test_flow_counts_errors(void **state)
{
	unsigned char mem[2 * 64];
	struct flow f = {.base = mem,
			 .stride = 64,
			 .bytes = 32,
			 .timed = 2,
			 .slots = 2,
			 .depth = 2,
			 .check = PAYLOAD_STAMP,
			 .receives = true,
			 .posted = 2,
			 .first_seq = 10};

	(void)state;
	payload_fill(mem, 32, 10, PAYLOAD_STAMP);
	payload_fill(mem + 64, 32, 10, PAYLOAD_STAMP);
	flow_complete(&f, 0, 32);
	assert_int_equal(f.wrong, 0);
	flow_complete(&f, 1, 32);
	assert_int_equal(f.wrong, 1);
	f.done = 0;
	flow_complete(&f, 0, 31);
	assert_int_equal(f.wrong, 2);
}

/* The time of a run lasts from the first start to the last end of the threads; rounds are those of all comms. */
static void test_sum_of_shares(void **state)
{
	const struct run stream = {.pattern = PATTERN_BANDWIDTH, .timed = 2}, rounds = {.timed = 2};
	struct side sides[3] = {{.rx.wrong = 1}, {.rx.wrong = 0}, {.rx.wrong = 4}};
	struct share shares[2] = {
		{.run = &stream, .sides = sides, .count = 2, .start = 10, .end = 13, .effort.preemptions = 2},
		{.run = &stream, .sides = sides + 2, .count = 1, .start = 9, .end = 12, .effort.preemptions = 3}};
	double round_s[] = {4e-6, 2e-6, 8e-6, 2e-6, 2e-6, 6e-6};
	struct run_result sum;

	(void)state;
	pattern_sum(shares, 2, NULL, &sum);
	assert_true(sum.seconds == 4);
	assert_int_equal(sum.wrong, 5);
	assert_int_equal(sum.effort.preemptions, 5);
	shares[0].run = shares[1].run = &rounds;
	pattern_sum(shares, 2, round_s, &sum);
	assert_true(sum.seconds > 7.9e-6 && sum.seconds < 8.1e-6);
	assert_true(sum.median_us > 1.49 && sum.median_us < 1.51);
}

static int note_thread(void *arg, unsigned thread)
{
	atomic_uint *calls = arg;

	atomic_fetch_add(&calls[thread], 1);
	return thread == 2 ? -1 : 0;
}

/* Each thread does its part; a failure of one is that of the job. */
static void test_crew(void **state)
{
	atomic_uint calls[3] = {0, 0, 0};
	struct crew *c = crew_open(2);

	(void)state;
	assert_int_equal(crew_do(c, note_thread, calls), 0);
	assert_int_equal(crew_do_in_turn(c, note_thread, calls), 0);
	assert_true(calls[0] == 2 && calls[1] == 2 && calls[2] == 0);
	crew_close(c);
	c = crew_open(3);
	assert_int_equal(crew_do(c, note_thread, calls), -1);
	assert_int_equal(crew_do_in_turn(c, note_thread, calls), -1);
	assert_true(calls[0] == 4 && calls[1] == 4 && calls[2] == 2);
	crew_close(c);
	crew_close(NULL);
}

static void test_patterns(void **state)
{
	bool p[PATTERNS];

	(void)state;
	assert_int_equal(cli_patterns("all", p), 0);
	assert_true(p[PATTERN_LATENCY] && p[PATTERN_BANDWIDTH] && p[PATTERN_RATE] && !p[PATTERN_BIDIR]);
	assert_int_equal(cli_patterns("bidir,rate", p), 0);
	assert_true(!p[PATTERN_LATENCY] && !p[PATTERN_BANDWIDTH] && p[PATTERN_RATE] && p[PATTERN_BIDIR]);
	assert_int_equal(cli_patterns("all,bidir", p), 0);
	assert_true(p[PATTERN_BIDIR] && p[PATTERN_LATENCY] && !p[PATTERN_BIRATE]);
	assert_int_equal(cli_patterns("birate", p), 0);
	assert_true(p[PATTERN_BIRATE] && !p[PATTERN_RATE]);
	assert_int_equal(cli_patterns("", p), -EINVAL);
	assert_int_equal(cli_patterns("latency,", p), -EINVAL);
	assert_int_equal(cli_patterns("Latency", p), -EINVAL);
}

static void test_environment_list(void **state)
{
	(void)state;
	assert_true(cli_env_valid("A=1"));
	assert_true(cli_env_valid(" A=1  B= C=x=y "));
	assert_true(cli_env_valid(""));
	assert_false(cli_env_valid("A"));
	assert_false(cli_env_valid("=1"));
	assert_false(cli_env_valid("A=1 B C=2"));
}

static void test_cores(void **state)
{
	int cores[2];

	(void)state;
	assert_int_equal(cli_cores("off", cores), 0);
	assert_true(cores[0] == -1 && cores[1] == -1);
	assert_int_equal(cli_cores("auto", cores), 0);
	assert_true(cores[0] != cores[1] || cores[0] == -1);
	assert_int_equal(cli_cores("0", cores), -EINVAL);
	assert_int_equal(cli_cores("0,", cores), -EINVAL);
	assert_int_equal(cli_cores(",0", cores), -EINVAL);
	assert_int_equal(cli_cores("0,x", cores), -EINVAL);
	assert_int_equal(cli_cores("-1,0", cores), -EINVAL);
	assert_int_equal(cli_cores("0,99999", cores), -EINVAL);
	assert_int_equal(cli_cores("0,1,2", cores), -EINVAL);
}

static void test_sizes(void **state)
{
	struct cli c = {.step_factor = 4, .patterns = {[PATTERN_RATE] = true, [PATTERN_LATENCY] = true}};

	(void)state;
	assert_int_equal(sweep_next(&c, 8), 32);
	assert_int_equal(sweep_next(&c, 0), 1);
	assert_true(sweep_has(&c, PATTERN_RATE, 8192));
	assert_false(sweep_has(&c, PATTERN_RATE, 8193));
	c.patterns[PATTERN_BIRATE] = true;
	assert_true(sweep_has(&c, PATTERN_BIRATE, 8192) && !sweep_has(&c, PATTERN_BIRATE, 8193));
	assert_true(sweep_has(&c, PATTERN_LATENCY, 1 << 30));
	assert_false(sweep_has(&c, PATTERN_BIDIR, 8));
}

/* Huge messages get fewer slots, but at least one, and all slots fit into the reserved area. */
static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(pattern_depth(PATTERN_LATENCY, 8, 32, 1), 1);
	assert_int_equal(pattern_depth(PATTERN_RATE, 8, 32, 1), 32);
	assert_int_equal(pattern_depth(PATTERN_BANDWIDTH, 64 << 20, 8, 1), 4);
	assert_int_equal(pattern_depth(PATTERN_BANDWIDTH, 1 << 30, 8, 1), 1);
	assert_int_equal(pattern_depth(PATTERN_BANDWIDTH, 4 << 20, 8, 8), 8);
	assert_int_equal(pattern_depth(PATTERN_BANDWIDTH, 4 << 20, 8, 16), 4);
	assert_true(pattern_area(1000, 8) >= 8 * 1000);
	assert_true(pattern_area(1000, 1) >= 2 * 1000);
	assert_true(pattern_area(0, 4) >= 4 * FLOW_ACK_BYTES);
}

static void test_curve(void **state)
{
	static const unsigned rows[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1200};
	unsigned i, pairs = 0;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pairs = curve_next(pairs, 1200);
		assert_int_equal(pairs, rows[i]);
	}
	assert_int_equal(curve_next(0, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_median),	      cmocka_unit_test(test_percentile),
		cmocka_unit_test(test_payload),	      cmocka_unit_test(test_payload_tells_messages_apart),
		cmocka_unit_test(test_flow_order),    cmocka_unit_test(test_flow_counts_errors),
		cmocka_unit_test(test_patterns),      cmocka_unit_test(test_environment_list),
		cmocka_unit_test(test_cores),	      cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_depth),	      cmocka_unit_test(test_curve),
		cmocka_unit_test(test_sum_of_shares), cmocka_unit_test(test_crew),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
