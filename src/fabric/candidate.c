/* SPDX-License-Identifier: Apache-2.0 */
/* Provider candidates; see candidate.h. */
#include "fabric/candidate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fi_errno.h>

#include "base/text.h"
#include "fabric/lib.h"
#include "fabric/provider.h"

struct fab_candidate *candidate_of(struct fab_report *r, const char *provider)
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

/* Chooses by the rank in the table, or by the user's setting. NULL if no provider matches. */
struct fab_candidate *candidate_choose(struct fab_report *r, const char *requested)
{
	struct fab_candidate *best = NULL;
	bool automatic = !strcmp(requested, "auto");
	int i, best_rank = 0;

	for (i = 0; i < r->candidate_count; i++) {
		struct fab_candidate *c = &r->candidates[i];
		int rank = provider_quirks(c->provider)->rank;

		if (automatic ? rank <= best_rank : !provider_is(requested, c->provider))
			continue;
		if (!automatic && best && strcasecmp(requested, c->provider))
			continue; /* an exact name takes precedence over an alias */
		best = c;
		best_rank = rank;
	}
	return best;
}

/* Explains the providers that a user would expect but libfabric does not list. */
void candidate_explain_absent(struct fab_report *r)
{
	const struct provider_quirks *quirks;
	struct fab_candidate *c;
	int i;

	for (i = 0; (quirks = provider_row(i)); i++) {
		if (!quirks->needs || !quirks->rank)
			continue;
		c = candidate_of(r, quirks->name);
		if (c && !c->nics)
			snprintf(c->why, sizeof(c->why), "unavailable: needs %s", quirks->needs);
	}
}

/* A function of its own: gcc 12 takes two members of an element of `candidates` for one. */
static void say_on_request(struct fab_candidate *c, const char *reason)
{
	snprintf(c->why, sizeof(c->why), "available on request (WEFT_PROVIDER=%s): %s", c->provider, reason);
}

void candidate_explain_others(struct fab_report *r, const struct fab_candidate *best, const char *requested)
{
	int i;

	for (i = 0; i < r->candidate_count; i++) {
		struct fab_candidate *c = &r->candidates[i];
		const struct provider_quirks *quirks = provider_quirks(c->provider);

		c->chosen = c == best;
		if (c->chosen)
			continue;
		if (strcmp(requested, "auto"))
			snprintf(c->why, sizeof(c->why), "WEFT_PROVIDER=%s selects another", requested);
		else if (!quirks->rank)
			say_on_request(c, quirks->on_demand);
		else
			snprintf(c->why, sizeof(c->why), "not chosen: %s is preferred",
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

void candidate_explain_nothing(struct fab_report *r, const char *requested, int getinfo_err)
{
	const struct provider_quirks *quirks = provider_quirks(requested);
	const char *fi_provider = getenv("FI_PROVIDER");
	char names[256], out[160];

	list_names(r, names, sizeof(names));
	if (strcmp(requested, "auto")) {
		r->user_error = true;
		snprintf(
			r->why, sizeof(r->why),
			"WEFT_PROVIDER=%s: libfabric %s offers no such provider with reliable datagrams and %s; it has: %s%s%s",
			requested, fab_library_version(), quirks->untagged ? "remote writes" : "tagged messages", names,
			fi_provider ? "; FI_PROVIDER=" : "", fi_provider ? fi_provider : "");
		if (quirks->untagged && strlen(r->why) + strlen(quirks->needs) + 16 < sizeof(r->why))
			snprintf(r->why + strlen(r->why), sizeof(r->why) - strlen(r->why), "; it needs %s",
				 quirks->needs);
		return;
	}
	snprintf(r->why, sizeof(r->why),
		 "libfabric %s (%s) offers no provider Weft uses by default%s%s; it has: %s; "
		 "`fi_info` shows more, FI_LOG_LEVEL=warn says why",
		 fab_library_version(), fab_library_path(), getinfo_err ? ": fi_getinfo says " : "",
		 getinfo_err ? fi_strerror(-getinfo_err) : "", names);
	text_append(r->why, sizeof(r->why), "%s", fab_exhausted(out, sizeof(out)));
	if (fi_provider && strlen(r->why) + 40 < sizeof(r->why))
		snprintf(r->why + strlen(r->why), sizeof(r->why) - strlen(r->why),
			 "; FI_PROVIDER=%.80s limits the choice", fi_provider);
}
