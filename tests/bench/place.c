/* SPDX-License-Identifier: Apache-2.0 */
/* The rank of a process: environments of mpirun, srun and torchrun that are accepted or rejected. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launch.h"
#include "memory.h"
#include "nodelist.h"
#include "place.h"

/* Sets the environment of a test to exactly these "NAME=value" entries. */
static void only(const char *const *vars, size_t n)
{
	static char copies[16][128];

	clearenv();
	for (size_t i = 0; i < n; i++) {
		assert_true(strlen(vars[i]) < sizeof(copies[i]));
		strcpy(copies[i], vars[i]);
		putenv(copies[i]);
	}
}

#define ONLY(...) only((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct place p;

static void found(int rank, int nranks, bool all_local, const char *root)
{
	memset(&p, 0, sizeof(p));
	assert_int_equal(place_from_env(&p), 1);
	assert_int_equal(p.rank, rank);
	assert_int_equal(p.nranks, nranks);
	assert_int_equal(p.all_local, all_local);
	assert_string_equal(p.root, root);
	assert_int_equal(p.listen_fd, -1);
	assert_in_range(p.port, 1, 65535);
}

static void refused(const char *part)
{
	const char *said;

	unit_stderr_begin();
	assert_int_equal(place_from_env(&p), -1);
	said = unit_stderr_end();
	if (!strstr(said, part))
		fail_msg("\"%s\" does not say \"%s\"", said, part);
}

static void no_launcher(void **state)
{
	(void)state;
	clearenv();
	assert_int_equal(place_from_env(&p), 0);
	ONLY("RANK=1", "SLURM_PROCID=0", "OMPI_COMM_WORLD_SIZE=2", "WORLD_SIZE=");
	assert_int_equal(place_from_env(&p), 0);
}

static void open_mpi(void **state)
{
	int port;

	(void)state;
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4", "PMIX_NAMESPACE=123");
	found(2, 4, true, "127.0.0.1");
	assert_in_range(p.port, 20000, 32767);
	port = p.port;
	ONLY("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4", "PMIX_NAMESPACE=123");
	found(0, 4, true, "127.0.0.1");
	assert_int_equal(p.port, port); /* the same on all ranks */
	ONLY("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4", "PMIX_NAMESPACE=124");
	found(0, 4, true, "127.0.0.1");
	assert_int_not_equal(p.port, port);
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2");
	refused("MASTER_ADDR");
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2", "MASTER_ADDR=node7",
	     "MASTER_PORT=4321");
	found(2, 4, false, "node7");
	assert_int_equal(p.port, 4321);
}

static void pmi(void **state)
{
	(void)state;
	ONLY("PMI_RANK=1", "PMI_SIZE=2", "MPI_LOCALNRANKS=2");
	found(1, 2, true, "127.0.0.1");
	ONLY("PMI_RANK=1", "PMI_SIZE=2", "MPI_LOCALNRANKS=1", "SLURM_JOB_NODELIST=a[1-2]");
	found(1, 2, false, "a1");
}

static void slurm(void **state)
{
	(void)state;
	ONLY("SLURM_PROCID=1", "SLURM_NTASKS=2", "SLURM_NNODES=1", "SLURM_JOB_ID=5");
	found(1, 2, true, "127.0.0.1");
	ONLY("SLURM_PROCID=3", "SLURM_NTASKS=4", "SLURM_NNODES=2", "SLURM_JOB_ID=5", "SLURM_JOB_NODELIST=gpu[07-09]",
	     "SLURM_LAUNCH_NODE_IPADDR=192.0.2.1");
	found(3, 4, false, "gpu07");
	/* A step may be smaller than the job. */
	ONLY("SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NUM_NODES=1", "SLURM_NTASKS=8", "SLURM_NNODES=4");
	found(0, 2, true, "127.0.0.1");
	ONLY("SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NUM_NODES=2", "SLURM_STEP_NODELIST=b3,b4",
	     "SLURM_JOB_NODELIST=b[1-4]");
	found(1, 2, false, "b3");
	/* A batch script has a SLURM_PROCID, too, but is not a rank. */
	ONLY("SLURM_PROCID=0", "SLURM_NTASKS=8", "ENVIRONMENT=BATCH");
	assert_int_equal(place_from_env(&p), 0);
	/* mpirun inside a job: its variables take precedence. */
	ONLY("SLURM_PROCID=0", "SLURM_NTASKS=8", "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2",
	     "OMPI_COMM_WORLD_LOCAL_SIZE=2");
	found(1, 2, true, "127.0.0.1");
	ONLY("PMIX_RANK=1", "SLURM_NTASKS=2", "SLURM_NNODES=1");
	found(1, 2, true, "127.0.0.1");
}

