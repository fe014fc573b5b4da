/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a plugin the way NCCL does, with the checks that apply to every call: stale pointers are overwritten, outputs
 * are valid, no byte is written outside the given memory.
 *
 * The functions that return a weft_nccl_result are for cases that expect errors; the others fail the case if the plugin
 * returns an error.
 */
#ifndef WEFT_CONFORMANCE_DRIVE_H
#define WEFT_CONFORMANCE_DRIVE_H

#include "pair.h"

#define DRIVE_GUARD_BYTES 256 /* known bytes around every buffer */

struct drive_handle {
	unsigned char bytes[WEFT_NCCL_HANDLE_BYTES];
	unsigned char guard[64]; /* a plugin must not write beyond its 128 bytes */
} __attribute__((aligned(8)));

/* ---- memory ---- */

/* A buffer with guard bytes before and behind it, and inaccessible pages around those. */
struct drive_buf {
	unsigned char *data;
	size_t size;
	unsigned char *map;
	size_t map_bytes;
};

/* The data starts `misalign` bytes (below 4096) after a page boundary and is filled with canary. */
void drive_buf_open(struct drive_buf *b, size_t size, unsigned misalign);

/* The same with untouched data pages: for buffers larger than the memory to be used. */
void drive_buf_open_sparse(struct drive_buf *b, size_t size, unsigned misalign);
void drive_buf_close(struct drive_buf *b);

/* Fails the case if a guard byte has changed. */
void drive_buf_check_guards(const struct drive_buf *b, const char *what);

/* Writes the pattern of `key`, or checks every byte of it. `what` names the message in a failure report. */
void drive_fill(unsigned char *data, size_t size, uint64_t key);
void drive_expect(const unsigned char *data, size_t size, uint64_t key, const char *what);

/* memset */
void drive_set(unsigned char *data, int byte, size_t size);

/* The same for the canary, the mark of unwritten memory. */
void drive_canary(unsigned char *data, size_t size);
void drive_expect_canary(const unsigned char *data, size_t size, const char *what);

/* Offset of the first byte other than canary, or `size`. */
size_t drive_canary_broken_at(const unsigned char *data, size_t size);

/* ---- calls that may fail ---- */

weft_nccl_result drive_connect_r(struct side *s, struct drive_handle *h, void **out_comm);
weft_nccl_result drive_accept_r(struct side *s, void *listen_comm, void **out_comm);
weft_nccl_result drive_isend_r(struct side *s, void *comm, void *data, int size, void *mhandle, void **out_req);
weft_nccl_result drive_irecv_r(struct side *s, void *comm, void *data, int size, void *mhandle, void **out_req);
/* out_size may be NULL: the plugin then gets NULL too. */
weft_nccl_result drive_test_r(struct side *s, void *req, bool *out_done, int *out_size);

/*
 * NCCL's step after a receive of n buffers: flushes received GPU data if NCCL would. The drive_ functions call it
 * themselves.
 */
void drive_flush(struct side *s, void *comm, int n, void **data, int *sizes, void **mhandles);

/* ---- calls that must not fail ---- */

void check_ok(weft_nccl_result r, const char *call);

void *drive_listen(struct side *s, struct drive_handle *out_h);
/* One poll each: the comm, or NULL while in progress. */
void *drive_connect(struct side *s, struct drive_handle *h);
void *drive_accept(struct side *s, void *listen_comm);
void *drive_reg(struct side *s, void *comm, void *data, size_t size);
void drive_dereg(struct side *s, void *comm, void *mhandle);
/* NULL if the plugin cannot start the operation now. */
void *drive_try_isend(struct side *s, void *comm, void *data, int size, void *mhandle);
void *drive_try_irecv(struct side *s, void *comm, void *data, int size, void *mhandle);
bool drive_test(struct side *s, void *req, int *out_size);
void drive_close_send(struct side *s, void *comm);
void drive_close_recv(struct side *s, void *comm);
void drive_close_listen(struct side *s, void *comm);

/* ---- calls repeated until they succeed ---- */

void *drive_isend(struct side *s, void *comm, void *data, int size, void *mhandle);
void *drive_irecv(struct side *s, void *comm, void *data, int size, void *mhandle);
/* Returns the size of the message. */
int drive_wait(struct side *s, void *req);
/* A whole message, posted and completed. */
void drive_send(struct side *s, void *comm, void *data, int size, void *mhandle);
int drive_recv(struct side *s, void *comm, void *data, int size, void *mhandle);

/* ---- connections ---- */

/*
 * Makes n_out connections to another process and n_in from it; that process makes the same call with the numbers
 * swapped. Connects and accepts are polled in turn, as by NCCL's service thread.
 */
void drive_links(struct side *s, int with, int n_out, void **out_comms, int n_in, void **in_comms);
void *drive_link_out(struct side *s, int to);
void *drive_link_in(struct side *s, int from);
void drive_close_links(struct side *s, int n_out, void **out_comms, int n_in, void **in_comms);

/* The usual single connection from A to B: A's send comm, B's receive comm. */
void *drive_one(struct side *s);
void drive_close_one(struct side *s, void *comm);

/* Sends or receives one small message of known content and checks it: "this connection works". */
void drive_say(struct side *s, void *send_comm, uint64_t key);
void drive_hear(struct side *s, void *recv_comm, uint64_t key);

/*
 * Checks that a call failed correctly after the death of `victim`: with a permitted result code and, for Weft, a last
 * warning that names the dead process by its pid.
 */
void drive_check_death(struct side *s, int victim, weft_nccl_result r, const char *call);

/* For loops without progress: lets other processes run, the longer the more rounds have passed without progress. */
void drive_relax(void);

#endif
