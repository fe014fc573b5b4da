/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a libfabric endpoint, registers the side's memory and connects to the peer; see raw.h. */
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "raw_priv.h"

#define ADDRESS_BYTES 128
#define MR_KEY	      1 /* used if the caller chooses keys; the domain has one region only */

/* Sent by each process to the other before the first message. */
struct introduction {
	unsigned char address[ADDRESS_BYTES];
	uint64_t mr_base, mr_key;
};

static int open_objects(struct raw *r)
{
	struct fi_eq_attr eq_attr = {.wait_obj = FI_WAIT_NONE};
	struct fi_av_attr av_attr = {.type = FI_AV_TABLE, .count = 1};
	struct fi_cq_attr cq_attr = {.format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_NONE};
	int ret = r->lib.fabric(r->info->fabric_attr, &r->fabric, NULL);

	if (ret)
		return raw_failed(r, "fi_fabric", ret);
	ret = fi_domain(r->fabric, r->info, &r->domain, NULL);
	if (ret)
		return raw_failed(r, "fi_domain", ret);
	/* Some providers abort the process if they have an event to report and no queue is bound. */
	if (fi_eq_open(r->fabric, &eq_attr, &r->eq, NULL))
		r->eq = NULL;
	ret = fi_av_open(r->domain, &av_attr, &r->av, NULL);
	if (ret)
		return raw_failed(r, "fi_av_open", ret);
	ret = fi_cq_open(r->domain, &cq_attr, &r->cq, NULL);
	if (ret)
		return raw_failed(r, "fi_cq_open", ret);
	ret = fi_endpoint(r->domain, r->info, &r->ep, NULL);
	return ret ? raw_failed(r, "fi_endpoint", ret) : 0;
}

static int enable(struct raw *r)
{
	int ret = fi_ep_bind(r->ep, &r->av->fid, 0);

	if (!ret)
		ret = fi_ep_bind(r->ep, &r->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!ret && r->eq)
		fi_ep_bind(r->ep, &r->eq->fid, 0);
	if (!ret)
		ret = fi_enable(r->ep);
	return ret ? raw_failed(r, "enabling the endpoint", ret) : 0;
}

static int register_memory(struct raw *r, const struct side *s)
{
	uint64_t access = FI_SEND | FI_RECV | FI_WRITE | FI_REMOTE_WRITE;
	int ret;

	if (!(r->info->caps & FI_RMA))
		access = FI_SEND | FI_RECV;
	ret = fi_mr_reg(r->domain, s->mem, s->mem_bytes, access, 0, MR_KEY, 0, &r->mr, NULL);
	if (!ret && (r->info->domain_attr->mr_mode & FI_MR_ENDPOINT)) {
		ret = fi_mr_bind(r->mr, &r->ep->fid, 0);
		if (!ret)
			ret = fi_mr_enable(r->mr);
	}
	if (ret)
		return raw_failed(r, "fi_mr_reg", ret);
	r->desc = fi_mr_desc(r->mr);
	return 0;
}

static int meet(struct raw *r, const struct side *s)
{
	bool virtual = r->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR;
	struct introduction mine = {.mr_base = virtual ? (uintptr_t)s->mem : 0, .mr_key = fi_mr_key(r->mr)};
	struct introduction theirs;
	size_t bytes = sizeof(mine.address);
	int ret = fi_getname(&r->ep->fid, mine.address, &bytes);

	if (ret)
		return raw_failed(r, "fi_getname", ret);
	if (side_swap(s, &mine, &theirs, sizeof(mine)))
		return -1;
	ret = fi_av_insert(r->av, theirs.address, 1, &r->peer, 0, NULL);
	if (ret != 1)
		return raw_failed(r, "fi_av_insert", ret < 0 ? ret : -FI_EINVAL);
	r->remote_base = theirs.mr_base;
	r->remote_key = theirs.mr_key;
	return 0;
}

int raw_open(struct side *s, unsigned ops, const char *nic, struct raw **out, struct raw_facts *out_facts)
{
	struct raw *r = calloc(1, sizeof(*r));

	*out = r;
	if (!r) {
		complain("no memory");
		return -1;
	}
	if (raw_load(r, out_facts) || raw_choose(r, ops, nic, out_facts) || open_objects(r) || enable(r) ||
	    register_memory(r, s))
		return -1;
	r->inject_bytes = r->info->tx_attr->inject_size;
	return meet(r, s);
}

void raw_close(struct raw *r)
{
	if (r->ep)
		fi_close(&r->ep->fid);
	if (r->mr)
		fi_close(&r->mr->fid);
	if (r->cq)
		fi_close(&r->cq->fid);
	if (r->av)
		fi_close(&r->av->fid);
	if (r->eq)
		fi_close(&r->eq->fid);
	if (r->domain)
		fi_close(&r->domain->fid);
	if (r->fabric)
		fi_close(&r->fabric->fid);
	if (r->info)
		r->lib.freeinfo(r->info);
	free(r);
}
