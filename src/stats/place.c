/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of records: where it is, whether it can be trusted, and what is removed from it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "stats/internal.h"

#define KEPT_MAX 64		/* records of killed processes that are kept */
#define KEPT_S	 (24 * 60 * 60) /* and for how long */

/* A record of a killed process. */
struct kept {
	char name[64];
	time_t at;
};

/* Can only this user, or root, put files there? With the sticky bit others can, but not replace ours. */
static int check_directory(int dir, bool is_default, char *why, size_t why_bytes)
{
	struct stat st;

	if (fstat(dir, &st))
		return -errno;
	if (st.st_uid != geteuid() && (is_default || st.st_uid != 0)) {
		snprintf(why, why_bytes, "it belongs to user %u", (unsigned)st.st_uid);
		return -EPERM;
	}
	if (is_default ? st.st_mode & 077 : st.st_mode & 022 && !(st.st_mode & S_ISVTX)) {
		snprintf(why, why_bytes, "others may write to it (mode %o)", (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

int stats_place_open(const struct conf *conf, char *path, size_t path_bytes, char *why, size_t why_bytes)
{
	bool is_default = !conf->stats_dir[0];
	struct stat st;
	int dir, ret;

	if (!is_default)
		snprintf(path, path_bytes, "%s", conf->stats_dir);
	else
		snprintf(path, path_bytes, "%s/weft-%u",
			 !stat("/dev/shm", &st) && S_ISDIR(st.st_mode) && !access("/dev/shm", W_OK) ? "/dev/shm"
												    : "/tmp",
			 (unsigned)geteuid());
	if (mkdir(path, 0700) && errno != EEXIST) {
		ret = -errno;
		snprintf(why, why_bytes, "it cannot be made (%s)", strerror(-ret));
		return ret;
	}
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_default ? O_NOFOLLOW : 0));
	if (dir < 0) {
		ret = -errno;
		snprintf(why, why_bytes, "it cannot be opened (%s)", strerror(-ret));
		return ret;
	}
	ret = check_directory(dir, is_default, why, why_bytes);
	if (!ret)
		return dir;
	close(dir);
	return ret;
}

/* Has the process ended? False if that cannot be known: of another boot or host, or without a lock of another container. */
static bool process_gone(int fd, const struct weft_stats_head *h, const struct weft_stats_head *self)
{
	uint64_t start;

	if (memcmp(h->boot_id, self->boot_id, sizeof(h->boot_id)))
		return false;
	if (h->locked && !process_lock_held(fd))
		return true;
	return h->pid_namespace == self->pid_namespace && (!process_stat(h->pid, NULL, &start) || start != h->start);
}

/* Opens nothing that could block. */
static int open_file(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* Is the file a record of this user whose process has ended? */
static bool left_behind(int dir, const char *name, const struct weft_stats_head *self, struct weft_stats_head *out,
			struct stat *st)
{
	int fd = open_file(dir, name);
	bool gone;

	if (fd < 0)
		return false;
	gone = !fstat(fd, st) && S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       pread(fd, out, sizeof(*out), 0) == (ssize_t)sizeof(*out) && out->magic == WEFT_STATS_MAGIC &&
	       process_gone(fd, out, self);
	close(fd);
	return gone;
}

static int newest_first(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return (x->at < y->at) - (x->at > y->at);
}

/* Remembers a killed process's record, or removes it if it is old or the oldest of too many. */
static void keep_or_remove(int dir, struct kept *kept, int *n, const char *name, const struct stat *st)
{
	struct kept this = {.at = st->st_mtime};

	snprintf(this.name, sizeof(this.name), "%s", name);
	if (time(NULL) - st->st_mtime > KEPT_S) {
		unlinkat(dir, name, 0);
		return;
	}
	kept[(*n)++] = this;
	if (*n <= KEPT_MAX)
		return;
	qsort(kept, (size_t)*n, sizeof(kept[0]), newest_first);
	unlinkat(dir, kept[--*n].name, 0);
}

bool stats_place_locked(int dir, const char *name)
{
	int fd = open_file(dir, name);
	bool held;

	if (fd < 0)
		return false;
	held = process_lock_held(fd) == 1;
	close(fd);
	return held;
}

void stats_place_clean(int dir, const struct weft_stats_head *self)
{
	struct kept *kept = calloc(KEPT_MAX + 1, sizeof(*kept));
	int fd = dup(dir), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct weft_stats_head head;
	struct dirent *e;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	while (kept && d && (e = readdir(d))) {
		size_t len = strlen(e->d_name), end = strlen(WEFT_STATS_SUFFIX);

		if (len <= end || len >= sizeof(kept->name) || strcmp(e->d_name + len - end, WEFT_STATS_SUFFIX) ||
		    !left_behind(dir, e->d_name, self, &head, &st))
			continue;
		if (head.state == WEFT_STATS_LIVE)
			keep_or_remove(dir, kept, &n, e->d_name, &st);
		else
			unlinkat(dir, e->d_name, 0);
	}
	if (d)
		closedir(d);
	free(kept);
}
