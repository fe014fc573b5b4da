/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of weft-pair. */
#ifndef WEFT_MATRIX_WANT_H
#define WEFT_MATRIX_WANT_H

#include <stdbool.h>
#include <stdint.h>

struct want {
	int64_t ranks; /* to start on this host; 0: as the environment says */
	int64_t bytes, depth, comms, threads, time_ms, repetitions;
	int64_t device, abi, timeout_s, meet_timeout_s;
	bool alone, duplex, rails, roof;
	double least;
	const char *plugin, *provider;
	const char *json, *csv, *svg;
};

/* Returns 0 to continue; 1 after --help (exit 0); -1 after one message on stderr (exit 2). */
int want_parse(struct want *w, int argc, char **argv);

#endif
