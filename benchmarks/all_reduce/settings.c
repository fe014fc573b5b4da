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
	"Measures and verifies a collective over a NCCL net plugin. The command line is that of\n"
	"nccl-tests; neither NCCL nor a GPU is needed, but both can be used (--engine nccl).\n"
	"SIZE is a number, optionally followed by K, M or G (powers of 1024). The default of each\n"
	"option is given in parentheses. Ranks are started by mpirun, mpiexec, srun or torchrun, or\n"
	"on this host by --ranks; without any of these, 2 ranks are started on this host.\n";

/* Options of nccl-tests that mean nothing without a GPU: ignored by engine net, and not possible yet with engine nccl. */
struct fixed_option {
	char letter;
	const char *name, *arg;
	int64_t value; /* the default */
	const char *why;
};

static const struct fixed_option fixed[] = {
	{'p', "parallel_init", "0/1", 0, "each rank is a process with one thread"},
	{'z', "blocking", "0-3", 0, "there is no stream to wait for"},
	{'y', "stream_null", "0/1", 0, "there is no stream"},
	{'G', "cudagraph", "N", 0, "there is no GPU"},
	{'C', "report_cputime", "0/1", 0, "launching and running are one on the CPU"},
	{'R', "local_register", "0-2", 0, "only NCCL registers user buffers"},
	{'x', "cta_policy", "N", -1, "there is no GPU"},
	{'D', "device_implementation", "N", 0, "there is no GPU"},
	{'V', "device_cta_count", "N", 16, "there is no GPU"},
	{'M', "memory", "0/1", 0, "there is no GPU memory"},
};

enum { NFIXED = sizeof(fixed) / sizeof(fixed[0]) };

struct raw {
	int64_t min_bytes, max_bytes; /* -1: not given */
	const char *types, *ops, *root, *engine, *output;
	int64_t observe, roof;
	int64_t fixed[NFIXED];
};

static int refuse(const char *text)
{
	fprintf(stderr, "%s: %s\n", options_program(), text);
	return -1;
}

static int settle_fixed(const struct raw *r, struct settings *s)
{
	size_t used = 0;

	for (int i = 0; i < NFIXED; i++) {
		if (r->fixed[i] == fixed[i].value)
			continue;
		if (s->nccl && fixed[i].letter != 'p') {
			fprintf(stderr,
				"%s: --%s %lld is not possible with engine nccl: nccl-tests has it, this program does not yet\n",
				options_program(), fixed[i].name, (long long)r->fixed[i]);
			return -1;
		}
		used += (size_t)snprintf(s->ignored + used, sizeof(s->ignored) - used, "# ignored: --%s %lld: %s\n",
					 fixed[i].name, (long long)r->fixed[i], fixed[i].why);
	}
	return 0;
}

/* If only one of the two sizes is given and contradicts the default of the other, both become the given size. */
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
			options_program(), name);
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
		fprintf(stderr, "%s: --op: '%s' is none of sum prod max min avg all\n", options_program(), name);
		return -1;
	}
	s->ops[0] = collective_facts[s->what].reduces ? (enum redop)op : OP_NONE;
	s->nops = 1;
	return 0;
}

/* Few collectives have a root, but scripts pass one to all programs. */
static int settle_root(const char *text, struct settings *s)
{
	s->root = -1;
	if (strcmp(text, "all") && (int_parse(text, &s->root) || s->root < -1)) {
		fprintf(stderr, "%s: --root: '%s' is neither a rank nor -1 nor all\n", options_program(), text);
		return -1;
	}
	if (!collective_facts[s->what].rooted)
		s->root = -1;
	return 0;
}

static bool ends_in(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n > m && !strcasecmp(path + n - m, suffix);
}

static int settle_files(const char *output, struct settings *s)
{
	if (output && ends_in(output, ".csv"))
		s->csv = output;
	else if (output && ends_in(output, ".json"))
		s->json = output;
	else if (output)
		return refuse("--output_file must end in .json or .csv");
	if (s->plot && !ends_in(s->plot, ".svg"))
		return refuse("--plot must end in .svg");
	return 0;
}

static int read_environment(struct settings *s)
{
	const char *device = getenv("NCCL_TESTS_DEVICE");
	const char *min_bw = getenv("NCCL_TESTS_MIN_BW");
	char *end;

	if (split_from_env(&s->split))
		return -1;
	s->split.together = (int)(s->threads * s->gpus);
	if (device && s->device < 0 && (int_parse(device, &s->device) || s->device < 0 || s->device > MANY))
		return refuse("NCCL_TESTS_DEVICE is not a device number");
	s->min_bw = min_bw ? strtod(min_bw, &end) : 0;
	if (min_bw && (end == min_bw || *end || !(s->min_bw >= 0)))
		return refuse("NCCL_TESTS_MIN_BW is not a bandwidth in GB/s");
	if (s->what == ALL_TO_ALL_V && traffic_from_env(&s->traffic))
		return -1;
	if (s->traffic.matrix && s->min_bytes != s->max_bytes)
		return refuse(
			"NCCL_TESTS_ALLTOALLV_MATRIX_FILE has one size: --minbytes and --maxbytes must be the same");
	return 0;
}

