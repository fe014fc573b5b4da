/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of this process's listens, which distinguish a peer's hello on a lifeline from a stranger's. Any thread. */
#ifndef WEFT_PEER_SECRET_H
#define WEFT_PEER_SECRET_H

#include <stdbool.h>
#include <stdint.h>

/* Adds the secret of a listen, until secret_remove. 0 or -ENOMEM. */
int secret_add(uint64_t secret);
void secret_remove(uint64_t secret);

/* Takes the same time for either result. */
bool secret_is_ours(uint64_t secret);

/* For a forked child, which has no listens: drops all secrets. */
void secret_forget_all(void);

#endif
