/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets an unmodified libnccl.so.2 load, choose, use and drop a net plugin on a machine without a GPU, and prints the
 * results; tests/nccl/loader.t judges them. The environment determines the plugin found by NCCL (NCCL_NET_PLUGIN,
 * LD_LIBRARY_PATH), as in an application.
 */
#include "exchange.h"
#include "libnccl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_CANNOT_DRIVE = 77, EXIT_USAGE = 2, MAX_COMMS = 16 };

static const char help[] = "usage: loader [options] LIBNCCL [LOG]\n"
			   "Runs the net plugin loader of LIBNCCL, a libnccl.so.2, and sends messages through the\n"
			   "plugin that it chooses. NCCL's log goes to the file LOG. Without LOG: version only.\n"
			   "  --rounds N   load, use and drop N times (default 1)\n"
			   "  --comms N    communicators at a time (default 1, at most 16)\n"
			   "  --help       this text\n"
			   "Exit: 0 done, 1 failed, 2 usage, 77 this library cannot be driven (reason on stderr).\n";

struct options {
	const char *lib;
	const char *log;
	int rounds;
	int comms;
};

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "loader: %s%s; see --help\n", what, value);
	return EXIT_USAGE;
}

static int count(const char *text, int max)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return errno || end == text || *end || n < 1 || n > max ? 0 : (int)n;
}

/* Returns -1 to continue, or the exit status. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"rounds", required_argument, NULL, 'r'},
		{"comms", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c != 'r' && c != 'c')
			return EXIT_USAGE;
		if (c == 'r' && !(o->rounds = count(optarg, INT_MAX)))
			return usage_error("--rounds is not a count: ", optarg);
		if (c == 'c' && !(o->comms = count(optarg, MAX_COMMS)))
			return usage_error("--comms is not a count from 1 to 16: ", optarg);
	}
	if (argc - optind < 1 || argc - optind > 2)
		return usage_error("give LIBNCCL and LOG", "");
	o->lib = argv[optind];
	o->log = argv[optind + 1];
	return -1;
}

static void print_version(const struct nccl_lib *lib)
{
	printf("nccl %d.%d.%d, core speaks v%d\n", lib->version / 10000, lib->version / 100 % 100, lib->version % 100,
	       lib->native);
}

static int use(const struct options *o, const struct nccl_comm *comm, int round, int number)
{
	int messages = 0;
	int abi = nccl_comm_abi(comm, o->log);

	if (abi < 0)
		return -1;
	printf("round %d comm %d: %s ", round, number, nccl_comm_net_name(comm));
	if (!abi) {
		printf("built-in\n");
		return 0;
	}
	printf("v%d, ", abi);
	if (exchange_run(&comm->net, abi, (unsigned int)(round * MAX_COMMS + number), &messages)) {
		printf("failed\n");
		return -1;
	}
	printf("%d messages verified\n", messages);
	return 0;
}

/*
 * Opens all communicators, then uses and closes one after the other: the later ones are used after the end of those
 * that caused the loading.
 */
static int run_round(const struct options *o, struct nccl_lib *lib, int round)
{
	struct nccl_comm comms[MAX_COMMS];

	for (int i = 0; i < o->comms; i++) {
		if (nccl_comm_open(lib, &comms[i]))
			return -1;
	}
	for (int i = 0; i < o->comms; i++) {
		if (use(o, &comms[i], round, i + 1) || nccl_comm_close(lib, &comms[i]))
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.rounds = 1, .comms = 1};
	struct nccl_lib lib;
	int rc = parse(argc, argv, &o);

	if (rc >= 0)
		return rc;
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Must happen before the library first reads them. */
	if (o.log && (setenv("NCCL_DEBUG", "INFO", 1) || setenv("NCCL_DEBUG_SUBSYS", "INIT,ENV,NET", 1) ||
		      setenv("NCCL_DEBUG_FILE", o.log, 1))) {
		fprintf(stderr, "setenv: out of memory\n");
		return 1;
	}
	rc = nccl_lib_open(&lib, o.lib);
	if (rc)
		return rc > 0 ? EXIT_CANNOT_DRIVE : 1;
	print_version(&lib);
	if (!o.log)
		return 0;
	for (int round = 1; round <= o.rounds; round++) {
		if (run_round(&o, &lib, round))
			return 1;
	}
	return 0;
}
