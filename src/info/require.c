/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-info --require: does this machine meet the needs of a job? Each requirement is one row of a table with the
 * parser of its value, its check and its cause. Changes nothing on the machine.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/text.h"
#include "dev/table.h"
#include "fabric/provider.h"
#include "info/cause.h"
#include "info/info.h"

#define UNLIMITED INT64_MAX
#define NEEDS_MAX 32

/* One requirement of the user. */
struct need {
	const struct key *key;
	char text[PARAM_TEXT_BYTES]; /* as the user wrote it */
	const char *value;	     /* points into text, or "" */
	int64_t number;
};

struct check {
	const struct need *need;
	const struct dev_table *t;
	const char *root;
	char found[256]; /* actual value, for the message */
};

#define found(c, ...) snprintf((c)->found, sizeof((c)->found), __VA_ARGS__)

struct key {
	const char *name;
	const char *form; /* syntax in --help */
	const char *doc;
	int (*read)(struct need *n); /* parses n->value; 0 or -EINVAL */
	bool (*met)(struct check *c);
	void (*cause)(struct cause *c, int64_t wanted);
};

static int read_nothing(struct need *n)
{
	return *n->value ? -EINVAL : 0;
}

static int read_name(struct need *n)
{
	return *n->value ? 0 : -EINVAL;
}

static int read_count(struct need *n)
{
	return text_to_int(n->value, &n->number) || n->number < 1 || n->number > 1000000 ? -EINVAL : 0;
}

static int64_t release(unsigned major, unsigned minor)
{
	return (int64_t)major << 16 | minor;
}

static int read_release(struct need *n)
{
	unsigned major, minor;
	int used = 0;

	if (sscanf(n->value, "%5u.%5u%n", &major, &minor, &used) != 2 || n->value[used])
		return -EINVAL;
	n->number = release(major, minor);
	return 0;
}

static int read_limit(struct need *n)
{
	n->number = UNLIMITED;
	return *n->value && strcmp(n->value, "unlimited") ? text_to_bytes(n->value, &n->number) : 0;
}

static const char *chosen(const struct dev_table *t)
{
	int i;

	for (i = 0; i < t->report.candidate_count; i++)
		if (t->report.candidates[i].chosen)
			return t->report.candidates[i].provider;
	return "";
}

static bool met_provider(struct check *c)
{
	const char *name = chosen(c->t);

	found(c, "Weft would use %s", *name ? name : "none");
	return provider_is(c->need->value, name);
}

/* Number of devices that reach other hosts: only these count, because the check is for jobs on several hosts. */
static int devices_out(const struct dev_table *t)
{
	int i, n = 0;

	for (i = 0; i < t->count; i++)
		n += dev_nic_leaves_host(t->devs[i].nic);
	return n;
}

static const char *uncounted(const struct dev_table *t)
{
	return t->count > devices_out(t) ? "; what reaches this host only does not count" : "";
}

static bool met_devices(struct check *c)
{
	int n = devices_out(c->t);

	found(c, "there are %d%s", n, uncounted(c->t));
	return n >= c->need->number;
}

static bool met_nics(struct check *c)
{
	int i, n = 0;

	for (i = 0; i < c->t->report.nic_count; i++)
		n += dev_nic_leaves_host(&c->t->report.nics[i]);
	found(c, "%d are in use%s%s%s", n, *chosen(c->t) ? ", of " : "", chosen(c->t), uncounted(c->t));
	return n >= c->need->number;
}

/* Do all devices that reach other hosts, at least one, pass `has`? If not, `found` describes the first failure. */
static bool all_devices(struct check *c, bool (*has)(struct check *c, const struct dev *d, int number))
{
	int i;

	found(c, "there is no device%s", *uncounted(c->t) ? " that reaches other hosts" : "");
	for (i = 0; i < c->t->count; i++)
		if (dev_nic_leaves_host(c->t->devs[i].nic) && !has(c, &c->t->devs[i], i))
			return false;
	return devices_out(c->t);
}

static bool has_rails(struct check *c, const struct dev *d, int number)
{
	if (d->rail_count >= c->need->number)
		return true;
	found(c, "device %d (%s) has %d", number, d->nic->name, d->rail_count);
	return false;
}

static bool met_rails(struct check *c)
{
	return all_devices(c, has_rails);
}

static bool has_speed(struct check *c, const struct dev *d, int number)
{
	if (d->speed_mbps >= c->need->number * 1000)
		return true;
	found(c, "device %d (%s) has %d.%d", number, d->nic->name, d->speed_mbps / 1000, d->speed_mbps / 100 % 10);
	return false;
}

static bool met_speed(struct check *c)
{
	return all_devices(c, has_speed);
}

static bool has_gdr(struct check *c, const struct dev *d, int number)
{
	if (d->gdr.cuda)
		return true;
	found(c, "device %d (%s) moves host memory only: GPU memory is staged through host memory", number,
	      d->nic->name);
	return false;
}

static bool met_gdr(struct check *c)
{
	return all_devices(c, has_gdr);
}

