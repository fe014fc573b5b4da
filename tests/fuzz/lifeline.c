/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on a lifeline, from its other end: before the hello, after it, and on the dialling side. The first byte chooses;
 * of the rest, each portion is preceded by its length. Each look comes back, and an end is final.
 */
#include "fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "peer/line.h"

enum { HELLO, ACCEPTED, DIALLED, SIDES };

static struct lifeline *make(int side, int fd)
{
	struct lifeline_addr nobody = {4, 1, {127, 0, 0, 1}}; /* who is cut dials again, and is refused */
	struct lifeline *l = side == DIALLED ? line_dialled(&nobody, 7, 9, 1000000) : line_accepted(fd, 1000000);

	must(l);
	l->fd = fd;
	if (side != HELLO)
		l->state = LIFELINE_ALIVE;
	l->proven = side == ACCEPTED;
	return l;
}

static void step(struct lifeline *l)
{
	enum lifeline_state before = l->state;
	char text[LIFELINE_EVIDENCE_BYTES];

	line_step(l);
	if (before != LIFELINE_ALIVE && before != LIFELINE_CONNECTING)
		must(l->state == before);
	line_evidence(l, text, sizeof(text));
	must(strlen(text) < sizeof(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct lifeline *l;
	size_t n;
	int ends[2];

	if (!bytes || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		return 0;
	l = make(*data % SIDES, ends[0]);
	for (data++, bytes--; bytes > 1; data += n, bytes -= n) {
		n = *data++ % 96;
		bytes--;
		n = n < bytes ? n : bytes;
		if (n && send(ends[1], data, n, MSG_NOSIGNAL) < 0)
			break;
		step(l);
		must(l->hello_bytes <= sizeof(l->hello));
		if (line_has_hello(l) && l->state == LIFELINE_CONNECTING && !l->dialled && !l->again && data[0] & 1)
			line_welcome(l, l);
	}
	close(ends[1]);
	step(l);
	step(l);
	line_close(l);
	free(l);
	return 0;
}
