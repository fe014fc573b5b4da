/* SPDX-License-Identifier: Apache-2.0 */
/* Text output of weft-info, and the list of docs/parameters.md. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "dev/gdr.h"
#include "fabric/provider.h"
#include "info/info.h"
#include "topo/nic.h"

#define TEXT_WIDTH 76

const char *info_descriptors(void)
{
	static char text[32];
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return "unknown";
	if (limit.rlim_cur == RLIM_INFINITY)
		return "unlimited";
	snprintf(text, sizeof(text), "%llu", (unsigned long long)limit.rlim_cur);
	return text;
}

static void print_providers(const struct dev_table *t)
{
	int i;

	printf("\nProviders of this libfabric that could carry Weft\n");
	for (i = 0; i < t->report.candidate_count; i++) {
		const struct fab_candidate *c = &t->report.candidates[i];

		if (c->chosen)
			printf("  * %-14s chosen, %d NIC%s\n", c->provider, c->nics, c->nics == 1 ? "" : "s");
		else
			printf("    %-14s %s\n", c->provider, c->why);
	}
	if (!t->report.candidate_count)
		printf("    none\n");
}

/* Merges the two parts of the list, taken and left out, by the numbers that WEFT_NICS uses. */
static void print_nics(const struct dev_table *t)
{
	int i, left = t->report.nic_count, taken = 0;

	if (!t->report.nic_seen)
		return;
	printf("\nNICs, by number\n");
	for (i = 0; i < t->report.nic_seen; i++) {
		bool use = taken < t->report.nic_count && t->report.nics[taken].number == i;
		const struct fab_nic *nic = &t->report.nics[use ? taken++ : left++];

		printf("  %c #%-3d %-16s PCI %s%s%s", use ? '*' : ' ', i, nic->name, *nic->pci ? nic->pci : "unknown",
		       *nic->address ? ", " : "", nic->address);
		printf("%s%s\n", use ? "" : ": left out: ", nic->left_out);
	}
}

static void print_rails(const struct dev *d)
{
	int i;

	printf("       %-14s %d rails:", "", d->rail_count);
	for (i = 0; i < d->rail_count; i++)
		printf(" %s", d->rails[i]->name);
	printf("\n");
}

static void print_gpus(const struct dev *d)
{
	char pci[TOPO_PCI_BYTES];
	int i;

	printf("       %-14s nearest to GPU", "");
	for (i = 0; i < dev_gpus_named(d); i++)
		printf(" %s", topo_pci_text(d->gpu[i], pci));
	printf("\n");
}

/* Describes the protocol, with the reason against the other one if needed. */
static const char *protocol_text(const struct conf *conf, const struct dev *d)
{
	if (d->nic->rma)
		return "remote writes (rma)";
	if (conf->protocol == CONF_PROTOCOL_AUTO && provider_quirks(d->nic->provider)->rma_native)
		return "the provider's tagged messages: it does not report that this NIC does remote writes itself";
	return "the provider's tagged messages";
}

static void print_devices(const struct dev_table *t)
{
	int i;

	printf("\nDevices NCCL will see\n");
	for (i = 0; i < t->count; i++) {
		const struct dev *d = &t->devs[i];
		int numa = topo_nic_numa(t->conf.topology, d->nic->pci, d->pci_path);

		printf("    %d  %-14s provider %s, %d Mbit/s, guid %016llx\n", i, d->nic->name, d->nic->provider,
		       d->speed_mbps, (unsigned long long)d->guid);
		printf("       %-14s messages go by %s\n", "", protocol_text(&t->conf, d));
		if (d->rail_count > 1)
			print_rails(d);
		if (d->nic->streams)
			printf("       %-14s %d connection%s to each peer%s\n", "", d->streams,
			       d->streams == 1 ? "" : "s", d->rail_count > 1 ? " on each rail" : "");
		if (d->gpus)
			print_gpus(d);
		printf("       %-14s PCI %s", "", d->pci_path ? d->pci_path : "none");
		if (numa >= 0)
			printf(", NUMA node %d", numa);
		printf("\n");
		info_print_gdr(d);
	}
	if (*gdr_order_text(t))
		printf("    NCCL_PROTO=simple, unless it is set: %s, which LL and LL128 need\n", gdr_order_text(t));
	if (*t->note)
		printf("    %s\n", t->note);
	if (!t->count)
		printf("    none: %s\n", t->why);
}

/* Prints `text` in lines of TEXT_WIDTH, each indented by `indent` blanks. */
static void print_wrapped(const char *text, int indent)
{
	while (*text) {
		size_t len = strlen(text);

		if (len > TEXT_WIDTH) {
			for (len = TEXT_WIDTH; len && text[len] != ' '; len--)
				;
			if (!len)
				len = TEXT_WIDTH;
		}
		printf("%*s%.*s\n", indent, "", (int)len, text);
		text += len;
		text += *text == ' ';
	}
}

static void print_parameters(const struct dev_table *t)
{
	char value[PARAM_TEXT_BYTES], dflt[32];
	size_t i;

	printf("\nParameters (environment variables)\n");
	printf("    %-22s %-14s %-8s %-8s %s\n", "name", "value", "default", "unit", "origin");
	for (i = 0; i < conf_count; i++) {
		const struct param *p = &conf_table[i];

		param_value_text(p, &t->conf, value, sizeof(value));
		snprintf(dflt, sizeof(dflt), "%s", *p->value ? p->value : "-");
		printf("    %-22s %-14s %-8s %-8s %s\n", p->name, *value ? value : "-", dflt,
		       *param_unit(p) ? param_unit(p) : "-",
		       t->origins[i] == PARAM_FROM_ENVIRONMENT ? "environment" : "default");
		print_wrapped(p->doc, 8);
	}
}

/* Prints limits of this process; the processes of a job may have others. */
static void print_process(const struct dev_table *t)
{
	printf("\nThis process\n    descriptors: %s\n", info_descriptors());
	if (t->count && provider_quirks(t->devs[0].nic->provider)->efa_options)
		printf("    %s\n", fab_fork_text());
}

void info_print_text(const struct dev_table *t)
{
	printf("Weft %s\nlibfabric %s, %s\n", PACKAGE_VERSION, fab_library_version(), fab_library_path());
	info_print_gpus();
	print_providers(t);
	print_nics(t);
	print_devices(t);
	print_process(t);
	info_print_platform(t);
	print_parameters(t);
}

void info_print_markdown(void)
{
	char accepts[256];
	size_t i;

	for (i = 0; i < conf_count; i++) {
		const struct param *p = &conf_table[i];

		printf("- `%s`: %s Takes %s; default ", p->name, p->doc, param_accepts(p, accepts, sizeof(accepts)));
		if (*p->value)
			printf("`%s`.\n", p->value);
		else
			printf("empty.\n");
	}
}
