/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges: what each rank sends to which other one, and the matrices of an all-to-all of unequal shares. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "all_reduce/exchange.h"

enum { MAX_RANKS = 8, COUNT_EACH = 12, ELEMS = MAX_RANKS * MAX_RANKS * COUNT_EACH };

static int in[MAX_RANKS][ELEMS], out[MAX_RANKS][ELEMS];

/* Every element of the input names its rank and place. */
static int value(int rank, size_t i)
{
	return rank * 100000 + (int)i + 1;
}

/* Performs all steps in memory; all data moves over links that the ranks have. */
static void perform(struct exchange x)
{
	static int before[MAX_RANKS][ELEMS];

	memset(out, 0, sizeof(out));
	for (int r = 0; r < MAX_RANKS; r++)
		for (size_t i = 0; i < ELEMS; i++)
			in[r][i] = value(r, i);
	for (x.step = 0; x.step < exchange_steps(x.what, x.nranks); x.step++) {
		memcpy(before, x.step ? out : in, sizeof(before));
		for (int from = 0; from < x.nranks; from++)
			for (int to = 0; to < x.nranks; to++) {
				struct part p = exchange_part(&x, from, to);

				assert_true(p.in + p.count <= ELEMS && p.out + p.count <= ELEMS);
				if (from != to && p.count)
					assert_true(
						exchange_links(x.what, x.nranks, (to - from + x.nranks) % x.nranks));
				memcpy(&out[to][p.out], &before[from][p.in], p.count * sizeof(int));
			}
	}
}

static struct exchange exchange(enum collective what, int nranks, int root)
{
	return (struct exchange){what, nranks, root, COUNT_EACH, sizeof(int), NULL, 0};
}

static void results(void **state)
{
	(void)state;
	for (int n = 1; n <= MAX_RANKS; n++) {
		int root = n / 2;

		perform(exchange(GATHER, n, root));
		for (size_t i = 0; i < ELEMS; i++) {
			size_t total = (size_t)n * COUNT_EACH;

			assert_int_equal(out[root][i], i < total ? value((int)i / COUNT_EACH, i % COUNT_EACH) : 0);
			assert_int_equal(out[(root + 1) % n][i] != 0, n == 1 && i < total);
		}
		perform(exchange(SCATTER, n, root));
		for (int r = 0; r < n; r++)
			for (size_t i = 0; i < ELEMS; i++)
				assert_int_equal(out[r][i],
						 i < COUNT_EACH ? value(root, (size_t)r * COUNT_EACH + i) : 0);
		perform(exchange(ALL_TO_ALL, n, 0));
		for (int r = 0; r < n; r++)
			for (size_t i = 0; i < (size_t)n * COUNT_EACH; i++)
				assert_int_equal(out[r][i],
						 value((int)i / COUNT_EACH, (size_t)r * COUNT_EACH + i % COUNT_EACH));
		perform(exchange(SEND_RECV, n, 0));
		for (int r = 0; r < n; r++)
			assert_int_equal(out[r][COUNT_EACH - 1], value((r + n - 1) % n, COUNT_EACH - 1));
	}
}

/* A hypercube is an all-gather in log2(n) steps, which connects each rank with as many others. */
static void hypercube(void **state)
{
	int links = 0;

	(void)state;
	for (int n = 1; n <= MAX_RANKS; n *= 2) {
		perform(exchange(HYPERCUBE, n, 0));
		for (int r = 0; r < n; r++)
			for (size_t i = 0; i < ELEMS; i++)
				assert_int_equal(out[r][i], i < (size_t)n * COUNT_EACH
								    ? value((int)i / COUNT_EACH, i % COUNT_EACH)
								    : 0);
	}
	assert_int_equal(exchange_steps(HYPERCUBE, 8), 3);
	assert_int_equal(exchange_steps(ALL_TO_ALL, 8), 1);
	for (int d = 1; d < 8; d++)
		links += exchange_links(HYPERCUBE, 8, d);
	assert_int_equal(links, 5); /* 1, 2, 4 and their opposites 7, 6 */
}

