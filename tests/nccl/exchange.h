/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses a plugin chosen by NCCL, through the table that NCCL would use: properties, a connection of the process with
 * itself, and verified messages. A sign of life; tests/conformance has the conformance tests.
 */
#ifndef WEFT_TESTS_EXCHANGE_H
#define WEFT_TESTS_EXCHANGE_H

#include "libnccl.h"

/*
 * For plugins: NCCL's own networks call CUDA to connect. abi is the result of nccl_comm_abi; if it is older than the
 * table, the limits of NCCL's adapter between the two are checked as well. `salt` makes this run's data differ from
 * another's. Returns 0 and the number of verified messages, or -1 after one line on stderr. Gives up after a minute
 * without progress.
 */
int exchange_run(const struct net_table *net, int abi, unsigned int salt, int *out_messages);

#endif