static bool met_libfabric(struct check *c)
{
	unsigned major = 0, minor = 0;

	sscanf(fab_library_version(), "%u.%u", &major, &minor);
	found(c, "it is %u.%u", major, minor);
	return release(major, minor) >= c->need->number;
}

static bool met_memlock(struct check *c)
{
	struct rlimit limit;
	char text[32];

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return true;
	found(c, "this process may lock %s", text_from_bytes((int64_t)limit.rlim_cur, text, sizeof(text)));
	return (int64_t)limit.rlim_cur >= c->need->number;
}

static bool met_hugepages(struct check *c)
{
	int64_t n = cause_meminfo(c->root, "HugePages_Free:");

	found(c, "%" PRId64 " are free", n > 0 ? n : 0);
	return n >= c->need->number;
}

static const struct key keys[] = {
	{"provider", "provider=NAME", "the provider is NAME, as WEFT_PROVIDER writes it", read_name, met_provider,
	 cause_provider},
	{"devices", "devices=N", "NCCL sees N devices or more", read_count, met_devices, cause_devices},
	{"nics", "nics=N", "N NICs or more are in use", read_count, met_nics, cause_nics},
	{"rails", "rails=N", "every device has N rails or more", read_count, met_rails, cause_rails},
	{"speed", "speed=GBITS", "every device has so many Gbit/s or more, all rails together", read_count, met_speed,
	 cause_speed},
	{"gdr", "gdr", "every device moves GPU memory without a copy (GPUDirect RDMA)", read_nothing, met_gdr,
	 cause_gdr},
	{"libfabric", "libfabric=M.N", "the libfabric loaded is release M.N or newer", read_release, met_libfabric,
	 cause_library},
	{"memlock", "memlock[=SIZE]", "SIZE bytes (K, M, G) may be locked, without SIZE any number", read_limit,
	 met_memlock, cause_memlock},
	{"hugepages", "hugepages=N", "N huge pages of the default size are free", read_count, met_hugepages,
	 cause_hugepages},
};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

void info_require_help(void)
{
	size_t i;

	printf("\nRequirements, comma-separated; a device that reaches other hosts is always one:\n");
	for (i = 0; i < KEYS; i++)
		printf("  %-16s %s\n", keys[i].form, keys[i].doc);
}

static int need_parse(struct need *n)
{
	size_t len = strcspn(n->text, "="), i;

	n->value = n->text + len + (n->text[len] == '=');
	for (i = 0; i < KEYS; i++)
		if (strlen(keys[i].name) == len && !strncmp(keys[i].name, n->text, len)) {
			n->key = &keys[i];
			if (!n->key->read(n))
				return 0;
			fprintf(stderr, "weft-info: --require: %s is not of the form %s\n", n->text, n->key->form);
			return -EINVAL;
		}
	fprintf(stderr, "weft-info: --require: %s is no requirement; --help lists them\n", n->text);
	return -EINVAL;
}

/* Parses the list. Returns the number of requirements, or -EINVAL (reported on stderr). */
static int needs_parse(const char *list, struct need needs[])
{
	int n = 0;

	while (text_next_item(&list, needs[n].text, sizeof(needs[n].text))) {
		if (!*needs[n].text)
			continue;
		if (need_parse(&needs[n]))
			return -EINVAL;
		if (++n == NEEDS_MAX) {
			fprintf(stderr, "weft-info: --require: too many requirements\n");
			return -EINVAL;
		}
	}
	if (!n)
		fprintf(stderr, "weft-info: --require: wants at least one requirement; --help lists them\n");
	return n ? n : -EINVAL;
}

static const char *provider_meant(const struct dev_table *t, const struct need needs[], int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (needs[i].key->cause == cause_provider)
			return needs[i].value;
	return chosen(t);
}

static int unmet(const struct dev_table *t, const char *root, const struct need needs[], int n)
{
	struct cause cause = {.root = root, .t = t, .provider = provider_meant(t, needs, n)};
	int i, sum = !devices_out(t);

	if (sum) {
		cause_no_device(&cause);
		printf("unmet: a device: there is none%s\n       probable cause: %s\n",
		       t->count ? " that reaches other hosts" : "", cause.text);
	}
	for (i = 0; i < n; i++) {
		struct check check = {.need = &needs[i], .t = t, .root = root};

		if (needs[i].key->met(&check))
			continue;
		sum++;
		needs[i].key->cause(&cause, needs[i].number);
		printf("unmet: %s: %s\n       probable cause: %s\n", needs[i].text, check.found, cause.text);
	}
	return sum;
}

int info_require(const char *list, const char *root)
{
	struct need needs[NEEDS_MAX];
	struct dev_table t;
	int n = needs_parse(list, needs), bad;

	if (n < 0)
		return 2;
	log_set_stderr(LOG_LEVEL_WARN);
	if (dev_table_load(&t)) {
		fprintf(stderr, "weft-info: out of memory\n");
		return 1;
	}
	conf_warn_unknown();
	bad = unmet(&t, root, needs, n);
	if (!bad)
		printf("met: %s\n", list);
	dev_table_fini(&t);
	return bad ? 1 : 0;
}
