/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations for ports and the rings between them (port.c, wire.c) only. */
#ifndef WEFT_TESTS_SOFTEFA_PORT_H
#define WEFT_TESTS_SOFTEFA_PORT_H

#include "softefa.h"

#define SOFT_MAGIC 0x50e1fa01u

struct soft_page {
	uint32_t magic;
	atomic_uint rings; /* number of rings made so far for this port */
	_Atomic int64_t
		down_until_us; /* time until which its link is down, by soft_now_us; 0: it is up; INT64_MAX: forever */
	union ibv_gid gid;
};

bool soft_page_is_down(const struct soft_page *page);
void soft_gid_text(const union ibv_gid *gid, char out[33]);
/* Path of the link that represents a queue pair. */
void soft_qp_path(const union ibv_gid *gid, uint32_t qpn, char out[200]);

/*
 * Maps a file of shared memory at path; NULL and errno on failure. With `bytes` it is created, otherwise mapped at its
 * own length.
 */
void *soft_file_map(const char *path, size_t bytes, int *out_fd);
bool soft_file_is_locked(int fd);
/* Removes the remains of killed processes for this GID; *out_alive: number of living ports. */
void soft_port_sweep(const char *gid, int *out_alive);

#endif
