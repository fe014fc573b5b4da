/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes out of band to a benchmark: frames, or no frames. The first byte says which kind is looked for, and with its
 * top bit that the link keeps few bytes.
 */
#include "fuzz/fuzz.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "oob_link.h"

enum { FEW = 256 };

static void look(struct oob_link *l, enum oob_kind kind)
{
	const volatile uint8_t *p;
	size_t n, i;
	int err;

	while ((p = oob_link_find(l, kind, &n, &err))) {
		must(!err);
		for (i = 0; i < n; i++)
			(void)p[i];
		must(n <= l->rx_bytes);
		oob_link_drop(l, (const void *)(uintptr_t)p);
	}
	must(!err || err == -EPROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	enum oob_kind kind = bytes ? OOB_HELLO + *data % OOB_LEAVE : OOB_HELLO;
	struct oob_link l;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		return 0;
	oob_link_init(&l, ends[0]);
	if (bytes && *data & 0x80)
		l.most = FEW;
	if (bytes > 1 && send(ends[1], data + 1, bytes - 1, MSG_NOSIGNAL) > 0) {
		must(!oob_link_fill(&l) == (bytes - 1 < l.most));
		must(l.rx_bytes == (bytes - 1 < l.most ? bytes - 1 : l.most));
		look(&l, kind);
	}
	close(ends[1]);
	while (!oob_link_fill(&l))
		must(l.rx_bytes <= l.most);
	must(l.error == (l.rx_bytes < l.most ? 0 : EMSGSIZE));
	look(&l, OOB_FAIL);
	oob_link_fini(&l);
	return 0;
}
