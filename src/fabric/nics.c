/* SPDX-License-Identifier: Apache-2.0 */
/* The list of NICs; see nics.h. */
#include "fabric/nics.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include "fabric/pick.h"
#include "fabric/provider.h"

const char *nics_provider_of(const struct fi_info *info)
{
	const char *fabric = info->fabric_attr->name, *provider = info->fabric_attr->prov_name;
	const char *whole = provider_quirks(fabric ? fabric : "")->part_of;

	return whole && !strcmp(whole, provider) ? fabric : provider;
}

bool nics_usable(const struct fi_info *info)
{
	return info->ep_attr->type == FI_EP_RDM && info->fabric_attr->prov_name && info->domain_attr->name &&
	       (info->caps & FI_TAGGED || provider_quirks(nics_provider_of(info))->untagged) && (info->caps & FI_MSG);
}

/* Writes the IP address of an entry. Returns its family, 4 or 6, or 0: it has none. */
static int ip_of(const struct fi_info *info, uint8_t ip[16])
{
	const struct sockaddr_in *in = info->src_addr;
	const struct sockaddr_in6 *in6 = info->src_addr;

	memset(ip, 0, 16);
	if (info->addr_format == FI_SOCKADDR_IN && in) {
		memcpy(ip, &in->sin_addr, 4);
		return 4;
	}
	if (info->addr_format == FI_SOCKADDR_IN6 && in6) {
		memcpy(ip, &in6->sin6_addr, 16);
		return 6;
	}
	return 0;
}

/*
 * Is x a better address of the interface than y? An interface may have several entries. The order is: accepted by
 * WEFT_IP_FAMILY, farther reach, preferred family (IPv4 unless WEFT_IP_FAMILY is 6), first in the interface's list.
 */
static bool is_better(const struct fab_nic *x, const struct fab_nic *y, int64_t requested)
{
	int family = requested == CONF_IP_FAMILY_6 ? 6 : 4;

	if (x->refused != y->refused)
		return y->refused;
	if (x->reach != y->reach)
		return x->reach < y->reach;
	if (x->family != y->family)
		return x->family == family;
	return x->ip_place < y->ip_place;
}

/* Index of an address in the list of all interfaces; addr_count if it is unknown. */
static int place_of(const struct netif_list *ifs, const char *name, int family, const uint8_t ip[16])
{
	int i;

	for (i = 0; i < ifs->addr_count; i++)
		if (ifs->addrs[i].family == family && !memcmp(ifs->addrs[i].ip, ip, 16) &&
		    !strcmp(ifs->addrs[i].name, name))
			break;
	return i;
}

static void judge(struct fab_nic *nic, const struct netif_list *ifs, const struct conf *conf,
		  const struct fi_info *info)
{
	bool ip_provider = provider_quirks(nic->provider)->ip;
	uint8_t ip[16];

	nic->family = ip_of(info, ip);
	nic->reach = NETIF_OUTSIDE;
	if (!nic->family)
		return;
	netif_ip_text(nic->family, ip, nic->address);
	nic->reach = netif_judge(ifs, ip_provider ? nic->name : "", nic->family, ip, nic->left_out);
	if (!ip_provider && nic->reach == NETIF_LOOPBACK)
		nic->reach = NETIF_OUTSIDE; /* its NICs are not interfaces: the address is the provider's own */
	nic->loopback = nic->reach == NETIF_LOOPBACK;
	nic->ip_place = place_of(ifs, nic->name, nic->family, ip);
	if (conf->ip_family != CONF_IP_FAMILY_AUTO && nic->family != (conf->ip_family == CONF_IP_FAMILY_6 ? 6 : 4)) {
		nic->refused = true;
		snprintf(nic->left_out, sizeof(nic->left_out),
			 "WEFT_IP_FAMILY asks for an IPv%d address, and it has none", nic->family == 4 ? 6 : 4);
	}
}

