/* SPDX-License-Identifier: Apache-2.0 */
/* The entry point; fabrics, domains and address vectors: their calls can be made to fail. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/providers/fi_prov.h>

#include "fault.h"

struct fault_lib fault_lib;

struct fabric {
	struct fi_ops fid_ops;
	struct fi_ops_fabric ops;
	struct fi_ops *inner_fid;
	struct fi_ops_fabric *inner;
};

struct av {
	struct fi_ops fid_ops;
	struct fi_ops_av ops;
	struct fi_ops *inner_fid;
	struct fi_ops_av *inner;
};

/* Copies the entries that both sides of a table have. */
static void copy_ops(void *to, size_t to_bytes, const void *from, size_t from_bytes)
{
	size_t bytes = from_bytes < to_bytes ? from_bytes : to_bytes;

	memset(to, 0, to_bytes);
	memcpy(to, from, bytes);
	*(size_t *)to = bytes; /* every table begins with its size */
}

/* ---- event queues ---- */

struct eq {
	struct fi_ops fid_ops;
	struct fi_ops_eq ops;
	struct fi_ops *inner_fid;
	struct fi_ops_eq *inner;
	struct fid *bound; /* the last endpoint that was bound; only its address is used */
	int failed;	   /* the injected error that fi_eq_readerr will return, or 0 */
};

static ssize_t eq_read(struct fid_eq *fid, uint32_t *event, void *buf, size_t len, uint64_t flags)
{
	struct eq *eq = fault_owner(fid->ops, struct eq, ops);

	if (!eq->failed)
		eq->failed = -fault_fail(CALL_EQ_READ);
	return eq->failed ? -FI_EAVAIL : eq->inner->read(fid, event, buf, len, flags);
}

static ssize_t eq_readerr(struct fid_eq *fid, struct fi_eq_err_entry *buf, uint64_t flags)
{
	struct eq *eq = fault_owner(fid->ops, struct eq, ops);

	if (!eq->failed)
		return eq->inner->readerr(fid, buf, flags);
	memset(buf, 0, sizeof(*buf));
	buf->fid = eq->bound;
	buf->err = eq->failed;
	eq->failed = 0;
	return sizeof(*buf);
}

static int eq_close(struct fid *fid)
{
	struct eq *eq = fault_owner(fid->ops, struct eq, fid_ops);
	struct fid_eq *eq_fid = fault_owner(fid, struct fid_eq, fid);
	int ret;

	fid->ops = eq->inner_fid;
	eq_fid->ops = eq->inner;
	ret = fi_close(fid);
	if (ret) {
		fid->ops = &eq->fid_ops;
		eq_fid->ops = &eq->ops;
		return ret;
	}
	free(eq);
	return 0;
}

void fault_eq_bound(struct fid *queue, struct fid *ep)
{
	if (queue->ops->close == eq_close)
		fault_owner(queue->ops, struct eq, fid_ops)->bound = ep;
}

/* ---- address vectors ---- */

static int av_insert(struct fid_av *fid, const void *addr, size_t count, fi_addr_t *fi_addr, uint64_t flags,
		     void *context)
{
	struct av *av = fault_owner(fid->ops, struct av, ops);
	int ret = fault_fail(CALL_AV_INSERT);

	return ret ? ret : av->inner->insert(fid, addr, count, fi_addr, flags, context);
}

static int av_close(struct fid *fid)
{
	struct av *av = fault_owner(fid->ops, struct av, fid_ops);
	struct fid_av *av_fid = fault_owner(fid, struct fid_av, fid);
	int ret;

	fid->ops = av->inner_fid;
	av_fid->ops = av->inner;
	ret = fi_close(fid);
	if (ret) {
		fid->ops = &av->fid_ops;
		av_fid->ops = &av->ops;
		return ret;
	}
	free(av);
	return 0;
}

