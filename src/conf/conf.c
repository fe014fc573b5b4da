/* SPDX-License-Identifier: Apache-2.0 */
/* The parameter table. Adding a parameter is one field in conf.h and one row here. */
#include "conf/conf.h"

#include "base/log.h"

#define FIELD(f) offsetof(struct conf, f)

const struct param conf_table[] = {
	{.name = "WEFT_PROVIDER",
	 .type = PARAM_TEXT,
	 .offset = FIELD(provider),
	 .value = "auto",
	 .doc = "The libfabric provider that carries the traffic. `auto` takes the best one present: efa, "
		"then verbs, then tcp. `tcp` is libfabric's native TCP RDM provider, whatever its release "
		"calls it (`net` in 1.17). Any provider with reliable datagram endpoints and tagged messages "
		"can be named as `fi_info` prints it, such as `sockets`, `tcp;ofi_rxm` or, within one host, "
		"`shm`. `efa-direct` is efa without libfabric's protocol on top of the NIC: all by remote writes, on EFA v2 and "
		"newer with libfabric 2.1 and newer; the same value on every node."},
	{.name = "WEFT_NICS",
	 .type = PARAM_TEXT,
	 .offset = FIELD(nics),
	 .value = "",
	 .doc = "The NICs to use, comma-separated: by libfabric's domain name (shell patterns: `eth0,eth1`, "
		"`rdmap*`), by PCI address (patterns, too: `0000:ab:00.0`, `ab:*`; where the provider tells it) or by "
		"number (`#2`, `#0-3`). The number is the place among all NICs of the provider by PCI address, "
		"then name, as weft-info lists them, whatever is chosen. A `^` excludes: `rdmap*,^ab:00.0`; when "
		"the list begins with one, it means all but these (`^#0,#1`). What means no NIC is warned of. Empty: "
		"every NIC of the provider but loopback and container bridges, and loopback when there is nothing "
		"else."},
	{.name = "WEFT_RAILS",
	 .type = PARAM_INT,
	 .offset = FIELD(rails),
	 .value = "0",
	 .min = "0",
	 .max = "8",
	 .unit = "rails",
	 .doc = "The most NICs that make one device. 0: as many as lie nearest to the same GPU, which is what NCCL "
		"needs on machines with several NICs for each GPU; 1: each NIC is a device of its own. NICs whose "
		"provider tells no PCI address, as tcp's, are devices of their own anyway."},
	{.name = "WEFT_TOPOLOGY",
	 .type = PARAM_TEXT,
	 .offset = FIELD(topology),
	 .value = "",
	 .doc = "An hwloc XML file (from `lstopo file.xml`) that says where NICs and GPUs sit, instead of looking at "
		"this machine."},
	{.name = "WEFT_PLATFORM",
	 .type = PARAM_TEXT,
	 .offset = FIELD(platform),
	 .value = "auto",
	 .doc = "The type of machine: by it, NCCL is told a latency and some of its own variables are set if you have "
		"not, when the provider is efa; weft-info lists them with the reasons. `auto` asks DMI, an EC2 type "
		"such as `p5.48xlarge` is taken at its word on any provider, `none` sets nothing."},
	{.name = "WEFT_NCCL_TOPOLOGY",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(nccl_topology),
	 .value = "auto",
	 .choices = {"auto", "off", "on"},
	 .doc = "Whether NCCL is given a topology (NCCL_TOPO_FILE, if you have not set it) that puts the NICs and GPUs of "
		"a device under one bridge where the PCI tree shows none above them. `auto`: on p4d and p4de with efa; "
		"`on`: wherever the tree shows none. `weft-info --nccl-topology` prints it."},
	{.name = "WEFT_PROTOCOL",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(protocol),
	 .value = "auto",
	 .choices = {"auto", "tagged", "rma"},
	 .doc = "How messages move. `tagged`: by the provider's tagged messages, on any provider. `rma`: the "
		"receiver announces its buffer by a remote write and the sender writes straight into it, on "
		"providers with remote writes that carry immediate data. `auto` takes what suits the provider "
		"best. All ranks need the same."},
	{.name = "WEFT_EAGER",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(eager),
	 .value = "adaptive",
	 .choices = {"off", "on", "adaptive"},
	 .doc = "Whether a message of up to 8 KiB (4032 bytes on shm) that finds no receive announced is sent at once and "
		"copied by the receiver (RMA protocol only). `adaptive`: besides, a receiver that gets small messages "
		"only stops announcing its buffers until a larger message asks for it."},
	{.name = "WEFT_GDR",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(gdr),
	 .value = "auto",
	 .choices = {"auto", "off"},
	 .doc = "Whether NICs read and write the memory of GPUs themselves (GPUDirect RDMA). `auto`: where the provider, "
		"the CUDA driver and every GPU of the device can; weft-info tells what is missing. `off`: NCCL stages "
		"everything through host memory."},
	{.name = "WEFT_FLUSH",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(flush),
	 .value = "auto",
	 .choices = {"auto", "read", "call", "none"},
	 .doc = "How data that a NIC has written become visible to the GPU. `read`: the NICs that carried them read a few "
		"bytes of it back; `call`: by cuFlushGPUDirectRDMAWrites; `none`: not at all, which corrupts data "
		"where the GPU does not see writes in order. `auto`: `none` where the driver says that the GPU does, and "
		"it has compute capability 9.0 and no memory in common with the CPU; else `read`, else `call`."},
	{.name = "WEFT_CONNECT_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(connect_timeout_us),
	 .value = "10m",
	 .min = "0",
	 .max = "24h",
	 .doc = "How long a connect waits for a peer that is alive but does not answer, and an accept for "
		"a peer that never comes, before it fails. 0 waits for ever."},
	{.name = "WEFT_CLOSE_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(close_timeout_us),
	 .value = "2s",
	 .min = "0",
	 .max = "60s",
	 .doc = "How long closing a connection or a registration waits for transfers that already move "
		"bytes. When it passes, the endpoint is shut down so that the memory can be freed safely, "
		"and the other connections on that endpoint fail."},
	{.name = "WEFT_LIFELINE",
	 .type = PARAM_BOOL,
	 .offset = FIELD(lifeline),
	 .value = "1",
	 .doc = "Keeps one idle TCP connection to each peer process, by which a dead peer is noticed: most "
		"providers tell a waiting receiver nothing. With 0 a wait for a dead peer may never end."},
	{.name = "WEFT_LIFELINE_ADDR",
	 .type = PARAM_TEXT,
	 .offset = FIELD(lifeline_addr),
	 .value = "auto",
	 .doc = "The IP address of this host at which peers open lifelines. `auto`: the NIC's own address if "
		"it has one, else the first address of an interface that is up."},
	{.name = "WEFT_PEER_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(peer_timeout_us),
	 .value = "30s",
	 .min = "2s",
	 .max = "1h",
	 .doc = "How long the host of a peer may be silent (power loss, cut cable) before the peer counts as "
		"dead. A process that dies on a living host is noticed at once, and one that is merely busy "
		"never counts as dead."},
	{.name = "WEFT_NIC_TIMEOUT",
	 .type = PARAM_TIME,
	 .offset = FIELD(nic_timeout_us),
	 .value = "5m",
	 .min = "0",
	 .max = "24h",
	 .doc = "How long a NIC may leave what a connection gave it without an end before it counts as dead and the connection "
		"fails. Only over efa, where a living NIC ends everything by itself, in error if need be. It should be "
		"longer than a peer may be stopped, by a debugger for example. 0 waits for ever."},
	{.name = "WEFT_CQ_DEPTH",
	 .type = PARAM_INT,
	 .offset = FIELD(cq_depth),
	 .value = "16384",
	 .min = "256",
	 .max = "32768",
	 .unit = "entries",
	 .doc = "Entries of each completion queue, which bounds the operations in flight per endpoint."},
	{.name = "WEFT_CTRL_BUFFERS",
	 .type = PARAM_INT,
	 .offset = FIELD(ctrl_buffers),
	 .value = "128",
	 .min = "8",
	 .max = "4096",
	 .unit = "buffers",
	 .doc = "Receives kept posted per device and thread for control messages (1 KiB each; 8 KiB by the RMA "
		"protocol, where a device's other rails share as many again)."},
	{.name = "WEFT_TEST_RAILS",
	 .type = PARAM_INT,
	 .offset = FIELD(test_rails),
	 .value = "1",
	 .min = "1",
	 .max = "8",
	 .unit = "rails",
	 .doc = "For tests: makes one device of so many NICs, in the order in which weft-info lists them; where "
		"there are fewer, each is opened several times."},
	{.name = "WEFT_TEST_SEQ",
	 .type = PARAM_INT,
	 .offset = FIELD(test_seq),
	 .value = "0",
	 .min = "0",
	 .max = "4294967295",
	 .doc = "For tests: the number of the first message of each channel, near the end of the 32-bit "
		"numbers to see them wrap. All ranks need the same."},
	{.name = "WEFT_LOG",
	 .type = PARAM_CHOICE,
	 .offset = FIELD(log),
	 .value = "off",
	 .choices = {"off", "warn", "info", "debug"},
	 .doc = "Copies Weft's own log lines up to this level to stderr, whatever NCCL_DEBUG says."},
};

const size_t conf_count = sizeof(conf_table) / sizeof(conf_table[0]);
_Static_assert(sizeof(conf_table) / sizeof(conf_table[0]) <= CONF_MAX, "raise CONF_MAX");

int conf_load(struct conf *out, enum param_origin *origins, char *why, size_t why_bytes)
{
	return param_load(conf_table, conf_count, out, origins, why, why_bytes);
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
