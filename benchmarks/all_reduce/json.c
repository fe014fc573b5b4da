/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"
#include "new_file.h"
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 3 };

struct json_report {
	json_t *root, *results;
	FILE *file;
};

extern char **environ;

/* jansson rejects text that is not UTF-8; such text becomes unknown. */
static json_t *text(const char *s)
{
	json_t *v = json_string(s);

	return v ? v : json_null();
}

static json_t *number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

/* A value that is 0 where it is not known. */
static json_t *known(double v)
{
	return v > 0 ? number(v) : json_null();
}

/* The environment may contain secrets, so only variables that concern a network or NCCL are written. */
static json_t *environment(void)
{
	static const char *const prefixes[] = {"NCCL_",		  "WEFT_", "FI_", "OFI_NCCL_", "CUDA_VISIBLE_DEVICES=",
					       "LD_LIBRARY_PATH="};
	json_t *list = json_array();

	for (char **e = environ; *e; e++)
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
			if (!strncmp(*e, prefixes[i], strlen(prefixes[i])))
				json_array_append_new(list, text(*e));
	return list;
}

static void set_device(json_t *o, const struct device_info *d)
{
	json_object_set_new(o, "device", json_integer(d->device));
	json_object_set_new(o, "device_hex", *d->pci ? text(d->pci) : json_null());
	json_object_set_new(o, "device_info", text(d->name));
}

/* Like nccl-tests, one entry with one device per rank; "all_devices" lists every device that the rank uses. */
static json_t *devices(const struct rank_info *ranks, int nranks)
{
	json_t *list = json_array();

	for (int r = 0; r < nranks; r++) {
		json_t *d = json_object(), *all = json_array();

		json_object_set_new(d, "rank", json_integer(r));
		json_object_set_new(d, "group", json_integer(ranks[r].group));
		json_object_set_new(d, "pid", json_integer(ranks[r].pid));
		json_object_set_new(d, "hostname", text(ranks[r].host));
		set_device(d, &ranks[r].devices[0]);
		for (int i = 0; i < ranks[r].ndevices; i++) {
			json_t *one = json_object();

			set_device(one, &ranks[r].devices[i]);
			json_array_append_new(all, one);
		}
		json_object_set_new(d, "all_devices", all);
		json_array_append_new(list, d);
	}
	return list;
}

static json_t *config(const struct settings *s, const struct report_head *head)
{
	json_t *c = json_object();

	json_object_set_new(c, "nthreads", json_integer(s->threads));
	json_object_set_new(c, "ngpus", json_integer(s->gpus));
	json_object_set_new(c, "minimum_bytes", json_integer(s->min_bytes));
	json_object_set_new(c, "maximum_bytes", json_integer(s->max_bytes));
	if (s->step_factor > 1)
		json_object_set_new(c, "step_factor", json_integer(s->step_factor));
	else
		json_object_set_new(c, "step_bytes", json_integer(s->step_bytes));
	json_object_set_new(c, "warmup_iters", json_integer(s->warmup_iters));
	json_object_set_new(c, "iterations", json_integer(s->iters));
	json_object_set_new(c, "aggregated_iterations", json_integer(s->agg_iters));
	json_object_set_new(c, "validation", json_integer(s->check));
	json_object_set_new(c, "graph", json_integer(0));
	json_object_set_new(c, "blocking_collectives", json_false());
	json_object_set_new(c, "per_iter_timing", json_boolean(s->per_iter));
	json_object_set_new(c, "per_iter_skip", json_integer(s->per_iter_skip));
	json_object_set_new(c, "parallel_init", json_false());
	json_object_set_new(c, "average", json_integer(s->average));
	json_object_set_new(c, "root", json_integer(s->root));
	json_object_set_new(c, "operation", text(s->all_ops ? "all" : op_names[s->ops[0]]));
	json_object_set_new(c, "datatype", text(s->all_types ? "all" : type_facts[s->types[0]].name));
	json_object_set_new(c, "engine", text(s->nccl ? "nccl" : "net"));
	json_object_set_new(c, "plugin", text(head->plugin));
	json_object_set_new(c, "plugin_abi", json_integer(head->abi));
	json_object_set_new(c, "ranks", json_integer(head->nranks));
	json_object_set_new(c, "channels", json_integer(s->channels));
	json_object_set_new(c, "chunk_bytes", json_integer(s->chunk_bytes));
	json_object_set_new(c, "devices", devices(head->ranks, head->nranks));
	return c;
}

struct json_report *json_open(const struct settings *s, const struct report_head *head)
{
	struct json_report *j = calloc(1, sizeof(*j));
	json_t *args = json_array();
	char now[20];

