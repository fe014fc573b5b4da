/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"
#include "launch.h"
#include "options.h"
#include "plugin_abi.h"
#include "size_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MANY = 1000000000 };

static const int64_t default_bytes = 32 << 20;

static const char summary[] =
	"A collective over a NCCL net plugin, measured and verified: nccl-tests' command line, "
	"without\n"
	"a GPU and without NCCL, or with them (--engine nccl). SIZE: a number, then K, M, G (powers of 1024) or nothing.\n"
	"Without --ranks, mpirun, srun or torchrun say which rank this is; without those, 2 ranks "
	"are\n"
	"started here.\n";

/* Options of nccl-tests that mean nothing on host memory: only their default is accepted. */
struct fixed_option {
	char letter;
	const char *name, *arg;
	int64_t value;
	const char *why, *why_nccl;
};

#define NOT_YET "nccl-tests has it, this program does not yet"

static const struct fixed_option fixed[] = {
	{'t', "nthreads", "N", 1, "a rank is a process with one thread; --ranks starts more",
	 "a rank is a process with one thread; --ranks starts more"},
	{'p', "parallel_init", "0/1", 0, "a rank has one thread", "a rank has one thread"},
	{'z', "blocking", "0-3", 0, "there is no stream to wait for", NOT_YET},
	{'y', "stream_null", "0/1", 0, "there is no stream", NOT_YET},
	{'G', "cudagraph", "N", 0, "there is no GPU", NOT_YET},
	{'C', "report_cputime", "0/1", 0, "launching and running are one on the CPU", NOT_YET},
	{'R', "local_register", "0-2", 0, "only NCCL registers user buffers", NOT_YET},
	{'x', "cta_policy", "N", -1, "there is no GPU", NOT_YET},
	{'D', "device_implementation", "N", 0, "there is no GPU", NOT_YET},
	{'V', "device_cta_count", "N", 16, "there is no GPU", NOT_YET},
	{'M', "memory", "0/1", 0, "there is no GPU memory", NOT_YET},
};

enum { NFIXED = sizeof(fixed) / sizeof(fixed[0]) };

struct raw {
	int64_t min_bytes, max_bytes; /* -1: not given */
	const char *types, *ops, *root, *engine;
	int64_t fixed[NFIXED];
};

/* Whose command line is read. */
static const char *program;

static int refuse(const char *text)
{
	fprintf(stderr, "%s: %s\n", program, text);
	return -1;
}

static int check_fixed(const struct raw *r)
{
	for (int i = 0; i < NFIXED; i++) {
		if (r->fixed[i] == fixed[i].value)
			continue;
		fprintf(stderr, "%s: --%s %lld is not possible with engine %s: %s\n",
			program, fixed[i].name, (long long)r->fixed[i], r->engine,
			!strcmp(r->engine, "nccl") ? fixed[i].why_nccl : fixed[i].why);
		return -1;
	}
	return 0;
}

/* A lone end moves the other one, where the default would stand in its way. */
static int settle_sizes(const struct raw *r, struct settings *s)
{
	s->min_bytes = r->min_bytes >= 0 ? r->min_bytes : default_bytes;
	s->max_bytes = r->max_bytes >= 0 ? r->max_bytes : default_bytes;
	if (r->min_bytes < 0 && s->min_bytes > s->max_bytes)
		s->min_bytes = s->max_bytes;
	if (r->max_bytes < 0 && s->max_bytes < s->min_bytes)
		s->max_bytes = s->min_bytes;
	if (s->min_bytes > s->max_bytes)
		return refuse("--minbytes is larger than --maxbytes");
	if (s->min_bytes < s->max_bytes && s->step_factor == 1 && s->step_bytes == 0)
		return refuse("--stepbytes 0 never gets from --minbytes to --maxbytes");
	return 0;
}

static int settle_type(const char *name, struct settings *s)
{
	int t = type_find(name);

	s->all_types = !strcmp(name, "all");
	if (s->all_types) {
		for (s->ntypes = 0; s->ntypes < TYPE_COUNT; s->ntypes++)
			s->types[s->ntypes] = (enum elem_type)s->ntypes;
		return 0;
	}
	if (!strncmp(name, "f8", 2))
		return refuse("--datatype: engine net has no 8-bit floats, they need a GPU");
	if (t < 0) {
		fprintf(stderr,
			"%s: --datatype: '%s' is none of int8 uint8 int32 uint32 "
			"int64 "
			"uint64 half float double bfloat16 all\n",
			program, name);
		return -1;
	}
	s->types[0] = (enum elem_type)t;
	s->ntypes = 1;
	return 0;
}

