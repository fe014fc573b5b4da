/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats: the live record of a process, read from its file as a stranger would: what it counts and times of messages
 * that really move, what is left of a killed process, and which directories and files are refused. A process has one
 * record, so each test runs in a child.
 */
#include "unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "unit/net.h"
#include "weft/stats.h"

#define KIB ((size_t)1024)

static char base[64]; /* directory of this program's records */

/* --- a reader --- */

struct copy {
	struct weft_stats_head head;
	unsigned char *file;
};

/* Reads and checks a whole record; the caller frees copy->file. Returns why it was refused, or NULL. */
static const char *read_record(const char *path, struct copy *out)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *why = NULL;
	struct stat st;

	out->file = NULL;
	if (fd < 0)
		return "cannot be opened";
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
		why = "is not a file of this user";
	else if (pread(fd, &out->head, sizeof(out->head), 0) != (ssize_t)sizeof(out->head))
		why = "is too short";
	else
		why = weft_stats_check(&out->head, (uint64_t)st.st_size);
	if (!why) {
		out->file = malloc((size_t)st.st_size);
		assert_non_null(out->file);
		assert_int_equal(pread(fd, out->file, (size_t)st.st_size, 0), st.st_size);
	}
	close(fd);
	return why;
}

static const void *entry(const struct copy *c, const struct weft_stats_table *t, uint64_t i)
{
	assert_true(i < t->entries);
	return c->file + t->offset + i * t->entry_bytes;
}

static const struct weft_stats_comm *comm_of(const struct copy *c, uint64_t i)
{
	return entry(c, &c->head.comms, i);
}

/* The comm in this direction; fails if there are several. */
static const struct weft_stats_comm *the_comm(const struct copy *c, enum weft_stats_direction direction)
{
	const struct weft_stats_comm *found = NULL;
	uint64_t i;

	for (i = 0; i < c->head.comms.entries && comm_of(c, i)->generation; i++) {
		if (comm_of(c, i)->direction != direction)
			continue;
		assert_null(found);
		assert_int_equal(comm_of(c, i)->generation % 2, 0);
		found = comm_of(c, i);
	}
	assert_non_null(found);
	return found;
}

static const struct weft_stats_rail *rail_of(const struct copy *c, const struct weft_stats_comm *comm)
{
	uint64_t i;

	for (i = 0; i < c->head.rails.entries; i++) {
		const struct weft_stats_rail *r = entry(c, &c->head.rails, i);

		if (r->generation && r->endpoint == comm->endpoint)
			return r;
	}
	fail();
	return NULL;
}

static uint64_t total(const uint64_t buckets[WEFT_STATS_BUCKETS])
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < WEFT_STATS_BUCKETS; i++)
		sum += buckets[i];
	return sum;
}

/* Number of events of this kind of the comm's endpoint. */
static int events_of(const struct copy *c, const struct weft_stats_comm *comm, enum weft_stats_event_kind kind)
{
	uint64_t i, each = c->head.events_each;
	int n = 0;

	for (i = 0; i < each; i++) {
		const struct weft_stats_event *e = entry(c, &c->head.events, comm->endpoint * each + i);

		n += e->kind == kind;
	}
	return n;
}

static int lock_held(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), held;

	assert_true(fd >= 0);
	held = process_lock_held(fd);
	close(fd);
	return held;
}

/* --- children --- */