/* nccl-tests' rule, by its results for 4 ranks that share 1000 elements of 4 bytes. */
static void shares_grow_with_distance(void **state)
{
	struct traffic t = {.spread = 1};
	struct exchange x = {ALL_TO_ALL_V, 4, 0, 252, 4, &t, 0};
	static const int64_t far[4] = {0, 672, 1344, 2016};

	(void)state;
	for (int d = 0; d < 4; d++)
		assert_int_equal(traffic_bytes(&t, 4, 3, (3 + d) % 4, 1008), far[d]);
	assert_int_equal(exchange_sends(&x, 1), 1008);
	assert_int_equal(exchange_receives(&x, 2), 1008);
	t.spread = 0;
	for (int d = 0; d < 4; d++)
		assert_int_equal(traffic_bytes(&t, 4, 1, (1 + d) % 4, 1008), 1008);
	t.spread = 0.5;
	assert_int_equal(traffic_bytes(&t, 4, 0, 1, 1008), 832); /* 504 + 336, rounded down to 16 */
	assert_int_equal(traffic_bytes(&t, 1, 0, 0, 1000), 992);
}

/* The parts of a rank adjoin in both buffers. */
static void parts_adjoin(const struct exchange *x)
{
	for (int r = 0; r < x->nranks; r++) {
		size_t sent = 0, received = 0;

		for (int other = 0; other < x->nranks; other++) {
			struct part gives = exchange_part(x, r, other), gets = exchange_part(x, other, r);

			assert_int_equal(gives.in, sent);
			assert_int_equal(gets.out, received);
			sent += gives.count;
			received += gets.count;
		}
		assert_int_equal(sent, exchange_sends(x, r));
		assert_int_equal(received, exchange_receives(x, r));
	}
}

/* Writes a file and has the variables name it. */
static int read_file(const char *text, struct traffic *t)
{
	char path[] = "matrix-XXXXXX";
	int fd = mkstemp(path), result;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	setenv("NCCL_TESTS_ALLTOALLV_MATRIX_FILE", path, 1);
	result = traffic_from_env(t);
	unlink(path);
	unsetenv("NCCL_TESTS_ALLTOALLV_MATRIX_FILE");
	return result;
}

static void matrices(void **state)
{
	struct traffic t;
	struct exchange x = {ALL_TO_ALL_V, 3, 0, 0, 4, &t, 0};

	(void)state;
	setenv("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE", "2", 1);
	assert_int_equal(read_file("100 200.5 150\n\n50\t100 75\n300 0 200\n", &t), 0);
	unsetenv("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE");
	assert_int_equal(t.ranks, 3);
	assert_int_equal(traffic_bytes(&t, 3, 0, 1, 0), 400); /* 401, rounded down to 16 */
	assert_int_equal(traffic_bytes(&t, 3, 1, 0, 0), 96);
	assert_int_equal(traffic_bytes(&t, 3, 2, 1, 0), 0);
	parts_adjoin(&x);
	/* Rank 0 sends 192 + 400 + 288 bytes, and receives 192 + 96 + 592; rank 2 sends 592 + 400. */
	assert_int_equal(exchange_largest(&x) * 4, 992);
	free(t.matrix);
}

static void refused(const char *text, const char *part)
{
	struct traffic t;
	const char *said;

	unit_stderr_begin();
	assert_int_equal(read_file(text, &t), -1);
	said = unit_stderr_end();
	if (!strstr(said, part))
		fail_msg("\"%s\" does not say \"%s\"", said, part);
	assert_int_equal(unit_occurrences(said, "\n"), 1);
	free(t.matrix);
}

static void matrices_that_are_wrong(void **state)
{
	struct traffic t;

	(void)state;
	refused("", "ends before it is square");
	refused("1 2\n", "ends before it is square");
	refused("1 2\n3\n", "row 2: fewer numbers");
	refused("1 2\n3 4 5\n", "row 2: more numbers");
	refused("1 2\n3 4\n5 6\n", "row 3: more rows");
	refused("1 2\n3 x\n", "row 2: not a number");
	refused("1 -2\n", "row 1: not a number");
	refused("1 nan\n", "row 1: not a number");
	setenv("NCCL_TESTS_ALLTOALLV_SPREAD", "1.5", 1);
	unit_stderr_begin();
	assert_int_equal(traffic_from_env(&t), -1);
	assert_non_null(strstr(unit_stderr_end(), "NCCL_TESTS_ALLTOALLV_SPREAD: '1.5' is not a number from 0 to 1"));
	unsetenv("NCCL_TESTS_ALLTOALLV_SPREAD");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(hypercube),
		cmocka_unit_test(shares_grow_with_distance),
		cmocka_unit_test(matrices),
		cmocka_unit_test(matrices_that_are_wrong),
	};

	return unit_run("bench/exchange", tests);
}
