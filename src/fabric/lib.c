/* SPDX-License-Identifier: Apache-2.0 */
/* The loaded libfabric; see lib.h. */
#include "fabric/lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <rdma/fabric.h>
#include <rdma/fi_errno.h>

#include "base/log.h"
#include "fabric/fab.h"
#include "fabric/newer.h"

uint32_t fab_api_version(void)
{
	uint32_t library = fi_version();

	return FI_VERSION_LT(library, NEWER_API) ? library : NEWER_API;
}

const char *fab_library_version(void)
{
	static char text[64];
	uint32_t v = fi_version();

	snprintf(text, sizeof(text), "%u.%u (API %u.%u requested)", FI_MAJOR(v), FI_MINOR(v),
		 FI_MAJOR(fab_api_version()), FI_MINOR(fab_api_version()));
	return text;
}

const char *fab_library_path(void)
{
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)fi_version, &info) || !info.dli_fname)
		return "libfabric";
	return info.dli_fname;
}

const char *fab_dmabuf_why(void)
{
	static char text[128];

	if (FI_VERSION_GE(fi_version(), SINCE_DMABUF))
		return "";
	snprintf(text, sizeof(text), "libfabric %s is older than 1.20 and knows no dma-buf", fab_library_version());
	return text;
}

int fab_errno(ssize_t fi_ret)
{
	if (fi_ret >= 0)
		return 0;
	return fi_ret > -256 ? (int)fi_ret : -EIO;
}

/* Returns 0, or the (positive) errno that prevents opening a descriptor. */
static int try_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), err = errno;

	if (fd < 0)
		return err;
	close(fd);
	return 0;
}

char *fab_exhausted(char *buf, size_t bytes)
{
	struct statvfs shm;
	struct rlimit limit = {0};
	int err = try_descriptor();

	*buf = 0;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (err == EMFILE)
		snprintf(buf, bytes,
			 "; this process has opened all %llu descriptors that it may: raise its limit (ulimit -n)",
			 (unsigned long long)limit.rlim_cur);
	else if (err == ENFILE)
		snprintf(buf, bytes, "; this host has no descriptor left (sysctl fs.file-max)");
	else if (!statvfs("/dev/shm", &shm) && shm.f_blocks && !shm.f_bavail)
		snprintf(buf, bytes, "; /dev/shm is full");
	return buf;
}

int fab_failed(const struct fab_nic *nic, const char *what, ssize_t ret)
{
	char out[160];

	log_warn("%s failed on NIC %s of provider %s: %s (%zd)%s; FI_LOG_LEVEL=warn says more", what, nic->name,
		 nic->provider, fi_strerror((int)-ret), ret, fab_exhausted(out, sizeof(out)));
	return fab_errno(ret);
}
