/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces and addresses as the kernel lists them; see netif.h. Interfaces come from netlink, since /sys may
 * belong to another network namespace than this process. Without netlink, only the addresses are known.
 */
#include "base/netif.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 65536

/* Documentation addresses, which no host has, so that the default route decides. No packet is sent. */
#define FAR_IPV4 "192.0.2.1"
#define FAR_IPV6 "2001:db8::1"

static bool is_usb(const char *name)
{
	char path[64], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/subsystem", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	return n >= 4 && !strcmp(target + n - 4, "/usb");
}

static bool is_tunnel_type(unsigned type)
{
	return type == ARPHRD_PPP || type == ARPHRD_TUNNEL || type == ARPHRD_TUNNEL6 || type == ARPHRD_SIT ||
	       type == ARPHRD_IPGRE || type == ARPHRD_IP6GRE || type == ARPHRD_NONE;
}

static void copy_text(char out[NETIF_NAME_BYTES], const struct rtattr *a)
{
	size_t len = strnlen(RTA_DATA(a), RTA_PAYLOAD(a));

	if (len >= NETIF_NAME_BYTES)
		len = NETIF_NAME_BYTES - 1;
	memcpy(out, RTA_DATA(a), len);
	out[len] = 0;
}

static void read_kind(struct netif *i, const struct rtattr *info)
{
	const struct rtattr *a = RTA_DATA(info);
	size_t left = RTA_PAYLOAD(info);

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_INFO_KIND)
			copy_text(i->kind, a);
}

static void read_link(struct netif *i, const struct nlmsghdr *h)
{
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *a = IFLA_RTA(m);
	size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));

	memset(i, 0, sizeof(*i));
	i->index = m->ifi_index;
	i->loopback = m->ifi_flags & IFF_LOOPBACK;
	i->link = m->ifi_flags & IFF_RUNNING;
	i->tunnel = is_tunnel_type(m->ifi_type);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFLA_IFNAME)
			copy_text(i->name, a);
		else if (a->rta_type == IFLA_MASTER && RTA_PAYLOAD(a) >= sizeof(i->master))
			memcpy(&i->master, RTA_DATA(a), sizeof(i->master));
		else if (a->rta_type == IFLA_LINKINFO)
			read_kind(i, a);
	}
	i->usb = is_usb(i->name);
}

static int add_link(struct netif_list *l, const struct nlmsghdr *h)
{
	struct netif *grown;

	if (h->nlmsg_type != RTM_NEWLINK || h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
		return 0;
	grown = realloc(l->ifs, ((size_t)l->if_count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	l->ifs = grown;
	read_link(&l->ifs[l->if_count++], h);
	return 0;
}

/* Reads one part of the kernel's answer. 1: last part, 0: more parts follow, or a negative errno. */
static int read_part(struct netif_list *l, const void *part, size_t len)
{
	const struct nlmsghdr *h = part;
	int ret = 0;

	for (; NLMSG_OK(h, len) && !ret; h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return -EIO;
		ret = add_link(l, h);
	}
	return ret;
}

static int load_links(struct netif_list *l)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg m;
	} ask = {
		.h = {.nlmsg_len = sizeof(ask), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), ret;
	char *part = malloc(ANSWER_BYTES);
	ssize_t n;

	ret = fd < 0 ? -errno : !part ? -ENOMEM : send(fd, &ask, sizeof(ask), 0) < 0 ? -errno : 0;
	while (!ret) {
		n = recv(fd, part, ANSWER_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		ret = n < 0 ? -errno : read_part(l, part, (size_t)n);
	}
	free(part);
	if (fd >= 0)
		close(fd);
	return ret > 0 ? 0 : ret;
}

static int take_sockaddr(const struct sockaddr *sa, uint8_t ip[16])
{
	memset(ip, 0, 16);
	if (sa->sa_family == AF_INET) {
		memcpy(ip, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		return 4;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(ip, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		return 6;
	}
	return 0;
}

static int load_addrs(struct netif_list *l)
{
	struct ifaddrs *all, *i;
	int n = 0;

	if (getifaddrs(&all))
		return -errno;
	for (i = all; i; i = i->ifa_next)
		n++;
	l->addrs = calloc((size_t)n + 1, sizeof(*l->addrs));
	for (i = all; i && l->addrs; i = i->ifa_next) {
		struct netif_addr *a = &l->addrs[l->addr_count];

		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
			continue;
		a->family = take_sockaddr(i->ifa_addr, a->ip);
		netif_plain_name(i->ifa_name, a->name);
		l->addr_count += a->family != 0;
	}
	freeifaddrs(all);
	return l->addrs ? 0 : -ENOMEM;
}

/* Finds the kernel's source address towards `to`. Connecting a datagram socket sends no packet. */
static void load_outward(struct netif_addr *out, const struct sockaddr *to, socklen_t len)
{
	int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage own;
	socklen_t bytes = sizeof(own);

	if (fd < 0)
		return;
	if (!connect(fd, to, len) && !getsockname(fd, (struct sockaddr *)&own, &bytes))
		out->family = take_sockaddr((const struct sockaddr *)&own, out->ip);
	close(fd);
}

int netif_list_load(struct netif_list *out)
{
	struct sockaddr_in far4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 far6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int links, addrs;

	memset(out, 0, sizeof(*out));
	inet_pton(AF_INET, FAR_IPV4, &far4.sin_addr);
	inet_pton(AF_INET6, FAR_IPV6, &far6.sin6_addr);
	links = load_links(out);
	addrs = load_addrs(out);
	load_outward(&out->outward[0], (const struct sockaddr *)&far4, sizeof(far4));
	load_outward(&out->outward[1], (const struct sockaddr *)&far6, sizeof(far6));
	return links ? links : addrs;
}

void netif_list_fini(struct netif_list *l)
{
	free(l->ifs);
	free(l->addrs);
	memset(l, 0, sizeof(*l));
}
