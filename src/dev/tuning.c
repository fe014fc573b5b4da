/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NCCL reads its variables when it creates a communicator, which is after the plugin's init. setenv is not safe with
 * concurrent getenv in other threads, but NCCL itself sets variables from its configuration file at this point.
 */
#include "dev/tuning.h"

#include <stdlib.h>

#include "base/log.h"

int tuning_list(const struct dev_table *t, struct tuning out[PLATFORM_SETTINGS])
{
	struct platform_setting s[PLATFORM_SETTINGS];
	int i, k, n = platform_settings(t->platform.platform, s);

	for (i = 0; i < n; i++) {
		out[i] = (struct tuning){.setting = s[i],
					 .becomes = t->count && dev_platform_fits(t) ? TUNING_SET : TUNING_OFF};
		for (k = 0; k < n; k++)
			if (s[k].set == s[i].set && getenv(s[k].name)) {
				out[i].becomes = TUNING_KEPT;
				out[i].whose = s[k].name;
			}
		if (getenv(s[i].name))
			out[i].whose = s[i].name;
	}
	return n;
}

void tuning_apply(const struct dev_table *t)
{
	struct tuning list[PLATFORM_SETTINGS];
	int i, n = tuning_list(t, list);

	for (i = 0; i < n; i++) {
		const struct platform_setting *s = &list[i].setting;

		if (list[i].becomes == TUNING_SET && !setenv(s->name, s->value, 0))
			log_info("%s=%s for %s: %s", s->name, s->value, t->platform.name, s->why);
		else if (list[i].becomes == TUNING_KEPT)
			log_info("%s is not set to %s for %s: keeping your %s=%s", s->name, s->value, t->platform.name,
				 list[i].whose, getenv(list[i].whose));
	}
}
