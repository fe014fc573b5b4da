/* SPDX-License-Identifier: Apache-2.0 */
/* weft-info --what-if: the model of an all-reduce (model.h) for machines that are not here. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "info/info.h"
#include "info/machines.h"
#include "info/model.h"

#define SIMULATED "simulated, not measured"

enum { NODES_MAX = 65536, LATENCY_MAX_US = 1000000, SIZE_MIN = 8, SIZE_FACTOR = 4, NOTES = 8, NOTE_BYTES = 256 };

static const int64_t size_max = (int64_t)8 << 30;

struct what_if {
	struct machine type;		 /* name NULL: not given */
	int64_t nodes, gpus, latency_us; /* gpus, latency_us 0: not given */
	struct model_machine machine;
	struct model_way ring, tree;
	char notes[NOTES][NOTE_BYTES]; /* the assumptions */
	int note_count;
};

static int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int complain(const char *fmt, ...)
{
	va_list ap;

	fputs("weft-info: --what-if: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	return -1;
}

/* Ends a message with the machines of a platform, or with all if there are none. */
static void list_machines(const char *platform)
{
	struct machine m;
	int shown = 0;

	for (size_t i = 0; machine_at(i, &m); i++)
		if (!platform || machine_is_of(&m, platform))
			fprintf(stderr, "%s%s", shown++ ? ", " : "", m.name);
	if (shown || !platform)
		fputc('\n', stderr);
	else
		list_machines(NULL);
}

static int find_machine(struct what_if *w, const char *name)
{
	if (machine_find(name, &w->type))
		return 0;
	w->type.name = NULL;
	if (!strncmp(name, "p6e-gb200", 9)) {
		complain("NVLink connects the GPUs of 9 or 18 %s, and the network only such UltraServers; known are ",
			 name);
		list_machines("p6e-gb200.36xlarge");
		return -1;
	}
	complain("there is no model of %s, or it has no EFA NIC; known are ", name);
	list_machines(name);
	return -1;
}

static int take_number(const char *item, const char *value, int64_t min, int64_t max, int64_t *out)
{
	if (!text_to_int(value, out) && *out >= min && *out <= max)
		return 0;
	return complain("%s: a number from %lld to %lld is needed\n", item, (long long)min, (long long)max);
}

static int take_item(struct what_if *w, const char *item)
{
	const char *value = strchr(item, '=');

	value = value ? value + 1 : "";
	if (!strncmp(item, "machine=", 8))
		return find_machine(w, value);
	if (!strncmp(item, "nodes=", 6))
		return take_number(item, value, 2, NODES_MAX, &w->nodes);
	if (!strncmp(item, "gpus=", 5))
		return take_number(item, value, 1, 1024, &w->gpus);
	if (!strncmp(item, "latency=", 8))
		return take_number(item, value, 1, LATENCY_MAX_US, &w->latency_us);
	return complain("%s: not of machine=NAME, nodes=N, gpus=N, latency=US\n", item);
}

static int parse(struct what_if *w, const char *list)
{
	char item[128];

	while (text_next_item(&list, item, sizeof(item)))
		if (take_item(w, item))
			return -1;
	if (!w->type.name || !w->nodes)
		return complain("%s is missing; an example: machine=p5.48xlarge,nodes=16\n",
				w->type.name ? "nodes=N" : "machine=NAME");
	if (w->gpus > w->type.gpus)
		return complain("gpus=%lld: a %s has %d\n", (long long)w->gpus, w->type.name, w->type.gpus);
	return 0;
}

static void add_note(struct what_if *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_note(struct what_if *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->notes[w->note_count++], NOTE_BYTES, fmt, ap);
	va_end(ap);
}

static void note_way(struct what_if *w, const char *name, const struct model_way *way)
{
	add_note(w, "%s: %.4g hops between machines and %.4g inside, one after another; busbw at most %.4g GB/s, by %s",
		 name, way->network_hops, way->inside_hops, way->rate_gbs,
		 way->rate_gbs >= way->network_gbs ? "the NICs"
		 : w->type.pcie			   ? "PCIe"
						   : "NVLink");
}

static void note_assumptions(struct what_if *w)
{
	const struct model_machine *m = &w->machine;

	add_note(
		w,
		"line rate: %d NIC%s x %d Gbit/s = %.4g GB/s in each direction for each machine, as AWS publishes; headers cost "
		"nothing",
		m->nics, m->nics > 1 ? "s" : "", m->nic_gbits, model_line_rate(m));
	if (w->latency_us)
		add_note(w, "latency between machines: %.4g us, as given", m->latency_us);
	else
		add_note(
			w,
			"latency between machines: %.4g us, which Weft tells NCCL for this machine: rather too much; latency=US "
			"replaces it",
			m->latency_us);
	if (m->gpus > 1)
		add_note(w, "inside a machine: %s with %d GB/s for each GPU in each direction, and %.4g us a hop",
			 w->type.pcie ? "no NVLink; PCIe" : "NVLink", m->link_gbs, MODEL_INSIDE_US);
	if (m->gpus > 1 && w->type.pcie)
		add_note(w,
			 "PCIe: 16 lanes, as the GPU's data sheet says; host memory, through which all passes, and the "
			 "link between CPUs cost nothing");
	if (m->gpus < w->type.gpus)
		add_note(w, "%d of %d GPUs of each machine are used, with their share of its NICs", m->gpus,
			 w->type.gpus);
	note_way(w, "ring", &w->ring);
	note_way(w, "tree", &w->tree);
	add_note(
		w,
		"left out: congestion, the time to cut, reduce and copy data, NVLink SHARP, stragglers, other traffic");
}

static void print_number(double v)
{
	printf("  %10.*f", v < 10 ? 4 : v < 1000 ? 1 : 0, v);
}

/* Prints the results of a size. */
static void print_row(const struct what_if *w, int64_t bytes)
{
	struct model_result ring = model_all_reduce(&w->machine, &w->ring, bytes);
	struct model_result tree = model_all_reduce(&w->machine, &w->tree, bytes);
	bool by_ring = ring.time_us <= tree.time_us;
	const struct model_result *best = by_ring ? &ring : &tree;

	printf("%12lld", (long long)bytes);
	print_number(ring.time_us);
	print_number(tree.time_us);
	print_number(best->time_us);
	print_number(best->algbw_gbs);
	print_number(best->busbw_gbs);
	printf("  %s\n", by_ring ? "ring" : "tree");
}

static void print_curve(const struct what_if *w)
{
	printf(SIMULATED ": an all-reduce over %d x %s, %d GPUs\n\nAssumptions\n", w->machine.nodes, w->type.name,
	       w->machine.nodes * w->machine.gpus);
	for (int i = 0; i < w->note_count; i++)
		printf("    %s\n", w->notes[i]);
	printf("\n%12s  %10s  %10s  %10s  %10s  %10s  %s\n", "size", "ring", "tree", "time", "algbw", "busbw",
	       "better");
	printf("%12s  %10s  %10s  %10s  %10s  %10s\n", "(B)", "(us)", "(us)", "(us)", "(GB/s)", "(GB/s)");
	for (int64_t bytes = SIZE_MIN; bytes <= size_max; bytes *= SIZE_FACTOR)
		print_row(w, bytes);
	printf("\n" SIMULATED "\n");
}

static json_t *result_json(const struct model_result *r)
{
	return json_pack("{s:f, s:f, s:f}", "time_us", r->time_us, "algbw_gb_per_s", r->algbw_gbs, "busbw_gb_per_s",
			 r->busbw_gbs);
}

static json_t *sizes_json(const struct what_if *w)
{
	json_t *list = json_array();

	for (int64_t bytes = SIZE_MIN; bytes <= size_max; bytes *= SIZE_FACTOR) {
		struct model_result ring = model_all_reduce(&w->machine, &w->ring, bytes);
		struct model_result tree = model_all_reduce(&w->machine, &w->tree, bytes);

		json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:s}", "bytes", (json_int_t)bytes, "ring",
						      result_json(&ring), "tree", result_json(&tree), "better",
						      ring.time_us <= tree.time_us ? "ring" : "tree"));
	}
	return list;
}

