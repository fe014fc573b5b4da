/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft_bench_table JSON [NAME=FILE...]: prints goals and results side by side, and writes them as JSON together with
 * weft_net_perf's reports of the underlying runs. bench.sh measures; this program only formats.
 *
 * Standard input has a line for each measure, with these fields, separated by tabs:
 *
 *	measure  relation  goal  unit  lowest  highest
 *
 * relation: at most, at least, below, or published (no goal). A measure of several points has a lowest and a highest result;
 * for a single point both are the same. Both empty: not measured. Relation beats: the lowest and highest are quartiles, and a
 * seventh field is the median; a goal between the quartiles is a tie, since the difference is inside the spread. The exit
 * status is 1 if the input or a file is malformed or the JSON can't be written; missed goals do not change it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

enum { EXIT_USAGE = 2 };

enum { MEASURE, RELATION, GOAL, UNIT, LOW, HIGH, MEDIAN, FIELDS };

static _Noreturn void quit(const char *what, const char *which)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, which);
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

static bool is_comparison(char *const f[FIELDS])
{
	return !strcmp(f[RELATION], "beats");
}

static const char *compare(double low, double high, double goal)
{
	return low > goal ? "met" : high < goal ? "missed" : "tie";
}

static const char *verdict(char *const f[FIELDS])
{
	bool low, high;

	if (!*f[LOW])
		return "not measured";
	if (!strcmp(f[RELATION], "published"))
		return "published";
	if (is_comparison(f))
		return compare(number(f[LOW]), number(f[HIGH]), number(f[GOAL]));
	low = is_good(f[RELATION], number(f[GOAL]), number(f[LOW]));
	high = is_good(f[RELATION], number(f[GOAL]), number(f[HIGH]));
	return low && high ? "met" : low || high ? "met in part" : "missed";
}

/* Prints "A to B unit"; "A unit" if A = B; without the unit if there is none. Compared: "median (quartile to quartile)". */
static void print_result(char *out, size_t room, char *const f[FIELDS])
{
	const char *unit = f[UNIT], *space = *unit ? " " : "";

	if (!*f[LOW])
		snprintf(out, room, "-");
	else if (is_comparison(f))
		snprintf(out, room, "%.3g (%.3g to %.3g)", number(f[MEDIAN]), number(f[LOW]), number(f[HIGH]));
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
		json_object_update_new(row,
				       json_pack("{s:f, s:f}", "lowest", number(f[LOW]), "highest", number(f[HIGH])));
	if (*f[LOW] && is_comparison(f))
		json_object_set_new(row, "median", json_real(number(f[MEDIAN])));
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
		for (i = 0; i < FIELDS && (i < MEDIAN || is_comparison(f)); i++) {
			f[i] = strsep(&rest, "\t");
			if (!f[i])
				quit("a line has too few fields", line);
		}
		if (!is_comparison(f))
			f[MEDIAN] = f[LOW];
		if (rest || !*f[LOW] != !*f[HIGH] || !*f[LOW] != !*f[MEDIAN])
			quit("a line has the wrong fields", line);
		print_row(f);
		json_array_append_new(rows, row_json(f));
	}
	return rows;
}

/* The processor's name from /proc/cpuinfo, or "". */
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
	return json_pack("{s:s, s:s, s:s, s:s, s:i}", "system", u.sysname, "release", u.release, "architecture",
			 u.machine, "processor", processor(), "cores", (int)sysconf(_SC_NPROCESSORS_ONLN));
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

/* Handles --help and --version. */
static bool print_about(const char *option)
{
	if (!strcmp(option, "--version"))
		printf("%s (Weft) %s\n", program_invocation_short_name, PACKAGE_VERSION);
	else if (!strcmp(option, "--help") || !strcmp(option, "-h"))
		printf("Usage: %s JSON [NAME=FILE]... <MEASURES\n"
		       "Prints goals beside results, and writes them to the file JSON together with weft_net_perf's own JSON\n"
		       "files. Standard input has a line for each measure: measure, relation, goal, unit, lowest, highest,\n"
		       "with tabs between them; with the relation `beats` lower quartile, upper quartile, median.\n\nOptions:\n"
		       "  -h, --help                      print this text and exit\n"
		       "      --version                   print the version and exit\n",
		       program_invocation_short_name);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	json_t *all;

	if (argc == 2 && print_about(argv[1]))
		return 0;
	if (argc < 2 || *argv[1] == '-') {
		fprintf(stderr, "%s: one JSON file is needed; --help explains\n", program_invocation_short_name);
		return EXIT_USAGE;
	}
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