static int av_open(struct fid_domain *domain, struct fi_av_attr *attr, struct fid_av **out, void *context)
{
	struct fault_domain *d = fault_owner(domain->ops, struct fault_domain, ops);
	struct av *av;
	int ret = fault_fail(CALL_AV_OPEN);

	if (ret)
		return ret;
	av = calloc(1, sizeof(*av));
	if (!av)
		return -FI_ENOMEM;
	ret = d->inner->av_open(domain, attr, out, context);
	if (ret) {
		free(av);
		return ret;
	}
	av->inner_fid = (*out)->fid.ops;
	av->inner = (*out)->ops;
	copy_ops(&av->fid_ops, sizeof(av->fid_ops), av->inner_fid, av->inner_fid->size);
	copy_ops(&av->ops, sizeof(av->ops), av->inner, av->inner->size);
	av->fid_ops.close = av_close;
	av->ops.insert = av_insert;
	(*out)->fid.ops = &av->fid_ops;
	(*out)->ops = &av->ops;
	return 0;
}

/* ---- domains ---- */

/* Scalable endpoints and polling sets share objects in ways that the fault provider does not support. */
static int no_scalable_ep(struct fid_domain *domain, struct fi_info *info, struct fid_ep **sep, void *context)
{
	(void)domain;
	(void)info;
	(void)sep;
	(void)context;
	return -FI_ENOSYS;
}

static int no_poll(struct fid_domain *domain, struct fi_poll_attr *attr, struct fid_poll **pollset)
{
	(void)domain;
	(void)attr;
	(void)pollset;
	return -FI_ENOSYS;
}

