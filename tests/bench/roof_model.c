/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of --roof: who is measured with whom, the sizes, the model of a row, the verdict; what the NICs allow. */
#include "unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "all_reduce/expected.h"
#include "all_reduce/roof.h"

enum { MOST = 17, ROUNDS = 3 };

static void every_link_is_measured_once(void **state)
{
	(void)state;
	assert_int_equal(roof_partner(1, 0, 0), -1);
	for (int n = 2; n <= MOST; n++) {
		int links[MOST][MOST] = {{0}}, sum = 0;

		for (int round = 0; round < ROUNDS; round++)
			for (int r = 0; r < n; r++) {
				int p = roof_partner(n, round, r);

				if (p < 0)
					continue;
				assert_int_equal(roof_partner(n, round, p), r);
				assert_true(p == (r + 1) % n || r == (p + 1) % n);
				links[r][p]++;
			}
		for (int r = 0; r < n; r++) {
			assert_int_equal(links[r][(r + 1) % n], 1);
			for (int p = 0; p < n; p++)
				sum += links[r][p];
		}
		assert_int_equal(sum, n == 2 ? 2 : 2 * n);
	}
}

static void sizes_span_the_messages(void **state)
{
	size_t sizes[ROOF_SIZES];
	int n;

	(void)state;
	n = roof_ladder(1, 300, sizes);
	assert_int_equal(n, 4);
	assert_true(sizes[0] == 8 && sizes[1] == 32 && sizes[2] == 128 && sizes[3] == 300);
	assert_int_equal(roof_ladder(4, 4, sizes), 1);
	assert_int_equal(sizes[0], 8);
	n = roof_ladder(8, 1ul << 60, sizes);
	assert_int_equal(n, ROOF_SIZES);
	assert_true(sizes[ROOF_SIZES - 1] == 1ul << 60);
}

static struct roof_link links[3] = {
	{.low = 0, .high = 1, .good = true, .latency_us = 10, .gb_per_s = {0.01, 1, 4}},
	{.low = 1, .high = 2, .good = true, .latency_us = 20, .gb_per_s = {0.02, 2, 4}},
	{.low = 0, .high = 2, .good = true, .latency_us = 5, .gb_per_s = {0.03, 2, 2}},
};

static struct roof measured(void)
{
	struct roof r = {.nsizes = 3, .bytes = {16, 1024, 65536}, .nlinks = 3, .links = links};

	roof_settle(&r);
	return r;
}

static const struct settings settings = {.what = ALL_REDUCE, .channels = 1, .chunk_bytes = 65536};

/* A row of so many bytes on 3 ranks. */
static double busbw(const struct roof *r, enum collective what, int64_t bytes)
{
	struct settings s = settings;
	struct row row = {.bytes = bytes, .count = collective_count(what, 3, 4, bytes), .type = TYPE_FLOAT};

	s.what = what;
	return roof_busbw(r, &s, 3, &row);
}

static void the_slowest_link_counts(void **state)
{
	struct roof r = measured();
	double share;

	(void)state;
	assert_true(r.measured);
	assert_float_equal(r.latency_us, 20, 1e-9);
	assert_float_equal(r.gb_per_s[0], 0.01, 1e-9);
	assert_float_equal(r.gb_per_s[2], 2, 1e-9);
	assert_ptr_equal(roof_slowest(&r, &share), &links[2]);
	assert_float_equal(share, 0.5, 1e-9);
	links[1].good = false;
	r = measured();
	assert_false(r.measured);
	assert_float_equal(busbw(&r, ALL_REDUCE, 1 << 20), 0, 0);
	links[1].good = true;
}

