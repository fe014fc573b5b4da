/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the NICs allow (nic_path.h). Nothing is known of loopback, and of other plugins than Weft.
 */
#ifndef WEFT_ALL_REDUCE_EXPECTED_H
#define WEFT_ALL_REDUCE_EXPECTED_H

#include "oob.h"
#include "result.h"

#include <jansson.h>
#include <stdio.h>

struct expected {
	int nics;	  /* of the host that has least; 0: nothing is known */
	int sharing;	  /* the number of ranks there that share them */
	double host_gbs;  /* in each direction */
	double busbw_gbs; /* what a rank can have of it */
	char each[32];	  /* "100 Gbit/s"; "": they differ */
	char source[96];
};

/*
 * Collective, once the engine is open. `shared`: the traffic between ranks of a host crosses its NICs, too. 0, -EPIPE or
 * -ENOMEM.
 */
int expected_find(struct oob *oob, bool shared, struct expected *out);

/* Both print nothing if nothing is known. The end judges the largest row. */
void expected_print_head(FILE *f, const struct expected *e);
void expected_print_end(FILE *f, const struct expected *e, const struct totals *t);

/* NULL: nothing is known. */
json_t *expected_json(const struct expected *e, const struct totals *t);

#endif
