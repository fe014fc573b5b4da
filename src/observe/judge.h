/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts: what the numbers of a rail, a comm or a process mean. */
#ifndef WEFT_OBSERVE_JUDGE_H
#define WEFT_OBSERVE_JUDGE_H

#include "observe/span.h"

#define LATE_SHARE 0.5 /* of the time, from which on a peer is late */
#define CORE_SHARE 0.2 /* of the time in wait for a core, from which on times on the wire say nothing of the wire */

/* judge_rails.c: sets the verdicts of the rails of one process, which it compares with each other. */
void judge_rails(struct process_view *p);

void judge_comm(struct verdict *v, struct process_view *p, const struct span *s);

void judge_process(struct process_view *p);

/* After the peers are judged: names a process that is held up, or holds up a peer, because it waits for a core. */
void judge_busy(struct process_view *p);

/* Sets the cause and the text of a verdict, and nothing else. */
void judge_say(struct verdict *v, enum cause cause, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* "41 s", "350 ms". Returns buf. */
char *judge_duration(double seconds, char *buf, size_t buf_bytes);

#endif