static void rows_are_bounded_by_latency_and_rate(void **state)
{
	struct roof r = measured();
	double last = 0, us;

	(void)state;
	/* Messages of 64 KiB at 2 GB/s: a large row comes close, and never exceeds it. */
	for (int64_t b = 64; b <= 1 << 28; b *= 4) {
		double now = busbw(&r, ALL_REDUCE, b);

		assert_true(now > last && now < 2);
		last = now;
	}
	assert_true(last > 1.99);
	/* A small all-reduce takes 4 latencies; a broadcast 2, an all-to-all 1. */
	us = 4. / 3 * 96 / busbw(&r, ALL_REDUCE, 96) / 1e3;
	assert_true(us > 4 * 20 && us < 4 * 20 + 15);
	us = 96 / busbw(&r, BROADCAST, 96) / 1e3;
	assert_true(us > 2 * 20 && us < 2 * 20 + 10);
	us = 2. / 3 * 96 / busbw(&r, ALL_TO_ALL, 96) / 1e3;
	assert_true(us > 20 && us < 20 + 10);
	/* Nothing to move, and nobody to move it to. */
	assert_float_equal(busbw(&r, ALL_GATHER, 1), 0, 0);
	assert_float_equal(roof_busbw(&r, &settings, 1, &(struct row){.bytes = 64, .count = 16}), 0, 0);
	assert_float_equal(roof_busbw(NULL, &settings, 3, &(struct row){.bytes = 64, .count = 16}), 0, 0);
}

static void a_verdict_counts_rows(void **state)
{
	struct roof_verdict v = {0};
	struct row row = {.bytes = 8, .roof_gbs = 2, .place = {{.busbw_gbs = 1.9}, {.busbw_gbs = 1.8}}};

	(void)state;
	roof_judge(&v, &row);
	assert_true(v.rows == 1 && v.below == 0 && v.lowest_bytes == 8);
	assert_float_equal(v.lowest, 0.925, 1e-9);
	row.roof_gbs = 0;
	roof_judge(&v, &row);
	assert_int_equal(v.rows, 1);
	row = (struct row){.bytes = 64, .roof_gbs = 2, .place = {{.busbw_gbs = 1}, {.busbw_gbs = 1.5}}};
	roof_judge(&v, &row);
	row = (struct row){.bytes = 1024, .roof_gbs = 2, .place = {{.busbw_gbs = 1.7}, {.busbw_gbs = 1.7}}};
	roof_judge(&v, &row);
	assert_true(v.rows == 3 && v.below == 2 && v.lowest_bytes == 64);
	assert_true(v.least_below == 64 && v.most_below == 1024);
	assert_float_equal(v.lowest, 0.625, 1e-9);
	assert_float_equal(row_ratio(&row, 0), 0.85, 1e-9);
}

enum { JOB = 16 };

/* What the NICs allow 16 ranks: rank r is on host r / together % hosts, each with one NIC of 100 Gbit/s. */
static struct expected allowed(enum collective what, bool inside, int together, int hosts)
{
	static struct expected_rank ranks[JOB];
	struct settings s = {.what = what, .root = collective_facts[what].rooted ? 0 : -1};
	struct expected e;

	for (int r = 0; r < JOB; r++) {
		ranks[r] = (struct expected_rank){
			.rank = r, .path = {.nnics = 1, .nics = {{.name = "eth0", .mbps = 100000}}, .inside = inside}};
		snprintf(ranks[r].host, sizeof(ranks[r].host), "host%d", r / together % hosts);
	}
	expected_settle(&e, &s, JOB, ranks, JOB);
	assert_true(!e.nics || e.host_gbs == 12.5);
	return e;
}

static double allowed_busbw(enum collective what, bool inside, int together, int hosts)
{
	return allowed(what, inside, together, hosts).busbw_gbs;
}

static void ranks_of_a_host_share_its_nics(void **state)
{
	static const enum collective all[] = {ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, BROADCAST,
					      REDUCE,	  ALL_TO_ALL, ALL_TO_ALL_V,   SEND_RECV};

	(void)state;
	for (size_t i = 0; i < COUNT(all); i++) {
		assert_float_equal(allowed_busbw(all[i], true, 8, 2), 12.5 / 8, 1e-9);
		assert_float_equal(allowed_busbw(all[i], true, 1, 16), 12.5, 1e-9);
	}
	assert_int_equal(allowed(ALL_REDUCE, true, 8, 2).sharing, 8);
	assert_true(allowed(ALL_REDUCE, true, 8, 2).inside);
	/* The root is the only one that sends all that counts. */
	assert_float_equal(allowed_busbw(SCATTER, true, 8, 2), 12.5, 1e-9);
	assert_float_equal(allowed_busbw(HYPERCUBE, true, 8, 2), 12.5 / 8, 1e-9);
}

