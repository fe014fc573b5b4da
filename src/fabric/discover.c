/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which provider, which NICs, and why not the others. One fi_getinfo call lists everything that could
 * carry Weft; the rest is choosing. Not for opening anything.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#include "base/text.h"
#include "fabric/fab.h"
#include "fabric/pick.h"
#include "fabric/probe.h"
#include "fabric/provider.h"

/* Bridges of container runtimes: listed like any NIC, but two hosts may share the same address there. */
#define BRIDGES "docker*,virbr*,br-*,cni*,flannel*,cali*,veth*,lxc*,lxdbr*,podman*"

static uint32_t api_version(void)
{
	uint32_t headers = FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION);
	uint32_t library = fi_version();

	return library < headers ? library : headers;
}

const char *fab_library_version(void)
{
	static char text[64];
	uint32_t v = fi_version();

	snprintf(text, sizeof(text), "%u.%u (API %u.%u requested)", FI_MAJOR(v), FI_MINOR(v),
		 FI_MAJOR(api_version()), FI_MINOR(api_version()));
	return text;
}

const char *fab_library_path(void)
{
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)fi_version, &info) || !info.dli_fname)
		return "libfabric";
	return info.dli_fname;
}

/* What Weft needs of a provider (NULL: of any); see libfabric's fi_getinfo(3). */
static struct fi_info *make_hints(const char *provider, bool rma, bool hmem)
{
	const struct provider_facts *facts = provider_facts(provider ? provider : "");
	struct fi_info *hints = fi_allocinfo();

	if (!hints)
		return NULL;
	if (provider)
		hints->fabric_attr->prov_name = strdup(facts->part_of ? facts->part_of : provider);
	if (facts->part_of)
		hints->fabric_attr->name = strdup(provider);
	hints->caps = facts->untagged ? FI_MSG : FI_MSG | FI_TAGGED;
	if (rma)
		hints->caps |= FI_RMA | FI_WRITE | FI_REMOTE_WRITE;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_SAFE;
	hints->domain_attr->mr_mode =
		FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	if (!hmem)
		return hints;
	hints->caps |= FI_HMEM | FI_RMA | FI_READ | FI_REMOTE_READ; /* reads flush */
	hints->domain_attr->mr_mode |= FI_MR_HMEM;
	return hints;
}

static bool is_loopback(const struct fi_info *info)
{
	const struct sockaddr_in *in = info->src_addr;
	const struct sockaddr_in6 *in6 = info->src_addr;

	if (info->addr_format == FI_SOCKADDR_IN && in)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	if (info->addr_format == FI_SOCKADDR_IN6 && in6)
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	return false;
}

