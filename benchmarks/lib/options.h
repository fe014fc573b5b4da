/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line as one table: names, kinds, ranges, help. Strict: what is unknown, malformed or
 * out of range is an error. Only the meaning of single options is known here, not how they combine.
 */
#ifndef WEFT_BENCH_OPTIONS_H
#define WEFT_BENCH_OPTIONS_H

#include <stdint.h>

enum option_kind {
	OPTION_INT,  /* out: int64_t * */
	OPTION_SIZE, /* out: int64_t *, see size_parse */
	OPTION_TEXT, /* out: const char **, points into argv */
	OPTION_FLAG, /* out: bool *; takes no argument */
};

struct option_row {
	char letter;      /* short form, 0 if there is none */
	const char *name; /* long form; unambiguous abbreviations are accepted */
	const char *arg;  /* the argument's name in the help */
	enum option_kind kind;
	void *out;        /* holds the default on entry */
	int64_t min, max; /* OPTION_INT and OPTION_SIZE: what is accepted */
	const char *help; /* lines may be broken with \n */
};

/*
 * Exit statuses of a program that uses this table. Usage errors are not mixed up with failures of
 * what is measured.
 */
enum { OPTIONS_EXIT_USAGE = 2 };

/*
 * Reads the command line. -h and --help are added to the table; positional arguments are refused.
 * Returns 0 to go on; 1 after printing the help on stdout (exit 0); -1 after one message on stderr
 * (exit OPTIONS_EXIT_USAGE). `summary` is printed below the usage line of the help.
 */
int options_parse(int argc, char **argv, const char *summary, const struct option_row *rows,
		  int nrows);

#endif
