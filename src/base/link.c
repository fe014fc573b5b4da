/* SPDX-License-Identifier: Apache-2.0 */
#include "base/link.h"

#include <fcntl.h>
#include <linux/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RDMA_PORT_ACTIVE '4'

static enum link_state interface_link(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;
	struct ifreq r = {0};

	if (fd < 0)
		return LINK_UNKNOWN;
	memcpy(r.ifr_name, name, strlen(name));
	ret = ioctl(fd, SIOCGIFFLAGS, &r);
	close(fd);
	if (ret)
		return LINK_UNKNOWN;
	return r.ifr_flags & IFF_UP && r.ifr_flags & IFF_RUNNING ? LINK_UP : LINK_DOWN;
}

/* The file has "4: ACTIVE". libfabric may append the type of the endpoint to the name. */
static enum link_state rdma_link(const char *name)
{
	const char *type = strrchr(name, '-');
	char path[160], state = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/infiniband/%.*s/ports/1/state",
		 type && (!strcmp(type, "-rdm") || !strcmp(type, "-dgrm")) ? (int)(type - name) : (int)strlen(name),
		 name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return LINK_UNKNOWN;
	n = read(fd, &state, 1);
	close(fd);
	if (n != 1)
		return LINK_UNKNOWN;
	return state == RDMA_PORT_ACTIVE ? LINK_UP : LINK_DOWN;
}

enum link_state link_state(const char *nic)
{
	size_t len = strlen(nic);
	enum link_state state = len < IFNAMSIZ ? interface_link(nic) : LINK_UNKNOWN;

	return state == LINK_UNKNOWN && len < 64 && !strchr(nic, '/') ? rdma_link(nic) : state;
}
