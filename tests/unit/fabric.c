/* SPDX-License-Identifier: Apache-2.0 */
/* fabric: which provider and which NICs, and the reasons given. Opens nothing. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fabric/fab.h"
#include "fabric/internal.h"
#include "fabric/provider.h"

static struct fab_report report;

static void discover(const char *provider, const char *nics)
{
	struct conf conf;

	memset(&conf, 0, sizeof(conf));
	snprintf(conf.provider, sizeof(conf.provider), "%s", provider);
	snprintf(conf.nics, sizeof(conf.nics), "%s", nics);
	memset(&report, 0xa5, sizeof(report));
	assert_int_equal(fab_discover(&conf, &report), 0);
}

static int end(void **state)
{
	(void)state;
	fab_report_fini(&report);
	return 0;
}

static const struct fab_candidate *chosen(void)
{
	const struct fab_candidate *c = NULL;
	int i;

	for (i = 0; i < report.candidate_count; i++)
		if (report.candidates[i].chosen) {
			assert_null(c);
			c = &report.candidates[i];
		}
	return c;
}

static const struct fab_candidate *candidate(const char *provider)
{
	int i;

	for (i = 0; i < report.candidate_count; i++)
		if (!strcmp(report.candidates[i].provider, provider))
			return &report.candidates[i];
	return NULL;
}

static const struct fab_nic *nic(const char *name)
{
	int i;

	for (i = 0; i < report.nic_count; i++)
		if (!strcmp(report.nics[i].name, name))
			return &report.nics[i];
	return NULL;
}

static void names_of_providers(void **state)
{
	static const struct {
		const char *wish, *name;
		bool is;
	} rows[] = {
		{"tcp", "tcp", true},
		{"tcp", "net", true}, /* what 1.17 calls it */
		{"TCP", "net", true},
		{"net", "net", true},
		{"net", "tcp", false},
		{"tcp", "tcp;ofi_rxm", false}, /* only by its whole name */
		{"tcp;ofi_rxm", "tcp;ofi_rxm", true},
		{"verbs", "verbs;ofi_rxm", true},
		{"udp", "udp;ofi_rxd", true},
		{"efa", "efa", true},
		{"shm", "shm", true},
		{"shm", "sm2", false},
		{"auto", "auto", true},
		{"", "tcp", false},
		{"mystery", "mystery", true},
		{"mystery", "tcp", false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++)
		if (provider_is(rows[i].wish, rows[i].name) != rows[i].is)
			fail_msg("WEFT_PROVIDER=%s and %s", rows[i].wish, rows[i].name);
}

static void facts_of_providers(void **state)
{
	static const char *const names[] = {
		"efa",         "verbs;ofi_rxm", "tcp",         "net", "tcp;ofi_rxm",
		"net;ofi_rxm", "sockets",       "udp;ofi_rxd", "shm", "sm2"};
	const struct provider_facts *facts;
	size_t i;

	(void)state;
	assert_true(provider_facts("efa")->rank > provider_facts("verbs;ofi_rxm")->rank);
	assert_true(provider_facts("verbs;ofi_rxm")->rank > provider_facts("tcp")->rank);
	assert_int_equal(provider_facts("tcp")->rank, provider_facts("net")->rank);
	assert_true(provider_facts("net")->rank > provider_facts("tcp;ofi_rxm")->rank);
	for (i = 0; i < COUNT(names); i++) {
		facts = provider_facts(names[i]);
		assert_string_equal(facts->name, names[i]);
		assert_true(!facts->rank ==
			    !!facts->on_demand); /* no default without a reason, and no other */
		if (facts->local_only)
			assert_int_equal(facts->rank, 0);
	}
	facts = provider_facts("mystery");
	assert_int_equal(facts->rank, 0);
	assert_non_null(facts->on_demand);
	assert_false(facts->ip || facts->local_only || facts->efa_options);
}

static void errors_become_errno(void **state)
{
	(void)state;
	assert_int_equal(fab_errno(0), 0);
	assert_int_equal(fab_errno(7), 0);
	assert_int_equal(fab_errno(-EAGAIN), -EAGAIN);
	assert_int_equal(fab_errno(-ENOMEM), -ENOMEM);
	assert_int_equal(fab_errno(-255), -255);
	assert_int_equal(fab_errno(-256), -EIO); /* from here on they are libfabric's own */
	assert_int_equal(fab_errno(-265), -EIO);
	assert_int_equal(fab_errno(-100000), -EIO);
}

