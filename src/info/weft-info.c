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
#include "dev/nccl_topology.h"
#include "info/info.h"

static const char usage[] =
	"Usage: weft-info [OPTION]\n"
	"What will Weft do on this machine, and why?\n"
	"\n"
	"  -j, --json                  the same for programs\n"
	"      --parameters-markdown   the parameters as the README lists them\n"
	"      --topology              where GPUs and NICs sit, and which belong together\n"
	"      --from FILE             with --topology: of another machine, from lstopo's or our XML file\n"
	"      --nccl-topology         what NCCL would be told of it, as XML; also with --from\n"
	"      --save-topology FILE    this machine as XML, for --from, WEFT_TOPOLOGY or a bug report\n"
	"      --placement             on which NUMA nodes NICs and the memory for them are\n"
	"      --require LIST          check requirements, such as provider=efa,rails=4: a prolog for jobs\n"
	"      --root DIR              with --require: look for causes in DIR/sys, DIR/dev and so on\n"
	"  -V, --version               version of Weft and libfabric\n"
	"  -h, --help                  this text\n"
	"\n"
	"Exit status: 0 Weft has a device here, 1 it has none, 2 a parameter or option is wrong;\n"
	"with --require: 0 all is met, 1 something is not, 2 the option is wrong.\n"
	"Environment: the WEFT_ variables that weft-info lists; FI_LOG_LEVEL=warn lets libfabric explain.\n";

enum view { TEXT, JSON, PLACE, TOPOLOGY, NCCL, SAVE };

/* `file`: to save to, or the machine to look at instead of this one. */
static int report(enum view view, const char *file)
{
	struct dev_table t;
	int status, bad = 0;

	log_set_stderr(LOG_LEVEL_WARN);
	if (file && view != SAVE ? dev_table_imagine(file, &t) : dev_table_load(&t)) {
		fprintf(stderr, "weft-info: out of memory\n");
		return 1;
	}
	conf_warn_unknown();
	if (*t.report.missed)
		log_warn("%s", t.report.missed);
	if (*t.platform.wrong)
		log_must_see("%s", t.platform.wrong);
	if (!t.count)
		log_must_see("Weft can't be used: %s", t.why);
	switch (view) {
	case TEXT: info_print_text(&t); break;
	case PLACE: info_print_placement(&t); break;
	case TOPOLOGY: bad = info_print_topology(&t); break;
	case NCCL: bad = nccl_topology_print(&t, stdout) < 0; break;
	case SAVE: bad = info_save_topology(&t, file); break;
	case JSON:
		bad = info_print_json(&t);
		if (bad)
			fprintf(stderr, "weft-info: out of memory\n");
	}
	status = t.user_error ? 2 : bad ? 1 : view != SAVE && !t.count;
	dev_table_fini(&t);
	return status;
}

int main(int argc, char **argv)
{
	enum { VIEW = 256, MARKDOWN = 512, REQUIRE, ROOT, FROM }; /* VIEW + x chooses view x */
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"parameters-markdown", no_argument, NULL, MARKDOWN},
		{"topology", no_argument, NULL, VIEW + TOPOLOGY},
		{"nccl-topology", no_argument, NULL, VIEW + NCCL},
		{"from", required_argument, NULL, FROM},
		{"save-topology", required_argument, NULL, VIEW + SAVE},
		{"placement", no_argument, NULL, VIEW + PLACE},
		{"require", required_argument, NULL, REQUIRE},
		{"root", required_argument, NULL, ROOT},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *require = NULL, *root = "", *from = NULL, *file = NULL;
	enum view view = TEXT;
	int c, views = 0;

	while ((c = getopt_long(argc, argv, "jVh", options, NULL)) != -1) {
		switch (c) {
		case 'j':
		case VIEW + PLACE:
		case VIEW + TOPOLOGY:
		case VIEW + NCCL:
		case VIEW + SAVE:
			view = c == 'j' ? JSON : (enum view)(c - VIEW);
			file = view == SAVE ? optarg : file;
			views++;
			break;
		case MARKDOWN: info_print_markdown(); return 0;
		case FROM: from = optarg; break;
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
	if (views + (require != NULL) > 1) {
		fprintf(stderr, "weft-info: --json, --topology, --nccl-topology, --save-topology, --placement and "
				"--require: only one of them\nTry weft-info --help.\n");
		return 2;
	}
	if (from && view != TOPOLOGY && view != NCCL) {
		fprintf(stderr, "weft-info: --from goes with --topology or --nccl-topology\nTry weft-info --help.\n");
		return 2;
	}
	return require ? info_require(require, root) : report(view, from ? from : file);
}
