/* SPDX-License-Identifier: Apache-2.0 */
/* What oob.c and oob_meet.c share. */
#ifndef WEFT_BENCH_OOB_PRIV_H
#define WEFT_BENCH_OOB_PRIV_H

#include "oob.h"
#include "oob_link.h"

#include <stdbool.h>
#include <stdint.h>

struct pollfd;

/* What an OOB_FAIL frame holds; `error` may be cut behind its end. */
struct oob_notice {
	int32_t status;
	char error[768];
};

/* All arrays have nranks entries. A link with fd = -1 does not exist. */
struct oob {
	int rank, nranks;
	struct oob_link
		*links; /* by the other side's rank; a rank other than 0 has links[0] only */
	struct oob_peer *peers;
	bool *left; /* said goodbye and closed: not a death */
	struct pollfd *polls;
	int64_t next_check_ms;
	char error[768]; /* "" while all is well */
	int error_status;
};

#endif
