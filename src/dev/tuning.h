/* SPDX-License-Identifier: Apache-2.0 */
/* NCCL variables that Weft sets for the platform unless the user has set them. */
#ifndef WEFT_DEV_TUNING_H
#define WEFT_DEV_TUNING_H

#include "dev/dev.h"

/* Decision: set; kept, because the user has set it or another one of its set; or off, for other providers. */
enum tuning_becomes { TUNING_SET, TUNING_KEPT, TUNING_OFF };

struct tuning {
	struct platform_setting setting;
	enum tuning_becomes becomes;
	const char *whose; /* the user's variable if kept */
};

/* Lists the platform's settings with decisions by the current environment. Returns their number. */
int tuning_list(const struct dev_table *t, struct tuning out[PLATFORM_SETTINGS]);

/* Sets the chosen variables in this process's environment; logs each with its reason. For the plugin's init only. */
void tuning_apply(const struct dev_table *t);

#endif