static void domain_free(struct fault_domain *d)
{
	while (d->eps) {
		struct fault_ep *ep = d->eps;

		d->eps = ep->next;
		free(ep);
	}
	fault_ops_free(d);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void domain_hook(struct fault_domain *d, struct fid_domain *fid)
{
	fid->fid.ops = &d->fid_ops;
	fid->ops = &d->ops;
	fid->mr = &d->mr;
}

static int domain_close(struct fid *fid)
{
	struct fault_domain *d = fault_owner(fid->ops, struct fault_domain, fid_ops);
	struct fid_domain *domain = fault_owner(fid, struct fid_domain, fid);
	int ret;

	fid->ops = d->inner_fid;
	domain->ops = d->inner;
	domain->mr = d->inner_mr;
	ret = fi_close(fid);
	if (ret)
		domain_hook(d, domain);
	else
		domain_free(d);
	return ret;
}

static void domain_wrap(struct fault_domain *d, struct fid_domain *fid)
{
	pthread_mutex_init(&d->lock, NULL);
	d->inner_fid = fid->fid.ops;
	d->inner = fid->ops;
	d->inner_mr = fid->mr;
	copy_ops(&d->fid_ops, sizeof(d->fid_ops), d->inner_fid, d->inner_fid->size);
	copy_ops(&d->ops, offsetof(struct fi_ops_domain, endpoint2), d->inner, d->inner->size);
	copy_ops(&d->mr, sizeof(d->mr), d->inner_mr, d->inner_mr->size);
	d->fid_ops.close = domain_close;
	d->ops.av_open = av_open;
	d->ops.cq_open = fault_cq_open;
	d->ops.endpoint = fault_endpoint;
	d->ops.scalable_ep = no_scalable_ep;
	d->ops.poll_open = no_poll;
	d->mr.reg = fault_mr_reg;
	d->mr.regv = fault_mr_regv;
	d->mr.regattr = fault_mr_regattr;
	domain_hook(d, fid);
}

static int domain_open(struct fid_fabric *fabric, struct fi_info *info, struct fid_domain **out, void *context)
{
	struct fabric *f = fault_owner(fabric->ops, struct fabric, ops);
	struct fault_domain *d;
	struct fi_info *inner;
	int nic, ret = fault_fail(CALL_DOMAIN);

	if (ret)
		return ret;
	inner = fault_info_inner(info, &nic);
	d = calloc(1, sizeof(*d));
	ret = inner && d ? f->inner->domain(fabric, inner, out, context) : -FI_ENODATA;
	if (inner)
		fault_lib.freeinfo(inner);
	if (ret) {
		free(d);
		return ret;
	}
	d->nic = nic;
	d->api = fabric->api_version;
	domain_wrap(d, *out);
	return 0;
}

/* ---- fabrics ---- */

static int eq_open(struct fid_fabric *fabric, struct fi_eq_attr *attr, struct fid_eq **out, void *context)
{
	struct fabric *f = fault_owner(fabric->ops, struct fabric, ops);
	struct eq *eq;
	int ret = fault_fail(CALL_EQ_OPEN);

	if (ret)
		return ret;
	eq = calloc(1, sizeof(*eq));
	if (!eq)
		return -FI_ENOMEM;
	ret = f->inner->eq_open(fabric, attr, out, context);
	if (ret) {
		free(eq);
		return ret;
	}
	eq->inner_fid = (*out)->fid.ops;
	eq->inner = (*out)->ops;
	copy_ops(&eq->fid_ops, sizeof(eq->fid_ops), eq->inner_fid, eq->inner_fid->size);
	copy_ops(&eq->ops, sizeof(eq->ops), eq->inner, eq->inner->size);
	eq->fid_ops.close = eq_close;
	eq->ops.read = eq_read;
	eq->ops.readerr = eq_readerr;
	(*out)->fid.ops = &eq->fid_ops;
	(*out)->ops = &eq->ops;
	return 0;
}

static int fabric_close(struct fid *fid)
{
	struct fabric *f = fault_owner(fid->ops, struct fabric, fid_ops);
	struct fid_fabric *fabric = fault_owner(fid, struct fid_fabric, fid);
	int ret;

	fid->ops = f->inner_fid;
	fabric->ops = f->inner;
	ret = fi_close(fid);
	if (ret) {
		fid->ops = &f->fid_ops;
		fabric->ops = &f->ops;
		return ret;
	}
	free(f);
	return 0;
}

int fault_fabric(struct fi_fabric_attr *attr, struct fid_fabric **out, void *context)
{
	struct fi_fabric_attr inner = *attr;
	struct fabric *f;
	int ret = fault_fail(CALL_FABRIC);

	if (!ret)
		ret = fault_fabric_inner(&inner);
	if (ret)
		return ret;
	f = calloc(1, sizeof(*f));
	if (!f)
		return -FI_ENOMEM;
	ret = fault_lib.fabric(&inner, out, context);
	if (ret) {
		free(f);
		return ret;
	}
	f->inner_fid = (*out)->fid.ops;
	f->inner = (*out)->ops;
	copy_ops(&f->fid_ops, sizeof(f->fid_ops), f->inner_fid, f->inner_fid->size);
	copy_ops(&f->ops, offsetof(struct fi_ops_fabric, domain2), f->inner, f->inner->size);
	f->fid_ops.close = fabric_close;
	f->ops.domain = domain_open;
	f->ops.eq_open = eq_open;
	(*out)->fid.ops = &f->fid_ops;
	(*out)->ops = &f->ops;
	return 0;
}

/* ---- the entry point ---- */

static void cleanup(void)
{
	fault_log();
}

static struct fi_provider provider = {
	.version = FI_VERSION(1, 0),
	.name = FAULT_NAME,
	.getinfo = fault_getinfo,
	.fabric = fault_fabric,
	.cleanup = cleanup,
};

/* The default version of a function, whose structures the framework itself uses. */
static void *symbol(void *lib, const char *name)
{
	void *p = dlsym(lib, name);

	if (!p)
		abort();
	return p;
}

struct fi_provider *fi_prov_ini(void);

/* Called once by libfabric when it loads us. We are not linked with libfabric: the caller's copy is the one to use. */
__attribute__((visibility("default"))) struct fi_provider *fi_prov_ini(void)
{
	Dl_info caller;
	void *lib = NULL;
	uint32_t (*version)(void);

	if (dladdr(__builtin_return_address(0), &caller) && caller.dli_fname)
		lib = dlopen(caller.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	version = (uint32_t(*)(void))symbol(lib ? lib : RTLD_DEFAULT, "fi_version");
	fault_lib.version = version();
	fault_lib.getinfo = symbol(lib ? lib : RTLD_DEFAULT, "fi_getinfo");
	fault_lib.freeinfo = symbol(lib ? lib : RTLD_DEFAULT, "fi_freeinfo");
	fault_lib.dupinfo = symbol(lib ? lib : RTLD_DEFAULT, "fi_dupinfo");
	fault_lib.fabric = symbol(lib ? lib : RTLD_DEFAULT, "fi_fabric");
	provider.fi_version = fault_lib.version;
	/* libfabric's native TCP provider was called net before 1.18. */
	fault_setup_load(FI_VERSION_LT(fault_lib.version, FI_VERSION(1, 18)) ? "net" : "tcp");
	fault_dice_init();
	return &provider;
}

/* Some processes end without libfabric's own cleanup. */
__attribute__((destructor)) static void at_exit(void)
{
	fault_log();
}
