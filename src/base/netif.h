/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network interfaces of this host and their IP addresses, rated by their expected reachability from other hosts.
 * The rating depends on the interface's kind, its link and the range of the address, never on names. The same rule
 * applies to NICs and to the address of liveness connections.
 */
#ifndef WEFT_BASE_NETIF_H
#define WEFT_BASE_NETIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NETIF_NAME_BYTES 16
#define NETIF_WHY_BYTES	 128
#define NETIF_IP_BYTES	 48 /* space for an address as text */

/* Best rating first. The interfaces with the best rating present are used by default. */
enum netif_reach {
	NETIF_OUTSIDE,	  /* expected to be reachable */
	NETIF_HOST_ROUTE, /* a routable address on lo or a dummy interface: announced by a routing daemon, or private */
	NETIF_USB,	  /* a USB NIC, such as the management controller's */
	NETIF_TUNNEL,
	NETIF_POD,	  /* the host's end of a container's interface */
	NETIF_LINK_LOCAL, /* fe80::/10, 169.254.0.0/16 */
	NETIF_BRIDGE,	  /* a bridge without a port that leads out of this host */
	NETIF_PORT,	  /* port of a bridge or a bond, which is used instead */
	NETIF_NO_LINK,
	NETIF_LOOPBACK, /* 127.0.0.0/8, ::1 */
};

struct netif {
	char name[NETIF_NAME_BYTES];
	char kind[NETIF_NAME_BYTES]; /* kernel's kind of a virtual interface: "bridge", "veth"; else "" */
	int index;
	int master; /* index of its bridge, bond or VRF, or 0 */
	bool loopback, link, usb;
	bool tunnel; /* a tunnel by its hardware type */
};

struct netif_addr {
	char name[NETIF_NAME_BYTES]; /* name of the interface, without an alias's label */
	int family;		     /* 4 or 6 */
	uint8_t ip[16];
};

struct netif_list {
	struct netif *ifs;
	int if_count;
	struct netif_addr *addrs; /* addresses of interfaces that are up, in the kernel's order */
	int addr_count;
	struct netif_addr outward[2]; /* kernel's source addresses by IPv4 and IPv6; family 0: no default route */
};

/* Reads the kernel's lists. 0 or a negative errno with a partial list. netif_list_fini frees it in either case. */
int netif_list_load(struct netif_list *out);
void netif_list_fini(struct netif_list *l);

/*
 * Rates the reachability of this address of the interface `name` ("eth0", or its alias "eth0:1"; "": unknown, so only
 * the address counts). Fills `why` with a clause for the user, "" for NETIF_OUTSIDE. Pure.
 */
enum netif_reach netif_judge(const struct netif_list *l, const char *name, int family, const uint8_t ip[16],
			     char why[NETIF_WHY_BYTES]);

/* Copies the interface's name without an alias's label. */
void netif_plain_name(const char *name, char out[NETIF_NAME_BYTES]);

/* Formats an address; "" for family 0. Returns buf. */
char *netif_ip_text(int family, const uint8_t ip[16], char buf[NETIF_IP_BYTES]);

#endif
