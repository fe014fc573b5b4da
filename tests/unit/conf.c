/* SPDX-License-Identifier: Apache-2.0 */
/* conf: every row of the parameter table, and its loading. */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "conf/conf.h"

extern char **environ;

static enum param_origin origins[CONF_MAX];
static struct conf conf;
static char why[768];

/* WEFT_ variables in the test's own environment must not affect its result. */
static int clear_environment(void **state)
{
	char name[128];
	char **env;

	(void)state;
	for (env = environ; *env;) {
		if (strncmp(*env, "WEFT_", 5)) {
			env++;
			continue;
		}
		name[0] = 0;
		strncat(name, *env, strcspn(*env, "=") < sizeof(name) ? strcspn(*env, "=") : sizeof(name) - 1);
		unsetenv(name);
	}
	log_set_sink(NULL);
	log_set_stderr(LOG_LEVEL_OFF);
	return 0;
}

static int read_number(const struct param *p, const char *text, int64_t *out)
{
	int i;

	switch (p->type) {
	case PARAM_INT: return text_to_int(text, out);
	case PARAM_BOOL: return text_to_bool(text, out);
	case PARAM_BYTES: return text_to_bytes(text, out);
	case PARAM_TIME: return text_to_us(text, out);
	case PARAM_CHOICE:
		for (i = 0; i < PARAM_CHOICES && p->choices[i]; i++)
			if (!strcmp(p->choices[i], text)) {
				*out = i;
				return 0;
			}
		return -EINVAL;
	default: return -EINVAL;
	}
}

static void names_are_unique_and_ours(void **state)
{
	size_t i, j, k;

	(void)state;
	assert_in_range(conf_count, 1, CONF_MAX);
	for (i = 0; i < conf_count; i++) {
		const char *name = conf_table[i].name;

		assert_non_null(name);
		assert_int_equal(strncmp(name, "WEFT_", 5), 0);
		for (k = 5; name[k]; k++)
			assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", name[k]));
		assert_in_range(k, 6, 40);
		for (j = 0; j < i; j++)
			assert_string_not_equal(name, conf_table[j].name);
	}
}

static size_t bytes_of(const struct param *p)
{
	return p->type == PARAM_TEXT ? PARAM_TEXT_BYTES : sizeof(int64_t);
}

/* No two values overlap, all lie inside the struct, and every field has a row. */
static void values_lie_apart(void **state)
{
	size_t i, j, total = 0;

	(void)state;
	for (i = 0; i < conf_count; i++) {
		const struct param *a = &conf_table[i];

		assert_true(a->offset + bytes_of(a) <= sizeof(struct conf));
		total += bytes_of(a);
		for (j = 0; j < i; j++) {
			const struct param *b = &conf_table[j];

			assert_true(a->offset + bytes_of(a) <= b->offset || b->offset + bytes_of(b) <= a->offset);
		}
	}
	assert_int_equal(total, sizeof(struct conf));
}

static void defaults_and_bounds_are_consistent(void **state)
{
	int64_t value, min, max;
	size_t i;

	(void)state;
	for (i = 0; i < conf_count; i++) {
		const struct param *p = &conf_table[i];

		assert_non_null(p->value);
		assert_true((p->type == PARAM_CHOICE) == (p->choices[0] != NULL));
		assert_true(!p->min == !p->max);
		if (p->type == PARAM_TEXT) {
			assert_true(strlen(p->value) < PARAM_TEXT_BYTES);
			assert_null(p->min);
			continue;
		}
		if (p->word) {
			assert_string_equal(p->value, p->word);
			continue;
		}
		if (read_number(p, p->value, &value))
			fail_msg("the default of %s is no value", p->name);
		if (p->type == PARAM_INT || p->type == PARAM_BYTES || p->type == PARAM_TIME)
			assert_non_null(p->min);
		if (!p->min)
			continue;
		assert_int_equal(read_number(p, p->min, &min), 0);
		assert_int_equal(read_number(p, p->max, &max), 0);
		assert_true(min < max);
		assert_true(min <= value && value <= max);
	}
}

static void docs_are_sentences(void **state)
{
	size_t i, len;

	(void)state;
	for (i = 0; i < conf_count; i++) {
		const char *doc = conf_table[i].doc;

		assert_non_null(doc);
		len = strlen(doc);
		assert_true(len > 20);
		if (doc[len - 1] != '.' || doc[0] < 'A' || doc[0] > 'Z' || strstr(doc, "  "))
			fail_msg("the text of %s is not made of sentences", conf_table[i].name);
	}
}

static void loads_defaults(void **state)
{
	char text[PARAM_TEXT_BYTES];
	size_t i;

	(void)state;
	memset(&conf, 0x5a, sizeof(conf));
	assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), 0);
	for (i = 0; i < conf_count; i++) {
		assert_int_equal(origins[i], PARAM_FROM_DEFAULT);
		param_value_text(&conf_table[i], &conf, text, sizeof(text));
		assert_string_equal(text, conf_table[i].value); /* the table uses the shortest form */
	}
	assert_string_equal(conf.provider, "auto");
	assert_string_equal(conf.nics, "");
	assert_int_equal(conf.lifeline, 1);
	assert_int_equal(conf.log, LOG_LEVEL_OFF);
}