static int settle(const struct raw *r, struct settings *s)
{
	s->observe = r->observe;
	s->roof = r->roof;
	s->nccl = !strcmp(r->engine, "nccl");
	if (!s->nccl && strcmp(r->engine, "net"))
		return refuse("--engine is net or nccl");
	if (s->nccl && s->roof)
		return refuse("--roof: NCCL's traffic does not all cross the network; only engine net has a roof");
	if (s->nccl && s->abi)
		return refuse("--abi: with engine nccl, NCCL chooses the version of the interface");
	if (s->ranks * s->threads * s->gpus > LAUNCH_MAX_RANKS)
		return refuse("--ranks times --nthreads times --ngpus is more than 1024");
	if (s->chunk_bytes % 16)
		return refuse("--chunk must be a multiple of 16 bytes");
	if (s->per_iter && s->per_iter_skip >= s->iters)
		return refuse("--per_iter_skip must leave at least one of --iters");
	if (s->per_iter_skip && !s->per_iter)
		return refuse("--per_iter_skip needs --per_iter_timing 1");
	if (!s->chunk_bytes)
		s->chunk_bytes = collective_facts[s->what].exchanges ? 128 << 10 : 512 << 10;
	if (settle_fixed(r, s) || settle_sizes(r, s) || settle_type(r->types, s) || settle_op(r->ops, s) ||
	    settle_root(r->root, s) || settle_files(r->output, s))
		return -1;
	return read_environment(s);
}

