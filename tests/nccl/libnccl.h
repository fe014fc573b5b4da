/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An unmodified libnccl.so.2 whose net plugin loader can be called without a GPU.
 *
 * NCCL loads a net plugin inside ncclCommInitRank, after its first CUDA call, so no public function reaches the loader
 * on a machine without a GPU. However, the published library keeps its local symbols, and the functions that load,
 * initialise, choose and drop a plugin use only a few fields of a communicator. This code finds them, and calls them
 * with a zeroed block in place of the communicator. It assumes no offset inside that block: the function table stored
 * there by NCCL is found by its shape.
 *
 * It cannot run collectives; the plugin's behaviour is tested by tests/conformance.
 */
#ifndef WEFT_TESTS_LIBNCCL_H
#define WEFT_TESTS_LIBNCCL_H

/* A table in the core's own version of the interface, called through tests/nccl/table.h. */
struct net_table {
	const void *entries; /* `const char *name`, then function pointers */
	int version;	     /* 8 to 12 */
};

struct nccl_lib {
	void *dl;
	int version;	    /* as reported by ncclGetVersion: 22809 is 2.28.9 */
	int native;	    /* the newest ncclNetPlugin_v<N> that it names: the version of its core */
	int process_loaded; /* true once load_once was called */

	/* Its functions; absent ones are NULL. Each returns a ncclResult_t. */
	int (*load_once)(void);	     /* 2.20, 2.21: opens the plugin, once in a process */
	int (*load)(void *comm);     /* 2.22 to 2.26: opens the plugin, or adds a user */
	int (*init)(void *comm);     /* chooses and initialises; since 2.27 also opens */
	int (*finalize)(void *comm); /* since 2.22 */
	int (*unload)(void *comm);   /* 2.22 to 2.26 */

	/* Its topology functions; xml is a block of NCCL_XML_BYTES that begins with two ints, 0 and NCCL_XML_NODES. */
	int (*read_topology)(const char *file, void *xml, int warn);
	int (*write_topology)(const char *file, void *xml);
};

#define NCCL_XML_NODES 1000
#define NCCL_XML_BYTES ((size_t)64 << 20) /* far more than that number of nodes takes */

/*
 * Opens the library at path and finds its functions. Returns 0; 1 if the library cannot be used here (no symbol table,
 * other names, an interface newer than v12) and -1 if it cannot be opened or read, both after one line on stderr.
 */
int nccl_lib_open(struct nccl_lib *lib, const char *path);

struct nccl_comm {
	void *block;
	struct net_table net; /* the network chosen by NCCL */
};

/*
 * NCCL's network setup for a new communicator. Returns 0, or -1 after one line on stderr: NCCL found no network, or the
 * block holds no table of its choice.
 */
int nccl_comm_open(struct nccl_lib *lib, struct nccl_comm *comm);

/* NCCL's network cleanup at the end of a communicator. Returns like nccl_comm_open. */
int nccl_comm_close(struct nccl_lib *lib, struct nccl_comm *comm);

/* The network's name; valid while the communicator is open. */
const char *nccl_comm_net_name(const struct nccl_comm *comm);

/*
 * The interface version at which NCCL took the network: N for a plugin's ncclNetPlugin_v<N>, 0 for NCCL's own networks.
 * log_path is NCCL's log of this process (NCCL_DEBUG_FILE), which reports it. Returns -1 after one line on stderr if
 * the log cannot be read.
 */
int nccl_comm_abi(const struct nccl_comm *comm, const char *log_path);

#endif
