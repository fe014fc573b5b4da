/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"
#include "new_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* In pixels: the picture, and the frame of the curves within it. */
enum { WIDTH = 900, HEIGHT = 520, LEFT = 80, TOP = 50, RIGHT = 700, BOTTOM = 450 };

enum { TICKS = 10, TICK_LENGTH = 5, TEXT_HEIGHT = 18, LEGENDS = 18 };

static const char *const colours[] = {"#0060b0", "#d04a00", "#2a8a2a", "#8040b0",
				      "#b02060", "#707000", "#008080", "#606060"};

enum { COLOURS = sizeof(colours) / sizeof(colours[0]) };

/* What a row says. */
struct point {
	int64_t bytes;
	int series;
	double busbw[2]; /* out of place, in place */
};

/* A type, an operation and a root; one colour. */
struct series {
	enum elem_type type;
	enum redop op;
	int64_t root;
};

struct plot {
	FILE *file;
	char title[256];
	struct point *points;
	struct series *series;
	size_t npoints;
	int nseries;
	/* The ends of both axes: powers of two, and GB/s. */
	int first_log, last_log;
	double top, step;
};

/* Text for SVG. */
static void escape(const char *text, char *out, size_t bytes)
{
	size_t used = 0;

	out[0] = '\0';
	for (; *text && used + 8 < bytes; text++) {
		const char *as = *text == '<' ? "&lt;" : *text == '&' ? "&amp;" : NULL;

		/* Bytes outside of ASCII may be no UTF-8, which a parser would refuse. */
		if (as)
			used += (size_t)snprintf(out + used, bytes - used, "%s", as);
		else
			used += (size_t)snprintf(out + used, bytes - used, "%c",
						 *text < ' ' || *text > '~' ? '?' : *text);
	}
}

struct plot *plot_open(const struct settings *s, const char *program, int nranks)
{
	struct plot *p = calloc(1, sizeof(*p));
	char name[200];

	if (p)
		p->file = new_file(s->plot, "plot");
	if (!p || !p->file) {
		free(p);
		return NULL;
	}
	escape(program, name, sizeof(name));
	snprintf(p->title, sizeof(p->title), "%s, %d rank%s, engine %s", name, nranks, nranks == 1 ? "" : "s",
		 s->nccl ? "nccl" : "net");
	return p;
}

/* The number of a row's series; -1 if memory is missing. */
static int series_of(struct plot *p, const struct row *row)
{
	struct series *longer;
	int i = 0;

	for (; i < p->nseries; i++)
		if (p->series[i].type == row->type && p->series[i].op == row->op && p->series[i].root == row->root)
			return i;
	longer = realloc(p->series, (size_t)(i + 1) * sizeof(*longer));
	if (!longer)
		return -1;
	p->series = longer;
	p->series[i] = (struct series){row->type, row->op, row->root};
	p->nseries++;
	return i;
}

void plot_add_row(struct plot *p, const struct row *row)
{
	struct point *longer;
	int series;

	if (!p || row->bytes <= 0 || !isfinite(row->place[0].busbw_gbs) || !isfinite(row->place[1].busbw_gbs))
		return;
	series = series_of(p, row);
	longer = series < 0 ? NULL : realloc(p->points, (p->npoints + 1) * sizeof(*longer));
	if (!longer)
		return;
	p->points = longer;
	p->points[p->npoints++] =
		(struct point){row->bytes, series, {row->place[0].busbw_gbs, row->place[1].busbw_gbs}};
}

