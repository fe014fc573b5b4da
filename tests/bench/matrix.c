/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of weft-pair: the rounds, and the search for outliers and slow rails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "matrix/expect.h"
#include "matrix/matrix.h"
#include "matrix/plan.h"
#include "matrix/rails.h"
#include "matrix/roof.h"

enum { MOST = 80, RAILS = 4 };

static struct cell cells[MOST * MOST];
static struct who who[MOST];
static struct matrix m = {.who = who, .cells = cells};
static struct outlier *found;

static struct cell *at(int from, int to)
{
	return &cells[from * m.n + to];
}

/* n ranks, `each` on a host, all pairs alike. */
static void fill(int n, int each)
{
	int i, j;

	m.n = n;
	m.nrails = 0;
	for (i = 0; i < n; i++) {
		memset(&who[i], 0, sizeof(who[i]));
		snprintf(who[i].host, sizeof(who[i].host), "host%d", i / each);
		for (j = 0; j < n; j++)
			*at(i, j) = (struct cell){.gb_per_s = i == j ? 0 : 10, .state = i == j ? CELL_SELF : CELL_GOOD};
	}
}

static void slow_from(int rank, double gb_per_s)
{
	int j;

	for (j = 0; j < m.n; j++)
		at(rank, j)->gb_per_s = gb_per_s;
}

static void slow_to(int rank, double gb_per_s)
{
	int i;

	for (i = 0; i < m.n; i++)
		at(i, rank)->gb_per_s = gb_per_s;
}

static int search(double least)
{
	free(found);
	return matrix_outliers(&m, least, &found);
}

static void expect(int i, const char *name, double ratio)
{
	char text[256];

	assert_string_equal(matrix_name(&m, &found[i], text, sizeof(text)), name);
	assert_true(found[i].ratio > ratio - 0.001 && found[i].ratio < ratio + 0.001);
}

/* Each rank has at most one partner in a round, which has it, too, and each pair meets once. */
static void check_plan(int n, bool alone)
{
	static int met[MOST][MOST];
	int round, i, j, pairs;

	memset(met, 0, sizeof(met));
	for (round = 0; round < plan_rounds(n, alone); round++) {
		for (i = pairs = 0; i < n; i++) {
			j = plan_partner(n, alone, round, i);
			assert_true(j >= -1 && j < n && j != i);
			if (j < 0)
				continue;
			assert_int_equal(plan_partner(n, alone, round, j), i);
			met[i][j]++;
			pairs++;
		}
		assert_int_equal(pairs, alone ? 2 : n - n % 2);
	}
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			assert_int_equal(met[i][j], i != j);
}

static void test_plan(void **state)
{
	int n;

	(void)state;
	for (n = 2; n < 20; n++) {
		check_plan(n, false);
		check_plan(n, true);
	}
	assert_int_equal(plan_rounds(2, false), 1);
	assert_int_equal(plan_rounds(64, false), 63);
	assert_int_equal(plan_rounds(5, false), 5);
	assert_int_equal(plan_rounds(5, true), 10);
}

static void test_nothing(void **state)
{
	int n;

	(void)state;
	for (n = 2; n < 9; n++) {
		fill(n, 1);
		assert_int_equal(search(0.7), 0);
		assert_true(matrix_median(&m) == 10);
	}
	/* Two ranks have no others. */
	fill(2, 1);
	at(0, 1)->gb_per_s = 1;
	assert_int_equal(search(0.7), 0);
}

static void test_slow_rank(void **state)
{
	int n;

	(void)state;
	for (n = 3; n < 9; n++) {
		fill(n, 1);
		slow_from(1, 5);
		slow_to(1, 5);
		assert_int_equal(search(0.7), 1);
		expect(0, "host1 <-> *", 0.5);
		assert_int_equal(search(0.49), 0);
		fill(n, 1);
		slow_from(2, 1);
		assert_int_equal(search(0.7), 1);
		expect(0, "host2 -> *", 0.1);
		fill(n, 1);
		slow_to(0, 1);
		assert_int_equal(search(0.7), 1);
		expect(0, "* -> host0", 0.1);
	}
	/* More than the search compares exactly. */
	fill(MOST, 1);
	slow_from(77, 3);
	assert_int_equal(search(0.7), 1);
	expect(0, "host77 -> *", 0.3);
}