static int settle_op(const char *name, struct settings *s)
{
	int op = op_find(name);

	s->all_ops = !strcmp(name, "all") && collective_facts[s->what].reduces;
	if (s->all_ops) {
		for (s->nops = 0; s->nops < OP_COUNT; s->nops++)
			s->ops[s->nops] = (enum redop)s->nops;
		return 0;
	}
	if (!strcmp(name, "mulsum"))
		return refuse("--op mulsum: engine net has no scalars of the ranks' own");
	if (op < 0 && strcmp(name, "all")) {
		fprintf(stderr, "%s: --op: '%s' is none of sum prod max min avg all\n",
			program, name);
		return -1;
	}
	s->ops[0] = collective_facts[s->what].reduces ? (enum redop)op : OP_NONE;
	s->nops = 1;
	return 0;
}

/* Only a broadcast has a root, but scripts pass one. */
static int settle_root(const char *text, struct settings *s)
{
	s->root = -1;
	if (strcmp(text, "all") && (int_parse(text, &s->root) || s->root < -1)) {
		fprintf(stderr, "%s: --root: '%s' is neither a rank nor -1 nor all\n",
			program, text);
		return -1;
	}
	if (!collective_facts[s->what].rooted)
		s->root = -1;
	return 0;
}

static int settle_json(const char *path)
{
	size_t n = path ? strlen(path) : 0;

	if (path && (n < 6 || strcasecmp(path + n - 5, ".json")))
		return refuse("--output_file must end in .json");
	return 0;
}

static int read_environment(struct settings *s)
{
	const char *device = getenv("NCCL_TESTS_DEVICE");
	const char *min_bw = getenv("NCCL_TESTS_MIN_BW");
	char *end;

	if (getenv("NCCL_TESTS_SPLIT") || getenv("NCCL_TESTS_SPLIT_MASK"))
		return refuse(
			"NCCL_TESTS_SPLIT and NCCL_TESTS_SPLIT_MASK: engine net has no groups");
	if (device && s->device < 0 &&
	    (int_parse(device, &s->device) || s->device < 0 || s->device > MANY))
		return refuse("NCCL_TESTS_DEVICE is not a device number");
	s->min_bw = min_bw ? strtod(min_bw, &end) : 0;
	if (min_bw && (end == min_bw || *end || !(s->min_bw >= 0)))
		return refuse("NCCL_TESTS_MIN_BW is not a bandwidth in GB/s");
	return 0;
}

static int settle(const struct raw *r, struct settings *s)
{
	s->nccl = !strcmp(r->engine, "nccl");
	if (!s->nccl && strcmp(r->engine, "net"))
		return refuse("--engine is net or nccl");
	if (s->nccl && s->abi)
		return refuse("--abi: with engine nccl, NCCL chooses the version of the interface");
	if (s->ranks * s->gpus > LAUNCH_MAX_RANKS)
		return refuse("--ranks times --ngpus is more than 1024");
	if (s->chunk_bytes % 16)
		return refuse("--chunk must be a multiple of 16 bytes");
	if (s->per_iter && s->per_iter_skip >= s->iters)
		return refuse("--per_iter_skip must leave at least one of --iters");
	if (s->per_iter_skip && !s->per_iter)
		return refuse("--per_iter_skip needs --per_iter_timing 1");
	if (!s->chunk_bytes)
		s->chunk_bytes = s->what == ALL_TO_ALL || s->what == SEND_RECV ? 128 << 10 : 512 << 10;
	if (check_fixed(r) || settle_sizes(r, s) || settle_type(r->types, s) ||
	    settle_op(r->ops, s) || settle_root(r->root, s) || settle_json(s->json))
		return -1;
	return read_environment(s);
}