static void torchrun(void **state)
{
	(void)state;
	ONLY("RANK=5", "WORLD_SIZE=8", "LOCAL_WORLD_SIZE=4", "MASTER_ADDR=10.0.0.1", "MASTER_PORT=29500");
	found(5, 8, false, "10.0.0.1");
	assert_int_equal(p.port, 29500);
	/* torchrun's store already listens on MASTER_PORT. */
	ONLY("RANK=5", "WORLD_SIZE=8", "LOCAL_WORLD_SIZE=8", "MASTER_ADDR=localhost", "MASTER_PORT=29500",
	     "TORCHELASTIC_RUN_ID=none");
	found(5, 8, true, "localhost");
	assert_in_range(p.port, 20000, 32767);
	assert_int_not_equal(p.port, 29500);
	ONLY("RANK=0", "WORLD_SIZE=2");
	refused("MASTER_ADDR");
	ONLY("RANK=0", "WORLD_SIZE=1");
	found(0, 1, true, "127.0.0.1");
}

static void indexed_jobs(void **state)
{
	int port;

	(void)state;
	ONLY("JOB_COMPLETION_INDEX=2", "WORLD_SIZE=4", "HOSTNAME=weft-test-2");
	found(2, 4, false, "weft-test-0");
	assert_false(p.mpi);
	port = p.port;
	ONLY("JOB_COMPLETION_INDEX=0", "WORLD_SIZE=4", "HOSTNAME=weft-test-0");
	found(0, 4, false, "weft-test-0");
	assert_int_equal(p.port, port); /* the same on all ranks */
	/* A JobSet: JOBSET-REPLICATEDJOB-JOB-POD. */
	ONLY("JOB_COMPLETION_INDEX=11", "WORLD_SIZE=16", "HOSTNAME=weft-workers-0-11.weft.default.svc",
	     "MASTER_PORT=4000");
	found(11, 16, false, "weft-workers-0-0.weft.default.svc");
	assert_int_equal(p.port, 4000);
	ONLY("JOB_COMPLETION_INDEX=1", "WORLD_SIZE=2", "HOSTNAME=weft-test-1", "MASTER_ADDR=10.0.0.7");
	found(1, 2, false, "10.0.0.7");
	ONLY("JOB_COMPLETION_INDEX=0", "WORLD_SIZE=1", "HOSTNAME=any");
	found(0, 1, true, "127.0.0.1");
	/* What the launcher in a pod says comes first, and without a number of pods each pod is alone. */
	ONLY("JOB_COMPLETION_INDEX=1", "WORLD_SIZE=8", "RANK=9", "LOCAL_WORLD_SIZE=8");
	refused("RANK=9");
	ONLY("JOB_COMPLETION_INDEX=1", "HOSTNAME=weft-test-1");
	assert_int_equal(place_from_env(&p), 0);
	ONLY("JOB_COMPLETION_INDEX=1", "WORLD_SIZE=2", "HOSTNAME=node7");
	refused("does not end in the pod's index");
	ONLY("JOB_COMPLETION_INDEX=1", "WORLD_SIZE=2", "HOSTNAME=weft-test-11");
	refused("does not end in the pod's index");
	ONLY("JOB_COMPLETION_INDEX=1", "WORLD_SIZE=2", "HOSTNAME=-1");
	refused("MASTER_ADDR");
}