static void test_slow_pair(void **state)
{
	(void)state;
	fill(5, 1);
	at(3, 1)->gb_per_s = 4;
	assert_int_equal(search(0.7), 1);
	expect(0, "host3 -> host1", 0.4);
	at(1, 3)->gb_per_s = 2;
	assert_int_equal(search(0.7), 1);
	expect(0, "host1 <-> host3", 0.2);
	/* Two slow ranks are both named, the slower one first. */
	fill(6, 1);
	slow_from(1, 5);
	slow_to(4, 2);
	assert_int_equal(search(0.7), 2);
	expect(0, "* -> host4", 0.2);
	expect(1, "host1 -> *", 0.5);
	fill(5, 1);
	at(3, 1)->gb_per_s = 4;
	at(1, 3)->gb_per_s = 2;
	/* A slow rank's pairs are not named again, another pair is. */
	slow_from(4, 1);
	assert_int_equal(search(0.7), 2);
	expect(0, "host4 -> *", 0.1);
	expect(1, "host1 <-> host3", 0.2);
}

/* Pairs within a host do not count, and a host is named before its ranks. */
static void test_hosts(void **state)
{
	int i;

	(void)state;
	fill(6, 2);
	for (i = 0; i < 6; i += 2)
		at(i, i + 1)->gb_per_s = at(i + 1, i)->gb_per_s = 1000;
	assert_int_equal(search(0.7), 0);
	assert_true(matrix_median(&m) == 10);
	slow_from(2, 5);
	slow_from(3, 5);
	assert_int_equal(search(0.7), 1);
	expect(0, "host1 -> *", 0.5);
	assert_true(found[0].host);
	fill(6, 2);
	slow_from(2, 4);
	assert_int_equal(search(0.9), 1);
	expect(0, "host1 -> *", 0.7);
	fill(6, 2);
	slow_from(2, 4);
	assert_int_equal(search(0.7), 1);
	expect(0, "host1 rank 2 -> *", 0.4);
	/* All on one host: they are compared. */
	fill(4, 4);
	slow_to(3, 1);
	assert_int_equal(search(0.7), 1);
	expect(0, "* -> host0 rank 3", 0.1);
}

static void test_failed(void **state)
{
	(void)state;
	fill(4, 1);
	slow_from(2, 0);
	*at(0, 1) = *at(1, 0) = (struct cell){.state = CELL_FAILED};
	at(3, 2)->wrong = 3;
	at(0, 3)->wrong = 1;
	assert_int_equal(matrix_failed(&m), 1);
	assert_int_equal(matrix_wrong(&m), 4);
	/* What failed is not slow. A rate of 0 is none. */
	slow_from(2, 10);
	at(2, 2)->gb_per_s = at(0, 1)->gb_per_s = at(1, 0)->gb_per_s = 0;
	assert_int_equal(search(0.7), 0);
}

static struct cell rail_cells[RAILS][MOST * MOST];
static struct matrix rails[RAILS];
static struct slow_rail *slow;

/* n ranks on hosts of their own, with four equal rails. */
static void fill_rails(int n)
{
	int i, r;

	fill(n, 1);
	for (r = 0; r < RAILS; r++) {
		memcpy(rail_cells[r], cells, sizeof(cells));
		rails[r] = (struct matrix){.n = n, .who = who, .cells = rail_cells[r]};
		for (i = 0; i < n; i++)
			snprintf(who[i].nics[r], sizeof(who[i].nics[r]), "nic%d", r);
	}
	for (i = 0; i < n; i++)
		who[i].nnics = RAILS;
	m.rails = rails;
	m.nrails = RAILS;
}

static struct cell *rail_at(int rail, int from, int to)
{
	return &rail_cells[rail][from * m.n + to];
}

static void slow_rail_from(int rail, int rank, double gb_per_s)
{
	int j;

	for (j = 0; j < m.n; j++)
		rail_at(rail, rank, j)->gb_per_s = gb_per_s;
}

static int search_rails(double least)
{
	free(slow);
	return rails_slow(&m, least, &slow);
}

static void expect_rail(int i, const char *name, double ratio)
{
	char text[256];

	assert_string_equal(rails_name(&m, &slow[i], text, sizeof(text)), name);
	assert_true(slow[i].of.ratio > ratio - 0.001 && slow[i].of.ratio < ratio + 0.001);
}