int settings_parse(enum collective what, int argc, char **argv, struct settings *out)
{
	struct raw r = {-1, -1, "float", "sum", "0", "net", NULL, 0, 0, {0}};
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
		.threads = 1,
		.gpus = 1,
		.device = -1,
		.meet_timeout_s = 300,
	};
	const struct option_row rows[] = {
		{'b', "minbytes", "SIZE", OPTION_SIZE, &r.min_bytes, 1, (int64_t)1 << 40, "smallest size (32M)"},
		{'e', "maxbytes", "SIZE", OPTION_SIZE, &r.max_bytes, 1, (int64_t)1 << 40, "largest size (32M)"},
		{'i', "stepbytes", "SIZE", OPTION_SIZE, &s.step_bytes, 0, (int64_t)1 << 40,
		 "increment between sizes, if the factor is 1 (1M)"},
		{'f', "stepfactor", "N", OPTION_INT, &s.step_factor, 1, 1 << 20,
		 "factor between sizes; 1: use the increment (1)"},
		{'n', "iters", "N", OPTION_INT, &s.iters, 1, MANY, "timed iterations (20)"},
		{'m', "agg_iters", "N", OPTION_INT, &s.agg_iters, 1, MANY, "operations per iteration (1)"},
		{'w', "warmup_iters", "N", OPTION_INT, &s.warmup_iters, 0, MANY,
		 "untimed operations of each size before timing (1)"},
		{'N', "run_cycles", "N", OPTION_INT, &s.run_cycles, 0, MANY,
		 "number of scans over all sizes; 0: no end (1)"},
		{'c', "check", "N", OPTION_INT, &s.check, 0, MANY,
		 "verification rounds for each row and placement; 0: none (1)"},
		{0, "check_timed", "0/1", OPTION_INT, &s.check_timed, 0, 1,
		 "also verify the result of the last timed operation, out of place (0)"},
		{'o', "op", "NAME", OPTION_TEXT, &r.ops, 0, 0, "reduction: sum prod max min avg all (sum)"},
		{'d', "datatype", "NAME", OPTION_TEXT, &r.types, 0, 0,
		 "element type: int8 uint8 int32 uint32 int64\nuint64 half float double bfloat16 all (float)"},
		{'r', "root", "N", OPTION_TEXT, &r.root, 0, 0,
		 "root of a broadcast, reduce, gather or scatter; -1 or all: every\nrank in turn; other collectives ignore it (0)"},
		{'a', "average", "0-3", OPTION_INT, &s.average, 0, 3,
		 "time of a row: 0 that of rank 0, 1 mean of the ranks, 2 minimum,\n3 maximum (1)"},
		{'T', "timeout", "SECONDS", OPTION_INT, &s.timeout_s, 0, MANY,
		 "fail if connecting or an operation takes longer; 0: no limit of\nthis program, the limits of the plugin apply (0)"},
		{0, "meet_timeout", "SECONDS", OPTION_INT, &s.meet_timeout_s, 1, 1 << 20,
		 "wait this long for all ranks to start and to reach rank 0; until\nthen, a host name that does not resolve yet is tried again (300)"},
		{'S', "report_timestamps", "0/1", OPTION_INT, &s.timestamps, 0, 1,
		 "local time at the end of each row (0)"},
		{'I', "per_iter_timing", "0/1", OPTION_INT, &s.per_iter, 0, 1,
		 "add columns with statistics of single iterations (0)"},
		{'K', "per_iter_skip", "N", OPTION_INT, &s.per_iter_skip, 0, MANY,
		 "leave the first N iterations out of these statistics (0)"},
		{'u', "unalign", "N", OPTION_INT, &s.unalign, 0, 1 << 20, "shift the buffers by N elements (0)"},
		{'J', "output_file", "PATH", OPTION_TEXT, &r.output, 0, 0,
		 "also write the results to a file: JSON, or CSV if its name ends in\n.csv; else the name must end in .json"},
		{0, "plot", "FILE", OPTION_TEXT, &s.plot, 0, 0,
		 "also draw the bus bandwidth over the size; the name must end in\n.svg"},
		{0, "observe", "0/1", OPTION_INT, &r.observe, 0, 1,
		 "print after the table what the ranks' records say of rails and\npeers, and who was slow, as weft-top does (0)"},
		{0, "roof", "0/1", OPTION_INT, &r.roof, 0, 1,
		 "measure raw libfabric between neighbouring ranks first, and add\nwhat it allows to each row, the ratios, and a verdict (0)"},
		{0, "ranks", "N", OPTION_INT, &s.ranks, 1, LAUNCH_MAX_RANKS, "start N ranks as processes on this host"},
		{'t', "nthreads", "N", OPTION_INT, &s.threads, 1, 64,
		 "start N ranks instead of one, each a process, where nccl-tests\nstarts threads (1)"},
		{'g', "ngpus", "N", OPTION_INT, &s.gpus, 1, 64,
		 "start N ranks for each of these, each a process; with engine nccl\neach rank has a GPU (1)"},
		{0, "plugin", "PATH", OPTION_TEXT, &s.plugin, 0, 0, "NCCL net plugin to use (Weft)"},
		{0, "abi", "N", OPTION_INT, &s.abi, PLUGIN_ABI_MIN, PLUGIN_ABI_MAX,
		 "version of the plugin's interface, 8 to 12 (its newest)"},
		{0, "device", "N", OPTION_INT, &s.device, 0, MANY,
		 "use only this device of the plugin (all, in turn); ranks\n"
		 "that share a host then use its network, not loopback. With\n"
		 "engine nccl, all ranks of a host use GPU N instead of one GPU\n"
		 "each, and NCCL treats each rank as a separate host"},
		{0, "channels", "N", OPTION_INT, &s.channels, 1, 64,
		 "number of parallel rings, or of connections to each peer (2)"},
		{0, "chunk", "SIZE", OPTION_SIZE, &s.chunk_bytes, 16, 1 << 30,
		 "largest message; each ring has 8 in flight (512K; 128K where ranks\nsend to each other directly, as in alltoall_perf)"},
		{0, "engine", "NAME", OPTION_TEXT, &r.engine, 0, 0,
		 "net: needs neither NCCL nor a GPU; nccl: uses the NCCL and CUDA\ninstalled on this machine (net)"},
	};
	enum { NROWS = sizeof(rows) / sizeof(rows[0]) };
	struct option_row all[NROWS + NFIXED];
	int result;

	memcpy(all, rows, sizeof(rows));
	for (int i = 0; i < NFIXED; i++) {
		r.fixed[i] = fixed[i].value;
		all[NROWS + i] =
			(struct option_row){fixed[i].letter, fixed[i].name, fixed[i].arg, OPTION_INT,
					    &r.fixed[i],     INT32_MIN,	    INT32_MAX,	  "ignored without a GPU"};
	}
	result = options_parse(argc, argv, summary, all, NROWS + NFIXED);
	if (!result)
		result = settle(&r, &s);
	if (!result)
		*out = s;
	return result;
}

int settings_check_ranks(const struct settings *s, int all_ranks)
{
	int nranks = split_smallest(&s->split, all_ranks);

	if (s->root >= nranks) {
		fprintf(stderr, "%s: --root %lld: there are %d ranks%s\n", options_program(), (long long)s->root,
			nranks, s->split.how ? " in a group" : "");
		return -1;
	}
	if (s->traffic.matrix && s->traffic.ranks < split_largest(&s->split, all_ranks)) {
		fprintf(stderr, "%s: NCCL_TESTS_ALLTOALLV_MATRIX_FILE=%s: %d rows for %d ranks\n", options_program(),
			s->traffic.file, s->traffic.ranks, split_largest(&s->split, all_ranks));
		return -1;
	}
	return 0;
}

int64_t settings_next_size(const struct settings *s, int64_t bytes)
{
	if (s->step_factor > 1)
		return bytes * s->step_factor;
	return bytes + (s->step_bytes ? s->step_bytes : 1);
}