static void nic_fill(struct fab_nic *nic, const struct fi_info *info, bool rma)
{
	const struct provider_quirks *quirks = provider_quirks(nics_provider_of(info));

	memset(nic, 0, sizeof(*nic));
	snprintf(nic->provider, sizeof(nic->provider), "%s", nics_provider_of(info));
	/* An alias such as "eth0:1" is another address of its interface. */
	snprintf(nic->name, sizeof(nic->name), "%.*s",
		 (int)(quirks->ip ? strcspn(info->domain_attr->name, ":") : strlen(info->domain_attr->name)),
		 info->domain_attr->name);
	snprintf(nic->fabric, sizeof(nic->fabric), "%s", info->fabric_attr->name ? info->fabric_attr->name : "");
	nic->rma = rma && info->caps & FI_RMA && info->domain_attr->cq_data_size >= 4;
	nic->hmem = info->caps & FI_HMEM;
	nic->silent_dead = quirks->silent_dead;
	nic->queued = quirks->queued;
	nic->streams = nic->copies = nic->serial_domain = quirks->kernel_tcp;
	nic->reads = info->caps & FI_HMEM && info->caps & FI_RMA;
	if (info->nic && info->nic->bus_attr && info->nic->bus_attr->bus_type == FI_BUS_PCI) {
		const struct fi_pci_attr *pci = &info->nic->bus_attr->attr.pci;

		snprintf(nic->pci, sizeof(nic->pci), "%04x:%02x:%02x.%x", pci->domain_id, pci->bus_id, pci->device_id,
			 pci->function_id);
	}
	if (info->nic && info->nic->link_attr)
		nic->speed_mbps = (int)(info->nic->link_attr->speed / 1000000);
}

