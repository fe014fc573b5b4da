/* SPDX-License-Identifier: Apache-2.0 */
/* Settings from the environment; log lines; dice. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "softefa.h"
#include "seeded.h"

struct soft_setup soft_setup;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_uint_fast64_t rolls[DICE_KINDS];

/*
 * The generations EFA v1 to v4: part id, capabilities and NIC speed. Real programs must query the capabilities and
 * never judge by the id; this table lists the hardware as it was released.
 */
static const struct {
	uint32_t part_id, caps;
	uint64_t speed_mbps;
	uint64_t latency_ns; /* one-way latency of a small message; public figures are in docs/softefa.md */
} generations[] = {
	{0xefa0, SOFT_CAP_READ | SOFT_CAP_RNR_RETRY | SOFT_CAP_SGID, 100000, 10000},
	{0xefa1, SOFT_CAP_READ | SOFT_CAP_RNR_RETRY | SOFT_CAP_SGID | SOFT_CAP_WRITE | SOFT_CAP_UNSOLICITED, 100000,
	 10000},
	{0xefa2, SOFT_CAP_READ | SOFT_CAP_RNR_RETRY | SOFT_CAP_SGID | SOFT_CAP_WRITE | SOFT_CAP_UNSOLICITED, 200000,
	 6500},
	{0xefa3, SOFT_CAP_READ | SOFT_CAP_RNR_RETRY | SOFT_CAP_SGID | SOFT_CAP_WRITE | SOFT_CAP_UNSOLICITED, 400000,
	 6500},
};

static const struct {
	const char *name;
	uint32_t bit;
} caps[] = {{"read", SOFT_CAP_READ},
	    {"rnr-retry", SOFT_CAP_RNR_RETRY},
	    {"sgid", SOFT_CAP_SGID},
	    {"write", SOFT_CAP_WRITE},
	    {"unsolicited", SOFT_CAP_UNSOLICITED}};

static void __attribute__((noreturn)) bad(const char *name, const char *value, const char *wants)
{
	fprintf(stderr, "softefa: SOFTEFA_%s=%s: %s\n", name, value, wants);
	abort();
}

static uint64_t get_number(const char *name, uint64_t least, uint64_t most, uint64_t otherwise)
{
	const char *value = seeded_get("SOFTEFA_", name);
	char wants[96];
	uint64_t n;

	if (!value)
		return otherwise;
	if (!seeded_number(value, value + strlen(value), &n) || n < least || n > most) {
		snprintf(wants, sizeof(wants), "wants a number from %llu to %llu", (unsigned long long)least,
			 (unsigned long long)most);
		bad(name, value, wants);
	}
	return n;
}

static void get_caps(void)
{
	const char *value = seeded_get("SOFTEFA_", "CAPS"), *at = value;
	size_t i, len;

	if (!value)
		return;
	soft_setup.caps = 0;
	for (; *at; at += len + (at[len] == ',')) {
		len = strcspn(at, ",");
		for (i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
			if (strlen(caps[i].name) == len && !strncmp(caps[i].name, at, len))
				break;
		if (i == sizeof(caps) / sizeof(caps[0]))
			bad("CAPS", value, "wants a comma list of read, rnr-retry, sgid, write, unsolicited");
		soft_setup.caps |= caps[i].bit;
	}
}

/* "0000:10:1b.0@100000" or "0000:10:1b.0". */
static bool parse_nic(const char *text, const char *end, struct soft_nic *out)
{
	int used = 0;

	out->speed_mbps = generations[soft_setup.generation].speed_mbps;
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &out->domain, &out->bus, &out->device, &out->function, &used) != 4)
		return false;
	if (text[used] == '@')
		return seeded_number(text + used + 1, end, &out->speed_mbps);
	return text + used == end;
}

static void get_nics(void)
{
	const char *value = seeded_get("SOFTEFA_", "NICS"), *at = value, *end;
	int i;

	if (!value) {
		soft_setup.nic_count = 1;
		soft_setup.nics[0] =
			(struct soft_nic){.device = 6, .speed_mbps = generations[soft_setup.generation].speed_mbps};
		return;
	}
	do {
		end = at + strcspn(at, ",");
		if (soft_setup.nic_count == SOFT_NICS_MAX)
			bad("NICS", value, "names more than 32 NICs");
		if (!parse_nic(at, end, &soft_setup.nics[soft_setup.nic_count]))
			bad("NICS", value, "wants a comma list of PCI@MBPS, such as 0000:10:1b.0@100000");
		for (i = 0; i < soft_setup.nic_count; i++)
			if (!memcmp(&soft_setup.nics[i], &soft_setup.nics[soft_setup.nic_count],
				    offsetof(struct soft_nic, speed_mbps)))
				bad("NICS", value, "names one place twice");
		soft_setup.nic_count++;
		at = end + 1;
	} while (*end);
}

/* Parses "1:2:3" into at most n numbers, the first of which is a NIC's; missing ones keep their values. */
static struct soft_nic *parse_fault(const char *at, const char *end, uint64_t *out, int n)
{
	const char *stop;
	uint64_t nic;
	int i;

