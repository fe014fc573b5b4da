/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-info: shows Weft's decisions on this machine with their reasons. Makes the table of devices with the plugin's
 * own code and prints it. Moves no data; opens an endpoint only to probe a NIC as the plugin does.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "dev/nccl_topology.h"
#include "dev/table.h"
#include "info/info.h"

static const char usage[] =
	"Usage: weft-info [OPTION]\n"
	"Shows what Weft does on this machine, and why.\n"
	"\n"
	"  -j, --json                  print JSON\n"
	"      --parameters-markdown   print the parameters as docs/parameters.md lists them\n"
	"      --topology              show where GPUs and NICs sit, and the devices made of them\n"
	"      --from FILE             with --topology: another machine, from an XML file of lstopo or of\n"
	"                              --save-topology\n"
	"      --nccl-topology         print the topology that NCCL gets, as XML; also with --from\n"
	"      --save-topology FILE    write this machine as XML, for --from, WEFT_TOPOLOGY or a bug report\n"
	"      --placement             show the NUMA nodes of the NICs and of the memory for them\n"
	"      --require LIST          check requirements, such as provider=efa,rails=4, before a job\n"
	"      --root DIR              with --require: search for causes in DIR/sys, DIR/dev and so on\n"
	"      --what-if LIST          how fast an all-reduce could be on other machines, by a model, such as\n"
	"                              machine=p5.48xlarge,nodes=16,gpus=8; also with --json\n"
	"  -V, --version               print the versions of Weft and libfabric\n"
	"  -h, --help                  print this text\n"
	"\n"
	"Exit status: 0 Weft has a device here, 1 it has none, 2 a parameter or an option is wrong;\n"
	"with --require: 0 all are met, 1 at least one is not, 2 the option is wrong;\n"
	"with --what-if: 0, or 2 the list is wrong.\n"
	"Environment: the WEFT_ variables that weft-info lists; with FI_LOG_LEVEL=warn libfabric logs its reasons.\n";

enum view { TEXT, JSON, PLACE, TOPOLOGY, NCCL, SAVE };

/* `file`: output file of SAVE, else the file of another machine, or NULL. */
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
	if (*t.report.unmatched)
		log_warn("%s", t.report.unmatched);
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

/* The options, as far as they do not act at once. */
struct options {
	enum view view;
	int views; /* number of them that were given */
	const char *file, *from, *require, *root, *what_if;
};

static int refuse_options(const char *why)
{
	fprintf(stderr, "weft-info: %s\nTry weft-info --help.\n", why);
	return 2;
}

static int act(const struct options *o)
{
	if (o->what_if && (o->views > 1 || (o->views && o->view != JSON) || o->require || o->from))
		return refuse_options("--what-if goes with --json only");
	if (o->views + (o->require != NULL) > 1)
		return refuse_options(
			"--json, --topology, --nccl-topology, --save-topology, --placement and --require: only one of them");
	if (o->from && o->view != TOPOLOGY && o->view != NCCL)
		return refuse_options("--from goes with --topology or --nccl-topology");
	if (o->what_if)
		return info_what_if(o->what_if, o->view == JSON);
	return o->require ? info_require(o->require, o->root) : report(o->view, o->from ? o->from : o->file);
}

int main(int argc, char **argv)
{
	enum { VIEW = 256, MARKDOWN = 512, REQUIRE, ROOT, FROM, WHAT_IF }; /* VIEW + x selects view x */
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
		{"what-if", required_argument, NULL, WHAT_IF},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.view = TEXT, .root = ""};
	int c;

	while ((c = getopt_long(argc, argv, "jVh", options, NULL)) != -1) {
		switch (c) {
		case 'j':
		case VIEW + PLACE:
		case VIEW + TOPOLOGY:
		case VIEW + NCCL:
		case VIEW + SAVE:
			o.view = c == 'j' ? JSON : (enum view)(c - VIEW);
			o.file = o.view == SAVE ? optarg : o.file;
			o.views++;
			break;
		case MARKDOWN: info_print_markdown(); return 0;
		case FROM: o.from = optarg; break;
		case REQUIRE: o.require = optarg; break;
		case ROOT: o.root = optarg; break;
		case WHAT_IF: o.what_if = optarg; break;
		case 'V': printf("Weft %s, libfabric %s\n", PACKAGE_VERSION, fab_library_version()); return 0;
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
	return act(&o);
}
