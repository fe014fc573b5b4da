/* SPDX-License-Identifier: Apache-2.0 */
/* Which rank is this? What mpirun, srun and torchrun leave in the environment, read and refused. */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "launch.h"
#include "place.h"

/* The environment of a test: exactly these "NAME=value". */
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

#define ONLY(...)                                                                                  \
	only((const char *const[]){__VA_ARGS__},                                                   \
	     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

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
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4",
	     "PMIX_NAMESPACE=123");
	found(2, 4, true, "127.0.0.1");
	assert_in_range(p.port, 20000, 59999);
	port = p.port;
	ONLY("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4",
	     "PMIX_NAMESPACE=123");
	found(0, 4, true, "127.0.0.1");
	assert_int_equal(p.port, port); /* all ranks agree */
	ONLY("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=4",
	     "PMIX_NAMESPACE=124");
	found(0, 4, true, "127.0.0.1");
	assert_int_not_equal(p.port, port);
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2");
	refused("MASTER_ADDR");
	ONLY("OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE=4", "OMPI_COMM_WORLD_LOCAL_SIZE=2",
	     "MASTER_ADDR=node7", "MASTER_PORT=4321");
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
	ONLY("SLURM_PROCID=3", "SLURM_NTASKS=4", "SLURM_NNODES=2", "SLURM_JOB_ID=5",
	     "SLURM_JOB_NODELIST=gpu[07-09]", "SLURM_LAUNCH_NODE_IPADDR=192.0.2.1");
	found(3, 4, false, "gpu07");
	/* A step may be smaller than the job. */
	ONLY("SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NUM_NODES=1", "SLURM_NTASKS=8",
	     "SLURM_NNODES=4");
	found(0, 2, true, "127.0.0.1");
	ONLY("SLURM_PROCID=1", "SLURM_STEP_NUM_TASKS=2", "SLURM_STEP_NUM_NODES=2",
	     "SLURM_STEP_NODELIST=b3,b4", "SLURM_JOB_NODELIST=b[1-4]");
	found(1, 2, false, "b3");
	/* A batch script has a SLURM_PROCID too, and is no rank. */
	ONLY("SLURM_PROCID=0", "SLURM_NTASKS=8", "ENVIRONMENT=BATCH");
	assert_int_equal(place_from_env(&p), 0);
	/* mpirun inside a job: what it says is nearer. */
	ONLY("SLURM_PROCID=0", "SLURM_NTASKS=8", "OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2",
	     "OMPI_COMM_WORLD_LOCAL_SIZE=2");
	found(1, 2, true, "127.0.0.1");
	ONLY("PMIX_RANK=1", "SLURM_NTASKS=2", "SLURM_NNODES=1");
	found(1, 2, true, "127.0.0.1");
}

static void torchrun(void **state)
{
	(void)state;
	ONLY("RANK=5", "WORLD_SIZE=8", "LOCAL_WORLD_SIZE=4", "MASTER_ADDR=10.0.0.1",
	     "MASTER_PORT=29500");
	found(5, 8, false, "10.0.0.1");
	assert_int_equal(p.port, 29500);
	/* Its own store already listens there. */
	ONLY("RANK=5", "WORLD_SIZE=8", "LOCAL_WORLD_SIZE=8", "MASTER_ADDR=localhost",
	     "MASTER_PORT=29500", "TORCHELASTIC_RUN_ID=none");
	found(5, 8, true, "localhost");
	assert_in_range(p.port, 20000, 59999);
	assert_int_not_equal(p.port, 29500);
	ONLY("RANK=0", "WORLD_SIZE=2");
	refused("MASTER_ADDR");
	ONLY("RANK=0", "WORLD_SIZE=1");
	found(0, 1, true, "127.0.0.1");
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
		const char *list, *first; /* NULL: refused */
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
		int err = place_first_host(rows[i].list, buf, sizeof(buf));

		if (err != (rows[i].first ? 0 : -EINVAL) ||
		    (rows[i].first && strcmp(buf, rows[i].first)))
			fail_msg("\"%s\" gave %d and \"%s\"", rows[i].list, err, buf);
	}
	assert_int_equal(place_first_host("a-rather-long-name", buf, sizeof(buf)), -EINVAL);
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
	assert_true(launch_keep_local());
	is("WEFT_NICS", "eth7");
	is("WEFT_PROVIDER", NULL);
	is("FI_TCP_IFACE", "eth8");
	is("FI_NET_IFACE", "lo");
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
		cmocka_unit_test(no_launcher), cmocka_unit_test(open_mpi),
		cmocka_unit_test(pmi),         cmocka_unit_test(slurm),
		cmocka_unit_test(torchrun),    cmocka_unit_test(contradictions),
		cmocka_unit_test(node_lists),  cmocka_unit_test(loopback),
	};

	return unit_run("bench/place", tests);
}