static void test_rails(void **state)
{
	int n, j;

	(void)state;
	for (n = 2; n < 9; n++) {
		fill_rails(n);
		assert_int_equal(search_rails(0.7), 0);
		/* Slow between all ranks: the others of this rail are no better. */
		for (j = 0; j < n; j++)
			slow_rail_from(3, j, 4);
		assert_int_equal(search_rails(0.7), 1);
		expect_rail(0, "rail 3 of all (NIC nic3)", 0.4);
		snprintf(who[1].nics[3], sizeof(who[1].nics[3]), "other");
		expect_rail(0, "rail 3 of all", 0.4);
	}
	/* One rank's, of three: most pairs of this rail are slow, and still it is nobody else's. */
	for (n = 3; n < 9; n++) {
		fill_rails(n);
		slow_rail_from(2, 1, 5);
		for (j = 0; j < n; j++)
			rail_at(2, j, 1)->gb_per_s = 5;
		assert_int_equal(search_rails(0.7), 1);
		expect_rail(0, "rail 2 of host1 (NIC nic2)", 0.5);
		assert_true(slow[0].of.both && slow[0].of.from == 1 && slow[0].of.to < 0);
	}
	rail_at(0, 4, 2)->gb_per_s = 1;
	snprintf(who[2].nics[0], sizeof(who[2].nics[0]), "eth0");
	assert_int_equal(search_rails(0.7), 2);
	expect_rail(0, "rail 0 (NIC nic0 to eth0)", 0.1);
	expect_rail(1, "rail 2 of host1 (NIC nic2)", 0.5);
	/* What failed is not slow; it counts with the pairs of the devices. */
	fill_rails(4);
	*rail_at(1, 0, 1) = *rail_at(1, 1, 0) = (struct cell){.state = CELL_FAILED};
	rail_at(2, 3, 0)->wrong = 5;
	assert_int_equal(search_rails(0.7), 0);
	assert_int_equal(matrix_failed(&m), 1);
	assert_int_equal(matrix_wrong(&m), 5);
}

/* Which outlier of the devices has the rail as its cause. */
static void test_explains(void **state)
{
	const struct slow_rail both = {.of = {.from = 1, .to = -1, .both = true}}, in = {.of = {.from = -1, .to = 1}};
	const struct slow_rail all = {.all = true, .of = {.from = -1, .to = -1, .both = true}};
	const struct outlier device = {.from = 1, .to = -1, .both = true}, out = {.from = 1, .to = -1};
	const struct outlier other = {.from = 2, .to = -1}, host = {.from = 1, .to = -1, .host = true};

	(void)state;
	assert_true(rails_explains(&both, &device) && rails_explains(&both, &out) && rails_explains(&in, &device));
	assert_false(rails_explains(&in, &out) || rails_explains(&both, &other) || rails_explains(&both, &host) ||
		     rails_explains(&all, &device));
	fill_rails(3);
	assert_int_equal(rails_unknown(&m), -1);
	who[2].nnics = 0;
	assert_int_equal(rails_unknown(&m), 2);
	/* A rank of which no pair is connected has told nothing. */
	for (int j = 0; j < 3; j++)
		at(2, j)->state = CELL_FAILED;
	assert_int_equal(rails_unknown(&m), -1);
}

static void test_roof(void **state)
{
	struct roof_pair *below;
	int i;

	(void)state;
	fill(4, 1);
	assert_int_equal(roof_sum(&m, roof_ratio).pairs, 0);
	for (i = 0; i < m.n * m.n; i++)
		cells[i].raw_gb_per_s = 11;
	assert_int_equal(roof_sum(&m, roof_ratio).pairs, 12);
	assert_int_equal(roof_sum(&m, roof_ratio).below, 0);
	assert_float_equal(roof_sum(&m, roof_ratio).lowest, 10. / 11, 1e-9);
	/* Two are below; of those that raw libfabric or the plugin could not connect, nothing is known. */
	at(2, 1)->gb_per_s = 5.5;
	at(0, 3)->gb_per_s = 2.2;
	at(1, 0)->raw_gb_per_s = 0;
	at(1, 2)->state = CELL_FAILED;
	assert_int_equal(roof_sum(&m, roof_ratio).pairs, 10);
	assert_int_equal(roof_sum(&m, roof_ratio).below, 2);
	assert_float_equal(roof_sum(&m, roof_ratio).lowest, 0.2, 1e-9);
	assert_int_equal(roof_below(&m, roof_ratio, &below), 2);
	assert_true(below[0].from == 0 && below[0].to == 3 && below[1].from == 2 && below[1].to == 1);
	free(below);
}

/* NICs of the same names on every host, each of the speed. */
static void give_nics(int rank, int nics, int mbps)
{
	who[rank].nnics = nics;
	for (int i = 0; i < nics; i++) {
		snprintf(who[rank].nics[i], sizeof(who[rank].nics[i]), "nic%d", i);
		who[rank].mbps[i] = mbps;
	}
}

static void expect_speed(const struct cell *c, double gb_per_s, int limit, int pairs)
{
	assert_float_equal(c->expected.gb_per_s, gb_per_s, 1e-9);
	assert_int_equal(c->expected.limit, limit);
	assert_int_equal(c->expected.pairs, pairs);
}

