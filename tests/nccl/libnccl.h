/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unmodified libnccl.so.2, its own net plugin loader made callable without a GPU.
 *
 * NCCL loads a net plugin inside ncclCommInitRank, after its first CUDA call, so no public function
 * gets there on a machine without a GPU. The published library keeps its local symbols, though, and
 * the functions that load, initialise, choose and drop a plugin touch nothing of a communicator but
 * a few fields of their own. This finds them, and calls them with a zeroed block posing as the
 * communicator. No offset inside that block is assumed: the function table that NCCL put there is
 * found by its shape.
 *
 * Not for running a collective, and not for the plugin's behaviour: tests/conformance does that.
 */
#ifndef WEFT_TESTS_LIBNCCL_H
#define WEFT_TESTS_LIBNCCL_H

/* A table in the core's own version of the interface; tests/nccl/table.h calls through it. */
struct net_table {
	const void *entries; /* `const char *name`, then function pointers */
	int version;         /* 8 to 12 */
};

struct nccl_lib {
	void *dl;
	int version;        /* as ncclGetVersion says: 22809 is 2.28.9 */
	int native;         /* newest ncclNetPlugin_v<N> it names: the version of its core */
	int process_loaded; /* load_once was called */

	/* Its functions; absent ones are NULL. Each returns a ncclResult_t. */
	int (*load_once)(void);      /* 2.20, 2.21: open the plugin, once in a process */
	int (*load)(void *comm);     /* 2.22 to 2.26: open the plugin, or count one user more */
	int (*init)(void *comm);     /* choose and initialise; since 2.27 open as well */
	int (*finalize)(void *comm); /* since 2.22 */
	int (*unload)(void *comm);   /* 2.22 to 2.26 */

	/* Its topology files; xml is a block of NCCL_XML_BYTES that begins with two ints, 0 and NCCL_XML_NODES. */
	int (*read_topology)(const char *file, void *xml, int warn);
	int (*write_topology)(const char *file, void *xml);
};

#define NCCL_XML_NODES 1000
#define NCCL_XML_BYTES ((size_t)64 << 20) /* far more than so many take */

/*
 * Opens the library at path and finds its functions. Returns 0; 1 when it is a library this cannot
 * drive (no symbol table, other names, an interface newer than v12) and -1 when it cannot be opened
 * or read, both after one line on stderr.
 */
int nccl_lib_open(struct nccl_lib *lib, const char *path);

struct nccl_comm {
	void *block;
	struct net_table net; /* what NCCL chose */
};

/*
 * What NCCL does for the network of a new communicator. Returns 0, or -1 after one line on stderr:
 * NCCL found no network, or none of its choice was found in the block.
 */
int nccl_comm_open(struct nccl_lib *lib, struct nccl_comm *comm);

/* What NCCL does for the network when a communicator ends. Returns as nccl_comm_open. */
int nccl_comm_close(struct nccl_lib *lib, struct nccl_comm *comm);

/* The network's name; valid while the communicator is open. */
const char *nccl_comm_net_name(const struct nccl_comm *comm);

/*
 * The interface version NCCL took the network at: N for a plugin's ncclNetPlugin_v<N>, 0 for a
 * network of NCCL's own. log_path is NCCL's log of this process (NCCL_DEBUG_FILE), which is where
 * it tells. Returns -1 after one line on stderr when the log cannot be read.
 */
int nccl_comm_abi(const struct nccl_comm *comm, const char *log_path);

#endif
