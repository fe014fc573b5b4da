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

/* These three are added to every table. */
enum { SHOW_HELP = MAX_ROWS, SHOW_VERSION, SHOW_LIST };

static const struct option_row common[] = {
	{'h', "help", NULL, OPTION_FLAG, NULL, 0, 0, "print this text and exit"},
	{0, "version", NULL, OPTION_FLAG, NULL, 0, 0, "print the version and exit"},
};

enum { NCOMMON = sizeof(common) / sizeof(common[0]) };

const char *options_program(void)
{
	return program_invocation_short_name;
}

static void print_row(const struct option_row *row)
{
	enum { COLUMN = 34 };
	char left[64];
	const char *text = row->help;

	char letter[8] = "    ";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	snprintf(left, sizeof(left), "  %s--%s%s%s", letter, row->name, row->arg ? "=" : "", row->arg ? row->arg : "");
	printf("%-*s", COLUMN, left);
	if (strlen(left) > COLUMN - 2)
		printf("\n%-*s", COLUMN, "");
	for (;;) {
		int len = (int)strcspn(text, "\n");

		printf("%.*s\n", len, text);
		if (!text[len])
			break;
		text += len + 1;
		printf("%-*s", COLUMN, "");
	}
}

static void print_help(const char *summary, const struct option_row *rows, int nrows)
{
	printf("Usage: %s [OPTION]...\n%s\nOptions:\n", options_program(), summary);
	for (int i = 0; i < nrows; i++)
		print_row(&rows[i]);
	for (int i = 0; i < NCOMMON; i++)
		print_row(&common[i]);
}

/* For scripts: -LETTER or -, --NAME, ARGUMENT or -, and the text, on one line and separated by tabs. */
static void list_row(const struct option_row *row)
{
	if (row->letter)
		printf("-%c", row->letter);
	else
		printf("-");
	printf("\t--%s\t%s\t", row->name, row->arg ? row->arg : "-");
	for (const char *c = row->help; *c; c++)
		putchar(*c == '\n' ? ' ' : *c);
	putchar('\n');
}

static void list_options(const struct option_row *rows, int nrows)
{
	for (int i = 0; i < nrows; i++)
		list_row(&rows[i]);
	for (int i = 0; i < NCOMMON; i++)
		list_row(&common[i]);
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
		fprintf(stderr, "%s: --%s: %s is not within %" PRId64 " to %" PRId64 "\n", prog, row->name, arg,
			row->min, row->max);
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

/* The option that getopt rejected; `buf` holds a short one. */
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

/* The table in the form of getopt_long. */
struct getopt_table {
	struct option longs[MAX_ROWS + 4];
	char shorts[2 * MAX_ROWS + 4];
};

static void make_table(const struct option_row *rows, int nrows, struct getopt_table *t)
{
	size_t ns = 0;

	memset(t, 0, sizeof(*t));
	t->shorts[ns++] = ':';
	for (int i = 0; i < nrows; i++) {
		bool has_arg = rows[i].kind != OPTION_FLAG;

		t->longs[i] = (struct option){rows[i].name, has_arg, NULL, LONG_BASE + i};
		if (rows[i].letter)
			t->shorts[ns++] = rows[i].letter;
		if (rows[i].letter && has_arg)
			t->shorts[ns++] = ':';
	}
	t->shorts[ns] = 'h';
	t->longs[nrows] = (struct option){"help", no_argument, NULL, LONG_BASE + SHOW_HELP};
	t->longs[nrows + 1] = (struct option){"version", no_argument, NULL, LONG_BASE + SHOW_VERSION};
	t->longs[nrows + 2] = (struct option){"list-options", no_argument, NULL, LONG_BASE + SHOW_LIST};
}

/* Reports an option that getopt_long rejected with '?' or ':'. */
static int refuse(const char *prog, char **argv, int c)
{
	char letter[3];

	if (c == ':')
		fprintf(stderr, "%s: option %s needs an argument\n", prog, offender(argv, letter));
	else if (optopt >= LONG_BASE)
		fprintf(stderr, "%s: option %s takes no argument\n", prog, argv[optind - 1]);
	else
		fprintf(stderr, "%s: unknown or ambiguous option %s; --help lists all\n", prog, offender(argv, letter));
	return -1;
}

static bool print_common(int c, const char *summary, const struct option_row *rows, int nrows)
{
	if (c == 'h' || c == LONG_BASE + SHOW_HELP)
		print_help(summary, rows, nrows);
	else if (c == LONG_BASE + SHOW_VERSION)
		options_print_version();
	else if (c == LONG_BASE + SHOW_LIST)
		list_options(rows, nrows);
	else
		return false;
	return true;
}

void options_print_version(void)
{
	printf("%s (Weft) %s\n", options_program(), PACKAGE_VERSION);
}

int options_parse(int argc, char **argv, const char *summary, const struct option_row *rows, int nrows)
{
	const char *prog = options_program();
	struct getopt_table t;
	int c, i;

	if (nrows > MAX_ROWS)
		abort();
	make_table(rows, nrows, &t);
	opterr = 0;
	optind = 0; /* restarts getopt if the process has parsed another command line before */
	while ((c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1) {
		if (print_common(c, summary, rows, nrows))
			return 1;
		if (c == '?' || c == ':')
			return refuse(prog, argv, c);
		for (i = 0; i < nrows; i++)
			if (c == LONG_BASE + i || c == rows[i].letter)
				break;
		if (take(prog, &rows[i], optarg))
			return -1;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unexpected argument '%s'; --help lists the options\n", prog, argv[optind]);
		return -1;
	}
	return 0;
}
