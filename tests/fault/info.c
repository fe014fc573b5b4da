/* SPDX-License-Identifier: Apache-2.0 */
/* fi_getinfo: presents the inner provider's answer as our NICs, and maps our names back to its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fault.h"

#define FABRIC "fault"

/* Includes providers excluded by FI_PROVIDER; a bit private to the framework. */
#define GETINFO_HIDDEN (1ull << 60)

/* Capabilities whose operations we could not follow. */
#define CAPS_WITHHELD (FI_ATOMIC | FI_COLLECTIVE | FI_MULTICAST | FI_TRIGGER | FI_NAMED_RX_CTX)
#define BUFFERED_RECV (1ull << 51) /* removed from newer headers */
#define MODE_WITHHELD (FI_MSG_PREFIX | FI_RX_CQ_DATA | BUFFERED_RECV)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fi_info *seen; /* an info of the inner provider, for its names */

static bool inner_is_ip(void)
{
	return strncmp(fault_setup.inner, "shm", 3) && strncmp(fault_setup.inner, "sm2", 3) &&
	       strncmp(fault_setup.inner, "efa", 3);
}

/* Number of our NIC with that domain name, or -1. */
static int nic_number(const char *name)
{
	char own[32];
	int i;

	for (i = 0; name && i < fault_setup.nic_count; i++) {
		snprintf(own, sizeof(own), FAULT_NAME "%d", i);
		if (!strcmp(own, name))
			return i;
	}
	return -1;
}

static void replace(char **text, const char *by)
{
	free(*text);
	*text = by ? strdup(by) : NULL;
}

/* True if no inner provider could satisfy these hints. */
static bool refused(const struct fi_info *hints)
{
	if (!hints)
		return false;
	/* ofi_rxm and ofi_rxd would layer themselves on us */
	if (hints->ep_attr && hints->ep_attr->type != FI_EP_UNSPEC && hints->ep_attr->type != FI_EP_RDM)
		return true;
	if (hints->caps & CAPS_WITHHELD || (hints->caps & FI_HMEM && !fault_setup.hmem))
		return true;
	if (hints->fabric_attr && hints->fabric_attr->name && strcmp(hints->fabric_attr->name, FABRIC))
		return true;
	if (hints->domain_attr && hints->domain_attr->name && nic_number(hints->domain_attr->name) < 0)
		return true;
	if (fault_setup.mr_local && hints->domain_attr && !(hints->domain_attr->mr_mode & FI_MR_LOCAL) &&
	    !(hints->mode & (1ull << 55))) /* FI_LOCAL_MR, the name before libfabric 1.5 */
		return true;
	return hints->tx_attr && hints->tx_attr->comp_order;
}

static struct fi_info *inner_hints(const struct fi_info *hints)
{
	struct fi_info *h = fault_lib.dupinfo(hints);

	if (!h)
		return NULL;
	if (!hints) {
		h->mode = ~0ull;
		h->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	}
	h->mode &= ~MODE_WITHHELD;
	h->caps &= ~FI_HMEM;
	if (h->domain_attr)
		h->domain_attr->mr_mode &= ~FI_MR_HMEM;
	if (h->nic) {
		fi_close(&h->nic->fid);
		h->nic = NULL;
	}
	if (!h->fabric_attr || !h->ep_attr) {
		fault_lib.freeinfo(h);
		return NULL;
	}
	h->ep_attr->type = FI_EP_RDM;
	replace(&h->fabric_attr->prov_name, fault_setup.inner);
	replace(&h->fabric_attr->name, NULL);
	h->fabric_attr->prov_version = 0;
	if (h->domain_attr)
		replace(&h->domain_attr->name, NULL);
	return h;
}

static bool fits(const struct fi_info *info)
{
	return info->ep_attr->type == FI_EP_RDM && info->fabric_attr->prov_name &&
	       !strcasecmp(info->fabric_attr->prov_name, fault_setup.inner);
}

static int ask_inner(uint32_t version, const char *node, const char *service, uint64_t flags,
		     const struct fi_info *hints, struct fi_info **out)
{
	struct fi_info *h = inner_hints(hints);
	int ret;

	if (!h)
		return -FI_ENOMEM;
	if (!node && !h->src_addr && !h->dest_addr && inner_is_ip()) {
		node = "127.0.0.1";
		flags |= FI_SOURCE;
	}
	if (getenv("FI_PROVIDER"))
		flags |= GETINFO_HIDDEN;
	ret = fault_lib.getinfo(version, node, service, flags, h, out);
	fault_lib.freeinfo(h);
	return ret;
}

