/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"
#include "nodelist.h"
#include "size_text.h"

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Below the ports that Linux gives to connections: one that is in use, or was a minute ago, cannot be listened on. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12768 };

enum kind { OPEN_MPI, PMI, BY_HAND, SLURM, INDEXED };

/* The variables that a launcher sets for its processes. NULL: the launcher has no such variable. */
struct launcher {
	enum kind kind;
	const char *origin;
	const char *rank, *size;
	const char *local_size; /* number of ranks on this host */
	const char *hosts;	/* number of hosts */
};

/*
 * The innermost launcher comes first, because mpirun and torchrun also run inside a Slurm job. A batch script has a
 * SLURM_PROCID, too, so that variable counts only together with the variables of a job step.
 */
static const struct launcher launchers[] = {
	{OPEN_MPI, "Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", NULL},
	{PMI, "PMI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", NULL},
	{BY_HAND, "RANK and WORLD_SIZE", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", NULL},
	{SLURM, "Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", NULL, "SLURM_STEP_NUM_NODES"},
	{SLURM, "Slurm", "SLURM_PROCID", "SLURM_NTASKS", NULL, "SLURM_NNODES"},
	{SLURM, "PMIx and Slurm", "PMIX_RANK", "SLURM_NTASKS", NULL, "SLURM_NNODES"},
	/* Kubernetes: one rank for each pod, of a Job or of a JobSet with one Job. It tells no pod their number. */
	{INDEXED, "JOB_COMPLETION_INDEX and WORLD_SIZE", "JOB_COMPLETION_INDEX", "WORLD_SIZE", NULL, NULL},
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
		fprintf(stderr, "%s=%s is not a number from %lld to %lld\n", name, env(name), (long long)min,
			(long long)max);
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
		if (env(launchers[i].rank) && env(launchers[i].size) && !is_batch_script(&launchers[i]))
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
	/* FNV-1a. Any hash is sufficient, as long as all ranks use the same. */
	for (; text && *text; text++)
		*hash = (*hash ^ (uint8_t)*text) * 16777619u;
}

static void mix_number(uint32_t *hash, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	mix(hash, text);
}

/*
 * A process id that all ranks on this host share: the session. hydra gives each rank a session of its own, so there it is
 * the parent of the session's leader; this is also right if a script wraps each rank.
 */
static long common_process(enum kind kind)
{
	int session = getsid(0), parent = 0;
	char path[64];
	FILE *f;

	if (kind != PMI)
		return session;
	snprintf(path, sizeof(path), "/proc/%d/stat", session);
	f = fopen(path, "re");
	/* The program's name is in parentheses. */
	if (f && fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
		parent = 0;
	if (f)
		fclose(f);
	return parent ? parent : getppid();
}

/*
 * Uses only variables that the active launcher sets to the same value for all ranks. Under mpirun or mpiexec inside a Slurm
 * job the step's variables differ: each remote daemon is a step of its own, and rank 0 may belong to none.
 */
static bool mix_job(uint32_t *hash, enum kind kind)
{
	static const char *const names[][4] = {
		[OPEN_MPI] = {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"},
		[PMI] = {"PMI_JOBID", "SLURM_JOB_ID"},
		[BY_HAND] = {"TORCHELASTIC_RUN_ID", "MASTER_PORT", "SLURM_JOB_ID"},
		[SLURM] = {"SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE"},
		[INDEXED] = {NULL}, /* the host of rank 0 has the Job's name */
	};
	bool found = false;

	for (int i = 0; i < 4 && names[kind][i]; i++) {
		found |= env(names[kind][i]) != NULL;
		mix(hash, env(names[kind][i]));
	}
	return found;
}

/*
 * Derives a port that is the same for all ranks of a job, and probably different from that of another job on the same host.
 * Without a job id, ranks on several hosts have only the host of rank 0 and the number of ranks in common.
 */
static int derive_port(const struct place *p, enum kind kind)
{
	uint32_t hash = 2166136261u;

	if (!mix_job(&hash, kind)) {
		if (p->all_local)
			mix_number(&hash, common_process(kind));
		else
			mix(&hash, p->root);
		mix_number(&hash, p->nranks);
	}
	return PORT_FIRST + (int)(hash % PORT_COUNT);
}

static int find_port(struct place *p, enum kind kind)
{
	/* torchrun's store listens on MASTER_PORT. */
	bool taken = env("TORCHELASTIC_RUN_ID") != NULL;

	if (env("MASTER_PORT") && !taken)
		return env_int("MASTER_PORT", 1, 65535, &p->port);
	p->port = derive_port(p, kind);
	return 0;
}

/* The host of rank 0 if tasks were placed one by one (srun -m arbitrary); the node list is sorted and does not show it. */
static int first_of_hostfile(struct place *p)
{
	const char *path = env("SLURM_HOSTFILE");
	FILE *f = path ? fopen(path, "re") : NULL;
	char line[1024], *text = NULL;

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "#*\r\n")] = '\0';
		text = line + strspn(line, " \t,");
		text[strcspn(text, " \t")] = '\0';
		if (*text)
			break;
	}
	if (f)
		fclose(f);
	p->root_from = "SLURM_HOSTFILE";
	return text && *text ? nodelist_first(text, p->root, sizeof(p->root)) : -EINVAL;
}