/* Runs the test in a child with a record directory of its own; a failed assertion ends it with another status. */
static void in_child(const char *provider, void (*test)(void))
{
	char *name = (char *)(uintptr_t)provider;
	void *state = name;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		setenv("WEFT_STATS_DIR", base, 1);
		if (net_begin(&state))
			_exit(2);
		if (!net.dev)
			_exit(77);
		test();
		if (net_end(&state))
			_exit(3);
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void open_link(struct net_link *l, struct cm_listen **listen, size_t bytes)
{
	struct wire_handle handle;

	net_listen(&handle, listen);
	net_link_open(l, *listen, &handle, bytes);
}

static void close_link(struct net_link *l, struct cm_listen *listen)
{
	net_link_close(l);
	net_listen_close(listen);
}

/* --- what is counted --- */

static void check_sides(const struct copy *c, uint64_t messages, uint64_t bytes)
{
	const struct weft_stats_comm *s = the_comm(c, WEFT_STATS_SEND), *r = the_comm(c, WEFT_STATS_RECV);

	assert_int_equal(s->messages + s->eager_messages, messages);
	assert_int_equal(r->messages + r->eager_messages, messages);
	assert_int_equal(s->bytes + s->eager_bytes, bytes);
	assert_int_equal(r->bytes + r->eager_bytes, bytes);
	assert_int_equal(s->eager_messages, r->eager_messages);
	assert_int_equal(r->posted, messages);
	assert_int_equal(s->posted, s->messages);
	assert_int_equal(weft_stats_in_flight(s), 0);
	assert_int_equal(weft_stats_in_flight(r), 0);
	assert_int_equal(total(s->wire_us), s->messages);
	assert_true(total(s->peer_us) >= s->messages);
	assert_in_range(total(r->peer_us), r->messages, r->messages + r->eager_messages); /* eager ones that waited */
	assert_int_equal(rail_of(c, s)->assumed, 1); /* the loopback has no speed */
	assert_int_equal(rail_of(c, s)->tx_bytes, bytes);
	assert_int_equal(rail_of(c, r)->rx_bytes, bytes);
	assert_int_equal(rail_of(c, s)->tx_messages, messages);
	assert_int_equal(rail_of(c, r)->rx_messages, messages);
	assert_int_equal(events_of(c, s, WEFT_STATS_EV_DONE), s->messages);
	assert_int_equal(events_of(c, r, WEFT_STATS_EV_DONE), total(r->peer_us));
	assert_int_equal(s->failed + r->failed, 0);
	assert_int_equal(s->state, WEFT_STATS_CONNECTED);
	assert_int_equal(s->peer_id, r->id);
	assert_int_equal(s->peer_pid, getpid());
	assert_string_equal(s->host, c->head.host);
}

static void count_messages(void)
{
	static const size_t sizes[] = {0, 1, 64, 4000, 8192, 8193, 65536, 300000};
	uint64_t messages = 0, bytes = 0;
	struct cm_listen *listen;
	struct net_link l;
	struct copy c;
	size_t i, round;

	open_link(&l, &listen, 300000);
	for (round = 0; round < 3; round++)
		for (i = 0; i < COUNT(sizes); i++) {
			net_message(&l, sizes[i]);
			messages++;
			bytes += sizes[i];
		}
	assert_null(read_record(stats_path(), &c));
	assert_int_equal(c.head.pid, getpid());
	assert_int_equal(c.head.state, WEFT_STATS_LIVE);
	check_sides(&c, messages, bytes);
	free(c.file);
	close_link(&l, listen);
	assert_null(read_record(stats_path(), &c));
	assert_int_equal(the_comm(&c, WEFT_STATS_SEND)->state, WEFT_STATS_COMM_CLOSED);
	assert_int_equal(the_comm(&c, WEFT_STATS_RECV)->state, WEFT_STATS_COMM_CLOSED);
	free(c.file);
}

static void counts_equal_what_was_sent(void **state)
{
	in_child(*state, count_messages);
}

/* --- what is timed --- */

#define LATE_US 100000
#define LARGE	(256 * KIB)

/* Posts a send, and its receive only LATE_US later. */
static void late_receive(struct net_link *l)
{
	struct xfer_req *send = NULL, *recv = NULL;
	int64_t until = clock_us() + LATE_US;
	size_t len;

	while (clock_us() < until) {
		assert_int_equal(net_isend(l->send, l->from, LARGE, l->from_region, &send), -EAGAIN);
		net_turn(l);
	}
	assert_int_equal(net_recv(l, 0, LARGE, &recv), 0);
	assert_int_equal(net_send(l, 0, LARGE, &send), 0);
	assert_int_equal(net_wait(l, recv, &len), 1);
	assert_int_equal(net_wait(l, send, &len), 1);
}

static void time_late_receiver(void)
{
	struct cm_listen *listen;
	struct net_link l;
	struct copy c;
	const struct weft_stats_comm *s;
	uint64_t waited;

	open_link(&l, &listen, LARGE);
	late_receive(&l);
	assert_null(read_record(stats_path(), &c));
	s = the_comm(&c, WEFT_STATS_SEND);
	waited = weft_stats_span_ns(&c.head, s->peer_ticks) / 1000;
	assert_true(waited >= LATE_US * 9 / 10);
	assert_int_equal(s->asked, 0);
	assert_int_equal(total(s->peer_us), 1);
	assert_int_equal(s->peer_us[16] + s->peer_us[17] + s->peer_us[18] + s->peer_us[19] + s->peer_us[20] +
				 s->peer_us[21] + s->peer_us[22] + s->peer_us[23] + s->peer_us[24] + s->peer_us[25],
			 1);
	assert_int_equal(events_of(&c, s, WEFT_STATS_EV_ASKED), 1);
	assert_int_equal(events_of(&c, s, WEFT_STATS_EV_CLEARED), 1);
	free(c.file);
	close_link(&l, listen);
}

static void a_late_receiver_is_told_from_a_slow_wire(void **state)
{
	in_child(*state, time_late_receiver);
}

/* A receive posted long before its message waits for the sender; the check while it waits names it. */
static void time_late_sender(void)
{
	struct xfer_req *send = NULL, *recv = NULL;
	struct cm_listen *listen;
	struct net_link l;
	struct copy c;
	const struct weft_stats_comm *r;
	int64_t until, since = clock_us();
	size_t len;

	open_link(&l, &listen, LARGE);
	assert_int_equal(net_recv(&l, 0, LARGE, &recv), 0);
	until = clock_us() + 3 * LATE_US;
	while (clock_us() < until)
		assert_int_equal(xfer_test(recv, &len), 0);
	assert_null(read_record(stats_path(), &c));
	r = the_comm(&c, WEFT_STATS_RECV);
	assert_int_equal(weft_stats_in_flight(r), 1);
	assert_true(r->oldest != 0);
	assert_int_equal(r->oldest_bytes, LARGE);
	assert_int_equal(r->oldest_after, 0);
	assert_true(weft_stats_ns(&c.head, r->oldest) / 1000 >= (uint64_t)since);
	free(c.file);
	assert_int_equal(net_send(&l, 0, LARGE, &send), 0);
	assert_int_equal(net_wait(&l, recv, &len), 1);
	assert_int_equal(net_wait(&l, send, &len), 1);
	assert_null(read_record(stats_path(), &c));
	r = the_comm(&c, WEFT_STATS_RECV);
	assert_true(weft_stats_span_ns(&c.head, r->peer_ticks) / 1000 >= 3 * LATE_US * 9 / 10);
	assert_int_equal(weft_stats_in_flight(r), 0);
	free(c.file);
	close_link(&l, listen);
}

static void a_late_sender_shows_at_the_receiver(void **state)
{
	in_child(*state, time_late_sender);
}

/* The same for a message that is sent eagerly, after others that were and did not wait. */
static void time_late_small(void)
{
	struct xfer_req *send = NULL, *recv = NULL;
	uint64_t us, before, eager;
	struct cm_listen *listen;
	struct net_link l;
	struct copy c;
	const struct weft_stats_comm *r;
	int64_t until;
	size_t len;
	int i;

	open_link(&l, &listen, 64);
	for (i = 0; i < 40; i++)
		net_message(&l, 64);
	assert_int_equal(net_recv(&l, 0, 64, &recv), 0);
	until = clock_us() + 3 * LATE_US;
	while (clock_us() < until)
		assert_int_equal(xfer_test(recv, &len), 0);
	assert_null(read_record(stats_path(), &c));
	r = the_comm(&c, WEFT_STATS_RECV);
	eager = r->eager_messages;
	before = r->peer_ticks;
	assert_true(eager > 0);
	assert_int_equal(weft_stats_in_flight(r), 1);
	assert_true(weft_stats_oldest(r) != 0);
	free(c.file);
	assert_int_equal(net_send(&l, 0, 64, &send), 0);
	assert_int_equal(net_wait(&l, recv, &len), 1);
	assert_int_equal(net_wait(&l, send, &len), 1);
	assert_null(read_record(stats_path(), &c));
	r = the_comm(&c, WEFT_STATS_RECV);
	assert_int_equal(r->eager_messages, eager + 1);
	us = weft_stats_span_ns(&c.head, r->peer_ticks - before) / 1000;
	assert_true(us >= 3 * LATE_US * 9 / 10);
	assert_true(weft_stats_oldest(r) == 0);
	free(c.file);
	close_link(&l, listen);
}

static void a_late_sender_of_small_messages_shows_too(void **state)
{
	in_child(*state, time_late_small);
}

/* --- an endpoint that breaks --- */

static void break_streams(void)
{
	struct xfer_ep *ep;
	struct cm_listen *listen;
	struct net_link l;

	open_link(&l, &listen, 64);
	ep = l.send->ep;
	assert_true(ep->rail_count > DEV_RAILS_MAX);
	xfer_ep_lock(ep);
	ep_break(ep, -EIO, "the test says so");
	assert_int_equal(xfer_ep_poll(ep), -EIO);
	xfer_ep_unlock(ep);
	if (*stats_path()) {
		struct copy c;

		assert_null(read_record(stats_path(), &c));
		assert_int_equal(rail_of(&c, the_comm(&c, WEFT_STATS_SEND))->state, WEFT_STATS_RAIL_DOWN);
		free(c.file);
	}
	close_link(&l, listen);
}

/* It has more rails than NICs, and more than a device can have NICs. */
static void an_endpoint_of_many_streams_breaks(void **state)
{
	setenv("WEFT_STREAMS", "16", 1);
	in_child(*state, break_streams);
	setenv("WEFT_STATS", "0", 1);
	in_child(*state, break_streams);
	unsetenv("WEFT_STATS");
	unsetenv("WEFT_STREAMS");
}

/* --- the end of a process --- */

/* Number of records in the directory; *one gets the path of the last. */
static int records(char *one, size_t bytes)
{
	DIR *d = opendir(base);
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (!strstr(e->d_name, WEFT_STATS_SUFFIX))
			continue;
		snprintf(one, bytes, "%s/%s", base, e->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void die_in_flight(void)
{
	struct xfer_req *send = NULL;
	struct cm_listen *listen;
	struct net_link l;
	int i;

	open_link(&l, &listen, LARGE);
	for (i = 0; i < 5; i++)
		net_message(&l, LARGE);
	assert_int_equal(net_isend(l.send, l.from, LARGE, l.from_region, &send), -EAGAIN);
	kill(getpid(), SIGKILL);
}

static void killed_child(void)
{
	void *state = (void *)(uintptr_t)NET_RMA;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		setenv("WEFT_STATS_DIR", base, 1);
		if (!net_begin(&state) && net.dev)
			die_in_flight();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

/* A killed process has left the only record; its path. */
static void killed_record(char *path, size_t bytes)
{
	killed_child();
	assert_int_equal(records(path, bytes), 1);
}

static void a_killed_process_leaves_its_record(void **state)
{
	const struct weft_stats_comm *s;
	char path[400];
	struct copy c;

	assert_int_equal(records(path, sizeof(path)), 0);
	killed_record(path, sizeof(path));
	assert_null(read_record(path, &c));
	assert_int_equal(c.head.state, WEFT_STATS_LIVE);
	s = the_comm(&c, WEFT_STATS_SEND);
	assert_int_equal(s->messages, 5);
	assert_true(s->asked != 0);
	assert_int_equal(s->asked_bytes, LARGE);
	free(c.file);
	in_child(NET_RMA, count_messages); /* the next process keeps it, and removes its own */
	assert_int_equal(records(path, sizeof(path)), 1);
	in_child(*state, count_messages);
	assert_int_equal(unlink(path), 0);
}

/* Changes eight bytes of a file. */
static void poke(const char *path, size_t at, uint64_t value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &value, sizeof(value), (off_t)at), sizeof(value));
	close(fd);
}

static void old_records_are_removed(void **state)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	char path[400];

	killed_record(path, sizeof(path));
	poke(path, offsetof(struct weft_stats_head, state), WEFT_STATS_CLOSED); /* as if it had ended by itself */
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 0);

	killed_record(path, sizeof(path));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 0);

	killed_record(path, sizeof(path));
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	poke(path, offsetof(struct weft_stats_head, boot_id), 1); /* of another boot or host: nobody can tell */
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 1);
	assert_int_equal(unlink(path), 0);
}

