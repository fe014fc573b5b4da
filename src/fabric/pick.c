/* SPDX-License-Identifier: Apache-2.0 */
/* Matching of NICs against WEFT_NICS; see pick.h. */
#include "fabric/pick.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "fabric/fab.h"

#define DOMAIN_0 "0000:"

struct item {
	char text[PARAM_TEXT_BYTES];
	const char *pattern; /* points into text */
	bool excludes;
};

/* Reads the list's next non-empty item. False: there is none. */
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

	if (*pattern != '#' || !isdigit((unsigned char)pattern[1]))
		return false; /* strtol accepts blanks and signs */
	from = to = strtol(pattern + 1, &end, 10);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return false;
		to = strtol(end + 1, &end, 10);
	}
	return !*end && from <= number && number <= to;
}

static bool has_address(const char *pattern, const char *pci)
{
	if (!*pci || !strchr(pattern, ':'))
		return false;
	if (!fnmatch(pattern, pci, FNM_CASEFOLD))
		return true;
	return !strncmp(pci, DOMAIN_0, strlen(DOMAIN_0)) && !fnmatch(pattern, pci + strlen(DOMAIN_0), FNM_CASEFOLD);
}

static bool means(const struct item *item, const struct fab_nic *nic)
{
	/* "lo" also matches the only device of a provider that is limited to this host */
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

		/* leave space for this NIC and for the closing count */
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