/* IPv4 before routable IPv6 before link-local, of the several entries one interface may have. */
static int address_preference(const struct fi_info *info)
{
	const struct sockaddr_in6 *in6 = info->src_addr;

	if (info->addr_format != FI_SOCKADDR_IN6 || !in6)
		return 2;
	return !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

/* Its name in the table. */
static const char *name_of(const struct fi_info *info)
{
	const char *fabric = info->fabric_attr->name, *provider = info->fabric_attr->prov_name;
	const char *whole = provider_facts(fabric ? fabric : "")->part_of;

	return whole && !strcmp(whole, provider) ? fabric : provider;
}

static void nic_fill(struct fab_nic *nic, const struct fi_info *info, bool rma)
{
	const struct provider_facts *facts = provider_facts(name_of(info));

	memset(nic, 0, sizeof(*nic));
	snprintf(nic->name, sizeof(nic->name), "%s", info->domain_attr->name);
	snprintf(nic->provider, sizeof(nic->provider), "%s", name_of(info));
	snprintf(nic->fabric, sizeof(nic->fabric), "%s",
		 info->fabric_attr->name ? info->fabric_attr->name : "");
	nic->loopback = is_loopback(info);
	nic->rma = rma && info->caps & FI_RMA && info->domain_attr->cq_data_size >= 4;
	nic->hmem = info->caps & FI_HMEM;
	nic->silent_dead = facts->silent_dead;
	nic->queued = facts->queued;
	nic->reads = info->caps & FI_HMEM && info->caps & FI_RMA;
	if (info->nic && info->nic->bus_attr && info->nic->bus_attr->bus_type == FI_BUS_PCI) {
		const struct fi_pci_attr *pci = &info->nic->bus_attr->attr.pci;

		snprintf(nic->pci, sizeof(nic->pci), "%04x:%02x:%02x.%x", pci->domain_id, pci->bus_id,
			 pci->device_id, pci->function_id);
	}
	if (info->nic && info->nic->link_attr)
		nic->speed_mbps = (int)(info->nic->link_attr->speed / 1000000);
}

/* Is the entry an endpoint kind Weft can use? fi_getinfo may list more than was asked for. */
static bool usable(const struct fi_info *info)
{
	return info->ep_attr->type == FI_EP_RDM && info->fabric_attr->prov_name && info->domain_attr->name &&
	       (info->caps & FI_TAGGED || provider_facts(name_of(info))->untagged) && (info->caps & FI_MSG);
}

static struct fab_candidate *candidate(struct fab_report *r, const char *provider)
{
	struct fab_candidate *c;
	int i;

	for (i = 0; i < r->candidate_count; i++)
		if (!strcmp(r->candidates[i].provider, provider))
			return &r->candidates[i];
	if (r->candidate_count == FAB_CANDIDATES)
		return NULL;
	c = &r->candidates[r->candidate_count++];
	snprintf(c->provider, sizeof(c->provider), "%s", provider);
	return c;
}

/* Puts `info` into the report's list, or lets it replace a worse address of the same NIC. */
static int nic_add(struct fab_report *r, const struct fi_info *info, bool rma)
{
	struct fab_nic nic, *grown;
	struct fi_info *copy;
	int i;

	nic_fill(&nic, info, rma);
	for (i = 0; i < r->nic_seen; i++)
		if (!strcmp(r->nics[i].name, nic.name))
			break;
	if (i < r->nic_seen && address_preference(r->nics[i].info) >= address_preference(info))
		return 0;
	copy = fi_dupinfo(info);
	if (!copy)
		return -ENOMEM;
	nic.info = copy;
	if (i < r->nic_seen) {
		fi_freeinfo(r->nics[i].info);
		r->nics[i] = nic;
		return 0;
	}
	grown = realloc(r->nics, (size_t)(r->nic_seen + 1) * sizeof(*grown));
	if (!grown) {
		fi_freeinfo(copy);
		return -ENOMEM;
	}
	r->nics = grown;
	r->nics[r->nic_seen++] = nic;
	return 0;
}

/* By the rank in the table, or by the user's wish. NULL when nothing fits. */
static struct fab_candidate *choose(struct fab_report *r, const char *wish)
{
	struct fab_candidate *best = NULL;
	bool automatic = !strcmp(wish, "auto");
	int i, best_rank = 0;

	for (i = 0; i < r->candidate_count; i++) {
		struct fab_candidate *c = &r->candidates[i];
		int rank = provider_facts(c->provider)->rank;

		if (automatic ? rank <= best_rank : !provider_is(wish, c->provider))
			continue;
		if (!automatic && best && strcasecmp(wish, c->provider))
			continue; /* the exact name beats an alias */
		best = c;
		best_rank = rank;
	}
	return best;
}

/* Those a user would expect and libfabric does not list. */
static void explain_absent(struct fab_report *r)
{
	const struct provider_facts *facts;
	struct fab_candidate *c;
	int i;

	for (i = 0; (facts = provider_row(i)); i++) {
		if (!facts->needs || !facts->rank)
			continue;
		c = candidate(r, facts->name);
		if (c && !c->nics)
			snprintf(c->why, sizeof(c->why), "not here: it needs %s", facts->needs);
	}
}

static void explain_others(struct fab_report *r, const struct fab_candidate *best, const char *wish)
{
	int i;

	for (i = 0; i < r->candidate_count; i++) {
		struct fab_candidate *c = &r->candidates[i];
		const struct provider_facts *facts = provider_facts(c->provider);

		c->chosen = c == best;
		if (c->chosen)
			continue;
		if (strcmp(wish, "auto"))
			snprintf(c->why, sizeof(c->why), "WEFT_PROVIDER=%s asks for another", wish);
		else if (!facts->rank)
			snprintf(c->why, sizeof(c->why), "only on demand: %s", facts->on_demand);
		else
			snprintf(c->why, sizeof(c->why), "%s is better",
				 best ? best->provider : "nothing");
	}
}

static void list_names(const struct fab_report *r, char *buf, size_t buf_bytes)
{
	size_t used = 0;
	int i;

	snprintf(buf, buf_bytes, "none");
	for (i = 0; i < r->candidate_count && used < buf_bytes; i++)
		used += (size_t)snprintf(buf + used, buf_bytes - used, "%s%s", i ? ", " : "",
					 r->candidates[i].provider);
}

static void explain_nothing(struct fab_report *r, const char *wish, int getinfo_err)
{
	const struct provider_facts *facts = provider_facts(wish);
	const char *fi_provider = getenv("FI_PROVIDER");
	char names[256];

	list_names(r, names, sizeof(names));
	if (strcmp(wish, "auto")) {
		r->user_error = true;
		snprintf(r->why, sizeof(r->why),
			 "WEFT_PROVIDER=%s: libfabric %s offers no such provider with reliable datagrams and %s; it has: %s%s%s",
			 wish, fab_library_version(), facts->untagged ? "remote writes" : "tagged messages", names,
			 fi_provider ? "; FI_PROVIDER=" : "", fi_provider ? fi_provider : "");
		if (facts->untagged && strlen(r->why) + strlen(facts->needs) + 16 < sizeof(r->why))
			snprintf(r->why + strlen(r->why), sizeof(r->why) - strlen(r->why), "; it needs %s", facts->needs);
		return;
	}
	snprintf(r->why, sizeof(r->why),
		 "libfabric %s (%s) offers no provider Weft uses by default%s%s; it has: %s; "
		 "`fi_info` shows more, FI_LOG_LEVEL=warn says why",
		 fab_library_version(), fab_library_path(),
		 getinfo_err ? ": fi_getinfo says " : "", getinfo_err ? fi_strerror(-getinfo_err) : "",
		 names);
	if (fi_provider && strlen(r->why) + 40 < sizeof(r->why))
		snprintf(r->why + strlen(r->why), sizeof(r->why) - strlen(r->why),
			 "; FI_PROVIDER=%.80s limits the choice", fi_provider);
}

static bool is_default_nic(const struct fab_nic *nic)
{
	return !nic->loopback && !(provider_facts(nic->provider)->ip && text_in_list(BRIDGES, nic->name));
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

/* The taken NICs come to the front, in their order; those left out stand behind them. */
static int partition(struct fab_report *r, const struct conf *conf, bool any_default)
{
	int i, taken = 0;

	for (i = 0; i < r->nic_seen; i++) {
		struct fab_nic nic = r->nics[i];

		if (*conf->nics ? !pick_takes(conf->nics, &nic) : any_default && !is_default_nic(&nic))
			continue;
		memmove(&r->nics[taken + 1], &r->nics[taken], (size_t)(i - taken) * sizeof(nic));
		r->nics[taken++] = nic;
	}
	return taken;
}

static void filter_nics(struct fab_report *r, const struct conf *conf)
{
	char what[FAB_WHY_BYTES - PARAM_TEXT_BYTES - 32] = "";
	bool any_default = false;
	int i;

	if (r->nic_seen)
		qsort(r->nics, (size_t)r->nic_seen, sizeof(r->nics[0]), by_place);
	for (i = 0; i < r->nic_seen; i++) {
		r->nics[i].number = i;
		any_default |= is_default_nic(&r->nics[i]);
	}
	if (*conf->nics)
		pick_explain(conf->nics, r->nics, r->nic_seen, what, sizeof(what));
	if (*conf->nics && pick_misses(conf->nics, r->nics, r->nic_seen))
		snprintf(r->missed, sizeof(r->missed), "WEFT_NICS=%s: %s", conf->nics, what);
	r->nic_count = partition(r, conf, any_default);
	if (!r->nic_count) {
		r->user_error = true;
		r->missed[0] = 0;
		snprintf(r->why, sizeof(r->why), "WEFT_NICS=%s leaves no NIC: %s", conf->nics, what);
	}
}

/* Is this the domain's first entry? Each address of an interface has one. */
static bool first_of_domain(const struct fi_info *all, const struct fi_info *info)
{
	const struct fi_info *i;

	for (i = all; i != info; i = i->next)
		if (usable(i) && !strcmp(name_of(i), name_of(info)) &&
		    !strcmp(i->domain_attr->name, info->domain_attr->name))
			return false;
	return true;
}

/* A provider's entries that can do what is asked for; NULL: none can. */
static struct fi_info *ask(const char *provider, bool rma, bool hmem)
{
	struct fi_info *hints = make_hints(provider, rma, hmem), *list = NULL;

	if (!hints)
		return NULL;
	if (fi_getinfo(api_version(), NULL, NULL, 0, hints, &list))
		list = NULL;
	fi_freeinfo(hints);
	return list;
}

/* What is missing before the provider is even asked for memory of GPUs, or NULL. */
static const char *no_gpus(const struct conf *conf)
{
	if (conf->gdr == CONF_GDR_OFF)
		return "WEFT_GDR=off";
	return accel_info()->gpu_count ? NULL : accel_info()->why;
}

/* What the chosen provider's NICs are to do. */
struct wishes {
	bool hmem;   /* reach memory of GPUs */
	bool rma;    /* remote writes ... */
	bool native; /* ... by the NIC itself, else rather none */
};

static int list_nics(struct fab_report *r, const struct fi_info *all, const char *provider, struct wishes *w)
{
	struct fi_info *own = w->hmem || w->rma ? ask(provider, w->rma, w->hmem) : NULL;
	const struct fi_info *info;
	int ret = 0;

	if (w->hmem && !own) {
		w->hmem = false;
		snprintf(r->hmem_why, sizeof(r->hmem_why),
			 "provider %s offers no FI_HMEM here: %s may be built without CUDA", provider, fab_library_path());
		return list_nics(r, all, provider, w);
	}
	for (info = own ? own : all; info && !ret; info = info->next)
		if (usable(info) && !strcmp(name_of(info), provider))
			ret = nic_add(r, info, w->rma);
	if (own)
		fi_freeinfo(own);
	return ret;
}

static void nics_free(struct fab_report *r)
{
	while (r->nic_seen)
		fi_freeinfo(r->nics[--r->nic_seen].info);
	free(r->nics);
	r->nics = NULL;
	r->nic_count = 0;
}

/* The NICs of a provider are alike: one is asked. False: they are to be listed without the wish that it can't grant. */
static bool ask_nics(struct fab_report *r, struct wishes *w)
{
	char why[sizeof(r->hmem_why)];
	int i;

	if (!r->nic_count)
		return true;
	probe_nic(&r->nics[0], why, sizeof(why));
	if (w->native && r->nics[0].rma && !r->nics[0].writes_native) {
		w->rma = w->native = false;
		return false;
	}
	if (r->nics[0].hmem && *why) {
		memcpy(r->hmem_why, why, sizeof(why));
		w->hmem = false;
		return false;
	}
	for (i = 0; i < r->nic_seen; i++) {
		r->nics[i].order = r->nics[0].order;
		r->nics[i].writes_native = r->nics[0].writes_native;
		r->nics[i].hmem_why = r->hmem_why;
	}
	return true;
}

static int take_nics(struct fab_report *r, const struct fi_info *all, const struct conf *conf, const char *provider)
{
	const struct provider_facts *facts = provider_facts(provider);
	const char *why = no_gpus(conf);
	bool by_row = conf->protocol == CONF_PROTOCOL_AUTO;
	struct wishes w = {
		.hmem = !why,
		.rma = conf->protocol == CONF_PROTOCOL_RMA || (by_row && (facts->rma || facts->rma_native)),
		.native = by_row && !facts->rma,
	};
	int ret;

	snprintf(r->hmem_why, sizeof(r->hmem_why), "%s", why ? why : "");
	for (;;) {
		ret = list_nics(r, all, provider, &w);
		if (ret)
			return ret;
		filter_nics(r, conf);
		if (ask_nics(r, &w))
			return 0;
		nics_free(r);
	}
}

/* Is it a protocol that the provider can't speak? */
static bool untold(struct fab_report *r, const char *provider, const struct conf *conf)
{
	if (conf->protocol != CONF_PROTOCOL_TAGGED || !provider_facts(provider)->untagged)
		return false;
	r->user_error = true;
	snprintf(r->why, sizeof(r->why), "WEFT_PROTOCOL=tagged: provider %s has no tagged messages; leave it at auto", provider);
	return true;
}

static int collect(struct fab_report *r, const struct fi_info *all, const struct conf *conf,
		   int getinfo_err)
{
	struct fab_candidate *c, *best;
	const struct fi_info *info;
	int ret;

	for (info = all; info; info = info->next) {
		if (!usable(info) || !first_of_domain(all, info))
			continue;
		c = candidate(r, name_of(info));
		if (c)
			c->nics++;
	}
	best = choose(r, conf->provider);
	explain_others(r, best, conf->provider);
	if (!best)
		explain_nothing(r, conf->provider, getinfo_err);
	explain_absent(r);
	if (!best || untold(r, best->provider, conf))
		return 0;
	ret = take_nics(r, all, conf, best->provider);
	best->nics = r->nic_seen;
	return ret;
}

/* What lacks tagged messages is listed only for those who ask for it. */
static struct fi_info *ask_for_wish(const struct conf *conf)
{
	const struct provider_facts *facts = provider_facts(conf->provider);

	return facts->untagged ? ask(facts->name, true, false) : NULL;
}

int fab_discover(const struct conf *conf, struct fab_report *out)
{
	struct fi_info *hints, *all = NULL, **end = &all;
	int ret, err;

	memset(out, 0, sizeof(*out));
	hints = make_hints(NULL, conf->protocol == CONF_PROTOCOL_RMA, false);
	if (!hints)
		return -ENOMEM;
	err = fi_getinfo(api_version(), NULL, NULL, 0, hints, &all);
	if (err)
		all = NULL;
	while (*end)
		end = &(*end)->next;
	*end = ask_for_wish(conf);
	ret = collect(out, all, conf, err);
	if (all)
		fi_freeinfo(all);
	fi_freeinfo(hints);
	return ret;
}

void fab_report_fini(struct fab_report *r)
{
	nics_free(r);
	memset(r, 0, sizeof(*r));
}

int fab_nic_ip(const struct fab_nic *nic, uint8_t out_ip[16])
{
	const struct sockaddr_in *in = nic->info->src_addr;
	const struct sockaddr_in6 *in6 = nic->info->src_addr;

	memset(out_ip, 0, 16);
	if (nic->info->addr_format == FI_SOCKADDR_IN && in) {
		memcpy(out_ip, &in->sin_addr, 4);
		return 4;
	}
	if (nic->info->addr_format == FI_SOCKADDR_IN6 && in6 &&
	    !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
		memcpy(out_ip, &in6->sin6_addr, 16);
		return 6;
	}
	return 0;
}

bool fab_nic_local_only(const struct fab_nic *nic)
{
	return provider_facts(nic->provider)->local_only;
}