static void contradictions(void **state)
{
	(void)state;
	ONLY("RANK=2", "WORLD_SIZE=2", "MASTER_ADDR=x");
	refused("RANK=2 is not a number from 0 to 1");
	ONLY("RANK=-1", "WORLD_SIZE=2");
	refused("RANK=-1");
	ONLY("RANK=0", "WORLD_SIZE=0");
	refused("WORLD_SIZE=0");
	ONLY("RANK=0", "WORLD_SIZE=two");
	refused("WORLD_SIZE=two");
	ONLY("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=x", "MASTER_PORT=70000");
	refused("MASTER_PORT=70000");
}

static void node_lists(void **state)
{
	static const struct {
		const char *list, *first; /* NULL: the list is rejected */
	} rows[] = {
		{"n1", "n1"},
		{"n1,n2", "n1"},
		{"gpu[003-008,12],login1", "gpu003"},
		{"gpu[7]", "gpu7"},
		{"gpu[7,9]", "gpu7"},
		{"rack1-[2-4]-ib", "rack1-2-ib"},
		{"a,b[1-2]", "a"},
		{"", NULL},
		{",b", NULL},
		{"gpu[", NULL},
		{"gpu[]", NULL},
		{"gpu[x]", NULL},
		{"gpu[1-2", NULL},
		{"r[1-2]n[1-2]", NULL},
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int err = nodelist_first(rows[i].list, buf, sizeof(buf));

		if (err != (rows[i].first ? 0 : -EINVAL) || (rows[i].first && strcmp(buf, rows[i].first)))
			fail_msg("\"%s\" gave %d and \"%s\"", rows[i].list, err, buf);
	}
	assert_int_equal(nodelist_first("a-rather-long-name", buf, sizeof(buf)), -EINVAL);
}

static void whole_node_lists(void **state)
{
	static const struct {
		const char *list, *all; /* NULL: the list is rejected */
	} rows[] = {
		{"n1", "n1"},
		{"a,b[1-2]", "a,b1,b2"},
		{"gpu[003-005,12],login1", "gpu003,gpu004,gpu005,gpu12,login1"},
		{"g[8-11]-ib", "g8-ib,g9-ib,g10-ib,g11-ib"},
		{"", NULL},
		{"a,,b", NULL},
		{"gpu[2-1]", NULL},
		{"gpu[1-]", NULL},
		{"gpu[1;2]", NULL},
		{"r[1-2]n[1-2]", NULL},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		int err = nodelist_all(rows[i].list, buf, sizeof(buf));

		if (err != (rows[i].all ? 0 : -EINVAL) || (rows[i].all && strcmp(buf, rows[i].all)))
			fail_msg("\"%s\" gave %d and \"%s\"", rows[i].list, err, buf);
	}
	assert_int_equal(nodelist_all("n[1000-9999]", buf, sizeof(buf)), -EINVAL);
}

/* The port that a rank with these variables derives. */
static int port_of(const char *const *vars, size_t n)
{
	only(vars, n);
	memset(&p, 0, sizeof(p));
	assert_int_equal(place_from_env(&p), 1);
	return p.port;
}

#define PORT_OF(...)                                                                                                   \
	port_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* mpirun's ranks on each other host are in a Slurm step of that host; rank 0 is in no step. */
static void mpirun_inside_slurm(void **state)
{
	int port;

	(void)state;
	port = PORT_OF("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=3",
		       "PMIX_NAMESPACE=2136408065", "SLURM_JOB_ID=3", "SLURM_JOB_NODELIST=hd[0-1]");
	assert_string_equal(p.root, "hd0");
	assert_int_equal(port,
			 PORT_OF("OMPI_COMM_WORLD_RANK=3", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=1",
				 "PMIX_NAMESPACE=2136408065", "SLURM_JOB_ID=3", "SLURM_JOB_NODELIST=hd[0-1]",
				 "SLURM_STEP_ID=0", "SLURM_STEP_NODELIST=hd1", "SLURM_STEP_NUM_TASKS=1"));
	assert_string_equal(p.root, "hd0");
	/* hydra's proxies form one step on all hosts; srun starts PMI ranks itself, in a step that may be smaller. */
	ONLY("PMI_RANK=3", "PMI_SIZE=4", "MPI_LOCALNRANKS=1", "SLURM_JOB_ID=3", "SLURM_JOB_NODELIST=hd[0-1]",
	     "SLURM_STEP_NODELIST=hd1");
	found(3, 4, false, "hd0");
	assert_true(p.mpi);
	ONLY("PMI_RANK=1", "PMI_SIZE=2", "PMI_JOBID=3.0", "SLURM_JOB_ID=3", "SLURM_JOB_NODELIST=hd[0-2]",
	     "SLURM_STEP_NODELIST=hd[1-2]");
	found(1, 2, false, "hd1");
	assert_false(p.mpi);
}

