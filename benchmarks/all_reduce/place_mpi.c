/* SPDX-License-Identifier: Apache-2.0 */
#include "place_mpi.h"
#include "oob_addr.h"

#include <errno.h>
#include <ifaddrs.h>
#include <mpi.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Sent by rank 0 to the other ranks. Port 0: rank 0 cannot listen. */
struct root {
	char hosts[2048];
	int port;
};

static void append(char *list, size_t bytes, const char *host)
{
	size_t used = strlen(list);

	if (used + strlen(host) + 2 <= bytes)
		snprintf(list + used, bytes - used, "%s%s", used ? "," : "", host);
}

/* Lists the addresses that other hosts may reach. Names come last, because they may resolve differently there. */
static void list_addresses(char *list, size_t bytes)
{
	struct ifaddrs *all = NULL;
	char text[256];

	list[0] = '\0';
	if (getifaddrs(&all))
		all = NULL;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

		if ((family != AF_INET && family != AF_INET6) || !(i->ifa_flags & IFF_UP) ||
		    i->ifa_flags & IFF_LOOPBACK)
			continue;
		/* A scope id is valid on this host only. */
		if (!getnameinfo(i->ifa_addr, size, text, sizeof(text), NULL, 0, NI_NUMERICHOST) && !strchr(text, '%'))
			append(list, bytes, text);
	}
	if (all)
		freeifaddrs(all);
	if (!gethostname(text, sizeof(text) - 1))
		append(list, bytes, text);
}

static int listen_anywhere(const char *hosts, int *out_port)
{
	struct sockaddr_storage got;
	socklen_t bytes = sizeof(got);
	int fd = oob_listen(hosts, 0);

	if (fd < 0 || getsockname(fd, (struct sockaddr *)&got, &bytes)) {
		fprintf(stderr, "rank 0 cannot listen on a TCP port: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* The port has the same offset in both kinds of address. */
	*out_port = ntohs(((struct sockaddr_in *)&got)->sin_port);
	return fd;
}

static bool all_share_memory(int nranks)
{
	MPI_Comm local;
	int nlocal;

	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local);
	MPI_Comm_size(local, &nlocal);
	MPI_Comm_free(&local);
	return nlocal == nranks;
}

static int exchange(struct place *p)
{
	struct root root = {.port = 0};

	p->all_local = all_share_memory(p->nranks);
	if (!p->rank) {
		if (p->all_local)
			snprintf(root.hosts, sizeof(root.hosts), "127.0.0.1");
		else
			list_addresses(root.hosts, sizeof(root.hosts));
		p->listen_fd = listen_anywhere(root.hosts, &root.port);
	}
	MPI_Bcast(&root, sizeof(root), MPI_BYTE, 0, MPI_COMM_WORLD);
	snprintf(p->root, sizeof(p->root), "%s", root.hosts);
	p->root_from = NULL;
	p->port = root.port;
	return root.port ? 1 : -1;
}

int place_mpi_open(struct place *p)
{
	int rank, nranks, result = 0;

	if (MPI_Init(NULL, NULL) != MPI_SUCCESS) {
		fprintf(stderr, "MPI_Init failed\n");
		return -1;
	}
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &nranks);
	/* Under the launcher of another MPI, this MPI sees each process as a job of its own. */
	if (nranks == p->nranks && rank == p->rank)
		result = exchange(p);
	MPI_Finalize();
	return result;
}