/* Whether the process of a record of another container has ended can be known by its lock only. */
static void old_records_of_containers_are_removed(void **state)
{
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	char path[400];

	killed_record(path, sizeof(path));
	poke(path, offsetof(struct weft_stats_head, pid_namespace), 1);
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 1);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 0);

	killed_record(path, sizeof(path));
	poke(path, offsetof(struct weft_stats_head, pid_namespace), 1);
	poke(path, offsetof(struct weft_stats_head, locked), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	in_child(*state, count_messages);
	assert_int_equal(records(path, sizeof(path)), 1);
	assert_int_equal(unlink(path), 0);
}

/* Opens a record, and forks a child that writes a byte and lives as long as the other end is open. */
static void wait_with_child(int other)
{
	struct cm_listen *listen;
	struct net_link l;
	char c = 0;

	open_link(&l, &listen, LARGE);
	assert_int_equal(lock_held(stats_path()), 1);
	if (!fork()) {
		if (write(other, &c, 1) == 1 && read(other, &c, 1))
			_exit(1);
		_exit(0);
	}
	for (;;)
		pause();
}

static void a_forked_child_does_not_hold_the_lock(void **state)
{
	void *provider = *state;
	int fds[2], status;
	struct copy copy;
	char path[400], c;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(fds[0]);
		setenv("WEFT_STATS_DIR", base, 1);
		if (!net_begin(&provider) && net.dev)
			wait_with_child(fds[1]);
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1); /* the child of the child runs */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(records(path, sizeof(path)), 1);
	assert_null(read_record(path, &copy));
	assert_int_equal(copy.head.locked, 1);
	assert_int_equal(lock_held(path), 0);
	assert_int_equal(recv(fds[0], &c, 1, MSG_DONTWAIT), -1); /* and still does */
	free(copy.file);
	close(fds[0]);
	assert_int_equal(unlink(path), 0);
}

