/* SPDX-License-Identifier: Apache-2.0 */
/* weft-info --json. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "info/info.h"
#include "topo/nic.h"

static json_t *providers(const struct dev_table *t)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < t->report.candidate_count; i++) {
		const struct fab_candidate *c = &t->report.candidates[i];

		json_array_append_new(list, json_pack("{s:s, s:i, s:b, s:o}", "name", c->provider, "nics", c->nics,
						      "chosen", (int)c->chosen, "why_not", info_json_text(c->why)));
	}
	return list;
}

static json_t *nics(const struct dev_table *t)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < t->report.nic_seen; i++) {
		const struct fab_nic *nic = &t->report.nics[i];

		json_array_append_new(list, json_pack("{s:i, s:o, s:s, s:s, s:i, s:b, s:s}", "number", nic->number,
						      "name", info_json_text(nic->name), "pci", nic->pci, "address",
						      nic->address, "speed_mbps", nic->speed_mbps, "used",
						      (int)(i < t->report.nic_count), "why_not", nic->left_out));
	}
	return list;
}

static json_t *rails(const struct dev *d)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < d->rail_count; i++)
		json_array_append_new(list, info_json_text(d->rails[i]->name));
	return list;
}

static json_t *gpus(const struct dev *d)
{
	json_t *list = json_array();
	char pci[TOPO_PCI_BYTES];
	int i;

	for (i = 0; i < dev_gpus_named(d); i++)
		json_array_append_new(list, json_string(topo_pci_text(d->gpu[i], pci)));
	return list;
}

static json_t *devices(const struct dev_table *t)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < t->count; i++) {
		const struct dev *d = &t->devs[i];
		char guid[20];

		snprintf(guid, sizeof(guid), "%016llx", (unsigned long long)d->guid);
		json_array_append_new(
			list,
			json_pack("{s:i, s:o, s:o, s:o, s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:i, s:b, s:o}", "number", i,
				  "nic", info_json_text(d->nic->name), "rails", rails(d), "gpus", gpus(d), "provider",
				  d->nic->provider, "protocol", d->nic->rma ? "rma" : "tagged", "fabric",
				  d->nic->fabric, "speed_mbps", d->speed_mbps, "streams", d->streams, "guid", guid,
				  "pci_path", d->pci_path ? info_json_text(d->pci_path) : json_null(), "numa_node",
				  topo_nic_numa(t->conf.topology, d->nic->pci, d->pci_path), "gpudirect",
				  (int)d->gdr.cuda, "gdr", info_gdr_json(d)));
	}
	return list;
}

static json_t *parameters(const struct dev_table *t)
{
	json_t *list = json_array();
	char value[PARAM_TEXT_BYTES], accepts[256];
	size_t i;

	for (i = 0; i < conf_count; i++) {
		const struct param *p = &conf_table[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s}", "name", p->name, "value",
						info_json_text(param_value_text(p, &t->conf, value, sizeof(value))),
						"default", p->value, "unit", param_unit(p), "origin",
						t->origins[i] == PARAM_FROM_ENVIRONMENT ? "environment" : "default",
						"accepts", param_accepts(p, accepts, sizeof(accepts)), "doc", p->doc));
	}
	return list;
}

int info_print_json(const struct dev_table *t)
{
	json_t *root = json_pack("{s:s, s:{s:s, s:o}, s:o, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "weft",
				 PACKAGE_VERSION, "libfabric", "version", fab_library_version(), "path",
				 info_json_text(fab_library_path()), "cuda", info_gpus_json(), "descriptors",
				 info_descriptors(), "fork", fab_fork_text(), "usable", (int)(t->count > 0), "why_not",
				 info_json_text(t->why), "providers", providers(t), "nics", nics(t), "devices",
				 devices(t), "platform", info_platform_json(t), "parameters", parameters(t));

	if (!root)
		return -ENOMEM;
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
	return 0;
}
