/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"
#include "size_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PORT_FIRST = 20000, PORT_COUNT = 40000 };

/* What one launcher tells its processes. Absent variables are NULL. */
struct launcher {
	const char *origin;
	const char *rank, *size;
	const char *local_size; /* ranks on this host */
	const char *hosts;      /* number of hosts */
};

/*
 * Innermost first: mpirun and torchrun also run inside a SLURM job. SLURM_PROCID alone says
 * nothing: a batch script is given one as well, so only what belongs to a job step counts there.
 */
static const struct launcher launchers[] = {
	{"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE",
	 NULL},
	{"PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", NULL},
	{"RANK and WORLD_SIZE", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", NULL},
	{"SLURM", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", NULL, "SLURM_STEP_NUM_NODES"},
	{"SLURM", "SLURM_PROCID", "SLURM_NTASKS", NULL, "SLURM_NNODES"},
	{"PMIx and SLURM", "PMIX_RANK", "SLURM_NTASKS", NULL, "SLURM_NNODES"},
};

enum { NLAUNCHERS = sizeof(launchers) / sizeof(launchers[0]) };

/* An empty variable counts as absent. */
static const char *env(const char *name)
{
	const char *v = name ? getenv(name) : NULL;

	return v && *v ? v : NULL;
}

static int env_int(const char *name, int64_t min, int64_t max, int *out)
{
	int64_t v;

	if (int_parse(env(name), &v) || v < min || v > max) {
		fprintf(stderr, "%s=%s is not a number from %lld to %lld\n", name, env(name),
			(long long)min, (long long)max);
		return -1;
	}
	*out = (int)v;
	return 0;
}

static bool is_batch_script(const struct launcher *l)
{
	const char *kind = env("ENVIRONMENT");

	return !strcmp(l->size, "SLURM_NTASKS") && kind && !strcmp(kind, "BATCH");
}

static const struct launcher *find_launcher(void)
{
	for (int i = 0; i < NLAUNCHERS; i++)
		if (env(launchers[i].rank) && env(launchers[i].size) &&
		    !is_batch_script(&launchers[i]))
			return &launchers[i];
	return NULL;
}

static bool equals_number(const char *name, int64_t value)
{
	const char *text = env(name);
	int64_t v;

	return text && !int_parse(text, &v) && v == value;
}

static void mix(uint32_t *hash, const char *text)
{
	/* FNV-1a: any spread will do, all ranks just have to agree. */
	for (; text && *text; text++)
		*hash = (*hash ^ (uint8_t)*text) * 16777619u;
}

/* The same for all ranks of a job, and unlikely to be that of another job on the same host. */
static int derive_port(void)
{
	static const char *const names[] = {
		"SLURM_JOB_ID", "SLURM_STEP_ID",       "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid",
		"PMI_JOBID",    "TORCHELASTIC_RUN_ID", "MASTER_PORT",
	};
	uint32_t hash = 2166136261u;
	bool has_id = false;
	char text[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		has_id |= env(names[i]) != NULL;
		mix(&hash, env(names[i]));
	}
	if (!has_id) {
		/* Not the parent: each rank may have been wrapped in a script of its own. */
		snprintf(text, sizeof(text), "%d", (int)getsid(0));
		mix(&hash, text);
	}
	return PORT_FIRST + (int)(hash % PORT_COUNT);
}

static int find_port(struct place *p)
{
	/* torchrun's own store sits on MASTER_PORT. */
	bool taken = env("TORCHELASTIC_RUN_ID") != NULL;

	if (env("MASTER_PORT") && !taken)
		return env_int("MASTER_PORT", 1, 65535, &p->port);
	p->port = derive_port();
	return 0;
}

static int find_root(struct place *p)
{
	const char *nodelist = env("SLURM_STEP_NODELIST");
	const char *addr = env("MASTER_ADDR");

	if (!nodelist)
		nodelist = env("SLURM_JOB_NODELIST");
	if (addr || p->all_local) {
		snprintf(p->root, sizeof(p->root), "%s", addr ? addr : "127.0.0.1");
		return 0;
	}
	if (nodelist && !place_first_host(nodelist, p->root, sizeof(p->root)))
		return 0;
	fprintf(stderr,
		"rank %d of %d (%s) does not know where rank 0 is: set MASTER_ADDR to its "
		"host, and MASTER_PORT to a free port there\n",
		p->rank, p->nranks, p->origin);
	return -1;
}

int place_from_env(struct place *out)
{
	const struct launcher *l = find_launcher();
	struct place p = {.listen_fd = -1};

	if (!l)
		return 0;
	p.origin = l->origin;
	if (env_int(l->size, 1, 1 << 20, &p.nranks) || env_int(l->rank, 0, p.nranks - 1, &p.rank))
		return -1;
	p.all_local = p.nranks == 1 || equals_number(l->local_size, p.nranks) ||
		      equals_number(l->hosts, 1);
	if (find_root(&p) || find_port(&p))
		return -1;
	*out = p;
	return 1;
}

int place_first_host(const char *nodelist, char *buf, size_t buf_bytes)
{
	size_t n = strcspn(nodelist, "[,");
	const char *digits = nodelist + n;
	const char *tail = "";
	size_t ndigits = 0, ntail = 0;

	if (*digits == '[') {
		digits++;
		while (isdigit((unsigned char)digits[ndigits]))
			ndigits++;
		tail = strchr(digits, ']');
		if (!ndigits || !strchr("-,]", digits[ndigits]) || !tail)
			return -EINVAL;
		tail++;
		ntail = strcspn(tail, ",[");
		/* Nodes numbered in two dimensions would need a second range. */
		if (tail[ntail] == '[')
			return -EINVAL;
	}
	if (n + ndigits + ntail == 0 || n + ndigits + ntail >= buf_bytes)
		return -EINVAL;
	snprintf(buf, buf_bytes, "%.*s%.*s%.*s", (int)n, nodelist, (int)ndigits, digits, (int)ntail,
		 tail);
	return 0;
}