int settings_parse(enum collective what, int argc, char **argv, struct settings *out)
{
	struct raw r = {-1, -1, "float", "sum", "0", "net", {0}};
	struct settings s = {
		.what = what,
		.step_bytes = 1 << 20,
		.step_factor = 1,
		.iters = 20,
		.agg_iters = 1,
		.warmup_iters = 1,
		.run_cycles = 1,
		.check = 1,
		.average = 1,
		.channels = 2,
		.gpus = 1,
		.device = -1,
	};
	const struct option_row rows[] = {
		{'b', "minbytes", "SIZE", OPTION_SIZE, &r.min_bytes, 1, (int64_t)1 << 40,
		 "first size (32M)"},
		{'e', "maxbytes", "SIZE", OPTION_SIZE, &r.max_bytes, 1, (int64_t)1 << 40,
		 "last size (32M)"},
		{'i', "stepbytes", "SIZE", OPTION_SIZE, &s.step_bytes, 0, (int64_t)1 << 40,
		 "from one size to the next, if the factor is 1 (1M)"},
		{'f', "stepfactor", "N", OPTION_INT, &s.step_factor, 1, 1 << 20,
		 "from one size to the next, if more than 1 (1)"},
		{'n', "iters", "N", OPTION_INT, &s.iters, 1, MANY, "timed iterations (20)"},
		{'m', "agg_iters", "N", OPTION_INT, &s.agg_iters, 1, MANY,
		 "operations per iteration (1)"},
		{'w', "warmup_iters", "N", OPTION_INT, &s.warmup_iters, 0, MANY,
		 "untimed operations for each size beforehand (1)"},
		{'N', "run_cycles", "N", OPTION_INT, &s.run_cycles, 0, MANY,
		 "repeat the scan; 0: for ever (1)"},
		{'c', "check", "N", OPTION_INT, &s.check, 0, MANY,
		 "verification rounds for each row and placement; 0: none (1)"},
		{0, "check_timed", "0/1", OPTION_INT, &s.check_timed, 0, 1,
		 "also verify what the last timed operation left, out of place (0)"},
		{'o', "op", "NAME", OPTION_TEXT, &r.ops, 0, 0, "sum prod max min avg all (sum)"},
		{'d', "datatype", "NAME", OPTION_TEXT, &r.types, 0, 0,
		 "int8 uint8 int32 uint32 int64 uint64\nhalf float double bfloat16 all (float)"},
		{'r', "root", "N", OPTION_TEXT, &r.root, 0, 0,
		 "a broadcast's; -1 or all: every rank in turn; accepted where there\nis none (0)"},
		{'a', "average", "0-3", OPTION_INT, &s.average, 0, 3,
		 "time of a row: 0 rank 0's, 1 the ranks' mean, 2 minimum,\n3 maximum (1)"},
		{'T', "timeout", "SECONDS", OPTION_INT, &s.timeout_s, 0, MANY,
		 "give up an operation that takes longer; 0: never (0)"},
		{'S', "report_timestamps", "0/1", OPTION_INT, &s.timestamps, 0, 1,
		 "local time at the end of each row (0)"},
		{'I', "per_iter_timing", "0/1", OPTION_INT, &s.per_iter, 0, 1,
		 "columns about single iterations (0)"},
		{'K', "per_iter_skip", "N", OPTION_INT, &s.per_iter_skip, 0, MANY,
		 "leave the first N out of them (0)"},
		{'u', "unalign", "N", OPTION_INT, &s.unalign, 0, 1 << 20,
		 "shift the buffers by N elements (0)"},
		{'J', "output_file", "PATH", OPTION_TEXT, &s.json, 0, 0,
		 "also write JSON; the name must end in .json"},
		{0, "ranks", "N", OPTION_INT, &s.ranks, 1, LAUNCH_MAX_RANKS,
		 "start N ranks as processes on this host"},
		{'g', "ngpus", "N", OPTION_INT, &s.gpus, 1, 64,
		 "N ranks instead of each one, with a GPU each under engine nccl;\neach is a process of its own, also where nccl-tests has threads (1)"},
		{0, "plugin", "PATH", OPTION_TEXT, &s.plugin, 0, 0,
		 "any NCCL net plugin (Weft)"},
		{0, "abi", "N", OPTION_INT, &s.abi, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX,
		 "version of its interface, 8 to 12 (its newest)"},
		{0, "device", "N", OPTION_INT, &s.device, 0, MANY,
		 "use this device of the plugin only (all, in turn); ranks\n"
		 "that share a host then use its network, not loopback. With\n"
		 "engine nccl: all ranks of a host use this GPU (one GPU each),\n"
		 "and NCCL takes each rank for a host of its own"},
		{0, "channels", "N", OPTION_INT, &s.channels, 1, 64,
		 "rings side by side, or connections to each peer (2)"},
		{0, "chunk", "SIZE", OPTION_SIZE, &s.chunk_bytes, 16, 1 << 30,
		 "largest message; 8 are in flight on a ring (512K; 128K for\nalltoall_perf and sendrecv_perf)"},
		{0, "engine", "NAME", OPTION_TEXT, &r.engine, 0, 0,
		 "net: without NCCL and GPU; nccl: NCCL and CUDA, as installed on\nthis machine (net)"},
	};
	enum { NROWS = sizeof(rows) / sizeof(rows[0]) };
	struct option_row all[NROWS + NFIXED];
	int result;

	program = collective_facts[what].program;
	memcpy(all, rows, sizeof(rows));
	for (int i = 0; i < NFIXED; i++) {
		r.fixed[i] = fixed[i].value;
		all[NROWS + i] =
			(struct option_row){fixed[i].letter, fixed[i].name,
					    fixed[i].arg,    OPTION_INT,
					    &r.fixed[i],     INT32_MIN,
					    INT32_MAX,       "accepted at its default only"};
	}
	result = options_parse(argc, argv, summary, all, NROWS + NFIXED);
	if (!result)
		result = settle(&r, &s);
	if (!result)
		*out = s;
	return result;
}

int64_t settings_next_size(const struct settings *s, int64_t bytes)
{
	if (s->step_factor > 1)
		return bytes * s->step_factor;
	return bytes + (s->step_bytes ? s->step_bytes : 1);
}
