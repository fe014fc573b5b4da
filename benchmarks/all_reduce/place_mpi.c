/* SPDX-License-Identifier: Apache-2.0 */
#include "place_mpi.h"

#include <mpi.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What rank 0 tells the others. Port 0: it could not listen. */
struct root {
	char host[256];
	int port;
};

static int listen_anywhere(int *out_port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	struct sockaddr_in a4 = {.sin_family = AF_INET};
	struct sockaddr_storage got;
	socklen_t bytes = sizeof(got);
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		if (fd >= 0)
			close(fd);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0 || bind(fd, (struct sockaddr *)&a4, sizeof(a4)))
			return -1;
	}
	if (listen(fd, SOMAXCONN) || getsockname(fd, (struct sockaddr *)&got, &bytes)) {
		close(fd);
		return -1;
	}
	/* The port lies at the same place in both kinds of address. */
	*out_port = ntohs(((struct sockaddr_in *)&got)->sin_port);
	return fd;
}

int place_mpi_open(struct place *out)
{
	struct place p = {.listen_fd = -1, .origin = "MPI"};
	struct root root = {.port = 0};
	MPI_Comm local;
	int nlocal;

	if (MPI_Init(NULL, NULL) != MPI_SUCCESS) {
		fprintf(stderr, "MPI_Init failed\n");
		return -1;
	}
	MPI_Comm_rank(MPI_COMM_WORLD, &p.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &p.nranks);
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
	MPI_Comm_size(local, &nlocal);
	MPI_Comm_free(&local);
	p.all_local = nlocal == p.nranks;
	if (!p.rank) {
		p.listen_fd = listen_anywhere(&root.port);
		if (p.all_local || gethostname(root.host, sizeof(root.host) - 1))
			snprintf(root.host, sizeof(root.host), "127.0.0.1");
	}
	MPI_Bcast(&root, sizeof(root), MPI_BYTE, 0, MPI_COMM_WORLD);
	if (!root.port) {
		if (!p.rank)
			fprintf(stderr, "rank 0 cannot listen on a TCP port\n");
		MPI_Finalize();
		return -1;
	}
	snprintf(p.root, sizeof(p.root), "%s", root.host);
	p.port = root.port;
	*out = p;
	return 0;
}

void place_mpi_close(void)
{
	int up = 0;

	MPI_Initialized(&up);
	if (up)
		MPI_Finalize();
}