static void loads_the_environment(void **state)
{
	(void)state;
	setenv("WEFT_PROVIDER", "shm", 1);
	setenv("WEFT_NICS", "^eth*", 1);
	setenv("WEFT_CONNECT_TIMEOUT", "0", 1);
	setenv("WEFT_CLOSE_TIMEOUT", "150ms", 1);
	setenv("WEFT_LIFELINE", "no", 1);
	setenv("WEFT_LIFELINE_ADDR", "127.0.0.1", 1);
	setenv("WEFT_PEER_TIMEOUT", "5", 1);
	setenv("WEFT_CQ_DEPTH", "256", 1);
	setenv("WEFT_CTRL_BUFFERS", "8", 1);
	setenv("WEFT_LOG", "Debug", 1);
	assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), 0);
	assert_string_equal(conf.provider, "shm");
	assert_string_equal(conf.nics, "^eth*");
	assert_int_equal(conf.connect_timeout_us, 0);
	assert_int_equal(conf.close_timeout_us, 150000);
	assert_int_equal(conf.lifeline, 0);
	assert_string_equal(conf.lifeline_addr, "127.0.0.1");
	assert_int_equal(conf.peer_timeout_us, 5000000);
	assert_int_equal(conf.cq_depth, 256);
	assert_int_equal(conf.ctrl_buffers, 8);
	assert_int_equal(conf.log, LOG_LEVEL_DEBUG);
	assert_int_equal(origins[0], PARAM_FROM_ENVIRONMENT);
}

/* Values just outside each bound, and nonsense, for every row with bounds or choices. */
static void refuses_values_out_of_bounds(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < conf_count; i++) {
		if (conf_table[i].type == PARAM_TEXT)
			continue;
		setenv(conf_table[i].name, "nonsense", 1);
		assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, conf_table[i].name));
		assert_non_null(strstr(why, "nonsense"));
		setenv(conf_table[i].name, "-1", 1);
		assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), -EINVAL);
		if (conf_table[i].max) {
			setenv(conf_table[i].name, "99999999999", 1);
			assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), -EINVAL);
			assert_non_null(strstr(why, conf_table[i].max));
		}
		unsetenv(conf_table[i].name);
		assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), 0);
	}
}

static void refuses_values_that_do_not_go_together(void **state)
{
	static const struct {
		const char *depth, *buffers;
		bool good;
	} rows[] = {
		{"512", "4096", false}, {"512", "257", false},	{"512", "256", true},
		{"256", "128", true},	{"8192", "4096", true}, {"8190", "4096", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		setenv("WEFT_CQ_DEPTH", rows[i].depth, 1);
		setenv("WEFT_CTRL_BUFFERS", rows[i].buffers, 1);
		*why = 0;
		assert_int_equal(conf_load(&conf, origins, why, sizeof(why)), rows[i].good ? 0 : -EINVAL);
		if (rows[i].good)
			continue;
		assert_non_null(strstr(why, "WEFT_CQ_DEPTH"));
		assert_non_null(strstr(why, rows[i].depth));
		assert_non_null(strstr(why, "WEFT_CTRL_BUFFERS"));
		assert_non_null(strstr(why, rows[i].buffers));
	}
}

static void warns_of_unknown_variables(void **state)
{
	const char *text;

	(void)state;
	unit_log_catch();
	setenv("WEFT_NICS", "lo", 1);
	unit_stderr_begin();
	conf_warn_unknown();
	assert_string_equal(unit_stderr_end(), "");
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 0);

	setenv("WEFT_PROVDER", "tcp", 1);
	unit_stderr_begin();
	conf_warn_unknown();
	text = unit_stderr_end();
	assert_int_equal(unit_occurrences(text, "\n"), 1);
	assert_non_null(strstr(text, "WEFT_PROVDER"));
	assert_non_null(strstr(text, "WEFT_PROVIDER"));
	assert_int_equal(unit_log_count(LOG_LEVEL_WARN), 1);

	setenv("WEFT_QUITE_ANOTHER_THING", "1", 1);
	unit_stderr_begin();
	conf_warn_unknown();
	text = unit_stderr_end();
	assert_int_equal(unit_occurrences(text, "\n"), 2);
	assert_non_null(strstr(text, "WEFT_QUITE_ANOTHER_THING"));
	assert_non_null(strstr(text, "weft-info"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, clear_environment, clear_environment)
	static const struct CMUnitTest tests[] = {
		TEST(names_are_unique_and_ours),
		TEST(values_lie_apart),
		TEST(defaults_and_bounds_are_consistent),
		TEST(docs_are_sentences),
		TEST(loads_defaults),
		TEST(loads_the_environment),
		TEST(refuses_values_out_of_bounds),
		TEST(refuses_values_that_do_not_go_together),
		TEST(warns_of_unknown_variables),
	};

	return unit_run("conf", tests);
}