	if (j)
		j->file = new_file(s->json, "JSON");
	if (!j || !j->file) {
		json_decref(args);
		free(j);
		return NULL;
	}
	for (int i = 0; i < head->argc; i++)
		json_array_append_new(args, text(head->argv[i]));
	j->results = json_array();
	j->root = json_object();
	json_object_set_new(j->root, "version", json_integer(FORMAT_VERSION));
	json_object_set_new(j->root, "start_time", text(table_time(now)));
	json_object_set_new(j->root, "args", args);
	json_object_set_new(j->root, "env", environment());
	json_object_set_new(j->root, "nccl_version", json_null());
	json_object_set_new(j->root, "weft_version", text(PACKAGE_VERSION));
	json_object_set_new(j->root, "config", config(s, head));
	json_object_set_new(j->root, "results", j->results);
	return j;
}

static json_t *placement(const struct placement *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "time", number(p->time_us));
	json_object_set_new(o, "alg_bw", number(p->algbw_gbs));
	json_object_set_new(o, "bus_bw", number(p->busbw_gbs));
	json_object_set_new(o, "nwrong", p->wrong < 0 ? json_null() : json_integer(p->wrong));
	return o;
}

/* Like nccl-tests, a list for each process; its ranks are the config's devices. */
static json_t *process_times(const struct iter_stats *st)
{
	json_t *all = json_array();

	for (int p = 0; p < st->nprocesses; p++) {
		json_t *times = json_array();

		for (int64_t i = 0; i < st->ntimes; i++)
			json_array_append_new(times, number(st->process_times_us[p * st->ntimes + i]));
		json_array_append_new(all, times);
	}
	return all;
}

static json_t *iterations(const struct iter_stats *st)
{
	json_t *o = json_object(), *times = json_array();

	json_object_set_new(o, "skipped_iterations", json_integer(st->skipped));
	json_object_set_new(o, "min_us", number(st->min_us));
	json_object_set_new(o, "max_us", number(st->max_us));
	json_object_set_new(o, "avg_us", number(st->avg_us));
	json_object_set_new(o, "p50_us", number(st->p50_us));
	json_object_set_new(o, "p95_us", number(st->p95_us));
	json_object_set_new(o, "p99_us", number(st->p99_us));
	json_object_set_new(o, "stdev_us", number(st->stdev_us));
	json_object_set_new(o, "cv_pct", number(st->cv_pct));
	for (int64_t i = 0; i < st->ntimes; i++)
		json_array_append_new(times, number(st->times_us[i]));
	json_object_set_new(o, "times_us", times);
	if (st->nprocesses > 1)
		json_object_set_new(o, "per_process_max_times_us", process_times(st));
	return o;
}

void json_add_row(struct json_report *j, const struct settings *s, const struct row *row)
{
	static const char *const names[2][2] = {{"out_of_place", "out_of_place_per_iter"},
						{"in_place", "in_place_per_iter"}};
	json_t *o;

	if (!j)
		return;
	o = json_object();
	json_object_set_new(o, "size", json_integer(row->bytes));
	json_object_set_new(o, "count", json_integer(row->count));
	json_object_set_new(o, "type", text(type_facts[row->type].name));
	json_object_set_new(o, "redop", text(op_names[row->op]));
	json_object_set_new(o, "root", json_integer(row->root));
	for (int p = 0; p < 2; p++) {
		json_object_set_new(o, names[p][0], placement(&row->place[p]));
		if (s->roof)
			json_object_set_new(json_object_get(o, names[p][0]), "roof_ratio", known(row_ratio(row, p)));
		if (s->per_iter)
			json_object_set_new(o, names[p][1], iterations(&row->place[p].iters));
	}
	if (s->roof)
		json_object_set_new(o, "roof_bus_bw", known(row->roof_gbs));
	json_object_set_new(o, "actual_iterations", json_integer(row->iters));
	json_object_set_new(o, "experiment_name", text(""));
	json_array_append_new(j->results, o);
}

static json_t *bandwidth(const struct totals *t)
{
	json_t *o = json_object();

	json_object_set_new(o, "bandwidth", number(totals_average(t)));
	json_object_set_new(o, "okay", t->min_bw ? json_boolean(totals_fast_enough(t)) : json_null());
	return o;
}

void json_add(struct json_report *j, const char *key, json_t *value)
{
	if (j)
		json_object_set(j->root, key, value);
	json_decref(value);
}

void json_close(struct json_report *j, const struct totals *t, const char *error)
{
	json_t *errors, *bounds;
	char now[20];

	if (!j)
		return;
	bounds = json_object();
	json_object_set_new(bounds, "count", json_integer(t->failed_checks));
	json_object_set_new(bounds, "okay", json_boolean(t->failed_checks == 0));
	errors = json_array();
	if (error)
		json_array_append_new(errors, text(error));
	json_object_set_new(j->root, "out_of_bounds", bounds);
	json_object_set_new(j->root, "average_bus_bandwidth", bandwidth(t));
	json_object_set_new(j->root, "errors", errors);
	json_object_set_new(j->root, "end_time", text(table_time(now)));
	(void)json_dumpf(j->root, j->file, JSON_COMPACT | JSON_REAL_PRECISION(9));
	fputc('\n', j->file);
	new_file_close(j->file, "JSON");
	json_decref(j->root);
	free(j);
}