/* srun -m arbitrary places tasks one by one. */
static void arbitrary_tasks(void **state)
{
	char name[] = "/tmp/hostfile-XXXXXX", variable[128];
	int fd = mkstemp(name);
	static const char text[] = "# comment\n\n hd1 \nhd0\n";

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	snprintf(variable, sizeof(variable), "SLURM_HOSTFILE=%s", name);
	ONLY("SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=3", "SLURM_STEP_NUM_NODES=2", "SLURM_DISTRIBUTION=arbitrary",
	     "SLURM_STEP_NODELIST=hd[0-1]", "SLURMD_NODENAME=hd0", variable);
	found(1, 3, false, "hd1");
	assert_string_equal(p.root_from, "SLURM_HOSTFILE");
	unlink(name);
	/* The file is gone, or never existed (-w): rank 0 may be on any host. */
	ONLY("SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=3", "SLURM_STEP_NUM_NODES=2", "SLURM_DISTRIBUTION=arbitrary",
	     "SLURM_STEP_NODELIST=hd[0-1]", "SLURMD_NODENAME=hd0", variable);
	found(1, 3, false, "hd0,hd1");
	ONLY("SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=3", "SLURM_STEP_NUM_NODES=2", "SLURM_DISTRIBUTION=arbitrary",
	     "SLURM_STEP_NODELIST=hd[0-1]", "SLURMD_NODENAME=hd1");
	found(0, 3, false, "hd1");
}

/* The port derived by a rank in a session of its own, as under hydra; with or without a wrapper script. */
static int port_in_session(bool wrapped)
{
	int ends[2], port = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		setsid();
		if (!wrapped || !fork()) {
			ONLY("PMI_RANK=1", "PMI_SIZE=2", "MPI_LOCALNRANKS=2");
			if (place_from_env(&p) == 1)
				(void)!write(ends[1], &p.port, sizeof(p.port));
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &port, sizeof(port)), sizeof(port));
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return port;
}

static void ranks_in_sessions(void **state)
{
	int port = port_in_session(false);

	(void)state;
	assert_in_range(port, 20000, 32767);
	assert_int_equal(port_in_session(false), port);
	assert_int_equal(port_in_session(true), port);
}

/* Ranks on several hosts have no common process. */
static void ranks_without_id(void **state)
{
	int port = PORT_OF("PMI_RANK=0", "PMI_SIZE=4", "MPI_LOCALNRANKS=2", "MASTER_ADDR=hd0");

	(void)state;
	assert_int_equal(PORT_OF("PMI_RANK=3", "PMI_SIZE=4", "MPI_LOCALNRANKS=1", "MASTER_ADDR=hd0"), port);
	assert_int_not_equal(PORT_OF("PMI_RANK=3", "PMI_SIZE=4", "MPI_LOCALNRANKS=1", "MASTER_ADDR=hd1"), port);
}

