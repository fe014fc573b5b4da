/* SPDX-License-Identifier: Apache-2.0 */
/* weft-top: what the processes that use Weft on this host do, and whose fault it is if they are slow or stuck. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "observe/events.h"
#include "observe/report.h"
#include "observe/screen.h"

#define SECONDS	   2.0
#define PLAIN_COLS 160

static const char usage[] =
	"Usage: weft-top [OPTION]\n"
	"       weft-top --events [PID|FILE]\n"
	"Shows the processes that use Weft on this host: their NICs, their peers, the worst first, and for each peer\n"
	"a verdict in words. On a terminal the picture is live; q quits.\n"
	"\n"
	"      --once                  print one report and exit\n"
	"  -j, --json                  print the report as JSON; with --watch, one line for each\n"
	"      --pid PID               only this process\n"
	"      --watch SECONDS         a new report every SECONDS, about that time; with --once only one.\n"
	"                              Without it, the first report is about all the time since the start\n"
	"      --events                print the last events of all processes, merged by time, or those of PID or\n"
	"                              of the record FILE; the process may be dead\n"
	"      --trace FILE            write these events to FILE for ui.perfetto.dev or chrome://tracing\n"
	"      --clean                 remove the records of dead processes\n"
	"  -V, --version               print the version of Weft\n"
	"  -h, --help                  print this text\n"
	"\n"
	"Exit status: 0 nothing is wrong; 1 a process, a NIC or a peer is in trouble, or weft-top failed;\n"
	"2 an option is wrong. Root sees the processes of all users, others see their own.\n"
	"Environment: WEFT_STATS_DIR, as the processes have it.\n";

struct job {
	struct snapshot_want want;
	bool once, json, events, clean;
	double seconds; /* 0: not given */
	const char *trace;
};

static int out_of_memory(void)
{
	fprintf(stderr, "weft-top: out of memory\n");
	return 1;
}

static int columns(void)
{
	struct winsize size;
	const char *text = getenv("COLUMNS");
	int64_t n;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col >= 20)
		return size.ws_col;
	return text && !text_to_int(text, &n) && n >= 20 && n < 10000 ? (int)n : PLAIN_COLS;
}

static int print_text(const struct view *v)
{
	struct report_lines lines = {0};
	size_t i;
	int rc = report_text(v, columns(), &lines);

	for (i = 0; !rc && i < lines.count; i++)
		puts(lines.line[i].text);
	report_lines_free(&lines);
	return rc;
}

/* Returns the exit status. */
static int print_view(const struct job *job, const struct snapshot *before, const struct snapshot *now)
{
	struct view *v = now ? view_make(before, now) : NULL;
	int rc;

	if (!v)
		return out_of_memory();
	rc = job->json ? report_json(v, job->seconds > 0 && !job->once ? JSON_COMPACT : JSON_INDENT(2), stdout)
		       : print_text(v);
	fflush(stdout);
	if (rc == -EIO)
		fprintf(stderr, "weft-top: the report cannot be written: %s\n", strerror(errno));
	rc = rc == -EIO ? 1 : rc ? out_of_memory() : v->troubles > 0;
	view_free(v);
	return rc;
}