/* One rank on each host: the end with less counts, and what is not known is not guessed. */
static void test_expected(void **state)
{
	const struct expect_plan plan = {.duplex = false};

	(void)state;
	fill_rails(4);
	for (int i = 0; i < m.n; i++)
		give_nics(i, RAILS, 100000);
	give_nics(2, RAILS, 25000);
	who[3].mbps[1] = 0;
	assert_int_equal(expect_fill(&m, plan), 0);
	expect_speed(at(0, 1), 50, 0, 1);
	expect_speed(at(0, 2), 12.5, 2, 1);
	expect_speed(at(2, 0), 12.5, 2, 1);
	expect_speed(at(0, 3), 0, 0, 0);
	expect_speed(rail_at(0, 0, 3), 12.5, 0, 1);
	expect_speed(rail_at(0, 1, 2), 3.125, 2, 1);
	expect_speed(rail_at(1, 0, 3), 0, 0, 0);
	assert_float_equal(expect_ratio(at(0, 2)), at(0, 2)->gb_per_s / 12.5, 1e-9);
	assert_true(expect_ratio(at(0, 3)) <= 0);
	who[1].nnics = 0;
	at(0, 1)->expected.gb_per_s = 0;
	assert_int_equal(expect_fill(&m, plan), 0);
	expect_speed(at(0, 1), 0, 0, 1);
}

/* Three ranks on each host: in a round of 0-1, 2-4 and 3-5, the pairs of one host leave the NIC to 2-4. */
static void test_expected_beside_local(void **state)
{
	const struct expect_plan plan = {.duplex = false};

	(void)state;
	fill(6, 3);
	for (int i = 0; i < m.n; i++)
		give_nics(i, 1, 100000);
	assert_int_equal(plan_partner(6, false, 1, 0), 1);
	assert_int_equal(plan_partner(6, false, 1, 2), 4);
	assert_int_equal(expect_fill(&m, plan), 0);
	expect_speed(at(2, 4), 12.5, 2, 1);
	expect_speed(at(4, 2), 12.5, 2, 1);
}

/* Two ranks on each host with one NIC: their pairs share it, unless it is one pair at a time. */
static void test_expected_shared(void **state)
{
	const struct expect_plan plan = {.duplex = false}, alone = {.alone = true}, duplex = {.duplex = true};

	(void)state;
	fill(4, 2);
	for (int i = 0; i < m.n; i++)
		give_nics(i, 1, 100000);
	assert_int_equal(expect_fill(&m, plan), 0);
	/* Ranks 0 and 1 send to 2 and 3 (in two orders) at the same time; 0 and 1 are one host and do not count. */
	expect_speed(at(0, 2), 6.25, 0, 2);
	expect_speed(at(3, 0), 6.25, 0, 2);
	expect_speed(at(0, 1), 0, 0, 0);
	who[0].inside = who[1].inside = true;
	assert_int_equal(expect_fill(&m, plan), 0);
	/* One of the two sends while the other receives. */
	expect_speed(at(0, 1), 12.5, 0, 1);
	assert_int_equal(expect_fill(&m, duplex), 0);
	expect_speed(at(0, 1), 6.25, 0, 2);
	assert_int_equal(expect_fill(&m, alone), 0);
	expect_speed(at(0, 2), 12.5, 0, 1);
	/* The other rank of the host has a NIC of its own. */
	snprintf(who[1].nics[0], sizeof(who[1].nics[0]), "other");
	snprintf(who[3].nics[0], sizeof(who[3].nics[0]), "other");
	assert_int_equal(expect_fill(&m, plan), 0);
	expect_speed(at(0, 2), 12.5, 0, 1);
}

static void test_expected_text(void **state)
{
	char text[256];
	struct who one = {.source = "as the NICs report"};

	(void)state;
	assert_true(strstr(expect_nics(&one, text, sizeof(text)), "not known: no record of its NICs") == text);
	fill(1, 1);
	give_nics(0, 2, 12500);
	snprintf(who[0].source, sizeof(who[0].source), "as the NICs report");
	assert_string_equal(expect_nics(&who[0], text, sizeof(text)),
			    "nic0 12.5 Gbit/s, nic1 12.5 Gbit/s: 3.125 GB/s each way; as the NICs report");
	who[0].mbps[1] = 0;
	assert_string_equal(expect_nics(&who[0], text, sizeof(text)), "not known: nic1 reports no speed");
	give_nics(0, MATRIX_NICS, 100000);
	assert_int_equal(strlen(expect_nics(&who[0], text, 40)), 39);
}

static int clean(void **state)
{
	(void)state;
	free(found);
	free(slow);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_slow_rank),
		cmocka_unit_test(test_slow_pair),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_rails),
		cmocka_unit_test(test_explains),
		cmocka_unit_test(test_roof),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_expected_beside_local),
		cmocka_unit_test(test_expected_shared),
		cmocka_unit_test(test_expected_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, clean);
}
