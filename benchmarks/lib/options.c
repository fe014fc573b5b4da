/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "size_text.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 96, LONG_BASE = 1000 };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_row(const struct option_row *row)
{
	char left[64];
	const char *text = row->help;
	int used;

	used = row->letter ? snprintf(left, sizeof(left), "  -%c, --%s", row->letter, row->name)
			   : snprintf(left, sizeof(left), "      --%s", row->name);
	if (row->arg && used >= 0 && (size_t)used < sizeof(left))
		snprintf(left + used, sizeof(left) - (size_t)used, " %s", row->arg);
	printf("%-34s", left);
	if (strlen(left) > 33)
		printf("\n%-34s", "");
	for (;;) {
		int len = (int)strcspn(text, "\n");

		printf("%.*s\n", len, text);
		if (!text[len])
			break;
		text += len + 1;
		printf("%-34s", "");
	}
}

static void print_help(const char *prog, const char *summary, const struct option_row *rows,
		       int nrows)
{
	static const struct option_row help = {'h',  "help", NULL, OPTION_FLAG,
					       NULL, 0,      0,    "this text"};

	printf("Usage: %s [option...]\n%s\n", prog, summary);
	for (int i = 0; i < nrows; i++)
		print_row(&rows[i]);
	print_row(&help);
}

static int take_number(const char *prog, const struct option_row *row, const char *arg)
{
	int64_t v;
	int err = row->kind == OPTION_SIZE ? size_parse(arg, &v) : int_parse(arg, &v);

	if (err) {
		fprintf(stderr, "%s: --%s: '%s' is not %s\n", prog, row->name, arg,
			row->kind == OPTION_SIZE ? "a size (a number, then K, M, G or nothing)"
						 : "a whole decimal number");
		return -1;
	}
	if (v < row->min || v > row->max) {
		fprintf(stderr, "%s: --%s: %s is not within %" PRId64 " to %" PRId64 "\n", prog,
			row->name, arg, row->min, row->max);
		return -1;
	}
	*(int64_t *)row->out = v;
	return 0;
}

static int take(const char *prog, const struct option_row *row, const char *arg)
{
	switch (row->kind) {
	case OPTION_INT:
	case OPTION_SIZE: return take_number(prog, row, arg);
	case OPTION_TEXT: *(const char **)row->out = arg; return 0;
	case OPTION_FLAG: *(bool *)row->out = true; return 0;
	}
	return -1;
}

/* The text of the option getopt stumbled over; `buf` holds a short one. */
static const char *offender(char **argv, char *buf)
{
	if (optopt && optopt < LONG_BASE) {
		buf[0] = '-';
		buf[1] = (char)optopt;
		buf[2] = '\0';
		return buf;
	}
	return argv[optind - 1];
}

int options_parse(int argc, char **argv, const char *summary, const struct option_row *rows,
		  int nrows)
{
	struct option longs[MAX_ROWS + 2];
	char shorts[2 * MAX_ROWS + 4];
	char letter[3];
	size_t ns = 0;
	const char *prog = base_name(argv[0]);
	int c, i;

	if (nrows > MAX_ROWS)
		abort();
	memset(longs, 0, sizeof(longs));
	shorts[ns++] = ':';
	for (i = 0; i < nrows; i++) {
		bool has_arg = rows[i].kind != OPTION_FLAG;

		longs[i] = (struct option){rows[i].name, has_arg, NULL, LONG_BASE + i};
		if (rows[i].letter)
			shorts[ns++] = rows[i].letter;
		if (rows[i].letter && has_arg)
			shorts[ns++] = ':';
	}
	longs[nrows] = (struct option){"help", no_argument, NULL, 'h'};
	shorts[ns++] = 'h';
	shorts[ns] = '\0';

	opterr = 0;
	optind = 0; /* a fresh start also when this is not the first command line of the process */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == 'h') {
			print_help(prog, summary, rows, nrows);
			return 1;
		}
		if (c == '?' && optopt >= LONG_BASE) {
			fprintf(stderr, "%s: option %s takes no argument\n", prog,
				argv[optind - 1]);
			return -1;
		}
		if (c == '?') {
			fprintf(stderr, "%s: unknown or ambiguous option %s; --help lists all\n",
				prog, offender(argv, letter));
			return -1;
		}
		if (c == ':') {
			fprintf(stderr, "%s: option %s needs an argument\n", prog,
				offender(argv, letter));
			return -1;
		}
		for (i = 0; i < nrows; i++)
			if (c == LONG_BASE + i || c == rows[i].letter)
				break;
		if (take(prog, &rows[i], optarg))
			return -1;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument '%s'; --help lists the options\n", prog,
			argv[optind]);
		return -1;
	}
	return 0;
}
