/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool process_stat(uint64_t pid, char *out_state, uint64_t *out_start)
{
	char path[64], text[1024], state, *p;
	size_t n;
	int i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')'); /* field 2, the name, may contain anything */
	if (!p || sscanf(p, ") %c", &state) != 1)
		return false;
	if (out_state)
		*out_state = state;
	for (i = 2; p && i < 22; i++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, " %" SCNu64, out_start) == 1;
}

uint64_t process_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) ? 0 : (uint64_t)st.st_ino;
}

/* The file has 32 hexadecimal digits with hyphens. */
bool process_boot_id(uint64_t out[2])
{
	unsigned char bytes[16];
	size_t n = 0;
	unsigned byte;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	memset(out, 0, sizeof(bytes));
	if (!f)
		return false;
	while (n < sizeof(bytes) && fscanf(f, "%*[-]") != EOF && fscanf(f, "%2x", &byte) == 1)
		bytes[n++] = (unsigned char)byte;
	fclose(f);
	if (n < sizeof(bytes))
		return false;
	memcpy(out, bytes, sizeof(bytes));
	return true;
}

int process_lock_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB))
		return errno == EWOULDBLOCK ? 1 : -1;
	flock(fd, LOCK_UN);
	return 0;
}

static uint64_t next_number(const char **at)
{
	uint64_t n = 0;

	for (; **at >= '0' && **at <= '9'; ++*at)
		n = 10 * n + (uint64_t)(**at - '0');
	*at += **at == ' ';
	return n;
}

/* The file has the time on a core, the two numbers, and a newline. No stream, since no memory may be allocated. */
void process_core_wait(uint64_t *out_ns, uint64_t *out_runs)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	const char *at;
	char text[96];
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	at = text;
	next_number(&at);
	*out_ns = next_number(&at);
	*out_runs = next_number(&at);
}
