/* SPDX-License-Identifier: Apache-2.0 */
/* Finds libfabric at run time, and selects its provider and interface; see raw.h. */
#include <dlfcn.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "complain.h"
#include "raw_priv.h"

/* The binary interface of libfabric 1.x and 2.x. */
#define LIBRARY "libfabric.so.1"

int raw_load(struct raw *r, struct raw_facts *facts)
{
	void *dl = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	struct {
		const char *name;
		void *where;
	} const symbols[] = {
		{"fi_version", &r->lib.version}, {"fi_getinfo", &r->lib.getinfo}, {"fi_freeinfo", &r->lib.freeinfo},
		{"fi_dupinfo", &r->lib.dupinfo}, {"fi_fabric", &r->lib.fabric},	  {"fi_strerror", &r->lib.error_text},
	};
	Dl_info where;
	uint32_t v;
	size_t i;

	if (!dl) {
		complain("raw: cannot load libfabric: %s", dlerror());
		return -1;
	}
	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(dl, symbols[i].name);

		if (!found) {
			complain("raw: %s has no %s", LIBRARY, symbols[i].name);
			return -1;
		}
		memcpy(symbols[i].where, &found, sizeof(found));
	}
	v = r->lib.version();
	snprintf(facts->version, sizeof(facts->version), "%u.%u", FI_MAJOR(v), FI_MINOR(v));
	snprintf(facts->library, sizeof(facts->library), "%s",
		 dladdr((void *)(uintptr_t)r->lib.version, &where) ? where.dli_fname : LIBRARY);
	return 0;
}

/* libfabric's name for its native tcp provider of reliable datagrams. */
static const char *native_tcp(const struct raw *r)
{
	return FI_VERSION_LT(r->lib.version(), FI_VERSION(1, 18)) ? "net" : "tcp";
}

static struct fi_info *make_hints(const struct raw *r, unsigned ops)
{
	struct fi_info *hints = r->lib.dupinfo(NULL);

	if (!hints)
		return NULL;
	hints->caps = (ops & RAW_TAGGED ? FI_TAGGED : 0) | (ops & RAW_WRITEDATA ? FI_RMA : 0);
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
	/* The patterns poll all the time, so a progress thread of the provider would only disturb them. */
	hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
	hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
	return hints;
}

/* Reads WEFT_NICS like Weft: shell patterns, separated by commas; a leading ^ negates the list. */
static bool interface_wanted(const char *domain)
{
	const char *list = getenv("WEFT_NICS");
	bool negate = list && *list == '^', found = false;
	char copy[256], *rest = copy, *pattern;

	if (!list || !*list)
		return true;
	snprintf(copy, sizeof(copy), "%s", list + negate);
	while ((pattern = strsep(&rest, ",")))
		found |= !fnmatch(pattern, domain, 0);
	return found != negate;
}

static bool is_ip(const struct fi_info *info)
{
	return info->addr_format == FI_SOCKADDR_IN || info->addr_format == FI_SOCKADDR_IN6;
}

/* Picks a matching entry, preferably one with an IPv4 address, because an interface may also have link-local ones. */
static const struct fi_info *pick(const struct fi_info *all, const char *provider, const char *nic)
{
	const struct fi_info *info, *best = NULL;

	for (info = all; info; info = info->next) {
		if (strcasecmp(info->fabric_attr->prov_name, provider))
			continue;
		if (*nic ? strcmp(info->domain_attr->name, nic)
			 : is_ip(info) && !interface_wanted(info->domain_attr->name))
			continue;
		if (!best || (info->addr_format == FI_SOCKADDR_IN && best->addr_format != FI_SOCKADDR_IN))
			best = info;
	}
	return best;
}

static const struct fi_info *choose(const struct raw *r, const struct fi_info *all, const char *nic)
{
	const char *wish = getenv("WEFT_PROVIDER");
	const char *const automatic[] = {"efa", "verbs;ofi_rxm", native_tcp(r)};
	const struct fi_info *info = NULL;
	size_t i;

	if (wish && *wish && strcasecmp(wish, "auto"))
		return pick(all, strcasecmp(wish, "tcp") ? wish : native_tcp(r), nic);
	for (i = 0; i < sizeof(automatic) / sizeof(automatic[0]) && !info; i++)
		info = pick(all, automatic[i], nic);
	return info;
}

int raw_choose(struct raw *r, unsigned ops, const char *nic, struct raw_facts *facts)
{
	uint32_t headers = FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION), library = r->lib.version();
	struct fi_info *hints = make_hints(r, ops), *all = NULL;
	const struct fi_info *info;
	const char *wish = getenv("WEFT_PROVIDER"), *nics = getenv("WEFT_NICS");
	int ret =
		hints ? r->lib.getinfo(library < headers ? library : headers, NULL, NULL, 0, hints, &all) : -FI_ENOMEM;

	if (hints)
		r->lib.freeinfo(hints);
	if (ret && ret != -FI_ENODATA)
		return raw_failed(r, "fi_getinfo", ret);
	info = choose(r, all, nic);
	r->info = info ? r->lib.dupinfo(info) : NULL;
	if (all)
		r->lib.freeinfo(all);
	if (!r->info) {
		complain("raw: libfabric %s has no provider '%s' with%s%s on interface '%s'", facts->version,
			 wish && *wish ? wish : "auto", ops & RAW_TAGGED ? " tagged messages" : "",
			 ops & RAW_WRITEDATA ? " RMA" : "",
			 *nic		 ? nic
			 : nics && *nics ? nics
					 : "any");
		return -1;
	}
	snprintf(facts->provider, sizeof(facts->provider), "%s", r->info->fabric_attr->prov_name);
	snprintf(facts->domain, sizeof(facts->domain), "%s", r->info->domain_attr->name);
	return 0;
}
