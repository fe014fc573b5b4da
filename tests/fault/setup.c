/* SPDX-License-Identifier: Apache-2.0 */
/* FAULT_*: strict parsing of the environment. A test with a misspelt fault would test nothing. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "seeded.h"

struct fault_setup fault_setup;

extern char **environ;

#define PREFIX "FAULT_"

static const char *const known[] = {
	"DELAY",   "DUPLICATE", "EAGAIN",	    "ERROR_NTH",   "FAIL_CALL", "FAIL_ERRNO", "FAIL_NTH",
	"HMEM",	   "INNER",	"KILL_AFTER",	    "LOG",	   "MR_LOCAL",	"NICS",	      "RATE",
	"REORDER", "SEED",	"SEED_PER_PROCESS", "TRUNCATE_CQ",
};

static const char *const calls[CALL_COUNT] = {
	[CALL_GETINFO] = "getinfo",	[CALL_FABRIC] = "fabric",     [CALL_EQ_OPEN] = "eq_open",
	[CALL_DOMAIN] = "domain",	[CALL_MR_REG] = "mr_reg",     [CALL_AV_OPEN] = "av_open",
	[CALL_AV_INSERT] = "av_insert", [CALL_CQ_OPEN] = "cq_open",   [CALL_CQ_READ] = "cq_read",
	[CALL_EQ_READ] = "eq_read",	[CALL_ENDPOINT] = "endpoint", [CALL_BIND] = "bind",
	[CALL_ENABLE] = "enable",	[CALL_GETNAME] = "getname",   [CALL_SEND] = "send",
	[CALL_RECV] = "recv",		[CALL_TSEND] = "tsend",	      [CALL_TRECV] = "trecv",
	[CALL_WRITE] = "write",		[CALL_READ] = "read",	      [CALL_INJECT] = "inject",
};

#define CALLS_ALL   ((1u << CALL_COUNT) - 1)
#define CALLS_ANY   (CALLS_ALL & ~(1u << CALL_CQ_READ | 1u << CALL_EQ_READ))
#define CALLS_POSTS (CALLS_ALL & ~((1u << CALL_SEND) - 1))

static const struct {
	const char *name;
	int value;
} errors[] = {
	/* clang-format off */
	{"EAGAIN", FI_EAGAIN},	     {"EBUSY", FI_EBUSY},	    {"ECANCELED", FI_ECANCELED},
	{"ECONNABORTED", FI_ECONNABORTED}, {"ECONNRESET", FI_ECONNRESET}, {"EINVAL", FI_EINVAL},
	{"EIO", FI_EIO},	     {"EMFILE", FI_EMFILE},	    {"ENOMEM", FI_ENOMEM},
	{"ENOSPC", FI_ENOSPC},	     {"ENOTCONN", FI_ENOTCONN},	    {"ETIMEDOUT", FI_ETIMEDOUT},
	/* clang-format on */
};

