/* SPDX-License-Identifier: Apache-2.0 */
/* struct fid_nic: the reported place and speed of a NIC. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

/* One block of memory for all parts except the texts. */
struct nic {
	struct fid_nic fid;
	struct fi_device_attr device;
	struct fi_bus_attr bus;
	struct fi_link_attr link;
	char name[16], id[16], address[32];
	int number;
};

static int nic_close(struct fid *fid)
{
	free(fault_owner(fid, struct nic, fid.fid));
	return 0;
}

static int nic_control(struct fid *fid, int command, void *arg)
{
	struct nic *nic = fault_owner(fid, struct nic, fid.fid);
	struct fid_nic **copy = arg;

	if (command != FI_DUP)
		return -FI_ENOSYS;
	*copy = fault_nic_new(nic->number);
	return *copy ? 0 : -FI_ENOMEM;
}

static int nic_bind(struct fid *fid, struct fid *bfid, uint64_t flags)
{
	(void)fid;
	(void)bfid;
	(void)flags;
	return -FI_ENOSYS;
}

static int nic_ops_open(struct fid *fid, const char *name, uint64_t flags, void **ops, void *context)
{
	(void)fid;
	(void)name;
	(void)flags;
	(void)ops;
	(void)context;
	return -FI_ENOSYS;
}

/* Appends text, as fi_tostr does. */
static int nic_tostr(const struct fid *fid, char *buf, size_t len)
{
	const struct nic *nic = fault_owner(fid, struct nic, fid.fid);
	size_t used = strnlen(buf, len);

	snprintf(buf + used, len - used, "name %s, %s, %zu bits/s\n", nic->name,
		 nic->address[0] ? nic->address : "no PCI address", nic->link.speed);
	return 0;
}

static struct fi_ops nic_ops = {
	.size = sizeof(struct fi_ops),
	.close = nic_close,
	.bind = nic_bind,
	.control = nic_control,
	.ops_open = nic_ops_open,
	.tostr = nic_tostr,
};

struct fid_nic *fault_nic_new(int i)
{
	const struct fault_nic *as = &fault_setup.nics[i];
	struct nic *nic = calloc(1, sizeof(*nic));

	if (!nic)
		return NULL;
	nic->number = i;
	snprintf(nic->name, sizeof(nic->name), FAULT_NAME "%d", i);
	snprintf(nic->id, sizeof(nic->id), "%d", i);
	nic->fid.fid.fclass = FI_CLASS_NIC;
	nic->fid.fid.ops = &nic_ops;
	nic->fid.device_attr = &nic->device;
	nic->fid.bus_attr = &nic->bus;
	nic->fid.link_attr = &nic->link;
	nic->device.name = nic->name;
	nic->device.device_id = nic->id;
	nic->device.driver = nic->device.vendor_id = (char *)FAULT_NAME;
	nic->link.state = FI_LINK_UP;
	nic->link.speed = as->speed_mbps * 1000000;
	nic->link.network_type = (char *)"Ethernet";
	nic->link.address = nic->address;
	if (as->pci) {
		nic->bus.bus_type = FI_BUS_PCI;
		nic->bus.attr.pci = (struct fi_pci_attr){.domain_id = as->domain,
							 .bus_id = as->bus,
							 .device_id = as->device,
							 .function_id = as->function};
		snprintf(nic->address, sizeof(nic->address), "%04x:%02x:%02x.%x", as->domain, as->bus, as->device,
			 as->function);
	}
	return &nic->fid;
}