static void takes_the_best(void **state)
{
	const struct fab_candidate *c;
	int i;

	(void)state;
	discover("auto", "");
	c = chosen();
	assert_non_null(c);
	assert_string_equal(c->why, "");
	assert_int_equal(report.why[0], 0);
	assert_false(report.user_error);
	assert_in_range(report.nic_count, 1, 4096);
	for (i = 0; i < report.nic_count; i++)
		assert_string_equal(report.nics[i].provider, c->provider);
	for (i = 0; i < report.candidate_count; i++) {
		const struct fab_candidate *other = &report.candidates[i];

		if (!other->nics) {
			assert_non_null(strstr(other->why, "not here: "));
			continue;
		}
		assert_true(provider_facts(other->provider)->rank <=
			    provider_facts(c->provider)->rank);
		if (other == c)
			continue;
		if (provider_facts(other->provider)->rank)
			assert_non_null(strstr(other->why, "is better"));
		else
			assert_non_null(strstr(other->why, "only on demand: "));
	}
}

static void leaves_the_loopback_out(void **state)
{
	bool only_loopback = true;
	int i;

	(void)state;
	discover("tcp", "");
	assert_in_range(report.nic_count, 1, 4096);
	for (i = 0; i < report.nic_count; i++)
		only_loopback &= report.nics[i].loopback;
	assert_true(only_loopback || !nic("lo"));
}

static void means_the_native_tcp(void **state)
{
	const struct fab_candidate *c;
	int i;

	(void)state;
	discover("tcp", "lo");
	c = chosen();
	assert_non_null(c);
	assert_true(!strcmp(c->provider, "tcp") || !strcmp(c->provider, "net"));
	for (i = 0; i < report.candidate_count; i++)
		if (!report.candidates[i].chosen && report.candidates[i].nics)
			assert_non_null(strstr(report.candidates[i].why, "WEFT_PROVIDER=tcp"));
}

static void takes_one_nic_by_name(void **state)
{
	uint8_t ip[16];

	(void)state;
	discover("tcp", "lo");
	assert_int_equal(report.nic_count, 1);
	assert_string_equal(report.nics[0].name, "lo");
	assert_true(report.nics[0].loopback);
	assert_non_null(report.nics[0].info);
	assert_string_equal(report.nics[0].pci, "");
	assert_false(fab_nic_local_only(&report.nics[0]));
	assert_int_equal(fab_nic_ip(&report.nics[0], ip), 4); /* before its IPv6 addresses */
	assert_int_equal(ip[0], 127);
}

static void takes_nics_by_pattern(void **state)
{
	static const char *const patterns[] = {"l*", "l?", "[l]o", "*", "nosuch,lo", "^nosuch"};
	int all;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(patterns); i++) {
		discover("tcp", patterns[i]);
		assert_non_null(nic("lo"));
		fab_report_fini(&report);
	}
	discover("tcp", "*");
	all = report.nic_count;
	assert_int_equal(chosen()->nics, all);
	fab_report_fini(&report);
	discover("tcp", "^lo");
	assert_null(nic("lo"));
	assert_int_equal(report.nic_count, all - 1);
	if (!report.nic_count)
		assert_true(report.user_error);
}

static void lists_each_nic_once(void **state)
{
	int i, j;

	(void)state;
	discover("tcp", "*");
	for (i = 0; i < report.nic_count; i++)
		for (j = 0; j < i; j++) {
			assert_string_not_equal(report.nics[i].name, report.nics[j].name);
			assert_true(report.nics[i].loopback >=
				    report.nics[j].loopback); /* loopback last */
		}
}

static void explains_a_pattern_without_nics(void **state)
{
	(void)state;
	discover("tcp", "nosuch*");
	assert_int_equal(report.nic_count, 0);
	assert_true(report.user_error);
	assert_non_null(strstr(report.why, "WEFT_NICS=nosuch*"));
	assert_non_null(strstr(report.why, "lo"));
}

