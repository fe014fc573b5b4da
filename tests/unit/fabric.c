/* SPDX-License-Identifier: Apache-2.0 */
/* fabric: choice of the provider and NICs, and the reported reasons. No device is opened. */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "fabric/address.h"
#include "fabric/fab.h"
#include "fabric/lib.h"
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

/* Must be the first test: the preparation happens once in a process. */
static void prepares_the_process(void **state)
{
	struct rlimit before, limit;
	rlim_t high;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	high = before.rlim_max < 65536 ? before.rlim_max : 65536;
	if (high <= 200)
		skip();
	limit = (struct rlimit){.rlim_cur = 200, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	unsetenv("RDMAV_FORK_SAFE");
	unsetenv("IBV_FORK_SAFE");
	unsetenv("FI_EFA_FORK_SAFE");
	discover("tcp", "lo");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, high);
	assert_int_equal(limit.rlim_max, before.rlim_max);
	if (getenv("FI_EFA_FORK_SAFE"))
		assert_non_null(strstr(fab_fork_text(), "FI_EFA_FORK_SAFE=1: "));
	else
		assert_non_null(strstr(fab_fork_text(), "fork over efa is safe"));
	setrlimit(RLIMIT_NOFILE, &before);
}

/* An error while the process has no descriptor left says so, whatever text the provider gives. */
static void says_what_has_run_out(void **state)
{
	struct rlimit before, none;
	char text[256];

	(void)state;
	discover("tcp", "lo");
	assert_string_equal(fab_exhausted(text, sizeof(text)), "");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	unit_log_catch();
	assert_int_equal(fab_failed(&report.nics[0], "fi_some", -EIO), -EIO);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_true(unit_log_has(LOG_LEVEL_WARN, "all 0 descriptors that it may"));
	assert_true(unit_log_has(LOG_LEVEL_WARN, "ulimit -n"));
}

static void names_of_providers(void **state)
{
	static const struct {
		const char *requested, *name;
		bool is;
	} rows[] = {
		{"tcp", "tcp", true},
		{"tcp", "net", true}, /* its name in libfabric 1.17 */
		{"TCP", "net", true},
		{"net", "net", true},
		{"net", "tcp", false},
		{"tcp", "tcp;ofi_rxm", false}, /* matches its whole name only */
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
		if (provider_is(rows[i].requested, rows[i].name) != rows[i].is)
			fail_msg("WEFT_PROVIDER=%s and %s", rows[i].requested, rows[i].name);
}

static void facts_of_providers(void **state)
{
	static const char *const names[] = {"efa",	   "verbs;ofi_rxm", "tcp",	   "net", "tcp;ofi_rxm",
					    "net;ofi_rxm", "sockets",	    "udp;ofi_rxd", "shm", "sm2"};
	const struct provider_quirks *quirks;
	size_t i;

	(void)state;
	assert_true(provider_quirks("efa")->rank > provider_quirks("verbs;ofi_rxm")->rank);
	assert_true(provider_quirks("verbs;ofi_rxm")->rank > provider_quirks("tcp")->rank);
	assert_int_equal(provider_quirks("tcp")->rank, provider_quirks("net")->rank);
	assert_true(provider_quirks("net")->rank > provider_quirks("tcp;ofi_rxm")->rank);
	for (i = 0; i < COUNT(names); i++) {
		quirks = provider_quirks(names[i]);
		assert_string_equal(quirks->name, names[i]);
		assert_true(!quirks->rank ==
			    !!quirks->on_demand); /* a reason exactly for the providers outside the default choice */
		if (quirks->local_only)
			assert_int_equal(quirks->rank, 0);
	}
	quirks = provider_quirks("mystery");
	assert_int_equal(quirks->rank, 0);
	assert_non_null(quirks->on_demand);
	assert_false(quirks->ip || quirks->local_only || quirks->efa_options);
}

static void errors_become_errno(void **state)
{
	(void)state;
	assert_int_equal(fab_errno(0), 0);
	assert_int_equal(fab_errno(7), 0);
	assert_int_equal(fab_errno(-EAGAIN), -EAGAIN);
	assert_int_equal(fab_errno(-ENOMEM), -ENOMEM);
	assert_int_equal(fab_errno(-255), -255);
	assert_int_equal(fab_errno(-256), -EIO); /* from this number on, errors are libfabric's own */
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
			assert_non_null(strstr(other->why, "unavailable: needs "));
			continue;
		}
		assert_true(provider_quirks(other->provider)->rank <= provider_quirks(c->provider)->rank);
		if (other == c)
			continue;
		if (provider_quirks(other->provider)->rank)
			assert_non_null(strstr(other->why, "is preferred"));
		else
			assert_non_null(strstr(other->why, "available on request (WEFT_PROVIDER="));
	}
}

static void leaves_the_loopback_out(void **state)
{
	bool only_loopback = true;
	int i;

	(void)state;
	discover("tcp", "");
	assert_in_range(report.nic_count, 1, 4096);
	for (i = 0; i < report.nic_count; i++) {
		only_loopback &= report.nics[i].loopback;
		assert_int_equal(report.nics[i].reach, report.nics[0].reach);
		assert_string_equal(report.nics[i].left_out, "");
	}
	for (; i < report.nic_seen; i++) {
		assert_true(report.nics[i].reach > report.nics[0].reach);
		assert_string_not_equal(report.nics[i].left_out, "");
	}
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
	assert_int_equal(fab_nic_ip(&report.nics[0], ip), 4); /* listed before its IPv6 addresses */
	assert_int_equal(ip[0], 127);
}

