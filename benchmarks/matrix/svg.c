/* SPDX-License-Identifier: Apache-2.0 */
/* The heat map of show.h: a square for each pair, the darker the faster; black: not connected. */
#include <errno.h>
#include <string.h>

#include "net_perf/complain.h"
#include "show.h"

enum { SQUARE = 32, LEFT = 160, TOP = 90, FOOT = 40, TEXT_MOST = 40 };

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		default: fputc(*text, out);
		}
	}
}

static double fastest(const struct matrix *m)
{
	double most = 0;
	int i;

	for (i = 0; i < m->n * m->n; i++)
		most = m->cells[i].gb_per_s > most ? m->cells[i].gb_per_s : most;
	return most;
}

/* From white to blue. */
static void print_color(FILE *out, double share)
{
	fprintf(out, "rgb(%d,%d,%d)", (int)(255 - 222 * share), (int)(255 - 153 * share), (int)(255 - 83 * share));
}

static void print_square(FILE *out, const struct matrix *m, int i, int j, double most)
{
	const struct cell *c = matrix_at(m, i, j);
	int x = LEFT + j * SQUARE, y = TOP + i * SQUARE;
	double share = most > 0 ? c->gb_per_s / most : 0;

	fprintf(out, "<rect x='%d' y='%d' width='%d' height='%d' stroke='%s' fill='", x, y, SQUARE - 1, SQUARE - 1,
		c->wrong ? "red" : "none");
	if (c->state == CELL_GOOD)
		print_color(out, share);
	else
		fputs(c->state == CELL_SELF ? "none" : "black", out);
	fputs("'><title>", out);
	print_escaped(out, m->who[i].host);
	fprintf(out, " rank %d to ", i);
	print_escaped(out, m->who[j].host);
	if (c->state == CELL_GOOD)
		fprintf(out, " rank %d: %.4g GB/s, %.4g us", j, c->gb_per_s, c->latency_us);
	else
		fprintf(out, " rank %d: %s", j, c->state == CELL_SELF ? "itself" : "not connected");
	fputs("</title></rect>\n", out);
	if (c->state == CELL_GOOD && m->n <= TEXT_MOST)
		fprintf(out, "<text x='%d' y='%d' text-anchor='middle' fill='%s'>%.3g</text>\n", x + SQUARE / 2,
			y + SQUARE / 2 + 3, share > 0.6 ? "white" : "black", c->gb_per_s);
}

static void print_names(FILE *out, const struct matrix *m)
{
	int i;

	for (i = 0; i < m->n; i++) {
		int at = i * SQUARE + SQUARE / 2 + 3;

		fprintf(out, "<text x='%d' y='%d' text-anchor='end'>", LEFT - 6, TOP + at);
		print_escaped(out, m->who[i].host);
		fprintf(out, " %d</text>\n<text transform='translate(%d %d) rotate(-60)'>", i, LEFT + at, TOP - 6);
		print_escaped(out, m->who[i].host);
		fprintf(out, " %d</text>\n", i);
	}
}

int show_svg(const char *path, const struct report *r)
{
	const struct matrix *m = r->matrix;
	double most = fastest(m);
	FILE *out = fopen(path, "we");
	int i, j, bad = !out;

	if (out) {
		fprintf(out,
			"<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' "
			"font-size='9'>\n<text x='6' y='14' font-size='12'>weft-pair: GB/s from row to column, at most "
			"%.4g</text>\n",
			LEFT + m->n * SQUARE + LEFT / 2, TOP + m->n * SQUARE + FOOT, most);
		print_names(out, m);
		for (i = 0; i < m->n; i++)
			for (j = 0; j < m->n; j++)
				print_square(out, m, i, j, most);
		fputs("</svg>\n", out);
		bad = ferror(out) | fclose(out);
	}
	if (bad)
		complain("cannot write %s: %s", path, strerror(errno));
	return bad ? -1 : 0;
}
