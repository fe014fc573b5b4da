/* SPDX-License-Identifier: Apache-2.0 */
/* conn: the function that advances a state machine, on a machine of the test's own. */
#include "unit/unit.h"

#include <errno.h>

#include "base/log.h"
#include "cm/fsm.h"

enum { FIRST, SECOND, THIRD, LAST };

struct machine {
	int returns[LAST]; /* result of each state's step */
	int calls[LAST];
};

static int first(void *machine)
{
	struct machine *m = machine;

	m->calls[FIRST]++;
	return m->returns[FIRST];
}

static int second(void *machine)
{
	struct machine *m = machine;

	m->calls[SECOND]++;
	return m->returns[SECOND];
}

static int third(void *machine)
{
	struct machine *m = machine;

	m->calls[THIRD]++;
	return m->returns[THIRD];
}

static const struct fsm_state table[] = {
	[FIRST] = {"first", first, 1u << SECOND | 1u << THIRD},
	[SECOND] = {"second", second, 1u << THIRD},
	[THIRD] = {"third", third, 1u << LAST},
	[LAST] = {"last", NULL, 0},
};

static void goes_to_the_end(void **state)
{
	struct machine m = {.returns = {SECOND, THIRD, LAST}};
	int at = FIRST;

	(void)state;
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0);
	assert_int_equal(at, LAST);
	assert_int_equal(m.calls[FIRST] + m.calls[SECOND] + m.calls[THIRD], 3);
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0); /* the final state stays final */
	assert_int_equal(at, LAST);
	assert_int_equal(m.calls[FIRST] + m.calls[SECOND] + m.calls[THIRD], 3);
}

static void skips_where_the_table_allows(void **state)
{
	struct machine m = {.returns = {THIRD, THIRD, LAST}};
	int at = FIRST;

	(void)state;
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0);
	assert_int_equal(at, LAST);
	assert_int_equal(m.calls[SECOND], 0);
}

static void stays(void **state)
{
	struct machine m = {.returns = {SECOND, FSM_STAY, LAST}};
	int at = FIRST;

	(void)state;
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0);
	assert_int_equal(at, SECOND);
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0);
	assert_int_equal(at, SECOND);
	assert_int_equal(m.calls[FIRST], 1);
	assert_int_equal(m.calls[SECOND], 2);
	m.returns[SECOND] = THIRD;
	assert_int_equal(fsm_run(table, &at, &m, "test"), 0);
	assert_int_equal(at, LAST);
}

static void passes_errors_on_in_silence(void **state)
{
	struct machine m = {.returns = {SECOND, -ETIMEDOUT, LAST}};
	int at = FIRST;

	(void)state;
	unit_log_catch();
	assert_int_equal(fsm_run(table, &at, &m, "test"), -ETIMEDOUT);
	assert_int_equal(at, SECOND);
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0); /* the step has logged its cause */
}

static void refuses_illegal_moves(void **state)
{
	static const int illegal[][2] = {{FIRST, FIRST},   {FIRST, LAST},  {SECOND, FIRST},
					 {SECOND, SECOND}, {THIRD, FIRST}, {THIRD, SECOND}};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(illegal); i++) {
		struct machine m = {.returns = {SECOND, THIRD, LAST}};
		int at = illegal[i][0];

		m.returns[at] = illegal[i][1];
		unit_log_catch();
		assert_int_equal(fsm_run(table, &at, &m, "test"), -EPROTO);
		assert_int_equal(at, illegal[i][0]);
		assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);
		assert_true(unit_log_has(LOG_LEVEL_WARN, table[illegal[i][0]].name));
		assert_true(unit_log_has(LOG_LEVEL_WARN, table[illegal[i][1]].name));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_to_the_end),
		cmocka_unit_test(skips_where_the_table_allows),
		cmocka_unit_test(stays),
		cmocka_unit_test(passes_errors_on_in_silence),
		cmocka_unit_test(refuses_illegal_moves),
	};

	return unit_run("steps", tests);
}