	for (i = -1; i < n && at <= end; i++, at = stop + 1) {
		stop = memchr(at, ':', (size_t)(end - at));
		stop = stop ? stop : end;
		if (!seeded_number(at, stop, i < 0 ? &nic : &out[i]))
			return NULL;
	}
	return i > 0 && at > end && nic < (uint64_t)soft_setup.nic_count ? &soft_setup.nics[nic] : NULL;
}

/* Comma lists of NIC:COUNT and NIC:COUNT:MS */
static void get_faults(const char *name, int numbers, const char *wants)
{
	const char *value = seeded_get("SOFTEFA_", name), *at = value, *end;
	uint64_t n[2];
	struct soft_nic *nic;

	if (!value)
		return;
	do {
		end = at + strcspn(at, ",");
		n[0] = n[1] = 0;
		nic = parse_fault(at, end, n, numbers);
		if (!nic)
			bad(name, value, wants);
		if (numbers == 1)
			nic->kill_after = n[0];
		else
			nic->down_after = n[0], nic->down_ms = n[1];
		at = end + 1;
	} while (*end);
}

/* Per NIC; all stay 0 without SOFTEFA_TIME. */
static void get_time(void)
{
	soft_setup.timed = get_number("TIME", 0, 1, 0);
	if (!soft_setup.timed)
		return;
	soft_setup.latency_ns =
		(int64_t)get_number("LATENCY_NS", 0, 1000000000, generations[soft_setup.generation].latency_ns);
	soft_setup.look_ns = (int64_t)get_number("LOOK_NS", 1, 1000000, 20);
	soft_setup.request_ns = 1000000000 / (int64_t)get_number("RATE", 1, 1000000000, 800000);
}

static void load(void)
{
	const char *dir = seeded_get("SOFTEFA_", "DIR");

	if (dir && strlen(dir) >= sizeof(soft_setup.dir))
		bad("DIR", dir, "is longer than 95 characters");
	if (dir)
		snprintf(soft_setup.dir, sizeof(soft_setup.dir), "%s", dir);
	else
		snprintf(soft_setup.dir, sizeof(soft_setup.dir), "/dev/shm/softefa-%u", (unsigned)getuid());
	soft_setup.sysfs = seeded_get("SOFTEFA_", "SYSFS");
	soft_setup.generation = (unsigned)get_number("GENERATION", 0, 3, 0);
	soft_setup.part_id = generations[soft_setup.generation].part_id;
	soft_setup.caps = generations[soft_setup.generation].caps;
	soft_setup.host = (uint32_t)get_number("HOST", 1, UINT32_MAX, (uint32_t)getpid());
	soft_setup.mtu = (uint32_t)get_number("MTU", 1024, 9000, 8760);
	soft_setup.seed = get_number("SEED", 0, UINT64_MAX, 1);
	soft_setup.window = (unsigned)get_number("REORDER", 1, SOFT_WINDOW, 16);
	soft_setup.rnr_percent = (unsigned)get_number("RNR", 0, 99, 0);
	soft_setup.loss_percent = (unsigned)get_number("LOSS", 0, 99, 0);
	soft_setup.duplicate_percent = (unsigned)get_number("DUPLICATE", 0, 100, 0);
	soft_setup.ghost_percent = (unsigned)get_number("GHOST", 0, 100, 0);
	soft_setup.dead_ms = get_number("DEAD_MS", 0, 1000000, 200);
	get_caps();
	get_nics();
	get_faults("KILL", 1, "wants a comma list of NIC:COUNT, NIC from 0");
	get_faults("LINK", 2, "wants a comma list of NIC:COUNT or NIC:COUNT:MILLISECONDS, NIC from 0");
	get_time();
}

void soft_setup_load(void)
{
	pthread_once(&once, load);
}

/* A single write, so that lines of several processes do not mix. */
void soft_log(const char *format, ...)
{
	static atomic_uint lines;
	const char *file = seeded_get("SOFTEFA_", "LOG");
	char line[512];
	int used, fd = STDERR_FILENO;
	va_list args;

	if (atomic_fetch_add(&lines, 1) >= 50 || (file && !strcmp(file, "0")))
		return;
	used = snprintf(line, sizeof(line), "softefa[%d]: ", (int)getpid());
	va_start(args, format);
	used += vsnprintf(line + used, sizeof(line) - (size_t)used, format, args);
	va_end(args);
	if (used > (int)sizeof(line) - 2)
		used = (int)sizeof(line) - 2;
	line[used++] = '\n';
	if (file)
		fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0 && write(fd, line, (size_t)used) != used)
		return;
	if (fd > STDERR_FILENO)
		close(fd);
}

uint64_t soft_roll(enum soft_dice dice, uint64_t below)
{
	uint64_t k = atomic_fetch_add_explicit(&rolls[dice], 1, memory_order_relaxed) + 1;
	uint64_t stream = seeded_mix(soft_setup.seed * DICE_KINDS + dice + 1) ^ seeded_mix(soft_setup.host);

	return seeded_roll(stream, k, below);
}

bool soft_percent(enum soft_dice dice, unsigned percent)
{
	return percent && soft_roll(dice, 100) < percent;
}

int64_t soft_now_us(void)
{
	return soft_time_real_ns() / 1000;
}
