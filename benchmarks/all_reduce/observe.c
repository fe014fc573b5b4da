/* SPDX-License-Identifier: Apache-2.0 */
#include "observe.h"

#include "observe/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 118, PREFIX = 2 };

/* One rank's report: its lines, then its JSON; each ends with a 0. */
struct report {
	char *text, *json;
};

/* Appends a line with the prefix of the table's other remarks. */
static int add_line(char **text, const char *line)
{
	char *longer;

	if (asprintf(&longer, "%s#   %s\n", *text ? *text : "", line) < 0)
		return -1;
	free(*text);
	*text = longer;
	return 0;
}

static void report_process(const struct process_view *p, struct report *out)
{
	struct report_lines lines = {0};
	json_t *json = report_process_json(p);

	if (json)
		out->json = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!report_process_text(p, COLUMNS - PREFIX, &lines))
		for (size_t i = 0; i < lines.count; i++)
			if (add_line(&out->text, lines.line[i].text))
				break;
	report_lines_free(&lines);
}

/* Reads the records of the whole host, because a peer that waits itself is not the culprit. */
static void report_self(struct report *out)
{
	struct snapshot *s = snapshot_take(&(struct snapshot_want){0});
	struct view *v = s ? view_make(NULL, s) : NULL;

	for (size_t i = 0; v && i < v->count; i++)
		if (v->processes[i].record->head.pid == (uint64_t)getpid() &&
		    v->processes[i].record->life == RECORD_RUNNING)
			report_process(&v->processes[i], out);
	view_free(v);
	snapshot_free(s);
	if (!out->text)
		(void)add_line(&out->text, "no record: the plugin is not Weft, or WEFT_STATS=0");
}

/* Prints the reports, which lie `bytes` bytes apart, and collects their JSON. */
static json_t *print_reports(const char *all, size_t bytes, const struct oob *oob)
{
	json_t *list = json_array();

	printf("# Observed, since the start (docs/observe.md):\n");
	for (int r = 0; r < oob_nranks(oob); r++) {
		const char *text = all + (size_t)r * bytes, *json = text + strlen(text) + 1;
		json_t *process = json_loads(json, 0, NULL);

		printf("#  Rank %2d on %s\n%s", r, oob_peer(oob, r)->host, text);
		json_array_append_new(list, process ? process : json_null());
	}
	printf("#\n");
	fflush(stdout);
	return list;
}

/* Every rank contributes as many bytes as the longest report has. */
static int gather(struct oob *oob, const struct report *mine, json_t **out_json)
{
	size_t n = (size_t)oob_nranks(oob), text_bytes = mine->text ? strlen(mine->text) : 0;
	size_t bytes = text_bytes + (mine->json ? strlen(mine->json) : 0) + 2, *sizes = calloc(n, sizeof(*sizes));
	char *padded = NULL, *all = NULL;
	int ret = -EPIPE;

	if (!sizes || oob_allgather(oob, &bytes, sizeof(bytes), sizes))
		goto out;
	for (size_t i = 0; i < n; i++)
		bytes = sizes[i] > bytes ? sizes[i] : bytes;
	padded = calloc(1, bytes);
	all = calloc(n, bytes);
	if (!padded || !all)
		goto out;
	if (mine->text)
		memcpy(padded, mine->text, text_bytes);
	if (mine->json)
		memcpy(padded + text_bytes + 1, mine->json, strlen(mine->json));
	ret = oob_allgather(oob, padded, bytes, all);
	if (!ret && !oob_rank(oob))
		*out_json = print_reports(all, bytes, oob);
out:
	free(sizes);
	free(padded);
	free(all);
	return ret;
}

int observe_ranks(struct oob *oob, json_t **out_json)
{
	struct report mine = {0};
	int ret;

	*out_json = NULL;
	report_self(&mine);
	ret = gather(oob, &mine, out_json);
	free(mine.text);
	free(mine.json);
	return ret;
}