static int arbitrary_root(struct place *p)
{
	const char *here = env("SLURMD_NODENAME"), *list = env("SLURM_STEP_NODELIST");

	if (!p->rank && here) {
		snprintf(p->root, sizeof(p->root), "%s", here);
		p->root_from = "SLURMD_NODENAME";
		return 0;
	}
	if (!first_of_hostfile(p))
		return 0;
	/* Rank 0 may be on any node, so all nodes are tried. */
	p->root_from = "SLURM_STEP_NODELIST";
	return list ? nodelist_all(list, p->root, sizeof(p->root)) : -EINVAL;
}

/* srun starts PMI ranks, too, and then sets PMI_JOBID. */
static bool started_by_srun(enum kind kind)
{
	return kind == SLURM || (kind == PMI && env("PMI_JOBID") && env("SLURM_JOB_ID"));
}

static int nodelist_root(struct place *p, enum kind kind)
{
	bool in_step = started_by_srun(kind) || kind == BY_HAND;
	const char *distribution = env("SLURM_DISTRIBUTION"), *list;

	if (in_step && distribution && !strncmp(distribution, "arbitrary", 9))
		return arbitrary_root(p);
	p->root_from = in_step && env("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
	list = env(p->root_from);
	return list ? nodelist_first(list, p->root, sizeof(p->root)) : -EINVAL;
}

/*
 * The pods of an Indexed Job are NAME-0, NAME-1 and so on; a JobSet's names end in the same way. With a headless service
 * (subdomain) a pod's own name resolves to its full one, NAME-1.SERVICE.NAMESPACE.svc..., by /etc/hosts.
 */
static int indexed_root(struct place *p)
{
	struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *found = NULL;
	char own[256] = "", end[16];
	size_t bytes, domain, index = (size_t)snprintf(end, sizeof(end), "-%d", p->rank);

	if (env("HOSTNAME"))
		snprintf(own, sizeof(own), "%s", env("HOSTNAME"));
	else if (gethostname(own, sizeof(own) - 1))
		return -errno;
	bytes = strcspn(own, ".");
	if (!getaddrinfo(own, NULL, &hints, &found)) {
		/* Another name, such as localhost, tells nothing. */
		if (found->ai_canonname && !strncmp(found->ai_canonname, own, bytes) &&
		    found->ai_canonname[bytes] == '.')
			snprintf(own, sizeof(own), "%s", found->ai_canonname);
		freeaddrinfo(found);
	}
	domain = strcspn(own, ".");
	if (domain <= index || strncmp(own + domain - index, end, index))
		return -EINVAL;
	snprintf(p->root, sizeof(p->root), "%.*s-0%s", (int)(domain - index), own, own + domain);
	p->root_from = "HOSTNAME";
	return 0;
}

static int refuse_root(const struct place *p, enum kind kind)
{
	static const char *const how[] = {
		[OPEN_MPI] = " (mpirun -x MASTER_ADDR=HOST -x MASTER_PORT=PORT)",
		[PMI] = " (mpiexec -genv MASTER_ADDR HOST -genv MASTER_PORT PORT)",
		[BY_HAND] = "",
		[SLURM] = "",
		[INDEXED] = "; the name of this host does not end in the pod's index",
	};

	fprintf(stderr,
		"rank %d of %d (%s) cannot tell where rank 0 is: set MASTER_ADDR to its host, and MASTER_PORT to a "
		"free port there%s\n",
		p->rank, p->nranks, p->origin, how[kind]);
	return -1;
}

static int find_root(struct place *p, enum kind kind)
{
	const char *addr = env("MASTER_ADDR");

	if (addr || p->all_local) {
		snprintf(p->root, sizeof(p->root), "%s", addr ? addr : "127.0.0.1");
		p->root_from = addr ? "MASTER_ADDR" : NULL;
		return 0;
	}
	if (kind == INDEXED ? indexed_root(p) : nodelist_root(p, kind))
		return refuse_root(p, kind);
	return 0;
}

int place_rank_from_env(struct place *out)
{
	const struct launcher *l = find_launcher();
	struct place p = {.listen_fd = -1};

	if (!l)
		return 0;
	p.origin = l->origin;
	p.launcher = (int)(l - launchers);
	/* Under srun, Slurm's variables suffice, and an MPI that was built without Slurm's PMI would end the process. */
	p.mpi = l->kind != BY_HAND && l->kind != INDEXED && !started_by_srun(l->kind);
	if (env_int(l->size, 1, 1 << 20, &p.nranks) || env_int(l->rank, 0, p.nranks - 1, &p.rank))
		return -1;
	p.all_local = p.nranks == 1 || equals_number(l->local_size, p.nranks) || equals_number(l->hosts, 1);
	*out = p;
	return 1;
}

int place_root_from_env(struct place *p)
{
	enum kind kind = launchers[p->launcher].kind;

	return find_root(p, kind) || find_port(p, kind) ? -1 : 0;
}

int place_from_env(struct place *out)
{
	struct place p;
	int found = place_rank_from_env(&p);

	if (found <= 0)
		return found;
	if (place_root_from_env(&p))
		return -1;
	*out = p;
	return 1;
}