/* On tcp, messages within a host pass its NICs by. */
static void messages_within_a_host_take_no_nic(void **state)
{
	(void)state;
	/* One rank of each host has its neighbour elsewhere. */
	assert_float_equal(allowed_busbw(ALL_REDUCE, false, 8, 2), 12.5, 1e-9);
	assert_float_equal(allowed_busbw(BROADCAST, false, 8, 2), 12.5, 1e-9);
	assert_float_equal(allowed_busbw(SEND_RECV, false, 8, 2), 12.5, 1e-9);
	assert_false(allowed(ALL_REDUCE, false, 8, 2).inside);
	/* All have, or every other one. */
	assert_float_equal(allowed_busbw(ALL_REDUCE, false, 1, 2), 12.5 / 8, 1e-9);
	assert_float_equal(allowed_busbw(ALL_REDUCE, false, 2, 2), 12.5 / 4, 1e-9);
	/* 8 of the 15 others are elsewhere. */
	assert_float_equal(allowed_busbw(ALL_TO_ALL, false, 8, 2), 12.5 / 8 * 15 / 8, 1e-9);
	assert_float_equal(allowed_busbw(GATHER, false, 8, 2), 12.5 * 15 / 8, 1e-9);
	/* Of the 15 shares that each rank receives, the last step brings 8 from the other host. */
	assert_float_equal(allowed_busbw(HYPERCUBE, false, 8, 2), 12.5 / 8 * 15 / 8, 1e-9);
	/* One host has no message for a NIC; unequal shares are not known. */
	assert_int_equal(allowed(ALL_REDUCE, false, 16, 1).nics, 0);
	assert_int_equal(allowed(ALL_TO_ALL_V, false, 8, 2).nics, 0);
}

/* Two groups of 8, one of them on each host, or both on both. */
static void groups_share_a_nic(void **state)
{
	static struct expected_rank ranks[JOB];
	static const struct settings s = {.what = ALL_REDUCE, .root = -1};
	struct expected e;

	(void)state;
	for (int apart = 0; apart < 2; apart++) {
		for (int r = 0; r < JOB; r++) {
			ranks[r] = (struct expected_rank){.group = apart ? r / 8 : r % 2,
							  .rank = apart ? r % 8 : r / 2,
							  .path = {.nnics = 1,
								   .nics = {{.name = "eth0", .mbps = 100000}}}};
			snprintf(ranks[r].host, sizeof(ranks[r].host), "host%d", r / 8);
		}
		expected_settle(&e, &s, JOB / 2, ranks, JOB);
		assert_float_equal(e.busbw_gbs, apart ? 0 : 12.5 / 2, 1e-9);
	}
	ranks[3].path.nics[0].mbps = 0;
	snprintf(ranks[3].path.nics[0].name, sizeof(ranks[3].path.nics[0].name), "eth1");
	expected_settle(&e, &s, JOB / 2, ranks, JOB);
	assert_int_equal(e.nics, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_link_is_measured_once),
		cmocka_unit_test(sizes_span_the_messages),
		cmocka_unit_test(the_slowest_link_counts),
		cmocka_unit_test(rows_are_bounded_by_latency_and_rate),
		cmocka_unit_test(a_verdict_counts_rows),
		cmocka_unit_test(ranks_of_a_host_share_its_nics),
		cmocka_unit_test(messages_within_a_host_take_no_nic),
		cmocka_unit_test(groups_share_a_nic),
	};

	return unit_run("bench/roof_model", tests);
}
