/* SPDX-License-Identifier: Apache-2.0 */
/* See side.h. */
#include "side.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "complain.h"

#define PAGE_BYTES 4096

int side_map(struct side *s, size_t tx_bytes, size_t rx_bytes)
{
	size_t bytes = tx_bytes + rx_bytes + PAGE_BYTES;
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		complain("cannot map %zu bytes: %s", bytes, strerror(errno));
		return -1;
	}
	memset(mem, 0, bytes);
	s->mem = mem;
	s->tx_bytes = tx_bytes;
	s->rx_bytes = rx_bytes;
	s->mem_bytes = bytes;
	return 0;
}

void side_unmap(struct side *s)
{
	if (s->mem)
		munmap(s->mem, s->mem_bytes);
	s->mem = NULL;
}

int side_swap(const struct side *s, const void *mine, void *out_theirs, size_t bytes)
{
	ssize_t n;

	if (send(s->peer_fd, mine, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
		goto gone;
	do {
		n = recv(s->peer_fd, out_theirs, bytes, 0);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)bytes)
		return 0;
gone:
	complain("the other process of the pair is gone");
	return -1;
}
