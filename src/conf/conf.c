/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter table. A new parameter needs one field in conf.h and one row here. */
#include "conf/conf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

#define FIELD(f) offsetof(struct conf, f)

const struct param conf_table[] = {
	{.name = "WEFT_PROVIDER",
	 .type = PARAM_TEXT,
	 .offset = FIELD(provider),
	 .value = "auto",
	 .doc = "The libfabric provider that carries the traffic. `auto` takes the best one present: efa, then "
		"verbs, then tcp. `tcp` is libfabric's native TCP RDM provider, which 1.17 calls `net`. Any provider "
		"with reliable datagram endpoints and tagged messages can be named as `fi_info` prints it, such as "
		"`sockets`, `tcp;ofi_rxm` or, within one host, `shm`. `efa-direct` is efa without libfabric's "
		"protocol on top of the NIC: it uses remote writes only, and needs EFA v2 or newer, libfabric 2.1 or "
		"newer, and the same value on every node."},
	{.name = "WEFT_NICS",
	 .type = PARAM_TEXT,
	 .offset = FIELD(nics),
	 .value = "",
	 .doc = "The NICs to use, comma-separated: by libfabric's domain name (shell patterns: `eth0,eth1`, "
		"`rdmap*`), by PCI address (also patterns: `0000:ab:00.0`, `ab:*`; where the provider reports it) or "
		"by number (`#2`, `#0-3`). The number is the NIC's place among all NICs of the provider, by PCI "
		"address, then name, as weft-info lists them. A `^` excludes: `rdmap*,^ab:00.0`; a list that begins "
		"with one means the default choice without these (`^#0,#1`). An entry that matches no NIC causes a "
		"warning. Empty, the default choice: every NIC that other hosts can be expected to reach; so no "
		"loopback, link-local address, container bridge, tunnel, USB NIC or interface without a link, unless "
		"there is nothing better. weft-info says why a NIC is left out."},
	{.name = "WEFT_IP_FAMILY",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(ip_family),
	 .value = "auto",
	 .choices = {"auto", "ipv4", "ipv6"},
	 .doc = "The IP addresses that NICs of tcp use. `auto`: a NIC's IPv4 address if it has one, else its IPv6 address. "
		"All nodes need addresses of the same family: set it where some nodes have both and others only one."},
	{.name = "WEFT_RAILS",
	 .type = PARAM_INT,
	 .offset = FIELD(rails),
	 .value = "0",
	 .min = "0",
	 .max = "8",
	 .unit = "rails",
	 .doc = "The most NICs in one device. 0: as many as are nearest to the same GPU, which NCCL needs on "
		"machines with several NICs for each GPU; 1: each NIC is a device of its own. NICs whose PCI address "
		"the provider does not report, such as those of tcp, are devices of their own with 0; with 2 or more, "
		"those nearest to the same GPU form a device, or so many in the order of weft-info where the kernel "
		"knows no PCI address or no GPU. A device of tcp measures how fast each NIC delivers and divides "
		"messages accordingly."},
	{.name = "WEFT_STREAMS",
	 .type = PARAM_INT,
	 .offset = FIELD(streams),
	 .value = "auto",
	 .min = "1",
	 .max = "16",
	 .word = "auto",
	 .unit = "connections",
	 .doc = "TCP connections to each peer on each NIC, which share its traffic: clouds cap a single connection, and "
		"one core moves one only so fast. `auto`: 4 on a NIC that reaches other hosts and has 10 Gbit/s or more "
		"or does not report its speed, else 1. Each NIC of a device of several has one, and so have providers other "
		"than tcp. Ranks may have different values."},
	{.name = "WEFT_TOPOLOGY",
	 .type = PARAM_TEXT,
	 .offset = FIELD(topology),
	 .value = "",
	 .doc = "An hwloc XML file (from `lstopo file.xml`) with the positions of NICs and GPUs, used instead of "
		"this machine's topology."},
	{.name = "WEFT_PLATFORM",
	 .type = PARAM_TEXT,
	 .offset = FIELD(platform),
	 .value = "auto",
	 .doc = "The instance type. With efa, Weft reports its latency to NCCL and sets NCCL tuning variables that "
		"you have not set; weft-info lists them with the reasons. `auto` reads it from DMI, an EC2 type such "
		"as `p5.48xlarge` forces it on any provider, `none` sets nothing."},
	{.name = "WEFT_NCCL_TOPOLOGY",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(nccl_topology),
	 .value = "auto",
	 .choices = {"auto", "off", "on"},
	 .doc = "Whether Weft gives NCCL a topology (NCCL_TOPO_FILE, if you have not set it) that puts the NICs and "
		"GPUs of a device under one bridge where the PCI tree shows none above them. `auto`: on p4d and p4de "
		"with efa; `on`: wherever the tree shows no bridge. `weft-info --nccl-topology` prints it."},
	{.name = "WEFT_PROTOCOL",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(protocol),
	 .value = "auto",
	 .choices = {"auto", "tagged", "rma"},
	 .doc = "The protocol that moves messages. `tagged`: the provider's tagged messages, on any provider. `rma`: "
		"the receiver writes a clear-to-send into the sender's memory, and the sender writes the data "
		"straight into the receiver's buffer; on providers with remote writes that carry immediate data. "
		"`auto`: the better one for the provider. All ranks need the same value."},
	{.name = "WEFT_EAGER",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(eager),
	 .value = "adaptive",
	 .choices = {"off", "on", "adaptive"},
	 .doc = "Whether a message of up to 8 KiB (tcp: 16 KiB, shm: 4072 bytes) for which no clear-to-send has arrived is "
		"sent at once and copied by the receiver (protocol `rma` only). `adaptive`: in addition, a receiver that "
		"gets only small messages posts no clear-to-sends until a larger message requests them."},
	{.name = "WEFT_GDR",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(gdr),
	 .value = "auto",
	 .choices = {"auto", "off"},
	 .doc = "Whether NICs read and write GPU memory directly (GPUDirect RDMA). `auto`: if the provider, the CUDA "
		"driver and every GPU of the device support it; weft-info reports what is missing. `off`: NCCL "
		"stages everything through host memory."},
	{.name = "WEFT_FLUSH",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(flush),
	 .value = "auto",
	 .choices = {"auto", "read", "call", "none"},
	 .doc = "How data that a NIC has written becomes visible to the GPU. `read`: the NICs that carried it read a "
		"few bytes back; `call`: cuFlushGPUDirectRDMAWrites; `none`: no flush, which corrupts data if the "
		"GPU does not see writes in order. `auto`: `none` if the driver reports ordered writes, the compute "
		"capability is 9.0 or newer and the GPU is not cache-coherent with the CPU; else `read`, else "
		"`call`."},
	{.name = "WEFT_CONNECT_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(connect_timeout_us),
	 .value = "10m",
	 .min = "0",
	 .max = "24h",
	 .doc = "Time until a connect to a peer that does not answer fails, and an accept for which no peer "
		"connects. 0: no limit."},
	{.name = "WEFT_CLOSE_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(close_timeout_us),
	 .value = "2s",
	 .min = "0",
	 .max = "60s",
	 .doc = "Time that closing a connection or a registration waits for transfers in flight. After it, the "
		"endpoint is shut down so that the memory can be freed safely, and the other connections on that "
		"endpoint fail."},
	{.name = "WEFT_LIFELINE",
	 .type = PARAM_BOOL,
	 .offset = FIELD(lifeline),
	 .value = "1",
	 .doc = "Whether Weft keeps one idle TCP connection (lifeline) to each peer process, which detects a dead "
		"peer: most providers report nothing to a waiting receiver. With 0, waiting for a dead peer may "
		"never end."},
	{.name = "WEFT_LIFELINE_ADDR",
	 .type = PARAM_TEXT,
	 .offset = FIELD(lifeline_addr),
	 .value = "auto",
	 .doc = "The IP address of this host at which peers open lifelines. `auto`: the NIC's own address if it has "
		"one, else the address of this host that others can be expected to reach, by the rule of WEFT_NICS."},
	{.name = "WEFT_PEER_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(peer_timeout_us),
	 .value = "30s",
	 .min = "2s",
	 .max = "1h",
	 .doc = "Time without any sign of life from a peer's host (power loss, cut cable) after which the peer "
		"counts as dead. The death of a process on a living host is detected at once, and a busy process "
		"never counts as dead."},
	{.name = "WEFT_NIC_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(nic_timeout_us),
	 .value = "5m",
	 .min = "0",
	 .max = "24h",
	 .doc = "Time without any completion after which a NIC counts as dead and its connections fail. efa only. It "
		"should be longer than a peer may be stopped, for example by a debugger. 0: no limit."},
	{.name = "WEFT_STALL_WARN",
	 .type = PARAM_TIME,
	 .offset = FIELD(stall_warn_us),
	 .value = "30s",
	 .min = "0",
	 .max = "24h",
	 .doc = "Time after which a message that waits causes a warning, once per connection and stall: it says whether "
		"the receiver has not posted, the sender has not sent, or the network has not delivered. 0: no warning."},
	{.name = "WEFT_CQ_DEPTH",
	 .type = PARAM_INT,
	 .offset = FIELD(cq_depth),
	 .value = "16384",
	 .min = "256",
	 .max = "32768",
	 .unit = "entries",
	 .doc = "Entries of each completion queue, which bounds the operations in flight per endpoint; at least twice "
		"WEFT_CTRL_BUFFERS."},
	{.name = "WEFT_CTRL_BUFFERS",
	 .type = PARAM_INT,
	 .offset = FIELD(ctrl_buffers),
	 .value = "auto",
	 .min = "8",
	 .max = "4096",
	 .word = "auto",
	 .unit = "buffers",
	 .doc = "Receives kept posted per device and thread for control messages (1 KiB each; with the RMA protocol 8 "
		"KiB, 16 KiB on tcp, and the device's other rails share as many again). `auto`: 128, on tcp 32, so that "
		"they stay in a core's cache."},
	{.name = "WEFT_TEST_RAILS",
	 .type = PARAM_INT,
	 .offset = FIELD(test_rails),
	 .value = "1",
	 .min = "1",
	 .max = "8",
	 .unit = "rails",
	 .doc = "For tests: number of NICs per device, in the order in which weft-info lists them; with fewer NICs, "
		"each is opened several times."},
	{.name = "WEFT_TEST_SEQ",
	 .type = PARAM_INT,
	 .offset = FIELD(test_seq),
	 .value = "0",
	 .min = "0",
	 .max = "4294967295",
	 .doc = "For tests: the number of the first message of each comm; near the end of the 32-bit numbers, they "
		"wrap. All ranks need the same value."},
	{.name = "WEFT_STATS",
	 .type = PARAM_BOOL,
	 .offset = FIELD(stats),
	 .value = "1",
	 .doc = "Keeps a live record of the process: counters, waits and the last events of its rails and connections, in a "
		"file that other programs of the same user can read. It is removed when the process ends by itself, "
		"and stays for a day at most when it is killed."},
	{.name = "WEFT_STATS_DIR",
	 .type = PARAM_TEXT,
	 .offset = FIELD(stats_dir),
	 .value = "",
	 .doc = "The directory of these records; it should be in memory (tmpfs) and is made if it does not exist. Empty: "
		"`/dev/shm/weft-UID`, which only the user can enter, or `/tmp/weft-UID` without a writable /dev/shm."},
	{.name = "WEFT_LOG",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(log),
	 .value = "off",
	 .choices = {"off", "warn", "info", "debug"},
	 .doc = "Copies Weft's log lines up to this level to stderr, independent of NCCL_DEBUG."},
};

