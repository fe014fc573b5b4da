/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base and peer: network interfaces that other hosts can be expected to reach, on simulated hosts and on this kernel.
 */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/netif.h"
#include "peer/address.h"

enum { CABLE = 1, BRIDGED, DOCKER, LOOP, DUMMY, POD, PORT, TUN, PPP, BMC, DARK, VLAN, VRF };

/* A host with one interface of each kind. */
static struct netif ifs[] = {
	{.name = "lo", .index = LOOP, .loopback = true, .link = true},
	{.name = "docker0", .kind = "bridge", .index = DOCKER, .link = true},
	{.name = "a", .kind = "veth", .index = POD, .link = true},
	{.name = "b", .kind = "veth", .index = PORT, .master = DOCKER, .link = true},
	{.name = "tap0", .kind = "tun", .index = TUN, .link = true},
	{.name = "ppp0", .index = PPP, .tunnel = true, .link = true},
	{.name = "usb0", .index = BMC, .usb = true, .link = true},
	{.name = "eth0", .index = CABLE, .master = VRF, .link = true},
	{.name = "eth1", .index = DARK},
	{.name = "br0", .kind = "bridge", .index = BRIDGED, .link = true},
	{.name = "eth0.5", .kind = "vlan", .index = VLAN, .master = BRIDGED, .link = true},
	{.name = "kube", .kind = "dummy", .index = DUMMY, .link = true},
	{.name = "vrf7", .kind = "vrf", .index = VRF, .link = true},
};

static struct netif_addr addrs[32];

static struct netif_list host(void)
{
	return (struct netif_list){.ifs = ifs, .if_count = (int)COUNT(ifs), .addrs = addrs};
}

static int to_ip(const char *text, uint8_t ip[16])
{
	int family = address_from_text(text, ip);

	if (!family)
		fail_msg("%s is no address", text);
	return family;
}

static void add(struct netif_list *l, const char *name, const char *ip)
{
	struct netif_addr *a = &l->addrs[l->addr_count++];

	netif_plain_name(name, a->name);
	a->family = to_ip(ip, a->ip);
}

static void judges(void **state)
{
	static const struct {
		const char *name, *ip;
		enum netif_reach reach;
		const char *why;
	} rows[] = {
		{"eth0", "10.1.0.1", NETIF_OUTSIDE, ""},
		{"eth0", "172.17.0.1", NETIF_OUTSIDE, ""}, /* an address range alone proves nothing */
		{"eth0:1", "10.1.0.7", NETIF_OUTSIDE, ""},
		{"eth0", "fd00::1", NETIF_OUTSIDE, ""},
		{"eth0", "fe80::1", NETIF_LINK_LOCAL, "link-local address only, fe80::1"},
		{"eth0", "febf::1", NETIF_LINK_LOCAL, "link-local"},
		{"eth0", "fec0::1", NETIF_OUTSIDE, ""},
		{"eth0", "169.254.1.1", NETIF_LINK_LOCAL, "link-local address only, 169.254.1.1"},
		{"eth0", "169.253.1.1", NETIF_OUTSIDE, ""},
		{"eth1", "10.1.0.1", NETIF_NO_LINK, "no link"},
		{"docker0", "10.0.0.1", NETIF_BRIDGE, "none of its ports leads out"},
		{"docker0", "fe80::1", NETIF_BRIDGE, "bridge"},
		{"br0", "10.0.0.1", NETIF_OUTSIDE, ""}, /* its port is a NIC */
		{"b", "10.0.0.2", NETIF_PORT, "a port of docker0"},
		{"b", "fe80::1", NETIF_PORT, "a port of docker0"},
		{"eth0.5", "10.2.0.1", NETIF_PORT, "a port of br0"},
		{"br0", "fe80::1", NETIF_LINK_LOCAL, "link-local"},
		{"tap0", "10.0.0.1", NETIF_TUNNEL, "a tunnel: tun"},
		{"ppp0", "10.0.0.1", NETIF_TUNNEL, "a tunnel"},
		{"usb0", "10.0.0.1", NETIF_USB, "USB"},
		{"usb0", "169.254.95.120", NETIF_LINK_LOCAL, "link-local"},
		{"a", "10.0.0.2", NETIF_OUTSIDE, ""}, /* inside a container, all NICs look like this */
		{"lo", "127.0.0.1", NETIF_LOOPBACK, "127.0.0.1 reaches this host only"},
		{"lo", "127.9.9.9", NETIF_LOOPBACK, "this host only"},
		{"lo", "::1", NETIF_LOOPBACK, "this host only"},
		{"lo", "::2", NETIF_HOST_ROUTE, "loopback interface"},
		{"lo", "10.50.0.1", NETIF_HOST_ROUTE, "loopback interface"},
		{"kube", "10.96.0.1", NETIF_HOST_ROUTE, "a dummy interface"},
		{"kube", "169.254.20.10", NETIF_LINK_LOCAL, "link-local"},
		{"vrf7", "10.96.0.1", NETIF_HOST_ROUTE, "a VRF interface"},
		{"nosuch", "10.0.0.1", NETIF_OUTSIDE, ""}, /* an unknown interface is not excluded */
		{"nosuch", "169.254.0.1", NETIF_LINK_LOCAL, "link-local"},
		{"", "127.0.0.1", NETIF_LOOPBACK, "this host only"},
	};
	struct netif_list l = host();
	char why[NETIF_WHY_BYTES];
	uint8_t ip[16];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		enum netif_reach reach = netif_judge(&l, rows[i].name, to_ip(rows[i].ip, ip), ip, why);

		if (reach != rows[i].reach || !strstr(why, rows[i].why) || !*why != (reach == NETIF_OUTSIDE))
			fail_msg("%s %s: reach %d, \"%s\"", rows[i].name, rows[i].ip, (int)reach, why);
	}
}