/* A library's SIGABRT handler might call exit, which waits for the lock that libfabric holds while it calls us. */
static _Noreturn void give_up(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static _Noreturn void bad(const char *name, const char *value, const char *wants)
{
	fprintf(stderr, "fault: " PREFIX "%s=%s: %s\n", name, value, wants);
	give_up();
}

static uint64_t get_number(const char *name, uint64_t most)
{
	const char *value = seeded_get(PREFIX, name);
	char wants[64];
	uint64_t n;

	if (!value)
		return 0;
	if (!seeded_number(value, value + strlen(value), &n) || n > most) {
		snprintf(wants, sizeof(wants), "wants a number from 0 to %" PRIu64, most);
		bad(name, value, wants);
	}
	return n;
}

/* A single number for all NICs, or a comma list with one number for each. */
static void get_per_nic(const char *name, size_t offset)
{
	const char *value = seeded_get(PREFIX, name), *at = value, *end;
	uint64_t n[FAULT_NICS_MAX];
	int i, count = 0;

	if (!value)
		return;
	do {
		end = at + strcspn(at, ",");
		if (count == FAULT_NICS_MAX || !seeded_number(at, end, &n[count]))
			bad(name, value, "wants a number, or a comma list with one for each NIC");
		count++;
		at = end + 1;
	} while (*end);
	if (count != 1 && count != fault_setup.nic_count)
		bad(name, value, "has not as many entries as there are NICs");
	for (i = 0; i < fault_setup.nic_count; i++)
		*(uint64_t *)(void *)((char *)&fault_setup.nics[i] + offset) = n[count == 1 ? 0 : i];
}

/* "0000:10:1b.0@100000", "-@100000" or "0000:10:1b.0". */
static bool parse_nic(const char *text, struct fault_nic *out)
{
	const char *speed = strchr(text, '@');
	unsigned domain, bus, device, function;
	int used = 0;

	memset(out, 0, sizeof(*out));
	if (speed && !seeded_number(speed + 1, text + strlen(text), &out->speed_mbps))
		return false;
	if (*text == '-')
		return speed == text + 1;
	if (sscanf(text, "%4x:%2x:%2x.%1x%n", &domain, &bus, &device, &function, &used) != 4 ||
	    text + used != (speed ? speed : text + strlen(text)) || device > 31 || function > 7)
		return false;
	out->pci = true;
	out->domain = (uint16_t)domain;
	out->bus = (uint8_t)bus;
	out->device = (uint8_t)device;
	out->function = (uint8_t)function;
	return true;
}

/* Reads a file of NICs into buf; white space becomes commas. */
static void read_file(const char *path, char *buf, size_t buf_bytes)
{
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		bad("NICS", path, strerror(errno));
	n = fread(buf, 1, buf_bytes - 1, f);
	if (!feof(f))
		bad("NICS", path, "is too long");
	fclose(f);
	buf[n] = 0;
	for (; *buf; buf++)
		if (strchr(" \t\r\n", *buf))
			*buf = ',';
}

static void get_nics(void)
{
	const char *value = seeded_get(PREFIX, "NICS");
	char text[4096], *save, *one;

	fault_setup.nic_count = 1;
	if (!value)
		return;
	if (strchr(value, '/'))
		read_file(value, text, sizeof(text));
	else if (snprintf(text, sizeof(text), "%s", value) >= (int)sizeof(text))
		bad("NICS", value, "is too long");
	fault_setup.nic_count = 0;
	for (one = strtok_r(text, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		if (fault_setup.nic_count == FAULT_NICS_MAX)
			bad("NICS", value, "has too many NICs");
		if (!parse_nic(one, &fault_setup.nics[fault_setup.nic_count++]))
			bad("NICS", one, "wants PCI@MBPS, such as 0000:10:1b.0@100000, or -@MBPS");
	}
	if (!fault_setup.nic_count)
		bad("NICS", value, "names no NIC");
}

static uint32_t call_bits(const char *name)
{
	int i;

	if (!strcmp(name, "any"))
		return CALLS_ANY;
	if (!strcmp(name, "post"))
		return CALLS_POSTS;
	for (i = 0; i < CALL_COUNT; i++)
		if (!strcmp(name, calls[i]))
			return 1u << i;
	return 0;
}

static uint32_t get_calls(void)
{
	const char *value = seeded_get(PREFIX, "FAIL_CALL");
	char text[256], *save, *one;
	uint32_t bits = 0;

	if (!value)
		return CALLS_ANY;
	snprintf(text, sizeof(text), "%s", value);
	for (one = strtok_r(text, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
		if (!call_bits(one))
			bad("FAIL_CALL", one, "is no call: any, post, or one that the manual names");
		bits |= call_bits(one);
	}
	return bits;
}

static int get_errno(void)
{
	const char *value = seeded_get(PREFIX, "FAIL_ERRNO");
	uint64_t n;
	size_t i;

	if (!value)
		return FI_EIO;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (!strcmp(value, errors[i].name))
			return errors[i].value;
	if (!seeded_number(value, value + strlen(value), &n) || !n || n > 4095)
		bad("FAIL_ERRNO", value, "wants a number from 1 to 4095 or a name such as EIO");
	return (int)n;
}

static enum fault_truncate get_truncate(void)
{
	const char *value = seeded_get(PREFIX, "TRUNCATE_CQ");

	if (!value)
		return TRUNCATE_NOT;
	if (!strcmp(value, "one"))
		return TRUNCATE_ONE;
	if (strcmp(value, "random"))
		bad("TRUNCATE_CQ", value, "wants one or random");
	return TRUNCATE_RANDOM;
}

static void check_names(void)
{
	char **e;
	size_t i, n;

	for (e = environ; *e; e++) {
		if (strncmp(*e, PREFIX, strlen(PREFIX)))
			continue;
		n = strcspn(*e, "=") - strlen(PREFIX);
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (strlen(known[i]) == n && !strncmp(*e + strlen(PREFIX), known[i], n))
				break;
		if (i == sizeof(known) / sizeof(known[0])) {
			fprintf(stderr, "fault: %.*s: there is no such fault\n", (int)strcspn(*e, "="), *e);
			give_up();
		}
	}
}

void fault_setup_load(const char *native)
{
	struct fault_setup *s = &fault_setup;
	const char *inner = seeded_get(PREFIX, "INNER");

	check_names();
	if (inner && strlen(inner) >= sizeof(s->inner))
		bad("INNER", inner, "is too long");
	snprintf(s->inner, sizeof(s->inner), "%s", inner ? inner : native);
	s->seed = get_number("SEED", UINT64_MAX);
	if (get_number("SEED_PER_PROCESS", 1))
		s->seed += (uint64_t)getpid() << 32;
	s->eagain_percent = (unsigned)get_number("EAGAIN", 99);
	s->reorder = (unsigned)get_number("REORDER", 4096);
	s->delay_us = (unsigned)get_number("DELAY", 10000000);
	s->truncate = get_truncate();
	s->duplicate_percent = (unsigned)get_number("DUPLICATE", 100);
	s->fail_nth = get_number("FAIL_NTH", UINT64_MAX);
	s->fail_calls = get_calls();
	s->fail_errno = get_errno();
	s->error_nth = get_number("ERROR_NTH", UINT64_MAX);
	s->hmem = get_number("HMEM", 1);
	s->mr_local = get_number("MR_LOCAL", 1) || s->hmem; /* the memory type is found through the descriptors */
	if (s->hmem && !fault_hmem_load())
		bad("HMEM", "1", "wants tests/cuda/.libs on LD_LIBRARY_PATH");
	get_nics();
	get_per_nic("KILL_AFTER", offsetof(struct fault_nic, kill_after));
	get_per_nic("RATE", offsetof(struct fault_nic, rate));
	s->log = seeded_get(PREFIX, "LOG");
	if (s->log && !strcmp(s->log, "0"))
		s->log = NULL;
	if (s->log && strcmp(s->log, "1") && !strchr(s->log, '/'))
		bad("LOG", s->log, "wants 0, 1 or the path of a file");
}