static void explains_an_impossible_provider(void **state)
{
	int i;

	(void)state;
	discover("nonsense", "lo");
	assert_int_equal(report.nic_count, 0);
	assert_null(chosen());
	assert_true(report.user_error);
	assert_non_null(strstr(report.why, "WEFT_PROVIDER=nonsense"));
	for (i = 0; i < report.candidate_count; i++) {
		if (!report.candidates[i].nics)
			continue;
		assert_non_null(strstr(report.why, report.candidates[i].provider));
		assert_non_null(strstr(report.candidates[i].why, "WEFT_PROVIDER=nonsense"));
	}
}

/* A provider that a user would expect here, but libfabric does not list. */
static void explains_an_absent_provider(void **state)
{
	const struct fab_candidate *c;
	char name[FAB_NAME_BYTES];
	int i, absent = 0;

	(void)state;
	discover("auto", "");
	for (i = 0; i < report.candidate_count; i++) {
		c = &report.candidates[i];
		if (c->nics)
			continue;
		absent++;
		assert_false(c->chosen);
		assert_non_null(strstr(c->why, "it needs "));
	}
	if (!absent)
		skip();
	for (i = 0; i < report.candidate_count; i++)
		if (!report.candidates[i].nics)
			break;
	snprintf(name, sizeof(name), "%s", report.candidates[i].provider);
	fab_report_fini(&report);
	discover(name, "lo"); /* asked for all the same */
	assert_int_equal(report.nic_count, 0);
	assert_true(report.user_error);
	assert_non_null(strstr(report.why, name));
}

/* However long the settings, every text keeps its end and its bounds. */
static void bounds_its_texts(void **state)
{
	char longer[PARAM_TEXT_BYTES];

	(void)state;
	memset(longer, 'n', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	discover(longer, longer);
	assert_int_equal(report.nic_count, 0);
	assert_true(strlen(report.why) < sizeof(report.why));
	assert_non_null(strstr(report.why, "it has: "));
	fab_report_fini(&report);
	discover("tcp", longer);
	assert_int_equal(report.nic_count, 0);
	assert_non_null(strstr(report.why, "lo"));
}

static void shm_on_demand(void **state)
{
	uint8_t ip[16];

	(void)state;
	discover("auto", "lo");
	if (!candidate("shm"))
		skip();
	assert_non_null(strstr(candidate("shm")->why, "this host only"));
	fab_report_fini(&report);
	discover("shm",
		 "lo"); /* what users of one host write, whatever the provider calls its device */
	assert_int_equal(report.nic_count, 1);
	assert_string_equal(report.nics[0].provider, "shm");
	assert_true(fab_nic_local_only(&report.nics[0]));
	assert_int_equal(fab_nic_ip(&report.nics[0], ip), 0);
	fab_report_fini(&report);
	discover("shm", "");
	assert_int_equal(report.nic_count, 1);
}

static void ends_twice(void **state)
{
	(void)state;
	discover("tcp", "lo");
	fab_report_fini(&report);
	assert_int_equal(report.nic_count, 0);
	assert_null(report.nics);
	fab_report_fini(&report);
}

static void knows_its_library(void **state)
{
	(void)state;
	assert_non_null(strstr(fab_library_version(), "API "));
	assert_in_range(fab_library_version()[0], '1', '9');
	assert_non_null(strstr(fab_library_path(), "libfabric"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, end)
	static const struct CMUnitTest tests[] = {
		TEST(names_of_providers),
		TEST(facts_of_providers),
		TEST(errors_become_errno),
		TEST(takes_the_best),
		TEST(leaves_the_loopback_out),
		TEST(means_the_native_tcp),
		TEST(takes_one_nic_by_name),
		TEST(takes_nics_by_pattern),
		TEST(lists_each_nic_once),
		TEST(explains_a_pattern_without_nics),
		TEST(explains_an_impossible_provider),
		TEST(explains_an_absent_provider),
		TEST(bounds_its_texts),
		TEST(shm_on_demand),
		TEST(ends_twice),
		TEST(knows_its_library),
	};

	return unit_run("fabric", tests);
}
