/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports: the meeting points of opened devices. Each GID has a directory below the common directory, with
 *   p<pid>-<n>/        a port: one opened device of one process
 *   p<pid>-<n>/page    its page; its process holds a lock on it, which the kernel releases at the end of the process
 *   p<pid>-<n>/ring-*  rings made by others to send to it (wire.c)
 *   qp<number>         a link to the port of this queue pair
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "port.h"

void soft_gid_text(const union ibv_gid *gid, char out[33])
{
	int i;

	for (i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", gid->raw[i]);
}

void *soft_file_map(const char *path, size_t bytes, int *out_fd)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (bytes ? O_CREAT | O_EXCL : 0), 0600);
	struct stat st;
	void *at = NULL;

	if (fd < 0)
		return NULL;
	if (bytes)
		errno = posix_fallocate(fd, 0, (off_t)bytes);
	else if (!fstat(fd, &st))
		errno = st.st_size ? 0 : EAGAIN, bytes = (size_t)st.st_size;
	if (!errno)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!at || at == MAP_FAILED || !out_fd)
		close(fd);
	else
		*out_fd = fd;
	return at == MAP_FAILED ? NULL : at;
}

bool soft_file_is_locked(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

/* True if the port in this directory belongs to a living process. */
static bool port_lives(const char *path)
{
	char page[256];
	int fd;
	bool lives;

	snprintf(page, sizeof(page), "%s/page", path);
	fd = open(page, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	lives = soft_file_is_locked(fd);
	close(fd);
	return lives;
}

static void remove_port(const char *path)
{
	char file[600];
	struct dirent *e;
	DIR *d = opendir(path);

	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
			unlink(file);
		}
	closedir(d);
	rmdir(path);
}

void soft_port_sweep(const char *gid, int *out_alive)
{
	char base[160], path[512], target[256];
	struct dirent *e;
	DIR *d;
	ssize_t n;

	*out_alive = 0;
	snprintf(base, sizeof(base), "%s/%s", soft_setup.dir, gid);
	d = opendir(base);
	if (!d)
		return;
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%.255s", base, e->d_name);
		if (e->d_name[0] == 'p') {
			if (port_lives(path))
				(*out_alive)++;
			else
				remove_port(path);
		} else if (e->d_name[0] == 'q') {
			n = readlink(path, target, sizeof(target) - 1);
			target[n > 0 ? n : 0] = 0;
			snprintf(path, sizeof(path), "%s/%.200s", base, target);
			if (!port_lives(path)) {
				snprintf(path, sizeof(path), "%s/%.255s", base, e->d_name);
				unlink(path);
			}
		}
	}
	closedir(d);
}

int soft_lock_file(const char *path)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

void soft_tree_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void soft_dir_sweep(void)
{
	DIR *d = opendir(soft_setup.dir);
	struct dirent *e;
	char path[400];
	int alive;

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%.255s", soft_setup.dir, e->d_name);
		if (!strncmp(e->d_name, "sys-", 4) && !port_lives(path))
			soft_tree_remove(path);
		if (strlen(e->d_name) != 32)
			continue;
		soft_port_sweep(e->d_name, &alive);
		if (!alive)
			rmdir(path);
	}
	if (d)
		closedir(d);
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int soft_port_open(struct soft_context *c)
{
	static atomic_uint serial;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	unsigned n = atomic_fetch_add(&serial, 1);
	char gid[33], fresh[200], path[200], page[256];
	int alive, turn, err;

	soft_gid_text(&c->device->gid, gid);
	soft_port_sweep(gid, &alive);
	snprintf(c->port.name, sizeof(c->port.name), "%s/p%d-%u", gid, (int)getpid(), n);
	snprintf(fresh, sizeof(fresh), "%s/%s/.new-%d-%u", soft_setup.dir, gid, (int)getpid(), n);
	snprintf(page, sizeof(page), "%s/page", fresh);
	c->port.lock_fd = -1;
	/* A concurrent sweep may remove a directory that is still empty. */
	for (turn = 0, err = -ENOENT; err == -ENOENT && turn < 10; turn++) {
		snprintf(path, sizeof(path), "%s/%s", soft_setup.dir, gid);
		err = make_dir(soft_setup.dir);
		err = err ? err : make_dir(path);
		err = err ? err : make_dir(fresh);
	}
	snprintf(path, sizeof(path), "%s/%s", soft_setup.dir, c->port.name);
	if (!err) {
		c->port.page = soft_file_map(page, sizeof(struct soft_page), &c->port.lock_fd);
		err = c->port.page ? 0 : -errno;
	}
	if (!err) {
		c->port.page->gid = c->device->gid;
		c->port.page->magic = SOFT_MAGIC;
		/* Visible to others only once it is locked; otherwise they would take it for dead. */
		if (fcntl(c->port.lock_fd, F_OFD_SETLK, &lock) || rename(fresh, path))
			err = -errno;
	}
	if (err) {
		soft_log("cannot make a port in %s: %s; SOFTEFA_DIR names another directory", soft_setup.dir,
			 strerror(-err));
		remove_port(fresh);
	}
	return err;
}