static int print_curve_json(const struct what_if *w)
{
	json_t *notes = json_array(), *root;
	int bad;

	for (int i = 0; i < w->note_count; i++)
		json_array_append_new(notes, json_string(w->notes[i]));
	root = json_pack("{s:s, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:o, s:o}", "note", SIMULATED, "machine",
			 w->type.name, "nodes", w->machine.nodes, "gpus_per_node", w->machine.gpus, "latency_us",
			 w->machine.latency_us, "line_rate_gb_per_s", model_line_rate(&w->machine),
			 "ring_most_gb_per_s", w->ring.rate_gbs, "tree_most_gb_per_s", w->tree.rate_gbs, "assumptions",
			 notes, "sizes", sizes_json(w));
	bad = !root || json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) || putchar('\n') == EOF;
	json_decref(root);
	return bad;
}

int info_what_if(const char *list, bool json)
{
	struct what_if w = {0};

	if (parse(&w, list))
		return 2;
	w.machine = model_machine(&w.type, (int)w.nodes, (int)w.gpus,
				  (double)(w.latency_us ? w.latency_us : w.type.platform->latency_us));
	w.ring = model_ring(&w.machine);
	w.tree = model_tree(&w.machine);
	note_assumptions(&w);
	if (json)
		return print_curve_json(&w);
	print_curve(&w);
	return 0;
}
