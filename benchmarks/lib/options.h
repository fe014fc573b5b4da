/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command line described by one table: names, kinds, ranges, help. Parsing is strict: unknown options, and malformed or
 * out-of-range values, are errors. Each option is checked alone; the caller checks combinations.
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
	char letter;	  /* short form, 0 if there is none */
	const char *name; /* long form; unambiguous abbreviations are accepted */
	const char *arg;  /* the argument's name in the help */
	enum option_kind kind;
	void *out;	  /* the target; holds the default on entry */
	int64_t min, max; /* OPTION_INT and OPTION_SIZE: range of the value */
	const char *help; /* lines may be broken with \n */
};

/*
 * Exit status for usage errors, which distinguishes them from failures of the measured plugin.
 */
enum { OPTIONS_EXIT_USAGE = 2 };

/* The name under which the program was started, without its directory. */
const char *options_program(void);

/* Prints "NAME (Weft) VERSION" on stdout. */
void options_print_version(void);

/*
 * Reads the command line. -h, --help, --version and --list-options are added to the table; positional arguments are
 * errors. Returns 0 to continue; 1 after one of the added options has printed its output on stdout (exit 0); -1 after one
 * message on stderr (exit OPTIONS_EXIT_USAGE). `summary` is printed below the usage line of the help. --list-options, which
 * the help omits, is for scripts. It prints a line for each option: letter, name, argument and text, separated by tabs,
 * with "-" for a missing letter or argument.
 */
int options_parse(int argc, char **argv, const char *summary, const struct option_row *rows, int nrows);

#endif
