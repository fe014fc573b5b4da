/* SPDX-License-Identifier: Apache-2.0 */
/* Another process for the lifeline tests; see other.h. */
#include "unit/other.h"

#include <arpa/inet.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/unit.h"

#define LIFE_S	   120 /* limit of the process's life, whatever the test does */
#define SILENCE_US 30000000

static const uint8_t loopback[16] = {127, 0, 0, 1};

static struct lifeline *line; /* in the child: its only lifeline */

static void find(const struct other_ask *ask, struct other_answer *answer)
{
	int64_t since = clock_us();

	while (!(line = lifeline_find(ask->id, SILENCE_US)) && clock_us() - since < UNIT_PATIENCE_US)
		usleep(1000);
	answer->value = line ? 1 : 0;
}

static void dial(const struct other_ask *ask, struct other_answer *answer)
{
	int64_t since = clock_us();

	answer->value = lifeline_dial(ask->uuid, &ask->addr, OTHER_SECRET, SILENCE_US, &line);
	if (answer->value)
		return;
	while ((answer->value = lifeline_check(line)) == LIFELINE_CONNECTING && clock_us() - since < UNIT_PATIENCE_US)
		usleep(1000);
	answer->id = lifeline_id(line);
}

static void idle_child(struct other_answer *answer)
{
	pid_t pid = fork();

	if (!pid) {
		alarm(LIFE_S);
		for (;;)
			pause();
	}
	answer->value = pid;
}

static void serve(int in, int out)
{
	struct other_answer answer;
	struct other_ask ask;

	while (read(in, &ask, sizeof(ask)) == sizeof(ask)) {
		memset(&answer, 0, sizeof(answer));
		switch (ask.what) {
		case OTHER_LISTEN:
			lifeline_expect(OTHER_SECRET);
			answer.value = lifeline_listen(4, loopback, &answer.addr);
			break;
		case OTHER_FIND: find(&ask, &answer); break;
		case OTHER_DIAL: dial(&ask, &answer); break;
		case OTHER_CHECK: answer.value = lifeline_check(line); break;
		case OTHER_PUT: lifeline_put(line); break;
		case OTHER_FORK: idle_child(&answer); break;
		}
		if (write(out, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
}

void other_start(struct other *o)
{
	int to[2], from[2];

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	o->pid = fork();
	assert_true(o->pid >= 0);
	if (!o->pid) {
		alarm(LIFE_S);
		close(to[1]);
		close(from[0]);
		if (write(from[1], peer_self(), sizeof(o->ident)) == sizeof(o->ident))
			serve(to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	o->out = to[1];
	o->in = from[0];
	assert_int_equal(read(o->in, &o->ident, sizeof(o->ident)), sizeof(o->ident));
}

struct other_answer other_do(struct other *o, const struct other_ask *ask)
{
	struct other_answer answer;

	assert_int_equal(write(o->out, ask, sizeof(*ask)), sizeof(*ask));
	assert_int_equal(read(o->in, &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

void other_kill(struct other *o)
{
	if (!o->pid)
		return;
	kill(o->pid, SIGKILL);
	waitpid(o->pid, NULL, 0);
	close(o->in);
	close(o->out);
	o->pid = 0;
}
