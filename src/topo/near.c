/* SPDX-License-Identifier: Apache-2.0 */
/* Memory near a NIC; see near.h. */
#include "topo/near.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>

#include "base/log.h"

/* NUMA nodes of this machine, without other objects; never freed. */
static hwloc_topology_t nodes;
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static void near_load(void)
{
	hwloc_topology_t t;

	if (hwloc_topology_init(&t))
		return;
	hwloc_topology_set_all_types_filter(t, HWLOC_TYPE_FILTER_KEEP_NONE);
	if (hwloc_topology_load(t))
		hwloc_topology_destroy(t);
	else
		nodes = t;
}

int topo_near_nodes(void)
{
	int n;

	pthread_once(&loaded, near_load);
	n = nodes ? hwloc_get_nbobjs_by_type(nodes, HWLOC_OBJ_NUMANODE) : 1;
	return n > 1 ? n : 1;
}

/* The memory policy applies to pages, so a bound area needs pages of its own. */
static size_t whole_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return topo_near_nodes() > 1 ? (bytes + page - 1) / page * page : bytes;
}

static void bind_to(int node, void *mem, size_t bytes)
{
	static atomic_bool told;
	hwloc_obj_t obj = hwloc_get_numanode_obj_by_os_index(nodes, (unsigned)node);

	/* MIGRATE moves pages that malloc had used before */
	if (obj &&
	    hwloc_set_area_membind(nodes, mem, bytes, obj->nodeset, HWLOC_MEMBIND_BIND,
				   HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_MIGRATE) &&
	    !atomic_exchange(&told, true))
		log_info("memory is not placed on NUMA node %d, where its NIC is: %s%s", node, strerror(errno),
			 errno == EPERM ? " (a container needs CAP_SYS_NICE for it)" : "");
}

void *topo_near_alloc(int node, size_t bytes)
{
	void *mem;

	bytes = whole_pages(bytes);
	if (posix_memalign(&mem, (size_t)sysconf(_SC_PAGESIZE), bytes))
		return NULL;
	if (node >= 0 && topo_near_nodes() > 1)
		bind_to(node, mem, bytes);
	return mem;
}

void topo_near_free(void *mem, size_t bytes)
{
	/* reset the policy: the next user of these pages has not requested a node */
	if (mem && topo_near_nodes() > 1)
		hwloc_set_area_membind(nodes, mem, whole_pages(bytes), hwloc_topology_get_topology_nodeset(nodes),
				       HWLOC_MEMBIND_DEFAULT, HWLOC_MEMBIND_BYNODESET);
	free(mem);
}

char *topo_near_where(const void *mem, size_t bytes, char *buf, size_t buf_bytes)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();

	*buf = 0;
	topo_near_nodes();
	if (set && nodes && !hwloc_get_area_memlocation(nodes, mem, bytes, set, HWLOC_MEMBIND_BYNODESET))
		hwloc_bitmap_list_snprintf(buf, buf_bytes, set);
	hwloc_bitmap_free(set);
	return buf;
}
