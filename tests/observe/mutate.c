/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records with random damage: whatever reads them ends, and shows no control character. For the sanitizers
 * above all.
 */
#include "unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "observe/events.h"
#include "observe/made.h"
#include "observe/metrics.h"
#include "observe/report.h"

#define ROUNDS 3000

static char dir[] = "/tmp/weft-mutate-XXXXXX";

/* Values that are more likely to hurt than random ones. */
static uint64_t bad_value(uint64_t *seed)
{
	static const uint64_t values[] = {0,	      1,       UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1,
					  UINT32_MAX, 1 << 24, 4096,	   255};
	uint32_t r = unit_random(seed);

	return r % 3 ? values[r / 3 % COUNT(values)] : (uint64_t)unit_random(seed) << 32 | unit_random(seed);
}

static void damage(const struct made *m, uint64_t *seed)
{
	uint64_t value, at;
	int i, n = 1 + (int)(unit_random(seed) % 8);

	for (i = 0; i < n; i++) {
		/* Half of the damage goes to the head's numbers. */
		at = unit_random(seed) % (unit_random(seed) % 2 ? UINT64_C(256) : m->bytes - 8);
		value = bad_value(seed);
		memcpy((char *)m->map + (at & (unit_random(seed) % 2 ? ~UINT64_C(7) : ~UINT64_C(3))), &value,
		       sizeof(value));
	}
}

/* Everything that a program could do with the records. Returns the number of records that were read. */
static size_t read_all(const struct snapshot *before)
{
	struct snapshot_want want = {.events = true};
	struct snapshot *now = snapshot_take(&want);
	struct report_lines lines = {0};
	struct view *v = view_make(before, now);
	struct retired_list retired = {0};
	struct metrics_want metrics = {.view = v, .retired = &retired, .peers = 8};
	json_t *json, *trace = events_trace(now);
	char *text = NULL;
	size_t i, bytes, count = now->count;
	FILE *nowhere = fopen("/dev/null", "w"), *memory = open_memstream(&text, &bytes);
	const char *p;

	assert_int_equal(report_json(v, (size_t)(count % 2 ? JSON_COMPACT : JSON_INDENT(2)), memory), 0);
	fclose(memory);
	json = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "processes")), v->count);
	assert_non_null(trace);
	assert_int_equal(report_text(v, 80, &lines), 0);
	for (i = 0; i < lines.count; i++) {
		assert_true(strlen(lines.line[i].text) <= 80);
		for (p = lines.line[i].text; *p; p++)
			assert_in_range((unsigned char)*p, ' ', '~');
	}
	assert_int_equal(events_print(now, nowhere), 0);
	assert_int_equal(retired_update(&retired, before, now), 0);
	assert_int_equal(metrics_write(&metrics, nowhere), 0);
	free(retired.item);
	fclose(nowhere);
	free(text);
	json_decref(json);
	json_decref(trace);
	report_lines_free(&lines);
	view_free(v);
	snapshot_free(now);
	return count;
}

static void damaged_records(void **state)
{
	static const char *const scenario[] = {"healthy", "receiver-late", "slow-rail",	     "gone",
					       "stuck",	  "unpolled",	   "endpoint-closed"};
	struct made_want want = {
		.dir = dir, .pid = (uint64_t)getpid(), .comms = 8, .host = "a", .peer_host = "b", .peer_pid = 7};
	struct snapshot_want all = {0};
	uint64_t seed = 17;
	size_t read = 0;
	int i;

	(void)state;
	for (i = 0; i < ROUNDS; i++) {
		struct snapshot *before;
		struct made m;

		assert_int_equal(made_open(&m, &want), 0);
		assert_int_equal(made_scenario(&m, &want, scenario[i % (int)COUNT(scenario)]), 0);
		before = snapshot_take(&all);
		assert_int_equal(before->count, 1);
		damage(&m, &seed);
		if (i % 16 == 0)
			assert_int_equal(truncate(m.path, (off_t)(unit_random(&seed) % m.bytes)), 0);
		read += read_all(before);
		made_close(&m);
		assert_int_equal(unlink(m.path), 0);
		snapshot_free(before);
	}
	/* Much of the damage leaves a record that is read. */
	assert_true(read > ROUNDS / 10);
	assert_true(read < ROUNDS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(damaged_records)};
	char path[64];
	int rc;

	if (!mkdtemp(dir))
		return 1;
	setenv("WEFT_STATS_DIR", dir, 1);
	rc = unit_run("mutate", tests);
	snprintf(path, sizeof(path), "rm -rf '%s'", dir);
	return system(path) || rc;
}
