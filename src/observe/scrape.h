/* SPDX-License-Identifier: Apache-2.0 */
/* The state of weft-exporter from one scrape to the next. For one thread. */
#ifndef WEFT_OBSERVE_SCRAPE_H
#define WEFT_OBSERVE_SCRAPE_H

#include "observe/retired.h"

struct scrape {
	size_t peers;
	struct snapshot *before;
	struct retired_list retired;
	char *text; /* of the last scrape */
	size_t bytes;
};

/*
 * Reads the records and makes s->text. A scrape less than a second after the last one repeats its text, since the time
 * between two is what the verdicts are about. 0 or -ENOMEM.
 */
int scrape_make(struct scrape *s);

void scrape_fini(struct scrape *s);

#endif
