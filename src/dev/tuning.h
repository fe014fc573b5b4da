/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL's own variables that Weft sets for the platform, where the user has not. */
#ifndef WEFT_DEV_TUNING_H
#define WEFT_DEV_TUNING_H

#include "dev/dev.h"

/* What becomes of a setting: set; kept, as the user has it or one that goes with it; or off: not for this provider. */
enum tuning_becomes { TUNING_SET, TUNING_KEPT, TUNING_OFF };

struct tuning {
	struct platform_setting setting;
	enum tuning_becomes becomes;
	const char *whose; /* kept: the user's variable */
};

/* The platform's settings as the environment is now; how many. */
int tuning_list(const struct dev_table *t, struct tuning out[PLATFORM_SETTINGS]);

/* Sets those to be set, in this process's environment; logs each with its reason. For the plugin's init only. */
void tuning_apply(const struct dev_table *t);

#endif
