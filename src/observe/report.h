/* SPDX-License-Identifier: Apache-2.0 */
/* A view as JSON and as text. */
#ifndef WEFT_OBSERVE_REPORT_H
#define WEFT_OBSERVE_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "observe/view.h"

/*
 * Writes the whole view, with the names that weft-info --json uses, and a line break. flags: JSON_INDENT(2) or
 * JSON_COMPACT. 0, -EIO or -ENOMEM.
 */
int report_json(const struct view *v, size_t flags, FILE *out);

/* One process, its rails and its peers: an entry of "processes". NULL or not all: out of memory. The caller owns it. */
json_t *report_process_json(const struct process_view *p);

/* How a line is to be shown. */
enum report_tone { REPORT_PLAIN, REPORT_TITLE, REPORT_TROUBLE, REPORT_FAINT };

struct report_line {
	enum report_tone tone;
	char *text;
};

struct report_lines {
	struct report_line *line;
	size_t count;
};

/* Lines of `width` columns at most, the gravest first. Frees what `out` held. 0 or -ENOMEM. */
int report_text(const struct view *v, int width, struct report_lines *out);
/* The same for one process of a view. */
int report_process_text(const struct process_view *p, int width, struct report_lines *out);
void report_lines_free(struct report_lines *lines);

#endif