/* Host-side ends of containers share an address with each other; the kernel's source address is this host's own. */
static void judges_by_the_other_addresses(void **state)
{
	struct netif_list l = host();
	char why[NETIF_WHY_BYTES];
	uint8_t ip[16];

	(void)state;
	add(&l, "a", "10.4.0.1");
	add(&l, "eth0", "10.1.0.1");
	assert_int_equal(netif_judge(&l, "a", to_ip("10.4.0.1", ip), ip, why), NETIF_OUTSIDE);
	add(&l, "c", "10.4.0.1");
	assert_int_equal(netif_judge(&l, "a", to_ip("10.4.0.1", ip), ip, why), NETIF_POD);
	assert_non_null(strstr(why, "container"));
	add(&l, "lo", "10.1.0.1"); /* the same address on the loopback does not disqualify a NIC */
	assert_int_equal(netif_judge(&l, "eth0", to_ip("10.1.0.1", ip), ip, why), NETIF_OUTSIDE);
	assert_int_equal(netif_judge(&l, "lo", to_ip("10.50.0.1", ip), ip, why), NETIF_HOST_ROUTE);
	l.outward[0].family = to_ip("10.50.0.1", l.outward[0].ip);
	assert_int_equal(netif_judge(&l, "lo", to_ip("10.50.0.1", ip), ip, why), NETIF_OUTSIDE);
	assert_int_equal(netif_judge(&l, "kube", to_ip("10.50.0.1", ip), ip, why), NETIF_OUTSIDE);
	assert_int_equal(netif_judge(&l, "docker0", to_ip("10.50.0.1", ip), ip, why), NETIF_BRIDGE);
}