/* The smallest of 1, 2, 5, 10, 20, ... that is not below v. */
static double round_step(double v)
{
	double power = pow(10, floor(log10(v))), digit = v / power;

	return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

static void set_axes(struct plot *p)
{
	double most = 0, low = 62, high = 0;

	for (size_t i = 0; i < p->npoints; i++) {
		double size = log2((double)p->points[i].bytes);

		low = fmin(low, size);
		high = fmax(high, size);
		most = fmax(most, fmax(p->points[i].busbw[0], p->points[i].busbw[1]));
	}
	p->first_log = p->npoints ? (int)floor(low + 0.02) : 0;
	p->last_log = p->npoints ? (int)ceil(high - 0.02) : 1;
	/* A single size stands in the middle; sizes are rounded down to whole elements. */
	if (p->first_log == p->last_log) {
		p->first_log--;
		p->last_log++;
	}
	p->step = round_step(most > 0 ? most / TICKS : 0.1);
	p->top = ceil(most / p->step) * p->step;
	if (p->top <= 0)
		p->top = p->step;
}

static double x_of(const struct plot *p, double log_bytes)
{
	return LEFT + (log_bytes - p->first_log) / (p->last_log - p->first_log) * (RIGHT - LEFT);
}

static double y_of(const struct plot *p, double busbw)
{
	return BOTTOM - busbw / p->top * (BOTTOM - TOP);
}

/* 8, 1K, 64M: exact, since ticks are powers of two. */
static void size_label(int power, char *buf, size_t bytes)
{
	static const char units[] = "\0KMGTP";

	snprintf(buf, bytes, "%d%.1s", 1 << (power < 0 ? 0 : power % 10), power < 0 ? "" : &units[power / 10]);
}

static void draw_axes(const struct plot *p)
{
	int every = (p->last_log - p->first_log + TICKS - 1) / TICKS;
	FILE *f = p->file;

	for (int i = p->first_log; i <= p->last_log; i += every) {
		char label[16];
		double x = x_of(p, i);

		size_label(i, label, sizeof(label));
		fprintf(f, "<path class=\"grid\" d=\"M%.1f %d V%d\"/>\n", x, TOP, BOTTOM + TICK_LENGTH);
		fprintf(f, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%s</text>\n", x, BOTTOM + TEXT_HEIGHT + TICK_LENGTH,
			label);
	}
	for (int i = 0; i * p->step <= p->top * 1.001; i++) {
		double y = y_of(p, i * p->step);

		fprintf(f, "<path class=\"grid\" d=\"M%d %.1f H%d\"/>\n", LEFT - TICK_LENGTH, y, RIGHT);
		fprintf(f, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%.9g</text>\n", LEFT - 2 * TICK_LENGTH, y + 4,
			i * p->step);
	}
	fprintf(f, "<path class=\"frame\" d=\"M%d %d V%d H%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
	fprintf(f, "<text class=\"x\" x=\"%d\" y=\"%d\">size (B)</text>\n", (LEFT + RIGHT) / 2,
		BOTTOM + 3 * TEXT_HEIGHT);
	fprintf(f, "<text class=\"x\" transform=\"translate(%d %d) rotate(-90)\">bus bandwidth (GB/s)</text>\n",
		TEXT_HEIGHT, (TOP + BOTTOM) / 2);
}

/* A curve goes on as long as the sizes grow; a further cycle is a curve of its own. */
static void draw_curves(const struct plot *p, int series, int place)
{
	const char *colour = colours[series % COLOURS];
	int64_t before = INT64_MAX;
	FILE *f = p->file;

	fprintf(f, "<path class=\"%s\" stroke=\"%s\" d=\"", place ? "in" : "out", colour);
	for (size_t i = 0; i < p->npoints; i++) {
		const struct point *at = &p->points[i];

		if (at->series != series)
			continue;
		fprintf(f, "%c%.1f %.1f ", at->bytes > before ? 'L' : 'M', x_of(p, log2((double)at->bytes)),
			y_of(p, at->busbw[place]));
		before = at->bytes;
	}
	fputs("\"/>\n", f);
	for (size_t i = 0; i < p->npoints; i++) {
		const struct point *at = &p->points[i];

		if (at->series == series)
			fprintf(f,
				"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%" PRId64
				" B, %s: %.9g GB/s</title></circle>\n",
				x_of(p, log2((double)at->bytes)), y_of(p, at->busbw[place]), place ? "white" : colour,
				at->bytes, place ? "in place" : "out of place", at->busbw[place]);
	}
}

static void legend(const struct plot *p, int line, const char *class, const char *colour, const char *text)
{
	int x = RIGHT + TEXT_HEIGHT, y = TOP + TEXT_HEIGHT * (line + 1);

	if (class)
		fprintf(p->file, "<path class=\"%s\" stroke=\"%s\" d=\"M%d %d h28\"/>\n", class, colour, x, y - 4);
	fprintf(p->file, "<text x=\"%d\" y=\"%d\">%s</text>\n", x + 36, y, text);
}

static void draw_legend(const struct plot *p)
{
	legend(p, 0, "out", "#606060", "out of place");
	legend(p, 1, "in", "#606060", "in place");
	for (int i = 0; i < p->nseries && i < LEGENDS; i++) {
		const struct series *s = &p->series[i];
		char text[64], root[32] = "";

		if (s->root >= 0)
			snprintf(root, sizeof(root), ", root %" PRId64, s->root);
		snprintf(text, sizeof(text), "%s%s%s%s", type_facts[s->type].name, s->op == OP_NONE ? "" : " ",
			 s->op == OP_NONE ? "" : op_names[s->op], root);
		legend(p, i + 3, "out", colours[i % COLOURS], text);
	}
	if (p->nseries > LEGENDS)
		legend(p, LEGENDS + 3, NULL, NULL, "and more");
}

static void draw(struct plot *p)
{
	FILE *f = p->file;

	set_axes(p);
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n"
		"<style>\n"
		"text { font: 13px sans-serif; fill: #202020 }\n"
		".x { text-anchor: middle } .y { text-anchor: end } .title { font-size: 16px }\n"
		".grid { stroke: #d8d8d8 } .frame { fill: none; stroke: #202020 }\n"
		".out, .in { fill: none; stroke-width: 2 } .in { stroke-dasharray: 6 4 }\n"
		"circle { stroke: #404040; stroke-width: 0.5 }\n"
		"</style>\n"
		"<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
		WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
	fprintf(f, "<text class=\"title\" x=\"%d\" y=\"30\">%s</text>\n", LEFT, p->title);
	draw_axes(p);
	for (int i = 0; i < p->nseries; i++)
		for (int place = 1; place >= 0; place--)
			draw_curves(p, i, place);
	draw_legend(p);
	fputs("</svg>\n", f);
}

void plot_close(struct plot *p)
{
	if (!p)
		return;
	draw(p);
	new_file_close(p->file, "plot");
	free(p->points);
	free(p->series);
	free(p);
}