const size_t conf_count = sizeof(conf_table) / sizeof(conf_table[0]);
_Static_assert(sizeof(conf_table) / sizeof(conf_table[0]) <= CONF_MAX, "raise CONF_MAX");

/* Rejects values that are valid alone but not together. */
static int check_together(const struct conf *c, char *why, size_t why_bytes)
{
	if (c->ctrl_buffers <= c->cq_depth / 2) /* `auto` fits the smallest queue */
		return 0;
	snprintf(why, why_bytes,
		 "WEFT_CTRL_BUFFERS=%" PRId64 " and WEFT_CQ_DEPTH=%" PRId64
		 " do not go together: the control buffers may take "
		 "half of the queue, so at most %" PRId64 " buffers or at least %" PRId64 " entries",
		 c->ctrl_buffers, c->cq_depth, c->cq_depth / 2, 2 * c->ctrl_buffers);
	return -EINVAL;
}

int conf_load(struct conf *out, enum param_origin *origins, char *why, size_t why_bytes)
{
	int ret = param_load(conf_table, conf_count, out, origins, why, why_bytes);

	return ret ? ret : check_together(out, why, why_bytes);
}

static void warn_one(void *arg, const char *name, const char *nearest)
{
	(void)arg;
	if (nearest)
		log_must_see("unknown parameter %s is ignored: did you mean %s?", name, nearest);
	else
		log_must_see("unknown parameter %s is ignored: weft-info lists the known ones", name);
}

void conf_warn_unknown(void)
{
	param_unknown("WEFT_", conf_table, conf_count, warn_one, NULL);
}
