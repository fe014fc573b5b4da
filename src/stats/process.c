/* SPDX-License-Identifier: Apache-2.0 */
/* What the record says of the process: its identity, and its part in a job by the launcher's variables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "fabric/fab.h"
#include "peer/ident.h"
#include "stats/internal.h"
#include "stats/stats.h"

#define NONE (-1)

/* Written once, before the first endpoint. */
static struct {
	int64_t rank, world, local_rank;
	char launcher[16], job[64], pod[128], gpus[256];
} said = {.rank = NONE, .world = NONE, .local_rank = NONE};

/* A launcher is present if `rank` is set. The first that is present counts. */
static const struct launcher {
	const char *name, *rank, *world, *local_rank, *job;
} launchers[] = {
	{"openmpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "PMIX_NAMESPACE"},
	{"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"},
	{"slurm", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID"},
	{"mpi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "PMI_JOBID"},
};

static int64_t env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long long n;

	if (!text || !*text)
		return NONE;
	n = strtoll(text, &end, 10);
	return *end || n < 0 ? NONE : n;
}

static void env_text(char *out, size_t bytes, const char *name)
{
	const char *text = getenv(name);

	if (text && !out[0])
		snprintf(out, bytes, "%s", text);
}

void stats_read_environment(void)
{
	size_t i, n = sizeof(launchers) / sizeof(launchers[0]);

	for (i = 0; i < n && env_number(launchers[i].rank) == NONE; i++)
		;
	if (i < n) {
		snprintf(said.launcher, sizeof(said.launcher), "%s", launchers[i].name);
		said.rank = env_number(launchers[i].rank);
		said.world = env_number(launchers[i].world);
		said.local_rank = env_number(launchers[i].local_rank);
		env_text(said.job, sizeof(said.job), launchers[i].job);
	}
	/* Under Slurm the number of the job is what its users know, whatever starts the ranks. */
	if (getenv("SLURM_JOB_ID"))
		said.job[0] = 0;
	env_text(said.job, sizeof(said.job), "SLURM_JOB_ID");
	env_text(said.job, sizeof(said.job), "JOB_NAME");
	env_text(said.pod, sizeof(said.pod), "POD_NAME");
	if (getenv("KUBERNETES_SERVICE_HOST"))
		env_text(said.pod, sizeof(said.pod), "HOSTNAME"); /* Kubernetes names a pod's host after the pod */
	env_text(said.gpus, sizeof(said.gpus), "CUDA_VISIBLE_DEVICES");
}

static void first_line(const char *path, char *out, size_t bytes)
{
	FILE *f = fopen(path, "re");

	out[0] = 0;
	if (!f)
		return;
	if (fgets(out, (int)bytes, f))
		out[strcspn(out, "\n")] = 0;
	fclose(f);
}

void stats_process_fill(struct weft_stats_head *head)
{
	head->pid = (uint64_t)getpid();
	process_stat(head->pid, NULL, &head->start);
	head->uid = (uint64_t)geteuid();
	head->pid_namespace = process_namespace();
	process_boot_id(head->boot_id);
	head->rank = said.rank;
	head->world = said.world;
	head->local_rank = said.local_rank;
	memcpy(head->launcher, said.launcher, sizeof(head->launcher));
	memcpy(head->job, said.job, sizeof(head->job));
	memcpy(head->pod, said.pod, sizeof(head->pod));
	memcpy(head->gpus, said.gpus, sizeof(head->gpus));
	snprintf(head->host, sizeof(head->host), "%s", peer_self()->host);
	first_line("/proc/self/comm", head->command, sizeof(head->command));
	snprintf(head->weft, sizeof(head->weft), "%s", PACKAGE_VERSION);
	snprintf(head->libfabric, sizeof(head->libfabric), "%s", fab_library_version());
}
