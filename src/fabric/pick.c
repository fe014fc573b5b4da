/* SPDX-License-Identifier: Apache-2.0 */
/* The user's choice of NICs; see pick.h. */
#include "fabric/pick.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fabric/fab.h"

#define DOMAIN_0 "0000:"

struct item {
	char text[PARAM_TEXT_BYTES];
	const char *pattern; /* in text */
	bool excludes;
};

/* The list's next item that is not empty. */
static bool next_item(const char **list, bool all_exclude, struct item *out)
{
	while (text_next_item(list, out->text, sizeof(out->text))) {
		bool marked = *out->text == '^';

		out->excludes = marked || all_exclude;
		out->pattern = out->text + marked;
		if (*out->pattern)
			return true;
	}
	return false;
}

/* "#2" or "#0-3" */
static bool has_number(const char *pattern, int number)
{
	long from, to;
	char *end;

	if (*pattern != '#')
		return false;
	from = to = strtol(pattern + 1, &end, 10);
	if (end == pattern + 1)
		return false;
	if (*end == '-') {
		pattern = end;
		to = strtol(pattern + 1, &end, 10);
		if (end == pattern + 1)
			return false;
	}
	return !*end && from <= number && number <= to;
}

static bool has_address(const char *pattern, const char *pci)
{
	if (!*pci || !strchr(pattern, ':'))
		return false;
	if (!fnmatch(pattern, pci, FNM_CASEFOLD))
		return true;
	return !strncmp(pci, DOMAIN_0, strlen(DOMAIN_0)) &&
	       !fnmatch(pattern, pci + strlen(DOMAIN_0), FNM_CASEFOLD);
}

static bool means(const struct item *item, const struct fab_nic *nic)
{
	/* "lo" is what a provider that knows one host calls its only device, too */
	if (!item->excludes && fab_nic_local_only(nic) && !fnmatch(item->pattern, "lo", 0))
		return true;
	return !fnmatch(item->pattern, nic->name, 0) || has_address(item->pattern, nic->pci) ||
	       has_number(item->pattern, nic->number);
}

bool pick_takes(const char *list, const struct fab_nic *nic)
{
	bool all_exclude = *list == '^', included = all_exclude;
	struct item item;

	while (next_item(&list, all_exclude, &item)) {
		if (!means(&item, nic))
			continue;
		if (item.excludes)
			return false;
		included = true;
	}
	return included;
}

static int meant(const struct item *item, const struct fab_nic *nics, int n)
{
	int i, sum = 0;

	for (i = 0; i < n; i++)
		sum += means(item, &nics[i]);
	return sum;
}

bool pick_misses(const char *list, const struct fab_nic *nics, int n)
{
	bool all_exclude = *list == '^';
	struct item item;

	while (next_item(&list, all_exclude, &item))
		if (!meant(&item, nics, n))
			return true;
	return false;
}

static void append_nics(const struct fab_nic *nics, int n, char *buf, size_t buf_bytes)
{
	int i;

	text_append(buf, buf_bytes, n == 1 ? "; there is" : "; there are");
	for (i = 0; i < n; i++) {
		const struct fab_nic *nic = &nics[i];

		/* room for this one and for the end */
		if (strlen(buf) + strlen(nic->name) + strlen(nic->pci) + 40 > buf_bytes) {
			text_append(buf, buf_bytes, "%s %d%s", i ? " and" : "", n - i, i ? " more" : "");
			return;
		}
		text_append(buf, buf_bytes, "%s #%d %s", i ? "," : "", nic->number, nic->name);
		if (*nic->pci)
			text_append(buf, buf_bytes, " (%s)", nic->pci);
	}
}

char *pick_explain(const char *list, const struct fab_nic *nics, int n, char *buf, size_t buf_bytes)
{
	bool all_exclude = *list == '^';
	struct item item;
	int count;

	*buf = 0;
	while (next_item(&list, all_exclude, &item)) {
		count = meant(&item, nics, n);
		text_append(buf, buf_bytes, "%s`%s%s` means ", *buf ? ", " : "", item.excludes ? "^" : "",
			    item.pattern);
		if (count)
			text_append(buf, buf_bytes, "%d", count);
		else
			text_append(buf, buf_bytes, "none");
	}
	append_nics(nics, n, buf, buf_bytes);
	return buf;
}
