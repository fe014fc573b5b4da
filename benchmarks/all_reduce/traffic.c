/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN_BYTES = 16, MAX_RANKS = 1024 };

static const double max_bytes = 1e15;

int64_t traffic_bytes(const struct traffic *t, int nranks, int from, int to, size_t share_bytes)
{
	double total = (double)share_bytes * nranks, distance = (to - from + nranks) % nranks, bytes;

	if (t->matrix)
		return t->matrix[from * t->ranks + to];
	if (nranks == 1)
		return (int64_t)share_bytes / ALIGN_BYTES * ALIGN_BYTES;
	/* All distances from 0 to n - 1 add up to n (n - 1) / 2. */
	bytes = (1 - t->spread) * (double)share_bytes +
		t->spread * distance * total / ((double)nranks * (nranks - 1) / 2);
	return (int64_t)bytes / ALIGN_BYTES * ALIGN_BYTES;
}

static int read_number(const char *name, double max, double *out)
{
	const char *text = getenv(name);
	char *end;

	if (!text)
		return 0;
	*out = strtod(text, &end);
	if (end != text && !*end && *out >= 0 && *out <= max)
		return 0;
	fprintf(stderr, "%s: %s: '%s' is not a number from 0 to %g\n", options_program(), name, text, max);
	return -1;
}

static int complain(const struct traffic *t, const char *what, int line)
{
	fprintf(stderr, "%s: NCCL_TESTS_ALLTOALLV_MATRIX_FILE=%s, row %d: %s\n", options_program(), t->file, line,
		what);
	return -1;
}

/* Appends the numbers of a line to the matrix, which has room for them. *n: how many numbers the matrix has. */
static int read_row(struct traffic *t, char *line, double scale, int row, int *n)
{
	int columns = 0;

	for (char *save = NULL, *word = strtok_r(line, " \t\r\n", &save); word;
	     word = strtok_r(NULL, " \t\r\n", &save)) {
		char *end;
		double v = strtod(word, &end) * scale;

		if (*end || !(v >= 0 && v <= max_bytes))
			return complain(t, "not a number of bytes", row + 1);
		if (columns++ == (t->ranks ? t->ranks : MAX_RANKS))
			return complain(t, "more numbers than in the first row, or than there can be ranks", row + 1);
		t->matrix[(*n)++] = (int64_t)v / ALIGN_BYTES * ALIGN_BYTES;
	}
	if (columns && !t->ranks)
		t->ranks = columns;
	return columns && columns != t->ranks ? complain(t, "fewer numbers than in the first row", row + 1) : 0;
}

static int read_matrix(struct traffic *t, FILE *f, double scale)
{
	char *line = NULL;
	size_t room = 0;
	int n = 0, row = 0, err = 0;

	t->matrix = calloc((size_t)MAX_RANKS * MAX_RANKS, sizeof(*t->matrix));
	if (!t->matrix)
		return complain(t, "out of memory", 0);
	while (!err && getline(&line, &room, f) >= 0) {
		if (t->ranks && n == t->ranks * t->ranks && line[strspn(line, " \t\r\n")])
			err = complain(t, "more rows than columns", row + 1);
		else
			err = read_row(t, line, scale, row, &n);
		row = t->ranks ? n / t->ranks : 0;
	}
	free(line);
	if (!err && (!n || n != t->ranks * t->ranks))
		err = complain(t, "the matrix ends before it is square", row + 1);
	return err;
}

int traffic_from_env(struct traffic *out)
{
	const char *print = getenv("NCCL_TESTS_ALLTOALLV_PRINT_SUMMARY");
	double scale = 1;
	FILE *f;
	int err;

	*out = (struct traffic){.spread = 1,
				.file = getenv("NCCL_TESTS_ALLTOALLV_MATRIX_FILE"),
				.print = print && *print && strcmp(print, "0")};
	if (read_number("NCCL_TESTS_ALLTOALLV_SPREAD", 1, &out->spread) ||
	    read_number("NCCL_TESTS_ALLTOALLV_MATRIX_SCALE", max_bytes, &scale))
		return -1;
	if (!out->file)
		return 0;
	f = fopen(out->file, "re");
	if (!f) {
		fprintf(stderr, "%s: NCCL_TESTS_ALLTOALLV_MATRIX_FILE=%s: %s\n", options_program(), out->file,
			strerror(errno));
		return -1;
	}
	err = read_matrix(out, f, scale);
	fclose(f);
	return err;
}