static void put_file(const char *dir, const char *name, const char *content)
{
	char path[256];
	FILE *f;

	assert_in_range(snprintf(path, sizeof(path), "%s/%s", dir, name), 1, sizeof(path) - 1);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static void make_dir(char *buf, const char *dir, const char *name)
{
	assert_in_range(snprintf(buf, 256, "%s/%s", dir, name), 1, 255);
	assert_int_equal(mkdir(buf, 0700), 0);
}

static void memory_limits(void **state)
{
	char top[] = "/tmp/cgroups-XXXXXX", proc[256], self[256], v1[256], job[256], step[256], command[300];

	(void)state;
	assert_non_null(mkdtemp(top));
	make_dir(proc, top, "proc");
	make_dir(self, proc, "self");
	put_file(proc, "meminfo", "MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:    8000 kB\n");
	assert_true(memory_available_in(proc, top) == 8000 * 1024.0);
	/* Version 2: the limit of the parent group applies, and cache does not count as used. */
	put_file(self, "cgroup", "0::/job/step\n");
	make_dir(job, top, "job");
	make_dir(step, job, "step");
	put_file(step, "memory.max", "max\n");
	put_file(step, "memory.current", "70\n");
	assert_true(memory_available_in(proc, top) == 8000 * 1024.0);
	put_file(job, "memory.max", "1000000\n");
	put_file(job, "memory.current", "700000\n");
	put_file(job, "memory.stat", "anon 5\ninactive_file 100000\nactive_file 7\n");
	assert_true(memory_available_in(proc, top) == 400000);
	put_file(step, "memory.max", "300000\n");
	assert_true(memory_available_in(proc, top) == 299930);
	/* Version 1; in a container the group's own directory may be hidden. */
	put_file(self, "cgroup", "12:cpu,cpuacct:/x\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n");
	make_dir(v1, top, "memory");
	put_file(v1, "memory.limit_in_bytes", "2000000\n");
	put_file(v1, "memory.usage_in_bytes", "500000\n");
	put_file(v1, "memory.stat", "inactive_file 1\ntotal_inactive_file 2\n");
	assert_true(memory_available_in(proc, top) == 1500002);
	put_file(v1, "memory.usage_in_bytes", "3000000\n");
	put_file(v1, "memory.stat", "");
	assert_true(memory_available_in(proc, top) == 1);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	assert_int_equal(system(command), 0);
}

static void is(const char *name, const char *value)
{
	if (value)
		assert_string_equal(getenv(name), value);
	else
		assert_null(getenv(name));
}

static void loopback(void **state)
{
	(void)state;
	clearenv();
	assert_true(launch_keep_local());
	is("WEFT_NICS", "lo");
	is("WEFT_PROVIDER", "tcp");
	is("FI_TCP_IFACE", "lo");
	is("FI_NET_IFACE", "lo");
	assert_false(launch_keep_local());
	ONLY("WEFT_NICS=eth7", "FI_TCP_IFACE=eth8");
	assert_false(launch_keep_local());
	is("WEFT_NICS", "eth7");
	is("WEFT_PROVIDER", NULL);
	is("FI_TCP_IFACE", "eth8");
	is("FI_NET_IFACE", NULL);
	/* The user's choice by one variable must not be contradicted by the others. */
	ONLY("WEFT_NICS=eth0");
	assert_false(launch_keep_local());
	is("FI_TCP_IFACE", NULL);
	is("FI_NET_IFACE", NULL);
	ONLY("FI_TCP_IFACE=eth0");
	assert_false(launch_keep_local());
	is("WEFT_NICS", NULL);
	ONLY("WEFT_NICS=lo");
	assert_true(launch_keep_local());
	is("FI_TCP_IFACE", "lo");
	ONLY("WEFT_PROVIDER=efa");
	(void)launch_keep_local();
	is("WEFT_NICS", NULL);
	ONLY("WEFT_PROVIDER=tcp;ofi_rxm");
	(void)launch_keep_local();
	is("WEFT_NICS", "lo");
	is("WEFT_PROVIDER", "tcp;ofi_rxm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_launcher),
		cmocka_unit_test(open_mpi),
		cmocka_unit_test(pmi),
		cmocka_unit_test(slurm),
		cmocka_unit_test(torchrun),
		cmocka_unit_test(indexed_jobs),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(node_lists),
		cmocka_unit_test(loopback),
		cmocka_unit_test(whole_node_lists),
		cmocka_unit_test(mpirun_inside_slurm),
		cmocka_unit_test(arbitrary_tasks),
		cmocka_unit_test(ranks_in_sessions),
		cmocka_unit_test(ranks_without_id),
		cmocka_unit_test(memory_limits),
	};

	return unit_run("bench/place", tests);
}
