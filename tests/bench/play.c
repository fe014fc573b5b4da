/* SPDX-License-Identifier: Apache-2.0 */
/* See play.h. */
#include "play.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "unit/unit.h"

static int run_rank(const struct place *p, play act)
{
	const struct oob_config config = {p->rank, p->nranks, p->root, NULL, p->port, p->listen_fd, 30};
	struct oob *o;
	int status;

	if (oob_open(&config, &o))
		return WRONG;
	status = act(o);
	oob_close(o);
	return status;
}

pid_t play_begin(play act)
{
	struct place p;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	if (launch_ranks(NRANKS, &p, &status))
		_exit(status);
	_exit(run_rank(&p, act));
}

int play_start(play act)
{
	pid_t pid = play_begin(act);
	int wstatus;

	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	return WEXITSTATUS(wstatus);
}
