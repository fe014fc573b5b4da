/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_bench_table JSON [NAME=FILE...]: prints goals beside results, and writes them as JSON together with what
 * weft_net_perf wrote about the runs behind them. For bench.sh, which measures; here is only form.
 *
 * Standard input has a line for each measure, of these fields with tabs between them:
 *
 *	measure  relation  goal  unit  lowest  highest
 *
 * relation: at most, at least, below, or published (no goal). A measure of several points has a lowest and a
 * highest result, one of a single point the same twice; both empty: not measured. Exit status 1 when the input
 * or a file is not of this kind or the JSON can't be written; never for a figure.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

enum { MEASURE, RELATION, GOAL, UNIT, LOW, HIGH, FIELDS };

static _Noreturn void quit(const char *what, const char *which)
{
	fprintf(stderr, "weft_bench_table: %s: %s\n", what, which);
	exit(1);
}

static double number(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end)
		quit("not a number", text);
	return v;
}

static bool is_good(const char *relation, double goal, double v)
{
	if (!strcmp(relation, "at most"))
		return v <= goal;
	if (!strcmp(relation, "at least"))
		return v >= goal;
	if (!strcmp(relation, "below"))
		return v < goal;
	quit("not a relation", relation);
}

static const char *verdict(char *const f[FIELDS])
{
	bool low, high;

	if (!*f[LOW])
		return "not measured";
	if (!strcmp(f[RELATION], "published"))
		return "published";
	low = is_good(f[RELATION], number(f[GOAL]), number(f[LOW]));
	high = is_good(f[RELATION], number(f[GOAL]), number(f[HIGH]));
	return low && high ? "met" : low || high ? "met in part" : "missed";
}

/* "A to B unit", shorter where A is B or there is no unit. */
static void print_result(char *out, size_t room, char *const f[FIELDS])
{
	const char *unit = f[UNIT], *space = *unit ? " " : "";

	if (!*f[LOW])
		snprintf(out, room, "-");
	else if (!strcmp(f[LOW], f[HIGH]))
		snprintf(out, room, "%.4g%s%s", number(f[LOW]), space, unit);
	else
		snprintf(out, room, "%.4g to %.4g%s%s", number(f[LOW]), number(f[HIGH]), space, unit);
}

static void print_row(char *const f[FIELDS])
{
	char goal[60], result[60];

	snprintf(goal, sizeof(goal), "%s %s %s", f[RELATION], f[GOAL], *f[GOAL] ? f[UNIT] : "");
	print_result(result, sizeof(result), f);
	printf("%-62s %-17s %-22s %s\n", f[MEASURE], goal, result, verdict(f));
}

static json_t *row_json(char *const f[FIELDS])
{
	json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "measure", f[MEASURE], "relation", f[RELATION], "unit", f[UNIT],
				"verdict", verdict(f));

	if (!row)
		quit("not UTF-8", f[MEASURE]);
	if (*f[GOAL])
		json_object_set_new(row, "goal", json_real(number(f[GOAL])));
	if (*f[LOW])
		json_object_update_new(row, json_pack("{s:f, s:f}", "lowest", number(f[LOW]), "highest", number(f[HIGH])));
	return row;
}

static json_t *read_rows(void)
{
	json_t *rows = json_array();
	char line[512], *rest, *f[FIELDS];
	int i;

	printf("%-62s %-17s %-22s %s\n", "measure", "goal", "here", "verdict");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		rest = line;
		for (i = 0; i < FIELDS; i++) {
			f[i] = strsep(&rest, "\t");
			if (!f[i])
				quit("a line has too few fields", line);
		}
		if (rest || !*f[LOW] != !*f[HIGH])
			quit("a line has the wrong fields", line);
		print_row(f);
		json_array_append_new(rows, row_json(f));
	}
	return rows;
}

/* The first line of /proc/cpuinfo that names the processor, or "". */
static const char *processor(void)
{
	static char line[256];
	FILE *in = fopen("/proc/cpuinfo", "r");
	char *text = NULL;

	while (in && !text && fgets(line, sizeof(line), in))
		if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
			line[strcspn(line, "\n")] = 0;
			text = strchr(line, ':') + 1 + strspn(strchr(line, ':') + 1, " ");
		}
	if (in)
		fclose(in);
	return text ? text : "";
}

static json_t *machine(void)
{
	struct utsname u;

	uname(&u);
	return json_pack("{s:s, s:s, s:s, s:s, s:i}", "system", u.sysname, "release", u.release, "architecture", u.machine,
			 "processor", processor(), "cores", (int)sysconf(_SC_NPROCESSORS_ONLN));
}

static json_t *read_runs(int n, char **args)
{
	json_t *runs = json_object(), *one;
	json_error_t error;
	char *path;
	int i;

	for (i = 0; i < n; i++) {
		path = strchr(args[i], '=');
		if (!path)
			quit("not NAME=FILE", args[i]);
		*path++ = 0;
		one = json_load_file(path, 0, &error);
		if (!one)
			quit(path, error.text);
		json_object_set_new(runs, args[i], one);
	}
	return runs;
}

int main(int argc, char **argv)
{
	json_t *all;

	if (argc < 2)
		quit("usage", "weft_bench_table JSON [NAME=FILE...] <MEASURES");
	all = json_pack("{s:s, s:o, s:o, s:o}", "version", PACKAGE_VERSION, "machine", machine(), "table", read_rows(),
			"runs", read_runs(argc - 2, argv + 2));
	if (!all)
		quit("no JSON could be made", argv[1]);
	if (json_dump_file(all, argv[1], JSON_INDENT(1)))
		quit("cannot write", argv[1]);
	json_decref(all);
	printf("\neverything as JSON: %s\n", argv[1]);
	return 0;
}