/* Each list of "interface address" in the kernel's order, and the address chosen from it. */
static void chooses_an_address(void **state)
{
	static const struct {
		const char *list[6], *outward, *chosen, *local;
	} rows[] = {
		{{"lo 127.0.0.1", "eth0 10.1.0.1"}, NULL, "10.1.0.1", "127.0.0.1"},
		{{"lo 127.0.0.1", "docker0 172.17.0.1", "eth0 10.1.0.1"}, NULL, "10.1.0.1", "127.0.0.1"},
		{{"lo 127.0.0.1", "kube 169.254.20.10", "eth0 fd00::1"}, NULL, "fd00::1", "127.0.0.1"},
		{{"usb0 169.254.95.120", "docker0 172.17.0.1", "eth0 10.1.0.1"}, NULL, "10.1.0.1", NULL},
		{{"eth0 fd00::1", "eth0 10.1.0.1"}, NULL, "10.1.0.1", NULL},
		{{"eth0 10.1.0.1", "br0 10.2.0.1"}, NULL, "10.1.0.1", NULL},
		{{"eth0 10.1.0.1", "br0 10.2.0.1"}, "10.2.0.1", "10.2.0.1", NULL},
		{{"eth0 10.1.0.1", "docker0 172.17.0.1"}, "172.17.0.1", "10.1.0.1", NULL},
		{{"eth1 10.1.0.1", "eth0 10.2.0.1"}, NULL, "10.2.0.1", NULL}, /* eth1 has no link */
		{{"lo ::1", "lo 10.50.0.1", "eth0 fe80::1"}, NULL, "10.50.0.1", "::1"},
		{{"lo 127.0.0.1", "docker0 172.17.0.1"}, NULL, "172.17.0.1", "127.0.0.1"}, /* no better interface */
		{{"eth0 169.254.3.4"}, NULL, "169.254.3.4", NULL},
		{{"eth0 fe80::1"}, NULL, NULL, NULL},
		{{"lo 127.0.0.1"}, NULL, NULL, "127.0.0.1"},
		{{NULL}, NULL, NULL, NULL},
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		struct netif_list l = host();
		char name[NETIF_NAME_BYTES], ip[64], text[NETIF_IP_BYTES];
		uint8_t out[16];

		memset(addrs, 0, sizeof(addrs));
		for (k = 0; k < COUNT(rows[i].list) && rows[i].list[k]; k++) {
			assert_int_equal(sscanf(rows[i].list[k], "%15s %63s", name, ip), 2);
			add(&l, name, ip);
		}
		if (rows[i].outward)
			l.outward[0].family = to_ip(rows[i].outward, l.outward[0].ip);
		netif_ip_text(address_choose(&l, false, out), out, text);
		if (strcmp(text, rows[i].chosen ? rows[i].chosen : ""))
			fail_msg("row %zu: \"%s\"", i, text);
		netif_ip_text(address_choose(&l, true, out), out, text);
		if (strcmp(text, rows[i].local ? rows[i].local : ""))
			fail_msg("row %zu, loopback: \"%s\"", i, text);
	}
}

static void asks_the_kernel(void **state)
{
	struct netif_list l;
	int i, k, at;

	(void)state;
	assert_int_equal(netif_list_load(&l), 0);
	for (i = 0; i < l.if_count; i++) {
		assert_int_not_equal(l.ifs[i].index, 0);
		assert_int_not_equal(l.ifs[i].name[0], 0);
		assert_int_equal(l.ifs[i].loopback, !strcmp(l.ifs[i].name, "lo"));
	}
	for (i = 0; i < l.addr_count; i++) {
		for (k = 0, at = -1; k < l.if_count; k++)
			at = strcmp(l.ifs[k].name, l.addrs[i].name) ? at : k;
		assert_in_range(at, 0, l.if_count);
		assert_true(l.addrs[i].family == 4 || l.addrs[i].family == 6);
	}
	netif_list_fini(&l);
	assert_null(l.ifs);
	assert_int_equal(l.addr_count, 0);
	netif_list_fini(&l);
}

static void names_without_labels(void **state)
{
	char name[NETIF_NAME_BYTES];

	(void)state;
	netif_plain_name("eth0:1", name);
	assert_string_equal(name, "eth0");
	netif_plain_name("fifteen-letters:label", name);
	assert_string_equal(name, "fifteen-letters");
	netif_plain_name("", name);
	assert_string_equal(name, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges),
		cmocka_unit_test(judges_by_the_other_addresses),
		cmocka_unit_test(chooses_an_address),
		cmocka_unit_test(asks_the_kernel),
		cmocka_unit_test(names_without_labels),
	};

	return unit_run("netif", tests);
}