/* Keeps the inner provider's names for the mapping back. */
static void remember(const struct fi_info *info)
{
	pthread_mutex_lock(&lock);
	if (!seen)
		seen = fault_lib.dupinfo(info);
	pthread_mutex_unlock(&lock);
}

/* The inner provider's info, converted to our NIC number i. */
static struct fi_info *dress(const struct fi_info *info, int i, bool hmem)
{
	struct fi_info *own = fault_lib.dupinfo(info);
	char name[32];

	if (!own)
		return NULL;
	snprintf(name, sizeof(name), FAULT_NAME "%d", i);
	replace(&own->fabric_attr->prov_name, NULL); /* libfabric fills it in */
	replace(&own->fabric_attr->name, FABRIC);
	replace(&own->domain_attr->name, name);
	own->caps &= ~CAPS_WITHHELD;
	own->tx_attr->caps &= ~CAPS_WITHHELD;
	own->rx_attr->caps &= ~CAPS_WITHHELD;
	own->tx_attr->comp_order = own->rx_attr->comp_order = 0;
	own->ep_attr->tx_ctx_cnt = own->ep_attr->rx_ctx_cnt = 1;
	own->domain_attr->max_ep_stx_ctx = own->domain_attr->max_ep_srx_ctx = 0;
	if (fault_setup.mr_local)
		own->domain_attr->mr_mode |= FI_MR_LOCAL;
	if (hmem) {
		own->caps |= FI_HMEM;
		own->domain_attr->mr_mode |= FI_MR_HMEM;
	}
	if (own->nic)
		fi_close(&own->nic->fid);
	own->nic = fault_nic_new(i);
	return own;
}

int fault_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags, const struct fi_info *hints,
		  struct fi_info **out)
{
	const char *domain = hints && hints->domain_attr ? hints->domain_attr->name : NULL;
	struct fi_info *inner = NULL, **tail = out;
	const struct fi_info *one;
	int i, ret = fault_fail(CALL_GETINFO);

	*out = NULL;
	if (ret)
		return ret;
	if (FI_VERSION_LT(version, FI_VERSION(1, 5)) || refused(hints))
		return -FI_ENODATA;
	ret = ask_inner(version, node, service, flags, hints, &inner);
	if (ret)
		return ret;
	for (one = inner; one && !fits(one); one = one->next)
		;
	if (one)
		remember(one);
	for (i = 0; one && i < fault_setup.nic_count; i++) {
		if (domain && nic_number(domain) != i)
			continue;
		*tail = dress(one, i, hints && hints->caps & FI_HMEM);
		if (*tail)
			tail = &(*tail)->next;
	}
	fault_lib.freeinfo(inner);
	return *out ? 0 : -FI_ENODATA;
}

/* The inner provider's names, requested now if this process does not have them yet. */
static const struct fi_info *names(void)
{
	struct fi_info *list = NULL, *one;

	pthread_mutex_lock(&lock);
	one = seen;
	pthread_mutex_unlock(&lock);
	if (one || ask_inner(fault_lib.version, NULL, NULL, 0, NULL, &list))
		return one;
	for (one = list; one && !fits(one); one = one->next)
		;
	if (one)
		remember(one);
	fault_lib.freeinfo(list);
	return seen;
}

struct fi_info *fault_info_inner(const struct fi_info *info, int *out_nic)
{
	int i = info->domain_attr ? nic_number(info->domain_attr->name) : -1;
	const struct fi_info *from = i < 0 ? NULL : names();
	struct fi_info *inner;

	*out_nic = i;
	if (!from)
		return NULL;
	inner = fault_lib.dupinfo(info);
	if (!inner)
		return NULL;
	replace(&inner->fabric_attr->prov_name, from->fabric_attr->prov_name);
	replace(&inner->fabric_attr->name, from->fabric_attr->name);
	inner->fabric_attr->prov_version = from->fabric_attr->prov_version;
	replace(&inner->domain_attr->name, from->domain_attr->name);
	inner->caps &= ~FI_HMEM;
	inner->domain_attr->mr_mode &= ~FI_MR_HMEM;
	if (!(from->domain_attr->mr_mode & FI_MR_LOCAL))
		inner->domain_attr->mr_mode &= ~FI_MR_LOCAL;
	if (inner->nic)
		fi_close(&inner->nic->fid);
	inner->nic = NULL;
	return inner;
}

int fault_fabric_inner(struct fi_fabric_attr *attr)
{
	const struct fi_info *from = names();

	if (!from)
		return -FI_ENODATA;
	attr->name = from->fabric_attr->name;
	attr->prov_name = from->fabric_attr->prov_name;
	attr->prov_version = from->fabric_attr->prov_version;
	return 0;
}
