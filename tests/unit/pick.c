/* SPDX-License-Identifier: Apache-2.0 */
/* fabric: the NICs that match a list, and the reports about the rest. On plain data. */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/fab.h"
#include "fabric/pick.h"

static const struct fab_nic nics[] = {
	{.name = "rdmap0-rdm", .provider = "efa", .pci = "0000:4f:00.0", .number = 0},
	{.name = "rdmap1-rdm", .provider = "efa", .pci = "0000:ab:00.0", .number = 1},
	{.name = "ib2", .provider = "verbs;ofi_rxm", .pci = "0001:ab:00.1", .number = 2},
	{.name = "e3", .provider = "net", .number = 3},
	{.name = "eth0:1", .provider = "net", .number = 10}, /* an alias of an interface */
};

/* The numbers of the NICs that the list matches, "0 1 10". */
static const char *taken(const char *list)
{
	static char text[64];
	size_t i, used = 0;

	text[0] = 0;
	for (i = 0; i < COUNT(nics); i++)
		if (pick_takes(list, &nics[i]))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", used ? " " : "",
						 nics[i].number);
	return text;
}

struct row {
	const char *list, *numbers;
	bool misses;
};

static void check(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(taken(rows[i].list), rows[i].numbers))
			fail_msg("\"%s\" takes %s, not %s", rows[i].list, taken(rows[i].list), rows[i].numbers);
		if (pick_misses(rows[i].list, nics, (int)COUNT(nics)) != rows[i].misses)
			fail_msg("\"%s\": all of it means something: %d", rows[i].list, rows[i].misses);
	}
}

static void by_name(void **state)
{
	static const struct row rows[] = {
		{"ib2", "2", false},
		{"rdmap?-rdm", "0 1", false},
		{"rdmap*, e3", "0 1 3", false},
		{"*", "0 1 2 3 10", false},
		{"IB2", "", true},
		{"e3,e4", "3", true},
		{"a*", "", true}, /* an address needs a colon */
		{"eth0:1", "10", false},
	};

	(void)state;
	check(rows, COUNT(rows));
}

static void by_address(void **state)
{
	static const struct row rows[] = {
		{"0000:ab:00.0", "1", false}, {"ab:00.0", "1", false}, /* short for domain 0000 */
		{"AB:00.0", "1", false},      {"0001:ab:00.1", "2", false},
		{"ab:00.1", "", true},	      {"*:ab:*", "1 2", false},
		{"ab:*", "1", false},	      {"0000:[4a]*", "0 1", false},
		{"*:*", "0 1 2 10", false}, /* an alias has a colon, too */
		{"0000:ab:00", "", true},     {"0000:ac:00.0,4f:00.0", "0", true},
	};

	(void)state;
	check(rows, COUNT(rows));
}

static void by_number(void **state)
{
	static const struct row rows[] = {
		{"#0", "0", false},	  {"#1,#10", "1 10", false},
		{"#1-3", "1 2 3", false}, {"#0-99", "0 1 2 3 10", false},
		{"#4", "", true},	  {"#4-9", "", true},
		{"#3-1", "", true},	  {"#", "", true},
		{"#x", "", true},	  {"#1x", "", true},
		{"#1-", "", true},	  {"#1-2x", "", true},
		{"#-1", "", true},	  {"# 1", "", true},
		{"#+1", "", true},	  {"#1- 2", "", true},
		{"#0--1", "", true},
	};

	(void)state;
	check(rows, COUNT(rows));
}

static void all_but(void **state)
{
	static const struct row rows[] = {
		{"^ib2", "0 1 3 10", false},
		{"^#0-1,ib2", "3 10", false}, /* the leading ^ applies to the whole list */
		{"^#0-1,^ib2", "3 10", false},
		{"rdmap*,^4f:*", "1", false},
		{"^4f:00.0", "1 2 3 10", false},
		{"*,^#0,^e*", "1 2", false},
		{"^e*,*", "", false},
		{"^", "0 1 2 3 10", false},
		{"^*", "", false},
		{"^nosuch", "0 1 2 3 10", true},
		{"ib2,^nosuch", "2", true},
		{"ib2,^ib2", "", false},
	};

	(void)state;
	check(rows, COUNT(rows));
}

static void nothing(void **state)
{
	static const struct row rows[] = {
		{"", "", false},
		{",", "", false},
		{" , ", "", false},
		{",,ib2,", "2", false},
	};

	(void)state;
	check(rows, COUNT(rows));
}

/* A single-host provider names its device after itself; users write lo for it. */
static void one_host(void **state)
{
	static const struct fab_nic shm = {.name = "shm", .provider = "shm"};

	(void)state;
	assert_true(pick_takes("lo", &shm));
	assert_true(pick_takes("shm", &shm));
	assert_true(pick_takes("^lo", &shm));
	assert_false(pick_takes("^shm", &shm));
	assert_false(pick_takes("eth0", &shm));
	assert_false(pick_misses("lo", &shm, 1));
}

static void explains(void **state)
{
	char text[512];

	(void)state;
	assert_string_equal(pick_explain("rdmap*,^e4,^ab:00.0", nics, 4, text, sizeof(text)),
			    "`rdmap*` means 2, `^e4` means none, `^ab:00.0` means 1; there are #0 rdmap0-rdm "
			    "(0000:4f:00.0), #1 rdmap1-rdm (0000:ab:00.0), #2 ib2 (0001:ab:00.1), #3 e3");
	assert_string_equal(pick_explain("^e4,x", nics, 1, text, sizeof(text)),
			    "`^e4` means none, `^x` means none; there is #0 rdmap0-rdm (0000:4f:00.0)");
	assert_string_equal(pick_explain("x", nics, 4, text, 100),
			    "`x` means none; there are #0 rdmap0-rdm (0000:4f:00.0) and 3 more");
	assert_string_equal(pick_explain("x", nics, 4, text, 50), "`x` means none; there are 4");
}

/* Output stays within bounds at any size: the sanitizers and valgrind would report it. */
static void keeps_its_bounds(void **state)
{
	char list[PARAM_TEXT_BYTES], *text;
	size_t bytes;

	(void)state;
	memset(list, 'n', sizeof(list) - 1);
	list[sizeof(list) - 1] = 0;
	for (bytes = 1; bytes < 400; bytes++) {
		text = malloc(bytes);
		assert_non_null(text);
		assert_true(strlen(pick_explain(list, nics, (int)COUNT(nics), text, bytes)) < bytes);
		free(text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name),  cmocka_unit_test(by_address),	cmocka_unit_test(by_number),
		cmocka_unit_test(all_but),  cmocka_unit_test(nothing),		cmocka_unit_test(one_host),
		cmocka_unit_test(explains), cmocka_unit_test(keeps_its_bounds),
	};

	return unit_run("pick", tests);
}
