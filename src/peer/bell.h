/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bell: lets a peer that waits for us have this process look at its network although the application
 * does not call right now.
 *
 * Closing needs it: memory that was announced to a sender is free only when the sender has said what it
 * still writes, and a sender that is idle, or waits elsewhere, polls nothing. The peer then sends a byte
 * over the lifeline (lifeline_ring). One thread sleeps on all lifelines and calls `rung` for such a byte;
 * without rings it never wakes up but for the end of a lifeline.
 *
 * Threads: any.
 */
#ifndef WEFT_PEER_BELL_H
#define WEFT_PEER_BELL_H

#include <stdint.h>

/*
 * Starts the thread, once per process. `rung` is called on it, never twice at a time, and not any more once
 * the process exits. 0 or a negative errno.
 */
int bell_open(void (*rung)(void));

/* Listens to this socket, named by `key`, until it is closed. Nothing when the bell is not open. */
void bell_watch(int fd, void *key);

/* In a forked child: the thread is the parent's. */
void bell_in_child(void);

#endif
