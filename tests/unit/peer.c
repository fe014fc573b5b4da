/* SPDX-License-Identifier: Apache-2.0 */
/* peer: the identity of a process, and the texts of addresses. */
#include "unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "peer/address.h"
#include "peer/ident.h"

static void knows_itself(void **state)
{
	static const uint8_t nothing[PEER_UUID_BYTES];
	const struct peer_ident *self = peer_self();
	char host[PEER_HOST_BYTES] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	assert_int_equal(self->pid, getpid());
	assert_string_equal(self->host, host);
	assert_memory_not_equal(self->uuid, nothing, sizeof(nothing));
	assert_ptr_equal(peer_self(), self);
}

/* The identity of a forked child, read through a pipe. */
static struct peer_ident ident_of_child(pid_t *out_pid)
{
	struct peer_ident ident;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	*out_pid = fork();
	if (!*out_pid) {
		ssize_t n = write(ends[1], peer_self(), sizeof(ident));

		_exit(n != sizeof(ident));
	}
	assert_int_equal(read(ends[0], &ident, sizeof(ident)), sizeof(ident));
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(waitpid(*out_pid, NULL, 0), *out_pid);
	return ident;
}

static void children_are_others(void **state)
{
	struct peer_ident before = *peer_self(), first, second;
	pid_t pid1, pid2;

	(void)state;
	first = ident_of_child(&pid1);
	second = ident_of_child(&pid2);
	assert_int_equal(first.pid, pid1);
	assert_int_equal(second.pid, pid2);
	assert_memory_not_equal(first.uuid, before.uuid, sizeof(before.uuid));
	assert_memory_not_equal(second.uuid, before.uuid, sizeof(before.uuid));
	assert_memory_not_equal(first.uuid, second.uuid, sizeof(first.uuid));
	assert_string_equal(first.host, before.host);
	assert_memory_equal(peer_self(), &before, sizeof(before)); /* the parent keeps its identity */
}

/* In a child with a host name of its own, the name's last character is kept. */
static void long_host_names_are_whole(void **state)
{
	static const size_t lens[] = {1, 62, 63, 64};
	char name[65];
	int status;
	size_t i;
	pid_t pid;

	(void)state;
	for (i = 0; i < COUNT(lens); i++) {
		memset(name, 'h', sizeof(name));
		name[lens[i]] = 0;
		pid = fork();
		if (!pid) {
			if (unshare(CLONE_NEWUTS) || sethostname(name, lens[i]))
				_exit(77);
			pid = fork(); /* gets a new identity */
			if (!pid)
				_exit(strncmp(peer_self()->host, name, PEER_HOST_BYTES - 1) != 0);
			_exit(waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 1);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WEXITSTATUS(status) == 77)
			skip(); /* only root may do this */
		assert_int_equal(status, 0);
	}
}

static void *ask(void *arg)
{
	*(const struct peer_ident **)arg = peer_self();
	return NULL;
}

static void threads_are_one(void **state)
{
	const struct peer_ident *seen[8];
	pthread_t threads[8];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &seen[i]), 0);
	for (i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_ptr_equal(seen[i], peer_self());
	}
}

static void reads_addresses(void **state)
{
	static const struct {
		const char *text;
		int family;
		uint8_t ip[16];
	} rows[] = {
		{"127.0.0.1", 4, {127, 0, 0, 1}},
		{"10.1.2.255", 4, {10, 1, 2, 255}},
		{"::1", 6, {[15] = 1}},
		{"fd00::1:2", 6, {0xfd, [13] = 1, [15] = 2}},
		{"", 0, {0}},
		{"auto", 0, {0}},
		{"localhost", 0, {0}},
		{"127.0.0.256", 0, {0}},
		{"127.0.0.1 ", 0, {0}},
		{" 127.0.0.1", 0, {0}},
		{"127.0.0", 0, {0}},
		{"127.0.0.1:80", 0, {0}},
		{"127.0.0.1/8", 0, {0}},
		{"[::1]", 0, {0}},
		{"::1%lo", 0, {0}},
		{":::", 0, {0}},
	};
	uint8_t ip[16];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		memset(ip, 0xa5, sizeof(ip));
		if (address_from_text(rows[i].text, ip) != rows[i].family)
			fail_msg("\"%s\"", rows[i].text);
		if (rows[i].family)
			assert_memory_equal(ip, rows[i].ip, sizeof(ip));
	}
}

static void finds_the_loopback(void **state)
{
	static const uint8_t loopback6[16] = {[15] = 1};
	uint8_t ip[16];
	int family = address_of_host(true, ip);

	(void)state;
	if (!family)
		skip(); /* a machine whose loopback is down or absent */
	if (family == 4)
		assert_int_equal(ip[0], 127);
	else
		assert_memory_equal(ip, loopback6, sizeof(ip));
}

static void never_takes_the_loopback_for_the_network(void **state)
{
	uint8_t ip[16];
	int family = address_of_host(false, ip);

	(void)state;
	if (family == 4)
		assert_int_not_equal(ip[0], 127);
	if (family == 6) {
		static const uint8_t loopback6[16] = {[15] = 1};

		assert_memory_not_equal(ip, loopback6, sizeof(ip));
		assert_false(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80); /* link-local */
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_itself),
		cmocka_unit_test(children_are_others),
		cmocka_unit_test(long_host_names_are_whole),
		cmocka_unit_test(threads_are_one),
		cmocka_unit_test(reads_addresses),
		cmocka_unit_test(finds_the_loopback),
		cmocka_unit_test(never_takes_the_loopback_for_the_network),
	};

	return unit_run("peer", tests);
}
