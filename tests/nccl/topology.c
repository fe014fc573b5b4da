/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology LIBNCCL IN OUT: an unmodified libnccl.so.2 reads the topology file IN, as it does for NCCL_TOPO_FILE, and
 * writes its parsed form to OUT. Exit: 0 done, 1 NCCL refused it, 2 usage, 77 this library can't be used.
 */
#include "libnccl.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct nccl_lib lib = {0};
	int *xml, ret;

	if (argc != 4) {
		fprintf(stderr, "usage: topology LIBNCCL IN OUT\n");
		return 2;
	}
	ret = nccl_lib_open(&lib, argv[1]);
	if (ret)
		return ret < 0 ? 1 : 77;
	if (!lib.read_topology || !lib.write_topology) {
		fprintf(stderr, "%s does not show its functions for topology files\n", argv[1]);
		return 77;
	}
	xml = calloc(1, NCCL_XML_BYTES);
	if (!xml)
		return 1;
	xml[1] = NCCL_XML_NODES;
	ret = lib.read_topology(argv[2], xml, 1);
	if (!ret)
		ret = lib.write_topology(argv[3], xml);
	free(xml);
	if (ret)
		fprintf(stderr, "NCCL's answer to %s is %d\n", argv[2], ret);
	return ret ? 1 : 0;
}
