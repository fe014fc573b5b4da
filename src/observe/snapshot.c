/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "observe/snapshot.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Out of memory loses the line only. */
static void refuse(struct snapshot *s, const char *dir, const char *name, const char *why)
{
	struct snapshot_refused *more = reallocarray(s->refused, s->refused_count + 1, sizeof(*more));

	if (!more)
		return;
	s->refused = more;
	more += s->refused_count;
	if (asprintf(&more->path, "%s%s%s", dir, *dir && *name ? "/" : "", name) < 0)
		return;
	record_clean(more->path, strlen(more->path) + 1);
	snprintf(more->why, sizeof(more->why), "%s", why);
	s->refused_count++;
}

static bool wanted(const char *name, const struct snapshot_want *want)
{
	size_t len = strlen(name), suffix = strlen(WEFT_STATS_SUFFIX);
	char *end;

	if (len <= suffix || strcmp(name + len - suffix, WEFT_STATS_SUFFIX))
		return false;
	return !want->pid || (strtoull(name, &end, 10) == want->pid && *end == '-');
}

static int add_record(struct snapshot *s, int dir, const char *dir_name, const char *name, uid_t owner, bool events)
{
	char why[RECORD_WHY_BYTES];
	struct record *r = record_read(dir, dir_name, name, owner, events, why), **more;

	if (!r) {
		if (*why)
			refuse(s, dir_name, name, why);
		return 0;
	}
	more = reallocarray(s->records, s->count + 1, sizeof(*more));
	if (!more) {
		record_free(r);
		return -ENOMEM;
	}
	s->records = more;
	s->records[s->count++] = r;
	return 0;
}

static int read_files(struct snapshot *s, DIR *list, const char *dir_name, uid_t owner,
		      const struct snapshot_want *want)
{
	struct dirent *entry;
	int rc = 0;

	while (!rc && (entry = readdir(list)))
		if (wanted(entry->d_name, want))
			rc = add_record(s, dirfd(list), dir_name, entry->d_name, owner, want->events);
	return rc;
}

/* `own`: the directory must belong to the owner alone, since others may make one of that name. */
static int read_directory(struct snapshot *s, const char *path, uid_t owner, bool own, const struct snapshot_want *want)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (own ? O_NOFOLLOW : 0)), rc;
	struct stat st;
	DIR *list;

	if (fd < 0) {
		if (errno != ENOENT)
			refuse(s, path, "", strerror(errno));
		return 0;
	}
	if (own && (fstat(fd, &st) || st.st_uid != owner || st.st_mode & (S_IWGRP | S_IWOTH))) {
		refuse(s, path, "", "the directory belongs to another user, or others may write to it");
		close(fd);
		return 0;
	}
	list = fdopendir(fd);
	if (!list) {
		close(fd);
		return -ENOMEM;
	}
	rc = read_files(s, list, path, owner, want);
	closedir(list);
	return rc;
}

/* Where each user has a directory for records. */
static const char *own_directories(void)
{
	return access("/dev/shm", F_OK) ? "/tmp" : "/dev/shm";
}

static int read_all_users(struct snapshot *s, const struct snapshot_want *want)
{
	const char *base = own_directories();
	DIR *list = opendir(base);
	struct dirent *entry;
	char path[PATH_MAX];
	unsigned uid;
	int rc = 0, used;

	while (list && !rc && (entry = readdir(list))) {
		used = 0;
		if (sscanf(entry->d_name, "weft-%9u%n", &uid, &used) != 1 || entry->d_name[used])
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
		rc = read_directory(s, path, (uid_t)uid, true, want);
	}
	if (list)
		closedir(list);
	return rc;
}

static int by_rank(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;

	if (x->head.rank != y->head.rank)
		return x->head.rank < y->head.rank ? -1 : 1;
	return x->head.pid < y->head.pid ? -1 : x->head.pid > y->head.pid;
}

struct snapshot *snapshot_take(const struct snapshot_want *want)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	const char *dir = getenv("WEFT_STATS_DIR");
	char path[PATH_MAX];
	int rc;

	if (!s)
		return NULL;
	if (want->file) {
		rc = add_record(s, AT_FDCWD, "", want->file, geteuid(), want->events);
	} else if (dir && *dir) {
		rc = read_directory(s, dir, geteuid(), false, want);
	} else if (!geteuid()) {
		rc = read_all_users(s, want);
	} else {
		snprintf(path, sizeof(path), "%s/weft-%u", own_directories(), geteuid());
		rc = read_directory(s, path, geteuid(), true, want);
	}
	s->ns = clock_ns(CLOCK_MONOTONIC);
	s->wall_ns = clock_ns(CLOCK_REALTIME);
	if (s->count)
		qsort(s->records, s->count, sizeof(struct record *), by_rank);
	if (!rc)
		return s;
	snapshot_free(s);
	return NULL;
}

void snapshot_free(struct snapshot *s)
{
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->count; i++)
		record_free(s->records[i]);
	for (i = 0; i < s->refused_count; i++)
		free(s->refused[i].path);
	free(s->records);
	free(s->refused);
	free(s);
}

int snapshot_clean(const struct snapshot *s)
{
	size_t i;
	int n = 0;

	for (i = 0; i < s->count; i++) {
		if (!s->records[i]->gone)
			continue;
		if (unlink(s->records[i]->path))
			fprintf(stderr, "%s cannot be removed: %s\n", s->records[i]->path, strerror(errno));
		else
			n++;
	}
	return n;
}
