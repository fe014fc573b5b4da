/* SPDX-License-Identifier: Apache-2.0 */
/* weft-info: the platform of this machine, and its effects. */
#include <stdio.h>
#include <stdlib.h>

#include "info/info.h"
#include "dev/nccl_topology.h"
#include "dev/tuning.h"

static const char *const writes[] = {
	[PLATFORM_WRITES_UNKNOWN] = "unknown",
	[PLATFORM_WRITES_EMULATED] = "emulated",
	[PLATFORM_WRITES_NATIVE] = "native",
};

static const char *const told[] = {
	[NCCL_TOPOLOGY_OFF] = "not shown to NCCL (WEFT_NCCL_TOPOLOGY=on does)",
	[NCCL_TOPOLOGY_USERS] = "not shown to NCCL, which has a topology file",
	[NCCL_TOPOLOGY_GIVEN] = "shown to NCCL (weft-info --nccl-topology prints it)",
};

static const char *const becomes[] = {[TUNING_SET] = "set", [TUNING_KEPT] = "kept", [TUNING_OFF] = "off"};

static void print_setting(const struct tuning *tuning)
{
	const struct platform_setting *s = &tuning->setting;

	printf("      %s=%s ", s->name, s->value);
	switch (tuning->becomes) {
	case TUNING_SET: printf("is set for NCCL: %s\n", s->why); break;
	case TUNING_KEPT:
		printf("is not set, for your %s=%s: %s\n", tuning->whose, getenv(tuning->whose), s->why);
		break;
	case TUNING_OFF: printf("is not set, since the provider is not efa: %s\n", s->why); break;
	}
}

void info_print_platform(const struct dev_table *t)
{
	const struct platform *p = t->platform.platform;
	enum nccl_topology topology = nccl_topology_of(t);
	struct tuning list[PLATFORM_SETTINGS];
	int i, n = tuning_list(t, list);

	printf("\nPlatform\n    %s (%s)\n", t->platform.name, t->platform.how);
	if (p->efa)
		printf("      EFA version %d, remote writes: %s\n", p->efa, writes[p->writes]);
	if (p->latency_us)
		printf("      network latency: %d us, %sreported to NCCL\n", p->latency_us,
		       dev_latency_us(t) ? "" : "not ");
	for (i = 0; i < n; i++)
		print_setting(&list[i]);
	if (topology != NCCL_TOPOLOGY_NONE)
		printf("      the PCI tree hides which devices and GPUs belong together: they are %s\n",
		       told[topology]);
}

json_t *info_platform_json(const struct dev_table *t)
{
	struct tuning tunings[PLATFORM_SETTINGS];
	int i, n = tuning_list(t, tunings);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", tunings[i].setting.name, "value",
						      tunings[i].setting.value, "becomes", becomes[tunings[i].becomes],
						      "why", tunings[i].setting.why));
	return json_pack("{s:o, s:o, s:i, s:s, s:i, s:o}", "name", info_json_text(t->platform.name), "origin",
			 info_json_text(t->platform.how), "efa_version", t->platform.platform->efa, "remote_writes",
			 writes[t->platform.platform->writes], "latency_us", dev_latency_us(t), "nccl_settings", list);
}
