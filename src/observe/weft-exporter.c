/* SPDX-License-Identifier: Apache-2.0 */
/* weft-exporter: the processes that use Weft on this host, for Prometheus. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "observe/http.h"

#define LISTEN	"127.0.0.1:9753"
#define PEERS	8
#define SECONDS 15

static const char usage[] =
	"Usage: weft-exporter [OPTION]\n"
	"Shows Prometheus the processes that use Weft on this host, at http://127.0.0.1:9753/metrics.\n"
	"\n"
	"      --listen ADDRESS:PORT   another address; [ADDRESS]:PORT with IPv6 (127.0.0.1:9753)\n"
	"      --textfile DIR          instead, write DIR/weft.prom for node_exporter's textfile collector\n"
	"      --interval SECONDS      how often, with --textfile (15)\n"
	"      --once                  only once, with --textfile\n"
	"      --peers K               peers of each process, the worst only (8)\n"
	"  -V, --version               print the version of Weft\n"
	"  -h, --help                  print this text\n"
	"\n"
	"Exit status: 0 ended by a signal or by --once, 1 it cannot work, 2 an option is wrong.\n"
	"Root shows the processes of all users, others show their own.\n"
	"Environment: WEFT_STATS_DIR, as the processes have it.\n";

struct job {
	const char *listen, *textfile;
	int64_t seconds, peers;
	bool once;
};

/* Writes the file as a whole: readers see the old one or the new one. */
static int write_file(const struct scrape *s, const char *dir)
{
	char *path = NULL, *temporary = NULL;
	FILE *f = NULL;
	int rc = -1;

	if (asprintf(&path, "%s/weft.prom", dir) < 0)
		path = NULL;
	if (asprintf(&temporary, "%s/weft.prom.%d", dir, (int)getpid()) < 0)
		temporary = NULL;
	if (path && temporary)
		f = fopen(temporary, "we");
	if (f) {
		rc = fwrite(s->text, 1, s->bytes, f) == s->bytes ? fchmod(fileno(f), 0644) : -1;
		rc = fclose(f) || rc || rename(temporary, path) ? -1 : 0;
	}
	if (rc)
		fprintf(stderr, "weft-exporter: --textfile: %s cannot be written: %s\n", path ? path : dir,
			strerror(errno));
	if (rc && f)
		unlink(temporary);
	free(path);
	free(temporary);
	return rc;
}

/* Signals end it between two files, not within one. */
static int keep_writing(struct scrape *s, const struct job *job)
{
	struct timespec pause = {.tv_sec = job->seconds};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	do {
		if (scrape_make(s)) {
			fprintf(stderr, "weft-exporter: out of memory\n");
			return 1;
		}
		if (write_file(s, job->textfile))
			return 1;
	} while (!job->once && sigtimedwait(&set, NULL, &pause) < 0);
	return 0;
}

static int exporter_wrong(const char *what, const char *value)
{
	fprintf(stderr, "weft-exporter: %s%s\nTry weft-exporter --help.\n", what, value);
	return 2;
}

static bool read_number(const char *text, int64_t most, int64_t *out)
{
	return !text_to_int(text, out) && *out >= 1 && *out <= most;
}

/* Returns the exit status, or -1: go on. */
static int exporter_options(struct job *job, int argc, char **argv)
{
	enum { LISTEN_AT = 256, TEXTFILE, INTERVAL, ONCE, WORST };
	static const struct option options[] = {
		{"listen", required_argument, NULL, LISTEN_AT},
		{"textfile", required_argument, NULL, TEXTFILE},
		{"interval", required_argument, NULL, INTERVAL},
		{"once", no_argument, NULL, ONCE},
		{"peers", required_argument, NULL, WORST},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "Vh", options, NULL)) != -1) {
		switch (c) {
		case LISTEN_AT: job->listen = optarg; break;
		case TEXTFILE: job->textfile = optarg; break;
		case INTERVAL:
			if (!read_number(optarg, 86400, &job->seconds))
				return exporter_wrong("--interval wants seconds from 1 to 86400, not ", optarg);
			break;
		case ONCE: job->once = true; break;
		case WORST:
			if (!read_number(optarg, 100000, &job->peers))
				return exporter_wrong("--peers wants a number from 1 to 100000, not ", optarg);
			break;
		case 'V': printf("Weft %s\n", PACKAGE_VERSION); return 0;
		case 'h': fputs(usage, stdout); return 0;
		default: fprintf(stderr, "Try weft-exporter --help.\n"); return 2;
		}
	}
	if (optind < argc)
		return exporter_wrong("unexpected argument ", argv[optind]);
	if (job->listen && job->textfile)
		return exporter_wrong("--listen and --textfile: only one of them", "");
	if (job->once && !job->textfile)
		return exporter_wrong("--once goes with --textfile", "");
	return -1;
}

int main(int argc, char **argv)
{
	struct job job = {.seconds = SECONDS, .peers = PEERS};
	struct scrape s = {0};
	int rc = exporter_options(&job, argc, argv);

	if (rc >= 0)
		return rc;
	s.peers = (size_t)job.peers;
	rc = job.textfile ? keep_writing(&s, &job) : http_serve(&s, job.listen ? job.listen : LISTEN);
	scrape_fini(&s);
	return rc;
}
