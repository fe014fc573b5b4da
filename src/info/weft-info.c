/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-info: what will Weft do on this machine, and why? Goes the plugin's own way to the same table of
 * devices and prints it. Opens no endpoint and moves no data.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "info/info.h"

static const char usage[] =
	"Usage: weft-info [OPTION]\n"
	"What will Weft do on this machine, and why?\n"
	"\n"
	"  -j, --json                  the same for programs\n"
	"      --parameters-markdown   the parameters as the README lists them\n"
	"      --placement             on which NUMA nodes NICs and the memory for them are\n"
	"      --require LIST          check requirements, such as provider=efa,rails=4: a prolog for jobs\n"
	"      --root DIR              with --require: look for causes in DIR/sys, DIR/dev and so on\n"
	"  -V, --version               version of Weft and libfabric\n"
	"  -h, --help                  this text\n"
	"\n"
	"Exit status: 0 Weft has a device here, 1 it has none, 2 a parameter or option is wrong;\n"
	"with --require: 0 all is met, 1 something is not, 2 the option is wrong.\n"
	"Environment: the WEFT_ variables that weft-info lists; FI_LOG_LEVEL=warn lets libfabric explain.\n";

static int report(bool json, bool placement)
{
	struct dev_table t;
	int status;

	log_set_stderr(LOG_LEVEL_WARN);
	if (dev_table_load(&t)) {
		fprintf(stderr, "weft-info: out of memory\n");
		return 1;
	}
	conf_warn_unknown();
	if (*t.report.missed)
		log_warn("%s", t.report.missed);
	if (!t.count)
		log_must_see("Weft can't be used: %s", t.why);
	if (placement)
		info_print_placement(&t);
	else if (!json)
		info_print_text(&t);
	else if (info_print_json(&t))
		fprintf(stderr, "weft-info: out of memory\n");
	status = t.count ? 0 : t.user_error ? 2 : 1;
	dev_table_fini(&t);
	return status;
}

int main(int argc, char **argv)
{
	enum { MARKDOWN = 256, PLACEMENT, REQUIRE, ROOT };
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"parameters-markdown", no_argument, NULL, MARKDOWN},
		{"placement", no_argument, NULL, PLACEMENT},
		{"require", required_argument, NULL, REQUIRE},
		{"root", required_argument, NULL, ROOT},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *require = NULL, *root = "";
	bool json = false, placement = false;
	int c;

	while ((c = getopt_long(argc, argv, "jVh", options, NULL)) != -1) {
		switch (c) {
		case 'j': json = true; break;
		case MARKDOWN: info_print_markdown(); return 0;
		case PLACEMENT: placement = true; break;
		case REQUIRE: require = optarg; break;
		case ROOT: root = optarg; break;
		case 'V':
			printf("Weft %s, libfabric %s\n", PACKAGE_VERSION, fab_library_version());
			return 0;
		case 'h':
			fputs(usage, stdout);
			info_require_help();
			return 0;
		default: fprintf(stderr, "Try weft-info --help.\n"); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "weft-info: unexpected argument %s\nTry weft-info --help.\n", argv[optind]);
		return 2;
	}
	return require ? info_require(require, root) : report(json, placement);
}
