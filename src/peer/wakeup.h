/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakeup: a waiting peer makes this process poll its network even if the application makes no calls now.
 *
 * Closing needs it. Memory named in a clear-to-send is free only after the sender's confirmation that it writes no
 * more, and a sender that is idle or waits elsewhere does not poll. The peer then sends a byte over the lifeline
 * (lifeline_wake). One thread waits on all lifelines and calls `wake` for such a byte or a note. It also reads the
 * end of a lifeline.
 *
 * Threads: any.
 */
#ifndef WEFT_PEER_WAKEUP_H
#define WEFT_PEER_WAKEUP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Starts the thread, once per process. It makes one call of `wake` at a time, and none after exit handlers have
 * started. 0 or a negative errno.
 */
int wakeup_open(void (*wake)(void));

/*
 * Watches the socket fd until it is closed. When it is connected, and on received bytes or the end of the connection,
 * the thread calls `woken` with `key`, which reads them and returns true if the peer requests a wakeup. Does nothing
 * before wakeup_open.
 */
void wakeup_watch(int fd, bool (*woken)(const void *key), void *key);

/* For a forked child, which does not inherit the thread: resets the state. */
void wakeup_in_child(void);

#endif