static int nic_append(struct fab_report *r, const struct fab_nic *nic)
{
	struct fab_nic *grown = realloc(r->nics, (size_t)(r->nic_seen + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	r->nics = grown;
	r->nics[r->nic_seen++] = *nic;
	return 0;
}

/* Adds the entry to the list or drops it. Takes ownership of `info`. */
static int add_entry(struct nics_source *from, struct fi_info *info, bool rma)
{
	struct fab_report *r = from->report;
	struct fab_nic nic;
	int i, ret;

	nic_fill(&nic, info, rma);
	judge(&nic, &from->ifs, from->conf, info);
	nic.info = info;
	for (i = 0; i < r->nic_seen; i++)
		if (!strcmp(r->nics[i].name, nic.name))
			break;
	if (i == r->nic_seen) {
		ret = nic_append(r, &nic);
		if (ret)
			fi_freeinfo(info);
		return ret;
	}
	if (is_better(&nic, &r->nics[i], from->conf->ip_family)) {
		info = r->nics[i].info;
		r->nics[i] = nic;
	}
	fi_freeinfo(info);
	return 0;
}

/* An address of the interface other than 127.0.0.1 and ::1, preferably one that reaches outside; or NULL. */
static const struct netif_addr *host_route(const struct netif_list *ifs, const char *name, int family)
{
	const struct netif_addr *found = NULL;
	char why[NETIF_WHY_BYTES];
	int i;

	for (i = 0; i < ifs->addr_count; i++) {
		const struct netif_addr *a = &ifs->addrs[i];
		enum netif_reach reach = netif_judge(ifs, a->name, a->family, a->ip, why);

		if (a->family != family || strcmp(a->name, name) || reach > NETIF_HOST_ROUTE)
			continue;
		if (!found || reach == NETIF_OUTSIDE)
			found = a;
	}
	return found;
}

/* libfabric lists only 127.0.0.1 and ::1 of the loopback. A host with BGP has its reachable address there: add it. */
static int add_host_route(struct nics_source *from, const struct fi_info *info, bool rma)
{
	const struct netif_addr *a;
	struct fi_info *copy;
	char why[NETIF_WHY_BYTES];
	uint8_t ip[16];
	int family = ip_of(info, ip);

	if (!family || !provider_quirks(nics_provider_of(info))->ip ||
	    netif_judge(&from->ifs, info->domain_attr->name, family, ip, why) != NETIF_LOOPBACK)
		return 0;
	a = host_route(&from->ifs, info->domain_attr->name, family);
	if (!a)
		return 0;
	copy = fi_dupinfo(info);
	if (!copy)
		return -ENOMEM;
	if (family == 4)
		memcpy(&((struct sockaddr_in *)copy->src_addr)->sin_addr, a->ip, 4);
	else
		memcpy(&((struct sockaddr_in6 *)copy->src_addr)->sin6_addr, a->ip, 16);
	copy->caps |= FI_REMOTE_COMM;
	return add_entry(from, copy, rma);
}

int nics_add(struct nics_source *from, const struct fi_info *info, bool rma)
{
	struct fi_info *copy = fi_dupinfo(info);
	int ret = copy ? add_entry(from, copy, rma) : -ENOMEM;

	return ret ? ret : add_host_route(from, info, rma);
}

static int by_place(const void *a, const void *b)
{
	const struct fab_nic *x = a, *y = b;

	if (x->loopback != y->loopback)
		return x->loopback - y->loopback;
	if (strcmp(x->pci, y->pci))
		return strcmp(x->pci, y->pci);
	return strverscmp(x->name, y->name);
}

/* Reach of the NICs used by default: the best reach of any NIC that is not refused. */
static enum netif_reach default_reach(const struct fab_report *r)
{
	enum netif_reach best = NETIF_LOOPBACK;
	int i;

	for (i = 0; i < r->nic_seen; i++)
		if (!r->nics[i].refused && r->nics[i].reach < best)
			best = r->nics[i].reach;
	return best;
}

/* Accepts the NIC or leaves the reason in left_out. A list that begins with ^ subtracts from the default choice. */
static bool takes(struct fab_nic *nic, const struct conf *conf, enum netif_reach best)
{
	bool by_default = !*conf->nics || *conf->nics == '^';

	if (nic->refused || (by_default && nic->reach != best))
		return false;
	if (*conf->nics && !pick_takes(conf->nics, nic)) {
		snprintf(nic->left_out, sizeof(nic->left_out), "by WEFT_NICS");
		return false;
	}
	nic->left_out[0] = 0;
	return true;
}

/* Moves the taken NICs to the front, keeping their order. Returns their number. */
static int partition(struct fab_report *r, const struct conf *conf)
{
	enum netif_reach best = default_reach(r);
	int i, taken = 0;

	for (i = 0; i < r->nic_seen; i++) {
		struct fab_nic nic;

		if (!takes(&r->nics[i], conf, best))
			continue;
		nic = r->nics[i];
		memmove(&r->nics[taken + 1], &r->nics[taken], (size_t)(i - taken) * sizeof(nic));
		r->nics[taken++] = nic;
	}
	return taken;
}

/* Explains that no NIC is left. `what`: the matches of each item of WEFT_NICS. */
static void explain_none(struct fab_report *r, const struct conf *conf, const char *what)
{
	r->user_error = true;
	r->unmatched[0] = 0;
	if (!*conf->nics)
		snprintf(r->why, sizeof(r->why), "no NIC has an IPv%d address, and WEFT_IP_FAMILY asks for one",
			 conf->ip_family == CONF_IP_FAMILY_6 ? 6 : 4);
	else
		snprintf(r->why, sizeof(r->why), "WEFT_NICS=%s leaves no NIC%s: %s", conf->nics,
			 *conf->nics == '^' ? " of those used by default" : "", what);
}

void nics_filter(struct fab_report *r, const struct conf *conf)
{
	char what[FAB_WHY_BYTES - PARAM_TEXT_BYTES - 64] = "";
	int i;

	if (r->nic_seen)
		qsort(r->nics, (size_t)r->nic_seen, sizeof(r->nics[0]), by_place);
	for (i = 0; i < r->nic_seen; i++)
		r->nics[i].number = i;
	if (*conf->nics)
		pick_explain(conf->nics, r->nics, r->nic_seen, what, sizeof(what));
	if (*conf->nics && pick_misses(conf->nics, r->nics, r->nic_seen))
		snprintf(r->unmatched, sizeof(r->unmatched), "WEFT_NICS=%s: %s", conf->nics, what);
	r->nic_count = partition(r, conf);
	if (!r->nic_count)
		explain_none(r, conf, what);
}

void nics_free(struct fab_report *r)
{
	while (r->nic_seen)
		fi_freeinfo(r->nics[--r->nic_seen].info);
	free(r->nics);
	r->nics = NULL;
	r->nic_count = 0;
}
