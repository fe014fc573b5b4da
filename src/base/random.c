/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers; see random.h. */
#include "base/random.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* One step of splitmix64. */
static uint64_t mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void fill_by_clock(uint8_t *buf, size_t bytes)
{
	static atomic_ullong calls;
	struct timespec now;
	uint64_t state, word;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	state = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^ (uint64_t)getpid() << 44 ^ (uintptr_t)&now ^
		atomic_fetch_add(&calls, 1) << 56;
	for (; bytes; bytes -= n, buf += n) {
		word = mix(&state);
		n = bytes < sizeof(word) ? bytes : sizeof(word);
		memcpy(buf, &word, n);
	}
}

void random_fill(void *buf, size_t bytes)
{
	uint8_t *at = buf;
	ssize_t n = 1;

	while (bytes && n > 0) {
		n = getrandom(at, bytes, GRND_NONBLOCK);
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		}
	}
	fill_by_clock(at, bytes);
}