static void rest(double seconds)
{
	struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static int top_report(const struct job *job)
{
	struct snapshot *before = NULL, *now = snapshot_take(&job->want);
	int rc = 0;

	while (now && job->seconds > 0) {
		rest(job->seconds);
		snapshot_free(before);
		before = now;
		now = snapshot_take(&job->want);
		rc = print_view(job, before, now);
		if (job->once || ferror(stdout))
			break;
	}
	if (!now)
		rc = out_of_memory();
	else if (job->seconds <= 0)
		rc = print_view(job, NULL, now);
	snapshot_free(before);
	snapshot_free(now);
	return rc;
}

static int write_trace(const struct snapshot *s, const char *file)
{
	json_t *trace = events_trace(s);
	int rc;

	if (!trace)
		return out_of_memory();
	rc = json_dump_file(trace, file, JSON_COMPACT);
	json_decref(trace);
	if (rc)
		fprintf(stderr, "weft-top: --trace: %s cannot be written: %s\n", file, strerror(errno));
	return rc ? 1 : 0;
}

static int show_events(const struct job *job)
{
	struct snapshot *s = snapshot_take(&job->want);
	size_t i;
	int rc = 0;

	if (!s)
		return out_of_memory();
	for (i = 0; i < s->refused_count; i++)
		fprintf(stderr, "weft-top: %s is not read: %s\n", s->refused[i].path, s->refused[i].why);
	if (!s->count) {
		fprintf(stderr, "weft-top: there is no such record\n");
		rc = 1;
	} else if (job->trace) {
		rc = write_trace(s, job->trace);
	} else if (events_print(s, stdout)) {
		rc = out_of_memory();
	}
	snapshot_free(s);
	return rc;
}

static int clean(const struct job *job)
{
	struct snapshot *s = snapshot_take(&job->want);
	int n;

	if (!s)
		return out_of_memory();
	n = snapshot_clean(s);
	printf("%d record%s of dead processes removed\n", n, n == 1 ? "" : "s");
	snapshot_free(s);
	return 0;
}

static int top_wrong(const char *what, const char *value)
{
	fprintf(stderr, "weft-top: %s%s\nTry weft-top --help.\n", what, value);
	return 2;
}

static bool read_seconds(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return *text && !*end && *out >= 0.1 && *out <= 86400;
}

static bool read_pid(const char *text, uint64_t *out)
{
	int64_t n;

	if (text_to_int(text, &n) || n < 1)
		return false;
	*out = (uint64_t)n;
	return true;
}

/* The arguments after the options. Returns the exit status, or -1: go on. */
static int read_rest(struct job *job, int n, char **rest)
{
	if (!n)
		return -1;
	if (n > 1 || (!job->events && !job->trace))
		return top_wrong("unexpected argument ", rest[n > 1]);
	if (!read_pid(rest[0], &job->want.pid))
		job->want.file = rest[0];
	return -1;
}

/* Returns the exit status, or -1: go on. */
static int top_options(struct job *job, int argc, char **argv)
{
	enum { ONCE = 256, PID, WATCH, EVENTS, TRACE, CLEAN };
	static const struct option options[] = {
		{"once", no_argument, NULL, ONCE},     {"json", no_argument, NULL, 'j'},
		{"pid", required_argument, NULL, PID}, {"watch", required_argument, NULL, WATCH},
		{"events", no_argument, NULL, EVENTS}, {"trace", required_argument, NULL, TRACE},
		{"clean", no_argument, NULL, CLEAN},   {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},      {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "jVh", options, NULL)) != -1) {
		switch (c) {
		case ONCE: job->once = true; break;
		case 'j': job->json = true; break;
		case PID:
			if (!read_pid(optarg, &job->want.pid))
				return top_wrong("--pid wants the number of a process, not ", optarg);
			break;
		case WATCH:
			if (!read_seconds(optarg, &job->seconds))
				return top_wrong("--watch wants seconds from 0.1 to 86400, not ", optarg);
			break;
		case EVENTS: job->events = true; break;
		case TRACE: job->trace = optarg; break;
		case CLEAN: job->clean = true; break;
		case 'V': printf("Weft %s\n", PACKAGE_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fprintf(stderr, "Try weft-top --help.\n"); return 2;
		}
	}
	return read_rest(job, argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
	struct job job = {0};
	int rc = top_options(&job, argc, argv);

	if (rc >= 0)
		return rc;
	job.want.events = job.events || job.trace;
	if (job.clean)
		return clean(&job);
	if (job.want.events)
		return show_events(&job);
	if (job.once || job.json || !screen_usable())
		return top_report(&job);
	return screen_run(&job.want, job.seconds > 0 ? job.seconds : SECONDS) ? out_of_memory() : 0;
}