void soft_port_leave(struct soft_context *c)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", soft_setup.dir, c->port.name);
	if (!c->inherited) {
		remove_port(path);
		*strrchr(path, '/') = 0;
		rmdir(path); /* succeeds for the last port only */
	}
	if (c->port.lock_fd >= 0)
		close(c->port.lock_fd);
	c->port.lock_fd = -1;
}

void soft_port_close(struct soft_context *c)
{
	if (!c->port.page)
		return;
	soft_port_leave(c);
	munmap(c->port.page, sizeof(*c->port.page));
	c->port.page = NULL;
}

bool soft_port_refuses(const struct soft_context *c)
{
	if (c->dead)
		errno = EIO;
	return c->dead;
}

bool soft_page_is_down(const struct soft_page *page)
{
	int64_t until = atomic_load_explicit(&page->down_until_us, memory_order_relaxed);

	return until && soft_now_us() < until;
}

bool soft_port_is_down(const struct soft_context *c)
{
	return soft_page_is_down(c->port.page);
}

void soft_port_down(struct soft_context *c, uint64_t ms)
{
	atomic_store(&c->port.page->down_until_us, ms ? soft_now_us() + (int64_t)ms * 1000 : INT64_MAX);
	if (ms)
		soft_log("the link of %s goes down for %llu ms", c->device->ibv.name, (unsigned long long)ms);
	else
		soft_log("the link of %s goes down", c->device->ibv.name);
}

void soft_port_die(struct soft_context *c)
{
	c->dead = true;
	atomic_store(&c->port.page->down_until_us, INT64_MAX);
	soft_log("%s dies", c->device->ibv.name);
}

void soft_qp_path(const union ibv_gid *gid, uint32_t qpn, char out[200])
{
	char text[33];

	soft_gid_text(gid, text);
	snprintf(out, 200, "%s/%s/qp%u", soft_setup.dir, text, qpn);
}

int soft_port_claim(struct soft_context *c, uint32_t qpn)
{
	char path[200], owner[400], target[128];
	ssize_t n;
	int turn;

	soft_qp_path(&c->device->gid, qpn, path);
	for (turn = 0; turn < 2; turn++) {
		if (!symlink(strrchr(c->port.name, '/') + 1, path))
			return 0;
		if (errno != EEXIST)
			return -errno;
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = 0;
		snprintf(owner, sizeof(owner), "%.*s/%s", (int)(strrchr(path, '/') - path), path, target);
		if (port_lives(owner))
			return -EEXIST;
		unlink(path);
	}
	return -EEXIST;
}

void soft_port_release(struct soft_context *c, uint32_t qpn)
{
	char path[200];

	if (c->inherited)
		return;
	soft_qp_path(&c->device->gid, qpn, path);
	unlink(path);
}
