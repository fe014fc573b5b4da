/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses a plugin that NCCL chose, through the table NCCL would use: properties, a connection of the
 * process with itself, and verified messages. A sign of life, not a conformance test; that is
 * tests/conformance.
 */
#ifndef WEFT_TESTS_EXCHANGE_H
#define WEFT_TESTS_EXCHANGE_H

#include "libnccl.h"

/*
 * For plugins: a network of NCCL's own calls CUDA to connect. abi is what nccl_comm_abi says; when
 * it is older than the table, the limits of NCCL's adapter between the two are checked as well.
 * `salt` makes this run's data differ from another's. Returns 0 and the number of verified
 * messages, or -1 after one line on stderr. Gives up after a minute without progress.
 */
int exchange_run(const struct net_table *net, int abi, unsigned int salt, int *out_messages);

#endif
