/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weft's parameters: one struct and one table (conf.c), the source of docs/parameters.md and man/weft.7. No other
 * code in Weft reads a WEFT_ variable.
 */
#ifndef WEFT_CONF_CONF_H
#define WEFT_CONF_CONF_H

#include "base/param.h"

enum conf_protocol { CONF_PROTOCOL_AUTO, CONF_PROTOCOL_TAGGED, CONF_PROTOCOL_RMA };

enum conf_nccl_topology { CONF_NCCL_TOPOLOGY_AUTO, CONF_NCCL_TOPOLOGY_OFF, CONF_NCCL_TOPOLOGY_ON };

enum conf_ip_family { CONF_IP_FAMILY_AUTO, CONF_IP_FAMILY_4, CONF_IP_FAMILY_6 };

enum conf_gdr { CONF_GDR_AUTO, CONF_GDR_OFF };

enum conf_flush { CONF_FLUSH_AUTO, CONF_FLUSH_READ, CONF_FLUSH_CALL, CONF_FLUSH_NONE };

enum conf_eager { CONF_EAGER_OFF, CONF_EAGER_ON, CONF_EAGER_ADAPTIVE };

struct conf {
	char provider[PARAM_TEXT_BYTES]; /* WEFT_PROVIDER */
	char nics[PARAM_TEXT_BYTES];	 /* WEFT_NICS */
	int64_t ip_family;		 /* enum conf_ip_family */
	int64_t rails;			 /* limit of rails of a device; 0: as many as are nearest to the same GPU */
	int64_t streams;		 /* WEFT_STREAMS; 0: auto */
	char topology[PARAM_TEXT_BYTES]; /* WEFT_TOPOLOGY */
	char platform[PARAM_TEXT_BYTES]; /* WEFT_PLATFORM */
	int64_t nccl_topology;		 /* enum conf_nccl_topology */
	int64_t protocol;		 /* enum conf_protocol */
	char lifeline_addr[PARAM_TEXT_BYTES]; /* WEFT_LIFELINE_ADDR */
	int64_t lifeline;		      /* 0 or 1 */
	int64_t connect_timeout_us;	      /* WEFT_CONNECT_TIMEOUT; 0: no limit */
	int64_t close_timeout_us;	      /* WEFT_CLOSE_TIMEOUT */
	int64_t peer_timeout_us;	      /* WEFT_PEER_TIMEOUT */
	int64_t nic_timeout_us;		      /* WEFT_NIC_TIMEOUT; 0: no limit */
	int64_t stall_warn_us;		      /* WEFT_STALL_WARN; 0: no warning */
	int64_t cq_depth;		      /* WEFT_CQ_DEPTH */
	int64_t ctrl_buffers;		      /* WEFT_CTRL_BUFFERS; 0: auto */
	int64_t eager;			      /* enum conf_eager */
	int64_t gdr;			      /* enum conf_gdr */
	int64_t flush;			      /* enum conf_flush */
	int64_t test_rails;		      /* WEFT_TEST_RAILS */
	int64_t test_seq;		      /* WEFT_TEST_SEQ: number of each comm's first message */
	int64_t stats;			      /* WEFT_STATS: 0 or 1 */
	char stats_dir[PARAM_TEXT_BYTES];     /* WEFT_STATS_DIR; "": the default */
	int64_t log;			      /* enum log_level */
};

/* The table and its number of rows. */
extern const struct param conf_table[];
extern const size_t conf_count;

/* Bound of conf_count, for arrays of origins: conf_count is a run-time value. */
#define CONF_MAX 64

/*
 * Reads the environment. Returns 0, or -EINVAL with a complete message in `why`; fills `out` in either case.
 * Not thread-safe with concurrent setenv.
 */
int conf_load(struct conf *out, enum param_origin *origins, char *why, size_t why_bytes);

/* Logs a warning, also to stderr, for every unknown WEFT_ variable. */
void conf_warn_unknown(void);

#endif