static void takes_nics_by_pattern(void **state)
{
	static const char *const patterns[] = {"l*", "l?", "[l]o", "*", "nosuch,lo"};
	int all, by_default;
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
	discover("tcp", "");
	by_default = report.nic_count;
	assert_in_range(by_default, 1, all);
	fab_report_fini(&report);
	discover("tcp", "^nosuch"); /* the default choice remains, less a NIC that does not exist */
	assert_int_equal(report.nic_count, by_default);
	assert_non_null(strstr(report.unmatched, "WEFT_NICS=^nosuch"));
	fab_report_fini(&report);
	discover("tcp", "^*");
	assert_int_equal(report.nic_count, 0);
	assert_true(report.user_error);
	for (i = 0; i < (size_t)report.nic_seen; i++)
		assert_string_not_equal(report.nics[i].left_out, "");
}

static void lists_each_nic_once(void **state)
{
	int i, j;

	(void)state;
	discover("tcp", "*");
	for (i = 0; i < report.nic_count; i++)
		for (j = 0; j < i; j++) {
			assert_string_not_equal(report.nics[i].name, report.nics[j].name);
			assert_true(report.nics[i].loopback >= report.nics[j].loopback); /* loopback last */
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

/* A provider that users would expect here, but that libfabric does not list. */
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
		assert_non_null(strstr(c->why, "needs "));
	}
	if (!absent)
		skip();
	for (i = 0; i < report.candidate_count; i++)
		if (!report.candidates[i].nics)
			break;
	snprintf(name, sizeof(name), "%s", report.candidates[i].provider);
	fab_report_fini(&report);
	discover(name, "lo"); /* still available on request */
	assert_int_equal(report.nic_count, 0);
	assert_true(report.user_error);
	assert_non_null(strstr(report.why, name));
}

/* With settings of any length, every text stays terminated and within its bounds. */
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
	discover("shm", "lo"); /* the usual name for one host, whatever device name the provider has */
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

/* Addresses that a stranger may send, on a NIC with an IPv4 address. */
static void checks_addresses_from_the_network(void **state)
{
	static const struct {
		int family;
		const char *ip;
		int port;
		const char *why; /* NULL: it is accepted */
	} rows[] = {
		{AF_INET, "127.0.0.1", 4000, NULL},
		{AF_INET, "10.1.2.3", 1, NULL},
		{AF_INET, "10.1.2.3", 0, "no address that NIC lo"},
		{AF_INET, "0.0.0.0", 4000, "no address"},
		{AF_INET, "224.0.0.1", 4000, "no address"},
		{AF_INET, "255.255.255.255", 4000, "no address"},
		{AF_INET6, "::1", 4000,
		 "uses an IPv6 address and NIC lo the IPv4 address 127.0.0.1: set WEFT_IP_FAMILY"},
		{AF_UNIX, "10.1.2.3", 4000, "no address"},
		{0, "10.1.2.3", 4000, "no address"},
		{0xffff, "10.1.2.3", 4000, "no address"},
	};
	char why[256];
	size_t i;

	(void)state;
	discover("tcp", "lo");
	if (report.nics[0].family != 4)
		skip();
	for (i = 0; i < COUNT(rows); i++) {
		struct sockaddr_in in = {.sin_family = (sa_family_t)rows[i].family,
					 .sin_port = htons((uint16_t)rows[i].port)};
		uint8_t addr[FAB_ADDR_BYTES] = {0};

		inet_pton(AF_INET, rows[i].ip, &in.sin_addr);
		memcpy(addr, &in, sizeof(in));
		*why = 0;
		if (address_fit(&report.nics[0], "", addr, why, sizeof(why)) != (rows[i].why ? -EADDRNOTAVAIL : 0) ||
		    !strstr(why, rows[i].why ? rows[i].why : ""))
			fail_msg("row %zu: %s", i, why);
		assert_memory_equal(addr, &in, sizeof(in));
	}
}

static void checks_addresses_that_are_text(void **state)
{
	static const struct {
		const char *addr;
		bool fits;
	} rows[] = {
		{"fi_shm://4242:0:0", true}, {"fi_shm://", false},	   {"fi_shm://../../etc/passwd", false},
		{"fi_shm:/4242:0:0", false}, {"fi_sm2://4242:0:0", false}, {"", false},
	};
	uint8_t addr[FAB_ADDR_BYTES];
	char why[256];
	size_t i;

	(void)state;
	discover("shm", "");
	if (report.nic_count != 1)
		skip();
	for (i = 0; i < COUNT(rows); i++) {
		memset(addr, 'x', sizeof(addr));
		memcpy(addr, rows[i].addr, strlen(rows[i].addr) + 1);
		if (!address_fit(&report.nics[0], "fi_shm://1:2:3", addr, why, sizeof(why)) != rows[i].fits)
			fail_msg("%s", rows[i].addr);
	}
	memset(addr, 'A', sizeof(addr)); /* not terminated */
	assert_int_equal(address_fit(&report.nics[0], "A", addr, why, sizeof(why)), -EADDRNOTAVAIL);
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
		TEST(prepares_the_process),
		TEST(says_what_has_run_out),
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
		TEST(checks_addresses_from_the_network),
		TEST(checks_addresses_that_are_text),
		TEST(knows_its_library),
	};

	return unit_run("fabric", tests);
}
