/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weft's parameters: one struct, one table (conf.c). The README's parameter page is generated from the
 * table. Nothing else in Weft reads a WEFT_ variable.
 */
#ifndef WEFT_CONF_CONF_H
#define WEFT_CONF_CONF_H

#include "base/param.h"

enum conf_protocol { CONF_PROTOCOL_AUTO, CONF_PROTOCOL_TAGGED, CONF_PROTOCOL_RMA };

enum conf_nccl_topology { CONF_NCCL_TOPOLOGY_AUTO, CONF_NCCL_TOPOLOGY_OFF, CONF_NCCL_TOPOLOGY_ON };

enum conf_gdr { CONF_GDR_AUTO, CONF_GDR_OFF };

enum conf_flush { CONF_FLUSH_AUTO, CONF_FLUSH_READ, CONF_FLUSH_CALL, CONF_FLUSH_NONE };

enum conf_eager { CONF_EAGER_OFF, CONF_EAGER_ON, CONF_EAGER_ADAPTIVE };

struct conf {
	char provider[PARAM_TEXT_BYTES];      /* WEFT_PROVIDER */
	char nics[PARAM_TEXT_BYTES];	      /* WEFT_NICS */
	int64_t rails;			      /* most of a device; 0: as many as there can be */
	char topology[PARAM_TEXT_BYTES];      /* WEFT_TOPOLOGY */
	char platform[PARAM_TEXT_BYTES];      /* WEFT_PLATFORM */
	int64_t nccl_topology;		      /* enum conf_nccl_topology */
	int64_t protocol;		      /* enum conf_protocol */
	char lifeline_addr[PARAM_TEXT_BYTES]; /* WEFT_LIFELINE_ADDR */
	int64_t lifeline;		      /* 0 or 1 */
	int64_t connect_timeout_us;	      /* 0: none */
	int64_t close_timeout_us;
	int64_t peer_timeout_us;
	int64_t nic_timeout_us; /* 0: none */
	int64_t cq_depth;
	int64_t ctrl_buffers;
	int64_t eager; /* enum conf_eager */
	int64_t gdr;   /* enum conf_gdr */
	int64_t flush; /* enum conf_flush */
	int64_t test_rails; /* WEFT_TEST_RAILS */
	int64_t test_seq; /* number of each channel's first message */
	int64_t log; /* enum log_level */
};

/* The table and its size. */
extern const struct param conf_table[];
extern const size_t conf_count;

/* conf_count is a run-time value; arrays of origins use this bound. */
#define CONF_MAX 64

/*
 * Reads the environment. 0, or -EINVAL with a complete message in `why`; `out` is filled either way.
 * Not thread-safe against setenv.
 */
int conf_load(struct conf *out, enum param_origin *origins, char *why, size_t why_bytes);

/* One warning that must be seen for every WEFT_ variable that is none of ours. */
void conf_warn_unknown(void);

#endif
