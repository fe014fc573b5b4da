/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdio.h>
#include <string.h>

/* The number after `key` in a file of "key number" lines, or the first number of a file without keys. -1: none. */
static double read_number(const char *path, const char *key)
{
	char line[256];
	double value = -1;
	size_t n = key ? strlen(key) : 0;
	FILE *f = fopen(path, "re");

	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!key || (!strncmp(line, key, n) && strchr(" \t:", line[n])))
			if (sscanf(line + n, "%*[: \t]%lf", &value) != 1 && sscanf(line + n, "%lf", &value) != 1)
				value = -1;
	if (f)
		fclose(f);
	return value;
}

/* File names in the two versions of control groups. */
struct files {
	const char *limit, *used, *cache;
};

static const struct files version[] = {
	[1] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
	[2] = {"memory.max", "memory.current", "inactive_file"},
};

/*
 * The bytes that remain to a group. Inactive file pages count as free, because the kernel drops them before it denies memory.
 * Negative: no limit.
 */
static double left_in_group(const char *dir, const struct files *f)
{
	char path[4352];
	double limit, used, cache;

	snprintf(path, sizeof(path), "%s/%s", dir, f->limit);
	limit = read_number(path, NULL); /* "max" is not a number */
	snprintf(path, sizeof(path), "%s/%s", dir, f->used);
	used = read_number(path, NULL);
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	cache = read_number(path, f->cache);
	if (limit < 0 || used < 0)
		return -1;
	used -= cache > 0 ? cache : 0;
	return limit > used ? limit - used : 0;
}

/* The minimum over a group and all groups above it, up to `root`. In a container the upper directories may be hidden. */
static double least_of_groups(const char *root, const char *group, const struct files *f, double least)
{
	char dir[4096];
	size_t top = strlen(root);
	double left;

	snprintf(dir, sizeof(dir), "%s%s", root, group);
	for (;;) {
		char *slash;

		left = left_in_group(dir, f);
		if (left >= 0 && left < least)
			least = left;
		slash = strrchr(dir, '/');
		if (!slash || strlen(dir) <= top)
			return least;
		*slash = '\0';
	}
}

double memory_available_in(const char *proc, const char *cgroups)
{
	char path[4096], line[4096], root[4096];
	double kib, least;
	FILE *f;

	snprintf(path, sizeof(path), "%s/meminfo", proc);
	kib = read_number(path, "MemAvailable");
	least = kib > 0 ? kib * 1024 : 1e18;
	snprintf(path, sizeof(path), "%s/self/cgroup", proc);
	f = fopen(path, "re");
	/* The lines are "number:controllers:/group"; version 2 has number 0 and no controllers. */
	while (f && fgets(line, sizeof(line), f)) {
		char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

		line[strcspn(line, "\n")] = '\0';
		if (!group)
			continue;
		*group++ = '\0';
		snprintf(root, sizeof(root), "%s/memory", cgroups);
		if (!strcmp(controllers, ":memory"))
			least = least_of_groups(root, group, &version[1], least);
		else if (!strcmp(line, "0") || !controllers[1])
			least = least_of_groups(cgroups, group, &version[2], least);
	}
	if (f)
		fclose(f);
	if (least >= 1e18)
		return 0;
	return least < 1 ? 1 : least;
}

double memory_available(void)
{
	return memory_available_in("/proc", "/sys/fs/cgroup");
}
