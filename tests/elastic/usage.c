/* SPDX-License-Identifier: Apache-2.0 */
/* What a process uses, and whether it has grown. */
#include <dirent.h>
#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "elastic.h"

/* libfabric's own leaks are in resident memory only: 1.17 forgets an info for each endpoint and connection of tcp. */
static const struct {
	const char *name, *unit;
	long slack, each_round; /* growth that is none */
	bool of_malloc;		/* means nothing with a sanitizer */
	bool of_device; /* grows on the software EFA device, which keeps a page for each process that it has met */
} kinds[USAGE_KINDS] = {
	[USED_FDS] = {"descriptors", "", 0, 0, false, true},
	[USED_THREADS] = {"threads", "", 0, 0, false, false},
	[USED_REGISTRATIONS] = {"registrations", "", 0, 0, false, false},
	[USED_MAPPINGS] = {"mappings", "", 2, 0, true, true},
	[USED_HEAP] = {"memory of the plugin", " bytes", 0, 0, true, false},
	[USED_RESIDENT] = {"resident memory", " bytes", 1 << 20, 64 << 10, true, false},
};

/* The mappings of the plugin's file, from the first to the last. */
static int find_code(struct dl_phdr_info *info, size_t bytes, void *table)
{
	uintptr_t begin = UINTPTR_MAX, end = 0, at = (uintptr_t)table;
	int i;

	(void)bytes;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type != PT_LOAD)
			continue;
		if (info->dlpi_addr + h->p_vaddr < begin)
			begin = info->dlpi_addr + h->p_vaddr;
		if (info->dlpi_addr + h->p_vaddr + h->p_memsz > end)
			end = info->dlpi_addr + h->p_vaddr + h->p_memsz;
	}
	if (at < begin || at >= end)
		return 0;
	heap_watch((void *)begin, (void *)end);
	return 1;
}

void usage_prepare(const void *table)
{
	dl_iterate_phdr(find_code, (void *)table);
	/* One arena: the memory of a thread that has ended is used again, whichever thread comes next. */
	mallopt(M_ARENA_MAX, 1);
}

static long entries(const char *directory)
{
	DIR *d = opendir(directory);
	long n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static long lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* Without the pages of files: the plugin's record of the process (WEFT_STATS) is filled from one end to the other first. */
static long resident(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib * 1024;
}

typedef long (*count_fn)(void);

static count_fn software_device(void)
{
	count_fn count = NULL;

	*(void **)&count = dlsym(RTLD_DEFAULT, "softefa_registrations");
	return count;
}

/* The software EFA device counts its memory regions; other providers have no such count, and their leaks show as memory. */
static long registrations(void)
{
	count_fn count = software_device();

	return count ? count() : 0;
}

void usage_measure(struct usage *out)
{
	out->of[USED_FDS] = entries("/proc/self/fd");
	out->of[USED_THREADS] = entries("/proc/self/task");
	out->of[USED_REGISTRATIONS] = registrations();
	out->of[USED_MAPPINGS] = lines("/proc/self/maps");
	out->of[USED_HEAP] = heap_held();
	malloc_trim(0); /* libfabric's efa frees tens of MiB between a few bytes that it keeps */
	out->of[USED_RESIDENT] = resident();
}

static bool steady(const struct usage *rounds, int n, enum usage_kind kind, const char *who)
{
	int warm_up = n / 5, third = (n - warm_up) / 3, i;
	long most, least;
	bool good;

	most = rounds[warm_up].of[kind];
	least = rounds[n - 1].of[kind];
	for (i = 0; i < third; i++) {
		if (rounds[warm_up + i].of[kind] > most)
			most = rounds[warm_up + i].of[kind];
		if (rounds[n - 1 - i].of[kind] < least)
			least = rounds[n - 1 - i].of[kind];
	}
	good = least <= most + kinds[kind].slack + kinds[kind].each_round * (n - warm_up) ||
	       (SANITIZED && kinds[kind].of_malloc) || (software_device() && kinds[kind].of_device);
	printf("# %s: %s %ld, at the end %ld%s%s\n", who, kinds[kind].name, most, least, kinds[kind].unit,
	       good ? "" : ": GROWN");
	return good;
}

bool usage_steady(const struct usage *rounds, int n, const char *who)
{
	bool good = true;
	int kind;

	for (kind = 0; kind < USAGE_KINDS; kind++)
		good &= steady(rounds, n, (enum usage_kind)kind, who);
	return good;
}