/* A child of fork() must not write into its parent's record, and makes its own with its first endpoint. */
static void fork_and_write(void)
{
	struct cm_listen *listen;
	struct xfer_ep *ep;
	struct net_link l;
	struct copy before, after;
	char path[400];
	int status;
	pid_t pid;

	open_link(&l, &listen, LARGE);
	net_message(&l, LARGE);
	snprintf(path, sizeof(path), "%s", stats_path());
	assert_null(read_record(path, &before));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		stats_note(&l.send->ep->stats, WEFT_STATS_EV_BROKEN, NULL, 1, 2);
		l.send->stats.at->messages = 77;
		if (*stats_path() || xfer_ep_get(net.dev, &net.conf, &ep))
			_exit(1);
		_exit(strcmp(stats_path(), path) && !access(stats_path(), F_OK) && !unlink(stats_path()) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(read_record(path, &after));
	assert_int_equal(the_comm(&after, WEFT_STATS_SEND)->messages, 1);
	assert_int_equal(events_of(&after, the_comm(&after, WEFT_STATS_SEND), WEFT_STATS_EV_BROKEN), 0);
	free(before.file);
	free(after.file);
	net_message(&l, LARGE);
	close_link(&l, listen);
}

static void a_forked_child_leaves_the_record_alone(void **state)
{
#ifdef __SANITIZE_THREAD__
	(void)state;
	return; /* ThreadSanitizer ends a child that starts threads */
#endif
	in_child(*state, fork_and_write);
}

/* --- no record --- */

static void no_record_but_messages(void)
{
	struct cm_listen *listen;
	struct net_link l;
	int i;

	assert_string_equal(stats_path(), "");
	open_link(&l, &listen, LARGE);
	for (i = 0; i < 3; i++)
		net_message(&l, LARGE);
	close_link(&l, listen);
}

static void without_a_record_messages_move(void **state)
{
	char path[400];

	setenv("WEFT_STATS", "0", 1);
	in_child(*state, no_record_but_messages);
	unsetenv("WEFT_STATS");
	assert_int_equal(records(path, sizeof(path)), 0);
}

/* One message waits for its receiver while another comm of the endpoint moves messages. */
static void warn_without_a_record(void)
{
	int64_t until = clock_us() + 10 * LATE_US;
	struct net_link waits, moves;
	struct wire_handle handle;
	struct cm_listen *listen;
	struct xfer_req *req;

	assert_string_equal(stats_path(), "");
	net.conf.stall_warn_us = 2 * LATE_US;
	net_listen(&handle, &listen);
	net_link_open(&waits, listen, &handle, LARGE);
	net_link_open(&moves, listen, &handle, LARGE);
	unit_log_catch();
	while (clock_us() < until) {
		assert_int_equal(net_isend(waits.send, waits.from, LARGE, waits.from_region, &req), -EAGAIN);
		net_message(&moves, LARGE);
	}
	if (unit_log_count(LOG_LEVEL_WARN) != 1 || unit_log_has(LOG_LEVEL_INFO, "goes on"))
		fail_msg("%d warnings, the last: %s", unit_log_count(LOG_LEVEL_WARN), unit_log_last(LOG_LEVEL_WARN));
	net_link_close(&moves);
	close_link(&waits, listen);
}

static void without_a_record_the_watchdog_works(void **state)
{
	setenv("WEFT_STATS", "0", 1);
	in_child(*state, warn_without_a_record);
	unsetenv("WEFT_STATS");
}

/* Four streams share a completion queue, and receives for control messages must leave room for data. */
static void move_over_streams(void)
{
	struct cm_listen *listen;
	struct net_link l;

	open_link(&l, &listen, LARGE);
	assert_int_equal(l.send->ep->rail_count, 5);
	net_message(&l, LARGE);
	close_link(&l, listen);
}

static void streams_of_a_small_queue_move(void **state)
{
	setenv("WEFT_CQ_DEPTH", "256", 1);
	setenv("WEFT_CTRL_BUFFERS", "128", 1);
	setenv("WEFT_STREAMS", "4", 1);
	in_child(*state, move_over_streams);
	unsetenv("WEFT_CQ_DEPTH");
	unsetenv("WEFT_CTRL_BUFFERS");
	unsetenv("WEFT_STREAMS");
}

static void refused_directory(void)
{
	no_record_but_messages();
	assert_true(unit_log_has(LOG_LEVEL_INFO, "no record of this process"));
	assert_true(unit_log_has(LOG_LEVEL_INFO, "WEFT_STATS_DIR"));
}

static void a_directory_of_others_is_refused(void **state)
{
	char path[400];

	assert_int_equal(chmod(base, 0777), 0);
	in_child(*state, refused_directory);
	assert_int_equal(records(path, sizeof(path)), 0);
	assert_int_equal(chmod(base, 0700), 0);
}

/* --- many comms --- */

static void fill_the_table(void)
{
	static struct stats_comm comms[5000];
	static const struct stats_names names = {.protocol = "rma", .host = "h", .address = "a", .pid = 1};
	struct copy c;
	struct stat st;
	uint32_t i, lost;

	for (i = 0; i < COUNT(comms); i++) {
		stats_comm_open(&comms[i], &net.home->stats, WEFT_STATS_SEND, i + 1, &names);
		comms[i].at->messages++;
		if (i + 1 != 2000)
			continue;
		/* 1,000 connections, both ways: a kilobyte for each comm, and what every process has */
		assert_int_equal(stat(stats_path(), &st), 0);
		assert_true(st.st_blocks * 512 < 2000 * 1024 + 512 * 1024);
	}
	assert_null(read_record(stats_path(), &c));
	lost = (uint32_t)COUNT(comms) - c.head.comms.entries;
	assert_true(c.head.comms.entries >= 2000); /* 1,000 connections, both ways */
	assert_int_equal(c.head.comms_lost, lost);
	for (i = 0; i < c.head.comms.entries; i++) {
		assert_int_equal(comm_of(&c, i)->id, i + 1);
		assert_int_equal(comm_of(&c, i)->messages, 1);
	}
	free(c.file);
	stats_comm_close(&comms[7]);
	stats_comm_close(&comms[4999]);
	stats_comm_open(&comms[4999], &net.home->stats, WEFT_STATS_RECV, 9999, &names);
	assert_null(read_record(stats_path(), &c));
	assert_int_equal(comm_of(&c, 7)->id, 9999);
	assert_int_equal(comm_of(&c, 7)->messages, 0);
	assert_true(comm_of(&c, 7)->generation > comm_of(&c, 8)->generation);
	free(c.file);
}

static void a_full_table_is_counted(void **state)
{
	in_child(*state, fill_the_table);
}

/* --- strangers' files --- */

static void heads_are_checked(void **state)
{
	struct weft_stats_head good, bad;
	uint64_t *words = (uint64_t *)&bad, seed = 17;
	char path[400];
	struct copy c;
	int i, refused = 0;

	(void)state;
	killed_record(path, sizeof(path));
	assert_null(read_record(path, &c));
	good = c.head;
	free(c.file);
	for (i = 0; i < 100000; i++) { /* any word of the part that a reader relies on, at random */
		bad = good;
		words[unit_random(&seed) % 13] = unit_random(&seed) % 3 ? unit_random(&seed) : ~(uint64_t)0;
		if (weft_stats_check(&bad, good.file_bytes)) {
			refused++;
			continue;
		}
		assert_true(bad.comms.offset + (uint64_t)bad.comms.entries * bad.comms.entry_bytes <= good.file_bytes);
		assert_true(bad.events.offset + bad.events.entries * sizeof(struct weft_stats_event) <=
			    good.file_bytes);
		assert_int_equal(bad.events_each * bad.endpoints.entries, bad.events.entries);
	}
	assert_true(refused > 50000);
	bad = good;
	bad.version++;
	assert_non_null(strstr(weft_stats_check(&bad, good.file_bytes), "version"));
	assert_int_equal(truncate(path, (off_t)good.file_bytes / 2), 0);
	assert_non_null(read_record(path, &c));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_non_null(read_record(path, &c));
	in_child(NET_RMA, count_messages); /* and the next process neither follows nor removes it */
	assert_int_equal(unlink(path), 0);
}

static void times_convert(void **state)
{
	struct weft_stats_head h = {.base_ticks = 1000, .base_ns = 5000000, .scale = UINT64_C(1431655765)}; /* 3 GHz */
	uint64_t day = UINT64_C(86400) * 3000000000;

	(void)state;
	assert_int_equal(weft_stats_ns(&h, 0), 0);
	assert_int_equal(weft_stats_ns(&h, 1000), 5000000);
	assert_in_range(weft_stats_ns(&h, 1000 + 3000), 5000999, 5001000);
	assert_in_range(weft_stats_ns(&h, 1000 - 300), 4999900, 4999901);
	assert_in_range(weft_stats_span_ns(&h, day), UINT64_C(86399999900000), UINT64_C(86400000100000));
	assert_int_equal(weft_stats_span_ns(&h, (uint64_t)-5), 0);
}

#define ON(f, provider)                                                                                                \
	{                                                                                                              \
		provider ": " #f, f, NULL, NULL, (void *)(uintptr_t)provider                                           \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_convert),
		ON(counts_equal_what_was_sent, NET_RMA),
		ON(counts_equal_what_was_sent, "tcp"),
		ON(counts_equal_what_was_sent, "shm"),
		ON(a_late_receiver_is_told_from_a_slow_wire, NET_RMA),
		ON(a_late_receiver_is_told_from_a_slow_wire, "tcp"),
		ON(a_late_sender_shows_at_the_receiver, NET_RMA),
		ON(a_late_sender_shows_at_the_receiver, "tcp"),
		ON(a_late_sender_of_small_messages_shows_too, NET_RMA),
		ON(an_endpoint_of_many_streams_breaks, NET_RMA),
		ON(a_killed_process_leaves_its_record, NET_RMA),
		ON(old_records_are_removed, NET_RMA),
		ON(old_records_of_containers_are_removed, NET_RMA),
		ON(a_forked_child_does_not_hold_the_lock, NET_RMA),
		ON(a_forked_child_leaves_the_record_alone, NET_RMA),
		ON(without_a_record_messages_move, NET_RMA),
		ON(without_a_record_the_watchdog_works, NET_RMA),
		ON(streams_of_a_small_queue_move, NET_RMA),
		ON(a_directory_of_others_is_refused, NET_RMA),
		ON(a_full_table_is_counted, NET_RMA),
		ON(heads_are_checked, NET_RMA),
	};
	pid_t self = getpid();
	char path[400];
	int ret;

	snprintf(base, sizeof(base), "/dev/shm/weft-test-%d", (int)getpid());
	if (access("/dev/shm", W_OK))
		snprintf(base, sizeof(base), "/tmp/weft-test-%d", (int)getpid());
	if (mkdir(base, 0700))
		return 99;
	ret = unit_run("stats", tests);
	if (getpid() != self)
		return ret; /* a child whose assertion has failed */
	while (records(path, sizeof(path)))
		unlink(path);
	rmdir(base);
	return ret;
}
