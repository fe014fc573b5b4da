/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery: chooses a provider and its NICs, and explains the rejected ones. One fi_getinfo call lists all
 * candidates. Only probe.c opens a NIC.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>

#include "fabric/candidate.h"
#include "fabric/fab.h"
#include "fabric/lib.h"
#include "fabric/nics.h"
#include "fabric/prepare.h"
#include "fabric/probe.h"
#include "fabric/provider.h"

/* Hints with Weft's requirements for a provider (NULL: any); see libfabric's fi_getinfo(3). */
static struct fi_info *make_hints(const char *provider, bool rma, bool hmem)
{
	const struct provider_quirks *quirks = provider_quirks(provider ? provider : "");
	struct fi_info *hints = fi_allocinfo();

	if (!hints)
		return NULL;
	if (provider)
		hints->fabric_attr->prov_name = strdup(quirks->part_of ? quirks->part_of : provider);
	if (quirks->part_of)
		hints->fabric_attr->name = strdup(provider);
	hints->caps = quirks->untagged ? FI_MSG : FI_MSG | FI_TAGGED;
	if (rma)
		hints->caps |= FI_RMA | FI_WRITE | FI_REMOTE_WRITE;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_SAFE;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	if (!hmem)
		return hints;
	hints->caps |= FI_HMEM | FI_RMA | FI_READ | FI_REMOTE_READ; /* flushes use remote reads */
	hints->domain_attr->mr_mode |= FI_MR_HMEM;
	return hints;
}

/* Is this the domain's first entry? There is one entry for each address of an interface. */
static bool first_of_domain(const struct fi_info *all, const struct fi_info *info)
{
	const struct fi_info *i;

	for (i = all; i != info; i = i->next)
		if (nics_usable(i) && !strcmp(nics_provider_of(i), nics_provider_of(info)) &&
		    !strcmp(i->domain_attr->name, info->domain_attr->name))
			return false;
	return true;
}

/* Lists a provider's entries that meet the request; NULL: there are none. */
static struct fi_info *discover_ask(const char *provider, bool rma, bool hmem)
{
	struct fi_info *hints = make_hints(provider, rma, hmem), *list = NULL;

	if (!hints)
		return NULL;
	if (fi_getinfo(fab_api_version(), NULL, NULL, 0, hints, &list))
		list = NULL;
	fi_freeinfo(hints);
	return list;
}

/* The reason not to ask the provider for GPU memory support at all, or NULL. */
static const char *no_gpus(const struct conf *conf)
{
	if (conf->gdr == CONF_GDR_OFF)
		return "WEFT_GDR=off";
	return accel_info()->gpu_count ? NULL : accel_info()->why;
}

/* Features requested of the chosen provider's NICs. */
struct requests {
	bool hmem;   /* access to GPU memory */
	bool rma;    /* remote writes */
	bool native; /* drop `rma` where the NIC would only emulate remote writes */
};

static int list_nics(struct nics_source *from, const struct fi_info *all, const char *provider, struct requests *w)
{
	struct fab_report *r = from->report;
	struct fi_info *own = w->hmem || w->rma ? discover_ask(provider, w->rma, w->hmem) : NULL;
	const struct fi_info *info;
	int ret = 0;

	if (w->hmem && !own) {
		w->hmem = false;
		snprintf(r->hmem_why, sizeof(r->hmem_why),
			 "provider %s offers no FI_HMEM here: %s may be built without CUDA", provider,
			 fab_library_path());
		return list_nics(from, all, provider, w);
	}
	for (info = own ? own : all; info && !ret; info = info->next)
		if (nics_usable(info) && !strcmp(nics_provider_of(info), provider))
			ret = nics_add(from, info, w->rma);
	if (own)
		fi_freeinfo(own);
	return ret;
}

/* Probes the first NIC on behalf of all. False: dropped an unmet request, so the list must be rebuilt. */
static bool ask_nics(struct fab_report *r, struct requests *w)
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
	const struct provider_quirks *quirks = provider_quirks(provider);
	const char *why = no_gpus(conf);
	bool by_row = conf->protocol == CONF_PROTOCOL_AUTO;
	struct requests w = {
		.hmem = !why,
		.rma = conf->protocol == CONF_PROTOCOL_RMA || (by_row && (quirks->rma || quirks->rma_native)),
		.native = by_row && !quirks->rma,
	};
	struct nics_source from = {.report = r, .conf = conf};
	int ret;

	snprintf(r->hmem_why, sizeof(r->hmem_why), "%s", why ? why : "");
	netif_list_load(&from.ifs); /* on failure the list stays empty, which rejects no NIC */
	for (;;) {
		ret = list_nics(&from, all, provider, &w);
		if (ret)
			break;
		nics_filter(r, conf);
		if (ask_nics(r, &w))
			break;
		nics_free(r);
	}
	netif_list_fini(&from.ifs);
	return ret;
}

/* Does the provider lack the protocol of WEFT_PROTOCOL? Then fills `why`. */
static bool untold(struct fab_report *r, const char *provider, const struct conf *conf)
{
	if (conf->protocol != CONF_PROTOCOL_TAGGED || !provider_quirks(provider)->untagged)
		return false;
	r->user_error = true;
	snprintf(r->why, sizeof(r->why), "WEFT_PROTOCOL=tagged: provider %s has no tagged messages; leave it at auto",
		 provider);
	return true;
}

static int collect(struct fab_report *r, const struct fi_info *all, const struct conf *conf, int getinfo_err)
{
	struct fab_candidate *c, *best;
	const struct fi_info *info;
	int ret;

	for (info = all; info; info = info->next) {
		if (!nics_usable(info) || !first_of_domain(all, info))
			continue;
		c = candidate_of(r, nics_provider_of(info));
		if (c)
			c->nics++;
	}
	best = candidate_choose(r, conf->provider);
	candidate_explain_others(r, best, conf->provider);
	if (!best)
		candidate_explain_nothing(r, conf->provider, getinfo_err);
	candidate_explain_absent(r);
	if (!best || untold(r, best->provider, conf))
		return 0;
	ret = take_nics(r, all, conf, best->provider);
	best->nics = r->nic_seen;
	return ret;
}

/* Lists a provider without tagged messages only if WEFT_PROVIDER names it. */
static struct fi_info *ask_for_wish(const struct conf *conf)
{
	const struct provider_quirks *quirks = provider_quirks(conf->provider);

	return quirks->untagged ? discover_ask(quirks->name, true, false) : NULL;
}

int fab_discover(const struct conf *conf, struct fab_report *out)
{
	struct fi_info *hints, *all = NULL, **end = &all;
	int ret, err;

	memset(out, 0, sizeof(*out));
	fab_prepare();
	hints = make_hints(NULL, conf->protocol == CONF_PROTOCOL_RMA, false);
	if (!hints)
		return -ENOMEM;
	err = fi_getinfo(fab_api_version(), NULL, NULL, 0, hints, &all);
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
