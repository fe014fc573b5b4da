/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by oob.c and oob_meet.c. */
#ifndef WEFT_BENCH_OOB_PRIV_H
#define WEFT_BENCH_OOB_PRIV_H

#include "oob.h"
#include "oob_link.h"

#include <stdbool.h>
#include <stdint.h>

struct pollfd;

/* Payload of an OOB_FAIL frame; the bytes behind the text in `error` may be omitted. */
struct oob_notice {
	int32_t status;
	char error[768];
};

/* All arrays have nranks entries. A link with fd = -1 does not exist. */
struct oob {
	int rank, nranks;
	struct oob_link *links; /* by the other side's rank; a rank other than 0 has links[0] only */
	struct oob_peer *peers;
	bool *left; /* by rank: it has announced its end, so its end is no failure */
	struct pollfd *polls;
	int64_t next_check_ms;
	char error[768]; /* "" while no rank has failed */
	int error_status;
};

/* Describes the end of the connection to a rank in one line that contains observed facts only. */
void oob_describe_loss(const struct oob *o, int rank, char *buf, size_t buf_bytes);

#endif
